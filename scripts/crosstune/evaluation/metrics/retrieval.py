"""Retrieval by ranking: mean average precision at 20, XTREME-R's metric of LAReQA and Mewsli-X.

The average precision of a question is the sum of the precisions at the ranks, up to 20, of relevant candidates, divided
by min(relevant candidates, 20). With one relevant candidate (Mewsli-X) it is the reciprocal rank, 0 beyond rank 20.
"""

from collections.abc import Sequence

from crosstune.core.errors import UserError
from crosstune.evaluation.metrics.metric import Metric

DEPTH = 20


def problem(row: dict) -> str | None:
    """The fault of a prediction row {"id", "prediction": [id, ...], "gold": [id, ...]}, or None."""
    for key in ("prediction", "gold"):
        if not (isinstance(row.get(key), list) and all(isinstance(candidate, str) for candidate in row[key])):
            return f'"{key}" must be a list of candidates\' ids'
    return None if row["gold"] else '"gold" must name one or more candidates'


def measure(rows: Sequence[dict], lang: str = "") -> list[dict]:
    """One record {"id", "map20"} (0 to 100) per question; ranks beyond the 20th are ignored."""
    return [{"id": row["id"], "map20": 100 * average_precision(row["prediction"], row["gold"])} for row in rows]


def summarise(examples: Sequence[dict]) -> dict:
    """The mean over the questions, and their number `n`."""
    return {"map20": sum(example["map20"] for example in examples) / len(examples), "n": len(examples)}


def relevant_candidates(rows: Sequence[dict]) -> dict[str, list[str]]:
    """The ids of the relevant candidates of each query's key, from prepared rows of all languages.

    Raises UserError if a key has none.
    """
    found: dict[str, list[str]] = {row["key"]: [] for row in rows if "query" in row}
    for row in rows:
        for key in row.get("keys", ()):
            if key in found:
                found[key].append(row["id"])
    if absent := [key for key, candidates in found.items() if not candidates]:
        message = f"{len(absent)} questions have no answer among the candidates, such as that for {absent[0]!r}"
        raise UserError(message, fix="Evaluate the data set in all its languages: each brings its candidates.")
    return found


def average_precision(ranking: Sequence[str], relevant: Sequence[str]) -> float:
    """Average precision at 20, 0 to 1. A repeated candidate counts at its first rank."""
    open_ones, total, found = set(relevant), 0.0, 0
    possible = min(len(open_ones), DEPTH)
    for rank, candidate in enumerate(ranking[:DEPTH], start=1):
        if candidate in open_ones:
            open_ones.remove(candidate)
            found += 1
            total += found / rank
    return total / possible


MAP20 = Metric({"map20": "mAP@20"}, problem, measure, summarise, averaged_keys=("map20",))
