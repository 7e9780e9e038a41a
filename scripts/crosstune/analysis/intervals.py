"""Confidence intervals of a mean over runs, Student's t distribution, and the power of its test."""

import math
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from crosstune.analysis.cells import Replicate

CONFIDENCE = 0.95

# Steps of the numerical integral in a test's power, and the most of a search for a root.
GRID, STEPS = 1000, 100


@dataclass(frozen=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float


def interval(
    values: Mapping[Replicate, float], confidence: float = CONFIDENCE, resolution: float = 0.0
) -> Interval | None:
    """The confidence interval of the mean over runs; None below two seeds or, for folded data, below two folds.

    Without folds: mean ± t(S - 1) s / sqrt(S) over S seeds. With folds: runs that share a seed or a fold are
    correlated. Their variance is that of two-way clustering (Cameron, Gelbach & Miller 2011),
    V = V(seeds) + V(folds) - V(runs), where V(g) = s^2 of the means by g over their number. V is at least
    max(V(seeds), V(folds)), and t has min(seeds, folds) - 1 degrees of freedom. `resolution` is the least standard
    deviation of a run's number (see Cell).
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
    variance = max(variance, resolution**2 / len(values))
    half = student_quantile((1 + confidence) / 2, freedom) * math.sqrt(variance)
    return Interval(mean - half, mean + half)


def _group_means(values: Mapping[Replicate, float], field: str) -> list[float]:
    """The means of the runs that share a seed or a fold."""
    groups: dict[int, list[float]] = {}
    for run, value in values.items():
        groups.setdefault(getattr(run, field), []).append(value)
    return [statistics.fmean(group) for group in groups.values()]


def student_quantile(probability: float, freedom: float) -> float:
    """The quantile of Student's distribution with `freedom` degrees of freedom, for a probability in [0.5, 1)."""
    return student_tail_quantile(1 - probability, freedom)


@cache
def student_tail_quantile(tail: float, freedom: float) -> float:
    """The t with P(T > t) = `tail`, for a tail in (0, 0.5]."""
    if tail == 0.5:
        return 0.0

    def depth(x: float) -> float:
        """The logarithm of 1 / P(T > exp(x)), as far as P is no 0."""
        return -math.log(max(student_tail(math.exp(x), freedom), sys.float_info.min))

    return math.exp(solve(depth, -math.log(tail), (-2.0, 2.0)))


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
    """The true difference, in estimated standard errors, that studies of a design detect with probability `power`.

    The estimate is itself uncertain: this is the mean of the power over all estimates that the design may have given
    (O'Hagan, Stevens & Campbell 2005 call it assurance). It counts significant differences of the right sign.
    """
    return math.exp(solve(lambda x: _power(math.exp(x), freedom, confidence), power, (0.0, 3.0)))


def seeds_to_detect(deviation: float, difference: float, confidence: float = CONFIDENCE, power: float = 0.8) -> int:
    """The smallest number of seeds with which a paired t-test detects a true `difference` with probability `power`.

    `deviation`: the standard deviation of one seed's difference, in the same unit, taken for the true one. The usual
    approximation by central t (Chow, Shao & Wang 2008, section 3.2): n >= ((t_1-alpha/2 + t_power) deviation /
    difference)^2, each t with n - 1 degrees of freedom.
    """

    def enough(seeds: int) -> bool:
        quantiles = student_quantile((1 + confidence) / 2, seeds - 1) + student_quantile(power, seeds - 1)
        return seeds >= (quantiles * deviation / difference) ** 2

    high = 2
    while not enough(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def solve(function: Callable[[float], float], target: float, bracket: tuple[float, float]) -> float:
    """The argument at which an increasing function reaches `target`, by the Illinois method from a first bracket.

    The bracket grows until it contains the argument. The method halves a bound's weight if it stays twice (Dowell &
    Jarratt 1971).
    """
    low, high = bracket
    while (below := function(low) - target) > 0:
        low -= high - low
    while (above := function(high) - target) < 0:
        high += high - low
    last = 0.0
    for _ in range(STEPS):
        middle = high - above * (high - low) / (above - below) if above > below else high
        rest = function(middle) - target
        if abs(rest) <= 1e-14 * abs(target) or not low < middle < high:
            return middle
        if rest > 0:
            high, above, below = middle, rest, below / 2 if last > 0 else below
        else:
            low, below, above = middle, rest, above / 2 if last < 0 else above
        last = rest
    return (low + high) / 2


def _power(difference: float, freedom: float, confidence: float) -> float:
    """P(Z + difference U > t U') for normal Z and the estimated errors U, of this study, and U', of another one.

    In polar coordinates of U and U' the radius is that of Student's t with 2 freedom degrees of freedom. The density of
    the angle is proportional to (sin cos)^(freedom - 1); the sum runs over an even grid of logit(sin^2).
    """
    bound = student_quantile((1 + confidence) / 2, freedom)
    last = 80 / freedom + 9 / math.sqrt(freedom)
    total = power = 0.0
    for number in range(GRID + 1):
        square = 1 / (1 + math.exp(last * (1 - 2 * number / GRID)))
        weight = (square * (1 - square)) ** (freedom / 2)
        above = bound * math.sqrt(square) - difference * math.sqrt(1 - square)
        total += weight
        power += weight * student_tail(math.sqrt(2) * above, 2 * freedom)
    return power / total
