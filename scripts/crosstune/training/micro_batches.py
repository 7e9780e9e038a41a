"""The forward passes of an update."""

from collections.abc import Sequence
from dataclasses import dataclass

from crosstune.core.packing import even_parts
from crosstune.core.random_streams import stream
from crosstune.modeling.batching import collate
from crosstune.modeling.contrastive import Pairing, Pairs
from crosstune.modeling.features import Batch, Windows
from crosstune.modeling.network import Network
from crosstune.modeling.tokenization import TextEncoder

# For each update the (source, window) pairs it trains on.
Plan = Sequence[Sequence[tuple[str, int]]]


@dataclass(frozen=True)
class Corpus:
    """Encoded sources by name, the head each is trained with, and the pairs among them where they are contrasted."""

    windows: dict[str, Windows]
    heads: dict[str, str]
    pairing: Pairing | None = None

    def length(self, source: str, window: int) -> int:
        """Tokens of a window."""
        return int(self.windows[source].offsets[window + 1] - self.windows[source].offsets[window])

    def batch(self, windows: Sequence[tuple[str, int]]) -> Batch:
        """(source, window) pairs of one head, laid end to end."""
        return collate([self.windows[source] for source, _ in windows], [window for _, window in windows])


@dataclass(frozen=True)
class Settings:
    """How to optimise. `key` is what random streams are derived from; a forward pass has up to `pass_tokens` tokens."""

    recipe: dict
    key: tuple
    precision: str
    pass_tokens: int
    save_seconds: float


@dataclass(frozen=True)
class Part:
    """A forward pass of an update: the head it is of, what its summed loss counts, partners to contrast it with."""

    head: str
    batch: Batch
    weight: float
    pairs: Pairs | None = None


def parts_of(
    number: int, plan: Plan, network: Network, encoder: TextEncoder, corpus: Corpus, settings: Settings
) -> list[Part]:
    """The forward passes of update `number`: each head's mean loss counts by its share of the windows.

    Windows that have a partner are in passes of their own, as many as are each other's negatives whatever their length:
    the loss must not depend on how rows are laid out. It counts by its mean over all pairs of the update.
    """
    update, pairing = plan[number], corpus.pairing
    masks = stream(*settings.key, "masks", number)
    partners = pairing.drawn(update, number, len(plan), settings.key) if pairing else {}
    parts = []
    for head in sorted({corpus.heads[source] for source, _ in update}):
        task = network.tasks[head]
        mine = [place for place, (source, _) in enumerate(update) if corpus.heads[source] == head]
        single, paired = ([place for place in mine if (place in partners) == wanted] for wanted in (False, True))
        lengths = [corpus.length(*update[place]) for place in single]
        cut = task.passes(lengths, settings.pass_tokens, not network.packed, settings.recipe)
        passes = [[update[single[i]] for i in part] for part in cut]
        batches = [task.perturb(corpus.batch(windows), encoder, masks, settings.recipe) for windows in passes]
        pairs: list[Pairs | None] = [None] * len(batches)
        for part in even_parts(len(paired), pairing.contrast.negatives) if paired else []:
            windows, others = zip(*((update[paired[i]], partners[paired[i]]) for i in part), strict=True)
            batches.append(task.perturb(corpus.batch(windows), encoder, masks, settings.recipe))
            pairs.append(pairing.pairs(windows, others, pairing.contrast.weight / len(partners)))
        units = max(1, sum(task.units(batch) for batch in batches))
        weight = len(mine) / len(update) / units
        parts += [Part(head, batch, weight, found) for batch, found in zip(batches, pairs, strict=True)]
    return parts
