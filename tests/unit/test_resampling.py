"""The bootstrap and the sign-flip test, against enumeration and known variances."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.analysis.resampling import (
    draw_counts,
    percentile_interval,
    resampled_group_means,
    resampled_ratios,
    resampled_seed_means,
    sign_flip_p,
    smallest_sign_flip_p,
)


def new_rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_counts_are_multinomial():
    counts = draw_counts(new_rng(), 20_000, 4)
    assert (counts.sum(axis=1) == 4).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(4), abs=0.03)
    # Variance 4 * 1/4 * 3/4; two items share what the others leave: covariance -4 / 16.
    assert np.cov(counts.T)[0, :2] == pytest.approx([0.75, -0.25], abs=0.03)


def test_the_variance_of_a_resampled_mean():
    values = np.array([1.0, 2.0, 4.0, 9.0])
    found = resampled_ratios(values, None, new_rng(), 40_000)
    assert found.mean() == pytest.approx(4, abs=0.03)
    assert found.var() == pytest.approx(values.var() / 4, rel=0.03)


def test_the_chunk_size_does_not_matter(monkeypatch):
    values = new_rng(1).random((2, 3, 50))
    whole = resampled_ratios(values, None, new_rng(), 40)
    assert whole.shape == (40, 2, 3)
    monkeypatch.setattr("crosstune.analysis.resampling.CHUNK", 100)
    assert resampled_ratios(values, None, new_rng(), 40) == pytest.approx(whole)


def test_all_scores_share_a_draw():
    """A constant difference in every example is the difference in every resample."""
    values = new_rng(1).random(30)
    found = resampled_ratios(np.stack([values, values + 2]), None, new_rng(), 100)
    assert found[:, 1] - found[:, 0] == pytest.approx(np.full(100, 2.0))
    assert found[:, 0].std() > 0


def test_ratios_by_hand():
    above, below = np.array([4.0, 0.0, 6.0]), np.array([2.0, 0.0, 4.0])
    found = resampled_ratios(above, below, new_rng(), 500)
    # 2 or 1.5 alone, a mixture, or 0 where only the empty example was drawn.
    assert set(np.round(found, 9)) == {0.0, 2.0, 1.5, round(10 / 6, 9), round(14 / 8, 9), round(16 / 10, 9)}
    assert resampled_ratios(above, np.ones(3), new_rng(), 50) == pytest.approx(
        resampled_ratios(above, None, new_rng(), 50)
    )


def test_seeds_are_drawn_alike_for_all_units():
    scores = np.tile(np.array([[1.0, 2.0, 6.0], [11.0, 12.0, 16.0]]), (20_000, 1, 1))
    found = resampled_seed_means(scores, new_rng())
    assert found[:, 1] - found[:, 0] == pytest.approx(np.full(len(found), 10.0))
    assert found[:, 0].var() == pytest.approx(np.var([1, 2, 6]) / 3, rel=0.05)


def test_a_group_is_drawn_whole():
    scores = np.tile([1.0, 3.0, 8.0], (200, 1))
    found = resampled_group_means(scores, np.full(3, 1 / 3), [0, 0, 1], new_rng())
    # Family means 2 and 8: both of one, or one of each.
    assert set(found) == {2.0, 5.0, 8.0}
    weighed = resampled_group_means(scores, np.array([0.3, 0.1, 0.6]), [0, 0, 1], new_rng())
    assert set(np.round(weighed, 9)) == {1.5, 4.75, 8.0}


def test_the_percentile_interval_by_hand():
    assert percentile_interval(np.arange(101.0), 0.9) == (pytest.approx(5), pytest.approx(95))


def brute_force(values: list[float]) -> float:
    patterns = list(itertools.product((1, -1), repeat=len(values)))
    observed = abs(sum(values))
    slack = 1e-9 * sum(map(abs, values))
    return sum(abs(sum(s * v for s, v in zip(p, values, strict=True))) >= observed - slack for p in patterns) / len(
        patterns
    )


class TestSignFlip:
    def test_by_hand(self):
        assert sign_flip_p([1, 2, 3]) == 0.25
        # Of the eight sums 4, 2, 2, 0, 0, -2, -2, -4 six are as far from 0 as 2.
        assert sign_flip_p([1, 2, -1]) == 0.75
        assert sign_flip_p([0, 0]) == 1.0

    @given(st.lists(st.integers(-30, 30).map(float), min_size=1, max_size=9))
    def test_every_pattern_is_counted(self, values):
        assert sign_flip_p(values) == pytest.approx(brute_force(values))

    @given(st.lists(st.floats(-5, 5), min_size=2, max_size=8))
    def test_order_and_sign_do_not_matter(self, values):
        assert sign_flip_p(values[::-1]) == pytest.approx(sign_flip_p(values))
        assert sign_flip_p([-value for value in values]) == pytest.approx(sign_flip_p(values))

    def test_many_seeds_are_enumerated(self):
        assert sign_flip_p([1.0] * 30) == smallest_sign_flip_p(30) == 2.0**-29

    def test_five_seeds_cannot_reach_the_usual_level(self):
        assert [smallest_sign_flip_p(seeds) for seeds in (3, 5, 6, 8)] == [0.25, 0.0625, 0.03125, 0.0078125]


class TestAgainstScipy:
    """scipy 1.17.1."""

    def test_sign_flips(self):
        """stats.permutation_test((x,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue"""
        assert sign_flip_p([0.9, -0.2, 1.4, 0.3, 2.1, -0.7, 0.8]) == pytest.approx(0.125)

    def test_percentile_intervals(self):
        """stats.bootstrap(..., method="percentile", n_resamples=200_000): of a mean (2.25, 6.125), and with paired=True
        of the ratio of two sums (0.657143, 0.903846)."""
        above = np.array([1.0, 2.0, 4.0, 9.0, 3.5, 7.0, 0.5, 6.0])
        below = np.array([2.0, 3.0, 4.0, 10.0, 5.0, 7.0, 2.0, 8.0])
        means = resampled_ratios(above, None, new_rng(), 100_000)
        assert percentile_interval(means, 0.95) == pytest.approx((2.25, 6.125), abs=0.07)
        ratios = resampled_ratios(above, below, new_rng(), 100_000)
        assert percentile_interval(ratios, 0.95) == pytest.approx((0.657143, 0.903846), abs=0.005)
