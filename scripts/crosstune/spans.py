"""The best span of every window, for extractive question answering.

Owns: the search, which is that of the SQuAD example that XTREME uses: of the 20 best starts and the 20 best ends of all
tokens, the pair inside the context with start <= end and at most 30 tokens that has the highest sum; the first of
equals, in the order of the starts' ranks, then of the ends' (of equal logits the earlier token ranks first).
Must never know: tokens, texts, models.

Nothing is padded and no window has a loop of its own. A span that is surely possible (the best start with the best end
after it, or the best end with the best start before it) bounds the score from below; few starts could reach it even
with the best of all ends, few ends with the best of all starts, and only those are paired.
"""

from typing import NamedTuple

import numpy as np

CANDIDATES = 20
LONGEST_ANSWER = 30
# Windows searched at once: so many that numpy's price of a call is nothing, so few that they stay in the cache.
SEARCHED_AT_ONCE = 512


class Spans(NamedTuple):
    """Per window the score of its best span and the places of its first and last token; -inf where none is possible."""

    score: np.ndarray
    start: np.ndarray
    end: np.ndarray


def best_spans(starts: np.ndarray, ends: np.ndarray, inside: np.ndarray, offsets: np.ndarray) -> Spans:
    """The best spans of windows that lie end to end.

    `starts`, `ends` (tokens,): logits in fp32; `inside` (tokens,): the tokens of the context; `offsets` (windows + 1,):
    window i is `offsets[i]:offsets[i + 1]`. Places count from the first token of the first window.
    """
    parts = []
    for first in range(0, len(offsets) - 1, SEARCHED_AT_ONCE):
        bounds = offsets[first : first + SEARCHED_AT_ONCE + 1]
        part = slice(bounds[0], bounds[-1])
        found = _search(starts[part], ends[part], inside[part], bounds - bounds[0])
        parts.append(Spans(found.score, found.start + bounds[0], found.end + bounds[0]))
    return Spans(*(np.concatenate(sides) for sides in zip(*parts, strict=True)))


def _search(starts: np.ndarray, ends: np.ndarray, inside: np.ndarray, offsets: np.ndarray) -> Spans:
    start_least, end_least = _least_candidates(starts, ends, inside, offsets)
    first, owner = _candidates(starts, start_least, inside, offsets)
    last, _ = _candidates(ends, end_least, inside, offsets)
    # The ends that each start can go with are neighbours among the candidates.
    low = np.searchsorted(last, first)
    high = np.searchsorted(last, np.minimum(first + LONGEST_ANSWER, offsets[owner + 1]))
    count = high - low
    pair = np.repeat(np.arange(len(first)), count)
    first, owner = first[pair], owner[pair]
    last = last[np.arange(len(pair)) - np.repeat(np.cumsum(count) - count - low, count)]
    sums = starts[first] + ends[last]

    score = np.full(len(offsets) - 1, -np.inf, np.float32)
    if len(owner):
        opening = np.flatnonzero(np.diff(owner, prepend=-1))
        score[owner[opening]] = np.maximum.reduceat(sums, opening)
    equal = np.flatnonzero(sums == score[owner])
    first, last, owner = first[equal], last[equal], owner[equal]
    order = np.lexsort((last, -ends[last], first, -starts[first], owner))
    order = order[np.diff(owner[order], prepend=-1) > 0]
    spans = Spans(score, offsets[:-1].copy(), offsets[:-1].copy())
    spans.start[owner[order]], spans.end[owner[order]] = first[order], last[order]
    return spans


def _least_candidates(
    starts: np.ndarray, ends: np.ndarray, inside: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The least start and the least end, per window, that the best span can have; NaN where no span is possible."""
    starts, ends = (np.where(inside, side, np.float32(-np.inf)) for side in (starts, ends))
    best_start, best_end = (np.maximum.reduceat(side, offsets[:-1]) for side in (starts, ends))
    reach = np.arange(LONGEST_ANSWER)
    after = _places_of(best_start, starts, offsets)[:, None] + reach
    before = _places_of(best_end, ends, offsets)[:, None] - reach
    end_after = np.where(after < offsets[1:, None], ends[np.minimum(after, len(ends) - 1)], -np.inf).max(1)
    start_before = np.where(before >= offsets[:-1, None], starts[np.maximum(before, 0)], -np.inf).max(1)
    bound = np.maximum(best_start + end_after, best_end + start_before).astype(np.float32)
    with np.errstate(invalid="ignore"):
        # A sum is rounded: what is less by no more than that must stay.
        slack = 2 * np.spacing(np.maximum.reduce([np.abs(bound), np.abs(best_start), np.abs(best_end)]))
        return bound - best_end - slack, bound - best_start - slack


def _places_of(best: np.ndarray, values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The first place of every window's best value."""
    hits = np.flatnonzero(values == np.repeat(best, np.diff(offsets)))
    owner = np.searchsorted(offsets, hits, side="right") - 1
    places = offsets[:-1].copy()
    places[owner[::-1]] = hits[::-1]
    return places


def _candidates(
    values: np.ndarray, least: np.ndarray, inside: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Places and windows of the values from `least` on that are among the CANDIDATES best and inside, by place."""
    places = np.flatnonzero(values >= np.repeat(least, np.diff(offsets)))
    owner = np.searchsorted(offsets, places, side="right") - 1
    kept = inside[places]
    crowded = np.flatnonzero(np.bincount(owner)[owner] > CANDIDATES)
    if len(crowded):
        order = crowded[np.lexsort((-values[places[crowded]], owner[crowded]))]
        rank = np.arange(len(order)) - np.searchsorted(owner[order], owner[order])
        kept[order[rank >= CANDIDATES]] = False
    return places[kept], owner[kept]
