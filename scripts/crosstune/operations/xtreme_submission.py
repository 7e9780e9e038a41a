"""A study's predictions in the files of XTREME-R, one folder for every run and for every row of an average.

Owns: which predictions belong into which folder. Must never know: file formats (xtreme), how predictions are made.

A folder holds `predictions/<task>/test-<lang>.<suffix>` and beside it `labels/`, the same for the gold answers, so that
it can be scored without the study: by `score.py`, and by XTREME's evaluate.py. Folders are

    runs/<model>/<track>/<schedule>/seed<n>                  the data sets of one track
    averages/<average>/<model>/<schedule>/seed<n>            the tasks of an average, from all their tracks
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crosstune.analysis.results import FINAL, Study
from crosstune.core.errors import UserError
from crosstune.core.files import read_jsonl, write_text
from crosstune.evaluation.metrics import XTREME_R, metric_named
from crosstune.evaluation.scoring import read_predictions
from crosstune.evaluation.xtreme_files import FORMATS

CURE = "Give its record the key `xtreme`, which names the task, or evaluate a data set that has it."


@dataclass(frozen=True)
class Part:
    """One task of a submission: the data set and the folder of its predictions."""

    task: str
    dataset: str
    predictions: Path
    languages: tuple[str, ...]


def write_submissions(study: Study, results: Path, data: Path, out: Path) -> list[Path]:
    """Write every submission of a study into `out`, from its predictions and prepared data; return their folders.

    Raises UserError where no evaluated data set is a task of XTREME-R, where two of one submission are the same task,
    and where predictions are missing or broken.
    """
    found = dict([*runs(study, results), *averages(study, results)])
    if not found:
        raise UserError("no evaluated data set is one of XTREME-R's tasks", "tracks", CURE)
    for folder, parts in found.items():
        check_distinct(folder, parts)
    for folder, parts in found.items():
        for part in parts:
            for lang in part.languages:
                write_part(part, lang, data, out / folder)
    return [out / folder for folder in found]


def runs(study: Study, results: Path) -> Iterator[tuple[Path, list[Part]]]:
    """Folder and parts of every run that predicts a task of XTREME-R."""
    for (model, track, schedule), planned in study.runs.items():
        for run in planned:
            parts = [part_of(study, run, dataset, results) for dataset in submitted(study, run)]
            if parts:
                yield Path("runs", model, track, schedule, f"seed{run['seed']}"), parts


def averages(study: Study, results: Path) -> Iterator[tuple[Path, list[Part]]]:
    """Folder and parts of every row and seed of every average; a row without a run of a task is without the task."""
    for average in study.averages():
        for model in study.plan["models"]:
            for schedule in average.schedules:
                by_seed: dict[int, list[Part]] = {}
                for entry in average.tasks.values():
                    key = (model, entry["track"], entry.get("schedule", schedule))
                    for run in study.runs.get(key, []):
                        if entry["dataset"] in submitted(study, run):
                            part = part_of(study, run, entry["dataset"], results)
                            by_seed.setdefault(run["seed"], []).append(part)
                for seed, parts in by_seed.items():
                    yield Path("averages", average.name, model, schedule, f"seed{seed}"), parts


def submitted(study: Study, run: dict) -> list[str]:
    """The data sets of a run's last stage that are tasks of XTREME-R."""
    return [name for name in run["evaluated"][FINAL] if name in study.plan["tracks"][run["track"]]["xtreme"]]


def part_of(study: Study, run: dict, dataset: str, results: Path) -> Part:
    track = study.plan["tracks"][run["track"]]
    predictions = results / run["stages"][FINAL] / "predictions" / dataset
    return Part(track["xtreme"][dataset], dataset, predictions, tuple(track["evaluate"][dataset]))


def check_distinct(folder: Path, parts: list[Part]) -> None:
    """UserError where two data sets of a submission are the same task: their files would have the same names."""
    owners: dict[str, str] = {}
    for part in parts:
        if part.task in owners:
            message = f"{owners[part.task]} and {part.dataset} are both XTREME-R's {part.task}"
            raise UserError(message, f"submission {folder}", "Evaluate one of them, or in tracks of their own.")
        owners[part.task] = part.dataset


def write_part(part: Part, lang: str, data: Path, folder: Path) -> None:
    """Write the predictions of one language of a task, and its labels."""
    form = FORMATS[part.task]
    path = part.predictions / f"{lang}.jsonl"
    rows = read_predictions(path, metric_named(XTREME_R[part.task]))
    if part.task == "tatoeba":
        # XTREME asks in the order of the English sentences, which predictions do not hold.
        english = {row["id"]: row["pair"] for row in read_jsonl(data / part.dataset / f"test.{lang}.jsonl")}
        if absent := [row["id"] for row in rows if row["id"] not in english]:
            raise UserError(f"the data set has no row {absent[0]!r}", str(path), "Delete the file and predict again.")
        rows = [row | {"english": english[row["id"]]} for row in rows]
    name = f"test-{lang}.{form.suffix}"
    write_text(folder / "predictions" / part.task / name, form.write_predictions(rows))
    write_text(folder / "labels" / part.task / name, form.write_labels(rows))
