"""The benchmarks run; what they measure is not tested."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_variant_of_the_rivals_runs_and_the_answers_are_equal(bundle, tmp_path):
    sizes = ["--model", "small", "--steps", "1", "--windows", "9", "--repeats", "1", "--threads", "1"]
    command = [
        sys.executable,
        "benchmarks/rivals.py",
        "--bundle",
        str(bundle),
        *sizes,
        "--out",
        str(tmp_path / "out.md"),
    ]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    page = (tmp_path / "out.md").read_text()
    assert page.count("| crosstune, packed |") == 2
    assert "Equal answers: 10,000 of 10,000." in page


def test_the_checks_the_timings_and_the_traces_of_a_gpu_run(tmp_path):
    """On the CPU with a tiny model; rows that take long to compile are skipped."""
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--shapes", "tiny", "--tokens", "500"]
    options = ["--row-seconds", "0.1", "--seconds", "90", "--out", str(tmp_path / "gpu.md")]
    found = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    page = (tmp_path / "gpu.md").read_text()
    assert "with wrong bounds, as a control" in page
    assert "interrupted and resumed equals uninterrupted bit for bit" in page
    assert "| tiny | 500 | crosstune |" in page
    assert "| idle: the device waits for the host |" in page
