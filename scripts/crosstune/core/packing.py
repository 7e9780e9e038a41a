"""The cut of windows into forward passes, without torch."""

import math
from collections.abc import Sequence

import numpy as np

# Tokens of a forward pass. Another number rounds differently, so they are no options.
TRAINING_PASS_TOKENS, PREDICTION_PASS_TOKENS = 4096, 8192

# The same on a GPU, which is faster if a pass is larger.
GPU_TRAINING_PASS_TOKENS, GPU_PREDICTION_PASS_TOKENS = 16_384, 32_768

# The longest window of a padded forward pass may be this many times as long as the shortest.
MAX_LENGTH_RATIO = 1.6


def pack(lengths: Sequence[int], tokens: int, padded: bool = False) -> list[list[int]]:
    """Cut windows into forward passes of at most `tokens` tokens, shortest windows first; indices into `lengths`.

    The order lets windows of one length share a call of the attention kernel. If the windows will be `padded`, the
    padding counts, and the lengths of a pass differ by a factor of at most MAX_LENGTH_RATIO.
    """
    passes: list[list[int]] = []
    used = tokens
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        length = lengths[index]
        if padded and passes:
            used = length * len(passes[-1])
        if used + length > tokens or (padded and length > MAX_LENGTH_RATIO * lengths[passes[-1][0]]):
            passes.append([])
            used = 0
        passes[-1].append(index)
        used += length
    return passes


def split_evenly(count: int, most: int) -> list[list[int]]:
    """0 to `count` - 1 in order, in parts of at most `most` whose sizes differ by at most one."""
    parts = np.array_split(np.arange(count), max(1, math.ceil(count / most)))
    return [part.tolist() for part in parts if len(part)]
