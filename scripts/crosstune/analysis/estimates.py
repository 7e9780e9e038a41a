"""What is concluded from differences between two schedules: means, errors, tests, and the parts of their variance.

Owns: the formulas of docs/statistics.md. Must never know: files, names, how numbers are told.

A sample holds one difference for every seed and unit (a language of a data set). Three questions are asked of it, and
each has a mean, a standard error and degrees of freedom of its own:

- `over_seeds`: would other seeds say the same, of these languages and these examples?
- `over_examples`: would other seeds and other examples, of these languages?
- `over_families`: would other seeds, other languages and other examples? Families are the units, each counts alike.

Ways that are crossed add up as V(rows) + V(columns) - V(both), each of which is a mean square (Cameron, Gelbach &
Miller 2011; for two ways this is the analysis of variance), with degrees of freedom between those of the ways (Cochran
1964). The functions on arrays take leading axes, so that many simulated studies are worked at once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from crosstune.analysis.intervals import Interval, detectable, student_quantile, student_tail

VERDICTS = ("better", "worse", "equivalent", "undecided")


@dataclass(frozen=True)
class Estimate:
    """A mean difference with its standard error and degrees of freedom, in points."""

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
        """p of a difference of at least `smallest`: the larger of the two one-sided tests' (TOST, Schuirmann 1987)."""
        return max(self._tail(smallest + self.mean), self._tail(smallest - self.mean))

    def verdict(self, smallest: float, confidence: float) -> str:
        """One of VERDICTS: see `verdict`."""
        return verdict(self.mean, self.p, self.equivalence_p(smallest), 1 - confidence)

    def detects(self, confidence: float) -> float:
        """The smallest true difference that such a design finds with 80% power."""
        return self.error * detectable(self.freedom, confidence)

    def _tail(self, distance: float) -> float:
        """P of a deviation above `distance`; without any error every distance above 0 is out of reach."""
        if self.error == 0:
            return 0.0 if distance > 0 else 0.5 if distance == 0 else 1.0
        return student_tail(distance / self.error, self.freedom)


def verdict(mean: float, p: float, equivalence_p: float, alpha: float) -> str:
    """What may be said of a difference: equivalent, better, worse or undecided.

    A difference that is surely smaller than the smallest effect of interest is equivalent, even if it is surely not 0.
    "No difference" is never concluded from a large p: that is undecided.
    """
    if equivalence_p <= alpha:
        return "equivalent"
    if p <= alpha:
        return "better" if mean > 0 else "worse"
    return "undecided"


@dataclass(frozen=True)
class Sample:
    """Differences between two schedules.

    differences: (seeds, units). influences: for every unit (seeds, examples), how far each example moves the unit's
    difference: for a mean (d - mean) / n; each row adds up to 0. weights: (units,), of the mean over units; they add
    up to 1. families: the number of each unit's family, from 0. parts: the units that have the same examples,
    together.
    """

    differences: np.ndarray
    influences: Sequence[np.ndarray]
    weights: np.ndarray
    families: Sequence[int]
    parts: Sequence[Sequence[int]]

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
        """Weights of the units where every family counts alike: (families, units), each row of one family."""
        members = np.asarray(self.families) == np.arange(max(self.families) + 1)[:, None]
        weights = members * self.weights
        return weights / weights.sum(axis=1, keepdims=True) / len(members)

    def unit(self, number: int) -> "Sample":
        """The sample of one unit alone."""
        return Sample(self.differences[:, [number]], [self.influences[number]], np.ones(1), [0], [[0]])


# --- the three questions ---------------------------------------------------------------------------------------------


def over_seeds(sample: Sample) -> Estimate | None:
    """These languages and examples, other seeds: Student's t of the seeds' means. None below two seeds."""
    if sample.seeds < 2:
        return None
    return _estimate(sample.by_seed.mean(), (mean_variance(sample.by_seed), sample.seeds - 1))


def over_examples(sample: Sample) -> Estimate | None:
    """These languages, other seeds and examples. None below two seeds, or where a unit has but one example."""
    if sample.seeds < 2 or min(found.shape[1] for found in sample.influences) < 2:
        return None
    parts = [
        example_variances(sum(sample.weights[unit] * sample.influences[unit] for unit in part)) for part in sample.parts
    ]
    examples, interaction = (add([part[way] for part in parts]) for way in (0, 1))
    seeds = (mean_variance(sample.by_seed), sample.seeds - 1)
    return _estimate(sample.by_seed.mean(), crossed(seeds, examples, interaction))


def of_one_language(sample: Sample, unit: int) -> Estimate | None:
    """`over_examples` of one unit alone, as one test of many: with the degrees of freedom of its seeds.

    Those of both ways are right on average. Where few seeds happen to lie close together they are too many, which
    shows far out in the tails, where Holm's procedure looks.
    """
    found = over_examples(sample.unit(unit))
    return found and replace(found, freedom=float(sample.seeds - 1))


def over_families(sample: Sample) -> Estimate | None:
    """Other seeds, languages and examples. None below two seeds or two families of languages."""
    weights = sample.family_weights
    families = len(weights)
    if sample.seeds < 2 or families < 2:
        return None
    means = families * sample.differences @ weights.T
    seeds, languages, both = two_way(means)
    shared = [
        (_shared(sample, part), sample.influences[part[0]].shape[1] - 1) for part in sample.parts if len(part) > 1
    ]
    return _estimate(means.mean(), crossed(seeds, languages, both, [term for term in shared if term[1] > 0]))


def _shared(sample: Sample, part: Sequence[int]) -> float:
    """The variance that families share because their examples are the same: their covariances, at least 0."""
    means = np.stack([sample.influences[unit].mean(axis=0) for unit in part], axis=1)
    by_family = means @ sample.family_weights[:, part].T
    examples = len(means)
    return max(
        0.0, float(((by_family.sum(axis=1) ** 2) - (by_family**2).sum(axis=1)).sum()) * examples / (examples - 1)
    )


def _estimate(mean: float, variance: tuple[float, float]) -> Estimate:
    return Estimate(float(mean), math.sqrt(variance[0]), float(variance[1]))


# --- variances -------------------------------------------------------------------------------------------------------

# A variance of a mean with its degrees of freedom.
Term = tuple[np.ndarray | float, np.ndarray | float]


def mean_variance(values: np.ndarray) -> np.ndarray | float:
    """The variance of the mean of the last axis: s^2 / n."""
    return values.var(axis=-1, ddof=1) / values.shape[-1]


def two_way(cells: np.ndarray) -> tuple[Term, Term, Term]:
    """V(rows), V(columns) and V(both) of the mean of cells (..., rows, columns).

    V(both) is the interaction's mean square by the number of cells.
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


def crossed(rows: Term, columns: Term, both: Term, more: Sequence[Term] = ()) -> Term:
    """V(rows) + V(columns) - V(both), at least the larger of the first two, + more; degrees of freedom as `between`."""
    least = np.maximum(rows[0], columns[0])
    total = np.maximum(rows[0] + columns[0] - both[0], least) + sum(term[0] for term in more)
    return total, between([rows, columns, *more])


def between(terms: Sequence[Term]) -> np.ndarray | float:
    """Degrees of freedom of a sum: the harmonic mean of its parts', weighed by their variances.

    To first order in 1 / freedom its t is the mean of the parts' t, weighed in the same way, which is Cochran's (1964)
    answer to the problem of Behrens and Fisher. Satterthwaite's (1946) degrees are those of a variance whose parts are
    known. With the few seeds of a study they are far too many where these happen to lie close together, and the
    interval is then too narrow twice over.
    """
    total = sum(term[0] for term in terms)
    spread = np.asarray(sum(term[0] / term[1] for term in terms))
    poorest = np.full(np.shape(spread), float(min(term[1] for term in terms)))
    return np.divide(total, spread, out=poorest, where=spread > 0)


def add(terms: Sequence[Term]) -> Term:
    """The sum of independent variances, all of them alike in kind, with Satterthwaite's (1946) degrees of freedom."""
    total = sum(term[0] for term in terms)
    spread = np.asarray(sum(term[0] ** 2 / term[1] for term in terms))
    poorest = np.full(np.shape(spread), float(min(term[1] for term in terms)))
    return total, np.divide(np.square(total), spread, out=poorest, where=spread > 0)


def components(sample: Sample) -> dict[str, float]:
    """The variance of one seed's difference in one language, in its parts; empty below two seeds.

    seed, family, language (within its family), seed x language, example (the same for all seeds), seed x example; the
    last two of a mean over a language's examples. Estimated by the analysis of variance, of unequal families as in
    Searle, Casella & McCulloch (1992), at least 0; `family` only where languages share one.
    """
    if sample.seeds < 2 or min(found.shape[1] for found in sample.influences) < 2:
        return {}
    by_unit = [example_variances(found) for found in sample.influences]
    noise = sample.seeds * float(np.mean([rest[0] for _, rest in by_unit]))
    example = float(np.mean([both[0] for both, _ in by_unit])) - noise / sample.seeds
    found = {"seed": 0.0, "example": example, "seed x example": noise}
    if sample.units == 1:
        found["seed"] = float(sample.by_seed.var(ddof=1)) - noise
    else:
        seeds, _, both = two_way(sample.differences)
        interaction = float(both[0]) * sample.seeds * sample.units
        found["seed"] = sample.seeds * float(seeds[0]) - interaction / sample.units
        found["seed x language"] = interaction - noise
        between, within = family_variances(sample.differences.mean(axis=0), sample.families)
        if between is not None:
            found["family"] = between
        found["language"] = within - interaction / sample.seeds - max(0.0, example)
    order = ("seed", "family", "language", "seed x language", "example", "seed x example")
    return {name: max(0.0, found[name]) for name in order if name in found}


def family_variances(values: np.ndarray, families: Sequence[int]) -> tuple[float | None, float]:
    """Variances between and within families of unequal size; the first is None where that cannot be told apart."""
    sizes = np.bincount(families)
    if len(sizes) in (1, len(values)):
        return None, float(values.var(ddof=1))
    means = np.bincount(families, values) / sizes
    within = ((values - means[np.asarray(families)]) ** 2).sum() / (len(values) - len(sizes))
    between = (sizes * (means - values.mean()) ** 2).sum() / (len(sizes) - 1)
    typical = (len(values) - (sizes**2).sum() / len(values)) / (len(sizes) - 1)
    return float((between - within) / typical), float(within)


# --- several languages -----------------------------------------------------------------------------------------------


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in the order given: those at most alpha hold together with confidence 1 -
    alpha."""
    order = sorted(range(len(p)), key=lambda place: p[place])
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = largest
    return adjusted


def count_effects(means: Sequence[float], p: Sequence[float], alpha: float) -> tuple[int, int]:
    """In how many languages at least `a` is better, and in how many worse: K-hat of Dror et al. (2017).

    It counts what Holm's procedure rejects, which under any dependence is too many with probability alpha at most.
    """
    held = [mean for mean, adjusted in zip(means, holm(p), strict=True) if adjusted <= alpha]
    return sum(mean > 0 for mean in held), sum(mean < 0 for mean in held)
