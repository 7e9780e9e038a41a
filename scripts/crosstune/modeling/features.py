"""Encoded rows as flat arrays, and the batches of a forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Windows:
    """Encoded rows: m rows give n windows of t tokens in total, end to end in flat arrays.

    A window is the unit of training. It is one sequence, or several that attend to themselves alone (the choices of an
    item, a question and its answer).

    `ids`, `types` (t,): token ids and token types. `offsets` (n + 1,): window i is `offsets[i]:offsets[i + 1]`.
    `sequences` (s + 1,), s >= n: the same for sequences. `rows` (n,): the row of each window. `per_window` (arrays of
    n) and `per_token` (arrays of t) hold, by name, further values of a task: its targets, and the values that turn
    outputs into answers.
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
        sequences = [length for window in windows for length in window.get("lengths", [len(window["ids"])])]

        def flat(name: str, kind: type) -> np.ndarray:
            return np.concatenate([window[name] for window in windows]).astype(kind) if windows else np.zeros(0, kind)

        def single(name: str) -> np.ndarray:
            return np.array([window[name] for window in windows], np.int64)

        return cls(
            flat("ids", np.int32),
            flat("types", np.int8),
            np.cumsum([0, *lengths], dtype=np.int64),
            np.cumsum([0, *sequences], dtype=np.int64),
            single("row"),
            {name: single(name) for name in per_window},
            {name: flat(name, np.int32) for name in per_token},
        )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each window (n,)."""
        return np.diff(self.offsets)

    def sequence_lengths(self, window: int) -> list[int]:
        """Tokens of each sequence of a window."""
        first, last = np.searchsorted(self.sequences, self.offsets[window : window + 2])
        return np.diff(self.sequences[first : last + 1]).tolist()


def concat_sequences(sequences: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict:
    """One window of several sequences (ids, types), in the form that `Windows.join` takes."""
    ids, types = zip(*sequences, strict=True)
    return {"ids": np.concatenate(ids), "types": np.concatenate(types), "lengths": [len(part) for part in ids]}


@dataclass(frozen=True)
class Batch:
    """Windows end to end, as tensors. Only the encoder pads.

    `ids`, `types`, `positions` (tokens,). `lengths`: tokens of each sequence. `sequence_counts`: sequences of each
    window. `values`: further values of the task by name, (windows,) or (tokens,). `host_batch`: of a copy on a device,
    the batch in main memory.
    """

    ids: "torch.Tensor"
    types: "torch.Tensor"
    positions: "torch.Tensor"
    lengths: tuple[int, ...]
    sequence_counts: tuple[int, ...]
    values: dict[str, "torch.Tensor"]
    host_batch: "Batch | None" = None

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.sequence_counts)

    @property
    def window_lengths(self) -> list[int]:
        """Tokens of each window."""
        lengths = iter(self.lengths)
        return [sum(islice(lengths, count)) for count in self.sequence_counts]

    def to(self, device: object) -> "Batch":
        """A copy on a device."""
        values = {name: copy_to(device, tensor) for name, tensor in self.values.items()}
        ids, types, positions = (copy_to(device, tensor) for tensor in (self.ids, self.types, self.positions))
        return replace(self, ids=ids, types=types, positions=positions, values=values, host_batch=self)

    def host_value(self, name: str) -> "torch.Tensor":
        """One of the values in main memory: to read it there does not wait for a GPU."""
        return (self.host_batch or self).values[name]


def copy_to(device: object, tensor: "torch.Tensor") -> "torch.Tensor":
    """A tensor of main memory on a device.

    A copy to a GPU starts from pinned memory: from other memory the program would wait until the GPU is idle.
    """
    if str(device).startswith("cuda") and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
