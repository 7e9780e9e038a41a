"""Retrieval from a pool of all languages with a dual encoder.

Protocol: XTREME-R's LAReQA and Mewsli-X. One encoder serves both sides, with unit vectors and a learned scale that
starts at 100. The loss is a softmax over the candidates of the other pairs, from question to candidate. At test every
question is ranked against the candidates of all languages, and the 20 best are its prediction.

Rows: {"id", "query", "key"} is a question about the candidates with the key; {"id", "candidate", "context", "keys"} is
a candidate (`context` may be empty); a training pair is both in one row.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from crosstune.core.errors import UserError
from crosstune.core.packing import split_evenly
from crosstune.core.random_streams import derive
from crosstune.evaluation.metrics.retrieval import DEPTH, relevant_candidates
from crosstune.modeling.features import Batch, Windows, concat_sequences
from crosstune.modeling.tasks import Task
from crosstune.modeling.tasks.pooling import pool, pooling_mask
from crosstune.modeling.tokenization import Tokenizer

NEGATIVES = 64

SCALE = 100.0

QUERY_CHUNK = 256


class DualEncoder(Task):
    in_batch_negatives = True

    def encode(self, rows: Sequence[dict], tokenizer: Tokenizer, options: dict) -> Windows:
        """One window per row: the query, the candidate with its context, or both.

        `candidate`: a candidate's number, the same in every source; -1 in windows without one.
        """
        queries = iter(tokenizer.tokenize([row["query"] for row in rows if "query" in row]))
        candidates = iter(tokenizer.tokenize([row["candidate"] for row in rows if "candidate" in row]))
        contexts = iter(tokenizer.tokenize([row["context"] for row in rows if row.get("context")]))
        windows = []
        for owner, row in enumerate(rows):
            sequences, number = [], -1
            if "query" in row:
                sequences.append(tokenizer.encode_pair(next(queries).ids, None, options["max_question_length"]))
            if "candidate" in row:
                context = next(contexts).ids if row["context"] else None
                sequences.append(tokenizer.encode_pair(next(candidates).ids, context, options["max_length"]))
                number = derive(row["candidate"], row["context"])
            pooled = np.concatenate([pooling_mask(len(ids), options.get("pooling", "first")) for ids, _ in sequences])
            windows.append({**concat_sequences(sequences), "row": owner, "candidate": number, "pooled": pooled})
        return Windows.join(windows, per_window=["candidate"], per_token=["pooled"])

    def build_head(self, config) -> nn.Module:
        return DualHead(config)

    def loss(self, head, hidden, batch, recipe):
        """The negatives are the other pairs of the forward pass, except those with the same candidate."""
        _require(batch, 2, "trained on pairs of a question and a candidate")
        questions, candidates = head(pool(hidden, batch)).view(len(batch), 2, -1).unbind(1)
        number = batch.values["candidate"]
        same = (number[:, None] == number) & ~torch.eye(len(number), dtype=torch.bool, device=number.device)
        # In fp32: bf16 rounds logits around 100 to half a point.
        with torch.autocast(hidden.device.type, enabled=False):
            logits = (head.scale * questions @ candidates.T).masked_fill(same, -torch.inf)
        return nn.functional.cross_entropy(logits, torch.arange(len(number), device=number.device), reduction="sum")

    def target_count(self, batch: Batch) -> int:
        """A pair without any other has no negatives, hence no loss."""
        return len(batch) if len(batch) > 1 else 0

    def passes(self, lengths, tokens, padded, recipe):
        """Even cuts in the order of the update, of at most as many pairs as are each other's negatives."""
        return split_evenly(len(lengths), recipe.get("negatives", NEGATIVES))

    def outputs(self, head, hidden, batch):
        """The unit vector (width,) of each window's one sequence."""
        _require(batch, 1, "evaluated on questions and candidates, each in a row of its own")
        return list(head(pool(hidden, batch)).cpu())

    def predictions(self, parts: Iterable[tuple[Sequence[dict], Windows, list]]) -> Iterator[list[dict]]:
        """The DEPTH best candidates of all languages for each question; candidates have no predictions."""
        parts = [(rows, torch.stack(outputs)) for rows, _, outputs in parts]
        candidates = [row for rows, _ in parts for row in rows if "candidate" in row]
        blocks = [vectors[[n for n, row in enumerate(rows) if "candidate" in row]] for rows, vectors in parts]
        relevant = relevant_candidates([row for rows, _ in parts for row in rows])
        for rows, vectors in parts:
            queries = [n for n, row in enumerate(rows) if "query" in row]
            ranked = best_candidates(vectors[queries], blocks)
            yield [
                {
                    "id": rows[n]["id"],
                    "prediction": [candidates[place]["id"] for place in places],
                    "gold": relevant[rows[n]["key"]],
                }
                for n, places in zip(queries, ranked, strict=True)
            ]


def _require(batch: Batch, sequences: int, requirement: str) -> None:
    """Raise UserError if a window has another number of sequences."""
    if set(batch.sequence_counts) != {sequences}:
        raise UserError(f"retrieval is {requirement}", fix="docs/tasks.md says which readers give such rows.")


class DualHead(nn.Module):
    """BERT's pooler of a pooled state, to the unit sphere; `scale` turns cosines into logits."""

    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        nn.init.zeros_(self.dense.bias)
        self.scale = nn.Parameter(torch.tensor(SCALE))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(torch.tanh(self.dense(states)).float(), dim=-1)


def best_candidates(questions: torch.Tensor, blocks: Sequence[torch.Tensor]) -> list[list[int]]:
    """The DEPTH nearest candidates of each question, nearest first, of equals the earlier first.

    The result numbers the candidates through all blocks; the function builds no matrix of all scores.
    """
    offsets = np.cumsum([0, *(len(block) for block in blocks)]).tolist()
    rankings = []
    for part in questions.split(QUERY_CHUNK):
        best = [(part @ block.T).topk(min(DEPTH, len(block)), dim=1) for block in blocks]
        scores = torch.cat([top.values for top in best], 1)
        places = torch.cat([top.indices + offset for top, offset in zip(best, offsets[:-1], strict=True)], 1)
        for values, row in zip(scores.tolist(), places.tolist(), strict=True):
            ranked = sorted(zip(values, row, strict=True), key=lambda value: (-value[0], value[1]))
            rankings.append([place for _, place in ranked[:DEPTH]])
    return rankings
