"""Encoded rows, and what a forward pass is given of them.

Owns: how windows, their sequences and their tokens lie in flat arrays. Must never know: what a task makes of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Windows:
    """Encoded rows: m rows give n windows, t tokens in all, which lie end to end in flat arrays.

    A window is what is trained on as a whole: one sequence, or several that attend to themselves alone (the choices of
    an item, a question and its answer). `ids`, `types` (t,): token ids and token types. `offsets` (n + 1,): window i is
    `offsets[i]:offsets[i + 1]`. `sequences` (s + 1,), s >= n: likewise the sequences. `rows` (n,): the row of each
    window. What a task needs beside them, for its targets and to turn outputs into answers, is in `per_window` (arrays
    of n) and `per_token` (arrays of t), by name.
    """

    ids: np.ndarray
    types: np.ndarray
    offsets: np.ndarray
    sequences: np.ndarray
    rows: np.ndarray
    per_window: dict[str, np.ndarray] = field(default_factory=dict)
    per_token: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def join(cls, windows: Sequence[dict], per_window: Sequence[str] = (), per_token: Sequence[str] = ()) -> "Windows":
        """Windows from one dictionary each: `ids`, `types`, `row`, the named values, `lengths` of several sequences."""
        lengths = [len(window["ids"]) for window in windows]
        parts = [length for window in windows for length in window.get("lengths", [len(window["ids"])])]

        def flat(name: str, kind: type) -> np.ndarray:
            return np.concatenate([window[name] for window in windows]).astype(kind) if windows else np.zeros(0, kind)

        def single(name: str) -> np.ndarray:
            return np.array([window[name] for window in windows], np.int64)

        return cls(
            flat("ids", np.int32),
            flat("types", np.int8),
            np.cumsum([0, *lengths], dtype=np.int64),
            np.cumsum([0, *parts], dtype=np.int64),
            single("row"),
            {name: single(name) for name in per_window},
            {name: flat(name, np.int32) for name in per_token},
        )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def sequence_lengths(self, window: int) -> list[int]:
        """The lengths of a window's sequences."""
        first, last = np.searchsorted(self.sequences, self.offsets[window : window + 2])
        return np.diff(self.sequences[first : last + 1]).tolist()


def joined(sequences: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict:
    """Several sequences (ids, types) as one window of `Windows.join`."""
    ids, types = zip(*sequences, strict=True)
    return {"ids": np.concatenate(ids), "types": np.concatenate(types), "lengths": [len(part) for part in ids]}


@dataclass(frozen=True)
class Batch:
    """Windows laid end to end, as tensors; padding is a matter of the encoder alone.

    `ids`, `types`, `positions` (tokens,); `lengths`: the lengths of the sequences; `windows`: how many sequences each
    window has; `values`: what the task wants, by name, (windows,) or (tokens,).
    """

    ids: "torch.Tensor"
    types: "torch.Tensor"
    positions: "torch.Tensor"
    lengths: tuple[int, ...]
    windows: tuple[int, ...]
    values: dict[str, "torch.Tensor"]

    @property
    def window_lengths(self) -> list[int]:
        """How many tokens each window has."""
        lengths = iter(self.lengths)
        return [sum(islice(lengths, sequences)) for sequences in self.windows]

    def to(self, device: object) -> "Batch":
        moved = {name: tensor.to(device, non_blocking=True) for name, tensor in self.values.items()}
        tensors = (tensor.to(device, non_blocking=True) for tensor in (self.ids, self.types, self.positions))
        return Batch(*tensors, self.lengths, self.windows, moved)
