"""Resampling: the crossed bootstrap over seeds, languages and examples, and the exact sign-flip test over seeds.

A resample draws seeds, language families and examples with replacement, independently of each other. It weights every
score by the counts of its seed, family and example (McCullagh 2000; the pigeonhole bootstrap of Owen 2007). Both
schedules and all seeds share the draw of examples, as do the languages of a translated test set. Draws are counts: a
resample is a matrix product.
"""

from collections.abc import Sequence

import numpy as np

# Resampled examples in memory at a time.
CHUNK = 2_000_000


def draw_counts(rng: np.random.Generator, resamples: int, items: int) -> np.ndarray:
    """Counts of `items` draws with replacement from `items`: (resamples, items); every row adds up to `items`."""
    drawn = rng.integers(0, items, (resamples, items), dtype=np.uint32).astype(np.intp)
    drawn += np.arange(0, resamples * items, items, dtype=np.intp)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * items).reshape(resamples, items)


def resampled_ratios(
    numerators: np.ndarray, denominators: np.ndarray | None, rng: np.random.Generator, resamples: int
) -> np.ndarray:
    """Scores of resampled examples: sums of numerators over sums of denominators; means without denominators.

    numerators, denominators: (..., examples), with one draw per resample for all. Returns (resamples, ...). A score
    is 0 if its denominators add up to 0.
    """
    *shape, examples = numerators.shape
    above = numerators.reshape(-1, examples).T
    below = None if denominators is None else denominators.reshape(-1, examples).T
    scores = np.empty((resamples, above.shape[1]))
    step = max(1, CHUNK // examples)
    for start in range(0, resamples, step):
        stop = min(start + step, resamples)
        counts = draw_counts(rng, stop - start, examples).astype(float)
        sums = counts @ above
        if below is None:
            scores[start:stop] = sums / examples
        else:
            weights = counts @ below
            scores[start:stop] = np.divide(sums, weights, out=np.zeros_like(sums), where=weights != 0)
    return scores.reshape(resamples, *shape)


def resampled_seed_means(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Means over resampled seeds of scores (resamples, units, seeds): (resamples, units).

    All units share the seeds of a resample.
    """
    resamples, _, seeds = scores.shape
    weights = draw_counts(rng, resamples, seeds) / seeds
    return np.einsum("rus,rs->ru", scores, weights)


def resampled_group_means(
    scores: np.ndarray, weights: np.ndarray, groups: Sequence[int], rng: np.random.Generator
) -> np.ndarray:
    """Means over resampled groups of units (families) of scores (resamples, units): (resamples,).

    A group brings all its units, with relative `weights` (units,); groups have equal weight.
    """
    resamples = len(scores)
    number = max(groups) + 1
    means = np.stack([group_mean(scores, weights, groups, group) for group in range(number)], axis=1)
    return (means * draw_counts(rng, resamples, number)).sum(axis=1) / number


def group_mean(scores: np.ndarray, weights: np.ndarray, groups: Sequence[int], group: int) -> np.ndarray:
    """The weighted mean over the units of a group; units are the last axis of `scores`."""
    chosen = np.asarray(groups) == group
    return scores[..., chosen] @ weights[chosen] / weights[chosen].sum()


def percentile_interval(resamples: np.ndarray, confidence: float) -> tuple[float, float]:
    """The percentile interval: the middle `confidence` of the resamples."""
    low, high = np.quantile(resamples, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def sign_flip_p(differences: Sequence[float]) -> float:
    """The exact two-sided p of the mean of paired differences under random signs (Fisher 1935).

    p is the share of the 2^n sign patterns whose sum is at least as far from 0. The enumeration splits the differences
    in two halves and looks up the sums of one half among the sorted sums of the other.
    """
    values = np.asarray(differences, dtype=float)
    first, second = (_signed_sums(half) for half in np.array_split(values, 2))
    # Sums that differ by rounding only are equal.
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


def smallest_sign_flip_p(seeds: int) -> float:
    """The smallest possible p of the sign-flip test with `seeds` seeds."""
    return 2.0 ** (1 - seeds)
