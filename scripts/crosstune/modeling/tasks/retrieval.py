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

from crosstune.core.errors import UserError
from crosstune.core.packing import even_parts
from crosstune.core.random_streams import derive
from crosstune.evaluation.metrics.retrieval import DEPTH, relevant_candidates
from crosstune.modeling.features import Batch, Windows, joined
from crosstune.modeling.tasks import Task
from crosstune.modeling.tasks.pooling import marks, pooled
from crosstune.modeling.tokenization import TextEncoder

NEGATIVES = 64

SCALE = 100.0

ASKED_AT_ONCE = 256


class DualEncoder(Task):
    mutual = True

    def encode(self, rows: Sequence[dict], encoder: TextEncoder, options: dict) -> Windows:
        """One window a row: the query, the candidate with its context, or both.

        `candidate`: a number that a candidate has in every source, -1 where there is none.
        """
        queries = iter(encoder.texts([row["query"] for row in rows if "query" in row]))
        candidates = iter(encoder.texts([row["candidate"] for row in rows if "candidate" in row]))
        contexts = iter(encoder.texts([row["context"] for row in rows if row.get("context")]))
        windows = []
        for owner, row in enumerate(rows):
            sequences, number = [], -1
            if "query" in row:
                sequences.append(encoder.cut_pair(next(queries).ids, None, options["question"]))
            if "candidate" in row:
                context = next(contexts).ids if row["context"] else None
                sequences.append(encoder.cut_pair(next(candidates).ids, context, options["max_length"]))
                number = derive(row["candidate"], row["context"])
            pooling = np.concatenate([marks(len(ids), options.get("pooling", "first")) for ids, _ in sequences])
            windows.append({**joined(sequences), "row": owner, "candidate": number, "pooled": pooling})
        return Windows.join(windows, per_window=["candidate"], per_token=["pooled"])

    def build_head(self, config) -> nn.Module:
        return DualHead(config)

    def loss(self, head, hidden, batch, recipe):
        """The other pairs of the forward pass are negatives, except those with the same candidate."""
        _require(batch, 2, "trained on pairs of a question and a candidate")
        questions, candidates = head(pooled(hidden, batch)).view(len(batch.windows), 2, -1).unbind(1)
        number = batch.values["candidate"]
        same = (number[:, None] == number) & ~torch.eye(len(number), dtype=torch.bool, device=number.device)
        # In fp32: logits around 100 would be half a point apart in bf16.
        with torch.autocast(hidden.device.type, enabled=False):
            logits = (head.scale * questions @ candidates.T).masked_fill(same, -torch.inf)
        return nn.functional.cross_entropy(logits, torch.arange(len(number), device=number.device), reduction="sum")

    def units(self, batch: Batch) -> int:
        """A pair without any other teaches nothing."""
        return len(batch.windows) if len(batch.windows) > 1 else 0

    def passes(self, lengths, tokens, padded, recipe):
        """At most as many pairs as are each other's negatives, shared out evenly, in the order of the update."""
        return even_parts(len(lengths), recipe.get("negatives", NEGATIVES))

    def outputs(self, head, hidden, batch):
        """Per window the unit vector (width,) of its one sequence."""
        _require(batch, 1, "evaluated on questions and candidates, each in a row of its own")
        return list(head(pooled(hidden, batch)).cpu())

    def predictions(self, parts: Iterable[tuple[Sequence[dict], Windows, list]]) -> Iterator[list[dict]]:
        """The DEPTH best of the candidates of all languages for each question; candidates have no answers."""
        parts = [(rows, torch.stack(outputs)) for rows, _, outputs in parts]
        pool = [row for rows, _ in parts for row in rows if "candidate" in row]
        blocks = [found[[n for n, row in enumerate(rows) if "candidate" in row]] for rows, found in parts]
        relevant = relevant_candidates([row for rows, _ in parts for row in rows])
        for rows, found in parts:
            asked = [n for n, row in enumerate(rows) if "query" in row]
            ranked = best_candidates(found[asked], blocks)
            yield [
                {
                    "id": rows[n]["id"],
                    "prediction": [pool[place]["id"] for place in places],
                    "gold": relevant[rows[n]["key"]],
                }
                for n, places in zip(asked, ranked, strict=True)
            ]


def _require(batch: Batch, sequences: int, what: str) -> None:
    """UserError where a window has another number of sequences."""
    if set(batch.windows) != {sequences}:
        raise UserError(f"retrieval is {what}", fix="docs/tasks.md says which readers give such rows.")


class DualHead(nn.Module):
    """BERT's pooler over a pooled state, to the unit sphere; `scale` turns cosines into logits."""

    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        nn.init.zeros_(self.dense.bias)
        self.scale = nn.Parameter(torch.tensor(SCALE))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(torch.tanh(self.dense(states)).float(), dim=-1)


def best_candidates(questions: torch.Tensor, blocks: Sequence[torch.Tensor]) -> list[list[int]]:
    """Places of the DEPTH nearest candidates of each question, nearest first, of equals the earlier first.

    The candidates are given in blocks, whose places count on; no matrix of all of them is made.
    """
    offsets = np.cumsum([0, *(len(block) for block in blocks)]).tolist()
    found = []
    for part in questions.split(ASKED_AT_ONCE):
        best = [(part @ block.T).topk(min(DEPTH, len(block)), dim=1) for block in blocks]
        scores = torch.cat([top.values for top in best], 1)
        places = torch.cat([top.indices + offset for top, offset in zip(best, offsets[:-1], strict=True)], 1)
        for values, row in zip(scores.tolist(), places.tolist(), strict=True):
            ranked = sorted(zip(values, row, strict=True), key=lambda value: (-value[0], value[1]))
            found.append([place for _, place in ranked[:DEPTH]])
    return found
