"""One vector per sequence, and the heads that take it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from crosstune.modeling.features import Batch, copy_to


def pooling_mask(length: int, pooling: str) -> np.ndarray:
    """True for the pooled tokens of a sequence (length,): the `first`, or all of them for the `mean`."""
    return np.arange(length) == 0 if pooling == "first" else np.ones(length, bool)


def pool(hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The mean of each sequence's tokens in the batch's mask `pooled` (tokens,), in fp32: (sequences, width)."""
    return masked_means(hidden, batch.host_value("pooled").bool(), batch.lengths)


def masked_means(hidden: torch.Tensor, mask: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """The mean of each part's tokens in the `mask` (tokens,) of main memory, in fp32: (parts, width).

    Parts of these lengths lie end to end in the hidden states (tokens, width).
    """
    owner = torch.repeat_interleave(torch.tensor(lengths))[mask]
    counts = owner.bincount(minlength=len(lengths))
    places, owner, counts = (copy_to(hidden.device, own) for own in (mask.nonzero().flatten(), owner, counts))
    total = hidden.new_zeros(len(lengths), hidden.shape[1], dtype=torch.float32)
    return total.index_add(0, owner, hidden[places].float()) / counts[:, None]


def first_tokens(hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The hidden state of each sequence's first token: (sequences, width)."""
    lengths = torch.tensor(batch.lengths)
    return hidden[copy_to(hidden.device, lengths.cumsum(0) - lengths)]


class PooledHead(nn.Module):
    """BERT's classifier: a dense layer with tanh (its pooler), dropout, and `classes` logits."""

    def __init__(self, config, classes: int):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(getattr(config, "hidden_dropout_prob", 0.1))
        self.out = nn.Linear(config.hidden_size, classes)
        for layer in (self.dense, self.out):
            nn.init.zeros_(layer.bias)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Logits (sequences, classes) of the states (sequences, width) of first tokens."""
        return self.out(self.dropout(torch.tanh(self.dense(states))))
