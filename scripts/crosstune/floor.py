"""The floor under every score: what answers made without any model get.

Owns: the trivial answers of each task. Must never know: models, schedules.

Question answering: `empty` answers nothing, `context` answers with the whole paragraph. Tagging: `majority` gives every
token the most frequent tag of the training data, or, where there is none, of the language's own test data (which can
only raise the floor).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from crosstune.errors import UserError
from crosstune.files import read_jsonl
from crosstune.metrics import task_metrics
from crosstune.scoring import scores_record


def floor(task: str, dataset: str, data: Sequence[Path], train: Sequence[Path] = ()) -> dict:
    """The floor of a data set from its prepared files `<split>.<lang>.jsonl`; `train` files give the majority tag.

    Returns {"dataset", "task", "score_version", "baselines": {name: {lang: {metric: 0..100, "n": examples}}}}.
    """
    metrics = task_metrics(task)
    if task not in TRIVIAL_ANSWERS:
        raise UserError(f"no floor is defined for the task {task!r}", cure=f"Known: {', '.join(TRIVIAL_ANSWERS)}.")
    training_rows = [row for path in train for row in read_jsonl(path)]
    baselines: dict[str, dict[str, dict]] = {}
    for path in data:
        for name, predictions in TRIVIAL_ANSWERS[task](read_jsonl(path), training_rows).items():
            baselines.setdefault(name, {})[language_of(path)] = metrics.summarise(metrics.measure(predictions))
    return scores_record(task, dataset, {"baselines": baselines})


def language_of(path: Path) -> str:
    """The language in `<split>.<lang>.jsonl`."""
    try:
        _, language, _ = path.name.split(".")
    except ValueError:
        raise UserError("the name tells no language", str(path), "Expected <split>.<lang>.jsonl.") from None
    return language


def trivial_answers(rows: Sequence[dict], training_rows: Sequence[dict]) -> dict[str, list[dict]]:
    """Prediction rows by baseline for prepared question-answering rows; the training rows play no part."""
    gold = [{"id": row["id"], "gold": row["answers"]["text"]} for row in rows]
    return {
        "empty": [answer | {"prediction": ""} for answer in gold],
        "context": [answer | {"prediction": row["context"]} for answer, row in zip(gold, rows, strict=True)],
    }


def trivial_tags(rows: Sequence[dict], training_rows: Sequence[dict]) -> dict[str, list[dict]]:
    """Prediction rows by baseline for prepared tagging rows."""
    tag = most_frequent(tag for row in training_rows or rows for tag in row["tags"])
    return {
        "majority": [{"id": row["id"], "gold": row["tags"], "prediction": [tag] * len(row["tags"])} for row in rows]
    }


def most_frequent(tags: Iterable[str]) -> str:
    """The most frequent tag; among equals the first in the alphabet."""
    counts = Counter(tags)
    return min(counts, key=lambda tag: (-counts[tag], tag))


TRIVIAL_ANSWERS = {"qa": trivial_answers, "tagging": trivial_tags}
