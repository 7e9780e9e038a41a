"""Extractive question answering on ChAII: word-level Jaccard, and F1 and exact match for any language.

Owns: ChAII's score and MuCoT's three numbers. Must never know: files, languages.

Jaccard is the score of the Kaggle competition chaii-hindi-and-tamil-question-answering: the words of both answers as
sets, lower-cased and split at white space, nothing stripped. Two empty answers, for which the competition's formula has
no value, count as equal. F1 and exact match of `measure` are SQuAD's after dropping all punctuation of Unicode
(categories P*, among them the danda) and no articles. Those of `measure_mucot` are what MuCoT's code computes
(utils/metrics.py): ASCII punctuation and English articles are dropped, and the common words are counted as sets while
the lengths are those of the lists, so that a repeated word costs precision.
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
    """The same numbers, with MuCoT's F1 and exact match."""
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
    """Common words over all words, 0 to 1; 1 where both answers are empty."""
    predicted, wanted = set(prediction.lower().split()), set(gold.lower().split())
    return len(predicted & wanted) / len(predicted | wanted) if predicted | wanted else 1.0


def mucot_f1(prediction: str, gold: str) -> float:
    """Overlap of the words, 0 to 1; where one answer is empty, whether both are."""
    predicted, wanted = qa.normalise(prediction).split(), qa.normalise(gold).split()
    if not predicted or not wanted:
        return float(predicted == wanted)
    same = len(set(predicted) & set(wanted))
    if same == 0:
        return 0.0
    precision, recall = same / len(predicted), same / len(wanted)
    return 2 * precision * recall / (precision + recall)
