"""Training on the rows of the embedding matrix that occur in the data.

A multilingual vocabulary has more rows than a training has words: word embeddings are half of mBERT's weights and two
thirds of XLM-R base's. A row that no window looks up has no gradient, so AdamW only decays it. With gradients, moments
and saved states of the other rows alone, the final weights are the same to rounding.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from crosstune.modeling.network import MultiHeadEncoder

# If a larger share of the rows occurs, all of them are trained: there is little to gain.
MAX_USED_SHARE = 0.9


class RowSubsetEmbedding(nn.Embedding):
    """An embedding with some rows of its matrix: token id i has row `row_of_id[i]`."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return functional.embedding(self.row_of_id[input], self.weight, self.padding_row)


class SparseEmbedding:
    """The rows of an encoder's word embeddings that a training changes: `rows` (rows,) are their token ids, None: all.

    `ids`: arrays of the token ids that the training looks up. `moments`: the optimizer's state of the stage before;
    rows with moments move even if no window looks them up. A head that is tied to the matrix needs all rows. A frozen
    matrix stays whole.
    """

    def __init__(
        self,
        network: MultiHeadEncoder,
        heads: Iterable[str],
        ids: Iterable[np.ndarray],
        moments: Mapping[str, torch.Tensor],
    ):
        self._module = network.encoder.get_input_embeddings()
        self._full_matrix = self._module.weight
        self._name = next(name for name, weight in network.named_parameters() if weight is self._full_matrix)
        self.rows: torch.Tensor | None = None
        if not self._full_matrix.requires_grad:  # frozen: no row has a gradient or decays
            return
        if any(network.tasks[head].tied_embeddings for head in heads) or not _is_plain(network.encoder, self._module):
            return
        occurs = np.zeros(self._module.num_embeddings, dtype=bool)
        # The model and its module may name different padding tokens.
        for some in (*ids, network.config.pad_token_id or 0, self._module.padding_idx or 0):
            occurs[some] = True
        used = torch.from_numpy(occurs)
        for kind in ("exp_avg", "exp_avg_sq"):
            if f"{kind}.{self._name}" in moments:
                used |= moments[f"{kind}.{self._name}"].ne(0).any(1)
        if used.float().mean() < MAX_USED_SHARE:
            self.rows = used.nonzero().flatten()

    def shrink(self) -> None:
        """Reduce the encoder's matrix to the rows."""
        if self.rows is None:
            return
        row_of_id = torch.zeros(len(self._full_matrix), dtype=torch.long)
        row_of_id[self.rows] = torch.arange(len(self.rows))
        padding = self._module.padding_idx
        self._module.register_buffer("row_of_id", row_of_id, persistent=False)
        self._module.padding_row = None if padding is None else int(row_of_id[padding])
        self._set_weight(nn.Parameter(self._full_matrix.detach()[self.rows]), RowSubsetEmbedding)

    def restore(self, decay: float) -> None:
        """Give the encoder its full matrix, with the trained rows, and the other rows times `decay`."""
        if self.rows is None:
            return
        with torch.no_grad():
            self._full_matrix.mul_(decay)[self.rows] = self._module.weight.to(self._full_matrix.device)
        self._set_weight(self._full_matrix, nn.Embedding)
        del self._module.row_of_id, self._module.padding_row

    @contextmanager
    def full_matrix(self, decay: float) -> Iterator[None]:
        """Between `shrink` and `restore`: while open, the encoder has all rows and can compute on any text."""
        if self.rows is None:
            yield
            return
        subset = self._module.weight
        with torch.no_grad():
            matrix = self._full_matrix.to(subset.device) * decay
            matrix[self.rows.to(subset.device)] = subset
        self._set_weight(nn.Parameter(matrix), nn.Embedding)
        try:
            yield
        finally:
            self._set_weight(subset, RowSubsetEmbedding)

    def select_rows(self, moments: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Moments of the full matrix reduced to the rows."""
        return {name: tensor[self.rows] if self._is_by_row(name) else tensor for name, tensor in moments.items()}

    def expand_rows(self, moments: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Moments of the full matrix, zero in the other rows."""
        expanded = dict(moments)
        for name in filter(self._is_by_row, moments):
            expanded[name] = moments[name].new_zeros(self._full_matrix.shape)
            expanded[name][self.rows.to(expanded[name].device)] = moments[name]
        return expanded

    def _is_by_row(self, name: str) -> bool:
        return self.rows is not None and name in (f"exp_avg.{self._name}", f"exp_avg_sq.{self._name}")

    def _set_weight(self, weight: nn.Parameter, kind: type[nn.Embedding]) -> None:
        self._module.weight = weight
        self._module.__class__ = kind


def _is_plain(encoder: nn.Module, module: nn.Module) -> bool:
    """Whether the encoder only looks rows of an embedding's matrix up."""
    owners = [own for own in encoder.modules() if any(weight is module.weight for weight in own.parameters(False))]
    return type(module) is nn.Embedding and module.max_norm is None and owners == [module]
