"""The span search gives what the SQuAD example's loop gives, ties included."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune import spans
from crosstune.spans import CANDIDATES, LONGEST_ANSWER, best_spans


def slow_best_span(logits: np.ndarray, inside: np.ndarray) -> tuple[float, int, int] | None:
    """The SQuAD example's loop over the n best starts and ends of one window; None where no span is possible."""

    def n_best(side: int) -> list[int]:
        return sorted(range(len(logits)), key=lambda place: logits[place][side], reverse=True)[:CANDIDATES]

    spans = []
    for start in n_best(0):
        for end in n_best(1):
            if inside[start] and inside[end] and start <= end and end - start + 1 <= LONGEST_ANSWER:
                spans.append((logits[start][0] + logits[end][1], start, end))
    return sorted(spans, key=lambda span: span[0], reverse=True)[0] if spans else None


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 10**6),
    st.lists(st.tuples(st.integers(1, 90), st.integers(0, 30)), min_size=1, max_size=6),
    st.sampled_from([1, 2, 4, 16, 10**6]),
    st.sampled_from([1.0, 1e-6, 1e6]),
)
def test_the_best_span_is_that_of_the_loop_ties_included(seed, windows, levels, scale):
    """Few levels of logits give many ties, within the candidates and at their border."""
    rng = np.random.default_rng(seed)
    offsets = np.cumsum([0, *(length for length, _ in windows)])
    logits = (rng.integers(0, levels, (offsets[-1], 2)) * scale / levels).astype(np.float32)
    inside = np.concatenate([np.arange(length) >= outside for length, outside in windows])
    found = best_spans(logits[:, 0], logits[:, 1], inside, offsets)
    for n, (first, last) in enumerate(itertools.pairwise(offsets)):
        expected = slow_best_span(logits[first:last], inside[first:last])
        span = (found.score[n], found.start[n] - first, found.end[n] - first)
        assert (span if span[0] > -np.inf else None) == expected


def test_windows_are_searched_in_parts_that_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    offsets = np.arange(0, 60 * 40 + 1, 40)
    starts, ends = rng.normal(size=(2, offsets[-1])).astype(np.float32)
    inside = np.arange(offsets[-1]) % 40 >= 10
    whole = best_spans(starts, ends, inside, offsets)
    monkeypatch.setattr(spans, "SEARCHED_AT_ONCE", 7)
    for one, other in zip(whole, best_spans(starts, ends, inside, offsets), strict=True):
        assert np.array_equal(one, other)


def test_a_model_that_diverged_has_no_spans():
    logits = np.full(20, np.nan, np.float32)
    assert best_spans(logits, logits, np.ones(20, bool), np.array([0, 20])).score.tolist() == [-np.inf]


def test_a_peak_outside_of_the_context_takes_a_place_among_the_candidates():
    """Twenty starts outside outrank the one inside: the example then knows no span, however sure the model is."""
    starts = np.zeros(CANDIDATES + 2, np.float32)
    starts[:CANDIDATES] = 2
    starts[CANDIDATES] = 1
    inside = np.arange(len(starts)) >= CANDIDATES
    found = best_spans(starts, starts, inside, np.array([0, len(starts)]))
    assert found.score.tolist() == [-np.inf]
