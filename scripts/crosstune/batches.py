"""Which rows make up which update, and how rows become tensors.

Owns: the order of the data, mixtures, budgets, micro-batches, padding. Must never know: models, tasks.

The order is a pure function of (seed, stage, lengths), made before the first update: resuming is an index into it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from crosstune.randomness import stream
from crosstune.tasks import IGNORED, Windows

# On two cores a third of a batch of mixed lengths is padding otherwise; smaller runs cost more calls than they save.
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


def micro_batches(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Split an update into runs of similar length, so that little is padding; indices into `lengths`.

    A run's padded size stays within `tokens`, and its longest row within PADDED times its shortest.
    """
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    batches: list[list[int]] = []
    for index in order:
        length = lengths[index]
        fits = batches and length * (len(batches[-1]) + 1) <= tokens and length <= PADDED * lengths[batches[-1][0]]
        if fits:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def collate(windows: Sequence[Windows], indices: Sequence[int], pad_id: int) -> dict[str, torch.Tensor]:
    """Tensors of some windows, padded to the longest: input_ids, token_types, attention_mask and the targets.

    Row n of the batch is window `indices[n]` of `windows[n]`; all windows are of one task.
    """
    pairs = list(zip(windows, indices, strict=True))
    ids = [source.input_ids[i] for source, i in pairs]
    batch = {
        "input_ids": _pad(ids, pad_id),
        "token_types": _pad([source.token_types[i] for source, i in pairs], 0),
        "attention_mask": _pad([np.ones(len(row), np.int64) for row in ids], 0),
    }
    for name, values in windows[0].targets.items():
        rows = [source.targets[name][i] for source, i in pairs]
        batch[name] = _pad(rows, IGNORED) if isinstance(values, list) else torch.tensor(rows, dtype=torch.int64)
    return batch


def _pad(rows: list[np.ndarray], value: int) -> torch.Tensor:
    padded = np.full((len(rows), max(map(len, rows))), value, np.int64)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return torch.from_numpy(padded)
