"""AdamW with its learning rates, and its moments by parameter name."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch.optim import AdamW

from crosstune.modeling.contrastive import temperature_options
from crosstune.modeling.network import MultiHeadEncoder

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class LrSpan(NamedTuple):
    """The updates that one learning-rate schedule spans, and how many of them the stages before have made."""

    updates: int
    before: int = 0


def learning_rate(recipe: Mapping, number: int, updates: int) -> float:
    """Rate of update `number` (from 0) of `updates`: linear warm-up, then linear decay to 0 or constant."""
    warmup = round(recipe["warmup"] * updates)
    if number < warmup:
        return recipe["lr"] * (number + 1) / warmup
    if recipe["lr_schedule"] == "constant":
        return recipe["lr"]
    return recipe["lr"] * (updates - number) / max(1, updates - warmup)


def decay_factor(recipe: Mapping, done: int, span: LrSpan) -> float:
    """The factor by which AdamW's weight decay has shrunk a weight without gradient after `done` updates of a stage."""
    if not recipe["weight_decay"]:
        return 1.0
    numbers = range(span.before, span.before + done)
    return math.prod(1 - recipe["weight_decay"] * learning_rate(recipe, number, span.updates) for number in numbers)


def build_optimizer(network: MultiHeadEncoder, recipe: Mapping) -> AdamW:
    """AdamW (beta 0.9, 0.999, eps 1e-8, as in XTREME's scripts) of weights that are not frozen.

    Biases and norms do not decay. Each group has the `peak` of its learning rate: a learned temperature has its own.
    """
    options = temperature_options(recipe)
    temperature = [network.log_scale] if options and network.log_scale is not None else []
    trained = [p for p in network.parameters() if p.requires_grad]
    rest = [p for p in trained if not any(p is own for own in temperature)]
    matrices, vectors = ([p for p in rest if (p.dim() > 1) == is_matrix] for is_matrix in (True, False))
    groups = [
        {"params": matrices, "peak": recipe["lr"], "weight_decay": recipe["weight_decay"]},
        {"params": vectors, "peak": recipe["lr"], "weight_decay": 0.0},
        {"params": temperature, **(options or {})},
    ]
    return AdamW([group for group in groups if group["params"]], lr=recipe["lr"], eps=1e-8, fused=True)


def set_learning_rates(optimizer: AdamW, recipe: Mapping, number: int, span: LrSpan) -> None:
    """Give every group its rate of update `number` (from 0) of a stage."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate({**recipe, "lr": group["peak"]}, span.before + number, span.updates)


def named_moments(network: MultiHeadEncoder, optimizer: AdamW) -> dict[str, torch.Tensor]:
    """The optimizer's state by parameter name: `step.x`, `exp_avg.x`, `exp_avg_sq.x`."""
    return {
        f"{kind}.{name}": tensor
        for name, parameter in network.named_parameters()
        for kind, tensor in optimizer.state.get(parameter, {}).items()
    }
