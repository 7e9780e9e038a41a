"""Contrastive training between originals and their translations: pairs of windows, and the loss.

Protocol: Kumar et al. 2022, with the differences that docs/contrast.md lists. The recipe key `compat` names a module
of this package that reproduces the authors' own code.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from crosstune.core.errors import UserError
from crosstune.core.random_streams import stream
from crosstune.modeling.batching import collate
from crosstune.modeling.features import Batch, Windows, copy_to
from crosstune.modeling.tasks.pooling import masked_means

# The initial temperature of CLIP (Radford et al. 2021), whose loss this is.
TEMPERATURE = 0.07

NEGATIVES = 64


def contrastive_config(recipe: Mapping, max_length: int) -> "ContrastiveConfig | None":
    """The contrastive loss of a recipe, for windows of at most `max_length` tokens; None if it has no such loss."""
    options = recipe.get("contrastive", {})
    return _config_class(options).from_options(options, max_length) if "weight" in options else None


def temperature_options(recipe: Mapping) -> dict[str, float] | None:
    """The optimizer's options for a learned temperature; None if the recipe learns none."""
    options = recipe.get("contrastive", {})
    return _config_class(options).temperature_options(recipe) if "temperature_lr" in options else None


def _config_class(options: Mapping) -> type["ContrastiveConfig"]:
    if "mode" not in options:
        return ContrastiveConfig
    return import_module(f"crosstune.modeling.{options['mode']}").Config


@dataclass(frozen=True)
class ContrastiveConfig:
    """How a recipe computes the contrastive loss; subclasses reproduce other code.

    `layers`: the compared layers, none for the last. `pooled_text`: question, context or both. `logit_scale`: the
    factor of the cosines, or its initial value if `learned_scale`. `active_share`: the share of the updates that have
    the loss, from the first on. `self_pairs`: a row without a translation is its own partner.
    """

    weight: float
    layers: tuple[int, ...]
    pooled_text: str
    logit_scale: float
    learned_scale: bool
    active_share: float
    negatives: int
    self_pairs: bool
    max_length: int

    @classmethod
    def from_options(cls, options: Mapping, max_length: int) -> "ContrastiveConfig":
        """The loss of a recipe's mapping `contrastive`."""
        return cls(
            options["weight"],
            tuple(options.get("layers", ())),
            options.get("pooled_text", "both"),
            cls.initial_scale(options),
            "temperature_lr" in options,
            options.get("active_share", 1.0),
            options.get("negatives", NEGATIVES),
            options.get("self_pairs", False),
            max_length,
        )

    @staticmethod
    def initial_scale(options: Mapping) -> float:
        """The factor of the cosines before training."""
        return 1 / options.get("temperature", TEMPERATURE)

    @staticmethod
    def temperature_options(recipe: Mapping) -> dict[str, float]:
        """The `peak` learning rate and the weight decay of a learned temperature."""
        return {"peak": recipe["contrastive"]["temperature_lr"], "weight_decay": 0.0}

    def is_active(self, number: int, updates: int) -> bool:
        """Whether update `number` (from 0) of `updates` has the loss."""
        return number < round(self.active_share * updates)

    def translation_pairs(self, *sources: object) -> "TranslationPairs":
        """The pairs among the windows of a stage's sources, by the arguments of TranslationPairs after the first."""
        return TranslationPairs(self, *sources)

    def encode(
        self, network: nn.Module, batch: Batch, pooled_tokens: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The last hidden states (tokens, width) of a batch, and one vector per window of each compared layer.

        A vector is the mean over the window's pooled tokens; the vectors of a layer are (windows, width).
        """
        last, layers = network.layer_states(batch, self.layers)
        return last, [masked_means(layer, pooled_tokens, batch.window_lengths) for layer in layers]


class LearnedTemperature(nn.Module):
    """A learned temperature, as the logarithm of its inverse."""

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))


def contrastive_loss(
    vectors: Sequence[torch.Tensor], scale: float | torch.Tensor, groups: torch.Tensor
) -> torch.Tensor:
    """Summed symmetric InfoNCE of pairs (van den Oord et al. 2018; Radford et al. 2021), the mean over layers.

    `vectors`: of each layer (2 * pairs, width), the originals' and then the partners' in the same order. A pair's
    negatives are the other pairs, except those of its own origin: `groups` (pairs,) has one number per origin.
    """
    own = torch.eye(len(groups), dtype=torch.bool, device=groups.device)
    targets = torch.arange(len(groups), device=groups.device)
    losses = []
    # In fp32: with a small temperature, bf16 would round near logits to the same number.
    with torch.autocast(groups.device.type, enabled=False):
        for layer in vectors:
            first, second = normalize(layer, dim=1).chunk(2)
            logits = scale * first @ second.T
            logits = logits.masked_fill((groups[:, None] == groups) & ~own, -torch.inf)
            directions = (cross_entropy(side, targets, reduction="sum") for side in (logits, logits.T))
            losses.append(sum(directions) / 2)
    return torch.stack(losses).mean()


@dataclass(frozen=True)
class PartnerBatch:
    """One partner for each window of a micro-batch, in their order.

    `pooled_tokens` (tokens,), always in main memory: the tokens that are averaged, of the windows and then of the
    partners. `groups`: see contrastive_loss. `weight`: the factor of the summed loss.
    """

    batch: Batch
    pooled_tokens: torch.Tensor
    groups: torch.Tensor
    config: ContrastiveConfig
    weight: float

    def to(self, device: object) -> "PartnerBatch":
        """A copy on a device."""
        return replace(self, batch=self.batch.to(device), groups=copy_to(device, self.groups))


class TranslationPairs:
    """The windows of a stage's sources that can be pairs.

    `origins` names the origin of every row of a source; rows of one head and one origin are translations of each other.
    `specials`: token ids that are never pooled. Raises UserError if no two windows can be a pair.
    """

    def __init__(
        self,
        config: ContrastiveConfig,
        windows: Mapping[str, Windows],
        heads: Mapping[str, str],
        origins: Mapping[str, Sequence[str]],
        specials: frozenset[int],
    ):
        self.config = config
        self.sources = {name: SourceWindows(own, config.pooled_text, specials) for name, own in windows.items()}
        self._origins = {source: [(heads[source], origin) for origin in origins[source]] for source in windows}
        self._rows: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for source, names in self._origins.items():
            for row, name in enumerate(names):
                self._rows.setdefault(name, []).append((source, row))
        if not config.self_pairs and not any(len({source for source, _ in rows}) > 1 for rows in self._rows.values()):
            message = f"contrast needs rows of one origin in two sources, and {', '.join(windows)} have none"
            fix = "Train the stage on originals and their translations at once, or leave contrast out of its recipe."
            raise UserError(message, "recipe: contrastive", fix)

    def rows_of_origin(self, source: str, window: int) -> list[tuple[str, int]]:
        """All rows that share the origin of a window, as (source, row), its own row included."""
        return self._rows[self._origin(source, window)]

    def partners(self, source: str, window: int) -> list[tuple[str, int]]:
        """The windows that can be a window's partner, as (source, window)."""
        own = self.sources[source]
        if not own.usable[window]:
            return []
        rows = [(other, row) for other, row in self.rows_of_origin(source, window) if other != source]
        partners = [(other, own.counterpart(window, self.sources[other], row)) for other, row in rows]
        partners = [(other, partner) for other, partner in partners if partner is not None]
        return partners or ([(source, window)] if self.config.self_pairs else [])

    def draw_partners(
        self, update: Sequence[tuple[str, int]], number: int, updates: int, key: Sequence[object]
    ) -> dict[int, tuple[str, int]]:
        """A partner for each window of update `number` that can have one, by the window's place in the update.

        The result is empty if the update does not have the loss. `key` seeds the random stream.
        """
        if not self.config.is_active(number, updates):
            return {}
        generator = stream(*key, "pairs", number)
        choices = {place: partners for place, window in enumerate(update) if (partners := self.partners(*window))}
        return {place: partners[generator.integers(len(partners))] for place, partners in choices.items()}

    def partner_batch(
        self, windows: Sequence[tuple[str, int]], partners: Sequence[tuple[str, int]], weight: float
    ) -> PartnerBatch:
        """The partners of a micro-batch's windows; `weight` is the factor of their summed loss."""
        pooled = [self.sources[source].pooled_tokens(window) for source, window in [*windows, *partners]]
        return PartnerBatch(
            collate([self.sources[source].windows for source, _ in partners], [window for _, window in partners]),
            torch.from_numpy(np.concatenate(pooled)),
            torch.tensor(self.groups(windows)),
            self.config,
            weight,
        )

    def groups(self, windows: Sequence[tuple[str, int]]) -> Sequence[int]:
        """One number for each window; windows of one origin have the same, and are no negatives of each other."""
        origins = [self._origin(*window) for window in windows]
        numbers = {origin: number for number, origin in enumerate(origins)}
        return [numbers[origin] for origin in origins]

    def _origin(self, source: str, window: int) -> tuple[str, str]:
        return self._origins[source][self.sources[source].windows.rows[window]]


class SourceWindows:
    """The windows of one source, in the order of its rows, and their tokens that are pooled."""

    def __init__(self, windows: Windows, pooled_text: str, specials: frozenset[int]):
        self.windows = windows
        self._pooled = ~np.isin(windows.ids, list(specials))
        if pooled_text != "both":
            in_context = windows.per_token["first"] >= 0
            self._pooled &= in_context if pooled_text == "context" else ~in_context
        self.usable = np.diff(np.concatenate([[0], np.cumsum(self._pooled)])[windows.offsets]) > 0

    def pooled_tokens(self, window: int) -> np.ndarray:
        """Which tokens of a window are pooled."""
        return self._pooled[slice(*self.windows.offsets[window : window + 2])]

    def windows_of_row(self, row: int) -> range:
        """The windows of a row."""
        return range(*np.searchsorted(self.windows.rows, [row, row + 1]).tolist())

    def number(self, window: int) -> int:
        """The place of a window among the windows of its row, from 0."""
        return window - self.windows_of_row(self.windows.rows[window]).start

    def counterpart(self, window: int, other: "SourceWindows", row: int) -> int | None:
        """The window of a row of another source with the content of a window; None if none has pooled tokens.

        If both rows have windows with the whole answer, only those are each other's counterparts. Among the rest the
        relative place in the row decides: the largest overlap, then the nearest middle.
        """
        choices = [theirs for theirs in other.windows_of_row(row) if other.usable[theirs]]
        if self._has_answer(window):
            choices = [theirs for theirs in choices if other._has_answer(theirs)] or choices
        if len(choices) < 2:
            return choices[0] if choices else None
        place, length = self._place(window), self._row_length(self.windows.rows[window])
        begin, end = (edge * other._row_length(row) for edge in place)

        def fit(theirs: int) -> tuple[int, int]:
            # Places in rows of different lengths on one scale, in whole numbers: equals must be equal.
            first, last = (edge * length for edge in other._place(theirs))
            return min(end, last) - max(begin, first), -abs(begin + end - first - last)

        return max(choices, key=fit)

    def _has_answer(self, window: int) -> bool:
        return "start" in self.windows.per_window and self.windows.per_window["start"][window] > 0

    def _row_length(self, row: int) -> int:
        """Where the last window of a row ends, in the units of `_place`."""
        return self._place(self.windows_of_row(row)[-1])[1]

    def _place(self, window: int) -> tuple[int, int]:
        """Begin and end of a window in its row: in characters of its context, or in tokens if it has no context."""
        offset, end = self.windows.offsets[window : window + 2].tolist()
        if "context" not in self.windows.per_window:
            start = int(self.windows.offsets[self.windows_of_row(self.windows.rows[window]).start])
            return offset - start, end - start
        first, last = (offset + int(self.windows.per_window[name][window]) for name in ("context", "context_end"))
        if first == last:
            return 0, 0
        return int(self.windows.per_token["first"][first]), int(self.windows.per_token["last"][last - 1])
