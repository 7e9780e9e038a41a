"""Accuracy of classes (XNLI), choices (XCOPA) and retrieved sentences (Tatoeba)."""

from collections.abc import Sequence

from crosstune.evaluation.metrics.metric import Metric


def label_problem(row: dict) -> str | None:
    """The fault of a prediction row {"id", "prediction": str, "gold": str}, or None."""
    return _problem(row, str, "a text")


def choice_problem(row: dict) -> str | None:
    """The fault of a prediction row {"id", "prediction": int, "gold": int}, or None."""
    return _problem(row, int, "a whole number")


def measure(rows: Sequence[dict], lang: str = "") -> list[dict]:
    """One record {"id", "accuracy"} (0 or 100) per row."""
    return [{"id": row["id"], "accuracy": 100.0 * (row["prediction"] == row["gold"])} for row in rows]


def summarise(examples: Sequence[dict]) -> dict:
    """The mean over the examples, and their number `n`."""
    return {"accuracy": sum(example["accuracy"] for example in examples) / len(examples), "n": len(examples)}


def _problem(row: dict, kind: type, name: str) -> str | None:
    for key in ("prediction", "gold"):
        # Not isinstance, which accepts True as a whole number.
        if type(row.get(key)) is not kind:
            return f'"{key}" must be {name}'
    return None


LABEL_ACCURACY, CHOICE_ACCURACY = (
    Metric({"accuracy": "accuracy"}, problem, measure, summarise, ("accuracy",), is_example_mean=True)
    for problem in (label_problem, choice_problem)
)
