"""Masked language modelling: pretraining, and text as a source of a schedule.

Protocol: Devlin et al. 2019 (80% of the chosen tokens become the mask, 10% a random token, 10% stay). A row with a
translation is a pair: translation language modelling (Conneau & Lample 2019).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from transformers.activations import ACT2FN

from crosstune.core.errors import UserError
from crosstune.modeling.features import Batch, Windows
from crosstune.modeling.tasks import IGNORE_INDEX, Task
from crosstune.modeling.tasks.token_loss import count_targets, token_loss
from crosstune.modeling.tokenization import Tokenizer

OTHER_SOURCE = "Choose a model that was trained with masks, or leave sources of the task `text` out."


class MaskedLanguageModelling(Task):
    tied_embeddings = True

    def encode(self, rows: Sequence[dict], tokenizer: Tokenizer, options: dict) -> Windows:
        """One window per row (a pair is cut evenly to fit); long texts without a pair give several."""
        if tokenizer.mask_id is None:
            raise UserError("the model's tokenizer has no mask token, which text as a source needs", fix=OTHER_SOURCE)
        texts = tokenizer.tokenize([row["text"] for row in rows])
        pairs = iter(tokenizer.tokenize([row["pair"] for row in rows if "pair" in row]))
        layout = tokenizer.pair_layout
        specials = [*layout.before, *layout.between, *layout.after]
        windows = []
        for owner, (row, text) in enumerate(zip(rows, texts, strict=True)):
            for ids, types in self._windows(text.ids, next(pairs).ids if "pair" in row else None, tokenizer, options):
                targets = np.where(np.isin(ids, specials), IGNORE_INDEX, ids)
                windows.append({"ids": ids, "types": types, "row": owner, "tokens": targets})
        return Windows.join(windows, per_token=["tokens"])

    @staticmethod
    def _windows(text: np.ndarray, pair: np.ndarray | None, tokenizer: Tokenizer, options: dict) -> list:
        if pair is not None:
            room = (options["max_length"] - tokenizer.pair_layout.count) // 2
            return [tokenizer.pair_layout.pair(text[:room], pair[:room])]
        layout = tokenizer.single_layout
        room = options["max_length"] - layout.count
        return [layout.pair(np.zeros(0, np.int32), text[i : i + room]) for i in range(0, len(text), room)]

    def build_head(self, config) -> nn.Module:
        return MaskedLanguageHead(config)

    def perturb(self, batch, tokenizer, stream, recipe):
        """Draw the masks: `tokens` keeps the targets of the chosen positions, `ids` loses most of them."""
        ids, targets = batch.ids.numpy(), batch.values["tokens"].numpy()
        chosen = (targets != IGNORE_INDEX) & (stream.random(ids.shape) < recipe["mlm_probability"])
        fate = stream.random(ids.shape)
        noise = stream.integers(0, tokenizer.vocabulary, ids.shape)
        masked = np.where(chosen & (fate < 0.8), tokenizer.mask_id, ids)
        masked = np.where(chosen & (fate >= 0.9), noise, masked)
        values = {"tokens": torch.from_numpy(np.where(chosen, targets, IGNORE_INDEX))}
        return replace(batch, ids=torch.from_numpy(masked), values=values)

    def loss(self, head, hidden, batch, recipe):
        return token_loss(head, hidden, batch, "tokens", recipe)

    def target_count(self, batch: Batch) -> int:
        return count_targets(batch.values["tokens"])


class MaskedLanguageHead(nn.Module):
    """BERT's masked-LM head. Its output matrix is the embedding matrix, which may be narrower than the encoder."""

    def __init__(self, config):
        super().__init__()
        width = _first_option(config, "embedding_size", "input_embedding_size") or config.hidden_size
        self.dense = nn.Linear(config.hidden_size, width)
        self.norm = nn.LayerNorm(width, eps=_first_option(config, "layer_norm_eps", "norm_eps") or 1e-12)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.activation = ACT2FN[_first_option(config, "hidden_act", "hidden_activation") or "gelu"]

    def forward(self, embeddings: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(self.norm(self.activation(self.dense(hidden))), embeddings, self.bias)


def _first_option(config, *names: str) -> float | str | None:
    """The value of a model's config under the first of these names that it has."""
    return next((getattr(config, name) for name in names if getattr(config, name, None) is not None), None)
