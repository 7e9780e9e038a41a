"""Sequence tagging: one tag a word, on the word's first token.

Protocol: XTREME's run_tag. Sentences longer than the window are cut at a word and joined again by row.
"""

from collections.abc import Sequence

import numpy as np
from torch import nn

from crosstune.encoding import TextEncoder
from crosstune.tasks import IGNORED, Task, Windows


class Tagging(Task):
    def encode(self, rows: Sequence[dict], encoder: TextEncoder, options: dict) -> Windows:
        """Windows of whole words; a word that the tokenizer drops stands as the unknown token, as in XTREME."""
        number_of = {label: number for number, label in enumerate(self.labels)}
        layout = encoder.single_layout
        room = options["max_length"] - layout.specials
        ids, types, owners, targets, details = [], [], [], [], []
        for owner, (row, text) in enumerate(zip(rows, encoder.words([r["tokens"] for r in rows]), strict=True)):
            words = [text.ids[text.words == word][:room] for word in range(len(row["tokens"]))]
            words = [word if len(word) else np.array([encoder.unknown_id], np.int32) for word in words]
            for first, last in _cut([len(word) for word in words], room):
                window, kinds = layout.pair(np.zeros(0, np.int32), np.concatenate(words[first:last]))
                heads = len(layout.before) + np.cumsum([0, *(len(word) for word in words[first : last - 1])])
                target = np.full(len(window), IGNORED, np.int64)
                target[heads] = [number_of[tag] for tag in row["tags"][first:last]]
                ids.append(window)
                types.append(kinds)
                owners.append(owner)
                targets.append(target)
                details.append(heads)
        return Windows(ids, types, np.array(owners, np.int64), {"tags": targets}, details)

    def build_head(self, config) -> nn.Module:
        return nn.Linear(config.hidden_size, len(self.labels))

    def loss(self, head, hidden, batch, recipe):
        logits = head(hidden).float().flatten(0, 1)
        return nn.functional.cross_entropy(
            logits,
            batch["tags"].flatten(),
            reduction="sum",
            ignore_index=IGNORED,
            label_smoothing=recipe["label_smoothing"],
        )

    def units(self, batch: dict) -> int:
        return int((batch["tags"] != IGNORED).sum())

    def outputs(self, head, hidden, batch, details):
        best = head(hidden).argmax(-1).cpu().numpy()
        return [row[heads] for row, heads in zip(best, details, strict=True)]

    def answers(self, rows, windows, outputs):
        tags: list[list[str]] = [[] for _ in rows]
        for owner, output in zip(windows.rows.tolist(), outputs, strict=True):
            tags[owner] += [self.labels[number] for number in output]
        return [
            {"id": row["id"], "prediction": found, "gold": row["tags"]} for row, found in zip(rows, tags, strict=True)
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
