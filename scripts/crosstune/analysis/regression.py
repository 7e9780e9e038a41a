"""Least squares with one regressor on grouped points: two intervals of the slope, and rank correlation."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import fmean

from crosstune.analysis.intervals import CONFIDENCE, Interval, student_quantile


@dataclass(frozen=True)
class LinearFit:
    """y = intercept + slope x by least squares.

    point_interval: of the slope, for independent points. group_interval: for points correlated within groups.
    rank_correlation: Spearman's, None if all y are equal.
    """

    slope: float
    intercept: float
    point_interval: Interval | None
    group_interval: Interval | None
    rank_correlation: float | None
    points: int
    groups: int


def fit_line(x: Sequence[float], y: Sequence[float], groups: Sequence[Hashable]) -> LinearFit | None:
    """The line through the points (x, y) of some groups; None if all x are equal."""
    line = least_squares(x, y)
    if line is None:
        return None
    return LinearFit(
        *line,
        point_interval(x, y),
        group_interval(x, y, groups),
        rank_correlation(x, y),
        len(x),
        len(set(groups)),
    )


def least_squares(x: Sequence[float], y: Sequence[float]) -> tuple[float, float] | None:
    """Slope and intercept; None if they are not determined."""
    if len(x) < 2 or max(x) == min(x):
        return None
    x_mean, y_mean = fmean(x), fmean(y)
    spread = math.fsum((a - x_mean) ** 2 for a in x)
    slope = math.fsum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True)) / spread
    return slope, y_mean - slope * x_mean


def point_interval(x: Sequence[float], y: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """slope ± t(n - 2) s / sqrt(sum of (x - mean)^2), s^2 = residual sum of squares / (n - 2); None below 3 points."""
    line = least_squares(x, y)
    if line is None or len(x) < 3:
        return None
    slope, intercept = line
    x_mean = fmean(x)
    residuals = math.fsum((b - intercept - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    error = math.sqrt(residuals / (len(x) - 2) / math.fsum((a - x_mean) ** 2 for a in x))
    return _around(slope, error, len(x) - 2, confidence)


def group_interval(
    x: Sequence[float], y: Sequence[float], groups: Sequence[Hashable], confidence: float = CONFIDENCE
) -> Interval | None:
    """The cluster-robust interval of the slope: slope ± t(G - 1) error, with the jackknife over G groups.

    error^2 = (G - 1) / G * sum over groups of (slope without the group - slope)^2, the CV3 estimator of MacKinnon,
    Nielsen & Webb (2023). None below 3 groups, or if the slope is undetermined without one of them.
    """
    line = least_squares(x, y)
    names = list(dict.fromkeys(groups))
    if line is None or len(names) < 3:
        return None
    leave_one_out = []
    for name in names:
        rest = [(a, b) for a, b, group in zip(x, y, groups, strict=True) if group != name]
        leave_one_out.append(least_squares(*zip(*rest, strict=True)) if rest else None)
    if None in leave_one_out:
        return None
    squares = math.fsum((slope - line[0]) ** 2 for slope, _ in leave_one_out)
    return _around(line[0], math.sqrt((len(names) - 1) / len(names) * squares), len(names) - 1, confidence)


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's rank correlation, with mean ranks for ties; None if it is undefined."""
    a, b = ranks(x), ranks(y)
    if len(a) < 2 or max(a) == min(a) or max(b) == min(b):
        return None
    a_mean, b_mean = fmean(a), fmean(b)
    products = math.fsum((p - a_mean) * (q - b_mean) for p, q in zip(a, b, strict=True))
    squares = math.fsum((p - a_mean) ** 2 for p in a) * math.fsum((q - b_mean) ** 2 for q in b)
    return products / math.sqrt(squares)


def ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1, mean ranks for ties."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2 for value in values
    ]


def _around(middle: float, error: float, freedom: int, confidence: float) -> Interval:
    half = student_quantile((1 + confidence) / 2, freedom) * error
    return Interval(middle - half, middle + half)
