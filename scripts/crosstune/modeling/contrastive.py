"""Contrastive training between originals and their translations: which windows are pairs, and the loss.

Owns: pairing, the loss, its temperature. Must never know: folders of models, optimizers, files.

Protocol: MuCoT (Kumar et al. 2022). What of it is done otherwise, and why, is in docs/contrast.md; with the recipe's
`compat: mucot` it is done as the original's code does it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from crosstune.core.errors import UserError
from crosstune.core.random_streams import stream
from crosstune.modeling.batching import collate
from crosstune.modeling.features import Batch, Windows

# Where the temperature starts in CLIP (Radford et al. 2021), whose loss this is, and in MuCoT.
TEMPERATURE = 0.07

NEGATIVES = 64


@dataclass(frozen=True)
class Contrast:
    """What a recipe says of the loss.

    `layers`: those compared, none for the last. `parts`: question, context or both. `scale`: what cosines are
    multiplied by, at first if it is `learned`. `share`: of the updates. `alone`: a row without a translation is its own
    partner. `mucot`: all as in the original, whose windows are padded to `length` tokens.
    """

    weight: float
    layers: tuple[int, ...]
    parts: str
    scale: float
    learned: bool
    share: float
    negatives: int
    alone: bool
    mucot: bool
    length: int

    @classmethod
    def of(cls, recipe: Mapping, length: int) -> "Contrast | None":
        """The loss that a recipe asks for, with windows of at most `length` tokens; None where it asks for none."""
        if "contrast" not in recipe:
            return None
        mucot, learned = recipe.get("compat") == "mucot", "contrast_temperature_lr" in recipe
        if mucot and not learned:
            scale = recipe.get("contrast_temperature", 1.0)
        else:
            scale = 1 / recipe.get("contrast_temperature", TEMPERATURE)
        return cls(
            recipe["contrast"],
            tuple(recipe.get("contrast_layers", ())),
            recipe.get("contrast_parts", "both"),
            scale,
            learned,
            recipe.get("contrast_share", 1.0),
            recipe.get("contrast_negatives", NEGATIVES),
            recipe.get("contrast_self", False),
            mucot,
            length,
        )

    def is_on(self, number: int, updates: int) -> bool:
        """Whether update `number` (from 0) of `updates` has the loss."""
        return number < round(self.share * updates)


class Temperature(nn.Module):
    """A learned temperature, as the logarithm of its inverse."""

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))


def temperature_options(recipe: Mapping) -> dict[str, float]:
    """How a learned temperature is optimised: its `peak` learning rate and weight decay; nothing where none is."""
    if "contrast_temperature_lr" not in recipe:
        return {}
    if recipe.get("compat") == "mucot":
        return {"peak": recipe["lr"], "weight_decay": recipe["weight_decay"]}
    return {"peak": recipe["contrast_temperature_lr"], "weight_decay": 0.0}


def contrastive_loss(
    vectors: Sequence[torch.Tensor], scale: float | torch.Tensor, groups: torch.Tensor
) -> torch.Tensor:
    """Summed symmetric InfoNCE of pairs, the mean over layers.

    `vectors`: of each layer (2 * pairs, width), first the originals' and then the partners' in the same order. A pair's
    negatives are the other pairs, except those of its own origin: `groups` (pairs,) has one number for each origin.
    """
    own = torch.eye(len(groups), dtype=torch.bool, device=groups.device)
    targets = torch.arange(len(groups), device=groups.device)
    found = []
    # In fp32: near logits of a small temperature would be the same number in bf16.
    with torch.autocast(groups.device.type, enabled=False):
        for layer in vectors:
            first, second = normalize(layer, dim=1).chunk(2)
            logits = scale * first @ second.T
            logits = logits.masked_fill((groups[:, None] == groups) & ~own, -torch.inf)
            ways = (cross_entropy(side, targets, reduction="sum") for side in (logits, logits.T))
            found.append(sum(ways) / 2)
    return torch.stack(found).mean()


@dataclass(frozen=True)
class Pairs:
    """The partners of a forward pass's windows, one each, in their order.

    `compared` (tokens,): which tokens are averaged, of the windows and then of the partners. `groups`: see
    contrastive_loss. `weight`: what the summed loss counts.
    """

    partners: Batch
    compared: torch.Tensor
    groups: torch.Tensor
    contrast: Contrast
    weight: float

    def to(self, device: object) -> "Pairs":
        compared, groups = (tensor.to(device, non_blocking=True) for tensor in (self.compared, self.groups))
        return replace(self, partners=self.partners.to(device), compared=compared, groups=groups)


class Pairing:
    """Which windows can be pairs, among the windows of a stage's sources.

    `origins` names the origin of every row of a source; rows of one head and one origin are translations of each other.
    `specials` are token ids that are never compared. Raises UserError where nothing can be a pair.
    """

    def __init__(
        self,
        contrast: Contrast,
        windows: Mapping[str, Windows],
        heads: Mapping[str, str],
        origins: Mapping[str, Sequence[str]],
        specials: frozenset[int],
    ):
        self.contrast = contrast
        self._sources = {name: _Source(found, contrast.parts, specials) for name, found in windows.items()}
        self._names = {source: [(heads[source], origin) for origin in origins[source]] for source in windows}
        self._rows: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for source, names in self._names.items():
            for row, name in enumerate(names):
                self._rows.setdefault(name, []).append((source, row))
        if not contrast.alone and not any(len({source for source, _ in rows}) > 1 for rows in self._rows.values()):
            message = f"contrast needs rows of one origin in two sources, and {', '.join(windows)} have none"
            fix = "Train the stage on originals and their translations at once, or leave contrast out of its recipe."
            raise UserError(message, "recipe: contrast", fix)

    def partners(self, source: str, window: int) -> list[tuple[str, int]]:
        """The windows that can be a window's partner, as (source, window)."""
        mine = self._sources[source]
        rows = self._rows[self._name(source, window)]
        if self.contrast.mucot:
            number = mine.number(window)
            found = [(other, self._sources[other].of_row(row)) for other, row in rows]
            return [(other, windows[number]) for other, windows in found if number < len(windows)]
        if not mine.usable[window]:
            return []
        found = [(other, mine.counterpart(window, self._sources[other], row)) for other, row in rows if other != source]
        found = [(other, partner) for other, partner in found if partner is not None]
        return found or ([(source, window)] if self.contrast.alone else [])

    def drawn(
        self, update: Sequence[tuple[str, int]], number: int, updates: int, key: Sequence[object]
    ) -> dict[int, tuple[str, int]]:
        """A partner for each window of update `number` that can have one, by its place; none where the loss is off."""
        if not self.contrast.is_on(number, updates):
            return {}
        generator = stream(*key, "pairs", number)
        choices = {place: found for place, window in enumerate(update) if (found := self.partners(*window))}
        return {place: found[generator.integers(len(found))] for place, found in choices.items()}

    def pairs(self, windows: Sequence[tuple[str, int]], partners: Sequence[tuple[str, int]], weight: float) -> Pairs:
        """The partners of a forward pass's windows; the summed loss of the pairs counts `weight`."""
        names = [self._name(*window) for window in windows]
        numbers = {name: number for number, name in enumerate(names)}
        groups = range(len(names)) if self.contrast.mucot else [numbers[name] for name in names]
        marks = [self._sources[source].marks(window) for source, window in [*windows, *partners]]
        return Pairs(
            collate([self._sources[source].windows for source, _ in partners], [window for _, window in partners]),
            torch.from_numpy(np.concatenate(marks)),
            torch.tensor(groups),
            self.contrast,
            weight,
        )

    def _name(self, source: str, window: int) -> tuple[str, str]:
        return self._names[source][self._sources[source].windows.rows[window]]


class _Source:
    """The windows of one source, which lie in the order of its rows, and which of their tokens are compared."""

    def __init__(self, windows: Windows, parts: str, specials: frozenset[int]):
        self.windows = windows
        self._compared = ~np.isin(windows.ids, list(specials))
        if parts != "both":
            in_context = windows.per_token["first"] >= 0
            self._compared &= in_context if parts == "context" else ~in_context
        self.usable = np.diff(np.concatenate([[0], np.cumsum(self._compared)])[windows.offsets]) > 0

    def marks(self, window: int) -> np.ndarray:
        """Which tokens of a window are compared."""
        return self._compared[slice(*self.windows.offsets[window : window + 2])]

    def of_row(self, row: int) -> range:
        """The windows of a row."""
        return range(*np.searchsorted(self.windows.rows, [row, row + 1]).tolist())

    def number(self, window: int) -> int:
        """Which of its row's windows it is, from 0."""
        return window - self.of_row(self.windows.rows[window]).start

    def counterpart(self, window: int, other: "_Source", row: int) -> int | None:
        """The window of a row of another source whose content is a window's; None where nothing can be compared.

        If both rows have windows with the whole answer, those go with each other. Among windows of a kind it is the one
        that overlaps most in its place in the row, of equals the one whose middle is nearer.
        """
        choices = [theirs for theirs in other.of_row(row) if other.usable[theirs]]
        if self._answers(window):
            choices = [theirs for theirs in choices if other._answers(theirs)] or choices
        if len(choices) < 2:
            return choices[0] if choices else None
        mine, whole = self._place(window), self._length(self.windows.rows[window])
        begin, end = (place * other._length(row) for place in mine)

        def fit(theirs: int) -> tuple[int, int]:
            # Places in rows of different lengths, on one scale, in whole numbers: equals must be equal.
            first, last = (place * whole for place in other._place(theirs))
            return min(end, last) - max(begin, first), -abs(begin + end - first - last)

        return max(choices, key=fit)

    def _answers(self, window: int) -> bool:
        return "start" in self.windows.per_window and self.windows.per_window["start"][window] > 0

    def _length(self, row: int) -> int:
        """Where the last window of a row ends, in the units of `_place`."""
        return self._place(self.of_row(row)[-1])[1]

    def _place(self, window: int) -> tuple[int, int]:
        """Where a window lies in its row: in characters of its context, or in tokens where there is none."""
        offset, end = self.windows.offsets[window : window + 2].tolist()
        if "context" not in self.windows.per_window:
            start = int(self.windows.offsets[self.of_row(self.windows.rows[window]).start])
            return offset - start, end - start
        first, last = (offset + int(self.windows.per_window[name][window]) for name in ("context", "context_end"))
        if first == last:
            return 0, 0
        return int(self.windows.per_token["first"][first]), int(self.windows.per_token["last"][last - 1])
