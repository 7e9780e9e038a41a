"""Extractive question answering on ChAII: word-level Jaccard, and F1 and exact match for any language.

Jaccard is the score of the Kaggle competition chaii-hindi-and-tamil-question-answering: the words of both answers as
sets, lower-cased and split at white space, nothing stripped. Two empty answers, for which the competition's formula has
no value, are equal. F1 and exact match of `measure` are SQuAD's, except that all punctuation of Unicode (categories P*,
which include the danda) is dropped and articles are not. `measure_mucot` follows the code of MuCoT (Kumar et al., 2022,
utils/metrics.py): ASCII punctuation and English articles are dropped; common words are counted as sets but lengths as
lists, so that a repeated word costs precision.
"""

from collections.abc import Sequence

from crosstune.evaluation.metrics import qa
from crosstune.evaluation.metrics.mlqa import is_punctuation

KEYS = ("jaccard", "f1", "exact_match")


def measure(rows: Sequence[dict], lang: str = "") -> list[dict]:
    """One record {"id", "jaccard", "f1", "exact_match"} (0 to 100) per row: the best over its gold answers."""
    counted = qa.measure(rows, lang, normalise)
    return [record | {"jaccard": best_jaccard(row)} for record, row in zip(counted, rows, strict=True)]


def measure_mucot(rows: Sequence[dict], lang: str = "") -> list[dict]:
    """The same records, with F1 and exact match of MuCoT."""
    counted = qa.measure(rows, lang)
    return [
        record
        | {"jaccard": best_jaccard(row), "f1": 100 * max(mucot_f1(row["prediction"], gold) for gold in row["gold"])}
        for record, row in zip(counted, rows, strict=True)
    ]


def summarise(examples: Sequence[dict]) -> dict:
    """The means over the examples, and their number `n`."""
    n = len(examples)
    return {key: sum(example[key] for example in examples) / n for key in KEYS} | {"n": n}


def normalise(text: str) -> str:
    """Lower case, no punctuation, single spaces."""
    return " ".join("".join(character for character in text.lower() if not is_punctuation(character)).split())


def best_jaccard(row: dict) -> float:
    return 100 * max(jaccard(row["prediction"], gold) for gold in row["gold"])


def jaccard(prediction: str, gold: str) -> float:
    """Common words over all words, 0 to 1; 1 if both answers are empty."""
    predicted, expected = set(prediction.lower().split()), set(gold.lower().split())
    return len(predicted & expected) / len(predicted | expected) if predicted | expected else 1.0


def mucot_f1(prediction: str, gold: str) -> float:
    """F1 of the words, 0 to 1; if an answer is empty, 1 if both are, else 0."""
    predicted, expected = qa.normalise(prediction).split(), qa.normalise(gold).split()
    if not predicted or not expected:
        return float(predicted == expected)
    same = len(set(predicted) & set(expected))
    if same == 0:
        return 0.0
    precision, recall = same / len(predicted), same / len(expected)
    return 2 * precision * recall / (precision + recall)


METRICS = {
    name: qa.answer_metric(title, function, summarise, {"jaccard": "ChAII Jaccard"})
    for name, title, function in (("chaii", "Unicode", measure), ("mucot", "MuCoT's", measure_mucot))
}
