"""Watching processes from tests."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether a process exists and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 120, process: subprocess.Popen | None = None) -> None:
    """Wait for a condition, at most so many seconds, and while a process runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happens"
        assert process is None or process.poll() is None, "the process has ended too early"
        time.sleep(0.01)
