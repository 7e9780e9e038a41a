"""Extractive question answering: F1 and exact match of SQuAD v1.1.

The metric is `evaluate-v1.1.py` of the SQuAD leaderboard, which XTREME uses unchanged for XQuAD and TyDiQA-GoldP in
every language: ASCII punctuation and *English* articles are dropped, and white space separates words. Languages written
without spaces are not segmented, so F1 is close to exact match in Chinese and Thai. Scripts such as MLQA's differ in
the normalisation only, which is therefore an argument.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

from crosstune.evaluation.metrics.metric import Metric

ARTICLES = re.compile(r"\b(a|an|the)\b")

PUNCTUATION = frozenset(string.punctuation)


def problem(row: dict) -> str | None:
    """The fault of a prediction row {"id", "prediction": str, "gold": [str, ...]}, or None."""
    if not isinstance(row.get("prediction"), str):
        return '"prediction" must be a text'
    gold = row.get("gold")
    if not (isinstance(gold, list) and gold and all(isinstance(answer, str) for answer in gold)):
        return '"gold" must be a list of one or more texts'
    return None


def answered(row: dict, prediction: str) -> dict:
    """The prediction row of a row of question answering, with its `case` if it belongs to a test case."""
    case = {"case": row["case"]} if "case" in row else {}
    return {"id": row["id"], "prediction": prediction, "gold": row["answers"]["text"]} | case


def normalise(text: str) -> str:
    """Lower case, no ASCII punctuation, no English articles, single spaces: in this order."""
    text = "".join(character for character in text.lower() if character not in PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", text).split())


def measure(rows: Sequence[dict], lang: str = "", normalise: Callable[[str], str] = normalise) -> list[dict]:
    """One record {"id", "f1", "exact_match"} (0 to 100) per row: the best over its gold answers."""
    return [
        {
            "id": row["id"],
            "f1": 100 * max(f1(row["prediction"], gold, normalise) for gold in row["gold"]),
            "exact_match": 100 * max(exact_match(row["prediction"], gold, normalise) for gold in row["gold"]),
        }
        for row in rows
    ]


def summarise(examples: Sequence[dict]) -> dict:
    """The means over the examples, and their number `n`."""
    n = len(examples)
    return {key: sum(example[key] for example in examples) / n for key in ("f1", "exact_match")} | {"n": n}


def f1(prediction: str, gold: str, normalise: Callable[[str], str] = normalise) -> float:
    """F1 of the two multisets of words, 0 to 1; 0 without a common word, as in the official script."""
    predicted_words, gold_words = normalise(prediction).split(), normalise(gold).split()
    same = sum((Counter(predicted_words) & Counter(gold_words)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(predicted_words), same / len(gold_words)
    return 2 * precision * recall / (precision + recall)


def exact_match(prediction: str, gold: str, normalise: Callable[[str], str] = normalise) -> float:
    """1 if the normalised answers are equal, else 0."""
    return float(normalise(prediction) == normalise(gold))


def answer_metric(
    title: str,
    measure: Callable[[Sequence[dict], str], list[dict]],
    summarise: Callable[[Sequence[dict]], dict] = summarise,
    first: dict[str, str] | None = None,
    languages: tuple[str, ...] | None = None,
) -> Metric:
    """A metric with the number `first`, if given, then F1 and exact match."""
    both = {"f1": f"{title} F1", "exact_match": f"{title} exact match"}
    labels, averaged = {**(first or {}), **both}, tuple(first or both)
    return Metric(labels, problem, measure, summarise, averaged, languages, is_example_mean=True)


SQUAD = answer_metric("SQuAD v1.1", measure)
