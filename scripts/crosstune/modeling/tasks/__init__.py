"""Task types, one module each: how rows become windows, what the head is, the loss, how outputs become answers.

A task type is a subclass of `Task`; adding one is adding its file and its line in `load_task`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from crosstune.core.errors import UserError
from crosstune.core.packing import packs
from crosstune.modeling.features import Batch, Windows
from crosstune.modeling.tokenization import TextEncoder

if TYPE_CHECKING:
    import torch

# Raised by hand when a change of `encode` changes windows: cached ones are then made anew.
ENCODE_VERSION = 3

MODULES = {
    "qa": "QuestionAnswering",
    "classification": "Classification",
    "choice": "MultipleChoice",
    "tagging": "Tagging",
    "bitext": "BitextRetrieval",
    "retrieval": "DualEncoder",
    "mlm": "MaskedLanguageModelling",
}

IGNORED = -100


class Task(ABC):
    """One task type; `labels` are the classes of a classification head, empty where there are none.

    `tied`: the head is called with the encoder's embedding matrix before the hidden states. `mutual`: the windows of a
    forward pass need each other, so that its loss is no sum over windows that could be computed apart.
    """

    tied = mutual = False

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

    def units(self, batch: Batch) -> int:
        """How many predictions the summed loss is a sum of."""
        return len(batch.windows)

    def passes(self, lengths: Sequence[int], tokens: int, padded: bool, recipe: dict) -> list[list[int]]:
        """The cut of an update's windows of these lengths into forward passes; indices into `lengths`."""
        return packs(lengths, tokens, padded)

    def layer(self, options: dict) -> int | None:
        """The layer whose hidden states `outputs` wants, 0 being the embeddings; None for the last."""
        return None

    def perturb(self, batch: Batch, encoder: TextEncoder, stream: np.random.Generator, recipe: dict) -> Batch:
        """The batch as it is trained on (masked language modelling draws its masks here)."""
        return batch

    def outputs(self, head, hidden: "torch.Tensor", batch: Batch) -> list:
        """What is kept of each window until all are seen."""
        raise NotImplementedError

    def answers(self, rows: Sequence[dict], windows: Windows, outputs: list) -> list[dict]:
        """One prediction record a row: id, prediction, gold."""
        raise NotImplementedError

    def predictions(self, parts: Iterable[tuple[Sequence[dict], Windows, list]]) -> Iterator[list[dict]]:
        """The answers of each language, from its rows, windows and outputs, as they come; here each by itself."""
        return (self.answers(*part) for part in parts)


def load_task(head: str, labels: Sequence[str] = ()) -> Task:
    """The task type of a head name such as `qa` or `tagging.upos`."""
    kind = head.partition(".")[0]
    if kind not in MODULES:
        raise UserError(f"unknown task type {kind!r}", fix=f"Task types: {', '.join(MODULES)}")
    return getattr(import_module(f"crosstune.modeling.tasks.{kind}"), MODULES[kind])(labels)
