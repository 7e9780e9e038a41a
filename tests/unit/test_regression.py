"""Least squares, its intervals and the rank correlation, by hand and against numpy."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crosstune.analysis.regression import (
    fit_line,
    group_interval,
    least_squares,
    point_interval,
    rank_correlation,
    ranks,
)

X, Y = [1.0, 2.0, 3.0, 4.0], [2.0, 3.0, 7.0, 8.0]
GROUPS = ["a", "a", "b", "c"]


# Not any number: points that are next to each other would have intervals without a middle.
SHARES = st.integers(0, 100).map(lambda percent: percent / 100)


def test_line_and_point_interval_by_hand():
    """Means 2.5 and 5; sum of squares 5, of products 4.5 + 1 + 1 + 4.5 = 11: slope 2.2, intercept -0.5."""
    assert least_squares(X, Y) == (pytest.approx(2.2), pytest.approx(-0.5))
    # Residuals 0.3, -0.9, 0.9, -0.3: squares 1.8, over 2 degrees 0.9, over 5: 0.18. t(2) = 4.302653.
    found = point_interval(X, Y)
    half = 4.302653 * math.sqrt(0.18)
    assert (found.low, found.high) == (pytest.approx(2.2 - half, abs=1e-5), pytest.approx(2.2 + half, abs=1e-5))


def test_group_interval_by_hand():
    """Without a: (3, 7), (4, 8), slope 1. Without b: x 1, 2, 4, y 2, 3, 8, slope 29/14. Without c: 2.5."""
    found = group_interval(X, Y, GROUPS)
    squares = (1 - 2.2) ** 2 + (29 / 14 - 2.2) ** 2 + (2.5 - 2.2) ** 2
    half = 4.302653 * math.sqrt(2 / 3 * squares)
    assert (found.low, found.high) == (pytest.approx(2.2 - half, abs=1e-5), pytest.approx(2.2 + half, abs=1e-5))


@given(
    st.lists(st.tuples(SHARES, st.floats(-100, 100), st.integers(0, 3)), min_size=3, max_size=30),
)
def test_the_line_is_that_of_numpy(points):
    x, y, groups = (list(column) for column in zip(*points, strict=True))
    assume(np.ptp(x) > 1e-3)
    design = np.column_stack([x, np.ones(len(x))])
    (slope, intercept), *_ = np.linalg.lstsq(design, np.array(y), rcond=None)
    line = fit_line(x, y, groups)
    assert line.slope == pytest.approx(slope, rel=1e-6, abs=1e-6)
    assert line.intercept == pytest.approx(intercept, rel=1e-6, abs=1e-6)
    assert (line.points, line.groups) == (len(points), len(set(groups)))
    # The middle of both intervals is the slope.
    for found in filter(None, (line.point_interval, line.group_interval)):
        assert (found.low + found.high) / 2 == pytest.approx(slope, rel=1e-6, abs=1e-6)


def test_languages_of_one_family_are_not_counted_as_independent():
    """Ten copies of every point in its group have the information of the points."""
    alone = group_interval([0.0, 1.0, 2.0], [0.0, 2.0, 1.0], ["a", "b", "c"])
    copied = group_interval([0.0, 1.0, 2.0] * 10, [0.0, 2.0, 1.0] * 10, ["a", "b", "c"] * 10)
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low)
    assert point_interval([0.0, 1.0, 2.0] * 10, [0.0, 2.0, 1.0] * 10).high < alone.high


def test_undetermined_numbers_are_none():
    assert fit_line([], [], []) is None
    assert fit_line([1.0], [2.0], ["a"]) is None
    assert fit_line([1.0, 1.0], [2.0, 3.0], ["a", "b"]) is None
    two = fit_line([1.0, 2.0], [2.0, 2.0], ["a", "b"])
    assert (two.point_interval, two.group_interval, two.rank_correlation) == (None, None, None)
    # Without group b all x are equal: the slope is undetermined.
    assert group_interval([1.0, 1.0, 2.0], [1.0, 2.0, 3.0], ["a", "c", "b"]) is None


def test_ranks_and_their_correlation_by_hand():
    assert ranks([30.0, 10.0, 30.0, 20.0]) == [3.5, 1, 3.5, 2]
    assert rank_correlation([1.0, 2.0, 3.0, 9.0], [1.0, 10.0, 100.0, 101.0]) == pytest.approx(1)
    assert rank_correlation([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]) == pytest.approx(-1)
    # Ranks 1, 2, 3, 4 and 1.5, 1.5, 3, 4: products of deviations 4.5, squares 5 and 4.5.
    assert rank_correlation(X, [5.0, 5.0, 6.0, 7.0]) == pytest.approx(4.5 / math.sqrt(5 * 4.5))


def test_line_and_correlation_are_those_of_scipy():
    """scipy 1.17.1: linregress(x, y), with 0.975 quantiles of t(4) times its stderr around the slope; spearmanr."""
    found = fit_line([0.1, 0.25, 0.3, 0.42, 0.55, 0.61], [8.0, 6.5, 7.1, 3.0, 4.2, 1.1], list("abcdef"))
    assert (found.slope, found.intercept) == (pytest.approx(-12.544896669975635), pytest.approx(9.645853262340944))
    ends = found.point_interval
    assert (ends.low, ends.high) == (pytest.approx(-20.7450050229388), pytest.approx(-4.344788317012473))
    found = rank_correlation([1.0, 2.0, 2.0, 4.0, 5.0, 7.0], [3.0, 1.0, 4.0, 4.0, 9.0, 2.0])
    assert found == pytest.approx(0.1911764705882353)
