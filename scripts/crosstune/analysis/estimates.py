"""Estimates of a difference between two schedules: means, standard errors, tests and variance components.

docs/statistics.md explains the formulas. A sample holds one difference per seed and unit (a language of a data set).
Three questions about it have a mean, a standard error and degrees of freedom of their own:

- `estimate_over_seeds`: does the difference hold for other seeds, in these languages and on these examples?
- `estimate_over_examples`: for other seeds and other examples, in these languages?
- `estimate_over_families`: for other seeds, languages and examples? Families replace languages, weighted alike.

The variance of crossed factors is V(rows) + V(columns) - V(both), each a mean square (Cameron, Gelbach & Miller 2011;
for two factors it is the analysis of variance). Its degrees of freedom lie between those of the factors (Cochran 1964).
Functions on arrays accept leading axes, which compute many simulated studies at once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from crosstune.analysis.intervals import Interval, detectable_effect, student_quantile, student_tail

VERDICTS = ("better", "worse", "equivalent", "undecided")


@dataclass(frozen=True)
class Estimate:
    """A mean difference in points, with its standard error and degrees of freedom."""

    mean: float
    error: float
    freedom: float

    def interval(self, confidence: float) -> Interval:
        half = student_quantile((1 + confidence) / 2, self.freedom) * self.error
        return Interval(self.mean - half, self.mean + half)

    @property
    def p(self) -> float:
        """Two-sided p of no difference."""
        return min(1.0, 2 * self._tail(abs(self.mean)))

    def equivalence_p(self, smallest: float) -> float:
        """p of equivalence: the larger p of two one-sided tests against ±`smallest` (TOST, Schuirmann 1987)."""
        return max(self._tail(smallest + self.mean), self._tail(smallest - self.mean))

    def verdict(self, smallest: float, confidence: float) -> str:
        return verdict(self.mean, self.p, self.equivalence_p(smallest), 1 - confidence)

    def detectable_difference(self, confidence: float) -> float:
        """The smallest true difference that the design detects with 80% power."""
        return self.error * detectable_effect(self.freedom, confidence)

    def _tail(self, distance: float) -> float:
        """P of a deviation above `distance`. Without an error, no deviation exceeds a distance above 0."""
        if self.error == 0:
            return 0.0 if distance > 0 else 0.5 if distance == 0 else 1.0
        return student_tail(distance / self.error, self.freedom)


def verdict(mean: float, p: float, equivalence_p: float, alpha: float) -> str:
    """The verdict on a difference, one of VERDICTS.

    A difference that is significantly smaller than the smallest effect of interest is equivalent, even if it is
    significantly not 0. A large p is no evidence of equivalence: it gives undecided.
    """
    if equivalence_p <= alpha:
        return "equivalent"
    if p <= alpha:
        return "better" if mean > 0 else "worse"
    return "undecided"


@dataclass(frozen=True)
class Sample:
    """Differences between two schedules.

    differences: (seeds, units).
    influences: for every unit (seeds, examples), the influence of each example on the unit's difference. For a mean it
    is (d - mean) / n; each row adds up to 0.
    weights: (units,), of the mean over units; they add up to 1.
    families: the number of each unit's family, from 0.
    example_groups: the units in groups that share their examples.
    """

    differences: np.ndarray
    influences: Sequence[np.ndarray]
    weights: np.ndarray
    families: Sequence[int]
    example_groups: Sequence[Sequence[int]]

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

    def unit(self, number: int) -> "Sample":
        """The sample of one unit alone."""
        return Sample(self.differences[:, [number]], [self.influences[number]], np.ones(1), [0], [[0]])


# --- the three questions ---------------------------------------------------------------------------------------------


def estimate_over_seeds(sample: Sample) -> Estimate | None:
    """For other seeds: Student's t of the seeds' means. None below two seeds."""
    if sample.seeds < 2:
        return None
    return _estimate(sample.by_seed.mean(), (mean_variance(sample.by_seed), sample.seeds - 1))


def estimate_over_examples(sample: Sample) -> Estimate | None:
    """For other seeds and examples. None below two seeds or with a unit of a single example."""
    if sample.seeds < 2 or min(unit.shape[1] for unit in sample.influences) < 2:
        return None
    by_group = [
        example_variances(sum(sample.weights[unit] * sample.influences[unit] for unit in group))
        for group in sample.example_groups
    ]
    examples, interaction = map(sum_variances, zip(*by_group, strict=True))
    seeds = (mean_variance(sample.by_seed), sample.seeds - 1)
    return _estimate(sample.by_seed.mean(), crossed_variance(seeds, examples, interaction))


def estimate_one_language(sample: Sample, unit: int) -> Estimate | None:
    """`estimate_over_examples` of one unit as one test of many: with the degrees of freedom of its seeds.

    The combined degrees of freedom are right on average. They are too many if a few seeds happen to lie close together.
    That shows far out in the tails, which decide Holm's procedure.
    """
    estimate = estimate_over_examples(sample.unit(unit))
    return estimate and replace(estimate, freedom=float(sample.seeds - 1))


def estimate_over_families(sample: Sample) -> Estimate | None:
    """For other seeds, languages and examples. None below two seeds or two families of languages."""
    weights = sample.family_weights
    families = len(weights)
    if sample.seeds < 2 or families < 2:
        return None
    means = families * sample.differences @ weights.T
    seeds, languages, both = two_way_variances(means)
    shared = [
        (_shared_variance(sample, group), sample.influences[group[0]].shape[1] - 1)
        for group in sample.example_groups
        if len(group) > 1
    ]
    return _estimate(means.mean(), crossed_variance(seeds, languages, both, [term for term in shared if term[1] > 0]))


def _shared_variance(sample: Sample, group: Sequence[int]) -> float:
    """The variance that families share through common examples: the sum of their covariances, at least 0."""
    means = np.stack([sample.influences[unit].mean(axis=0) for unit in group], axis=1)
    by_family = means @ sample.family_weights[:, group].T
    examples = len(means)
    covariances = float(((by_family.sum(axis=1) ** 2) - (by_family**2).sum(axis=1)).sum())
    return max(0.0, covariances * examples / (examples - 1))


def _estimate(mean: float, variance: tuple[float, float]) -> Estimate:
    return Estimate(float(mean), math.sqrt(variance[0]), float(variance[1]))


# --- variances -------------------------------------------------------------------------------------------------------

# The variance of a mean with its degrees of freedom.
Term = tuple[np.ndarray | float, np.ndarray | float]


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
    """V(examples) and V(seeds x examples) of a difference, from influences (..., seeds, examples)."""
    seeds, examples = influences.shape[-2:]
    means = influences.mean(axis=-2, keepdims=True)
    scale = examples / (examples - 1)
    rest = ((influences - means) ** 2).sum(axis=(-2, -1)) * scale / (seeds * (seeds - 1))
    return ((means**2).sum(axis=(-2, -1)) * scale, examples - 1), (rest, (seeds - 1) * (examples - 1))


def crossed_variance(rows: Term, columns: Term, both: Term, more: Sequence[Term] = ()) -> Term:
    """max(V(rows) + V(columns) - V(both), V(rows), V(columns)) + more, with `combined_freedom`."""
    least = np.maximum(rows[0], columns[0])
    total = np.maximum(rows[0] + columns[0] - both[0], least) + sum(term[0] for term in more)
    return total, combined_freedom([rows, columns, *more])


def combined_freedom(terms: Sequence[Term]) -> np.ndarray | float:
    """Degrees of freedom of a sum of variances: the harmonic mean of the terms', weighted by their variances.

    To first order in 1 / freedom its t is the mean of the terms' t with the same weights: Cochran's (1964) solution of
    the Behrens-Fisher problem. Satterthwaite's (1946) degrees of freedom assume known variances. With few seeds
    they are far too many if the seeds happen to lie close together: the interval is then doubly too narrow.
    """
    total = sum(term[0] for term in terms)
    spread = np.asarray(sum(term[0] / term[1] for term in terms))
    poorest = np.full(np.shape(spread), float(min(term[1] for term in terms)))
    return np.divide(total, spread, out=poorest, where=spread > 0)


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
    by_unit = [example_variances(unit) for unit in sample.influences]
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
