"""The loss of heads that classify single tokens."""

from collections.abc import Callable

import torch
from torch import nn

from crosstune.modeling.features import Batch, copy_to
from crosstune.modeling.tasks import IGNORE_INDEX


def token_loss(head: Callable, hidden: torch.Tensor, batch: Batch, name: str, recipe: dict) -> torch.Tensor:
    """Summed cross-entropy over the tokens with a target; `hidden` (tokens, width), `name` of the batch's targets.

    The head computes these tokens alone: in masked language modelling they are few, and the classes many.
    """
    targets = batch.host_value(name)
    places = (targets != IGNORE_INDEX).nonzero().flatten()
    logits = head(hidden[copy_to(hidden.device, places)]).float()
    chosen = copy_to(hidden.device, targets[places])
    return nn.functional.cross_entropy(logits, chosen, reduction="sum", label_smoothing=recipe["label_smoothing"])


def count_targets(targets: torch.Tensor) -> int:
    """The number of tokens with a target."""
    return int((targets != IGNORE_INDEX).sum())
