"""Splitting windows into forward passes, without torch."""

import math
from collections.abc import Sequence

import numpy as np

# A padded forward pass mixes lengths up to this ratio.
PADDED = 1.6


def pack(lengths: Sequence[int], tokens: int, padded: bool = False) -> list[list[int]]:
    """Split windows into forward passes of at most `tokens` tokens, shortest windows first; indices into `lengths`.

    Sorted, because windows of one length share a call of the attention kernel. If passes are `padded`, the padding
    counts, and the longest window of a pass is at most PADDED times the shortest.
    """
    passes: list[list[int]] = []
    used = tokens
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        length = lengths[index]
        if padded and passes:
            used = length * len(passes[-1])
        if used + length > tokens or (padded and length > PADDED * lengths[passes[-1][0]]):
            passes.append([])
            used = 0
        passes[-1].append(index)
        used += length
    return passes


def split_evenly(count: int, most: int) -> list[list[int]]:
    """The numbers from 0 to `count` - 1 in order, in parts of at most `most` whose sizes differ by at most one."""
    parts = np.array_split(np.arange(count), max(1, math.ceil(count / most)))
    return [part.tolist() for part in parts if len(part)]
