"""The contrastive loss as the code of MuCoT (Kumar et al. 2022) computes it; docs/contrast.md lists the differences."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from crosstune.modeling.contrastive import ContrastiveConfig, TranslationPairs
from crosstune.modeling.features import Batch


class Config(ContrastiveConfig):
    """Vectors average over all positions of windows padded to one length, the padding's hidden states included."""

    @staticmethod
    def initial_scale(options: Mapping) -> float:
        """The code multiplies by a fixed temperature, and divides by one that it learns."""
        if "temperature_lr" in options:
            return ContrastiveConfig.initial_scale(options)
        return options.get("temperature", 1.0)

    @staticmethod
    def temperature_options(recipe: Mapping) -> dict[str, float]:
        return {"peak": recipe["lr"], "weight_decay": recipe["weight_decay"]}

    def translation_pairs(self, *sources: object) -> TranslationPairs:
        return MucotPairs(self, *sources)

    def encode(
        self, network: nn.Module, batch: Batch, pooled_tokens: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        last, layers = network.padded_layer_states(batch, self.layers, self.max_length)
        return last, [layer.float().mean(1) for layer in layers]


class MucotPairs(TranslationPairs):
    """Windows of one number in rows of one origin are pairs, a window with itself included."""

    def partners(self, source: str, window: int) -> list[tuple[str, int]]:
        number = self.sources[source].number(window)
        rows = [(other, self.sources[other].windows_of_row(row)) for other, row in self.rows_of_origin(source, window)]
        return [(other, windows[number]) for other, windows in rows if number < len(windows)]

    def groups(self, windows: Sequence[tuple[str, int]]) -> Sequence[int]:
        """Windows of one origin are negatives of each other."""
        return range(len(windows))
