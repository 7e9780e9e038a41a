"""The rival: what Hugging Face's run_qa.py does, on rows in memory.

Features of fixed length with overlapping windows, Trainer, and the example's loop over n-best starts and ends. Written
from the example's documented behaviour (transformers/examples/pytorch/question-answering) so that it can be timed in
one process with ours.
"""

from collections.abc import Sequence

import numpy as np
from datasets import Dataset
from rival_trainer import Flags, Rows, example_trainer
from transformers import DataCollatorWithPadding, Trainer, default_data_collator

MAX_LENGTH, STRIDE = 384, 128
N_BEST, LONGEST_ANSWER = 20, 30


def features(rows: Sequence[dict], tokenizer, pad: bool) -> list[dict]:
    """Windows of every row, with the answer's positions; padded to MAX_LENGTH as the example ships."""
    encoded = tokenizer(
        [row["question"].strip() for row in rows],
        [row["context"] for row in rows],
        truncation="only_second",
        max_length=MAX_LENGTH,
        stride=STRIDE,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding="max_length" if pad else False,
    )
    found = []
    for number, owner in enumerate(encoded["overflow_to_sample_mapping"]):
        sequence, offsets = encoded.sequence_ids(number), encoded["offset_mapping"][number]
        answer = rows[owner]["answers"]
        begin, end = answer["answer_start"][0], answer["answer_start"][0] + len(answer["text"][0])
        first = sequence.index(1)
        last = len(sequence) - 1 - sequence[::-1].index(1)
        start = stop = 0
        if offsets[first][0] <= begin and offsets[last][1] >= end:
            start = next((i for i in range(first, last + 1) if offsets[i][1] > begin), last)
            stop = next((i for i in range(last, first - 1, -1) if offsets[i][0] < end), first)
        found.append(
            {
                "input_ids": encoded["input_ids"][number],
                "attention_mask": encoded["attention_mask"][number],
                **({"token_type_ids": encoded["token_type_ids"][number]} if "token_type_ids" in encoded else {}),
                "start_positions": start,
                "end_positions": stop,
                "offset_mapping": [span if kind == 1 else None for span, kind in zip(offsets, sequence, strict=True)],
                "example_id": rows[owner]["id"],
            }
        )
    return found


def rows_of(found: Sequence[dict]) -> Rows:
    """Features as Trainer takes them."""
    return Rows(found, ("input_ids", "attention_mask", "token_type_ids", "start_positions", "end_positions"))


def trainer(model, tokenizer, data: Sequence[dict], flags: Flags) -> Trainer:
    """A Trainer over one epoch of `data`."""
    collator = DataCollatorWithPadding(tokenizer) if flags.dynamic else default_data_collator
    return example_trainer(model, rows_of(data), collator, flags)


def best_answers(
    rows: Sequence[dict], found: Dataset | Sequence[dict], starts: np.ndarray, ends: np.ndarray
) -> list[str]:
    """The example's post-processing: a loop over the n-best pairs of every window, the best of a row's windows.

    In the example `found` is a data set with all columns of the features. It goes through it once for the windows of
    every row, and then twice takes a window's whole row: for `offset_mapping`, and for `token_is_max_context`, which
    its own features do not have. The 20 best of every row become a list with probabilities, which it writes to a file.
    """
    places = {row["id"]: place for place, row in enumerate(rows)}
    windows: dict[int, list[int]] = {}
    for number, feature in enumerate(found):
        windows.setdefault(places[feature["example_id"]], []).append(number)
    answers, n_best = [], []
    for owner, row in enumerate(rows):
        candidates = []
        for number in windows[owner]:
            offsets = found[number]["offset_mapping"]
            widest = found[number].get("token_is_max_context")
            # A stable order, so that equal logits have a defined winner; the example leaves it to argsort.
            best_starts = np.argsort(-starts[number], kind="stable")[:N_BEST].tolist()
            best_ends = np.argsort(-ends[number], kind="stable")[:N_BEST].tolist()
            for start in best_starts:
                for end in best_ends:
                    if start >= len(offsets) or end >= len(offsets) or offsets[start] is None or offsets[end] is None:
                        continue
                    if end < start or end - start + 1 > LONGEST_ANSWER:
                        continue
                    if widest is not None and not widest.get(str(start), False):
                        continue
                    candidates.append(
                        {
                            "offsets": (offsets[start][0], offsets[end][1]),
                            "score": starts[number][start] + ends[number][end],
                            "start_logit": starts[number][start],
                            "end_logit": ends[number][end],
                        }
                    )
        ranked = sorted(candidates, key=lambda candidate: candidate["score"], reverse=True)[:N_BEST]
        for candidate in ranked:
            first, last = candidate.pop("offsets")
            candidate["text"] = row["context"][first:last]
        if not ranked:
            ranked = [{"text": "empty", "score": 0.0, "start_logit": 0.0, "end_logit": 0.0}]
        scores = np.array([candidate.pop("score") for candidate in ranked])
        weights = np.exp(scores - scores.max())
        for candidate, probability in zip(ranked, weights / weights.sum(), strict=True):
            candidate["probability"] = probability
        n_best.append([{k: v if isinstance(v, str) else float(v) for k, v in c.items()} for c in ranked])
        answers.append(ranked[0]["text"])
    return answers
