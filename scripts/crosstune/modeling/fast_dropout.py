"""Dropout with cheap masks on a CPU.

torch draws one random number per element of a mask, on one core, and a small model's dropout mostly waits for that.
Here one 64-bit number of the same generator gives four elements 16 bits each, so a rate is exact to 1/65,536.
"""

import torch
from torch import nn


class FastDropout(nn.Dropout):
    """nn.Dropout, computed by `dropout`."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return dropout(input, self.p) if self.training and self.p else input


def dropout(values: torch.Tensor, rate: float) -> torch.Tensor:
    """`values` with a share `rate` set to 0 and the others scaled by 1 / (1 - rate)."""
    if values.device.type != "cpu":
        return nn.functional.dropout(values, rate)
    count = values.numel()
    bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:count]
    # The comparison writes numbers: converting booleans would take longer than everything else.
    mask = torch.empty(values.shape, dtype=values.dtype)
    torch.ge(bits.view(values.shape), round(rate * 2**16) - 2**15, out=mask)
    return values * mask.mul_(1 / (1 - rate))


def use_fast_dropout(model: nn.Module) -> None:
    """Let every dropout layer of a model compute by `dropout`."""
    for module in model.modules():
        if type(module) is nn.Dropout:
            module.__class__ = FastDropout
