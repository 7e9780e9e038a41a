"""The lock of a checkpoint's folder: one holder, who may be waited for, and who leaves nothing behind."""

import errno
import fcntl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crosstune.core import locks
from crosstune.core.errors import UserError

SCRIPTS = Path(__file__).parents[2] / "scripts"
HOLD = """
import sys, time
from pathlib import Path
from crosstune.core.locks import file_lock
with file_lock(Path(sys.argv[1]), wait=True):
    print("held", time.monotonic(), flush=True)
    time.sleep(float(sys.argv[2]))
    print("given back", time.monotonic(), flush=True)
"""


def holder(lock: Path, seconds: float) -> subprocess.Popen:
    """Another process that holds the lock for so long, begun."""
    command = [sys.executable, "-c", HOLD, str(lock), str(seconds)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=SCRIPTS, stdout=pipe, stderr=pipe, text=True)


def test_a_second_process_is_refused_and_told_who_holds_the_lock(tmp_path):
    lock = tmp_path / "staging/lock"
    process = holder(lock, 30)
    assert process.stdout.readline().startswith("held")
    with (
        pytest.raises(UserError, match="another process is training here") as caught,
        locks.file_lock(lock, wait=False),
    ):
        pass
    assert f"process {process.pid} on " in caught.value.fix
    process.kill()
    process.wait()
    with locks.file_lock(lock, wait=False):
        assert lock.exists(), "a process that was killed holds up nobody"
    assert not lock.exists()


def test_two_that_wait_take_turns(tmp_path, monkeypatch):
    lock = tmp_path / "lock"
    first = holder(lock, 1)
    assert first.stdout.readline().startswith("held")
    others = [holder(lock, 0.3) for _ in range(2)]
    printed = [process.communicate(timeout=60) for process in (first, *others)]
    told = sorted(
        [(float(line.split()[-1]), line.rpartition(" ")[0]) for out, _ in printed for line in out.splitlines()]
    )
    assert [what for _, what in told] == ["given back", *["held", "given back"] * 2]
    assert all(f"process {first.pid}" in err and "waiting until it has ended" in err for _, err in printed[1:])


def test_a_file_system_without_locks_is_told_and_used(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locks.file_lock(tmp_path / "lock", wait=True):
        pass
    assert "this file system has no locks" in capsys.readouterr().err


def test_waiting_ends_soon_after_the_lock_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "SECONDS_BETWEEN_TRIES", 0.05)
    process = holder(tmp_path / "lock", 0.5)
    assert process.stdout.readline().startswith("held")
    begin = time.monotonic()
    with locks.file_lock(tmp_path / "lock", wait=True):
        assert time.monotonic() - begin < 60
    process.wait()
