"""The size of forward passes on the device of this process."""

import torch

from crosstune.core.packing import (
    GPU_PREDICTION_PASS_TOKENS,
    GPU_TRAINING_PASS_TOKENS,
    PREDICTION_PASS_TOKENS,
    TRAINING_PASS_TOKENS,
)
from crosstune.machine.hardware import device
from crosstune.modeling.network import MultiHeadEncoder

# Bytes of activations per token, for each unit of width of each layer; study/model_size.py names the source.
ACTIVATION_BYTES = {"bf16": 64, "fp32": 128}


def training_pass(network: MultiHeadEncoder, precision: str) -> int:
    """Tokens in training: on a GPU the larger number, if the activations fill at most half of its memory.

    Padded sequences keep the smaller number, because their attention also stores a product for each pair of tokens.
    """
    if device() == "cpu" or not network.packed:
        return TRAINING_PASS_TOKENS
    units = network.config.hidden_size * network.config.num_hidden_layers
    memory = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    fits = GPU_TRAINING_PASS_TOKENS * units * ACTIVATION_BYTES[precision] <= memory / 2
    return GPU_TRAINING_PASS_TOKENS if fits else TRAINING_PASS_TOKENS


def prediction_pass(network: MultiHeadEncoder) -> int:
    """Tokens in prediction."""
    return GPU_PREDICTION_PASS_TOKENS if device() == "cuda" and network.packed else PREDICTION_PASS_TOKENS
