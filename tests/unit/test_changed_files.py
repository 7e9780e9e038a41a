"""Finished files that something other than a job has changed."""

import os
import time
from pathlib import Path

import pytest

from crosstune.core.errors import UserError
from crosstune.operations.changed_files import (
    check_finished_files,
    forget_files,
    remember_files,
    remove_leftovers,
    reset_future_times,
)

NAMES = ("results/s/scores/a.json", "results/s/predictions/a/en.jsonl", "data/a/train.en.jsonl")
JOBS = [["results/s/scores/a.json"], ["results/s/predictions/a", "results/s/predictions/a.json"]]
FOLDERS = [Path("data"), Path("results/s")]


@pytest.fixture
def finished(tmp_path, monkeypatch) -> Path:
    """The memory of a run that has left some files in the working folder."""
    monkeypatch.chdir(tmp_path)
    for name in (*NAMES, "results/s/logs/a.log"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(f"content of {name}")
    remember_files(FOLDERS, JOBS, tmp_path / "memory.json")
    return tmp_path / "memory.json"


def test_unchanged_and_touched_files_are_finished(finished):
    os.utime(NAMES[0], (1, 1))
    check_finished_files(FOLDERS, finished)


def test_nothing_is_known_of_files_while_jobs_run(finished):
    Path(NAMES[0]).write_text("new")
    forget_files(FOLDERS, finished)
    check_finished_files(FOLDERS, finished)


@pytest.mark.parametrize("content", ["", "content", "CONTENT OF results/s/scores/a.json"])
def test_a_changed_file_is_refused_with_the_output_to_remove(finished, content):
    for name in NAMES[:2]:
        Path(name).write_text(content)
    with pytest.raises(UserError, match="2 files changed after the last run had ended") as caught:
        check_finished_files(FOLDERS, finished)
    outputs = "results/s/predictions/a results/s/predictions/a.json results/s/scores/a.json"
    remove, remake = (
        f"Remove what their jobs made:\nrm -rf {outputs}",
        f"Then add to the same command:\n--forcerun {outputs}",
    )
    assert caught.value.fix == f"{remove}\n{remake}"


def test_a_file_without_a_job_is_named_itself(finished):
    Path(NAMES[2]).write_text("")
    with pytest.raises(UserError, match="1 file changed") as caught:
        check_finished_files(FOLDERS, finished)
    assert caught.value.fix.endswith(f"rm -rf {NAMES[2]}")


def test_logs_removed_files_and_links_do_not_count(finished):
    Path("results/s/logs/a.log").write_text("more")
    Path(NAMES[0]).unlink()
    check_finished_files(FOLDERS, finished)


def test_a_file_that_a_run_has_made_anew_is_remembered_anew(finished):
    Path(NAMES[0]).write_text("new")
    remember_files(FOLDERS, [], finished)
    check_finished_files(FOLDERS, finished)
    Path(NAMES[0]).write_text("")
    with pytest.raises(UserError) as caught:
        check_finished_files(FOLDERS, finished)
    assert caught.value.fix.endswith(f"--forcerun {NAMES[0]}"), "a run of other jobs knows them still"


def test_another_study_neither_checks_nor_forgets_the_results_of_this_one(finished):
    Path(NAMES[0]).write_text("")
    others = [Path("data"), Path("results/other")]
    check_finished_files(others, finished)
    forget_files(others, finished)
    Path("results/other").mkdir()
    Path("results/other/b.json").write_text("b")
    remember_files(others, [["results/other/b.json"]], finished)
    with pytest.raises(UserError, match=f"1 file changed after the last run had ended: {NAMES[0]}"):
        check_finished_files(FOLDERS, finished)
    Path("results/other/b.json").write_text("")
    with pytest.raises(UserError, match="1 file changed"):
        check_finished_files(others, finished)


def test_a_damaged_memory_is_none(finished):
    finished.write_text("{")
    check_finished_files(FOLDERS, finished)


def test_files_of_the_future_get_the_present_time_in_which_none_is_newer_than_another(finished, monkeypatch):
    present = time.time() - 1.5
    monkeypatch.setattr(time, "time", lambda: present)
    assert reset_future_times(FOLDERS) == ""
    tomorrow, past = time.time() + 86400, time.time() - 86400
    for name, moment in ((NAMES[0], tomorrow), ("data/a", tomorrow), (NAMES[2], tomorrow + 9), (NAMES[1], past)):
        os.utime(name, (moment, moment))
    notice = reset_future_times([*FOLDERS, Path("none")])
    assert notice.endswith(f"are now the present one: data/a, {NAMES[2]}, {NAMES[0]}")
    first, second = (os.stat(NAMES[number]).st_mtime for number in (0, 2))
    assert first == second == pytest.approx(present, abs=1e-3)
    assert os.stat(NAMES[1]).st_mtime == pytest.approx(past)
    check_finished_files(FOLDERS, finished)
    assert reset_future_times(FOLDERS) == ""


def test_old_temporary_files_of_killed_writes_are_removed(finished):
    old, young = Path("data/a/.train.en.jsonl.0a1b.tmp"), Path("data/a/.train.en.jsonl.2c3d.tmp")
    for path in (old, young):
        path.touch()
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    remove_leftovers([*FOLDERS, Path("none")])
    assert not old.exists() and young.exists() and all(Path(name).exists() for name in NAMES)
