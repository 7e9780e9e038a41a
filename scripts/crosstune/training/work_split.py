"""The micro-batches of an update, split among several processes.

Each process first makes the micro-batches of the whole update, masks and partners included, and then takes its share.
So the windows of an update, their weights and these draws do not depend on the number of processes. Dropout does.
"""

from collections.abc import Sequence
from dataclasses import replace

from crosstune.modeling.batching import concat_batches, split_batch
from crosstune.modeling.network import MultiHeadEncoder
from crosstune.training.distributed import Ranks
from crosstune.training.micro_batches import MicroBatch, TrainingSettings


def split_work(
    micro_batches: Sequence[MicroBatch], ranks: Ranks, network: MultiHeadEncoder, settings: TrainingSettings
) -> Sequence[MicroBatch]:
    """This process's share of an update. The shares of all processes contain each window of the update once.

    Each window goes to the process with the fewest tokens, long windows first. Windows that are each other's negatives
    stay in one pass, so an update can have fewer pieces than processes. All processes take part in the sum of
    gradients, so a process without any has a micro-batch of weight 0; with a sharded model all have equally many.
    """
    if ranks.size == 1:
        return micro_batches
    pieces = [piece for micro_batch in micro_batches for piece in _pieces(micro_batch, network)]
    loads, places = [0] * ranks.size, [[] for _ in range(ranks.size)]
    for place in sorted(range(len(pieces)), key=lambda place: (-pieces[place].tokens, place)):
        rank = loads.index(min(loads))
        loads[rank] += pieces[place].tokens
        places[rank].append(place)
    shares = {
        rank: _merge([pieces[place] for place in sorted(places[rank])], network, settings)
        for rank in (range(ranks.size) if ranks.sharded else [ranks.rank])
    }
    own = shares[ranks.rank]
    count = max(map(len, shares.values())) if ranks.sharded else 1
    return own + [_empty_micro_batch(micro_batches) for _ in range(count - len(own))]


def _empty_micro_batch(micro_batches: Sequence[MicroBatch]) -> MicroBatch:
    """A short forward pass of weight 0."""
    batches = ((batch, whole) for whole in micro_batches for batch in split_batch(whole.batch))
    batch, whole = min(batches, key=lambda pair: len(pair[0].ids))
    return replace(whole, batch=batch, partners=None, weight=0.0)


def _is_indivisible(micro_batch: MicroBatch, network: MultiHeadEncoder) -> bool:
    """Whether the windows of a micro-batch are each other's negatives."""
    return micro_batch.partners is not None or network.tasks[micro_batch.head].in_batch_negatives


def _pieces(micro_batch: MicroBatch, network: MultiHeadEncoder) -> list[MicroBatch]:
    """The smallest parts whose losses add up to that of a micro-batch."""
    if _is_indivisible(micro_batch, network):
        return [micro_batch]
    return [replace(micro_batch, batch=batch) for batch in split_batch(micro_batch.batch)]


def _merge(pieces: Sequence[MicroBatch], network: MultiHeadEncoder, settings: TrainingSettings) -> list[MicroBatch]:
    """The pieces as micro-batches: the single windows of each head, which have one weight, cut as for one process."""
    merged = [piece for piece in pieces if _is_indivisible(piece, network)]
    single = [piece for piece in pieces if not _is_indivisible(piece, network)]
    for head in sorted({piece.head for piece in single}):
        own = [piece for piece in single if piece.head == head]
        lengths = [piece.tokens for piece in own]
        cuts = network.tasks[head].passes(lengths, settings.pass_tokens, not network.packed, settings.recipe)
        merged += [replace(own[0], batch=concat_batches([own[place].batch for place in cut])) for cut in cuts]
    return merged
