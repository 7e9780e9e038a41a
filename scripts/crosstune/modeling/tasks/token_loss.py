"""The loss of heads that classify single tokens.

Owns: which tokens count. Must never know: what the classes are.
"""

from collections.abc import Callable

import torch
from torch import nn

from crosstune.modeling.tasks import IGNORED


def token_loss(head: Callable, hidden: torch.Tensor, targets: torch.Tensor, recipe: dict) -> torch.Tensor:
    """Summed cross-entropy over the tokens with a target. `hidden` (tokens, width), `targets` (tokens,).

    The head sees those tokens alone: of masked language modelling they are a fraction, and its classes are many.
    """
    chosen = targets != IGNORED
    logits = head(hidden[chosen]).float()
    return nn.functional.cross_entropy(
        logits, targets[chosen], reduction="sum", label_smoothing=recipe["label_smoothing"]
    )


def counted(targets: torch.Tensor) -> int:
    """How many tokens have a target."""
    return int((targets != IGNORED).sum())
