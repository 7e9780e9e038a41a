"""Floating-point operations that a training or a prediction needs, and how many the machine can do a second."""

import time

import numpy as np
import torch
from transformers import PreTrainedConfig

# Width of the square matrices whose product measures the machine, and products in a measurement.
WIDTH, PRODUCTS = 2048, 4
# Passes of as many operations: a gradient needs twice those of the forward pass.
PREDICTION, TRAINING = 1, 3


def count_operations(config: PreTrainedConfig, classes: int, lengths: np.ndarray, passes: int) -> float:
    """Operations of the products over rows of these lengths, by an encoder of BERT's kind and a head of `classes`.

    A product of (n, k) and (k, m) has 2nkm. Counted are the layers' linear maps, the two products of attention within
    each row, and the head on every token. Padding, lookups, norms, softmax and the optimizer count nothing.
    """
    lengths, width, layers = lengths.astype(float), config.hidden_size, config.num_hidden_layers
    token = 2 * (layers * (4 * width**2 + 2 * width * config.intermediate_size) + width * classes)
    pair = 2 * layers * 2 * width
    return passes * float(token * lengths.sum() + pair * (lengths**2).sum())


def matrix_rate(precision: str) -> float:
    """Operations a second of a large product of matrices, with the threads of this process."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    one, two = (torch.randn(WIDTH, WIDTH).to(kind) for _ in range(2))
    one @ two
    begin = time.perf_counter()
    for _ in range(PRODUCTS):
        one @ two
    return PRODUCTS * 2 * WIDTH**3 / (time.perf_counter() - begin)
