"""Watching processes from tests."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
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


def end_snakemake(process: subprocess.Popen, leads_group: bool = False, seconds: float = 60) -> None:
    """End a Snakemake by SIGTERM, and with it the group that it leads; by SIGKILL if this takes longer.

    Snakemake 9.27 can hang for ever: its signal handler waits for a lock that its own main thread may hold.
    """
    tell = partial(os.killpg, process.pid) if leads_group else process.send_signal
    with suppress(ProcessLookupError):
        tell(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        tell(signal.SIGKILL)
        process.wait()
