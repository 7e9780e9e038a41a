"""What a model's tokenizer and windows make of rows: unknown tokens, pieces of words, cut rows, lost answers."""

from collections.abc import Mapping, Sequence

import numpy as np

from crosstune.evaluation.metrics import metric_named
from crosstune.modeling.features import Windows
from crosstune.modeling.pieces import pieces_per_word
from crosstune.modeling.tasks import Task
from crosstune.modeling.tokenization import Tokenizer

# From this share of unknown tokens on, a model hardly reads a language.
MUCH_UNKNOWN = 0.05

# A length that no sequence reaches.
WITHOUT_LIMIT = {"max_length": 10**9, "max_question_length": 10**9}


def unknown_share(windows: Windows, tokenizer: Tokenizer) -> float:
    """The share of the tokens of windows that are the unknown token."""
    if tokenizer.unknown_id is None or not len(windows.ids):
        return 0.0
    return float((windows.ids == tokenizer.unknown_id).mean())


def unknown_warnings(shares: Mapping[str, float]) -> list[str]:
    """A line for each large share of unknown tokens, by the name of the rows."""
    return [
        f"WARNING: {100 * share:.0f}% of the tokens of {rows} are unknown to the model's tokenizer"
        for rows, share in shares.items()
        if share >= MUCH_UNKNOWN
    ]


def encoding_facts(
    task: Task, rows: Sequence[dict], tokenizer: Tokenizer, options: dict, metric: str, language: str
) -> dict:
    """Facts of the encoding of rows: `rows`, the number `cut`, the share `unknown`, `pieces` per word, and `ceiling`.

    `ceiling`: the scores of the best answers that the windows can give; None for tasks that can always give the gold.
    """
    windows, whole = task.encode(rows, tokenizer, options), task.encode(rows, tokenizer, options | WITHOUT_LIMIT)
    kept, all_tokens = (task.limited_tokens(some, len(rows), tokenizer) for some in (windows, whole))
    ceiling = None
    if best := task.best_answers(rows, windows):
        measure = metric_named(metric)
        ceiling = measure.summarise(measure.measure(best, language))
    cut = int(np.count_nonzero(kept < all_tokens))
    unknown, pieces = unknown_share(windows, tokenizer), pieces_per_word(rows, tokenizer)
    return {"rows": len(rows), "cut": cut, "unknown": unknown, "pieces": pieces, "ceiling": ceiling}
