"""Which rows make up which update, and how rows become tensors.

Owns: the order of the data, mixtures, budgets, the cut into forward passes. Must never know: models, tasks.

The order is a pure function of (seed, stage, lengths), made before the first update: resuming is an index into it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np
import torch

from crosstune.core.random_streams import stream
from crosstune.modeling.features import Batch, Windows

# What a batch has of every token, beside the values that its task wants.
TOKENS = ("ids", "types", "positions")

# On two cores a third of a padded batch of mixed lengths is padding otherwise.
PADDED = 1.6


@dataclass(frozen=True)
class Mixture:
    """Sampling weights of sources: p ~ n^alpha over `fresh` sources, and a share `replay` over the `replayed` ones."""

    fresh: tuple[str, ...]
    replayed: tuple[str, ...] = ()
    alpha: float = 1.0
    replay: float = 0.0

    def probabilities(self, sizes: dict[str, int]) -> dict[str, float]:
        """Probability of each source, given how many windows each has."""
        shares = {}
        for names, share in ((self.fresh, 1 - self.replay), (self.replayed, self.replay)):
            weights = np.array([sizes[name] ** self.alpha for name in names])
            shares |= dict(zip(names, (share * weights / weights.sum()).tolist(), strict=True)) if len(names) else {}
        return shares


def compose(
    lengths: dict[str, np.ndarray],
    mixture: Mixture,
    tokens: int,
    key: Sequence[object],
    updates: int | None = None,
    epochs: float | None = None,
) -> list[list[tuple[str, int]]]:
    """For each update the (source, window) pairs it trains on; their lengths add up to at most `tokens`.

    `lengths` gives the windows' lengths by source; `key` is what the random streams are derived from. Each source is
    gone through in a new random order each time; which source comes next is drawn from the mixture. A window longer
    than `tokens` makes an update of its own. One of `updates` and `epochs` sets the end; an epoch is as many windows
    as the fresh sources hold.
    """
    wanted = None if epochs is None else round(epochs * sum(len(lengths[name]) for name in mixture.fresh))
    plan: list[list[tuple[str, int]]] = []
    current: list[tuple[str, int]] = []
    used = 0
    for drawn, (source, window) in enumerate(_draw(lengths, mixture, key)):
        if drawn == wanted:
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


def _draw(lengths: dict[str, np.ndarray], mixture: Mixture, key: Sequence[object]) -> Iterator[tuple[str, int]]:
    """Endless (source, window) pairs."""
    probabilities = mixture.probabilities({name: len(values) for name, values in lengths.items()})
    names = sorted(probabilities)
    weights = [probabilities[name] for name in names]
    choices = stream(*key, "mixture")
    walks = {name: _walk(len(lengths[name]), (*key, "order", name)) for name in names}
    while True:
        for choice in choices.choice(len(names), 1024, p=weights).tolist():
            yield names[choice], next(walks[names[choice]])


def _walk(size: int, key: tuple) -> Iterator[int]:
    epoch = 0
    while True:
        yield from stream(*key, epoch).permutation(size).tolist()
        epoch += 1


def collate(windows: Sequence[Windows], indices: Sequence[int]) -> Batch:
    """Windows laid end to end: window `indices[n]` of `windows[n]` for every n. All are of one task."""
    spans = [slice(*source.offsets[i : i + 2].tolist()) for source, i in zip(windows, indices, strict=True)]

    def flat(arrays: Sequence[np.ndarray]) -> torch.Tensor:
        parts = [array[span] for array, span in zip(arrays, spans, strict=True)]
        return torch.from_numpy(np.concatenate(parts).astype(np.int64))

    windows_of = [source.sequence_lengths(i) for source, i in zip(windows, indices, strict=True)]
    lengths = tuple(length for found in windows_of for length in found)
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
        tuple(len(found) for found in windows_of),
        values,
    )


def apart(batch: Batch) -> list[Batch]:
    """The windows of a batch, each as a batch of its own; `together` undoes it."""
    sizes = batch.window_lengths

    def cut(tensor: torch.Tensor) -> Sequence[torch.Tensor]:
        """(tokens,) or (windows,) by window. Where there are as many windows as tokens, both are the same."""
        return tensor.split(sizes if len(tensor) == len(batch.ids) else 1)

    lengths = iter(batch.lengths)
    own = [tuple(islice(lengths, sequences)) for sequences in batch.windows]
    tokens = zip(*(cut(getattr(batch, name)) for name in TOKENS), strict=True)
    values = {name: cut(tensor) for name, tensor in batch.values.items()}
    return [
        Batch(*found, own[n], (batch.windows[n],), {name: parts[n] for name, parts in values.items()})
        for n, found in enumerate(tokens)
    ]


def together(batches: Sequence[Batch]) -> Batch:
    """Batches of one task, their windows laid end to end."""
    tokens = (torch.cat([getattr(batch, name) for batch in batches]) for name in TOKENS)
    lengths = tuple(chain.from_iterable(batch.lengths for batch in batches))
    windows = tuple(chain.from_iterable(batch.windows for batch in batches))
    values = {name: torch.cat([batch.values[name] for batch in batches]) for name in batches[0].values}
    return Batch(*tokens, lengths, windows, values)


def beside(first: Batch, second: Batch) -> Batch:
    """The windows of two batches end to end, without the values that tasks want."""
    return together([replace(batch, values={}) for batch in (first, second)])


def real_places(lengths: Sequence[int], device: torch.device, length: int | None = None) -> torch.Tensor:
    """Which places of windows padded to `length`, or to the longest, hold a token: (windows, length)."""
    return torch.arange(length or max(lengths), device=device) < torch.tensor(lengths, device=device)[:, None]


def as_rows(flat: torch.Tensor, real: torch.Tensor, filling: float) -> torch.Tensor:
    """Values per token (tokens, ...) as (windows, longest, ...), with `filling` where no token is `real`."""
    padded = flat.new_full((*real.shape, *flat.shape[1:]), filling)
    padded[real] = flat
    return padded
