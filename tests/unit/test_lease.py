"""GPUs are leased: real processes, and device files that stand for GPUs."""

import os
import select
import signal
import subprocess
import sys
from itertools import cycle
from pathlib import Path

import pytest
from helpers.processes import wait_until

from crosstune.core.errors import UserError
from crosstune.machine import gpu_lease
from crosstune.machine.gpu_lease import LockableGpu, acquire_gpus, list_gpus, parse_gpu_list, visible_gpus

SCRIPTS = Path(__file__).parents[2] / "scripts"
# Takes GPUs, starts a program that lives on, says what it has got and waits to be ended.
JOB = """
import subprocess, sys, time
from pathlib import Path
from crosstune.machine import gpu_lease as lease
lease.SECONDS_BETWEEN_LOOKS = 0.02
folder, count = Path(sys.argv[1]), int(sys.argv[2])
environ = {}
lease.acquire_gpus(count, folder / "log", environ, folder / "locks", lambda: lease.list_gpus(folder / "dev"))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=subprocess.DEVNULL)
print(environ["CUDA_VISIBLE_DEVICES"], child.pid, flush=True)
time.sleep(600)
"""


class Job:
    """A process that takes GPUs."""

    def __init__(self, folder: Path, count: int):
        command = [sys.executable, "-c", JOB, str(folder), str(count)]
        environ = {"PYTHONPATH": str(SCRIPTS), "PATH": ""}  # without nvidia-smi
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
        self.child = None

    def gpus(self) -> str:
        """What it has got, once it has."""
        visible, self.child = self.process.stdout.readline().split()
        return visible

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start(tmp_path):
    """Start jobs on a machine with some GPUs."""
    started = []

    def job(count: int) -> Job:
        started.append(Job(tmp_path, count))
        return started[-1]

    yield job
    for job in started:
        job.kill()
        if job.child:
            os.kill(int(job.child), signal.SIGKILL)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Device files of GPUs, and no nvidia-smi."""
    monkeypatch.setattr(gpu_lease.shutil, "which", lambda program: None)

    def make(count: int) -> Path:
        (tmp_path / "dev").mkdir()
        for name in ["nvidiactl", "nvidia-uvm", *(f"nvidia{number}" for number in range(count))]:
            (tmp_path / "dev" / name).touch()
        return tmp_path

    return make


def wait_for_line(log: Path, text: str) -> None:
    wait_until(lambda: log.exists() and text in log.read_text())


def test_each_job_has_its_own_and_the_next_gets_that_of_a_killed_one(machine, start):
    """What a job has started lives on after it, and holds nothing."""
    folder = machine(2)
    jobs = [start(1), start(1)]
    held = [job.gpus() for job in jobs]
    assert sorted(held) == ["0", "1"]
    third = start(1)
    wait_for_line(folder / "log", "waiting for 1 of 2 GPUs: other jobs have them")
    jobs[1].kill()
    assert third.gpus() == held[1]


def test_several_are_taken_at_once_and_in_the_order_of_the_queue(machine, start):
    folder = machine(2)
    first = start(1)
    assert first.gpus() == "0"
    both = start(2)
    wait_for_line(folder / "log", "waiting for 2 of 2 GPUs: other jobs have them")
    behind = start(1)
    wait_for_line(folder / "log", "waiting for 1 of 2 GPUs: other jobs wait already")
    first.kill()
    assert both.gpus() == "0,1", "the one that waited for both was not overtaken"
    both.kill()
    assert behind.gpus() == "0"


def test_many_that_want_several_all_get_them(machine, start):
    machine(3)
    waiting = [start(2) for _ in range(4)]
    while waiting:
        done = next(job for job in cycle(waiting) if select.select([job.process.stdout], [], [], 0.05)[0])
        assert done.gpus() == "0,1"
        done.kill()
        waiting.remove(done)


def test_gpus_that_are_shared_out_already_are_left_alone(tmp_path):
    for given, usable in (("", 0), ("-1", 0), ("NoDevFiles", 0), ("3", 1), ("1,0,2", 2), ("GPU-a,MIG-b", 2)):
        environ = {"CUDA_VISIBLE_DEVICES": given}
        found = acquire_gpus(2, None, environ, tmp_path / "locks", lambda: [LockableGpu("nvidia0", "0")])
        assert (found, environ["CUDA_VISIBLE_DEVICES"]) == (usable, given)
    assert not (tmp_path / "locks").exists()


def test_a_machine_without_gpus_has_nothing_to_take(machine):
    folder, environ = machine(0), {}
    assert acquire_gpus(2, None, environ, folder / "locks", lambda: list_gpus(folder / "dev")) == 0
    assert environ == {}


def test_a_job_that_wants_none_sees_none(machine):
    folder, environ = machine(2), {}
    assert acquire_gpus(0, None, environ, folder / "locks", lambda: list_gpus(folder / "dev")) == 0
    assert environ == {"CUDA_VISIBLE_DEVICES": ""} and not (folder / "locks").exists()


def test_a_job_that_wants_more_than_there_are_gets_all(machine, start):
    folder = machine(2)
    assert start(4).gpus() == "0,1"
    assert (folder / "log").read_text() == "4 GPUs are wanted, and this machine has 2\n"


def test_a_folder_that_others_can_write_is_refused(tmp_path):
    (tmp_path / "locks").mkdir(mode=0o777)
    (tmp_path / "locks").chmod(0o777)
    with pytest.raises(UserError, match="not this user's alone"):
        acquire_gpus(1, None, {}, tmp_path / "locks", lambda: [LockableGpu("nvidia0", "0")])


def test_device_files_are_counted_as_cuda_counts_them(machine):
    folder = machine(0)
    for number in (10, 2):
        (folder / f"dev/nvidia{number}").touch()
    assert list_gpus(folder / "dev") == [LockableGpu("nvidia2", "0"), LockableGpu("nvidia10", "1")]


def test_gpus_are_read_from_nvidia_smi():
    listing = (
        "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6)\n"
        "GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-1f2e)\n"
        "  MIG 3g.20gb     Device  0: (UUID: MIG-c7384736)\n"
        "  MIG 3g.20gb     Device  1: (UUID: MIG-GPU-1f2e/1/0)\n"
    )
    names = [(gpu.lock, gpu.visible) for gpu in parse_gpu_list(listing)]
    assert names == [
        ("GPU-5d5ba0d6", "GPU-5d5ba0d6"),
        ("MIG-c7384736", "MIG-c7384736"),
        ("MIG-GPU-1f2e-1-0", "MIG-GPU-1f2e/1/0"),
    ]
    assert visible_gpus("GPU-5d5ba0d6,MIG-GPU-1f2e/1/0") == ["GPU-5d5ba0d6", "MIG-GPU-1f2e/1/0"]


def test_locks_are_in_a_folder_of_the_user_on_this_machine():
    assert gpu_lease.lock_folder().parent == Path("/tmp")
    assert gpu_lease.lock_folder().name.removeprefix("crosstune-gpus-").isdigit()
