"""Lock files: one process at a time, on all machines that share the file system; and labels of processes in files."""

import errno
import fcntl
import io
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from crosstune.core.errors import UserError, show
from crosstune.core.files import open_no_link

SECONDS_BETWEEN_TRIES = 2.0

# The clock of files differs from that of processes.
SLACK_SECONDS = 5.0

# Errors of flock on a file system that has no locks.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class LockHeld(UserError):
    """Another process holds the lock."""


@contextmanager
def file_lock(path: Path, wait: bool) -> Iterator[None]:
    """Hold the lock file `path` inside the block. If another process holds it, wait, or (no `wait`) raise LockHeld.

    The kernel releases the lock of a process that dies, so a killed process blocks nobody.
    """
    file = _acquire(path, wait)
    try:
        yield
    finally:
        # Removed before it is released: a process that has waited for it sees that and makes a new file.
        path.unlink(missing_ok=True)
        file.close()


def _acquire(path: Path, wait: bool) -> TextIO:
    announced = False
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = io.TextIOWrapper(open_no_link(path), encoding="utf-8")
        except FileNotFoundError:  # Another process has removed the empty folder.
            continue
        if _try_lock(file):
            if not _is_linked(file, path):
                file.close()
                continue
            file.truncate(0)
            file.write(process_label())
            file.flush()
            return file
        file.seek(0)
        holder = file.read() or "a process"
        file.close()
        if not wait:
            raise LockHeld("another process is training here", str(path.parent), f"Wait for {holder}, or stop it.")
        if not announced:
            show(f"{holder} is training in {path.parent}; waiting until it has ended", file=sys.stderr)
            announced = True
        time.sleep(SECONDS_BETWEEN_TRIES)


def acquire_lock(path: Path, wait: bool) -> int | None:
    """An open file that is locked until it is closed; None if another process has the lock and `wait` is false.

    Raises OSError if the file is a link, or cannot be opened or locked.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        os.close(file)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return file


def _try_lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        show(f"{file.name}: this file system has no locks; do not start the same job twice", file=sys.stderr)
    return True


def _is_linked(file: TextIO, path: Path) -> bool:
    """Whether `path` still names the open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def is_running(label: str, written: float) -> bool | None:
    """Whether the process runs that wrote its label into a file at the time `written` (seconds since 1970).

    None for a process of another machine. Trying its lock would answer too, but refuse a job that comes meanwhile.
    """
    named = re.search(r"process (\d+) on (\S+)$", label)
    if not named:
        return False
    if named[2] != os.uname().nodename:
        return None
    started = _start_time(int(named[1]))
    # The kernel reuses numbers: a process that started after the label was written is another.
    return started is not None and started <= written + SLACK_SECONDS


def _start_time(pid: int) -> float | None:
    """The start of a process of this machine in seconds since 1970; None if there is none, 0 without /proc."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass
    except OSError:
        return None
    with suppress(OSError, StopIteration):
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        lines = Path("/proc/stat").read_text().splitlines()
        booted = next(int(line.split()[1]) for line in lines if line.startswith("btime"))
        return booted + ticks / os.sysconf("SC_CLK_TCK")
    return 0.0


def process_label() -> str:
    """The label of this process in files: `SLURM job 3, process 4711 on node5`."""
    job = os.environ.get("SLURM_JOB_ID")
    return f"{f'SLURM job {job}, ' if job else ''}process {os.getpid()} on {os.uname().nodename}"
