"""An update's forward passes, shared out among several processes.

Owns: who computes what. Must never know: how processes talk, how a pass is computed.

The passes are made as for one process, masks and partners included, and then shared out: the windows of an update, what
each counts and what is drawn for it do not depend on how many processes there are.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from crosstune.modeling.batching import apart, together

if TYPE_CHECKING:
    from crosstune.modeling.network import Network
    from crosstune.training.micro_batches import Part, Settings


def share(parts: Sequence["Part"], rank: int, size: int, network: "Network", settings: "Settings") -> list["Part"]:
    """What process `rank` of `size` computes of an update. The shares of all are the update, each window once.

    The longest first, each to the process that has the fewest tokens. Windows that need each other stay in one pass, so
    an update can have fewer pieces than there are processes. A process without any gets one that counts nothing: all of
    them take part when gradients are summed.
    """
    return _share(parts, rank, size, network, settings) or [_idle(parts)]


def even_share(parts: Sequence["Part"], rank: int, size: int, network: "Network", settings: "Settings") -> list["Part"]:
    """Likewise, with as many passes for every process; those that one has too few count nothing."""
    shares = [_share(parts, each, size, network, settings) for each in range(size)]
    wanted = max(map(len, shares))
    return shares[rank] + [_idle(parts) for _ in range(wanted - len(shares[rank]))]


def _share(parts: Sequence["Part"], rank: int, size: int, network: "Network", settings: "Settings") -> list["Part"]:
    pieces = [piece for part in parts for piece in _pieces(part, network)]
    loads, mine = [0] * size, []
    for place in sorted(range(len(pieces)), key=lambda place: (-_tokens(pieces[place]), place)):
        chosen = loads.index(min(loads))
        loads[chosen] += _tokens(pieces[place])
        if chosen == rank:
            mine.append(place)
    return _joined([pieces[place] for place in sorted(mine)], network, settings)


def _idle(parts: Sequence["Part"]) -> "Part":
    """A short pass that counts nothing."""
    batches = ((batch, part) for part in parts for batch in apart(part.batch))
    batch, part = min(batches, key=lambda found: len(found[0].ids))
    return replace(part, batch=batch, pairs=None, weight=0.0)


def _is_whole(part: "Part", network: "Network") -> bool:
    """Whether the windows of a part need each other."""
    return part.pairs is not None or network.tasks[part.head].mutual


def _pieces(part: "Part", network: "Network") -> list["Part"]:
    """The smallest parts that a part's loss is a sum over."""
    return [part] if _is_whole(part, network) else [replace(part, batch=batch) for batch in apart(part.batch)]


def _joined(pieces: Sequence["Part"], network: "Network", settings: "Settings") -> list["Part"]:
    """The single windows of a head in forward passes, cut as for one process; all of them count the same."""
    joined = [piece for piece in pieces if _is_whole(piece, network)]
    single = [piece for piece in pieces if not _is_whole(piece, network)]
    for head in sorted({piece.head for piece in single}):
        mine = [piece for piece in single if piece.head == head]
        lengths = [_tokens(piece) for piece in mine]
        cut = network.tasks[head].passes(lengths, settings.pass_tokens, not network.packed, settings.recipe)
        joined += [replace(mine[0], batch=together([mine[place].batch for place in places])) for places in cut]
    return joined


def _tokens(part: "Part") -> int:
    return len(part.batch.ids) + (len(part.pairs.partners.ids) if part.pairs is not None else 0)
