"""Scores from prediction files: reading and checking `<lang>.jsonl`, and the format of a scores file."""

import json
from collections.abc import Sequence
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import read_text, write_json, write_jsonl
from crosstune.evaluation.metrics import Metric, metric_named

SCORE_VERSION = 1  # raise it whenever the same predictions get other scores


def score_predictions(
    predictions: Path, task: str, dataset: str, languages: Sequence[str], metric: str = ""
) -> tuple[dict, list[dict]]:
    """(scores, examples) of one data set, from `predictions`/<lang>.jsonl of the given languages.

    `metric` is the data set's, by default the task's. Scores: {"dataset", "task", "score_version",
    "languages": {lang: {number: 0..100, ..., "n": examples}}}, and "metric" if it is not the task's. Examples: the
    metric's record of each example, with "lang" and "id", in the order of `languages`.
    Raises UserError for a missing, empty or broken file.
    """
    metrics = metric_named(metric or task)
    metrics.check_languages(languages, str(predictions))
    paths = {lang: predictions / f"{lang}.jsonl" for lang in languages}
    if missing := [lang for lang, path in paths.items() if not path.is_file()]:
        raise UserError(f"no predictions for {', '.join(missing)}", str(predictions), "Predict these languages first.")
    measured = {lang: metrics.measure(read_predictions(path, metrics), lang) for lang, path in paths.items()}
    summaries = {lang: metrics.summarise(examples) for lang, examples in measured.items()}
    return scores_record(task, dataset, metric, {"languages": summaries}), [
        {"lang": lang} | example for lang, examples in measured.items() for example in examples
    ]


def write_scores(out: Path, scores: dict, examples: list[dict]) -> None:
    """Write `<name>.examples.jsonl` and then `<name>.json`, so that scores never exist without their examples."""
    write_jsonl(out.with_suffix(".examples.jsonl"), examples)
    write_json(out, scores)


def scores_record(task: str, dataset: str, metric: str, content: dict) -> dict:
    """The content of a scores file with its header."""
    other = {"metric": metric} if metric not in ("", task) else {}
    return {"dataset": dataset, "task": task, "score_version": SCORE_VERSION} | other | content


def read_predictions(path: Path, metrics: Metric) -> list[dict]:
    """The rows of one prediction file. Raises UserError with the file and line of the first bad one."""
    rows = []
    seen: dict[str, int] = {}
    # Not splitlines(), which splits at characters such as U+2028 that JSON does not escape.
    for number, line in enumerate(read_text(path).removesuffix("\n").split("\n"), start=1):
        place = f"{path}:{number}"
        row = parse_row(line, place)
        if problem := metrics.problem(row):
            raise UserError(problem, place, "Delete the file and predict again.")
        if first := seen.get(row["id"]):
            raise UserError(f"the id {row['id']!r} is also on line {first}", place, "Ids must be unique in a file.")
        seen[row["id"]] = number
        rows.append(row)
    return rows


def parse_row(line: str, place: str) -> dict:
    """One line as a mapping with a text "id". Raises UserError for any other line."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        what = "an empty line" if not line.strip() else f"not a line of JSON ({error.msg})"
        raise UserError(what, place, "The file is empty or was cut short: delete it and predict again.") from None
    if not (isinstance(row, dict) and isinstance(row.get("id"), str)):
        raise UserError('a line must be a mapping with a text "id"', place, "Delete the file and predict again.")
    return row
