"""Bitext retrieval: a sentence's translation is the nearest vector, without training.

Protocol: XTREME's evaluate_retrieval for Tatoeba (mean over all tokens of one layer's hidden states, special tokens
included; cosine; queries are the English side, candidates the foreign side).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from crosstune.modeling.features import Windows, concat_sequences
from crosstune.modeling.tasks import Task
from crosstune.modeling.tasks.pooling import pool, pooling_mask
from crosstune.modeling.tokenization import Tokenizer

QUERY_CHUNK = 1024


class BitextRetrieval(Task):
    def encode(self, rows: Sequence[dict], tokenizer: Tokenizer, options: dict) -> Windows:
        """One window per row, with two sequences: the foreign `text` and its English `pair`."""
        windows = []
        texts, pairs = (tokenizer.tokenize([row[side] for row in rows]) for side in ("text", "pair"))
        for owner, sides in enumerate(zip(texts, pairs, strict=True)):
            sequences = [tokenizer.encode_pair(side.ids, None, options["max_length"]) for side in sides]
            pooled = np.concatenate([pooling_mask(len(ids), "mean") for ids, _ in sequences])
            windows.append({**concat_sequences(sequences), "row": owner, "pooled": pooled})
        return Windows.join(windows, per_token=["pooled"])

    def build_head(self, config) -> nn.Module:
        return nn.Identity()

    def loss(self, head, hidden, batch, recipe):
        raise NotImplementedError("bitext retrieval is not trained")

    def layer(self, options: dict) -> int | None:
        return options.get("layer")

    def outputs(self, head, hidden, batch):
        """The unit vectors (2, width) of each window's two sides."""
        vectors = nn.functional.normalize(pool(hidden, batch), dim=-1)
        return list(vectors.cpu().view(len(batch), 2, -1))

    def answers(self, rows, windows, outputs):
        foreign, english = torch.stack(outputs).unbind(1)
        nearest = [int(place) for chunk in english.split(QUERY_CHUNK) for place in (chunk @ foreign.T).argmax(1)]
        return [
            {"id": row["id"], "prediction": rows[place]["id"], "gold": row["id"]}
            for row, place in zip(rows, nearest, strict=True)
        ]
