"""Locks on the GPUs of this machine, so that no two jobs compute on the same one by accident.

Snakemake counts GPUs (`--resources gpu=4`) but does not say which GPUs belong to a job. Each GPU has a lock file in a
folder of this machine and user. The kernel releases a lock (flock) when its process ends, however that ends; programs
that the process starts do not inherit it. Jobs queue, so a job that waits for several GPUs gets its turn. The module
imports no torch: a job sets CUDA_VISIBLE_DEVICES before torch sees a GPU.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.core.errors import UserError, show
from crosstune.core.files import open_log, open_private_folder
from crosstune.core.locks import acquire_lock

VISIBLE = "CUDA_VISIBLE_DEVICES"

SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True)
class LockableGpu:
    """A GPU: the name of its lock, and its value in CUDA_VISIBLE_DEVICES."""

    lock: str
    visible: str


def acquire_gpus(
    count: int,
    log: Path | None = None,
    environ: MutableMapping[str, str] = os.environ,
    folder: Path | None = None,
    gpus: Callable[[], Sequence[LockableGpu]] | None = None,
) -> int:
    """Wait for `count` GPUs and lock them until this process ends; returns the number of its GPUs.

    A job locks all of its GPUs at once, so none waits with some locked. If the machine has fewer, it locks all. A job
    that requests none sees none. If CUDA_VISIBLE_DEVICES is set, a cluster or a person assigns the GPUs: the job locks
    nothing and has up to `count` of these. It reports in the file `log`, or on stderr, that it waits.
    """
    if VISIBLE in environ:
        return min(count, len(visible_gpus(environ[VISIBLE])))
    if count < 1:
        environ[VISIBLE] = ""
        return 0
    present = (gpus or list_gpus)()
    number = min(count, len(present))
    if number < count and present:
        log_line(f"{count} GPUs are wanted, and this machine has {len(present)}", log)
    if not number:
        return 0
    locked = _lock_gpus(number, present, _private(folder or lock_folder()), log)
    environ[VISIBLE] = ",".join(gpu.visible for gpu in locked)
    return number


def visible_gpus(visible: str) -> list[str]:
    """The GPUs in a value of CUDA_VISIBLE_DEVICES: CUDA stops at the first item that names none, such as -1."""
    names = []
    for name in map(str.strip, visible.split(",")):
        if not re.match(r"\d|GPU-|MIG-", name):
            break
        names.append(name)
    return names


def lock_folder() -> Path:
    """The folder of the locks of this machine and user.

    Not below TMPDIR, which clusters set to another folder for every job. /tmp is on no network file system.
    """
    return Path(f"/tmp/crosstune-gpus-{os.getuid()}")


def list_gpus(devices: Path = Path("/dev")) -> list[LockableGpu]:
    """The GPUs of this machine, from nvidia-smi or, without it, from the device files."""
    if program := shutil.which("nvidia-smi"):
        done = subprocess.run([program, "-L"], capture_output=True, text=True)
        if done.returncode == 0:
            return parse_gpu_list(done.stdout)
    numbers = sorted(int(path.name[6:]) for path in devices.glob("nvidia*") if path.name[6:].isdigit())
    # CUDA numbers the GPUs that the process sees from 0; in a container they may be any of the machine's.
    return [LockableGpu(f"nvidia{number}", str(place)) for place, number in enumerate(numbers)]


def parse_gpu_list(listing: str) -> list[LockableGpu]:
    """The GPUs in the output of `nvidia-smi -L`; the parts of a GPU that is partitioned (MIG)."""
    gpus: list[LockableGpu] = []
    whole = None
    for line in listing.splitlines():
        match = re.search(r"\(UUID: ((?:GPU|MIG)-[^)\s]+)\)", line)
        if not match:
            continue
        if match[1].startswith("GPU-"):
            whole = LockableGpu(match[1], match[1])
            gpus.append(whole)
        else:
            gpus = [gpu for gpu in gpus if gpu != whole]
            gpus.append(LockableGpu(match[1].replace("/", "-"), match[1]))
    return gpus


def _lock_gpus(number: int, gpus: Sequence[LockableGpu], folder: Path, log: Path | None) -> list[LockableGpu]:
    queue = acquire_lock(folder / "queue", wait=False)
    announced = queue is None
    if announced:
        log_line(f"waiting for {number} of {len(gpus)} GPUs: other jobs wait already", log)
        queue = acquire_lock(folder / "queue", wait=True)
    try:
        while True:
            locked = _lock_free_gpus(number, gpus, folder)
            if locked:
                return locked
            if not announced:
                log_line(f"waiting for {number} of {len(gpus)} GPUs: other jobs have them", log)
                announced = True
            time.sleep(SECONDS_BETWEEN_LOOKS)
    finally:
        os.close(queue)


def _lock_free_gpus(number: int, gpus: Sequence[LockableGpu], folder: Path) -> list[LockableGpu]:
    """Lock the first `number` free GPUs, or none if there are fewer.

    The locks are plain file descriptors: nothing closes them before the process ends.
    """
    locked: dict[LockableGpu, int] = {}
    for gpu in gpus:
        lock = acquire_lock(folder / gpu.lock, wait=False)
        if lock is not None:
            locked[gpu] = lock
        if len(locked) == number:
            return list(locked)
    for lock in locked.values():
        os.close(lock)
    return []


def _private(folder: Path) -> Path:
    """The folder, which is made if it is not there. Raises UserError if others could write into it."""
    try:
        os.close(open_private_folder(folder))
    except OSError:
        message = "the folder of the GPUs' locks is not this user's alone"
        raise UserError(message, str(folder), f"Remove it, or choose the GPUs yourself: export {VISIBLE}=0") from None
    return folder


def log_line(line: str, log: Path | None) -> None:
    """Write a line into a job's log, or to stderr if it has none."""
    if log is None:
        show(line, file=sys.stderr)
        return
    with open_log(log) as file:
        file.write(f"{line}\n")
