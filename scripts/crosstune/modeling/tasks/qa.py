"""Extractive question answering: the answer is a span of the context.

Protocol: Devlin et al. 2019 as in XTREME's run_squad (windows over long contexts, best start + end over all windows,
at most 20 candidates each and 30 tokens an answer), except that the softmax runs over real positions only.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from crosstune.modeling.batching import as_rows, real_places
from crosstune.modeling.features import Batch, Windows
from crosstune.modeling.tasks import Task
from crosstune.modeling.tasks.row_loss import row_loss
from crosstune.modeling.tasks.span_search import Layout, best_spans
from crosstune.modeling.tokenization import Text, TextEncoder


class QuestionAnswering(Task):
    def encode(self, rows: Sequence[dict], encoder: TextEncoder, options: dict) -> Windows:
        """Windows of `question, context`. A window without the whole answer has its first token as the target.

        `context`, `context_end` (per window): the half-open range of the context's tokens. `first`, `last` (per token):
        the characters of the context that the token stands for, -1 outside of it.
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
                        "context": head,
                        "context_end": head + end - begin,
                        "first": first,
                        "last": last,
                    }
                )
        spots = ["start", "end", "context", "context_end"]
        return Windows.join(windows, per_window=spots, per_token=["first", "last"])

    def build_head(self, config) -> nn.Module:
        return nn.Linear(config.hidden_size, 2)

    def loss(self, head, hidden, batch, recipe):
        logits, real = _span_logits(head, hidden, batch)
        start, end = (
            row_loss(logits[..., side], real, batch.values[name], recipe["label_smoothing"])
            for side, name in enumerate(("start", "end"))
        )
        return (start + end) / 2

    def outputs(self, head, hidden, batch):
        """Per window the logits (tokens, 2) of its tokens as start and as end."""
        logits = head(hidden).float().cpu().numpy()
        return np.split(logits, np.cumsum(batch.lengths)[:-1])

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


def spans_of(windows: Windows, logits: Sequence[np.ndarray]) -> list[tuple[float, int, int] | None]:
    """Per window the best span as (score, first character, last character), None where no span is possible."""
    if not len(windows):
        return []
    context = (windows.offsets[:-1] + windows.per_window[name] for name in ("context", "context_end"))
    found = best_spans(logits, Layout(windows.offsets, *context))
    characters = windows.per_token["first"][found.start], windows.per_token["last"][found.end]
    spans = zip(*(side.tolist() for side in (found.score, *characters)), strict=True)
    return [span if span[0] > -np.inf else None for span in spans]


def _span_logits(head, hidden: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (windows, tokens, 2) in fp32 with -inf at padding, and which tokens are real (windows, tokens)."""
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
