"""Task types, one module each: the encoding of rows, the head, its loss, and the answers from its outputs.

A task type is a subclass of `Task`; a new one needs its file and its line in `MODULES`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from crosstune.core.errors import UserError
from crosstune.core.packing import pack
from crosstune.modeling.features import Batch, Windows
from crosstune.modeling.tokenization import Tokenizer

if TYPE_CHECKING:
    import torch

# Raise this if a change of `encode` changes windows: jobs then ignore the windows in the feature cache.
ENCODE_VERSION = 4

MODULES = {
    "qa": "QuestionAnswering",
    "classification": "Classification",
    "choice": "MultipleChoice",
    "tagging": "Tagging",
    "bitext": "BitextRetrieval",
    "retrieval": "DualEncoder",
    "mlm": "MaskedLanguageModelling",
}

IGNORE_INDEX = -100


class Task(ABC):
    """One task type; `labels` are the classes of a classification head, empty for other heads.

    `tied_embeddings`: the head takes the encoder's embedding matrix before the hidden states. `in_batch_negatives`: the
    windows of a forward pass are each other's negatives, so that its loss is no sum over single windows.
    """

    tied_embeddings = in_batch_negatives = False

    def __init__(self, labels: Sequence[str] = ()):
        self.labels = list(labels)

    @abstractmethod
    def encode(self, rows: Sequence[dict], tokenizer: Tokenizer, options: dict) -> Windows:
        """Windows of rows in the task's row schema; `options` are the track's `encoding`."""

    @abstractmethod
    def build_head(self, config) -> "torch.nn.Module":
        """The head on an encoder with this `transformers` config, its weights not yet drawn."""

    @abstractmethod
    def loss(self, head, hidden: "torch.Tensor", batch: Batch, recipe: dict) -> "torch.Tensor":
        """Summed loss of a batch with hidden states (tokens, width); the caller divides by `target_count`."""

    def target_count(self, batch: Batch) -> int:
        """The number of predictions in the summed loss."""
        return len(batch)

    def passes(self, lengths: Sequence[int], tokens: int, padded: bool, recipe: dict) -> list[list[int]]:
        """The cut of an update's windows of these lengths into forward passes: indices into `lengths`."""
        return pack(lengths, tokens, padded)

    def layer(self, options: dict) -> int | None:
        """The layer of the hidden states that `outputs` takes, 0 for the embeddings; None for the last."""
        return None

    def perturb(self, batch: Batch, tokenizer: Tokenizer, stream: np.random.Generator, recipe: dict) -> Batch:
        """The batch to train on (masked language modelling draws its masks here)."""
        return batch

    def outputs(self, head, hidden: "torch.Tensor", batch: Batch) -> list:
        """One value per window, from which `answers` makes predictions once all windows are computed."""
        raise NotImplementedError

    def answers(self, rows: Sequence[dict], windows: Windows, outputs: list) -> list[dict]:
        """One prediction record per row: id, prediction, gold."""
        raise NotImplementedError

    def limited_tokens(self, windows: Windows, rows: int, tokenizer: Tokenizer) -> np.ndarray:
        """For each row, the tokens that windows hold of the texts that a limit can cut (rows,)."""
        owners = np.repeat(windows.rows, windows.lengths)
        return np.bincount(owners[~np.isin(windows.ids, list(tokenizer.special_ids))], minlength=rows)

    def best_answers(self, rows: Sequence[dict], windows: Windows) -> list[dict] | None:
        """Prediction records nearest to the gold that windows allow; None if they always allow the gold itself."""
        return None

    def predictions(self, parts: Iterable[tuple[Sequence[dict], Windows, list]]) -> Iterator[list[dict]]:
        """The answers of each language in turn, from its rows, windows and outputs."""
        return (self.answers(*part) for part in parts)


def load_task(head: str, labels: Sequence[str] = ()) -> Task:
    """The task type of a head name such as `qa` or `tagging.upos`."""
    kind = head.partition(".")[0]
    if kind not in MODULES:
        raise UserError(f"unknown task type {kind!r}", fix=f"Task types: {', '.join(MODULES)}")
    return getattr(import_module(f"crosstune.modeling.tasks.{kind}"), MODULES[kind])(labels)
