"""Task types, one module each: how rows become windows, what the head is, the loss, how outputs become answers.

A task type is a subclass of `Task`; adding one is adding its file and its line in `load_task`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from crosstune.encoding import TextEncoder
from crosstune.errors import UserError

if TYPE_CHECKING:
    import torch

# Raised by hand when a change of `encode` changes windows: cached ones are then made anew.
ENCODE_VERSION = 1
MODULES = {"qa": "QuestionAnswering", "tagging": "Tagging", "mlm": "MaskedLanguageModelling"}
IGNORED = -100


@dataclass(frozen=True)
class Windows:
    """Encoded rows: m rows give n >= m windows, t tokens in all, which lie end to end in flat arrays.

    `ids`, `types` (t,): token ids and token types. `offsets` (n + 1,): window i is `offsets[i]:offsets[i + 1]`.
    `rows` (n,): the row of each window. What a task needs beside them, for its targets and to turn outputs into
    answers, is in `per_window` (arrays of n) and `per_token` (arrays of t), by name.
    """

    ids: np.ndarray
    types: np.ndarray
    offsets: np.ndarray
    rows: np.ndarray
    per_window: dict[str, np.ndarray] = field(default_factory=dict)
    per_token: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def join(cls, windows: Sequence[dict], per_window: Sequence[str] = (), per_token: Sequence[str] = ()) -> "Windows":
        """Windows from one dictionary each: `ids`, `types`, `row`, and the named values."""
        lengths = [len(window["ids"]) for window in windows]

        def flat(name: str, kind: type) -> np.ndarray:
            return np.concatenate([window[name] for window in windows]).astype(kind) if windows else np.zeros(0, kind)

        def single(name: str) -> np.ndarray:
            return np.array([window[name] for window in windows], np.int64)

        return cls(
            flat("ids", np.int32),
            flat("types", np.int8),
            np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64),
            single("row"),
            {name: single(name) for name in per_window},
            {name: flat(name, np.int32) for name in per_token},
        )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)


@dataclass(frozen=True)
class Batch:
    """Windows laid end to end, as tensors; padding is a matter of the encoder alone.

    `ids`, `types`, `positions` (tokens,); `lengths`: the windows' lengths; `values`: what the task wants, by name,
    (windows,) or (tokens,).
    """

    ids: "torch.Tensor"
    types: "torch.Tensor"
    positions: "torch.Tensor"
    lengths: tuple[int, ...]
    values: dict[str, "torch.Tensor"]

    def to(self, device: object) -> "Batch":
        moved = {name: tensor.to(device, non_blocking=True) for name, tensor in self.values.items()}
        tensors = (tensor.to(device, non_blocking=True) for tensor in (self.ids, self.types, self.positions))
        return Batch(*tensors, self.lengths, moved)


class Task(ABC):
    """One task type; `labels` are the classes of a classification head, empty where there are none.

    `tied`: the head is called with the encoder's embedding matrix before the hidden states.
    """

    tied = False

    def __init__(self, labels: Sequence[str] = ()):
        self.labels = list(labels)

    @abstractmethod
    def encode(self, rows: Sequence[dict], encoder: TextEncoder, options: dict) -> Windows:
        """Windows of rows in the task's row schema; `options` are the track's `encoding`."""

    @abstractmethod
    def build_head(self, config) -> "torch.nn.Module":
        """The head on an encoder with this `transformers` config, its weights not yet drawn."""

    @abstractmethod
    def loss(self, head, hidden: "torch.Tensor", batch: Batch, recipe: dict) -> "torch.Tensor":
        """Summed loss of a batch with hidden states (tokens, width); the caller divides by `units`."""

    @abstractmethod
    def units(self, batch: Batch) -> int:
        """How many predictions the summed loss is a sum of."""

    def perturb(self, batch: Batch, encoder: TextEncoder, stream: np.random.Generator, recipe: dict) -> Batch:
        """The batch as it is trained on (masked language modelling draws its masks here)."""
        return batch

    def outputs(self, head, hidden: "torch.Tensor", batch: Batch) -> list:
        """What is kept of each window until all are seen."""
        raise NotImplementedError

    def answers(self, rows: Sequence[dict], windows: Windows, outputs: list) -> list[dict]:
        """One prediction record a row: id, prediction, gold."""
        raise NotImplementedError


def load_task(head: str, labels: Sequence[str] = ()) -> Task:
    """The task type of a head name such as `qa` or `tagging.upos`."""
    kind = head.partition(".")[0]
    if kind not in MODULES:
        raise UserError(f"unknown task type {kind!r}", cure=f"Task types: {', '.join(MODULES)}")
    return getattr(import_module(f"crosstune.tasks.{kind}"), MODULES[kind])(labels)
