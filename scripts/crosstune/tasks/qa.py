"""Extractive question answering: the answer is a span of the context.

Protocol: Devlin et al. 2019 as in XTREME's run_squad (windows over long contexts, best start + end over all windows,
at most 20 candidates each and 30 tokens an answer), except that the softmax runs over real positions only.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from crosstune.encoding import Text, TextEncoder
from crosstune.tasks import Task, Windows

CANDIDATES = 20
LONGEST_ANSWER = 30


class QuestionAnswering(Task):
    def encode(self, rows: Sequence[dict], encoder: TextEncoder, options: dict) -> Windows:
        """Windows of `question, context`. A window without the whole answer has its first token as the target."""
        questions = encoder.texts([row["question"].strip() for row in rows])
        contexts = encoder.texts([row["context"] for row in rows])
        layout = encoder.pair_layout
        windows = Windows([], [], np.zeros(0), {"start": [], "end": []})
        owners = []
        for number, (row, question, context) in enumerate(zip(rows, questions, contexts, strict=True)):
            question_ids = question.ids[: options["question"]]
            room = options["max_length"] - layout.specials - len(question_ids)
            head = len(layout.before) + len(question_ids) + len(layout.between)
            answer = _answer_tokens(row, context)
            for first in _window_starts(len(context.ids), room, options["stride"]):
                last = min(first + room, len(context.ids))
                ids, types = layout.pair(question_ids, context.ids[first:last])
                inside = answer is not None and first <= answer[0] and answer[1] < last
                windows.input_ids.append(ids)
                windows.token_types.append(types)
                windows.targets["start"].append(head + answer[0] - first if inside else 0)
                windows.targets["end"].append(head + answer[1] - first if inside else 0)
                windows.details.append((head, context.starts[first:last], context.ends[first:last]))
                owners.append(number)
        targets = {name: np.array(values, np.int64) for name, values in windows.targets.items()}
        return Windows(windows.input_ids, windows.token_types, np.array(owners, np.int64), targets, windows.details)

    def build_head(self, config) -> nn.Module:
        return nn.Linear(config.hidden_size, 2)

    def loss(self, head, hidden, batch, recipe):
        logits = _span_logits(head, hidden, batch)
        losses = [
            nn.functional.cross_entropy(
                logits[..., i], batch[name], reduction="sum", label_smoothing=recipe["label_smoothing"]
            )
            for i, name in enumerate(("start", "end"))
        ]
        return sum(losses) / 2

    def units(self, batch: dict) -> int:
        return len(batch["start"])

    def outputs(self, head, hidden, batch, details):
        """Per window the best (score, first character, last character), or None where no span is possible."""
        logits = _span_logits(head, hidden, batch)
        inside = torch.zeros(logits.shape[:2], dtype=torch.bool)
        for number, (first, starts, _) in enumerate(details):
            inside[number, first : first + len(starts)] = True
        score, start, end = best_spans(logits.masked_fill(~inside.to(logits.device)[..., None], -torch.inf))
        return [
            (s, int(starts[a - first]), int(ends[b - first])) if s > -np.inf else None
            for s, a, b, (first, starts, ends) in zip(
                score.tolist(), start.tolist(), end.tolist(), details, strict=True
            )
        ]

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


def best_spans(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Score, start and end of the best span of each window, from logits (windows, tokens, 2), -inf outside the context.

    As in the SQuAD example: the best pair among the 20 best starts and 20 best ends, start <= end, at most 30 tokens.
    """
    count = min(CANDIDATES, logits.shape[1])
    start_scores, starts = logits[..., 0].topk(count)
    end_scores, ends = logits[..., 1].topk(count)
    scores = start_scores[:, :, None] + end_scores[:, None, :]
    length = ends[:, None, :] - starts[:, :, None] + 1
    scores = scores.masked_fill((length < 1) | (length > LONGEST_ANSWER), -torch.inf)
    best, index = scores.flatten(1).max(1)
    rows = torch.arange(len(index), device=index.device)
    return best, starts[rows, index // count], ends[rows, index % count]


def _span_logits(head, hidden: torch.Tensor, batch: dict) -> torch.Tensor:
    """Logits (rows, tokens, 2) in fp32, -inf at padding: a softmax over padding depends on how rows are batched."""
    return head(hidden).float().masked_fill(~batch["attention_mask"].bool()[..., None], -torch.inf)


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
