"""What jobs used of what they asked for, from planted benchmark files."""

import os

import pytest
from helpers.study_results import write_study

from crosstune.core.files import read_json, write_json
from crosstune.core.locks import process_label
from crosstune.machine.job_usage import read_job_usage, record_usage, remove_unread_files, usage_table
from crosstune.reporting.page.page import render_page

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


@pytest.fixture
def plant(tmp_path):
    """A job's benchmark and its note."""

    def make(name: str, seconds: float, rss: object, mib: int = 1000, minutes: int = 10) -> None:
        path = tmp_path / "tiny/seed1/qa" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{HEADER}{seconds}\t0:00:01\t{rss}\t0\t0\t0\t0\t0\t0\t0\n")
        record_usage([str(path.with_suffix(".requested.json")), str(mib), str(minutes)])

    return make


def test_a_rule_is_told_by_the_jobs_that_came_nearest(plant, tmp_path):
    plant("a@1/benchmarks/train", 60, 400.4)
    plant("b@1/benchmarks/train", 300, 300)
    # More memory than the first, and less of what it had asked for.
    plant("c@1/benchmarks/train", 30, 900, mib=9000)
    plant("a@1/benchmarks/predict.worldqa", 720, 1200)
    plant("b@1/benchmarks/predict.worldqa.fold2", 0.1, "NA")
    columns, rows = usage_table(read_job_usage(tmp_path))
    assert [dict(zip(columns[:1] + columns[-1:], (row[0], row[-1]), strict=True)) for row in rows] == [
        {"rule": "predict", "jobs over": 1},
        {"rule": "train", "jobs over": 0},
    ]
    assert rows == [
        ("predict", 2, "1,200", "1,000", "12.0", "10", 1),
        ("train", 3, "400", "1,000", "5.0", "10", 0),
    ]


def test_a_job_in_the_warm_server_is_not_measured_by_its_client(plant, tmp_path):
    for rss in (21.3, "NA", 900):
        plant("a@1/benchmarks/train", 60, rss)
        note = next(tmp_path.rglob("*.requested.json"))
        write_json(note, read_json(note) | {"peak_mib": 450.2})
        assert usage_table(read_job_usage(tmp_path))[1][0][2] == ("900" if rss == 900 else "450")


@pytest.mark.parametrize("rss", ["NA", "-"])
def test_memory_that_nobody_measured_is_not_told(plant, tmp_path, rss):
    plant("a@1/benchmarks/train", 60, rss)
    (row,) = usage_table(read_job_usage(tmp_path))[1]
    assert row == ("train", 1, "n/a", "1,000", "1.0", "10", 0)


def test_a_benchmark_without_a_note_is_left_out(plant, tmp_path):
    plant("a@1/benchmarks/train", 60, 400)
    next(tmp_path.rglob("*.requested.json")).unlink()
    assert read_job_usage(tmp_path) == []


def test_empty_logs_and_benchmarks_without_a_note_are_removed(plant, tmp_path):
    plant("a@1/benchmarks/train", 60, 400)
    home = tmp_path / "tiny/seed1/qa"
    unread = {"a@1/benchmarks/predict.worldqa.tsv": "s", "b@1/benchmarks/predict.worldqa.tsv": "s"}
    unread |= {"a@1/logs/score.log": "", "prepare/x.log": ""}
    for name, text in {**unread, "a@1/logs/train.log": "1/2"}.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    remove_unread_files([tmp_path, tmp_path / "missing"])
    left = {str(path.relative_to(home)) for path in home.rglob("*") if not path.is_dir()}
    assert left == {"a@1/benchmarks/train.tsv", "a@1/benchmarks/train.requested.json", "a@1/logs/train.log"}
    assert not (home / "prepare").exists() and not (home / "b@1/benchmarks").exists()


def test_it_stands_on_the_page(plant, tmp_path):
    study = write_study(tmp_path)
    assert "Memory and time of the jobs" not in render_page(study, tmp_path)
    plant("a@1/benchmarks/train", 60, 1234)
    page = render_page(study, tmp_path)
    assert "Memory and time of the jobs" in page and "1,234" in page


def test_nothing_is_noted_where_nothing_is_said(tmp_path):
    record_usage(None)
    record_usage([str(tmp_path / "benchmarks/train.requested.json"), "5", "6"])
    assert read_json(tmp_path / "benchmarks/train.requested.json") == {
        "mem_mb": 5,
        "runtime": 6,
        "process": process_label(),
    }


def test_a_folder_that_another_job_removes_is_left_out(plant, tmp_path, monkeypatch):
    plant("a@1/benchmarks/train", 60, 400.4)
    (tmp_path / "figures").mkdir()
    scandir = os.scandir

    def removed(path):
        if str(path).endswith("figures"):
            raise FileNotFoundError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", removed)
    assert [job.rule for job in read_job_usage(tmp_path)] == ["train"]
