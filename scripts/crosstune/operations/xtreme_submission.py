"""A study's predictions in XTREME-R's file formats, one folder per run and per row of an average over tasks.

A folder has `predictions/<task>/test-<lang>.<suffix>` and `labels/` with the gold answers in the same form: `score.py`
and XTREME's evaluate.py can score it without the study. The folders are

    runs/<model>/<track>/<schedule>/seed<n>                  the data sets of one track
    averages/<average>/<model>/<schedule>/seed<n>            the tasks of an average, from all their tracks

MultiCheckList is no task of the average. Its files lie next to those of the tasks, with the names that XTREME's own
program for it reads: `multichecklist/lang_predictions/<lang>_<test>_<model>_preds.txt`, an answer a line, in the order
of the contexts and questions of `multichecklist/lang_suites/<lang>_squad_suite.json`. `labels/` has the expected
answers.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crosstune.analysis.results import FINAL, StudyResults
from crosstune.core.errors import UserError
from crosstune.core.files import read_jsonl, write_text
from crosstune.evaluation.metrics import DIAGNOSTICS, XTREME_R, metric_named
from crosstune.evaluation.scoring import read_predictions
from crosstune.evaluation.xtreme_files import FORMATS

# The tests' names in the names of prediction files.
CHECKLIST_FILES = {
    "comp": "comp",
    "intens": "intense",
    "prop": "props",
    "prof": "profession_nationality",
    "anim": "animal_vehicle",
    "anim2": "animal_vehicle_v2",
}

FIX = "Add the key `xtreme` with the name of the task to its record, or evaluate a whole data set that has the key."


@dataclass(frozen=True)
class SubmissionPart:
    """One task of a submission: the data set and the folder of its predictions by a model."""

    model: str
    task: str
    dataset: str
    predictions: Path
    languages: tuple[str, ...]


def write_submissions(study: StudyResults, results: Path, data: Path, out: Path) -> list[Path]:
    """Write every submission of a study into `out`, from its predictions and prepared data; return their folders.

    Raises UserError if no evaluated data set is a task of XTREME-R, if two data sets of a submission are the same task,
    and for missing or broken predictions.
    """
    submissions = dict([*run_submissions(study, results), *average_submissions(study, results)])
    if not submissions:
        raise UserError("no evaluated data set is one of XTREME-R's tasks", "tracks", FIX)
    for folder, parts in submissions.items():
        check_distinct(folder, parts)
    for folder, parts in submissions.items():
        for part in parts:
            for lang in part.languages:
                write_part(part, lang, data, out / folder)
    return [out / folder for folder in submissions]


def run_submissions(study: StudyResults, results: Path) -> Iterator[tuple[Path, list[SubmissionPart]]]:
    """Folder and parts of every run that predicts tasks of XTREME-R."""
    for (model, track, schedule), planned in study.runs.items():
        for run in planned:
            parts = [submission_part(study, run, dataset, results) for dataset in submitted_datasets(study, run)]
            if parts:
                yield Path("runs", model, track, schedule, f"seed{run['seed']}"), parts


def average_submissions(study: StudyResults, results: Path) -> Iterator[tuple[Path, list[SubmissionPart]]]:
    """Folder and parts of every row and seed of every average, without the tasks that have no run."""
    for average in study.task_averages():
        for model in study.plan["models"]:
            for schedule in average.schedules:
                by_seed: dict[int, list[SubmissionPart]] = {}
                for entry in average.tasks.values():
                    key = (model, entry["track"], entry.get("schedule", schedule))
                    for run in study.runs.get(key, []):
                        if entry["dataset"] in submitted_datasets(study, run):
                            part = submission_part(study, run, entry["dataset"], results)
                            by_seed.setdefault(run["seed"], []).append(part)
                for seed, parts in by_seed.items():
                    yield Path("averages", average.name, model, schedule, f"seed{seed}"), parts


def submitted_datasets(study: StudyResults, run: dict) -> list[str]:
    """The data sets of a run's last stage that are tasks of XTREME-R."""
    return [name for name in run["evaluated"][FINAL] if name in study.plan["tracks"][run["track"]]["xtreme"]]


def submission_part(study: StudyResults, run: dict, dataset: str, results: Path) -> SubmissionPart:
    track = study.plan["tracks"][run["track"]]
    predictions = results / run["stages"][FINAL] / "predictions" / dataset
    languages = tuple(track["evaluate"][dataset])
    return SubmissionPart(run["model"], track["xtreme"][dataset], dataset, predictions, languages)


def check_distinct(folder: Path, parts: list[SubmissionPart]) -> None:
    """Raise UserError if two data sets of a submission are the same task: their files would have the same names."""
    owners: dict[str, str] = {}
    for part in parts:
        if part.task in owners:
            message = f"{owners[part.task]} and {part.dataset} are both XTREME-R's {part.task}"
            raise UserError(message, f"submission {folder}", "Evaluate only one of them, or each in its own track.")
        owners[part.task] = part.dataset


def write_part(part: SubmissionPart, lang: str, data: Path, folder: Path) -> None:
    """Write the predictions of one language of a task, and its labels."""
    if part.task in DIAGNOSTICS:
        write_checklist(part, lang, data, folder / part.task)
        return
    form = FORMATS[part.task]
    path = part.predictions / f"{lang}.jsonl"
    rows = read_predictions(path, metric_named(XTREME_R[part.task]))
    if part.task == "tatoeba":
        # XTREME sorts by the English sentences, which are not in the predictions.
        english = {row["id"]: row["pair"] for row in read_jsonl(data / part.dataset / f"test.{lang}.jsonl")}
        if missing := [row["id"] for row in rows if row["id"] not in english]:
            raise UserError(f"the data set has no row {missing[0]!r}", str(path), "Delete the file and predict again.")
        rows = [row | {"english": english[row["id"]]} for row in rows]
    name = f"test-{lang}.{form.suffix}"
    write_text(folder / "predictions" / part.task / name, form.write_predictions(rows))
    write_text(folder / "labels" / part.task / name, form.write_labels(rows))


def write_checklist(part: SubmissionPart, lang: str, data: Path, folder: Path) -> None:
    """Write MultiCheckList's predictions of one language, test by test, its suite and the expected answers."""
    rows = read_predictions(part.predictions / f"{lang}.jsonl", metric_named(DIAGNOSTICS[part.task]))
    by_test: dict[str, list[dict]] = {}
    for row in rows:
        by_test.setdefault(row["case"]["test"], []).append(row)
    for test, own in by_test.items():
        name = f"{lang}_{CHECKLIST_FILES[test]}"
        answers = {
            folder / "lang_predictions" / f"{name}_{part.model}_preds.txt": [row["prediction"] for row in own],
            folder / "labels" / f"{name}.txt": [row["gold"][0] for row in own],
        }
        for path, texts in answers.items():
            # A line holds one answer, whatever white space a context has.
            write_text(path, "".join(" ".join(text.split()) + "\n" for text in texts))
    prepared = {row["id"]: row for row in read_jsonl(data / part.dataset / f"test.{lang}.jsonl")}
    suite = [
        {"title": "", "paragraphs": [{"context": prepared[row["id"]]["context"], "qas": [question]}]}
        for number, row in enumerate(row for own in by_test.values() for row in own)
        for question in [{"question": prepared[row["id"]]["question"], "id": str(number)}]
    ]
    content = json.dumps({"version": "fake", "data": suite}, ensure_ascii=False)
    write_text(folder / "lang_suites" / f"{lang}_squad_suite.json", content)
