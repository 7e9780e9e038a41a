"""How a process starts: not as one of several copies."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crosstune.core.errors import UserError
from crosstune.machine.hardware import refuse_duplicate_tasks, warn_no_gpu

ROOT = Path(__file__).parents[2]
STEP = {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"SLURM_NTASKS": "8", "SLURM_PROCID": "0"},  # a batch script with eight tasks, from which one was started
        {**STEP, "SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1"},
        {**STEP, "WORLD_SIZE": "2"},
    ],
)
def test_one_process_is_as_it_should_be(environ):
    refuse_duplicate_tasks(environ)


@pytest.mark.parametrize("environ", [STEP, {"SLURM_STEP_ID": "3", "SLURM_NTASKS": "2"}])
def test_copies_are_refused(environ):
    with pytest.raises(UserError, match="2 copies of this program") as caught:
        refuse_duplicate_tasks(environ)
    assert "tasks: 0" in caught.value.fix


@pytest.mark.parametrize("script", ["train", "predict"])
def test_programs_refuse_before_they_begin(script, tmp_path):
    options = {"train": [], "predict": ["--stage", str(tmp_path), "--data", str(tmp_path / "none.json")]}[script]
    command = [sys.executable, str(ROOT / f"scripts/{script}.py"), "--spec", "{}", "--out", str(tmp_path), *options]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **STEP})
    assert done.returncode == 1
    assert done.stderr.startswith("error: SLURM_STEP_NUM_TASKS: SLURM has started 2 copies")
    assert "Traceback" not in done.stderr


def test_a_job_that_asked_for_a_gpu_and_has_none_says_so(tmp_path, monkeypatch):
    for seen, wanted, told in [(False, 1, 1), (False, 0, 0), (True, 1, 0)]:
        monkeypatch.setattr("torch.cuda.is_available", lambda seen=seen: seen)
        log = tmp_path / f"{seen}{wanted}/train.log"
        warn_no_gpu(wanted, log)
        lines = log.read_text().splitlines() if log.exists() else []
        assert len(lines) == told and all("no GPU is seen by torch" in line for line in lines)
