"""Ranks of schedules by their mean score, with simultaneous confidence intervals.

A schedule is surely better than another if the confidence interval of their paired difference excludes 0, at a level
that Bonferroni's correction divides over all pairs. With S schedules, the rank is at least 1 + the number of surely
better ones, and at most S - the number of surely worse ones. All such intervals hold together with the given
confidence (Mogstad, Romano, Shaikh & Wilhelm 2024, Inference for ranks).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from crosstune.analysis.cells import Cell
from crosstune.analysis.intervals import CONFIDENCE, interval


@dataclass(frozen=True)
class Rank:
    """The rank of a schedule, 1 for the highest mean, and its interval. Equal means share the better rank."""

    rank: int
    low: int
    high: int


def rank_schedules(cells: Mapping[str, Cell], confidence: float = CONFIDENCE) -> dict[str, Rank]:
    """The ranks of all schedules with a mean. A pair without an interval decides nothing: it needs two seeds."""
    scored = {name: cell for name, cell in cells.items() if cell.mean is not None}
    better = dict.fromkeys(scored, 0)
    worse = dict.fromkeys(scored, 0)
    pairs = list(combinations(scored, 2))
    for one, other in pairs:
        difference = scored[one].difference(scored[other])
        ends = interval(difference.values, 1 - (1 - confidence) / len(pairs), difference.resolution)
        if ends and not ends.low <= 0 <= ends.high:
            above, below = (one, other) if ends.low > 0 else (other, one)
            worse[above] += 1
            better[below] += 1
    return {
        name: Rank(
            1 + sum(other.mean > cell.mean for other in scored.values()),
            1 + better[name],
            len(scored) - worse[name],
        )
        for name, cell in scored.items()
    }
