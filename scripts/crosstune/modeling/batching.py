"""The order of a training's windows, and batches made of windows.

The order is a pure function of (seed, stage, lengths), fixed before the first update: to resume is to skip updates.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice, pairwise
from typing import TypeVar

import numpy as np
import torch
from torch.profiler import record_function

from crosstune.core.random_streams import stream
from crosstune.modeling.features import Batch, Windows, copy_to

Item, Made = TypeVar("Item"), TypeVar("Made")

# The tensors of a batch that have one value per token, besides the task's values.
TOKEN_FIELDS = ("ids", "types", "positions")


@dataclass(frozen=True)
class Mixture:
    """Sampling weights of sources: p ~ n^alpha over `fresh` sources, and a share `replay` over the `replayed` ones."""

    fresh: tuple[str, ...]
    replayed: tuple[str, ...] = ()
    alpha: float = 1.0
    replay: float = 0.0

    def probabilities(self, sizes: dict[str, int]) -> dict[str, float]:
        """The probability of each source, given the number of its windows."""
        probabilities = {}
        for names, share in ((self.fresh, 1 - self.replay), (self.replayed, self.replay)):
            weights = np.array([sizes[name] ** self.alpha for name in names])
            if len(names):
                probabilities |= dict(zip(names, (share * weights / weights.sum()).tolist(), strict=True))
        return probabilities


def plan_batches(
    lengths: dict[str, np.ndarray],
    mixture: Mixture,
    tokens: int,
    key: Sequence[object],
    updates: int | None = None,
    epochs: float | None = None,
) -> list[list[tuple[str, int]]]:
    """The (source, window) pairs of each update; their lengths add up to at most `tokens`.

    `lengths` gives the windows' lengths by source. `key` seeds the random streams. Each pass over a source has a new
    random order, and the mixture draws the source of each window. A window longer than `tokens` is an update by itself.
    Either `updates` or `epochs` sets the end; an epoch is as many windows as the fresh sources hold.
    """
    limit = None if epochs is None else round(epochs * sum(len(lengths[name]) for name in mixture.fresh))
    plan: list[list[tuple[str, int]]] = []
    current: list[tuple[str, int]] = []
    used = 0
    for count, (source, window) in enumerate(_sample_windows(lengths, mixture, key)):
        if count == limit:
            break
        length = int(lengths[source][window])
        if current and used + length > tokens:
            plan.append(current)
            if len(plan) == updates:
                return plan
            current, used = [], 0
        current.append((source, window))
        used += length
    return [*plan, current] if current else plan


def _sample_windows(
    lengths: dict[str, np.ndarray], mixture: Mixture, key: Sequence[object]
) -> Iterator[tuple[str, int]]:
    """Endless (source, window) pairs."""
    probabilities = mixture.probabilities({name: len(values) for name, values in lengths.items()})
    names = sorted(probabilities)
    weights = [probabilities[name] for name in names]
    choices = stream(*key, "mixture")
    orders = {name: _shuffled_epochs(len(lengths[name]), (*key, "order", name)) for name in names}
    while True:
        for choice in choices.choice(len(names), 1024, p=weights).tolist():
            yield names[choice], next(orders[names[choice]])


def _shuffled_epochs(size: int, key: tuple) -> Iterator[int]:
    """The numbers below `size` without end, in a new order each time."""
    epoch = 0
    while True:
        yield from stream(*key, epoch).permutation(size).tolist()
        epoch += 1


def collate(windows: Sequence[Windows], indices: Sequence[int]) -> Batch:
    """The batch of window `indices[n]` of `windows[n]` for every n. All are of one task."""
    spans = [slice(*source.offsets[i : i + 2].tolist()) for source, i in zip(windows, indices, strict=True)]

    def flat(arrays: Sequence[np.ndarray]) -> torch.Tensor:
        parts = [array[span] for array, span in zip(arrays, spans, strict=True)]
        return torch.from_numpy(np.concatenate(parts).astype(np.int64))

    sequences = [source.sequence_lengths(i) for source, i in zip(windows, indices, strict=True)]
    lengths = tuple(chain.from_iterable(sequences))
    values = {
        name: torch.tensor([int(source.per_window[name][i]) for source, i in zip(windows, indices, strict=True)])
        for name in windows[0].per_window
    }
    values |= {name: flat([source.per_token[name] for source in windows]) for name in windows[0].per_token}
    return Batch(
        flat([source.ids for source in windows]),
        flat([source.types for source in windows]),
        torch.cat([torch.arange(length) for length in lengths]),
        lengths,
        tuple(map(len, sequences)),
        values,
    )


def prefetch(make: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """`make(item)` in order, computed one ahead in a thread, so that a GPU does not wait for it."""
    with ThreadPoolExecutor(1) as pool:
        following = None
        for item, after in pairwise([*items, None]):
            current = following or pool.submit(make, item)
            following = pool.submit(make, after) if after is not None else None
            with record_function("data"):
                made = current.result()
            yield made


def split_batch(batch: Batch) -> list[Batch]:
    """One batch for each window of a batch; the inverse of `concat_batches`."""
    sizes = batch.window_lengths

    def split(tensor: torch.Tensor) -> Sequence[torch.Tensor]:
        """(tokens,) or (windows,) by window. If there are as many windows as tokens, both are the same."""
        return tensor.split(sizes if len(tensor) == len(batch.ids) else 1)

    lengths = iter(batch.lengths)
    own_lengths = [tuple(islice(lengths, count)) for count in batch.sequence_counts]
    tokens = zip(*(split(getattr(batch, name)) for name in TOKEN_FIELDS), strict=True)
    values = {name: split(tensor) for name, tensor in batch.values.items()}
    return [
        Batch(*own, own_lengths[n], (batch.sequence_counts[n],), {name: parts[n] for name, parts in values.items()})
        for n, own in enumerate(tokens)
    ]


def concat_batches(batches: Sequence[Batch]) -> Batch:
    """The windows of several batches of one task, end to end."""
    tokens = (torch.cat([getattr(batch, name) for batch in batches]) for name in TOKEN_FIELDS)
    lengths = tuple(chain.from_iterable(batch.lengths for batch in batches))
    counts = tuple(chain.from_iterable(batch.sequence_counts for batch in batches))
    values = {name: torch.cat([batch.values[name] for batch in batches]) for name in batches[0].values}
    return Batch(*tokens, lengths, counts, values)


def concat_inputs(first: Batch, second: Batch) -> Batch:
    """The windows of two batches end to end, without the task's values."""
    return concat_batches([replace(batch, values={}) for batch in (first, second)])


class Padding:
    """The layout of sequences padded to `length` or to the longest, on a device.

    `mask` (sequences, length) is True at tokens; `places`: each token's row and column, two tensors of (tokens,). They
    are computed in main memory, so that nothing waits for a GPU.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device, length: int | None = None):
        mask = torch.arange(length or max(lengths)) < torch.tensor(lengths)[:, None]
        self.mask = copy_to(device, mask)
        self.places = tuple(copy_to(device, place) for place in mask.nonzero(as_tuple=True))

    def pad(self, flat: torch.Tensor, value: float) -> torch.Tensor:
        """Values per token (tokens, ...) as (sequences, length, ...), with `value` in padding."""
        padded = flat.new_full((*self.mask.shape, *flat.shape[1:]), value)
        padded[self.places] = flat
        return padded
