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

MODULES = {"qa": "QuestionAnswering", "tagging": "Tagging", "mlm": "MaskedLanguageModelling"}
IGNORED = -100


@dataclass(frozen=True)
class Windows:
    """Encoded rows. A long row gives several windows, so there are n windows of m <= n rows.

    `input_ids`, `token_types`: n arrays of the windows' lengths. `rows` (n,): the row of each window.
    `targets`: by name, an (n,) array (one target a window) or n arrays (one a token, IGNORED where there is none).
    `details`: what the task needs to turn outputs into answers, per window.
    """

    input_ids: list[np.ndarray]
    token_types: list[np.ndarray]
    rows: np.ndarray
    targets: dict[str, np.ndarray | list[np.ndarray]]
    details: list = field(default_factory=list)

    @property
    def lengths(self) -> np.ndarray:
        return np.array([len(ids) for ids in self.input_ids], np.int64)


class Task(ABC):
    """One task type; `labels` are the classes of a classification head, empty where there are none."""

    def __init__(self, labels: Sequence[str] = ()):
        self.labels = list(labels)

    @abstractmethod
    def encode(self, rows: Sequence[dict], encoder: TextEncoder, options: dict) -> Windows:
        """Windows of rows in the task's row schema; `options` are the track's `encoding`."""

    @abstractmethod
    def build_head(self, config) -> "torch.nn.Module":
        """The head on an encoder with this `transformers` config, its weights not yet drawn."""

    @abstractmethod
    def loss(self, head, hidden: "torch.Tensor", batch: dict, recipe: dict) -> "torch.Tensor":
        """Summed loss of a batch with hidden states (rows, tokens, width); the caller divides by `units`."""

    @abstractmethod
    def units(self, batch: dict) -> int:
        """How many predictions the summed loss is a sum of."""

    def perturb(self, batch: dict, encoder: TextEncoder, stream: np.random.Generator, recipe: dict) -> dict:
        """The batch as it is trained on (masked language modelling draws its masks here)."""
        return batch

    def outputs(self, head, hidden: "torch.Tensor", batch: dict, details: list) -> list:
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
