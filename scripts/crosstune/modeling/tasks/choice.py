"""Multiple choice: which of several texts fits a premise and a question.

Protocol: XTREME's run_xcopa (each choice is a sequence `premise question, choice`, scored by one logit from the first
token's state; softmax over the choices of an item).
"""

from collections.abc import Sequence

import torch
from torch import nn

from crosstune.modeling.batching import Padding
from crosstune.modeling.features import Batch, Windows, concat_sequences
from crosstune.modeling.tasks import Task
from crosstune.modeling.tasks.pooling import PooledHead, first_tokens
from crosstune.modeling.tasks.row_loss import row_loss
from crosstune.modeling.tokenization import Tokenizer


class MultipleChoice(Task):
    def encode(self, rows: Sequence[dict], tokenizer: Tokenizer, options: dict) -> Windows:
        """One window per row, with a sequence for each choice."""
        prompts = tokenizer.tokenize([f"{row['premise']} {row['question']}" for row in rows])
        choices = iter(tokenizer.tokenize([choice for row in rows for choice in row["choices"]]))
        windows = []
        for owner, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
            sequences = [
                tokenizer.encode_pair(prompt.ids, next(choices).ids, options["max_length"]) for _ in row["choices"]
            ]
            windows.append({**concat_sequences(sequences), "row": owner, "label": row["label"]})
        return Windows.join(windows, per_window=["label"])

    def build_head(self, config) -> nn.Module:
        return PooledHead(config, 1)

    def loss(self, head, hidden, batch, recipe):
        logits, mask = _logits(head, hidden, batch)
        return row_loss(logits, mask, batch.values["label"], recipe["label_smoothing"])

    def outputs(self, head, hidden, batch):
        """The number of each window's best choice."""
        return _logits(head, hidden, batch)[0].argmax(1).tolist()

    def answers(self, rows, windows, outputs):
        return [
            {"id": row["id"], "prediction": place, "gold": row["label"]}
            for row, place in zip(rows, outputs, strict=True)
        ]


def _logits(head, hidden: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (windows, choices) in fp32, padded with -inf, and the mask of the choices."""
    padding = Padding(batch.sequence_counts, hidden.device)
    return padding.pad(head(first_tokens(hidden, batch))[:, 0].float(), -torch.inf), padding.mask
