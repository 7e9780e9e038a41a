"""Multiple choice: which of some texts goes with a premise and a question.

Protocol: XTREME's run_xcopa (each choice is a sequence `premise question, choice`, scored by one logit from the first
token's state; softmax over the choices of an item).
"""

from collections.abc import Sequence

import torch
from torch import nn

from crosstune.modeling.batching import as_rows, real_places
from crosstune.modeling.features import Batch, Windows, joined
from crosstune.modeling.tasks import Task
from crosstune.modeling.tasks.pooling import PooledHead, first_tokens
from crosstune.modeling.tasks.row_loss import row_loss
from crosstune.modeling.tokenization import TextEncoder


class MultipleChoice(Task):
    def encode(self, rows: Sequence[dict], encoder: TextEncoder, options: dict) -> Windows:
        """One window a row, with a sequence for each choice."""
        prompts = encoder.texts([f"{row['premise']} {row['question']}" for row in rows])
        choices = iter(encoder.texts([choice for row in rows for choice in row["choices"]]))
        windows = []
        for owner, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
            sequences = [encoder.cut_pair(prompt.ids, next(choices).ids, options["max_length"]) for _ in row["choices"]]
            windows.append({**joined(sequences), "row": owner, "label": row["label"]})
        return Windows.join(windows, per_window=["label"])

    def build_head(self, config) -> nn.Module:
        return PooledHead(config, 1)

    def loss(self, head, hidden, batch, recipe):
        logits, real = _logits(head, hidden, batch)
        return row_loss(logits, real, batch.values["label"], recipe["label_smoothing"])

    def outputs(self, head, hidden, batch):
        """Per window the place of its choice."""
        return _logits(head, hidden, batch)[0].argmax(1).tolist()

    def answers(self, rows, windows, outputs):
        return [
            {"id": row["id"], "prediction": place, "gold": row["label"]}
            for row, place in zip(rows, outputs, strict=True)
        ]


def _logits(head, hidden: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (windows, choices) in fp32 with -inf where a window has no such choice, and which choices are real."""
    real = real_places(batch.windows, hidden.device)
    return as_rows(head(first_tokens(hidden, batch))[:, 0].float(), real, -torch.inf), real
