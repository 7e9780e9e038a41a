"""Extractive question answering: the answer is a span of the context.

Protocol: Devlin et al. 2019 as in XTREME's run_squad (windows over long contexts, best start + end over all windows,
at most 20 candidates each and 30 tokens per answer), except that the softmax leaves padding out.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from crosstune.core.errors import UserError
from crosstune.evaluation.metrics.qa import answered
from crosstune.modeling.batching import Padding
from crosstune.modeling.features import Batch, Windows
from crosstune.modeling.tasks import Task
from crosstune.modeling.tasks.row_loss import row_loss
from crosstune.modeling.tasks.span_search import LONGEST_ANSWER, WindowLayout, best_spans
from crosstune.modeling.tokenization import TokenizedText, Tokenizer


class QuestionAnswering(Task):
    def encode(self, rows: Sequence[dict], tokenizer: Tokenizer, options: dict) -> Windows:
        """Windows of `question, context`. The target of a window without the whole answer is its first token.

        `context`, `context_end` (per window): the half-open range of the context's tokens. `first`, `last` (per token):
        the half-open range of the token's characters in the context, -1 outside of it.
        """
        questions = tokenizer.tokenize([row["question"].strip() for row in rows])
        contexts = tokenizer.tokenize([row["context"] for row in rows])
        layout = tokenizer.pair_layout
        windows = []
        for number, (row, question, context) in enumerate(zip(rows, questions, contexts, strict=True)):
            question_ids = question.ids[: options["max_question_length"]]
            room = options["max_length"] - layout.count - len(question_ids)
            if room < 1:
                message = f"the question {row['id']!r} leaves no room for context in {options['max_length']} tokens"
                fix = f"max_question_length: {(options['max_length'] - layout.count) // 2}"
                raise UserError(message, "encoding.max_question_length", fix)
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
        logits, mask = _span_logits(head, hidden, batch)
        start, end = (
            row_loss(logits[..., side], mask, batch.values[name], recipe["label_smoothing"])
            for side, name in enumerate(("start", "end"))
        )
        return (start + end) / 2

    def outputs(self, head, hidden, batch):
        """The logits (tokens, 2) of each window's tokens as start and as end."""
        logits = head(hidden).float().cpu().numpy()
        return np.split(logits, np.cumsum(batch.lengths)[:-1])

    def answers(self, rows, windows, outputs):
        best: list = [None] * len(rows)
        for owner, span in zip(windows.rows.tolist(), answer_spans(windows, outputs), strict=True):
            if span is not None and (best[owner] is None or span[0] > best[owner][0]):
                best[owner] = span
        return [
            answered(row, row["context"][span[1] : span[2]] if span else "")
            for row, span in zip(rows, best, strict=True)
        ]

    def limited_tokens(self, windows, rows, tokenizer):
        """The tokens of the questions: windows hold all of a context."""
        tokens = np.zeros(rows, np.int64)
        tokens[windows.rows] = windows.per_window["context"]
        return tokens

    def best_answers(self, rows, windows):
        """For each row with an answer, the span that overlaps most with a gold one, by characters of both."""
        best = [(0.0, "")] * len(rows)
        for window, owner in enumerate(windows.rows.tolist()):
            answers = rows[owner]["answers"]
            for text, begin in zip(answers["text"], answers["answer_start"], strict=True):
                if begin < 0:  # the answer is not in the context
                    continue
                first, last = _nearest_span(windows, window, begin, begin + len(text))
                shared = min(last, begin + len(text)) - max(first, begin)
                overlap = shared / (max(last, begin + len(text)) - min(first, begin))
                best[owner] = max(best[owner], (overlap, rows[owner]["context"][first:last]))
        return [answered(row, answer) for row, (_, answer) in zip(rows, best, strict=True) if row["answers"]["text"]]


def _nearest_span(windows: Windows, window: int, begin: int, end: int) -> tuple[int, int]:
    """The characters of the shortest possible answer of a window over `begin:end`; none if it holds nothing of it."""
    offset = windows.offsets[window]
    context = slice(*(offset + windows.per_window[name][window] for name in ("context", "context_end")))
    firsts, lasts = windows.per_token["first"][context], windows.per_token["last"][context]
    start = int(np.searchsorted(lasts, begin, side="right"))
    stop = min(int(np.searchsorted(firsts, end, side="left")), start + LONGEST_ANSWER)
    return (int(firsts[start]), int(lasts[stop - 1])) if start < stop else (begin, begin)


def answer_spans(windows: Windows, logits: Sequence[np.ndarray]) -> list[tuple[float, int, int] | None]:
    """The best span of each window as (score, begin, end) in characters of the context; None if none is possible."""
    if not len(windows):
        return []
    context = (windows.offsets[:-1] + windows.per_window[name] for name in ("context", "context_end"))
    best = best_spans(logits, WindowLayout(windows.offsets, *context))
    characters = windows.per_token["first"][best.start], windows.per_token["last"][best.end]
    spans = zip(*(side.tolist() for side in (best.score, *characters)), strict=True)
    return [span if span[0] > -np.inf else None for span in spans]


def _span_logits(head, hidden: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (windows, tokens, 2) in fp32, padded with -inf, and the mask of the tokens (windows, tokens)."""
    padding = Padding(batch.lengths, hidden.device)
    return padding.pad(head(hidden).float(), -torch.inf), padding.mask


def _window_starts(length: int, room: int, stride: int) -> list[int]:
    """The first context token of each window; the last window is the first that reaches the end."""
    starts = [0]
    while starts[-1] + room < length:
        starts.append(starts[-1] + min(stride, room))
    return starts


def _answer_tokens(row: dict, context: TokenizedText) -> tuple[int, int] | None:
    """First and last token of the first gold answer; None if the context lacks it or the tokenizer dropped it."""
    if not row["answers"]["text"] or row["answers"]["answer_start"][0] < 0 or not len(context.ids):
        return None
    begin = row["answers"]["answer_start"][0]
    end = begin + len(row["answers"]["text"][0])
    first = int(np.searchsorted(context.ends, begin, side="right"))
    last = int(np.searchsorted(context.starts, end, side="left")) - 1
    return (first, last) if first <= last < len(context.ids) else None
