"""The micro-batches of an update, split among several processes.

Each process first makes the micro-batches of the whole update, masks and partners included, and then takes its share.
So the windows of an update, their weights and all random draws do not depend on the number of processes.
"""

from collections.abc import Sequence
from dataclasses import replace

from crosstune.modeling.batching import concat_batches, split_batch
from crosstune.modeling.network import MultiHeadEncoder
from crosstune.training.micro_batches import MicroBatch, TrainingSettings


def split_work(
    micro_batches: Sequence[MicroBatch], rank: int, size: int, network: MultiHeadEncoder, settings: TrainingSettings
) -> list[MicroBatch]:
    """The share of process `rank` of `size`. The shares of all processes contain each window of the update once.

    Each window goes to the process with the fewest tokens, long windows first. Windows that are each other's negatives
    stay in one pass, so an update can have fewer pieces than processes. A process without any gets one of weight 0: all
    processes take part in the sum of gradients.
    """
    return _share(micro_batches, rank, size, network, settings) or [_empty_micro_batch(micro_batches)]


def split_work_evenly(
    micro_batches: Sequence[MicroBatch], rank: int, size: int, network: MultiHeadEncoder, settings: TrainingSettings
) -> list[MicroBatch]:
    """The share of `split_work`, filled with micro-batches of weight 0 until all processes have equally many."""
    shares = [_share(micro_batches, each, size, network, settings) for each in range(size)]
    missing = max(map(len, shares)) - len(shares[rank])
    return shares[rank] + [_empty_micro_batch(micro_batches) for _ in range(missing)]


def _share(
    micro_batches: Sequence[MicroBatch], rank: int, size: int, network: MultiHeadEncoder, settings: TrainingSettings
) -> list[MicroBatch]:
    pieces = [piece for micro_batch in micro_batches for piece in _pieces(micro_batch, network)]
    loads, own = [0] * size, []
    for place in sorted(range(len(pieces)), key=lambda place: (-pieces[place].tokens, place)):
        chosen = loads.index(min(loads))
        loads[chosen] += pieces[place].tokens
        if chosen == rank:
            own.append(place)
    return _merge([pieces[place] for place in sorted(own)], network, settings)


def _empty_micro_batch(micro_batches: Sequence[MicroBatch]) -> MicroBatch:
    """A short forward pass of weight 0."""
    batches = ((batch, whole) for whole in micro_batches for batch in split_batch(whole.batch))
    batch, whole = min(batches, key=lambda found: len(found[0].ids))
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
