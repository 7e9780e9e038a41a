"""The data of a training and its settings, and the cut of every update into micro-batches.

A micro-batch is one forward pass. Gradients accumulate over the micro-batches of an update.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crosstune.core.packing import split_evenly
from crosstune.core.random_streams import stream
from crosstune.modeling.batching import collate
from crosstune.modeling.contrastive import PartnerBatch, TranslationPairs
from crosstune.modeling.features import Batch, Windows
from crosstune.modeling.network import MultiHeadEncoder
from crosstune.modeling.tokenization import Tokenizer
from crosstune.training.optimizer import LrSpan

# The (source, window) pairs of each update.
BatchPlan = Sequence[Sequence[tuple[str, int]]]


@dataclass(frozen=True)
class TrainingData:
    """Windows by source, the head that trains on each source, and the translation pairs of a contrastive training."""

    windows: dict[str, Windows]
    heads: dict[str, str]
    pairs: TranslationPairs | None = None

    def length(self, source: str, window: int) -> int:
        """Tokens of a window."""
        return int(self.windows[source].offsets[window + 1] - self.windows[source].offsets[window])

    def batch(self, windows: Sequence[tuple[str, int]]) -> Batch:
        """The batch of (source, window) pairs of one head."""
        return collate([self.windows[source] for source, _ in windows], [window for _, window in windows])


@dataclass(frozen=True)
class TrainingSettings:
    """How to optimise: `key` seeds the random streams, a forward pass has up to `pass_tokens` tokens.

    `save_seconds`: the least time between two saved states. `lr_span`: the place in a learning-rate schedule over
    several stages; None if this training has its own.
    """

    recipe: dict
    key: tuple
    precision: str
    pass_tokens: int
    save_seconds: float
    lr_span: LrSpan | None = None


@dataclass(frozen=True)
class MicroBatch:
    """One forward pass under a head; `weight` is the factor of its summed loss, `partners` those of its windows."""

    head: str
    batch: Batch
    weight: float
    partners: PartnerBatch | None = None

    @property
    def tokens(self) -> int:
        """Tokens of the forward pass, partners included."""
        return len(self.batch.ids) + (len(self.partners.batch.ids) if self.partners is not None else 0)


@dataclass(frozen=True)
class MicroBatcher:
    """Makes the micro-batches of a plan's updates. Its random draws depend on settings and number alone."""

    network: MultiHeadEncoder
    tokenizer: Tokenizer
    data: TrainingData
    plan: BatchPlan
    settings: TrainingSettings

    def tokens(self, number: int) -> int:
        """Tokens of the windows of update `number`."""
        return sum(self.data.length(*window) for window in self.plan[number])

    def micro_batches(self, number: int) -> list[MicroBatch]:
        """The micro-batches of update `number` (from 0).

        The mean loss of each head has the weight of its share of the windows. The contrastive loss is the mean over all
        pairs of the update.
        """
        update, pairs = self.plan[number], self.data.pairs
        masks = stream(*self.settings.key, "masks", number)
        partners = pairs.draw_partners(update, number, len(self.plan), self.settings.key) if pairs else {}
        micro_batches = []
        for head in sorted({self.data.heads[source] for source, _ in update}):
            places = [place for place, (source, _) in enumerate(update) if self.data.heads[source] == head]
            micro_batches += self._of_head(head, places, update, partners, masks)
        return micro_batches

    def _of_head(
        self,
        head: str,
        places: Sequence[int],
        update: Sequence[tuple[str, int]],
        partners: dict[int, tuple[str, int]],
        masks: np.random.Generator,
    ) -> list[MicroBatch]:
        """The micro-batches of a head, from the places of its windows in the update.

        Windows with a partner are in forward passes of their own, of as many pairs as are each other's negatives,
        whatever their length: the loss must not depend on the layout of rows.
        """
        task, settings, pairs = self.network.tasks[head], self.settings, self.data.pairs
        single, paired = ([place for place in places if (place in partners) == has] for has in (False, True))
        lengths = [self.data.length(*update[place]) for place in single]
        cuts = task.passes(lengths, settings.pass_tokens, not self.network.packed, settings.recipe)
        passes = [[single[i] for i in cut] for cut in cuts]
        partner_batches: list[PartnerBatch | None] = [None] * len(passes)
        for cut in split_evenly(len(paired), pairs.config.negatives) if paired else []:
            passes.append([paired[i] for i in cut])
            windows, others = ([of[place] for place in passes[-1]] for of in (update, partners))
            partner_batches.append(pairs.partner_batch(windows, others, pairs.config.weight / len(partners)))
        batches = [self.data.batch([update[place] for place in own]) for own in passes]
        batches = [task.perturb(batch, self.tokenizer, masks, settings.recipe) for batch in batches]
        weight = len(places) / len(update) / max(1, sum(map(task.target_count, batches)))
        return [MicroBatch(head, batch, weight, own) for batch, own in zip(batches, partner_batches, strict=True)]
