"""Resampling: the crossed bootstrap over seeds, languages and examples, and the exact sign-flip test over seeds.

Owns: how replicates are drawn and weighed. Must never know: where scores come from, what is concluded.

A replicate draws seeds, families of languages and examples with replacement, each way by itself, and weighs every
score by how often its seed, its family and its example were drawn (McCullagh 2000; the pigeonhole bootstrap of Owen
2007). Two schedules, and all seeds, share the draw of examples; languages that have the same examples (a test set that
was translated) share it too. Draws are counts, so that a replicate is a matrix product.
"""

from collections.abc import Sequence

import numpy as np

CHUNK = 2_000_000

"""Drawn examples held in memory at once."""


def drawn_counts(rng: np.random.Generator, replicates: int, items: int) -> np.ndarray:
    """How often each of `items` was drawn, in each replicate, when as many are drawn with replacement.

    Shape (replicates, items); every row adds up to `items`.
    """
    drawn = rng.integers(0, items, (replicates, items), dtype=np.uint32).astype(np.intp)
    drawn += np.arange(0, replicates * items, items, dtype=np.intp)[:, None]
    return np.bincount(drawn.ravel(), minlength=replicates * items).reshape(replicates, items)


def resampled_ratios(
    numerators: np.ndarray, denominators: np.ndarray | None, rng: np.random.Generator, replicates: int
) -> np.ndarray:
    """Scores of resampled examples: sums of numerators over sums of denominators, or means where there are none.

    numerators, denominators: (..., examples), which all share one draw per replicate. Returns (replicates, ...); a
    score whose denominators add up to 0 is 0.
    """
    *shape, examples = numerators.shape
    above = numerators.reshape(-1, examples).T
    below = None if denominators is None else denominators.reshape(-1, examples).T
    found = np.empty((replicates, above.shape[1]))
    step = max(1, CHUNK // examples)
    for start in range(0, replicates, step):
        stop = min(start + step, replicates)
        counts = drawn_counts(rng, stop - start, examples).astype(float)
        sums = counts @ above
        if below is None:
            found[start:stop] = sums / examples
        else:
            weights = counts @ below
            found[start:stop] = np.divide(sums, weights, out=np.zeros_like(sums), where=weights != 0)
    return found.reshape(replicates, *shape)


def resampled_seeds(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The means over resampled seeds of replicates (replicates, units, seeds): (replicates, units).

    All units share a replicate's draw of seeds.
    """
    replicates, _, seeds = scores.shape
    weights = drawn_counts(rng, replicates, seeds) / seeds
    return np.einsum("rus,rs->ru", scores, weights)


def over_groups(scores: np.ndarray, weights: np.ndarray, groups: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """The means over resampled groups of units (families) of replicates (replicates, units): (replicates,).

    A drawn group brings all its units, with their `weights` (units,) among themselves; groups count alike.
    """
    replicates = len(scores)
    number = max(groups) + 1
    means = np.stack([group_mean(scores, weights, groups, group) for group in range(number)], axis=1)
    return (means * drawn_counts(rng, replicates, number)).sum(axis=1) / number


def group_mean(scores: np.ndarray, weights: np.ndarray, groups: Sequence[int], group: int) -> np.ndarray:
    """The weighted mean over the units of a group; units are the last axis of `scores`."""
    chosen = np.asarray(groups) == group
    return scores[..., chosen] @ weights[chosen] / weights[chosen].sum()


def percentiles(replicates: np.ndarray, confidence: float) -> tuple[float, float]:
    """The interval that holds the middle `confidence` of the replicates."""
    low, high = np.quantile(replicates, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def sign_flip(differences: Sequence[float]) -> float:
    """The exact two-sided p of the mean of paired differences, if their signs were given by chance.

    The share of all 2^n patterns of signs whose sum is at least as far from 0 (Fisher 1935). The patterns are
    enumerated as pairs of halves: the sums of one half are looked up among the sorted sums of the other.
    """
    values = np.asarray(differences, dtype=float)
    first, second = (_signed_sums(half) for half in np.array_split(values, 2))
    # Sums that are equal but for rounding count as equal.
    bound = abs(values.sum()) - 1e-9 * np.abs(values).sum()
    if bound <= 0:
        return 1.0
    second.sort()
    above = len(second) - np.searchsorted(second, bound - first)
    return min(1.0, 2 * int(above.sum()) / 2 ** len(values))


def _signed_sums(values: np.ndarray) -> np.ndarray:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def smallest_sign_flip(seeds: int) -> float:
    """The smallest p that the sign-flip test can give with so many seeds."""
    return 2.0 ** (1 - seeds)
