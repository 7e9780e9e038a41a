"""Classification of a text or a pair of texts.

Protocol: XTREME's run_classify (the pair is cut to the window, from the longer text first; the first token's state goes
through a dense layer with tanh).
"""

from collections.abc import Sequence

from torch import nn

from crosstune.modeling.features import Windows
from crosstune.modeling.tasks import Task
from crosstune.modeling.tasks.pooling import PooledHead, first_tokens
from crosstune.modeling.tokenization import Tokenizer


class Classification(Task):
    def encode(self, rows: Sequence[dict], tokenizer: Tokenizer, options: dict) -> Windows:
        """One window per row: `text`, or `text, pair`."""
        number_of = {label: number for number, label in enumerate(self.labels)}
        texts = tokenizer.tokenize([row["text"] for row in rows])
        pairs = iter(tokenizer.tokenize([row["pair"] for row in rows if "pair" in row]))
        windows = []
        for owner, (row, text) in enumerate(zip(rows, texts, strict=True)):
            pair = next(pairs).ids if "pair" in row else None
            ids, types = tokenizer.encode_pair(text.ids, pair, options["max_length"])
            windows.append({"ids": ids, "types": types, "row": owner, "label": number_of[row["label"]]})
        return Windows.join(windows, per_window=["label"])

    def build_head(self, config) -> nn.Module:
        return PooledHead(config, len(self.labels))

    def loss(self, head, hidden, batch, recipe):
        logits = head(first_tokens(hidden, batch)).float()
        smoothing = recipe["label_smoothing"]
        return nn.functional.cross_entropy(logits, batch.values["label"], reduction="sum", label_smoothing=smoothing)

    def outputs(self, head, hidden, batch):
        """The number of each window's class."""
        return head(first_tokens(hidden, batch)).argmax(-1).tolist()

    def answers(self, rows, windows, outputs):
        return [
            {"id": row["id"], "prediction": self.labels[number], "gold": row["label"]}
            for row, number in zip(rows, outputs, strict=True)
        ]
