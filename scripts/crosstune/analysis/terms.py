"""Numbers that know their terms: each is the sum of weighted scores.

Averages, differences and measures are linear in the scores that they are made of, so that a list of terms is enough to
recompute each of them (reporting/tables/provenance.py writes these lists).
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from statistics import fmean
from typing import Any, NamedTuple

# Keys of numbers that are no scores: examples of a language, and the update of an evaluation.
COUNTS = ("n", "update")


class Term(NamedTuple):
    """`weight` times a number of a JSON file.

    file: relative to the study's folder of results. path: the keys that lead to the number, the last two of which are
    language and metric. weight: negative for a score that is subtracted.
    """

    file: str
    path: tuple[str | int, ...]
    weight: float = 1.0


class ScoreSum(float):
    """A float with its terms. Means (see `mean`) and differences keep terms; other arithmetic gives a plain float."""

    __slots__ = ("terms",)
    terms: tuple[Term, ...]

    def __new__(cls, value: float, terms: Iterable[Term] = ()) -> "ScoreSum":
        number = super().__new__(cls, value)
        number.terms = tuple(terms)
        return number

    def __sub__(self, other: float) -> "ScoreSum":
        return ScoreSum(float(self) - float(other), (*self.terms, *_scaled(other, -1.0)))


def mean(numbers: Iterable[float], weights: Sequence[float] | None = None) -> ScoreSum:
    """The weighted mean of some numbers, as statistics.fmean, with the terms of all of them."""
    numbers = list(numbers)
    value = fmean(numbers, weights)
    shares = [1.0] * len(numbers) if weights is None else weights
    total = sum(shares)
    parts = (_scaled(number, share / total) for number, share in zip(numbers, shares, strict=True))
    return ScoreSum(value, chain.from_iterable(parts))


def with_terms(file: str, content: Any, path: tuple[str | int, ...] = ()) -> Any:
    """The content of a JSON file at `path`; its numbers, except COUNTS, know their places."""
    if isinstance(content, dict):
        return {key: with_terms(file, value, (*path, key)) for key, value in content.items()}
    if isinstance(content, list):
        return [with_terms(file, value, (*path, number)) for number, value in enumerate(content)]
    is_score = isinstance(content, int | float) and path[-1] not in COUNTS
    return ScoreSum(content, [Term(file, path)]) if is_score else content


def _scaled(number: float, factor: float) -> Iterable[Term]:
    terms = number.terms if isinstance(number, ScoreSum) else ()
    return (Term(file, path, weight * factor) for file, path, weight in terms)
