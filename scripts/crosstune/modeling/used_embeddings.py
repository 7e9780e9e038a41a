"""Training on the rows of the embedding matrix that the data use.

Owns: which rows those are, and how they stand for the whole matrix while a training lasts.
Must never know: optimizers, plans, where data come from.

A multilingual vocabulary has more rows than a training has words: half of mBERT's weights are word embeddings, and two
thirds of XLM-R base's. A row that no window uses has no gradient, so that AdamW does nothing to it but decay it. With
gradients, moments and saved states of the others alone, the weights that come out are the same to rounding.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from crosstune.modeling.network import Network

# Of a matrix that is used nearly whole there is little to gain.
WORTHWHILE = 0.9


class UsedEmbedding(nn.Embedding):
    """An embedding whose matrix has some of the rows: that of id i is row `places[i]`."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return functional.embedding(self.places[input], self.weight, self.padding_place)


class UsedRows:
    """The rows of a network's word embeddings that a training moves; `rows` (rows,) are their ids, None: all.

    `ids`: arrays of the token ids that it will look up. `moments`: those of a training before, by which rows move on
    that are not looked up any more. A head that is tied to the matrix needs all rows.
    """

    def __init__(
        self, network: Network, heads: Iterable[str], ids: Iterable[np.ndarray], moments: Mapping[str, torch.Tensor]
    ):
        self._module = network.encoder.get_input_embeddings()
        self._whole = self._module.weight
        self._name = next(name for name, weight in network.named_parameters() if weight is self._whole)
        self.rows: torch.Tensor | None = None
        if any(network.tasks[head].tied for head in heads) or not _is_plain(network.encoder, self._module):
            return
        found = np.zeros(self._module.num_embeddings, dtype=bool)
        # What pads may differ between the model and its module.
        for some in (*ids, network.config.pad_token_id or 0, self._module.padding_idx or 0):
            found[some] = True
        used = torch.from_numpy(found)
        for kind in ("exp_avg", "exp_avg_sq"):
            if f"{kind}.{self._name}" in moments:
                used |= moments[f"{kind}.{self._name}"].ne(0).any(1)
        if used.float().mean() < WORTHWHILE:
            self.rows = used.nonzero().flatten()

    def keep_alone(self) -> None:
        """Let the network have these rows alone."""
        if self.rows is None:
            return
        places = torch.zeros(len(self._whole), dtype=torch.long)
        places[self.rows] = torch.arange(len(self.rows))
        padding = self._module.padding_idx
        self._module.register_buffer("places", places, persistent=False)
        self._module.padding_place = None if padding is None else int(places[padding])
        self._put(nn.Parameter(self._whole.detach()[self.rows]), UsedEmbedding)

    def give_back(self, decay: float) -> None:
        """Let the network have all rows again, the others times `decay`."""
        if self.rows is None:
            return
        with torch.no_grad():
            self._whole.mul_(decay)[self.rows] = self._module.weight.to(self._whole.device)
        self._put(self._whole, nn.Embedding)
        del self._module.places, self._module.padding_place

    @contextmanager
    def with_others(self, decay: float) -> Iterator[None]:
        """Between `keep_alone` and `give_back`, all rows for a while, to compute on any text."""
        if self.rows is None:
            yield
            return
        alone = self._module.weight
        with torch.no_grad():
            whole = self._whole.to(alone.device) * decay
            whole[self.rows.to(alone.device)] = alone
        self._put(nn.Parameter(whole), nn.Embedding)
        try:
            yield
        finally:
            self._put(alone, UsedEmbedding)

    def taken(self, moments: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Of moments of all rows, those of these rows."""
        return {name: tensor[self.rows] if self._is_by_row(name) else tensor for name, tensor in moments.items()}

    def put_back(self, moments: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Moments of all rows; the others have none."""
        found = dict(moments)
        for name in filter(self._is_by_row, moments):
            found[name] = moments[name].new_zeros(self._whole.shape)
            found[name][self.rows.to(found[name].device)] = moments[name]
        return found

    def _is_by_row(self, name: str) -> bool:
        return self.rows is not None and name in (f"exp_avg.{self._name}", f"exp_avg_sq.{self._name}")

    def _put(self, weight: nn.Parameter, kind: type[nn.Embedding]) -> None:
        self._module.weight = weight
        self._module.__class__ = kind


def _is_plain(encoder: nn.Module, module: nn.Module) -> bool:
    """Whether all that is done with an embedding's matrix is to look rows up."""
    owners = [own for own in encoder.modules() if any(weight is module.weight for weight in own.parameters(False))]
    return type(module) is nn.Embedding and module.max_norm is None and owners == [module]
