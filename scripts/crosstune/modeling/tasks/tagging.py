"""Sequence tagging: one tag per word, on the word's first token.

Protocol: XTREME's run_tag. A sentence longer than a window is cut at a word; its windows' tags are joined by row.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from torch import nn

from crosstune.modeling.features import Batch, Windows
from crosstune.modeling.tasks import IGNORE_INDEX, Task
from crosstune.modeling.tasks.token_loss import count_targets, token_loss
from crosstune.modeling.tokenization import Tokenizer


class Tagging(Task):
    def encode(self, rows: Sequence[dict], tokenizer: Tokenizer, options: dict) -> Windows:
        """Windows of whole words; a word that the tokenizer drops becomes the unknown token, as in XTREME.

        A tokenizer without an unknown token has another special one in its place.
        """
        number_of = {label: number for number, label in enumerate(self.labels)}
        layout = tokenizer.single_layout
        room = options["max_length"] - layout.count
        windows = []
        texts = tokenizer.tokenize_words([row["tokens"] for row in rows])
        for owner, (row, text) in enumerate(zip(rows, texts, strict=True)):
            bounds = np.searchsorted(text.words, np.arange(len(row["tokens"]) + 1))
            words = [text.ids[a:b][:room] for a, b in itertools.pairwise(bounds)]
            words = [word if len(word) else np.array([tokenizer.filler_id], np.int32) for word in words]
            for first, last in _cut([len(word) for word in words], room):
                ids, types = layout.pair(np.zeros(0, np.int32), np.concatenate(words[first:last]))
                heads = len(layout.before) + np.cumsum([0, *(len(word) for word in words[first : last - 1])])
                tags = np.full(len(ids), IGNORE_INDEX)
                tags[heads] = [number_of[tag] for tag in row["tags"][first:last]]
                windows.append({"ids": ids, "types": types, "row": owner, "tags": tags})
        return Windows.join(windows, per_token=["tags"])

    def build_head(self, config) -> nn.Module:
        return nn.Linear(config.hidden_size, len(self.labels))

    def loss(self, head, hidden, batch, recipe):
        return token_loss(head, hidden, batch, "tags", recipe)

    def target_count(self, batch: Batch) -> int:
        return count_targets(batch.values["tags"])

    def outputs(self, head, hidden, batch):
        """The numbers of the tags of each window's words."""
        best = head(hidden).argmax(-1).cpu()
        windows = zip(best.split(batch.lengths), batch.host_value("tags").split(batch.lengths), strict=True)
        return [numbers[tags != IGNORE_INDEX].tolist() for numbers, tags in windows]

    def answers(self, rows, windows, outputs):
        predictions: list[list[str]] = [[] for _ in rows]
        for owner, output in zip(windows.rows.tolist(), outputs, strict=True):
            predictions[owner] += [self.labels[number] for number in output]
        return [
            {"id": row["id"], "prediction": tags, "gold": row["tags"]}
            for row, tags in zip(rows, predictions, strict=True)
        ]


def _cut(lengths: list[int], room: int) -> list[tuple[int, int]]:
    """Half-open ranges of words, each as long as fits in `room` tokens."""
    cuts, first, used = [], 0, 0
    for number, length in enumerate(lengths):
        if used + length > room:
            cuts.append((first, number))
            first, used = number, 0
        used += length
    return [*cuts, (first, len(lengths))] if lengths else []
