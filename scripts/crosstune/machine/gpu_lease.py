"""Which GPUs of this machine a job computes on, so that no two jobs get the same one by accident.

Owns: the locks, a file for each GPU in a folder of this machine and user, and what CUDA_VISIBLE_DEVICES becomes.
Must never know: what is computed. Imports no torch: the GPUs are chosen before torch sees any.

Snakemake counts GPUs (`--resources gpu=4`) and tells no job which ones are its own. A lock is one of the kernel's
(flock), so it ends with the process that holds it, however that ends; programs that the process starts do not inherit
it. Jobs queue up: who waits for several GPUs is not overtaken for ever by those that want one.
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

from crosstune.core.errors import UserError
from crosstune.core.files import open_private_folder
from crosstune.core.locks import open_locked

VISIBLE = "CUDA_VISIBLE_DEVICES"

SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True)
class Gpu:
    """A GPU: the name of its lock, and what stands for it in CUDA_VISIBLE_DEVICES."""

    lock: str
    visible: str


def take_gpus(
    count: int,
    log: Path | None = None,
    environ: MutableMapping[str, str] = os.environ,
    folder: Path | None = None,
    gpus: Callable[[], Sequence[Gpu]] | None = None,
) -> int:
    """Take `count` GPUs for as long as this process lives, waiting for them; how many it has.

    All of them or none: no job holds some while it waits for more. Where the machine has fewer, all that it has; a
    process that wants none sees none. Where CUDA_VISIBLE_DEVICES is set, a cluster or a person shares out the GPUs:
    nothing is taken, and the process has up to `count` of those. `log`: the file in which it says what it waits for,
    otherwise stderr.
    """
    if VISIBLE in environ:
        return min(count, len(named_gpus(environ[VISIBLE])))
    if count < 1:
        environ[VISIBLE] = ""
        return 0
    found = (gpus or found_gpus)()
    wanted = min(count, len(found))
    if wanted < count and found:
        tell(f"{count} GPUs are wanted, and this machine has {len(found)}", log)
    if not wanted:
        return 0
    taken = _take(wanted, found, _private(folder or lock_folder()), log)
    environ[VISIBLE] = ",".join(gpu.visible for gpu in taken)
    return wanted


def named_gpus(visible: str) -> list[str]:
    """The GPUs in a value of CUDA_VISIBLE_DEVICES: CUDA reads up to the first that cannot be one, such as -1."""
    names = []
    for name in map(str.strip, visible.split(",")):
        if not re.match(r"\d|GPU-|MIG-", name):
            break
        names.append(name)
    return names


def lock_folder() -> Path:
    """Where the locks of this machine and user are.

    Not below TMPDIR, which clusters set to another folder for every job; /tmp is on no network file system.
    """
    return Path(f"/tmp/crosstune-gpus-{os.getuid()}")


def found_gpus(devices: Path = Path("/dev")) -> list[Gpu]:
    """The GPUs of this machine, as nvidia-smi lists them, or without it by their device files."""
    if program := shutil.which("nvidia-smi"):
        done = subprocess.run([program, "-L"], capture_output=True, text=True)
        if done.returncode == 0:
            return listed_gpus(done.stdout)
    numbers = sorted(int(path.name[6:]) for path in devices.glob("nvidia*") if path.name[6:].isdigit())
    # CUDA counts those that the process sees, from 0; in a container they may be any of the machine's.
    return [Gpu(f"nvidia{number}", str(place)) for place, number in enumerate(numbers)]


def listed_gpus(listing: str) -> list[Gpu]:
    """The GPUs in what `nvidia-smi -L` prints; of one that is cut into parts (MIG), the parts."""
    found: list[Gpu] = []
    whole = None
    for line in listing.splitlines():
        match = re.search(r"\(UUID: ((?:GPU|MIG)-[^)\s]+)\)", line)
        if not match:
            continue
        if match[1].startswith("GPU-"):
            whole = Gpu(match[1], match[1])
            found.append(whole)
        else:
            found = [gpu for gpu in found if gpu != whole]
            found.append(Gpu(match[1].replace("/", "-"), match[1]))
    return found


def _take(wanted: int, gpus: Sequence[Gpu], folder: Path, log: Path | None) -> list[Gpu]:
    queue = open_locked(folder / "queue", wait=False)
    told = queue is None
    if told:
        tell(f"waiting for {wanted} of {len(gpus)} GPUs: other jobs wait already", log)
        queue = open_locked(folder / "queue", wait=True)
    try:
        while True:
            taken = _free(wanted, gpus, folder)
            if taken:
                return taken
            if not told:
                tell(f"waiting for {wanted} of {len(gpus)} GPUs: other jobs have them", log)
                told = True
            time.sleep(SECONDS_BETWEEN_LOOKS)
    finally:
        os.close(queue)


def _free(wanted: int, gpus: Sequence[Gpu], folder: Path) -> list[Gpu]:
    """Lock the first `wanted` GPUs that are free; where there are fewer, none.

    The locks are plain numbers of open files: nothing closes them before the process ends.
    """
    taken: dict[Gpu, int] = {}
    for gpu in gpus:
        lock = open_locked(folder / gpu.lock, wait=False)
        if lock is not None:
            taken[gpu] = lock
        if len(taken) == wanted:
            return list(taken)
    for lock in taken.values():
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


def tell(line: str, log: Path | None) -> None:
    """Write a line into a job's log, or to stderr where it has none."""
    if log is None:
        print(line, file=sys.stderr)
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
