"""Errors that no mistake of the study causes and that a user can mend: one message, no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        ("MemoryError()", "error: the memory is full\n  What was finished stays. Give the job more memory"),
        ('RuntimeError("DefaultCPUAllocator: can\'t allocate memory: 9 bytes")', "error: the memory is full\n"),
        ("OSError(28, 'x', 'a.json')", "error: the disk is full while writing a.json\n"),
        ("OSError(30, 'x', 'a.json')", "error: the disk is read-only while writing a.json\n"),
    ],
)
def test_a_fault_of_the_machine_is_one_message(raised, message, tmp_path):
    code = f"from crosstune.core.errors import run_program\ndef main(): raise {raised}\nrun_program(main)"
    environ = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    command = [sys.executable, "-c", code, "--log", str(tmp_path / "log")]
    done = subprocess.run(command, env=environ, text=True, capture_output=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith(message) and "Traceback" not in done.stderr
    assert (tmp_path / "log").read_text().endswith(done.stderr)


def test_another_error_has_its_traceback_in_the_log_too(tmp_path):
    code = "from crosstune.core.errors import run_program\ndef main(): raise RuntimeError('a bug')\nrun_program(main)"
    command = [sys.executable, "-c", code, "--log", str(tmp_path / "log")]
    environ = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    done = subprocess.run(command, env=environ, text=True, capture_output=True, check=False)
    assert done.returncode == 1 and done.stderr.endswith("RuntimeError: a bug\n")
    assert (tmp_path / "log").read_text().endswith("RuntimeError: a bug\n")


def test_another_error_that_speaks_of_memory_keeps_its_traceback():
    """Such as that of a row whose text says so."""
    code = (
        "from crosstune.core.errors import run_program\n"
        "def main(): raise ValueError('no label: CUDA out of memory')\nrun_program(main)"
    )
    environ = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, text=True, capture_output=True, check=False)
    assert done.returncode == 1 and "Traceback" in done.stderr and "memory is full" not in done.stderr
