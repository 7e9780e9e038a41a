"""Submissions: every run's predictions in XTREME-R's files, with the study's scores."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.xtreme_rows import rows_of

from crosstune.analysis.results import StudyResults, load_results
from crosstune.core.errors import UserError
from crosstune.core.files import write_json, write_jsonl
from crosstune.evaluation.metrics import METRICS, XTREME_R
from crosstune.evaluation.scoring import score_predictions
from crosstune.evaluation.xtreme_files import FORMATS, score_files
from crosstune.operations.xtreme_submission import write_submissions

SCRIPTS = Path(__file__).parents[2] / "scripts"
LANGUAGES = ["en", "zh"]  # both known to MLQA's metric
TRACKS = {"sentences": ["xnli", "xcopa"], "words": ["udpos", "panx"], "questions": ["xquad", "mlqa", "tydiqa"],
          "search": ["tatoeba", "mewslix", "lareqa"]}  # fmt: skip
SCHEDULES = {"english": [1, 2], "joint": [1, 2]}


def track(tasks: list[str], **xtreme: str) -> dict:
    named = {f"my-{task}": task for task in tasks} | xtreme
    return {
        "metrics": {dataset: XTREME_R[task] for dataset, task in named.items()},
        "xtreme": named,
        "evaluate": dict.fromkeys(named, LANGUAGES),
        "schedules": list(SCHEDULES),
    }


def plan(tracks: dict[str, dict], average: list[dict]) -> dict:
    return {
        "seeds": [1, 2],
        "models": ["tiny"],
        "tracks": tracks,
        "averages": {"xtreme-r": average},
        "runs": [
            {"model": "tiny", "track": name, "schedule": schedule, "seed": seed,
             "stages": [f"tiny/seed{seed}/{name}/{schedule}"], "evaluated": [sorted(content["evaluate"])]}
            for name, content in tracks.items()
            for schedule, seeds in SCHEDULES.items()
            for seed in seeds
        ],
    }  # fmt: skip


def write_study(folder: Path, plan: dict) -> StudyResults:
    """Predictions of every run, all of them right under the schedule joint, and the prepared rows."""
    write_json(folder / "plan.json", plan)
    for run in plan["runs"]:
        for dataset, task in plan["tracks"][run["track"]]["xtreme"].items():
            answers = [row | right(task, row) if run["schedule"] == "joint" else row for row in rows_of(task)]
            given = [{key: row[key] for key in ("id", "prediction", "gold")} for row in answers]
            prepared = [{"id": row["id"], "text": "?", "pair": row["english"]} for row in answers]
            for lang in LANGUAGES:
                write_jsonl(folder / run["stages"][0] / "predictions" / dataset / f"{lang}.jsonl", given)
                write_jsonl(folder / "data" / dataset / f"test.{lang}.jsonl", prepared)
    return load_results(folder / "plan.json", folder)


def right(task: str, row: dict) -> dict:
    return {"prediction": row["gold"][0] if task in TRACKS["questions"] else row["gold"]}


def all_tracks() -> dict[str, dict]:
    return {name: track(tasks) for name, tasks in TRACKS.items()}


def average(**schedules: str) -> list[dict]:
    """The ten tasks, of which some name a schedule."""
    return [
        {"task": task, "track": name, "dataset": f"my-{task}"}
        | ({"schedule": schedules[task]} if task in schedules else {})
        for name, tasks in TRACKS.items()
        for task in tasks
    ]


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_exported_files_have_the_scores_of_the_study(tmp_path):
    study = write_study(tmp_path, plan(all_tracks(), average()))
    write_submissions(study, tmp_path, tmp_path / "data", tmp_path / "out")
    for name, tasks in TRACKS.items():
        for schedule in SCHEDULES:
            folder = tmp_path / "out/runs/tiny" / name / schedule / "seed1"
            for task in tasks:
                predictions = tmp_path / f"tiny/seed1/{name}/{schedule}/predictions/my-{task}"
                scores, _ = score_predictions(predictions, XTREME_R[task], "d", LANGUAGES)
                for lang in LANGUAGES:
                    file = f"{task}/test-{lang}.{FORMATS[task].suffix}"
                    found = score_files(task, lang, folder / "labels" / file, folder / "predictions" / file)
                    assert (found["missing"], found["unexpected"]) == ([], [])
                    expected = scores["languages"][lang]
                    same = {key: found["scores"][key] for key in expected}
                    assert same == pytest.approx(expected), (task, schedule)
                    assert (found["scores"][METRICS[XTREME_R[task]].primary] == 100) == (schedule == "joint")


def test_an_average_is_a_whole_submission(tmp_path):
    study = write_study(tmp_path, plan(all_tracks(), average(tatoeba="joint")))
    folders = write_submissions(study, tmp_path, tmp_path / "data", tmp_path / "out")
    assert len(folders) == len(set(folders)) == 4 * 2 * 2 + 2 * 2
    whole = tmp_path / "out/averages/xtreme-r/tiny/english/seed2"
    expected = [f"{task}/test-{lang}.{FORMATS[task].suffix}" for task in XTREME_R for lang in LANGUAGES]
    assert files(whole / "predictions") == files(whole / "labels") == sorted(expected)
    single = tmp_path / "out/runs/tiny/search"
    for schedule, task, file in [("english", "lareqa", "test-zh.json"), ("joint", "tatoeba", "test-zh.tsv")]:
        written = (whole / "predictions" / task / file).read_text()
        assert written == (single / schedule / "seed2/predictions" / task / file).read_text()


def test_a_row_without_a_task_is_a_submission_without_it(tmp_path):
    lacking = plan(all_tracks(), average())
    lacking["runs"] = [run for run in lacking["runs"] if (run["track"], run["schedule"]) != ("words", "joint")]
    study = write_study(tmp_path, lacking)
    write_submissions(study, tmp_path, tmp_path / "data", tmp_path / "out")
    tasks = {path.name for path in (tmp_path / "out/averages/xtreme-r/tiny/joint/seed1/predictions").iterdir()}
    assert set(XTREME_R) - tasks == {"udpos", "panx"}


def test_two_data_sets_of_one_task_cannot_share_a_submission(tmp_path):
    tracks = {"questions": track(["xquad"], other="xquad")}
    study = write_study(tmp_path, plan(tracks, []))
    with pytest.raises(UserError, match="my-xquad and other are both XTREME-R's xquad") as caught:
        write_submissions(study, tmp_path, tmp_path / "data", tmp_path / "out")
    assert caught.value.where == "submission runs/tiny/questions/english/seed1"
    assert not (tmp_path / "out").exists()


def test_a_study_without_xtreme_tasks_raises_an_error(tmp_path):
    study = write_study(tmp_path, plan({"questions": track([])}, []))
    with pytest.raises(UserError, match="no evaluated data set is one of XTREME-R's tasks"):
        write_submissions(study, tmp_path, tmp_path / "data", tmp_path / "out")


def test_missing_and_outdated_predictions_raise_an_error(tmp_path):
    study = write_study(tmp_path, plan({"search": track(["tatoeba"])}, []))
    path = tmp_path / "tiny/seed1/search/english/predictions/my-tatoeba/zh.jsonl"
    write_jsonl(path, [{"id": "gone", "prediction": "gone", "gold": "gone"}])
    with pytest.raises(UserError, match="the data set has no row 'gone'") as caught:
        write_submissions(study, tmp_path, tmp_path / "data", tmp_path / "out")
    assert caught.value.where == str(path)
    path.unlink()
    with pytest.raises(UserError, match="no such file"):
        write_submissions(study, tmp_path, tmp_path / "data", tmp_path / "out")


def test_the_program_writes_submissions(tmp_path):
    write_study(tmp_path, plan({"questions": track(["mlqa"])}, []))
    command = [sys.executable, SCRIPTS / "submission.py", "--plan", tmp_path / "plan.json", "--results", tmp_path]
    command += ["--data", tmp_path / "data", "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    file = tmp_path / "out/runs/tiny/questions/english/seed1/predictions/mlqa/test-zh.json"
    assert json.loads(file.read_text()) == {"1": "的北京", "2": ""}
