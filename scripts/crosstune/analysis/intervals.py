"""Confidence intervals of a mean over runs, Student's t distribution, and the power of its test."""

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from crosstune.analysis.cells import Replicate

CONFIDENCE = 0.95

# Steps of the numerical integral in a test's power.
GRID = 1000


@dataclass(frozen=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float


def interval(values: Mapping[Replicate, float], confidence: float = CONFIDENCE) -> Interval | None:
    """The confidence interval of the mean over runs; None below two seeds or, for folded data, below two folds.

    Without folds: mean ± t(S - 1) s / sqrt(S) over S seeds. With folds: runs that share a seed or a fold are
    correlated. Their variance is that of two-way clustering (Cameron, Gelbach & Miller 2011),
    V = V(seeds) + V(folds) - V(runs), where V(g) = s^2 of the means by g over their number. V is at least
    max(V(seeds), V(folds)), and t has min(seeds, folds) - 1 degrees of freedom.
    """
    if len(values) < 2:
        return None
    mean, runs = statistics.fmean(values.values()), statistics.variance(values.values()) / len(values)
    variance, freedom = runs, len(values) - 1
    if any(run.fold for run in values):
        clusters = [_group_means(values, field) for field in ("seed", "fold")]
        freedom = min(map(len, clusters)) - 1
        if freedom < 1:
            return None
        seeds, folds = (statistics.variance(means) / len(means) for means in clusters)
        variance = max(seeds + folds - runs, seeds, folds)
    half = student_quantile((1 + confidence) / 2, freedom) * math.sqrt(variance)
    return Interval(mean - half, mean + half)


def _group_means(values: Mapping[Replicate, float], field: str) -> list[float]:
    """The means of the runs that share a seed or a fold."""
    groups: dict[int, list[float]] = {}
    for run, value in values.items():
        groups.setdefault(getattr(run, field), []).append(value)
    return [statistics.fmean(group) for group in groups.values()]


@cache
def student_quantile(probability: float, freedom: float) -> float:
    """The quantile of Student's distribution with `freedom` degrees of freedom, for a probability in [0.5, 1)."""
    return _solve(lambda t: student_cdf(t, freedom), probability, 80)


def student_cdf(t: float, freedom: float) -> float:
    """P(T <= t) for any number of degrees of freedom above 0."""
    return student_tail(-t, freedom)


def student_tail(t: float, freedom: float) -> float:
    """P(T > t), accurate for small tails too.

    For t >= 0 it is I_x(freedom / 2, 1 / 2) / 2 at x = freedom / (freedom + t^2) (Abramowitz & Stegun 26.5.27, 26.7.1).
    """
    if math.isinf(t):
        return float(t < 0)
    half = incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t), t * t / (freedom + t * t)) / 2
    return half if t >= 0 else 1 - half


def incomplete_beta(a: float, b: float, x: float, y: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22).

    y is 1 - x; a separate argument avoids cancellation. The fraction converges fast for x < (a + 1) / (a + b + 2).
    """
    if x <= 0 or y <= 0:
        return float(y <= 0)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, y, x)
    scale = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(y))
    # From the innermost term outwards: 1 / (1 + d_1 / (1 + d_2 / (1 + ...))).
    tail = 1.0
    for m in range(30 + int(3 * math.sqrt(max(a, b))), 0, -1):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        tail = 1 + even / (1 + odd / tail)
    first = -(a + b) * x / (a + 1)
    return scale / a / (1 + first / tail)


@cache
def detectable_effect(freedom: float, confidence: float = CONFIDENCE, power: float = 0.8) -> float:
    """The true difference, in standard errors, that a two-sided t test detects with probability `power`."""
    return _solve(lambda difference: _power(difference, freedom, confidence), power, 50)


def _solve(function: Callable[[float], float], target: float, steps: int) -> float:
    """The argument above 0 at which an increasing function reaches `target`, by bisection."""
    low, high = 0.0, 1.0
    while function(high) < target:
        high *= 2
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < target else (low, middle)
    return (low + high) / 2


def _power(difference: float, freedom: float, confidence: float) -> float:
    """P(|T| > t) for T with noncentrality `difference`: the mean of a normal's tails over u = sqrt(chi^2 / freedom).

    The sum runs over an even grid of log u, whose density is proportional to u^freedom exp(-freedom u^2 / 2).
    """
    bound = student_quantile((1 + confidence) / 2, freedom)
    first, last = -40 / freedom - 9 / math.sqrt(freedom), math.log1p(80 / freedom) / 2
    total = power = 0.0
    for number in range(GRID + 1):
        x = first + (last - first) * number / GRID
        u = math.exp(x)
        weight = math.exp(freedom * (x - u * u / 2 + 0.5))
        total += weight
        power += weight * (normal_cdf(difference - bound * u) + normal_cdf(-difference - bound * u))
    return power / total


def normal_cdf(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2
