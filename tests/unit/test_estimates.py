"""Estimates, tests and variance components, against hand calculations and other programs."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.analysis.estimates import (
    Estimate,
    Sample,
    combined_freedom,
    count_effects,
    estimate_one_language,
    estimate_over_examples,
    estimate_over_families,
    estimate_over_seeds,
    example_variances,
    family_variances,
    group_examples,
    holm_adjust,
    mean_variance,
    sum_variances,
    two_way_variances,
    variance_components,
    verdict,
)
from crosstune.analysis.intervals import Interval, student_quantile

# Differences of four seeds in three languages, drawn once and rounded.
CELLS = np.array([[1.2, -0.4, 2.1], [0.3, 0.9, 1.4], [2.2, 0.1, 3.0], [-0.6, 0.5, 1.1]])


def sample(cells, families=None, influences=None, examples=None, steps=0.0) -> Sample:
    """`examples`: their numbers by unit, by default each unit's own. `steps`: the points of one example."""
    seeds, units = np.shape(cells)
    influences = influences or [np.zeros((seeds, 2)) for _ in range(units)]
    count = max(unit.shape[1] for unit in influences)
    examples = examples or [range(unit * count, unit * count + own.shape[1]) for unit, own in enumerate(influences)]
    families = list(range(units)) if families is None else families
    numbers = [np.array(own) for own in examples]
    return Sample(
        np.array(cells, float), influences, np.full(units, 1 / units), families, numbers, np.full(units, steps)
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
            (0.1, 0.8, 0.2, "inconclusive"),
            (9.0, 0.06, 0.9, "inconclusive"),
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
                found = Estimate(mean, ((error**2, 4),))
                inside = found.interval(0.9)
                surely = found.interval(0.95)
                if max(-inside.low, inside.high) < 0.5:
                    expected = "equivalent"
                else:
                    expected = "better" if surely.low > 0 else "worse" if surely.high < 0 else "inconclusive"
                assert found.verdict(0.5, 0.95) == expected, (mean, error)

    def test_without_any_spread(self):
        still = ((0.0, 2),)
        assert Estimate(0.0, still).verdict(0.5, 0.95) == "equivalent"
        assert Estimate(6.0, still).verdict(0.5, 0.95) == "better"
        assert (Estimate(6.0, still).p, Estimate(0.0, still).p) == (0.0, 1.0)


class TestIntervals:
    def test_squares_of_half_widths_add_up(self):
        # t(2) = 4.302653 and t(40) = 2.021075: the root of 4.302653^2 * 0.25 + 2.021075^2 * 4.
        found = Estimate(1.0, ((0.25, 2), (4.0, 40)))
        half = math.hypot(4.302653 * 0.5, 2.021075 * 2)
        assert (found.interval(0.95).low, found.interval(0.95).high) == pytest.approx((1 - half, 1 + half), abs=1e-5)
        assert found.error == pytest.approx(math.sqrt(4.25))

    @given(st.floats(-3, 3), st.floats(0.01, 2), st.floats(0.01, 2), st.sampled_from([1, 2, 7]))
    @settings(max_examples=25)
    def test_p_and_intervals_agree(self, mean, first, second, freedom):
        """The interval of confidence 1 - p ends at 0, that of 1 - 2p of equivalence at the smallest effect."""
        found = Estimate(mean, ((first, freedom), (second, 30)))
        if 1e-9 < found.p < 1:
            ends = found.interval(1 - found.p)
            assert min(abs(ends.low), abs(ends.high)) == pytest.approx(0, abs=1e-6)
        if 1e-9 < found.equivalence_p(2.0) < 0.5:
            ends = found.interval(1 - 2 * found.equivalence_p(2.0))
            assert max(-ends.low, ends.high) == pytest.approx(2.0, abs=1e-6)

    def test_an_interval_contains_that_of_a_narrower_question(self):
        narrow = Estimate(0.0, ((1.0, 4),))
        wide = Estimate(1.0, ((0.04, 9),), narrow)
        assert wide.interval(0.95) == Interval(narrow.interval(0.95).low, narrow.interval(0.95).high)
        assert wide.p == pytest.approx(1.0) and wide.equivalence_p(5.0) == pytest.approx(narrow.equivalence_p(5.0))
        assert wide.detectable_difference(0.95) == narrow.detectable_difference(0.95)


class TestSeeds:
    def test_by_hand(self):
        # Means by seed 1 and 4: s^2 = 4.5, standard error 1.5, one degree of freedom: t = 12.7062.
        found = estimate_over_seeds(sample([[1, 1], [3, 5]]))
        assert (found.mean, found.parts) == (2.5, ((pytest.approx(2.25), 1),))
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
        assert two_way_variances(np.array([[1.0, 2.0], [3.0, 6.0]])) == ((2.25, 1), (1.0, 1), (0.25, 1))

    def test_degrees_of_freedom_lie_between_those_of_the_factors(self):
        assert combined_freedom([(1.0, 2), (0.0, 49)]) == 2 and combined_freedom(
            [(0.0, 2), (1.0, 49)]
        ) == pytest.approx(49)
        assert combined_freedom([(0.0, 2), (0.0, 49)]) == 2  # without variance: the smaller one

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
        # By seed 5, 5; by family 3, 7: V = 8 / 2 = 4; what is left +-1: mean square 4, by 4 cells 1.
        assert found.parts == ((0.0, 1), (3.0, 1)) and found.narrower.parts == ((4.0, 1),)
        # The families alone: t(1) = 12.7062 times 2.
        assert found.interval(0.95).high == pytest.approx(5 + 12.7062 * 2, abs=1e-3)

    def test_one_family_has_no_estimate_over_families(self):
        assert estimate_over_families(sample(CELLS, families=[0, 0, 0])) is None

    def test_translated_examples_add_their_covariance(self):
        """Two languages whose examples move together are less informed than two that do not."""
        move = np.tile([0.5, -0.5, 0.25, -0.25], (4, 1))
        cells = CELLS[:, :2]
        apart = estimate_over_families(sample(cells, influences=[move, move]))
        together = estimate_over_families(sample(cells, influences=[move, move], examples=[range(4)] * 2))
        # (0.5 + 0.5)^2 = 1 less 0.5^2 + 0.5^2, and so on, of halved influences; times 4 / 3.
        covariance = 2 * (0.25**2 * 2 + 0.125**2 * 2) * 4 / 3
        assert together.error**2 == pytest.approx(apart.error**2 + covariance)
        opposed = estimate_over_families(sample(cells, influences=[move, -move], examples=[range(4)] * 2))
        assert opposed.error == apart.error

    @given(cells(4, 3), st.permutations(range(3)))
    @settings(max_examples=50)
    def test_the_order_of_languages_does_not_matter(self, cells, order):
        for question in (estimate_over_seeds, estimate_over_examples, estimate_over_families):
            here, there = question(sample(cells)), question(sample(cells[:, order]))
            assert there.mean == pytest.approx(here.mean, abs=1e-9)
            assert there.error == pytest.approx(here.error, abs=1e-6)

    @given(cells(3, 4))
    @settings(max_examples=50)
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
        (examples, interaction) = example_variances(influences[0] * math.sqrt(2))
        # s^2 of 2 and 6 is 8, by two 4. What is left is +-1: a mean square of 4 with 1 degree, by 4 cells 1.
        assert (examples, interaction) == (pytest.approx((4.0, 1)), pytest.approx((1.0, 1)))
        found = estimate_over_examples(sample(cells, influences=influences))
        assert found.mean == 4.0
        assert found.parts == (pytest.approx((4, 1)), pytest.approx((4 - 1, 1)))

    def test_languages_with_examples_of_their_own_are_independent(self):
        move = np.tile([0.5, -0.5, 0.25, -0.25], (4, 1))
        cells = CELLS[:, :2]
        apart = estimate_over_examples(sample(cells, influences=[move, move]))
        together = estimate_over_examples(sample(cells, influences=[move, move], examples=[range(4)] * 2))
        seeds = estimate_over_seeds(sample(cells)).error ** 2
        one = (0.5**2 * 2 + 0.25**2 * 2) * 4 / 3
        assert apart.error**2 - seeds == pytest.approx(one / 2)
        assert together.error**2 - seeds == pytest.approx(one)

    def test_languages_may_share_a_part_of_their_examples(self):
        """Three examples of four are translations, in another order: the fourth of either language is its own."""
        first, second = np.tile([0.5, -0.5, 0.25, -0.25], (4, 1)), np.tile([0.4, -0.25, 0.35, -0.5], (4, 1))
        cells = CELLS[:, :2]
        found = estimate_over_examples(sample(cells, None, [first, second], [[0, 1, 2, 3], [4, 3, 0, 1]]))
        # Halved sums by example: (0.5 + 0.35) / 2, (-0.5 - 0.5) / 2, 0.25 / 2, (-0.25 - 0.25) / 2, 0.4 / 2.
        squares = 0.425**2 + 0.5**2 + 0.125**2 + 0.25**2 + 0.2**2
        assert found.parts[1] == (pytest.approx(squares * 4 / 3), 4)
        apart = estimate_over_examples(sample(cells, None, [first, second]))
        assert found.parts[1][0] > 1.5 * apart.parts[1][0]

    def test_groups_are_connected_by_common_examples(self):
        groups = group_examples([np.array([0, 1]), np.array([5, 6]), np.array([7, 1]), np.array([7, 9])])
        assert [(group.units, group.size) for group in groups] == [((0, 2, 3), 4), ((1,), 2)]
        # The examples 0, 1, 7, 9.
        aligned = groups[0].align([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([[5.0, 6.0]])])
        assert aligned.tolist() == [[[1, 2, 0, 0]], [[0, 4, 3, 0]], [[0, 0, 5, 6]]]

    def test_a_language_among_many_has_the_degrees_of_its_seeds(self):
        many = sample(CELLS, influences=[np.tile([0.5, -0.5, 0.25, -0.25], (4, 1)) for _ in range(3)])
        alone, among = estimate_over_examples(many.unit(1)), estimate_one_language(many, 1)
        assert (among.mean, among.parts) == (alone.mean, ((pytest.approx(alone.error**2), 3),))

    def test_one_example_has_no_estimate_over_examples(self):
        assert estimate_over_examples(sample([[1.0], [2.0]], influences=[np.zeros((2, 1))])) is None


class TestNesting:
    @given(cells(3, 4), st.sampled_from([[0, 1, 2, 3], [0, 0, 1, 1], [0, 0, 0, 1]]), st.booleans(), st.floats(0.3, 5))
    @settings(max_examples=60)
    def test_a_wider_question_has_no_narrower_interval_and_no_surer_verdict(self, cells, families, shared, smallest):
        rng = np.random.default_rng(int(np.abs(cells).sum() * 1000))
        influences = [own - own.mean(axis=1, keepdims=True) for own in rng.normal(0, 0.3, (4, 3, 6))]
        found = sample(cells, families, influences, [range(6)] * 4 if shared else None)
        wider = [estimate_over_seeds(found), estimate_over_examples(found), estimate_over_families(found)]
        for narrow, wide in pairwise(wider):
            for confidence in (0.9, 0.95):
                inner, outer = narrow.interval(confidence), wide.interval(confidence)
                assert outer.low <= inner.low and inner.high <= outer.high
            assert wide.p >= narrow.p - 1e-9
            assert wide.equivalence_p(smallest) >= narrow.equivalence_p(smallest) - 1e-9
            if wide.verdict(smallest, 0.95) == "equivalent":
                assert narrow.verdict(smallest, 0.95) == "equivalent"


class TestResolution:
    """One example of 60 is worth 1.67 points."""

    def test_equal_seeds_are_no_proof(self):
        for value in (0.0, 2.0):
            found = estimate_over_seeds(sample([[value], [value]], steps=100 / 60))
            assert found.error == pytest.approx(100 / 60 / 2 / math.sqrt(2))
            assert found.p > 0.05 and found.verdict(0.5, 0.95) == "inconclusive"

    def test_the_error_falls_with_languages_seeds_and_examples(self):
        few = estimate_over_seeds(sample(np.zeros((2, 1)), steps=2.0)).error
        assert estimate_over_seeds(sample(np.zeros((2, 4)), steps=2.0)).error == pytest.approx(few / 2)
        assert estimate_over_seeds(sample(np.zeros((8, 1)), steps=2.0)).error == pytest.approx(few / 2)
        assert estimate_over_seeds(sample(np.zeros((2, 1)), steps=1.0)).error == pytest.approx(few / 2)

    def test_larger_differences_between_seeds_are_unchanged(self):
        assert estimate_over_seeds(sample(CELLS, steps=0.1)) == estimate_over_seeds(sample(CELLS))

    def test_other_examples_may_differ_where_these_are_equal(self):
        # One point in half of the samples.
        found = estimate_over_examples(sample(np.zeros((5, 1)), steps=2.0))
        assert found.parts[1][0] == 1.0


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
        scaled = influences * math.sqrt(CELLS.shape[1] / (CELLS.shape[1] - 1))
        for found, wanted in zip(example_variances(scaled), (columns, both), strict=True):
            assert found == (pytest.approx(wanted[0]), wanted[1])
