"""Estimates, tests and variance components, against hand calculations and other programs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.analysis.estimates import (
    Estimate,
    Sample,
    combined_freedom,
    count_effects,
    crossed_variance,
    estimate_one_language,
    estimate_over_examples,
    estimate_over_families,
    estimate_over_seeds,
    example_variances,
    family_variances,
    holm_adjust,
    mean_variance,
    sum_variances,
    two_way_variances,
    variance_components,
    verdict,
)
from crosstune.analysis.intervals import student_quantile

# Differences of four seeds in three languages, drawn once and rounded.
CELLS = np.array([[1.2, -0.4, 2.1], [0.3, 0.9, 1.4], [2.2, 0.1, 3.0], [-0.6, 0.5, 1.1]])


def sample(cells, families=None, influences=None, example_groups=None) -> Sample:
    seeds, units = np.shape(cells)
    flat = [np.zeros((seeds, 2)) for _ in range(units)]
    weights = np.full(units, 1 / units)
    families = list(range(units)) if families is None else families
    return Sample(
        np.array(cells, float), influences or flat, weights, families, example_groups or [[u] for u in range(units)]
    )


def cells(seeds: int, units: int):
    value = st.floats(-20, 20, allow_nan=False).map(lambda number: round(number, 3))
    return st.lists(st.lists(value, min_size=units, max_size=units), min_size=seeds, max_size=seeds).map(np.array)


class TestVerdict:
    @pytest.mark.parametrize(
        ("mean", "p", "equivalence_p", "expected"),
        [
            (2.0, 0.01, 0.9, "better"),
            (-2.0, 0.01, 0.9, "worse"),
            (0.1, 0.8, 0.01, "equivalent"),
            (0.1, 0.8, 0.2, "undecided"),
            (9.0, 0.06, 0.9, "undecided"),
            # Surely not 0, and surely too small to matter.
            (0.2, 0.01, 0.01, "equivalent"),
            (2.0, 0.05, 0.9, "better"),
        ],
    )
    def test_outcomes(self, mean, p, equivalence_p, expected):
        assert verdict(mean, p, equivalence_p, 0.05) == expected

    def test_agrees_with_the_intervals(self):
        """Better where the 95% interval leaves out 0; equivalent where the 90% interval lies within the smallest."""
        for mean in np.linspace(-1, 1, 41):
            for error in (0.02, 0.1, 0.3):
                found = Estimate(mean, error, 4)
                inside = found.interval(0.9)
                surely = found.interval(0.95)
                if max(-inside.low, inside.high) < 0.5:
                    expected = "equivalent"
                else:
                    expected = "better" if surely.low > 0 else "worse" if surely.high < 0 else "undecided"
                assert found.verdict(0.5, 0.95) == expected, (mean, error)

    def test_without_any_spread(self):
        assert Estimate(0.0, 0.0, 2).verdict(0.5, 0.95) == "equivalent"
        assert Estimate(6.0, 0.0, 2).verdict(0.5, 0.95) == "better"
        assert (Estimate(6.0, 0.0, 2).p, Estimate(0.0, 0.0, 2).p) == (0.0, 1.0)


class TestSeeds:
    def test_by_hand(self):
        # Means by seed 1 and 4: s^2 = 4.5, standard error 1.5, one degree of freedom: t = 12.7062.
        found = estimate_over_seeds(sample([[1, 1], [3, 5]]))
        assert (found.mean, found.error, found.freedom) == (2.5, pytest.approx(1.5), 1)
        assert found.interval(0.95).high == pytest.approx(2.5 + 1.5 * 12.7062, abs=1e-3)

    def test_one_seed_has_no_estimate(self):
        alone = sample([[1.0, 2.0]])
        assert (estimate_over_seeds(alone), estimate_over_examples(alone), estimate_over_families(alone)) == (
            None,
            None,
            None,
        )
        assert variance_components(alone) == {}


class TestLanguages:
    def test_two_ways_by_hand(self):
        # By row 1.5, 4.5; by column 2, 4; what is left is +-0.5 everywhere, a mean square of 1 with 1 degree.
        rows, columns, both = two_way_variances(np.array([[1.0, 2.0], [3.0, 6.0]]))
        assert (rows, columns, both) == ((2.25, 1), (1.0, 1), (0.25, 1))
        assert crossed_variance(rows, columns, both) == (3.0, 1)
        # The variance is never below that of one factor alone.
        assert crossed_variance((1.0, 4), (0.1, 2), (0.5, 8))[0] == 1.0
        # 3 of the variance with 2 degrees and 1 with 10: 4 / (3 / 2 + 1 / 10); with 2 more of 40 a seventh less.
        assert crossed_variance((3.0, 2), (1.0, 10), (0.5, 20)) == (3.5, pytest.approx(2.5))
        assert crossed_variance((3.0, 2), (1.0, 10), (0.5, 20), [(2.0, 40)]) == (5.5, pytest.approx(6 / 1.65))

    def test_degrees_of_freedom_lie_between_those_of_the_factors(self):
        assert combined_freedom([(1.0, 2), (0.0, 49)]) == 2 and combined_freedom(
            [(0.0, 2), (1.0, 49)]
        ) == pytest.approx(49)
        assert combined_freedom([(0.0, 2), (0.0, 49)]) == 2  # without variance: the smaller one
        assert combined_freedom([(np.array([1.0, 0.0]), 2), (np.array([1.0, 0.0]), 6)]).tolist() == [3, 2]

    def test_t_is_close_to_cochrans(self):
        """Cochran (1964): the quantiles of the factors, weighted by their variances."""
        for share in (0.2, 0.5, 0.8):
            found = student_quantile(0.975, float(combined_freedom([(share, 20), (1 - share, 60)])))
            cochran = share * student_quantile(0.975, 20) + (1 - share) * student_quantile(0.975, 60)
            assert found == pytest.approx(cochran, rel=0.001)

    def test_independent_variances_by_hand(self):
        # Welch: (1 + 4)^2 / (1 / 2 + 16 / 8) = 10.
        assert sum_variances([(1.0, 2), (4.0, 8)]) == (5.0, pytest.approx(10))

    def test_a_family_counts_once(self):
        # Languages 1 and 2 are one family of 2.0, 4.0 by seed, language 3 another of 8.0, 6.0.
        found = estimate_over_families(sample([[1, 3, 8], [3, 5, 6]], families=[0, 0, 1]))
        assert found.mean == 5.0
        # By seed 5, 5; by family 3, 7: V = 8 / 2 = 4; what is left +-1: mean square 4, by 4 cells 1. 0 + 4 - 1 < 4.
        assert (found.error, found.freedom) == (2.0, 1)

    def test_one_family_has_no_estimate_over_families(self):
        assert estimate_over_families(sample(CELLS, families=[0, 0, 0])) is None

    def test_translated_examples_add_their_covariance(self):
        """Two languages whose examples move together are less informed than two that do not."""
        move = np.tile([0.5, -0.5, 0.25, -0.25], (4, 1))
        cells = CELLS[:, :2]
        apart = estimate_over_families(sample(cells, influences=[move, move]))
        together = estimate_over_families(sample(cells, influences=[move, move], example_groups=[[0, 1]]))
        # (0.5 + 0.5)^2 = 1 less 0.5^2 + 0.5^2, and so on, of halved influences; times 4 / 3.
        covariance = 2 * (0.25**2 * 2 + 0.125**2 * 2) * 4 / 3
        assert together.error**2 == pytest.approx(apart.error**2 + covariance)
        opposed = estimate_over_families(sample(cells, influences=[move, -move], example_groups=[[0, 1]]))
        assert opposed.error == apart.error

    @given(cells(4, 3), st.permutations(range(3)))
    @settings(deadline=None, max_examples=50)
    def test_the_order_of_languages_does_not_matter(self, cells, order):
        for question in (estimate_over_seeds, estimate_over_examples, estimate_over_families):
            here, there = question(sample(cells)), question(sample(cells[:, order]))
            assert there.mean == pytest.approx(here.mean, abs=1e-9)
            assert there.error == pytest.approx(here.error, abs=1e-6)

    @given(cells(3, 4))
    @settings(deadline=None, max_examples=50)
    def test_swapped_schedules_change_the_sign_alone(self, cells):
        opposite = {"better": "worse", "worse": "better"}
        for question in (estimate_over_seeds, estimate_over_families):
            here, there = question(sample(cells)), question(sample(-cells))
            assert (there.mean, there.error) == (pytest.approx(-here.mean), pytest.approx(here.error, abs=1e-9))
            said = here.verdict(0.5, 0.95)
            assert there.verdict(0.5, 0.95) == opposite.get(said, said)


class TestExamples:
    def test_by_hand(self):
        # Two seeds, two examples: differences of 1, 3 and of 3, 9. Means 2, 6; by example 2, 6.
        cells, influences = [[2.0], [6.0]], [np.array([[-0.5, 0.5], [-1.5, 1.5]])]
        (examples, interaction) = example_variances(influences[0])
        # s^2 of 2 and 6 is 8, by two 4. What is left is +-1: a mean square of 4 with 1 degree, by 4 cells 1.
        assert (examples, interaction) == ((4.0, 1), (1.0, 1))
        found = estimate_over_examples(sample(cells, influences=influences))
        assert found.mean == 4.0
        assert found.error**2 == pytest.approx(4 + 4 - 1)
        assert found.freedom == 1

    def test_languages_with_examples_of_their_own_are_independent(self):
        move = np.tile([0.5, -0.5, 0.25, -0.25], (4, 1))
        cells = CELLS[:, :2]
        apart = estimate_over_examples(sample(cells, influences=[move, move]))
        together = estimate_over_examples(sample(cells, influences=[move, move], example_groups=[[0, 1]]))
        seeds = estimate_over_seeds(sample(cells)).error ** 2
        one = (0.5**2 * 2 + 0.25**2 * 2) * 4 / 3
        assert apart.error**2 - seeds == pytest.approx(one / 2)
        assert together.error**2 - seeds == pytest.approx(one)

    def test_a_language_among_many_has_the_degrees_of_its_seeds(self):
        many = sample(CELLS, influences=[np.tile([0.5, -0.5, 0.25, -0.25], (4, 1)) for _ in range(3)])
        alone, among = estimate_over_examples(many.unit(1)), estimate_one_language(many, 1)
        assert (among.mean, among.error, among.freedom) == (alone.mean, alone.error, 3)
        assert alone.freedom > 3

    def test_one_example_has_no_estimate_over_examples(self):
        assert estimate_over_examples(sample([[1.0], [2.0]], influences=[np.zeros((2, 1))])) is None


class TestComponents:
    def test_by_hand(self):
        # Mean squares of [[1, 2], [3, 6]]: seeds 9, languages 4, what is left 1.
        found = variance_components(sample([[1, 2], [3, 6]]))
        assert found == {
            "seed": pytest.approx(4), "language": pytest.approx(1.5), "seed x language": pytest.approx(1),
            "example": 0, "seed x example": 0,
        }  # fmt: skip

    def test_families_by_hand(self):
        # Families (1, 3) and (8): within 2 with 1 degree; between 2 * 4 + 16 = 24 with 1; 3 - 5 / 3 languages each.
        assert family_variances(np.array([1.0, 3.0, 8.0]), [0, 0, 1]) == (pytest.approx(22 / (4 / 3)), 2.0)
        assert family_variances(np.array([1.0, 3.0]), [0, 1]) == (None, 2.0)

    def test_components_of_examples_and_seeds_are_separated(self):
        found = variance_components(sample([[2.0], [6.0]], influences=[np.array([[-0.5, 0.5], [-1.5, 1.5]])]))
        # One mean of two examples: V(seed x example) is 1 a cell of four, 2 a mean; V(example) 4 - 1; seeds 8 - 2.
        assert found == {"seed": pytest.approx(6), "example": pytest.approx(3), "seed x example": pytest.approx(2)}


class TestSeveralLanguages:
    def test_holm_by_hand(self):
        # As statsmodels' multipletests([0.04, 0.01, 0.03], method="holm") says.
        assert holm_adjust([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
        assert holm_adjust([0.9, 0.8]) == [1.0, 1.0]

    def test_counts_by_hand(self):
        # Holm at 0.05: 0.001 * 4, 0.012 * 3 hold; 0.03 * 2 does not, nor what is after it.
        assert count_effects([5, -5, 5, 5], [0.001, 0.012, 0.03, 0.04], 0.05) == (1, 1)

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.integers(0, 7), st.floats(0, 1), st.floats(0.01, 0.2))
    def test_a_smaller_p_never_lowers_the_count(self, p, place, smaller, alpha):
        lower = list(p)
        lower[place % len(p)] = min(smaller, p[place % len(p)])
        ones = [1] * len(p)
        assert count_effects(ones, lower, alpha)[0] >= count_effects(ones, p, alpha)[0]
        assert count_effects(ones, p, 0.5)[0] >= count_effects(ones, p, alpha)[0]

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.01, 0.2))
    def test_the_count_is_that_of_partial_conjunctions(self, p, alpha):
        """K-hat of Dror et al. (2017): the largest k for which (n - i + 1) p(i) is small for all i up to k."""
        ordered = sorted(p)
        k = 0
        while k < len(p) and (len(p) - k) * ordered[k] <= alpha:
            k += 1
        assert count_effects([1] * len(p), p, alpha) == (k, 0)


class TestAgainstOtherPrograms:
    """Numbers of scipy 1.17.1 and statsmodels 0.15.0, with the calls that computed them."""

    def test_students_t_and_tost(self):
        """stats.ttest_1samp(CELLS.mean(axis=1), 0), its confidence_interval(0.95), and the larger p of
        ttest_1samp(..., -1, alternative="greater") and ttest_1samp(..., 1, alternative="less")."""
        found = estimate_over_seeds(sample(CELLS))
        assert found.mean == pytest.approx(CELLS.mean())
        assert found.p == pytest.approx(0.04491059120340212, rel=1e-9)
        ends = found.interval(0.95)
        assert (ends.low, ends.high) == (pytest.approx(0.0419530209588821), pytest.approx(1.9247136457077847))
        assert found.equivalence_p(1.0) == pytest.approx(0.47930535305193655, rel=1e-9)

    def test_analysis_of_variance(self):
        """anova_lm(ols("y ~ C(seed) + C(language)", data).fit()): mean squares 1.05, 2.77083333333, 0.7075."""
        rows, columns, both = two_way_variances(CELLS)
        assert (rows[1], columns[1], both[1]) == (3, 2, 6)
        assert [12 * term[0] for term in (rows, columns, both)] == pytest.approx([1.05, 2.77083333333, 0.7075])

    def test_variance_components(self):
        """mixedlm("y ~ 1", data, groups="one", vc_formula={"s": "0 + C(seed)", "l": "0 + C(language)"}).fit(reml=True),
        whose estimates are those of the analysis of variance where the design is balanced and none is below 0."""
        found = variance_components(sample(CELLS))
        parts = [found[name] for name in ("language", "seed", "seed x language")]
        assert parts == pytest.approx([0.51582787, 0.11417564, 0.70749493], rel=1e-4)

    def test_degrees_of_freedom_of_independent_variances(self):
        """stats.ttest_ind(ONE, OTHER, equal_var=False).df, which is Welch's and Satterthwaite's."""
        one, other = np.array([1.2, 0.3, 2.2, -0.6]), np.array([2.0, 5.1, 3.3, 7.9, 4.2, 0.4])
        assert sum_variances([(mean_variance(one), 3), (mean_variance(other), 5)])[1] == pytest.approx(
            7.446182157227663
        )

    def test_examples_are_columns_of_an_analysis_of_variance(self):
        """Of a mean of examples: their influences give what `two_way_variances` gives of the examples themselves."""
        influences = (CELLS - CELLS.mean(axis=1, keepdims=True)) / CELLS.shape[1]
        _, columns, both = two_way_variances(CELLS)
        for found, wanted in zip(example_variances(influences), (columns, both), strict=True):
            assert found == (pytest.approx(wanted[0]), wanted[1])
