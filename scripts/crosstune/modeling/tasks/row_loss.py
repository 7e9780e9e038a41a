"""The loss of heads that choose among the places of a row: tokens of a window, choices of an item.

Owns: the softmax over real places. Must never know: what the places are.
"""

import torch


def row_loss(logits: torch.Tensor, real: torch.Tensor, targets: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Summed cross-entropy of rows. `logits` (rows, places) with -inf where nothing is `real`, `targets` (rows,).

    Label smoothing spreads its share over a row's real places. A softmax over padding would depend on how rows are
    batched.
    """
    surprise = -logits.log_softmax(1)
    loss = (1 - smoothing) * surprise.gather(1, targets[:, None]).sum()
    if smoothing:
        loss = loss + smoothing * (surprise.masked_fill(~real, 0.0).sum(1) / real.sum(1)).sum()
    return loss
