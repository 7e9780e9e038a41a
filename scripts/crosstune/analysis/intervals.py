"""Intervals of a mean over runs that differ in seed, and perhaps in the split of the data.

Owns: the variance of such a mean, the distribution of Student's t, the power of its test. Must never know: what a
number measures.
"""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

CONFIDENCE = 0.95

GRID = 1000

"""Steps of the numerical integral behind a test's power."""


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


@cache
def student_quantile(probability: float, freedom: float) -> float:
    """The t below which Student's distribution with `freedom` degrees has this probability, in [0.5, 1)."""
    low, high = 0.0, 1.0
    while student_cdf(high, freedom) < probability:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if student_cdf(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def student_cdf(t: float, freedom: float) -> float:
    """P(T <= t) for any number of degrees of freedom above 0."""
    return student_tail(-t, freedom)


def student_tail(t: float, freedom: float) -> float:
    """P(T > t), exact where it is small too: half of I_x(freedom / 2, 1 / 2) at x = freedom / (freedom + t^2), t >= 0.

    Abramowitz & Stegun 26.5.27 and 26.7.1.
    """
    if math.isinf(t):
        return float(t < 0)
    half = incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t), t * t / (freedom + t * t)) / 2
    return half if t >= 0 else 1 - half


def incomplete_beta(a: float, b: float, x: float, y: float) -> float:
    """The regularised incomplete beta function I_x(a, b); y is 1 - x, given apart so that nothing cancels.

    By its continued fraction (DLMF 8.17.22), which converges fast for x below (a + 1) / (a + b + 2).
    """
    if x <= 0 or y <= 0:
        return float(y <= 0)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, y, x)
    scale = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(y))
    # Evaluated from its end: 1 / (1 + d_1 / (1 + d_2 / (1 + ...))).
    tail = 1.0
    for m in range(30 + int(3 * math.sqrt(max(a, b))), 0, -1):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        tail = 1 + even / (1 + odd / tail)
    first = -(a + b) * x / (a + 1)
    return scale / a / (1 + first / tail)


@cache
def detectable(freedom: float, confidence: float = CONFIDENCE, power: float = 0.8) -> float:
    """The true difference, in standard errors, that a two-sided t test finds with probability `power`."""
    low, high = 0.0, 1.0
    while _power(high, freedom, confidence) < power:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _power(middle, freedom, confidence) < power else (low, middle)
    return (low + high) / 2


def _power(difference: float, freedom: float, confidence: float) -> float:
    """P(|T| > t) where T has the noncentrality `difference`: the mean over u = sqrt(chi^2 / freedom) of a normal's
    tails.

    The density of log u is proportional to u^freedom exp(-freedom u^2 / 2); it is summed on an even grid.
    """
    bound = student_quantile((1 + confidence) / 2, freedom)
    first, last = -40 / freedom - 9 / math.sqrt(freedom), math.log1p(80 / freedom) / 2
    total = found = 0.0
    for number in range(GRID + 1):
        x = first + (last - first) * number / GRID
        u = math.exp(x)
        weight = math.exp(freedom * (x - u * u / 2 + 0.5))
        total += weight
        found += weight * (normal_cdf(difference - bound * u) + normal_cdf(-difference - bound * u))
    return found / total


def normal_cdf(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2
