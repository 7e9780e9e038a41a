"""Retrieval from a pool of all languages with a dual encoder.

Protocol: XTREME-R's LAReQA and Mewsli-X (one encoder for both sides, unit vectors, a learned scale that starts at 100,
softmax over the candidates of the other pairs, from question to candidate; at test every question of every language is
ranked against every candidate of every language, and the 20 best are kept).

Rows: {"id", "query", "key"} asks for the candidates that have the key; {"id", "candidate", "context", "keys"} is one
(`context` may be empty); a pair to train on is both in one row.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from crosstune.encoding import TextEncoder
from crosstune.metrics.retrieval import DEPTH, relevant_candidates
from crosstune.tasks import Task
from crosstune.tasks.pooling import marks, pooled
from crosstune.windows import Windows, joined

NEGATIVES = 64
SCALE = 100.0
ASKED_AT_ONCE = 256


class DualEncoder(Task):
    def encode(self, rows: Sequence[dict], encoder: TextEncoder, options: dict) -> Windows:
        """One window a row: the query, the candidate with its context, or both.

        `candidate`: a number for each different candidate, -1 where there is none.
        """
        queries = iter(encoder.texts([row["query"] for row in rows if "query" in row]))
        candidates = iter(encoder.texts([row["candidate"] for row in rows if "candidate" in row]))
        contexts = iter(encoder.texts([row["context"] for row in rows if row.get("context")]))
        numbers: dict[tuple[str, str], int] = {}
        windows = []
        for owner, row in enumerate(rows):
            sequences, number = [], -1
            if "query" in row:
                sequences.append(encoder.cut_pair(next(queries).ids, None, options["question"]))
            if "candidate" in row:
                context = next(contexts).ids if row["context"] else None
                sequences.append(encoder.cut_pair(next(candidates).ids, context, options["max_length"]))
                number = numbers.setdefault((row["candidate"], row["context"]), len(numbers))
            pooling = np.concatenate([marks(len(ids), options.get("pooling", "first")) for ids, _ in sequences])
            windows.append({**joined(sequences), "row": owner, "candidate": number, "pooled": pooling})
        return Windows.join(windows, per_window=["candidate"], per_token=["pooled"])

    def build_head(self, config) -> nn.Module:
        return DualHead(config)

    def loss(self, head, hidden, batch, recipe):
        """The other pairs of the forward pass are negatives, except those with the same candidate."""
        questions, candidates = head(pooled(hidden, batch)).view(len(batch.windows), 2, -1).unbind(1)
        number = batch.values["candidate"]
        same = (number[:, None] == number) & ~torch.eye(len(number), dtype=torch.bool, device=number.device)
        logits = (head.scale * questions @ candidates.T).masked_fill(same, -torch.inf)
        return nn.functional.cross_entropy(logits, torch.arange(len(number), device=number.device), reduction="sum")

    def passes(self, lengths, tokens, padded, recipe):
        """As many pairs as are each other's negatives, whatever their length, in the order of the update."""
        count = recipe.get("negatives", NEGATIVES)
        return [list(range(n, min(n + count, len(lengths)))) for n in range(0, len(lengths), count)]

    def outputs(self, head, hidden, batch):
        """Per window the unit vector (width,) of its one sequence."""
        return list(head(pooled(hidden, batch)).cpu())

    def predictions(self, parts: Iterable[tuple[Sequence[dict], Windows, list]]) -> Iterator[list[dict]]:
        """The DEPTH best of the candidates of all languages for each question; candidates have no answers."""
        parts = [(rows, torch.stack(outputs)) for rows, _, outputs in parts]
        pool = [row for rows, _ in parts for row in rows if "candidate" in row]
        vectors = torch.cat([found[[n for n, row in enumerate(rows) if "candidate" in row]] for rows, found in parts])
        relevant = relevant_candidates([row for rows, _ in parts for row in rows])
        for rows, found in parts:
            asked = [n for n, row in enumerate(rows) if "query" in row]
            ranked = best_candidates(found[asked], vectors)
            yield [
                {
                    "id": rows[n]["id"],
                    "prediction": [pool[place]["id"] for place in places],
                    "gold": relevant[rows[n]["key"]],
                }
                for n, places in zip(asked, ranked, strict=True)
            ]


class DualHead(nn.Module):
    """BERT's pooler over a pooled state, to the unit sphere; `scale` turns cosines into logits."""

    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        nn.init.zeros_(self.dense.bias)
        self.scale = nn.Parameter(torch.tensor(SCALE))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(torch.tanh(self.dense(states)).float(), dim=-1)


def best_candidates(questions: torch.Tensor, candidates: torch.Tensor) -> list[list[int]]:
    """Places of the DEPTH nearest candidates of each question, nearest first, of equals the earlier first."""
    kept = min(DEPTH, len(candidates))
    found = []
    for part in questions.split(ASKED_AT_ONCE):
        scores, places = (part @ candidates.T).topk(kept, dim=1)
        for values, row in zip(scores.tolist(), places.tolist(), strict=True):
            found.append([place for _, place in sorted(zip(values, row, strict=True), key=lambda v: (-v[0], v[1]))])
    return found
