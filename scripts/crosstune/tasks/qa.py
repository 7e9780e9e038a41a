"""Extractive question answering: the answer is a span of the context.

Protocol: Devlin et al. 2019 as in XTREME's run_squad (windows over long contexts, best start + end over all windows,
at most 20 candidates each and 30 tokens an answer), except that the softmax runs over real positions only.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from crosstune.batches import as_rows, real_places
from crosstune.encoding import Text, TextEncoder
from crosstune.tasks import Batch, Task, Windows

CANDIDATES = 20
LONGEST_ANSWER = 30
SEARCHED_AT_ONCE = 512


class QuestionAnswering(Task):
    def encode(self, rows: Sequence[dict], encoder: TextEncoder, options: dict) -> Windows:
        """Windows of `question, context`. A window without the whole answer has its first token as the target.

        `first`, `last` (per token): the characters of the context that the token stands for, -1 outside of it.
        """
        questions = encoder.texts([row["question"].strip() for row in rows])
        contexts = encoder.texts([row["context"] for row in rows])
        layout = encoder.pair_layout
        windows = []
        for number, (row, question, context) in enumerate(zip(rows, questions, contexts, strict=True)):
            question_ids = question.ids[: options["question"]]
            room = options["max_length"] - layout.specials - len(question_ids)
            head = len(layout.before) + len(question_ids) + len(layout.between)
            answer = _answer_tokens(row, context)
            for begin in _window_starts(len(context.ids), room, options["stride"]):
                end = min(begin + room, len(context.ids))
                ids, types = layout.pair(question_ids, context.ids[begin:end])
                first, last = np.full(len(ids), -1), np.full(len(ids), -1)
                first[head : head + end - begin] = context.starts[begin:end]
                last[head : head + end - begin] = context.ends[begin:end]
                inside = answer is not None and begin <= answer[0] and answer[1] < end
                start, stop = (head + token - begin for token in answer) if inside else (0, 0)
                windows.append(
                    {
                        "ids": ids,
                        "types": types,
                        "row": number,
                        "start": start,
                        "end": stop,
                        "first": first,
                        "last": last,
                    }
                )
        return Windows.join(windows, per_window=["start", "end"], per_token=["first", "last"])

    def build_head(self, config) -> nn.Module:
        return nn.Linear(config.hidden_size, 2)

    def loss(self, head, hidden, batch, recipe):
        logits, real = _span_logits(head, hidden, batch)
        smoothing = recipe["label_smoothing"]
        total = 0.0
        for side, name in enumerate(("start", "end")):
            surprise = -logits[..., side].log_softmax(1)
            total = total + (1 - smoothing) * surprise.gather(1, batch.values[name][:, None]).sum()
            if smoothing:
                total = total + smoothing * (surprise.masked_fill(~real, 0.0).sum(1) / real.sum(1)).sum()
        return total / 2

    def units(self, batch: Batch) -> int:
        return len(batch.lengths)

    def outputs(self, head, hidden, batch):
        """Per window the logits (tokens, 2) of its tokens as start and as end."""
        return list(head(hidden).float().cpu().split(batch.lengths))

    def answers(self, rows, windows, outputs):
        best: list = [None] * len(rows)
        for owner, span in zip(windows.rows.tolist(), spans_of(windows, outputs), strict=True):
            if span is not None and (best[owner] is None or span[0] > best[owner][0]):
                best[owner] = span
        return [
            {
                "id": row["id"],
                "prediction": row["context"][span[1] : span[2]] if span else "",
                "gold": row["answers"]["text"],
            }
            for row, span in zip(rows, best, strict=True)
        ]


def spans_of(windows: Windows, logits: Sequence[torch.Tensor]) -> list[tuple[float, int, int] | None]:
    """Per window the best span as (score, first character, last character), None where no span is possible."""
    starts, ends = (side.contiguous() for side in torch.cat(list(logits)).unbind(1))
    first, last = (torch.tensor(np.asarray(windows.per_token[name])) for name in ("first", "last"))
    inside = first >= 0
    offsets, lengths = torch.tensor(windows.offsets[:-1]), torch.tensor(windows.lengths)
    found: list = [None] * len(windows)
    # In order of length, so that little is padding; many at once, because every step of the search has its price.
    for part in lengths.argsort(stable=True).split(SEARCHED_AT_ONCE):
        column = torch.arange(int(lengths[part].max()))
        real = column < lengths[part, None]
        place = (offsets[part, None] + column).clamp(max=len(starts) - 1).flatten()
        # Far quicker than indexing by a matrix.
        scores = (side.index_select(0, place).view_as(real).masked_fill(~real, -torch.inf) for side in (starts, ends))
        score, start, end = best_spans(*scores, inside.index_select(0, place).view_as(real) & real)
        characters = first[offsets[part] + start], last[offsets[part] + end]
        for i, *span in zip(*(tensor.tolist() for tensor in (part, score, *characters)), strict=True):
            if span[0] > -np.inf:
                found[i] = tuple(span)
    return found


def best_spans(
    starts: torch.Tensor, ends: torch.Tensor, inside: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Score, start and end of the best span of each window; the score is -inf where no span is possible.

    `starts`, `ends` (windows, tokens): logits, -inf at padding; `inside`: the tokens of the context. As in the SQuAD
    example that XTREME uses: of the 20 best starts and the 20 best ends of all tokens, the pair inside the context with
    start <= end and at most 30 tokens that has the highest sum; the first of equals, in the order of the starts' ranks,
    then of the ends' (of equal logits the earlier token ranks first).

    The best of all spans is found first, which is cheap; nearly always it has no equal and its start and end are among
    the 20 best, and so it is the one. Where not, the 20 best are paired.
    """
    score, start, end, sure = _best_of_all(starts, ends, inside)
    unsure = (~sure).nonzero()[:, 0]
    if len(unsure):
        found = _best_of_candidates(starts[unsure], ends[unsure], inside[unsure])
        score[unsure], start[unsure], end[unsure] = found
    return score, start, end


def _best_of_all(starts: torch.Tensor, ends: torch.Tensor, inside: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Score, start and end of the highest span of each window, and whether it is surely that of `best_spans`."""
    possible = starts.masked_fill(~inside, -torch.inf)
    sums = _highest_before(possible, LONGEST_ANSWER) + ends.masked_fill(~inside, -torch.inf)
    score, end = sums.max(1)
    places = end[:, None] - torch.arange(LONGEST_ANSWER, device=end.device)
    band = possible.gather(1, places.clamp(min=0)).masked_fill(places < 0, -torch.inf)
    hits = band + ends.gather(1, end[:, None]) == score[:, None]
    start = places.gather(1, hits.to(torch.uint8).argmax(1, keepdim=True))[:, 0].clamp(min=0)
    alone = (hits.sum(1) == 1) & ((sums == score[:, None]).sum(1) == 1)
    ranked = _among_the_best(starts, start) & _among_the_best(ends, end)
    return score, start, end, (alone & ranked) | (score == -torch.inf)


def _highest_before(values: torch.Tensor, width: int) -> torch.Tensor:
    """At each place the highest of the last `width` values of its row, itself included."""
    found, reach = values, 1
    while reach < width:
        step = min(reach, width - reach)
        found = torch.maximum(found, nn.functional.pad(found, (step, 0), value=-torch.inf)[:, : values.shape[1]])
        reach += step
    return found


def _among_the_best(values: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Whether the value at `place` is surely a candidate: with its equals it is not beyond the CANDIDATES best."""
    return (values >= values.gather(1, place[:, None])).sum(1) <= CANDIDATES


def _best_of_candidates(starts: torch.Tensor, ends: torch.Tensor, inside: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Score, start and end of the highest pair of the CANDIDATES best starts and ends."""
    start_scores, starts = _top(starts)
    end_scores, ends = _top(ends)
    start_scores = start_scores.masked_fill(~inside.gather(1, starts), -torch.inf)
    end_scores = end_scores.masked_fill(~inside.gather(1, ends), -torch.inf)
    scores = start_scores[:, :, None] + end_scores[:, None, :]
    length = ends[:, None, :] - starts[:, :, None] + 1
    best, index = scores.masked_fill((length < 1) | (length > LONGEST_ANSWER), -torch.inf).flatten(1).max(1)
    rows = torch.arange(len(index), device=index.device)
    return best, starts[rows, index // ends.shape[1]], ends[rows, index % ends.shape[1]]


def _top(scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The CANDIDATES highest of each row and their places, best first, equals by place."""
    found = scores.sort(dim=1, descending=True, stable=True)
    return found.values[:, :CANDIDATES], found.indices[:, :CANDIDATES]


def _span_logits(head, hidden: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (windows, tokens, 2) in fp32 with -inf at padding, and which tokens are real (windows, tokens).

    A softmax over padding would depend on how rows are batched.
    """
    real = real_places(batch.lengths, hidden.device)
    return as_rows(head(hidden).float(), real, -torch.inf), real


def _window_starts(length: int, room: int, stride: int) -> list[int]:
    """First context token of each window; the last window is the first that reaches the end."""
    starts = [0]
    while starts[-1] + room < length:
        starts.append(starts[-1] + min(stride, room))
    return starts


def _answer_tokens(row: dict, context: Text) -> tuple[int, int] | None:
    """First and last token of the first gold answer; None where there is no answer or the tokenizer dropped it."""
    if not row["answers"]["text"] or not len(context.ids):
        return None
    begin = row["answers"]["answer_start"][0]
    end = begin + len(row["answers"]["text"][0])
    first = int(np.searchsorted(context.ends, begin, side="right"))
    last = int(np.searchsorted(context.starts, end, side="left")) - 1
    return (first, last) if first <= last < len(context.ids) else None
