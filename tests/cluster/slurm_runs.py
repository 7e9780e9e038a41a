"""What the cluster's tests share: commands of SLURM, Snakemake with the shipped profile, trainings of some seconds."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

HERE = Path(__file__).parent
SMALL = HERE.parent / "workflow/small.yaml"
HOME = "results/small/tiny/seed1/qa"
UPDATES = 800
# A training of some seconds each, so that something can happen to it on the way.
LONG = {name: f"{HOME}/worldqa.{name}@{UPDATES}" for name in ("qen", "qes", "qen+qes")}
# And two of some seconds, one after the other, which one process makes.
FIRST = f"{HOME}/worldqa.qen@{UPDATES // 2}"
SECOND = f"{FIRST}/worldqa.qes@{UPDATES // 2}"
# Of the profile's settings the tests change how long is waited, and nothing else.
IMPATIENT = ("--slurm-init-seconds-before-status-checks", "2")


class Slurm:
    """The SLURM of the configuration file `conf`."""

    def __init__(self, conf: str):
        self.environ = {**os.environ, "SLURM_CONF": conf}

    def tell(self, *command: str) -> str:
        """What a command of SLURM's prints."""
        return subprocess.run(command, env=self.environ, check=True, capture_output=True, text=True).stdout.strip()

    def jobs(self, folder: Path, stage: str) -> list[str]:
        """Numbers of the jobs that the executor has made of a stage's training in a project, the first first."""
        listing = self.tell("squeue", "--noheader", "--states=all", "--format=%i %Z %k")
        wanted = [str(folder), f"rule_train_wildcards_{stage.replace('/', '_')}"]
        return sorted((line.split()[0] for line in listing.splitlines() if line.split()[1:] == wanted), key=int)

    def state(self, job: str) -> str:
        """What the queue says of a job."""
        return self.tell("squeue", "--noheader", "--states=all", "--jobs", job, "--format=%T")

    def record(self, job: str, field: str) -> str:
        """A field of a job in the accounts, of every time that it ran. The accounts follow the queue with a delay."""
        queued = self.state(job)
        wait_until(lambda: self._accounted(job, "State").rpartition("\n")[2].startswith(queued), seconds=60)
        return self._accounted(job, field)

    def _accounted(self, job: str, field: str) -> str:
        return self.tell("sacct", "--jobs", job, "--duplicates", "--allocations", "--noheader", "-P", "-o", field)

    def start(self, folder: Path, *arguments: str, profile: str = "profiles/slurm") -> subprocess.Popen:
        """Snakemake with the shipped profile; what it says is in snakemake.log of the folder."""
        command = ["snakemake", "--nocolor", "--profile", profile, *IMPATIENT, *arguments]
        with (folder / "snakemake.log").open("a") as log:
            return subprocess.Popen(command, cwd=folder, env=self.environ, stdout=log, stderr=log)

    def run(self, folder: Path, *arguments: str) -> str:
        """The same until its end, which must be good; what it said."""
        finish(self.start(folder, *arguments), folder)
        return (folder / "snakemake.log").read_text()


def finish(process: subprocess.Popen, folder: Path) -> None:
    """Wait for the good end of what Slurm.start has started."""
    code = process.wait(timeout=400)
    assert code == 0, (folder / "snakemake.log").read_text()[-8000:]


def wait_until(true: Callable[[], Any], seconds: float = 120) -> Any:
    """Look until something is so, and fail after so many seconds; what was so."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)
    return found


def training(folder: Path, stage: str) -> psutil.Process | None:
    """The process of a stage's job in a project that computes updates; None where none has come that far."""
    for process in psutil.process_iter(["cmdline", "cwd", "create_time"]):
        command = process.info["cmdline"] or []
        if "scripts/train.py" in command[:2] and stage in command and process.info["cwd"] == str(folder):
            begun = folder / stage / "resume/spec.json"
            # Every try writes it when it has all that it needs; an earlier one's may lie there. When a process began is
            # known to a second; to import torch takes longer.
            if begun.exists() and begun.stat().st_mtime > process.info["create_time"] + 1:
                return process
    return None


@contextmanager
def paused(folder: Path, *wanted: str) -> Iterator[None]:
    """Trainings of a project pause, each from when it is under way; SLURM's own signals end the pause.

    A quick machine would otherwise be done with them before something can happen to them.
    """
    held: dict[str, psutil.Process] = {}

    def all_held() -> bool:
        for stage in wanted:
            if stage not in held and (process := training(folder, stage)):
                process.suspend()
                held[stage] = process
        return len(held) == len(wanted)

    try:
        wait_until(all_held)
        yield
    finally:
        for process in held.values():
            with suppress(psutil.NoSuchProcess):
                process.resume()


def write_long(folder: Path) -> None:
    """The small study, its trainings longer, as long.yaml."""
    config = yaml.safe_load(SMALL.read_text())
    config["tracks"]["qa"]["budget"]["updates"] = UPDATES
    config["tracks"]["qa"]["schedules"] = {"english": ["qen"], "spanish": ["qes"], "joint": ["qen + qes"]}
    config["tracks"]["qa"]["schedules"]["sequential"] = ["qen", "qes"]
    del config["headline"]
    (folder / "long.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def stages(*names: str) -> list[str]:
    """What to ask Snakemake for, to have some of the long trainings."""
    return [f"{LONG[name]}/stage.json" for name in names]
