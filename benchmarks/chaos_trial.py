"""A copy of the project in which a small study is disturbed, and what the campaigns do with it.

`chaos.py` disturbs at random moments, `chaos_writes.py` inside writes. An outcome is one of: `same`, the run after the
disturbance ended in the bytes of the undisturbed run; `message`, it stopped with an error that says what to
do, and this ended in the same bytes; `snakemake`, Snakemake or Python stopped with a traceback without a line of the
project, and the run after it ended in the same bytes; `different`, `traceback` and `stuck`, which are faults.
"""

import argparse
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[1]
PARTS = (
    "Snakefile",
    "config.yaml",
    "envs",
    "rules",
    "scripts",
    "schemas",
    "registry",
    "published",
    "claims",
    "profiles",
)
STUDY = ROOT / "tests/workflow/small.yaml"

# A run that takes so long hangs.
SECONDS_TO_END = 900

# Files whose bytes must be the same in every run. What making them took is another time each time.
COMPARED = (
    "tables/",
    "scores/",
    "predictions/",
    "stage.json",
    "train.jsonl",
    "model.safetensors",
    "baselines/",
    "data/",
)
UNCOMPARED = (".staging", "/encoded/", "data/raw/")
TIMED = ("cost.json", ".snakemake_timestamp")

FAULTS = ("different", "traceback", "stuck")

TRACEBACK = "Traceback (most recent call last)"


def is_compared(name: str) -> bool:
    """Whether a file, by its path in the project, must have the same bytes in every run."""
    return any(part in name for part in COMPARED) and not any(part in name for part in UNCOMPARED)


@dataclass
class Trial:
    """A copy of the project in which the study runs, with the random numbers that disturb it."""

    folder: Path
    luck: random.Random
    cores: int = 2
    environ: dict[str, str] = field(default_factory=dict)
    compares: Callable[[str], bool] = is_compared

    def start(self, forced: Sequence[str] = (), targets: Sequence[str] = (), **options) -> subprocess.Popen:
        """Begin a run in a session of its own, in which `forced` outputs are made anew; options as of Popen."""
        command = ["snakemake", *targets, "--nocolor", "--cores", str(self.cores), "--configfile", "study.yaml"]
        command += ["--forcerun", *forced] if forced else []
        log = (self.folder / "run.log").open("w")
        settings = {"cwd": self.folder, "stdout": log, "stderr": subprocess.STDOUT, "start_new_session": True}
        environ = os.environ | {"CROSSTUNE_WARM_IDLE": "5"} | self.environ | options.pop("env", {})
        return subprocess.Popen(command, env=environ, **settings, **options)

    def finish(self, process: subprocess.Popen) -> tuple[int | None, str]:
        """Exit status and output of a run, and no process of it left; None if it hangs."""
        with suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_END)
        status = process.poll()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        wait_for(lambda: not self.jobs(), 60)
        return status, (self.folder / "run.log").read_text(errors="replace")

    def run(self, **options) -> tuple[int | None, str]:
        self.unlock()
        return self.finish(self.start(**options))

    def shows_own_traceback(self, output: str) -> bool:
        """Whether a traceback of an output has a line of the project."""
        return TRACEBACK in output and f'File "{self.folder}/' in output[output.index(TRACEBACK) :]

    def unlock(self) -> None:
        for lock in (self.folder / ".snakemake/locks").glob("*"):
            lock.unlink()

    def processes(self, pattern: str) -> list[int]:
        """Processes of this trial whose command matches a pattern."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                is_here = str(self.folder) in command or Path(os.readlink(place / "cwd")) == self.folder
                if is_here and re.search(pattern, command):
                    found.append(int(place.name))
        return found

    def jobs(self) -> list[int]:
        return self.processes(r"scripts/(?!crosstune)\w+\.py")

    def servers(self) -> list[int]:
        return self.processes("warm_server")

    def wait_for_a_moment(self, process: subprocess.Popen) -> bool:
        """Let a run go on for a random time, often into a job; whether it still runs."""
        if self.luck.random() < 0.7:
            wait_for(lambda: bool(self.jobs()) or process.poll() is not None, 120)
            time.sleep(self.luck.uniform(0, 2.5))
        else:
            time.sleep(self.luck.uniform(0, 12))
        return process.poll() is None

    def files(self) -> list[Path]:
        """Files that the study has made, without the hidden temporary ones that a killed write leaves."""
        made = [path for part in ("results", "data") for path in (self.folder / part).rglob("*")]
        finished = [path for path in made if not (path.name.startswith(".") and path.suffix == ".tmp")]
        return sorted(
            path for path in finished if path.is_file() and not path.is_symlink() and "logs" not in path.parts
        )

    def compared(self) -> dict[str, str]:
        """Hashes of all files whose bytes must be the same."""
        names = {str(path.relative_to(self.folder)): path for path in self.files() if path.name not in TIMED}
        return {
            name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in names.items() if self.compares(name)
        }


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def copy_parts(root: Path, place: Path) -> None:
    """A new copy of what a study needs of the project at `root`."""
    place.mkdir(parents=True)
    for part in PARTS:
        source = root / part
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, place / part)


def new_trial(place: Path, luck: random.Random, root: Path = ROOT, study: Path = STUDY, **settings) -> Trial:
    """A new copy of the project at `root`, with the config of a study; settings as of Trial."""
    copy_parts(root, place)
    shutil.copy(study, place / "study.yaml")
    return Trial(place, luck, **settings)


def run_undisturbed(trial: Trial, **options) -> dict[str, str]:
    """Run the study and return the hashes that disturbed runs are compared with; options as of Trial.run."""
    status, output = trial.run(**options)
    if status:
        sys.exit(f"the undisturbed run failed\n{output[-3000:]}")
    return trial.compared()


def own_outcome(trial: Trial, status: int | None, output: str) -> str:
    """The outcome of a disturbed run as far as it shows by itself; empty if the run after it decides."""
    if status is None:
        return "stuck"
    if trial.shows_own_traceback(output):
        return "traceback"
    return "snakemake" if TRACEBACK in output else ""


def final_outcome(own: str, settled: str) -> str:
    """The outcome of a disturbance: Snakemake's own traceback is no fault if the run after it ends well."""
    return settled if not own or (own == "snakemake" and settled in FAULTS) else own


def settle(trial: Trial, expected: dict[str, str]) -> str:
    """Run undisturbed until the study has ended, doing what its messages say; the outcome."""
    asked, forced = False, []
    for _ in range(8):
        status, output = trial.run(forced=forced)
        if status is None:
            return "stuck"
        if TRACEBACK in output:
            return "traceback"
        if status == 0:
            found = trial.compared()
            return ("message" if asked else "same") if found == expected else "different"
        asked = True
        if not follow(trial, output):
            return "stuck"
        forced = [name for line in re.findall(r"^\s*--forcerun (.+)$", output, re.MULTILINE) for name in line.split()]
    return "stuck"


def follow(trial: Trial, output: str) -> bool:
    """Do what a message says: remove what it names, by its own command. Whether there was something to do."""
    removed = False
    for line in re.findall(r"^\s*rm (?:-rf? )?(.+)$", output, re.MULTILINE):
        for name in line.split():
            path = (trial.folder / name.strip("'\"")).resolve()
            if trial.folder.resolve() in path.parents and path.exists():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                removed = True
    return removed


def differing(trial: Trial, expected: dict[str, str]) -> str:
    found = trial.compared()
    return ", ".join(
        sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))[:3]
    )


def keep_log(trial: Trial, name: str, number: int) -> None:
    kept = trial.folder.parent / "faults"
    kept.mkdir(exist_ok=True)
    shutil.copy(trial.folder / "run.log", kept / f"{trial.folder.name}.{number}.{name}.log")


def outcome_table(events: Iterable[tuple[str, str, str]], head: str) -> list[str]:
    """Markdown lines: for each kind of event its number and how often it had each outcome."""
    outcomes, events = ("same", "message", "snakemake", *FAULTS), list(events)
    lines = [f"| {head} | number | {' | '.join(outcomes)} |", "|---|" + "--:|" * (1 + len(outcomes))]
    for kind in dict.fromkeys(kind for kind, *_ in events):
        counts = Counter(outcome.split(":")[0] for own, _, outcome in events if own == kind)
        lines.append(f"| {kind} | {sum(counts.values())} | {' | '.join(str(counts[name]) for name in outcomes)} |")
    return lines


def is_fault(event: tuple[str, str, str]) -> bool:
    return event[2].split(":")[0] in FAULTS


def fault_lines(events: Iterable[tuple[str, str, str]]) -> list[str]:
    faults = list(filter(is_fault, events))
    return [f"Faults: {len(faults)}.", *(f"- {' — '.join(event)}" for event in faults)]


def campaign_options(description: str) -> argparse.ArgumentParser:
    """A parser with the options of every campaign."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--work", type=lambda text: Path(text).resolve(), required=True, help="an empty folder for the copies"
    )
    parser.add_argument("--out", type=Path, help="the table; the default is the terminal")
    return parser


def end_campaign(events: Sequence[tuple[str, str, str]], text: str, out: Path | None) -> NoReturn:
    """Write or print the table of a campaign, and end with exit code 1 if it has a fault."""
    out.write_text(text) if out else print(text)
    sys.exit(any(map(is_fault, events)))
