"""The progress of a study, from the files of its jobs."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.study_files import HOME, workflow_study, write_predictions, write_training

from crosstune.core.files import write_json
from crosstune.core.locks import is_running, process_label
from crosstune.machine.job_usage import record_usage
from crosstune.operations.status import (
    DONE,
    FAILED,
    INTERRUPTED,
    RUNNING,
    WAITING,
    duration_text,
    job_statuses,
    progress,
    status_lines,
    time_left,
)
from crosstune.training import interruption

BASE = "results/small/tiny/base"
ENGLISH, FIRST, SECOND = f"{HOME}/worldqa.qen@12", f"{HOME}/worldqa.qen@6", f"{HOME}/worldqa.qen@6/worldqa.qes@6"


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return workflow_study()


@pytest.fixture
def process():
    """Another process, which lives until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def states(study, kind: str) -> dict[str, str]:
    return {job.name: job.state for job in job_statuses(study) if job.kind == kind}


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def report(study) -> str:
    return "\n".join(status_lines(study, job_statuses(study)))


def test_a_new_study_waits(study):
    assert set(states(study, "trainings").values()) == {WAITING} and len(states(study, "trainings")) == 6
    assert set(states(study, "predictions").values()) == {WAITING} == set(states(study, "scores").values())
    text = report(study)
    assert "time left: not known before one has finished: predictions of tiny (5), " in text


def test_finished_jobs_are_done(study):
    for path in study.checkpoints:
        write_training(study, path)
        write_predictions(study, path)
    assert {job.state for job in job_statuses(study) if job.kind != "data"} == {DONE}
    assert "nothing is left to do" in report(study)


def test_data_that_fail_are_told_before_anything_else(study):
    assert set(states(study, "data").values()) == {WAITING}
    write("data/worldqa/train.qen.json", "{}")
    log = "logs/prepare/worldqa.test.qes.log"
    write(log, "error: data/raw/world/qa/test.qes.json:7: no answer\n  Correct the file.\n")
    found = states(study, "data")
    assert found["prepare worldqa.train.qen"] == DONE and found["prepare worldqa.test.qes"] == FAILED
    text = report(study)
    assert f"  prepare worldqa.test.qes  ({log})\n    error: data/raw/world/qa/test.qes.json:7: no answer\n" in text
    write("data/worldqa/test.qes.json", "{}")
    assert FAILED not in states(study, "data").values(), "it has been mended, whatever the log says"
    write("results/small/logs/leakage.log", "error: the study leaks\n")
    assert states(study, "data")["leakage check"] == FAILED


def test_downloads_and_copies_of_models_have_their_logs(study):
    theirs, own = f"a--b@{'0' * 40}", f"own@{'1' * 16}"
    models = {"theirs": {"hub": "a/b", "revision": "0" * 40}, "own": {"folder": "mine", "sha256": "1" * 64}}
    logs = {job.name: str(job.log) for job in job_statuses(workflow_study(models=models)) if job.kind == "data"}
    assert logs[f"fetch models/{theirs}"] == f"logs/fetch/{theirs}.log"
    assert logs[f"copy models/{own}"] == f"logs/copy/{own}.log"


def test_results_of_another_spec_wait_for_their_rerun(study):
    write_training(study, ENGLISH)
    write_predictions(study, ENGLISH)
    write(f"{ENGLISH}/logs/train.log", "worldqa.qen@12 12/12, loss 1.000, 100 tok/s, 0 s left\n")
    write_json(f"{ENGLISH}/stage.json", {"spec": {"version": 1}})
    assert states(study, "trainings")["tiny/seed1/qa/worldqa.qen@12"] == WAITING
    assert states(study, "predictions")["tiny/seed1/qa/worldqa.qen@12: worldqa"] == WAITING


def test_a_training_runs_while_another_process_has_its_lock(study, process):
    write(f"{ENGLISH}/.staging/lock", process_label().replace(str(os.getpid()), str(process.pid)))
    log = "worldqa.qen@12 resumes at 3/12\nworldqa.qen@12 6/12, loss 2.100, 900 tok/s, 240 s left\n"
    write(f"{ENGLISH}/logs/train.log", log)
    (job,) = [job for job in job_statuses(study) if job.state == RUNNING]
    assert (job.name, job.share, job.seconds) == ("tiny/seed1/qa/worldqa.qen@12", 0.5, 240.0)
    assert "   50%, 4 min left  tiny/seed1/qa/worldqa.qen@12" in report(study)
    process.kill()
    process.wait()
    assert states(study, "trainings")["tiny/seed1/qa/worldqa.qen@12"] == INTERRUPTED, "its process is gone"
    assert "tiny/seed1/qa/worldqa.qen@12  (results/small/tiny/seed1/qa/worldqa.qen@12/logs/train.log)" in report(study)


def test_progress_is_that_of_the_named_stage():
    """The log has the progress of a retrained parent before, and of predictions after it."""
    lines = [
        "base 9/10, loss 1.0, 5 tok/s, 7 s left",
        "stage 2/8, loss 1.0, 5 tok/s, 30 s left",
        "predict qa 1/1, 0 s left",
    ]
    assert progress("\n".join(lines), "stage") == (0.25, 30.0)
    assert progress("\n".join(lines), "another") == (None, None)


def test_a_number_that_another_process_has_been_given_is_not_the_holder(process):
    holder = f"process {process.pid} on {os.uname().nodename}"
    assert is_running(holder, time.time())
    assert is_running(holder, time.time() - 3600) is False, "it began after that was written"
    assert is_running(f"SLURM job 7, process {process.pid} on another-machine", time.time()) is None
    assert is_running("", time.time()) is False


def test_a_job_of_another_machine_runs_while_its_files_change(study):
    write(f"{ENGLISH}/.staging/lock", "SLURM job 7, process 12 on another-machine")
    write(f"{ENGLISH}/logs/train.log", "worldqa.qen@12 6/12, loss 2.100, 900 tok/s, 240 s left\n")
    assert states(study, "trainings")["tiny/seed1/qa/worldqa.qen@12"] == RUNNING
    for name in (".staging/lock", "logs/train.log"):
        os.utime(f"{ENGLISH}/{name}", (1e9, 1e9))
    assert states(study, "trainings")["tiny/seed1/qa/worldqa.qen@12"] == INTERRUPTED


def test_a_failure_shows_the_end_of_its_log(study):
    lines = [f"worldqa.qen@12 {n}/12, loss 9.9, 1 tok/s, 1 s left" for n in range(1, 9)]
    write(f"{ENGLISH}/logs/train.log", "\n".join(lines) + "\nerror: the loss is nan at update 9\n  Lower the rate.\n")
    write(f"{FIRST}/logs/train.log", f"worldqa.qen@6 3/6, loss 1.0\n{interruption.INTERRUPTED}\n")
    found = states(study, "trainings")
    assert found["tiny/seed1/qa/worldqa.qen@12"] == FAILED
    assert found["tiny/seed1/qa/worldqa.qen@6"] == INTERRUPTED
    text = report(study)
    assert "    error: the loss is nan at update 9\n      Lower the rate." in text
    assert "worldqa.qen@12 8/12" in text and "worldqa.qen@12 3/12" not in text, "the last lines only"
    assert text.index("failed (its log ends with)") < text.index("interrupted (")


def test_predictions_and_scores_have_states_of_their_own(study, process):
    write_training(study, ENGLISH)
    write_training(study, FIRST)
    note = f"{ENGLISH}/benchmarks/predict.worldqa.requested.json"
    record_usage((note, "100", "10"))
    found = states(study, "predictions")
    assert found["tiny/seed1/qa/worldqa.qen@12: worldqa"] == RUNNING, "this process"
    write(f"{FIRST}/logs/predict.worldqa.log", "Traceback (most recent call last):\n")
    assert states(study, "predictions")["tiny/seed1/qa/worldqa.qen@6: worldqa"] == FAILED
    write_predictions(study, FIRST)
    write_json(f"{FIRST}/scores/worldqa.json", {"score_version": 0})
    assert states(study, "predictions")["tiny/seed1/qa/worldqa.qen@6: worldqa"] == DONE
    assert states(study, "scores")["tiny/seed1/qa/worldqa.qen@6: worldqa"] == WAITING


def test_the_time_left_is_that_of_finished_trainings_by_their_tokens(study, process):
    for path in (BASE, f"{HOME}/untrained"):
        write_training(study, path, seconds=1000.0)
        write_predictions(study, path, seconds=30.0)
    write_training(study, FIRST, seconds=120.0)  # 6 updates
    write_predictions(study, FIRST, seconds=30.0)
    # The rest: 12 updates, 12 of them, and 6; three predictions.
    assert (
        time_left(job_statuses(study)) == f"time left: about {duration_text(240 + 240 + 120 + 3 * 30)}, with 1 at once"
    )
    write(f"{ENGLISH}/.staging/lock", f"process {process.pid} on {os.uname().nodename}")
    write(f"{ENGLISH}/logs/train.log", "worldqa.qen@12 9/12, loss 2.1, 900 tok/s, 40 s left\n")
    write(f"{SECOND}/.staging/lock", f"process {process.pid} on {os.uname().nodename}")
    text = time_left(job_statuses(study))
    assert text == f"time left: about {duration_text((40 + 240 + 120 + 90) / 2)}, with 2 at once"


def test_durations_have_fitting_units():
    found = [duration_text(seconds) for seconds in (0.4, 119, 121, 3599, 5400, 3 * 86400)]
    assert found == ["0 s", "119 s", "2 min", "60 min", "1.5 h", "3.0 days"]


def test_the_status_needs_no_torch():
    code = "import sys; sys.modules.update(torch=None, numpy=None, snakemake=None); import crosstune.operations.status"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2] / "scripts")
