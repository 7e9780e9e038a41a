"""Numbers that know their terms: arithmetic keeps value and terms together."""

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.analysis.terms import ScoreSum, Term, mean, with_terms

NUMBERS = st.lists(st.floats(0, 100), min_size=1, max_size=6)


def summed(number: ScoreSum, numbers: list[float]) -> float:
    return sum(term.weight * numbers[term.path[0]] for term in number.terms)


def test_a_score_knows_its_place_in_its_file():
    entry = with_terms("a.json", {"looks": [{"qen": {"f1": 40.0, "n": 10}}]})["looks"][0]["qen"]
    assert entry == {"f1": 40.0, "n": 10} and entry["f1"].terms == (Term("a.json", ("looks", 0, "qen", "f1")),)
    assert (entry["f1"] - 1.0).terms == entry["f1"].terms and mean([1.0, 2.0]).terms == ()


@given(NUMBERS, NUMBERS)
def test_values_are_those_of_plain_numbers_and_of_the_terms(left, right):
    numbers, weights = left + right, list(range(1, len(right) + 1))
    scores = with_terms("a.json", numbers)
    plain = fmean(left) - fmean(right, weights)
    difference = mean(scores[: len(left)]) - mean(scores[len(left) :], weights)
    assert difference == plain and summed(difference, numbers) == pytest.approx(plain, abs=1e-9)
