"""A lock file: one process at a time, on all machines that share the file system.

Owns: taking a lock, waiting for it, giving it back, and telling from a file whether the process that wrote it is there.
Must never know: what it guards.
"""

import errno
import fcntl
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from crosstune.core.errors import UserError

SECONDS_BETWEEN_TRIES = 2.0

# Clocks of files and of processes are not one.
SLACK_SECONDS = 5.0

# What flock says on a file system that has no locks.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Held(UserError):
    """Another process holds the lock."""


@contextmanager
def alone(path: Path, wait: bool) -> Iterator[None]:
    """Hold the lock `path` inside the block. Held by another process, it is waited for, or (no `wait`) Held.

    The kernel takes a lock back from a process that dies, so that one that was killed holds up nobody.
    """
    file = _take(path, wait)
    try:
        yield
    finally:
        # Removed before it is given back: who has waited for it sees that and makes a new one.
        path.unlink(missing_ok=True)
        file.close()


def _take(path: Path, wait: bool) -> TextIO:
    told = False
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = path.open("a+", encoding="utf-8")
        except FileNotFoundError:  # the folder was empty, and another process has removed it
            continue
        if _locked(file):
            if not _is_at(file, path):
                file.close()
                continue
            file.truncate(0)
            file.write(this_process())
            file.flush()
            return file
        file.seek(0)
        holder = file.read() or "a process"
        file.close()
        if not wait:
            raise Held("another process is training here", str(path.parent), f"Wait for {holder}, or stop it.")
        if not told:
            print(f"{holder} is training in {path.parent}; waiting until it has ended", file=sys.stderr, flush=True)
            told = True
        time.sleep(SECONDS_BETWEEN_TRIES)


def open_locked(path: Path, wait: bool) -> int | None:
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


def _locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        print(f"{file.name}: this file system has no locks; do not start the same job twice", file=sys.stderr)
    return True


def _is_at(file: TextIO, path: Path) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def is_there(holder: str, wrote: float) -> bool | None:
    """Whether the process is there that has called itself `holder` in a file and changed that at the time `wrote`.

    None where it is one of another machine, which nobody can ask from here. A lock is not tried: who tries it has it
    for a moment, in which a job would be refused.
    """
    named = re.search(r"process (\d+) on (\S+)$", holder)
    if not named:
        return False
    if named[2] != os.uname().nodename:
        return None
    began = _began(int(named[1]))
    # A number is given again: a process that began after it had been written down is another.
    return began is not None and began <= wrote + SLACK_SECONDS


def _began(pid: int) -> float | None:
    """When a process of this machine began, in seconds since 1970; None where there is none. Where nobody tells, 0."""
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


def this_process() -> str:
    """What a process is called in files: `SLURM job 3, process 4711 on node5`."""
    job = os.environ.get("SLURM_JOB_ID")
    return f"{f'SLURM job {job}, ' if job else ''}process {os.getpid()} on {os.uname().nodename}"
