"""Trivial baselines: scores of predictions without any model.

    qa              empty      the empty answer
                    context    the whole paragraph
    tagging         majority   the most frequent tag for every token
    classification  majority   the most frequent label for every text
    choice          majority   the most frequent position
    bitext          first      the first sentence for every query, which scores as chance does on average
    retrieval       first      the first candidates of all

The most frequent label is that of the training data or, without training data, of the language's test data, which can
only raise the baseline.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from crosstune.core.errors import UserError
from crosstune.core.files import read_jsonl
from crosstune.evaluation.metrics import metric_named
from crosstune.evaluation.metrics.qa import answered
from crosstune.evaluation.metrics.retrieval import DEPTH, relevant_candidates
from crosstune.evaluation.scoring import scores_record


class ReferenceRows(NamedTuple):
    """Rows that a baseline may use besides those of its language: training rows, and rows of all languages."""

    training: Sequence[dict]
    all_languages: Sequence[dict]


def score_baselines(
    task: str, dataset: str, data: Sequence[Path], train: Sequence[Path] = (), metric: str = ""
) -> dict:
    """Baseline scores of a data set from its prepared files `<split>.<lang>.jsonl` and those it is trained on.

    `metric` is the data set's, by default the task's.
    Returns {"dataset", "task", "score_version", "baselines": {name: {lang: {number: 0..100, "n": examples}}}}.
    Raises UserError for a task without baselines, an unknown metric, or a language without rules of the metric.
    """
    metrics = metric_named(metric or task)
    metrics.check_languages([language_in_name(path) for path in data], dataset)
    if task not in BASELINES:
        raise UserError(f"no baseline is defined for the task {task!r}", fix=f"Known: {', '.join(BASELINES)}.")
    by_language = {language_in_name(path): read_jsonl(path) for path in data}
    training = [row for path in train for row in read_jsonl(path)]
    reference = ReferenceRows(training, [row for rows in by_language.values() for row in rows])
    baselines: dict[str, dict[str, dict]] = {}
    for language, rows in by_language.items():
        for name, predictions in BASELINES[task](rows, reference).items():
            measured = metrics.measure(predictions, language)
            baselines.setdefault(name, {})[language] = metrics.summarise(measured)
    return scores_record(task, dataset, metric, {"baselines": baselines})


def language_in_name(path: Path) -> str:
    """The language in `<split>.<lang>.jsonl`. Raises UserError for another name."""
    try:
        _, language, _ = path.name.split(".")
    except ValueError:
        raise UserError("the name has no language", str(path), "Expected <split>.<lang>.jsonl.") from None
    return language


def qa_baselines(rows: Sequence[dict], reference: ReferenceRows) -> dict[str, list[dict]]:
    """Prediction rows by baseline for prepared question-answering rows."""
    return {
        "empty": [answered(row, "") for row in rows],
        "context": [answered(row, row["context"]) for row in rows],
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
    """Prediction rows by baseline for prepared choice rows, of positions that every row has."""
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
    """The most frequent label; among equally frequent ones, the first in sorted order."""
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
