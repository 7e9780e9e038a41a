"""The loss of heads that choose among the places of a row: tokens of a window, choices of an item."""

import torch


def row_loss(logits: torch.Tensor, mask: torch.Tensor, targets: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Summed cross-entropy of rows. `logits` (rows, places) with -inf outside of the `mask`, `targets` (rows,).

    Label smoothing spreads its share over the places in a row's mask. A softmax over padding would depend on how rows
    are batched.
    """
    surprise = -logits.log_softmax(1)
    loss = (1 - smoothing) * surprise.gather(1, targets[:, None]).sum()
    if smoothing:
        loss = loss + smoothing * (surprise.masked_fill(~mask, 0.0).sum(1) / mask.sum(1)).sum()
    return loss
