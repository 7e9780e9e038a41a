"""The span search finds the same spans as the SQuAD example's loop, ties included."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.modeling.tasks import span_search
from crosstune.modeling.tasks.span_search import CANDIDATES, LONGEST_ANSWER, WindowLayout, best_spans


def slow_best_span(logits: np.ndarray, inside: np.ndarray) -> tuple[float, int, int] | None:
    """The SQuAD example's loop over the n best starts and ends of one window; None if no span is possible."""

    def n_best(side: int) -> list[int]:
        return sorted(range(len(logits)), key=lambda place: logits[place][side], reverse=True)[:CANDIDATES]

    spans = []
    for start in n_best(0):
        for end in n_best(1):
            if inside[start] and inside[end] and start <= end and end - start + 1 <= LONGEST_ANSWER:
                spans.append((logits[start][0] + logits[end][1], start, end))
    return sorted(spans, key=lambda span: span[0], reverse=True)[0] if spans else None


def layout_of(windows: list[tuple[int, int, int]]) -> WindowLayout:
    """Windows of some lengths, with so many tokens outside of the context before and after it."""
    lengths, before, after = np.array(windows).T
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    first = np.minimum(offsets[:-1] + before, offsets[1:])
    return WindowLayout(offsets, first, np.maximum(first, offsets[1:] - after))


def spans_of(starts: np.ndarray, ends: np.ndarray, layout: WindowLayout) -> span_search.BestSpans:
    """The best spans of logits that lie end to end."""
    return best_spans(np.split(np.stack([starts, ends], 1), layout.offsets[1:-1]), layout)


@settings(max_examples=300)
@given(
    st.integers(0, 10**6),
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 30), st.integers(0, 2)), min_size=1, max_size=6),
    st.sampled_from([1, 2, 4, 16, 100, 10**6]),
    st.sampled_from([1.0, 1e-6, 1e6]),
)
def test_the_best_span_is_that_of_the_loop_ties_included(seed, windows, levels, scale):
    """Few levels of logits give many ties, within the candidates and at their border."""
    rng = np.random.default_rng(seed)
    layout = layout_of(windows)
    count = layout.offsets[-1]
    logits = (rng.integers(0, levels, (count, 2)) * scale / levels).astype(np.float32)
    found = best_spans(np.split(logits, layout.offsets[1:-1]), layout)
    for n, (first, last) in enumerate(itertools.pairwise(layout.offsets)):
        inside = (np.arange(first, last) >= layout.first[n]) & (np.arange(first, last) < layout.last[n])
        expected = slow_best_span(logits[first:last], inside)
        span = (found.score[n], found.start[n] - first, found.end[n] - first)
        assert (span if span[0] > -np.inf else None) == expected


def test_a_good_span_that_is_no_pair_of_candidates_is_passed_over():
    """The best start has only ends beyond the 20 best after it: the example never sees that span, however high."""
    starts, ends = np.zeros(100, np.float32), np.zeros(100, np.float32)
    starts[99], ends[99] = 9, 1
    starts[10], ends[10:40] = 1, 2
    found = spans_of(starts, ends, layout_of([(100, 0, 0)]))
    expected = slow_best_span(np.stack([starts, ends], 1), np.ones(100, bool))
    assert (found.score[0], found.start[0], found.end[0]) == expected == (3, 10, 10)


def test_windows_are_searched_in_parts_that_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    layout = layout_of([(40, 10, 1)] * 60)
    starts, ends = rng.normal(size=(2, layout.offsets[-1])).astype(np.float32)
    whole = spans_of(starts, ends, layout)
    monkeypatch.setattr(span_search, "SEARCH_CHUNK", 7)
    for one, other in zip(whole, spans_of(starts, ends, layout), strict=True):
        assert np.array_equal(one, other)


def test_a_model_that_diverged_has_no_spans():
    logits = np.full(20, np.nan, np.float32)
    assert spans_of(logits, logits, layout_of([(20, 0, 0)])).score.tolist() == [-np.inf]


def test_a_peak_outside_of_the_context_takes_a_place_among_the_candidates():
    """Twenty starts outside outrank the one inside: the example then knows no span, however sure the model is."""
    starts = np.zeros(CANDIDATES + 2, np.float32)
    starts[:CANDIDATES] = 2
    starts[CANDIDATES] = 1
    found = spans_of(starts, starts, layout_of([(len(starts), CANDIDATES, 0)]))
    assert found.score.tolist() == [-np.inf]
