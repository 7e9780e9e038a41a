"""A straight line through points that come in groups, and how sure its slope is.

Owns: ordinary least squares with one regressor, two intervals of the slope, rank correlation. Must never know: what the
points are.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import fmean

from crosstune.analysis.intervals import CONFIDENCE, Interval, student_quantile


@dataclass(frozen=True)
class Line:
    """y = intercept + slope x by least squares; intervals of the slope where they can be known.

    over_points: as if every point were drawn by itself. over_groups: as if groups of points were.
    rank_correlation: Spearman's, None where all y are equal.
    """

    slope: float
    intercept: float
    over_points: Interval | None
    over_groups: Interval | None
    rank_correlation: float | None
    points: int
    groups: int


def fit(x: Sequence[float], y: Sequence[float], groups: Sequence[Hashable]) -> Line | None:
    """The line through the points (x, y), each of which belongs to a group; None where all x are equal."""
    found = least_squares(x, y)
    if found is None:
        return None
    slope, intercept = found
    return Line(
        slope,
        intercept,
        over_points(x, y),
        over_groups(x, y, groups),
        rank_correlation(x, y),
        len(x),
        len(set(groups)),
    )


def least_squares(x: Sequence[float], y: Sequence[float]) -> tuple[float, float] | None:
    """Slope and intercept; None where they are not determined."""
    if len(x) < 2 or max(x) == min(x):
        return None
    x_mean, y_mean = fmean(x), fmean(y)
    spread = math.fsum((a - x_mean) ** 2 for a in x)
    slope = math.fsum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True)) / spread
    return slope, y_mean - slope * x_mean


def over_points(x: Sequence[float], y: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """slope ± t(n - 2) s / sqrt(sum of (x - mean)^2), s^2 the residuals' sum of squares over n - 2.

    None below 3 points.
    """
    found = least_squares(x, y)
    if found is None or len(x) < 3:
        return None
    slope, intercept = found
    x_mean = fmean(x)
    residuals = math.fsum((b - intercept - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    error = math.sqrt(residuals / (len(x) - 2) / math.fsum((a - x_mean) ** 2 for a in x))
    return _around(slope, error, len(x) - 2, confidence)


def over_groups(
    x: Sequence[float], y: Sequence[float], groups: Sequence[Hashable], confidence: float = CONFIDENCE
) -> Interval | None:
    """The interval where points of one group are alike: slope ± t(G - 1) times the error of the jackknife over groups.

    error^2 = (G - 1) / G * sum over groups of (slope without the group - slope)^2, the CV3 estimator of MacKinnon,
    Nielsen & Webb 2023. None below 3 groups, and where the slope hangs on one group.
    """
    found = least_squares(x, y)
    names = list(dict.fromkeys(groups))
    if found is None or len(names) < 3:
        return None
    without = []
    for name in names:
        kept = [(a, b) for a, b, group in zip(x, y, groups, strict=True) if group != name]
        without.append(least_squares(*zip(*kept, strict=True)) if kept else None)
    if None in without:
        return None
    squares = math.fsum((slope - found[0]) ** 2 for slope, _ in without)
    return _around(found[0], math.sqrt((len(names) - 1) / len(names) * squares), len(names) - 1, confidence)


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's: Pearson's correlation of the ranks, equal values sharing the mean of theirs."""
    a, b = ranks(x), ranks(y)
    if len(a) < 2 or max(a) == min(a) or max(b) == min(b):
        return None
    a_mean, b_mean = fmean(a), fmean(b)
    products = math.fsum((p - a_mean) * (q - b_mean) for p, q in zip(a, b, strict=True))
    squares = math.fsum((p - a_mean) ** 2 for p in a) * math.fsum((q - b_mean) ** 2 for q in b)
    return products / math.sqrt(squares)


def ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values have the mean of their ranks."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2 for value in values
    ]


def _around(middle: float, error: float, freedom: int, confidence: float) -> Interval:
    half = student_quantile((1 + confidence) / 2, freedom) * error
    return Interval(middle - half, middle + half)
