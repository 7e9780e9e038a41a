"""The loss of heads that classify single tokens."""

from collections.abc import Callable

import torch
from torch import nn

from crosstune.modeling.tasks import IGNORE_INDEX


def token_loss(head: Callable, hidden: torch.Tensor, targets: torch.Tensor, recipe: dict) -> torch.Tensor:
    """Summed cross-entropy over the tokens with a target. `hidden` (tokens, width), `targets` (tokens,).

    The head computes these tokens alone: in masked language modelling they are few, and the classes many.
    """
    mask = targets != IGNORE_INDEX
    logits = head(hidden[mask]).float()
    return nn.functional.cross_entropy(
        logits, targets[mask], reduction="sum", label_smoothing=recipe["label_smoothing"]
    )


def count_targets(targets: torch.Tensor) -> int:
    """The number of tokens with a target."""
    return int((targets != IGNORE_INDEX).sum())
