"""Extractive question answering: the answer is a span of the context.

Protocol: Devlin et al. 2019 as in XTREME's run_squad (windows over long contexts, best start + end over all windows,
at most 20 candidates each and 30 tokens an answer), except that the softmax runs over real positions only.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from crosstune.encoding import Text, TextEncoder
from crosstune.tasks import Batch, Task, Windows

CANDIDATES = 20
LONGEST_ANSWER = 30


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
        """Per window the best (score, first character, last character), or None where no span is possible."""
        logits, real = _span_logits(head, hidden, batch)
        first, last = (_rows(batch.values[name], real, -1) for name in ("first", "last"))
        score, start, end = best_spans(logits, first >= 0)
        rows = torch.arange(len(score), device=score.device)
        spans = zip(score.tolist(), first[rows, start].tolist(), last[rows, end].tolist(), strict=True)
        return [span if span[0] > -np.inf else None for span in spans]

    def answers(self, rows, windows, outputs):
        best: list = [None] * len(rows)
        for owner, output in zip(windows.rows.tolist(), outputs, strict=True):
            if output is not None and (best[owner] is None or output[0] > best[owner][0]):
                best[owner] = output
        return [
            {
                "id": row["id"],
                "prediction": row["context"][span[1] : span[2]] if span else "",
                "gold": row["answers"]["text"],
            }
            for row, span in zip(rows, best, strict=True)
        ]


def best_spans(logits: torch.Tensor, inside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Score, start and end of the best span of each window; the score is -inf where no span is possible.

    `logits` (windows, tokens, 2), -inf at padding; `inside` (windows, tokens): the tokens of the context. As in the
    SQuAD example that XTREME uses: of the 20 best starts and the 20 best ends of all tokens, the pair inside the
    context with start <= end and at most 30 tokens that has the highest sum; the first of equals, in the order of the
    starts' ranks, then of the ends' (of equal logits the earlier token ranks first).
    """
    start_scores, starts = _top(logits[..., 0])
    end_scores, ends = _top(logits[..., 1])
    start_scores = start_scores.masked_fill(~inside.gather(1, starts), -torch.inf)
    end_scores = end_scores.masked_fill(~inside.gather(1, ends), -torch.inf)
    scores = start_scores[:, :, None] + end_scores[:, None, :]
    length = ends[:, None, :] - starts[:, :, None] + 1
    scores = scores.masked_fill((length < 1) | (length > LONGEST_ANSWER), -torch.inf).flatten(1)
    best, index = scores.max(1)
    rows = torch.arange(len(index), device=index.device)
    count = ends.shape[1]
    return best, starts[rows, index // count], ends[rows, index % count]


def _top(scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The CANDIDATES highest of each row, best first, equals by position: a stable sort for a selection's price."""
    count = min(CANDIDATES, scores.shape[1])
    wanted = min(count + 1, scores.shape[1])
    values, places = scores.topk(wanted, dim=1)
    # topk breaks ties at will: put equals into order, and sort the rows whole in which a tie crosses the border.
    places = places.sort(1).values
    order = scores.gather(1, places).sort(dim=1, descending=True, stable=True).indices
    places = places.gather(1, order)[:, :count]
    if wanted > count:
        unsure = (values[:, count - 1] == values[:, count]).nonzero()[:, 0]
        places[unsure] = scores[unsure].sort(dim=1, descending=True, stable=True).indices[:, :count]
    return scores.gather(1, places), places


def _rows(flat: torch.Tensor, real: torch.Tensor, filling: float) -> torch.Tensor:
    """Values per token (tokens, ...) as (windows, longest, ...), with `filling` where `real` is not set."""
    padded = flat.new_full((*real.shape, *flat.shape[1:]), filling)
    padded[real] = flat
    return padded


def _span_logits(head, hidden: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (windows, tokens, 2) in fp32 with -inf at padding, and which tokens are real (windows, tokens).

    A softmax over padding would depend on how rows are batched.
    """
    lengths = torch.tensor(batch.lengths, device=hidden.device)
    real = torch.arange(max(batch.lengths), device=hidden.device) < lengths[:, None]
    return _rows(head(hidden).float(), real, -torch.inf), real


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
