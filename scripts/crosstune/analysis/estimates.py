"""Estimates of a difference between two schedules: means, standard errors, tests and variance components.

docs/statistics.md explains the formulas. A sample holds one difference per seed and unit (a language of a data set).
Three questions about it, each wider than the one before, have a mean and an interval of their own:

- `estimate_over_seeds`: does the difference hold for other seeds, in these languages and on these examples?
- `estimate_over_examples`: for other seeds and other examples, in these languages?
- `estimate_over_families`: for other seeds, languages and examples? Families replace languages, weighted alike.

The variance of crossed factors is V(rows) + V(columns) - V(both), each a mean square (Cameron, Gelbach & Miller 2011;
for two factors it is the analysis of variance). The half-widths of independent parts add up as their squares do (Zou &
Donner 2008), so that an interval contains that of each part. The interval of a question contains the narrower one's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from crosstune.analysis.intervals import Interval, detectable_effect, solve, student_tail, student_tail_quantile

UNJUDGED = "not judged"

# The verdict on every difference in a pilot.
NO_VERDICT = "none in a pilot"

VERDICTS = ("better", "worse", "equivalent", "inconclusive", UNJUDGED, NO_VERDICT)

# The variance of a mean with its degrees of freedom.
Term = tuple[float, float]

# The largest and the smallest tail of several parts.
TAILS = (0.49999, 1e-12)


@dataclass(frozen=True)
class Estimate:
    """A mean difference in points, with the variances of its independent parts.

    `narrower` is the estimate of a narrower question. The interval contains that one's, at every confidence. So the p
    of a hypothesis is the larger one of the two.
    """

    mean: float
    parts: tuple[Term, ...]
    narrower: "Estimate | None" = None

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return math.sqrt(sum(variance for variance, _ in self.parts))

    def half_width(self, tail: float) -> float:
        """The distance from the mean to a limit that the truth exceeds with probability `tail`.

        It is the root of the sum of squares of the parts' half-widths (Zou & Donner 2008).
        """
        return math.sqrt(
            sum(variance * student_tail_quantile(tail, freedom) ** 2 for variance, freedom in self.parts if variance)
        )

    def interval(self, confidence: float) -> Interval:
        half = self.half_width((1 - confidence) / 2)
        low, high = self.mean - half, self.mean + half
        if not self.narrower:
            return Interval(low, high)
        inner = self.narrower.interval(confidence)
        return Interval(min(low, inner.low), max(high, inner.high))

    @property
    def p(self) -> float:
        """Two-sided p of no difference."""
        return min(1.0, 2 * self.tail(0.0, math.copysign(1, self.mean)))

    def equivalence_p(self, smallest: float) -> float:
        """p of equivalence: the larger p of two one-sided tests against ±`smallest` (TOST, Schuirmann 1987)."""
        return max(self.tail(-smallest, 1), self.tail(smallest, -1))

    def tail(self, bound: float, side: float) -> float:
        """One-sided p of a truth at or beyond `bound`, below it with side 1 and above it with side -1."""
        own = self._own_tail(side * (self.mean - bound))
        return max(own, self.narrower.tail(bound, side)) if self.narrower else own

    def _own_tail(self, distance: float) -> float:
        """The tail whose half-width is `distance`. Without an error, no deviation exceeds a distance above 0."""
        if distance < 0:
            return 1 - self._own_tail(-distance)
        parts = [(variance, freedom) for variance, freedom in self.parts if variance > 0]
        if not parts:
            return 0.0 if distance else 0.5
        if len(parts) == 1:
            return student_tail(distance / math.sqrt(parts[0][0]), parts[0][1])
        largest, smallest = TAILS
        if distance <= self.half_width(largest):
            return 0.5
        if distance >= self.half_width(smallest):
            return smallest
        ends = (-math.log(largest), -math.log(smallest))
        return math.exp(-solve(lambda x: math.log(self.half_width(math.exp(-x))), math.log(distance), ends))

    def verdict(self, smallest: float, confidence: float) -> str:
        return verdict(self.mean, self.p, self.equivalence_p(smallest), 1 - confidence)

    def detectable_difference(self, confidence: float) -> float:
        """The true difference that studies of this design detect with a probability of 80%."""
        own = self.error * detectable_effect(combined_freedom(self.parts), confidence)
        return max(own, self.narrower.detectable_difference(confidence)) if self.narrower else own


def verdict(mean: float, p: float, equivalence_p: float, alpha: float) -> str:
    """The verdict on a difference, one of the first four VERDICTS.

    A difference that is significantly smaller than the smallest effect of interest is equivalent, even if it is
    significantly not 0. A large p is no evidence of equivalence: it gives inconclusive.
    """
    if equivalence_p <= alpha:
        return "equivalent"
    if p <= alpha:
        return "better" if mean > 0 else "worse"
    return "inconclusive"


@dataclass(frozen=True)
class Sample:
    """Differences between two schedules.

    differences: (seeds, units).
    influences: for every unit (seeds, examples), the influence of each example on the unit's difference. For a mean it
    is (d - mean) / n; each row adds up to 0.
    weights: (units,), of the mean over units; they add up to 1.
    families: the number of each unit's family, from 0.
    examples: for every unit (examples,), the numbers of its examples, from 0. Translations of an example share one.
    steps: (units,), the points that one example is worth, which is what a score can resolve.
    """

    differences: np.ndarray
    influences: Sequence[np.ndarray]
    weights: np.ndarray
    families: Sequence[int]
    examples: Sequence[np.ndarray]
    steps: np.ndarray

    @property
    def seeds(self) -> int:
        return self.differences.shape[0]

    @property
    def units(self) -> int:
        return self.differences.shape[1]

    @cached_property
    def by_seed(self) -> np.ndarray:
        """The mean difference over the units in every seed: (seeds,)."""
        return self.differences @ self.weights

    @cached_property
    def family_weights(self) -> np.ndarray:
        """Weights of the units for equal weights of the families: (families, units), one row per family."""
        members = np.asarray(self.families) == np.arange(max(self.families) + 1)[:, None]
        weights = members * self.weights
        return weights / weights.sum(axis=1, keepdims=True) / len(members)

    @cached_property
    def example_groups(self) -> list["ExampleGroup"]:
        """The units in groups that have no example in common; the languages of a translated test set are one group."""
        return group_examples(self.examples)

    def unit(self, number: int) -> "Sample":
        """The sample of one unit alone."""
        one = slice(number, number + 1)
        return Sample(
            self.differences[:, one], self.influences[one], np.ones(1), [0], self.examples[one], self.steps[one]
        )

    def resolved_variance(self, weights: np.ndarray) -> float:
        """The variance of a mean over units whose scores differ by one example in half of the cases.

        It is that of two equally frequent neighbours on the grid of scores.
        """
        return float(((weights * self.steps / 2) ** 2).sum())


@dataclass(frozen=True)
class ExampleGroup:
    """Units that share examples, directly or through others.

    places: for every unit, the columns of its examples in an array of all `size` examples of the group.
    """

    units: tuple[int, ...]
    places: tuple[np.ndarray, ...]
    size: int

    def align(self, values: Sequence[np.ndarray]) -> np.ndarray:
        """Values (..., examples) of the group's units as one array (units, ..., size), 0 for absent examples."""
        shape = np.shape(values[0])[:-1]
        aligned = np.zeros((len(self.units), self.size, *shape))
        for row, place, unit in zip(aligned, self.places, values, strict=True):
            np.add.at(row, place, np.moveaxis(unit, -1, 0))
        return np.moveaxis(aligned, 1, -1)


def group_examples(examples: Sequence[np.ndarray]) -> list[ExampleGroup]:
    """The connected groups of units by their common examples, in the order of their first units."""
    groups: list[tuple[list[int], set[int]]] = []
    for unit, numbers in enumerate(examples):
        units, members = [unit], set(numbers.tolist())
        for group in [group for group in groups if not members.isdisjoint(group[1])]:
            groups.remove(group)
            units, members = group[0] + units, members | group[1]
        groups.append((units, members))
    found = []
    for units, members in sorted((sorted(units), members) for units, members in groups):
        order = np.array(sorted(members))
        places = tuple(np.searchsorted(order, examples[unit]) for unit in units)
        found.append(ExampleGroup(tuple(units), places, len(order)))
    return found


# --- the three questions ---------------------------------------------------------------------------------------------


def estimate_over_seeds(sample: Sample) -> Estimate | None:
    """For other seeds: Student's t of the seeds' means. None below two seeds.

    Seeds with equal scores do not show that others would have them too: in half of the seeds, one example of each
    language may come out differently. The variance is at least that.
    """
    if sample.seeds < 2:
        return None
    least = sample.resolved_variance(sample.weights) / sample.seeds
    variance = max(float(mean_variance(sample.by_seed)), least)
    return Estimate(float(sample.by_seed.mean()), ((variance, sample.seeds - 1),))


def estimate_over_examples(sample: Sample) -> Estimate | None:
    """For other seeds and examples. None below two seeds or with a unit of a single example.

    The variance of the examples has the same lower limit, once for all seeds.
    """
    seeds = estimate_over_seeds(sample)
    if not seeds or min(unit.shape[1] for unit in sample.influences) < 2:
        return None
    by_group = [
        example_variances(combined_influences(sample, group, sample.weights[None])[0])
        for group in sample.example_groups
    ]
    examples, interaction = map(sum_variances, zip(*by_group, strict=True))
    own = max(float(examples[0] - interaction[0]), sample.resolved_variance(sample.weights))
    return Estimate(seeds.mean, (*seeds.parts, (own, float(examples[1]))), seeds)


def estimate_one_language(sample: Sample, unit: int) -> Estimate | None:
    """`estimate_over_examples` of one unit as one test of many: with the degrees of freedom of its seeds.

    The examples' degrees of freedom are right on average. They are too many if a few seeds happen to lie close
    together. That shows far out in the tails, which decide Holm's procedure.
    """
    estimate = estimate_over_examples(sample.unit(unit))
    return estimate and Estimate(estimate.mean, ((estimate.error**2, sample.seeds - 1),))


def estimate_over_families(sample: Sample) -> Estimate | None:
    """For other seeds, languages and examples. None below two seeds or two families of languages.

    Its interval contains that of the families alone and that of `estimate_over_examples`.
    """
    weights = sample.family_weights
    families, examples = len(weights), estimate_over_examples(sample)
    if not examples or families < 2:
        return None
    means = families * sample.differences @ weights.T
    (seeds, _), (languages, freedom), (both, _) = two_way_variances(means)
    least = sample.resolved_variance(weights.sum(axis=0)) / sample.seeds
    shared = [
        (_shared_variance(combined_influences(sample, group, weights)), group.size - 1)
        for group in sample.example_groups
        if len(group.units) > 1
    ]
    mean = float(means.mean())
    alone = Estimate(mean, ((float(languages), freedom),), examples)
    parts = ((max(float(seeds), least), sample.seeds - 1), (max(0.0, float(languages - both)), freedom), *shared)
    return Estimate(mean, parts, alone)


def combined_influences(sample: Sample, group: ExampleGroup, weights: np.ndarray) -> np.ndarray:
    """The influence of a group's examples on weighted means over units.

    weights: (means, units). Returns (means, seeds, size). The square root of n / (n - 1) of each unit makes variances
    unbiased, also where units share a part of their examples.
    """
    own = [sample.influences[unit] for unit in group.units]
    scaled = [influences * math.sqrt(influences.shape[1] / (influences.shape[1] - 1)) for influences in own]
    return np.einsum("mu,use->mse", weights[:, list(group.units)], group.align(scaled))


def _shared_variance(influences: np.ndarray) -> float:
    """The variance that families share through common examples: the sum of their covariances, at least 0.

    influences: (families, seeds, examples), weighted by the families.
    """
    by_family = influences.mean(axis=1)
    return max(0.0, float((by_family.sum(axis=0) ** 2).sum() - (by_family**2).sum()))


# --- variances -------------------------------------------------------------------------------------------------------


def mean_variance(values: np.ndarray) -> np.ndarray | float:
    """The variance of the mean of the last axis: s^2 / n."""
    return values.var(axis=-1, ddof=1) / values.shape[-1]


def two_way_variances(cells: np.ndarray) -> tuple[Term, Term, Term]:
    """V(rows), V(columns) and V(both) of the mean of cells (..., rows, columns).

    V(both) is the mean square of the interaction over the number of cells.
    """
    rows, columns = cells.shape[-2:]
    by_row, by_column = cells.mean(axis=-1), cells.mean(axis=-2)
    rest = cells - by_row[..., :, None] - by_column[..., None, :] + cells.mean(axis=(-2, -1))[..., None, None]
    freedom = (rows - 1) * (columns - 1)
    return (
        (mean_variance(by_row), rows - 1),
        (mean_variance(by_column), columns - 1),
        ((rest**2).sum(axis=(-2, -1)) / freedom / (rows * columns), freedom),
    )


def example_variances(influences: np.ndarray) -> tuple[Term, Term]:
    """V(examples) and V(seeds x examples) of a difference, from `combined_influences` (..., seeds, examples)."""
    seeds, examples = influences.shape[-2:]
    means = influences.mean(axis=-2, keepdims=True)
    rest = ((influences - means) ** 2).sum(axis=(-2, -1)) / (seeds * (seeds - 1))
    return ((means**2).sum(axis=(-2, -1)), examples - 1), (rest, (seeds - 1) * (examples - 1))


def combined_freedom(terms: Sequence[Term]) -> float:
    """Degrees of freedom of a sum of variances: the harmonic mean of the terms', weighted by their variances.

    To first order in 1 / freedom its t is the mean of the terms' t with the same weights: Cochran's (1964) solution of
    the Behrens-Fisher problem. Satterthwaite's (1946) degrees of freedom assume known variances.
    """
    spread = sum(variance / freedom for variance, freedom in terms)
    return sum(variance for variance, _ in terms) / spread if spread else min(freedom for _, freedom in terms)


def sum_variances(terms: Sequence[Term]) -> Term:
    """The sum of independent variances of one kind, with Satterthwaite's (1946) degrees of freedom."""
    total = sum(term[0] for term in terms)
    spread = np.asarray(sum(term[0] ** 2 / term[1] for term in terms))
    poorest = np.full(np.shape(spread), float(min(term[1] for term in terms)))
    return total, np.divide(np.square(total), spread, out=poorest, where=spread > 0)


def variance_components(sample: Sample) -> dict[str, float]:
    """The variance components of one seed's difference in one language; empty below two seeds.

    seed, family, language (within its family), seed x language, example (common to all seeds), seed x example. The last
    two are those of a mean over a language's examples. The estimator is the analysis of variance, for unequal families
    as in Searle, Casella & McCulloch (1992), at least 0. `family` needs languages that share one.
    """
    if sample.seeds < 2 or min(unit.shape[1] for unit in sample.influences) < 2:
        return {}
    by_unit = [example_variances(unit * math.sqrt(unit.shape[1] / (unit.shape[1] - 1))) for unit in sample.influences]
    noise = sample.seeds * float(np.mean([rest[0] for _, rest in by_unit]))
    example = float(np.mean([both[0] for both, _ in by_unit])) - noise / sample.seeds
    parts = {"seed": 0.0, "example": example, "seed x example": noise}
    if sample.units == 1:
        parts["seed"] = float(sample.by_seed.var(ddof=1)) - noise
    else:
        seeds, _, both = two_way_variances(sample.differences)
        interaction = float(both[0]) * sample.seeds * sample.units
        parts["seed"] = sample.seeds * float(seeds[0]) - interaction / sample.units
        parts["seed x language"] = interaction - noise
        between, within = family_variances(sample.differences.mean(axis=0), sample.families)
        if between is not None:
            parts["family"] = between
        parts["language"] = within - interaction / sample.seeds - max(0.0, example)
    order = ("seed", "family", "language", "seed x language", "example", "seed x example")
    return {name: max(0.0, parts[name]) for name in order if name in parts}


def family_variances(values: np.ndarray, families: Sequence[int]) -> tuple[float | None, float]:
    """Variances between and within families of unequal size. The first is None if it cannot be identified."""
    sizes = np.bincount(families)
    if len(sizes) in (1, len(values)):
        return None, float(values.var(ddof=1))
    means = np.bincount(families, values) / sizes
    within = ((values - means[np.asarray(families)]) ** 2).sum() / (len(values) - len(sizes))
    between = (sizes * (means - values.mean()) ** 2).sum() / (len(sizes) - 1)
    typical = (len(values) - (sizes**2).sum() / len(values)) / (len(sizes) - 1)
    return float((between - within) / typical), float(within)


# --- several languages -----------------------------------------------------------------------------------------------


def holm_adjust(p: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in the given order: to reject those up to alpha has family-wise error alpha."""
    order = sorted(range(len(p)), key=lambda place: p[place])
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = largest
    return adjusted


def count_effects(means: Sequence[float], p: Sequence[float], alpha: float) -> tuple[int, int]:
    """Lower bounds of the number of languages in which `a` is better, and worse: K-hat of Dror et al. (2017).

    It counts the rejections of Holm's procedure. Under any dependence they are too many with probability alpha at most.
    """
    rejected = [mean for mean, adjusted in zip(means, holm_adjust(p), strict=True) if adjusted <= alpha]
    return sum(mean > 0 for mean in rejected), sum(mean < 0 for mean in rejected)
