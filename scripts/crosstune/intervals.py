"""Intervals of a mean over runs that differ in seed, and perhaps in the split of the data.

Owns: the variance of such a mean, and the quantiles of Student's t. Must never know: what a number measures.
"""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a mean."""

    low: float
    high: float


def interval(values: Mapping[int | tuple[int, int], float], confidence: float = CONFIDENCE) -> Interval | None:
    """The interval of the mean of some runs, given by seed, or by (seed, split); None where it cannot be known.

    By seed: mean ± t(S - 1) s / sqrt(S). By seed and split: runs that share a seed or a split are alike, so that the
    variance is that of two-way clustering, V = V(seeds) + V(splits) - V(runs) with V(g) = s^2 of the means by g divided
    by their number (Cameron, Gelbach & Miller 2011), at least the larger of the first two; and t has as many degrees of
    freedom as the smaller of the two numbers less one.
    """
    if len(values) < 2:
        return None
    mean = statistics.fmean(values.values())
    if all(isinstance(run, tuple) for run in values):
        ways = [_means(values, place) for place in (0, 1)]
        if min(map(len, ways)) < 2:
            return None
        seeds, splits = (statistics.variance(means) / len(means) for means in ways)
        runs = statistics.variance(values.values()) / len(values)
        variance, freedom = max(seeds + splits - runs, seeds, splits), min(map(len, ways)) - 1
    else:
        variance, freedom = statistics.variance(values.values()) / len(values), len(values) - 1
    half = student_quantile((1 + confidence) / 2, freedom) * math.sqrt(variance)
    return Interval(mean - half, mean + half)


def _means(values: Mapping[tuple[int, int], float], place: int) -> list[float]:
    """The means of the runs that share a seed (place 0) or a split (place 1)."""
    groups: dict[int, list[float]] = {}
    for run, value in values.items():
        groups.setdefault(run[place], []).append(value)
    return [statistics.fmean(group) for group in groups.values()]


def student_quantile(probability: float, freedom: int) -> float:
    """The t below which Student's distribution with `freedom` degrees has this probability, in [0.5, 1)."""
    low, high = 0.0, 1.0
    while student_cdf(high, freedom) < probability:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if student_cdf(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def student_cdf(t: float, freedom: int) -> float:
    """P(T <= t) for t >= 0 and a whole number of degrees of freedom (Abramowitz & Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    # cos^k with the factors 2/3, 4/5 ... (odd) or 1/2, 3/4 ... (even); one degree has no term, only the angle.
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for k in range(1 if odd else 0, freedom - 1, 2):
        total += term
        term *= cosine**2 * (k + 1) / (k + 2)
    inside = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return (1 + inside) / 2
