"""The floor under every score: what answers made without any model get.

Owns: the trivial answers of each task. Must never know: models, schedules.

    qa              empty      answers nothing
                    context    answers with the whole paragraph
    tagging         majority   gives every token the most frequent tag
    classification  majority   gives every text the most frequent label
    choice          majority   takes the most frequent position
    bitext          first      finds the first sentence for every query: what chance gets on average
    retrieval       first      ranks the first candidates of all

What is most frequent is taken from the training data, or, where there is none, from the language's own test data (which
can only raise the floor).
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from crosstune.core.errors import UserError
from crosstune.core.files import read_jsonl
from crosstune.evaluation.metrics import metric_named
from crosstune.evaluation.metrics.retrieval import DEPTH, relevant_candidates
from crosstune.evaluation.scoring import scores_record


class ReferenceRows(NamedTuple):
    """What may be known beside a language's rows: those trained on, and those of all languages."""

    training: Sequence[dict]
    all_languages: Sequence[dict]


def score_baselines(
    task: str, dataset: str, data: Sequence[Path], train: Sequence[Path] = (), metric: str = ""
) -> dict:
    """The floor of a data set from its prepared files `<split>.<lang>.jsonl`; `train` files give what is frequent.

    `metric` is the data set's, without it the task's own.
    Returns {"dataset", "task", "score_version", "baselines": {name: {lang: {number: 0..100, "n": examples}}}}.
    """
    metrics = metric_named(metric or task)
    metrics.check_languages([language_in_name(path) for path in data], dataset)
    if task not in BASELINES:
        raise UserError(f"no floor is defined for the task {task!r}", fix=f"Known: {', '.join(BASELINES)}.")
    parts = {language_in_name(path): read_jsonl(path) for path in data}
    reference = ReferenceRows(
        [row for path in train for row in read_jsonl(path)], [row for rows in parts.values() for row in rows]
    )
    baselines: dict[str, dict[str, dict]] = {}
    for language, rows in parts.items():
        for name, predictions in BASELINES[task](rows, reference).items():
            measured = metrics.measure(predictions, language)
            baselines.setdefault(name, {})[language] = metrics.summarise(measured)
    return scores_record(task, dataset, metric, {"baselines": baselines})


def language_in_name(path: Path) -> str:
    """The language in `<split>.<lang>.jsonl`."""
    try:
        _, language, _ = path.name.split(".")
    except ValueError:
        raise UserError("the name tells no language", str(path), "Expected <split>.<lang>.jsonl.") from None
    return language


def qa_baselines(rows: Sequence[dict], reference: ReferenceRows) -> dict[str, list[dict]]:
    """Prediction rows by baseline for prepared question-answering rows."""
    gold = [{"id": row["id"], "gold": row["answers"]["text"]} for row in rows]
    return {
        "empty": [answer | {"prediction": ""} for answer in gold],
        "context": [answer | {"prediction": row["context"]} for answer, row in zip(gold, rows, strict=True)],
    }


def tagging_baselines(rows: Sequence[dict], reference: ReferenceRows) -> dict[str, list[dict]]:
    """Prediction rows by baseline for prepared tagging rows."""
    tag = most_frequent(tag for row in reference.training or rows for tag in row["tags"])
    return {
        "majority": [{"id": row["id"], "gold": row["tags"], "prediction": [tag] * len(row["tags"])} for row in rows]
    }


def classification_baselines(rows: Sequence[dict], reference: ReferenceRows) -> dict[str, list[dict]]:
    """Prediction rows by baseline for prepared classification rows."""
    label = most_frequent(row["label"] for row in reference.training or rows)
    return {"majority": [{"id": row["id"], "gold": row["label"], "prediction": label} for row in rows]}


def choice_baselines(rows: Sequence[dict], reference: ReferenceRows) -> dict[str, list[dict]]:
    """Prediction rows by baseline for prepared choice rows; positions that some row lacks cannot be the majority."""
    fewest = min(len(row["choices"]) for row in rows)
    positions = [row["label"] for row in reference.training or rows if row["label"] < fewest]
    position = most_frequent(positions) if positions else 0
    return {"majority": [{"id": row["id"], "gold": row["label"], "prediction": position} for row in rows]}


def bitext_baselines(rows: Sequence[dict], reference: ReferenceRows) -> dict[str, list[dict]]:
    """Prediction rows by baseline for prepared bitext rows."""
    first = rows[0]["id"]
    return {"first": [{"id": row["id"], "gold": row["id"], "prediction": first} for row in rows]}


def retrieval_baselines(rows: Sequence[dict], reference: ReferenceRows) -> dict[str, list[dict]]:
    """Prediction rows by baseline for prepared retrieval rows."""
    ranking = [row["id"] for row in reference.all_languages if "candidate" in row][:DEPTH]
    relevant = relevant_candidates(reference.all_languages)
    return {
        "first": [
            {"id": row["id"], "gold": relevant[row["key"]], "prediction": ranking} for row in rows if "query" in row
        ]
    }


def most_frequent(labels: Iterable[Hashable]) -> Hashable:
    """The most frequent label; among equals the first in order."""
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label))


BASELINES = {
    "qa": qa_baselines,
    "tagging": tagging_baselines,
    "classification": classification_baselines,
    "choice": choice_baselines,
    "bitext": bitext_baselines,
    "retrieval": retrieval_baselines,
}
