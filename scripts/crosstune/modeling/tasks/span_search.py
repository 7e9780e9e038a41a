"""The best span of every window, for extractive question answering.

The search is that of the SQuAD example in XTREME. Among the 20 best starts and the 20 best ends of all tokens it takes
the pair with the highest sum, inside the context, with start <= end and at most 30 tokens. Equals rank by their start's
rank, then by their end's; of equal logits the earlier token ranks first.

It pads nothing and loops over no windows. A good span (the best start with the best end after it, or the best end with
the best start before it) sets a bound. Few starts reach it even with the best end of all, few ends with the best start,
and the search pairs only those.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CANDIDATES = 20

LONGEST_ANSWER = 30

# Windows per search: enough to hide the cost of numpy's calls, few enough to stay in the processor's cache.
SEARCH_CHUNK = 1024


class BestSpans(NamedTuple):
    """The score of each window's best span and the places of its first and last token; -inf if none is possible."""

    score: np.ndarray
    start: np.ndarray
    end: np.ndarray


class WindowLayout(NamedTuple):
    """Token ranges: window i has the tokens `offsets[i]:offsets[i + 1]`, its context `first[i]:last[i]`."""

    offsets: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def cut(self, windows: slice) -> tuple[slice, "WindowLayout"]:
        """The tokens of a slice of the windows, and their layout, relative to the first token."""
        offsets = self.offsets[windows.start : windows.stop + 1]
        begin = offsets[0]
        return slice(begin, offsets[-1]), WindowLayout(
            offsets - begin, self.first[windows] - begin, self.last[windows] - begin
        )

    def select(self, windows: np.ndarray) -> tuple[np.ndarray, "WindowLayout"]:
        """The places of the tokens of some windows, and the layout of these tokens end to end."""
        count = np.diff(self.offsets)[windows]
        offsets = np.concatenate([[0], np.cumsum(count)])
        shift = self.offsets[windows] - offsets[:-1]
        places = np.arange(offsets[-1]) + np.repeat(shift, count)
        return places, WindowLayout(offsets, self.first[windows] - shift, self.last[windows] - shift)


def best_spans(logits: Sequence[np.ndarray], layout: WindowLayout) -> BestSpans:
    """The best spans of windows that lie end to end; `logits`: (tokens, 2) of each, starts and ends, in fp32."""
    parts, missed = [], []
    for begin in range(0, len(logits), SEARCH_CHUNK):
        tokens, part = layout.cut(slice(begin, min(begin + SEARCH_CHUNK, len(logits))))
        starts, ends = np.concatenate(logits[begin : begin + SEARCH_CHUNK]).T.copy()
        bound, start_least, end_least = _least_candidates(starts, ends, part)
        best = _pair(starts, ends, part, start_least, end_least)
        parts.append(BestSpans(best.score, best.start + tokens.start, best.end + tokens.start))
        missed.append(begin + np.flatnonzero(best.score < bound))
    spans = BestSpans(*(np.concatenate(sides) for sides in zip(*parts, strict=True)))
    _search_again(logits, layout, np.concatenate(missed), spans)
    return spans


def _search_again(logits: Sequence[np.ndarray], layout: WindowLayout, missed: np.ndarray, spans: BestSpans) -> None:
    """Search windows without a bound if its span is no pair of candidates and no other span reaches it."""
    if not len(missed):
        return
    places, part = layout.select(missed)
    starts, ends = np.concatenate([logits[window] for window in missed]).T.copy()
    best = _pair(starts, ends, part, _least_ranked(starts, part), _least_ranked(ends, part))
    spans.score[missed] = best.score
    spans.start[missed], spans.end[missed] = places[best.start], places[best.end]


def _pair(
    starts: np.ndarray, ends: np.ndarray, layout: WindowLayout, start_least: np.ndarray, end_least: np.ndarray
) -> BestSpans:
    """The best spans among candidates of at least `start_least` and `end_least` (windows,)."""
    first, owner = _candidates(starts, start_least, layout)
    last, _ = _candidates(ends, end_least, layout)
    # The possible ends of each start are neighbours among the candidates.
    low = np.searchsorted(last, first)
    high = np.searchsorted(last, np.minimum(first + LONGEST_ANSWER, layout.last[owner]))
    count = high - low
    pair = np.repeat(np.arange(len(first)), count)
    first, owner = first[pair], owner[pair]
    last = last[np.arange(len(pair)) - np.repeat(np.cumsum(count) - count - low, count)]
    sums = starts[first] + ends[last]

    score = np.full(len(layout.first), -np.inf, np.float32)
    if len(owner):
        opening = np.flatnonzero(np.diff(owner, prepend=-1))
        score[owner[opening]] = np.maximum.reduceat(sums, opening)
    equal = np.flatnonzero(sums == score[owner])
    first, last, owner = first[equal], last[equal], owner[equal]
    order = np.lexsort((last, -ends[last], first, -starts[first], owner))
    order = order[np.diff(owner[order], prepend=-1) > 0]
    spans = BestSpans(score, layout.offsets[:-1].copy(), layout.offsets[:-1].copy())
    spans.start[owner[order]], spans.end[owner[order]] = first[order], last[order]
    return spans


def _least_candidates(starts: np.ndarray, ends: np.ndarray, layout: WindowLayout) -> tuple[np.ndarray, ...]:
    """The score of a good span per window, and the least start and end of a span as good; NaN if none is possible."""
    best_start, place_of_start = _best(starts, layout)
    best_end, place_of_end = _best(ends, layout)
    reach = np.arange(LONGEST_ANSWER)
    after, before = place_of_start[:, None] + reach, place_of_end[:, None] - reach
    end_after = np.where(after < layout.last[:, None], ends[np.minimum(after, len(ends) - 1)], -np.inf).max(1)
    start_before = np.where(before >= layout.first[:, None], starts[np.maximum(before, 0)], -np.inf).max(1)
    bound = np.maximum(best_start + end_after, best_end + start_before).astype(np.float32)
    with np.errstate(invalid="ignore"):
        # Sums are rounded: candidates that are less by no more than the rounding must stay.
        slack = 2 * np.spacing(np.maximum.reduce([np.abs(bound), np.abs(best_start), np.abs(best_end)]))
        return bound, bound - best_end - slack, bound - best_start - slack


def _least_ranked(values: np.ndarray, layout: WindowLayout) -> np.ndarray:
    """The value that ranks last among each window's candidates; -inf if all its tokens are candidates."""
    lengths = np.diff(layout.offsets)
    padded = np.full((len(lengths), max(lengths.max(), CANDIDATES)), -np.inf, np.float32)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = values
    return np.partition(padded, -CANDIDATES, axis=1)[:, -CANDIDATES]


def _best(values: np.ndarray, layout: WindowLayout) -> tuple[np.ndarray, np.ndarray]:
    """The best value of every context and its first place; -inf for a window without context."""
    best = np.full(len(layout.first), -np.inf, np.float32)
    some = np.flatnonzero(layout.first < layout.last)
    bounds = np.stack([layout.first[some], layout.last[some]], 1).ravel()
    if len(bounds):
        # Every other range lies between two contexts.
        tail = bounds[-1:] == len(values)
        best[some] = np.maximum.reduceat(values, bounds[:-1] if tail else bounds)[::2]
    hits = np.flatnonzero(values == np.repeat(best, np.diff(layout.offsets)))
    owner = np.searchsorted(layout.offsets, hits, side="right") - 1
    inside = hits >= layout.first[owner]
    places = layout.offsets[:-1].copy()
    places[owner[inside][::-1]] = hits[inside][::-1]
    return best, places


def _candidates(values: np.ndarray, least: np.ndarray, layout: WindowLayout) -> tuple[np.ndarray, np.ndarray]:
    """Places and windows of the candidates inside a context with a value of at least `least`, in order of place."""
    places = np.flatnonzero(values >= np.repeat(least, np.diff(layout.offsets)))
    owner = np.searchsorted(layout.offsets, places, side="right") - 1
    inside = (places >= layout.first[owner]) & (places < layout.last[owner])
    crowded = np.flatnonzero(np.bincount(owner)[owner] > CANDIDATES)
    if len(crowded):
        order = crowded[np.lexsort((-values[places[crowded]], owner[crowded]))]
        rank = np.arange(len(order)) - np.searchsorted(owner[order], owner[order])
        inside[order[rank >= CANDIDATES]] = False
    return places[inside], owner[inside]
