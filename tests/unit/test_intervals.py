"""Intervals of means over runs, against hand-worked numbers and Student's table."""

import math

import pytest

from crosstune.analysis.intervals import detectable, interval, student_cdf, student_quantile, student_tail


@pytest.mark.parametrize(
    # 0.975 quantiles as printed in every table of Student's distribution.
    ("freedom", "t"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (9, 2.2622), (30, 2.0423), (100, 1.9840)],
)
def test_quantiles(freedom, t):
    assert student_quantile(0.975, freedom) == pytest.approx(t, abs=5e-5)
    assert student_cdf(t, freedom) == pytest.approx(0.975, abs=1e-5)


@pytest.mark.parametrize(
    # mpmath.betainc(v / 2, 1 / 2, 0, v / (v + t^2), regularized=True) / 2, and its root at 0.025; scipy 1.17.1's
    # stats.t.ppf(0.975, v) agrees.
    ("freedom", "t", "beyond_nine"),
    [
        (0.7, 36.61141503158869, 0.06663888032183548),
        (1.47, 6.191675593598055, 0.01457597497994650),
        (2.5, 3.574654842003683, 0.002873953091804028),
        (7.3, 2.345066736547704, 1.649681090789265e-5),
        (41.9, 2.018224405439076, 1.207913271402421e-11),
        (1999, 1.961151420170562, 2.559306917341205e-19),
    ],
)
def test_any_number_of_degrees(freedom, t, beyond_nine):
    assert student_quantile(0.975, freedom) == pytest.approx(t, rel=1e-9)
    assert student_tail(9, freedom) == pytest.approx(beyond_nine, rel=1e-8)
    assert student_tail(-9, freedom) == pytest.approx(1 - beyond_nine)
    assert (student_tail(0, freedom), student_tail(math.inf, freedom)) == (0.5, 0.0)


@pytest.mark.parametrize(
    # Where mpmath's integral of the normal tails over the chi density is 0.8. The second is sqrt(5) times what
    # statsmodels' TTestPower().solve_power(nobs=5, alpha=0.05, power=0.8) says.
    ("freedom", "confidence", "errors"),
    [(2, 0.95, 5.653489266), (4, 0.95, 3.761059554), (9, 0.95, 3.149632886), (5, 0.99, 5.166827551)],
)
def test_what_is_found_in_four_of_five_cases(freedom, confidence, errors):
    assert detectable(freedom, confidence) == pytest.approx(errors, rel=1e-6)


def test_over_seeds():
    found = interval({1: 1.0, 2: 2.0, 3: 6.0})  # mean 3, s^2 = (4 + 1 + 9) / 2 = 7, standard error sqrt(7 / 3)
    half = 4.302653 * math.sqrt(7 / 3)
    assert (found.low, found.high) == (pytest.approx(3 - half, abs=1e-5), pytest.approx(3 + half, abs=1e-5))


def test_over_seeds_and_splits():
    values = {(1, 1): 1.0, (1, 2): 4.0, (2, 1): 2.0, (2, 2): 9.0}
    # Means by seed 2.5 and 5.5: s^2 = 4.5, by two 2.25. By split 1.5 and 6.5: 12.5, by two 6.25. Runs: mean 4,
    # s^2 = (9 + 0 + 4 + 25) / 3, by four 19/6. One degree of freedom.
    variance = 2.25 + 6.25 - 19 / 6
    half = 12.706205 * math.sqrt(max(variance, 6.25))
    found = interval(values)
    assert (found.low, found.high) == (pytest.approx(4 - half, abs=1e-4), pytest.approx(4 + half, abs=1e-4))


def test_runs_that_share_a_seed_are_not_counted_as_independent():
    """Ten splits that all give the seed's number tell no more than the two seeds."""
    alone = interval({1: 1.0, 2: 2.0})
    many = interval({(seed, split): float(seed) for seed in (1, 2) for split in range(10)})
    assert many.high - many.low >= alone.high - alone.low


@pytest.mark.parametrize("values", [{}, {1: 2.0}, {(1, 1): 2.0}, {(1, 1): 2.0, (1, 2): 3.0}])
def test_nothing_is_known_of_one_seed(values):
    assert interval(values) is None


def test_seeds_and_splits_against_statsmodels():
    """statsmodels 0.15.0: OLS(y, ones).fit(cov_type="cluster", cov_kwds={"groups": runs, "use_correction": True}).bse;
    there, as here, neither way alone has a larger variance."""
    values = {(1, 1): 1.0, (1, 2): 6.0, (2, 1): 4.5, (2, 2): 9.0, (3, 1): 7.0, (3, 2): 12.0}
    found = interval(values)
    assert found.high - found.low == pytest.approx(2 * student_quantile(0.975, 1) * 2.544329206512223)
