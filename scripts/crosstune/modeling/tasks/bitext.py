"""Bitext retrieval: finding a sentence's translation by the nearest vector, without any training.

Protocol: XTREME's evaluate_retrieval for Tatoeba (mean over all tokens of one layer's hidden states, special tokens
included; cosine; the English side asks, the foreign side is searched).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from crosstune.modeling.features import Windows, joined
from crosstune.modeling.tasks import Task
from crosstune.modeling.tasks.pooling import marks, pooled
from crosstune.modeling.tokenization import TextEncoder

ASKED_AT_ONCE = 1024


class BitextRetrieval(Task):
    def encode(self, rows: Sequence[dict], encoder: TextEncoder, options: dict) -> Windows:
        """One window a row, with two sequences: the foreign `text` and its English `pair`."""
        windows = []
        texts, pairs = (encoder.texts([row[side] for row in rows]) for side in ("text", "pair"))
        for owner, sides in enumerate(zip(texts, pairs, strict=True)):
            sequences = [encoder.cut_pair(side.ids, None, options["max_length"]) for side in sides]
            pooling = np.concatenate([marks(len(ids), "mean") for ids, _ in sequences])
            windows.append({**joined(sequences), "row": owner, "pooled": pooling})
        return Windows.join(windows, per_token=["pooled"])

    def build_head(self, config) -> nn.Module:
        return nn.Identity()

    def loss(self, head, hidden, batch, recipe):
        raise NotImplementedError("bitext retrieval is not trained")

    def layer(self, options: dict) -> int | None:
        return options.get("layer")

    def outputs(self, head, hidden, batch):
        """Per window the unit vectors (2, width) of its two sides."""
        vectors = nn.functional.normalize(pooled(hidden, batch), dim=-1)
        return list(vectors.cpu().view(len(batch.windows), 2, -1))

    def answers(self, rows, windows, outputs):
        foreign, english = torch.stack(outputs).unbind(1)
        found = [int(place) for part in english.split(ASKED_AT_ONCE) for place in (part @ foreign.T).argmax(1)]
        return [
            {"id": row["id"], "prediction": rows[place]["id"], "gold": row["id"]}
            for row, place in zip(rows, found, strict=True)
        ]
