"""Intervals of means over runs, against hand-worked numbers and Student's table."""

import math

import numpy as np
import pytest
from helpers.study_results import by_seed

from crosstune.analysis.cells import Replicate
from crosstune.analysis.intervals import (
    detectable_effect,
    interval,
    seeds_to_detect,
    student_cdf,
    student_quantile,
    student_tail,
    student_tail_quantile,
)


@pytest.mark.parametrize(
    # 0.975 quantiles as printed in every table of Student's distribution.
    ("freedom", "t"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (9, 2.2622), (30, 2.0423), (100, 1.9840)],
)
def test_quantiles_are_those_of_the_table(freedom, t):
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
def test_tails_are_exact_for_any_degrees_of_freedom(freedom, t, beyond_nine):
    assert student_quantile(0.975, freedom) == pytest.approx(t, rel=1e-9)
    assert student_tail(9, freedom) == pytest.approx(beyond_nine, rel=1e-8)
    assert student_tail(-9, freedom) == pytest.approx(1 - beyond_nine)
    assert (student_tail(0, freedom), student_tail(math.inf, freedom)) == (0.5, 0.0)
    for tail in (0.5, 0.4, 1e-3, 1e-12):
        assert student_tail(student_tail_quantile(tail, freedom), freedom) == pytest.approx(tail, rel=1e-9)


@pytest.mark.parametrize(("freedom", "confidence"), [(1, 0.95), (2, 0.95), (4, 0.95), (9, 0.95), (5, 0.99)])
def test_the_detectable_effect_has_80_percent_power(freedom, confidence):
    """Of pairs of studies: the first one's error and `detectable_effect` give the true difference of the second."""
    rng, studies = np.random.default_rng(1), 200_000
    first, second = (np.sqrt(rng.chisquare(freedom, studies) / freedom) for _ in range(2))
    difference = rng.standard_normal(studies) + detectable_effect(freedom, confidence) * first
    found = difference > student_quantile((1 + confidence) / 2, freedom) * second
    assert found.mean() == pytest.approx(0.8, abs=0.004)


def test_equal_runs_have_the_error_that_their_examples_resolve():
    found = interval(by_seed({1: 2.0, 2: 2.0}), resolution=0.5)
    assert found.high - 2 == pytest.approx(12.706205 * 0.5 / math.sqrt(2), abs=1e-5)
    assert interval(by_seed({1: 1.0, 2: 2.0}), resolution=0.5) == interval(by_seed({1: 1.0, 2: 2.0}))


def test_the_interval_over_seeds():
    found = interval(by_seed({1: 1.0, 2: 2.0, 3: 6.0}))  # mean 3, s^2 = (4 + 1 + 9) / 2 = 7, standard error sqrt(7 / 3)
    half = 4.302653 * math.sqrt(7 / 3)
    assert (found.low, found.high) == (pytest.approx(3 - half, abs=1e-5), pytest.approx(3 + half, abs=1e-5))


def test_the_interval_over_seeds_and_folds():
    values = {Replicate(1, 1): 1.0, Replicate(1, 2): 4.0, Replicate(2, 1): 2.0, Replicate(2, 2): 9.0}
    # Means by seed 2.5 and 5.5: s^2 = 4.5, by two 2.25. By fold 1.5 and 6.5: 12.5, by two 6.25. Runs: mean 4,
    # s^2 = (9 + 0 + 4 + 25) / 3, by four 19/6. One degree of freedom.
    variance = 2.25 + 6.25 - 19 / 6
    half = 12.706205 * math.sqrt(max(variance, 6.25))
    found = interval(values)
    assert (found.low, found.high) == (pytest.approx(4 - half, abs=1e-4), pytest.approx(4 + half, abs=1e-4))


def test_runs_that_share_a_seed_are_not_counted_as_independent():
    """Ten folds that all give the seed's number have the information of the two seeds."""
    alone = interval(by_seed({1: 1.0, 2: 2.0}))
    many = interval({Replicate(seed, fold): float(seed) for seed in (1, 2) for fold in range(1, 11)})
    assert many.high - many.low >= alone.high - alone.low


@pytest.mark.parametrize(
    "values", [{}, by_seed({1: 2.0}), {Replicate(1, 1): 2.0}, {Replicate(1, 1): 2.0, Replicate(1, 2): 3.0}]
)
def test_one_seed_or_fold_has_no_interval(values):
    assert interval(values) is None


def test_seeds_and_folds_against_statsmodels():
    """statsmodels 0.15.0: OLS(y, ones).fit(cov_type="cluster", cov_kwds={"groups": runs, "use_correction": True}).bse;
    there, as here, neither way alone has a larger variance."""
    runs = [Replicate(seed, fold) for seed in (1, 2, 3) for fold in (1, 2)]
    values = dict(zip(runs, [1.0, 6.0, 4.5, 9.0, 7.0, 12.0], strict=True))
    found = interval(values)
    assert found.high - found.low == pytest.approx(2 * student_quantile(0.975, 1) * 2.544329206512223)


@pytest.mark.parametrize(
    # The sample sizes of G*Power for a paired t-test, two-sided, 5%, power 80%, by effect size.
    ("effect", "seeds"),
    [(0.3, 90), (0.5, 34), (0.8, 15), (1.0, 10), (1.5, 6)],
)
def test_seeds_to_detect_an_effect_are_those_of_power_tables(effect, seeds):
    assert seeds_to_detect(1.0, effect) == pytest.approx(seeds, abs=1)
    assert seeds_to_detect(10.0, 10 * effect) == seeds_to_detect(1.0, effect)


def test_so_many_seeds_detect_the_effect_in_four_of_five_simulated_studies():
    luck = np.random.default_rng(7)
    for effect in (0.4, 0.7, 1.2):
        seeds = seeds_to_detect(1.0, effect)
        draws = luck.normal(effect, 1, (20_000, seeds))
        t = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / math.sqrt(seeds))
        assert 0.77 < (t > student_quantile(0.975, seeds - 1)).mean() < 0.87


def test_two_seeds_are_the_fewest():
    assert seeds_to_detect(0.0, 1.0) == 2
