"""A chaos campaign: whatever disturbs a study, it ends in the bytes of the undisturbed run, or stops and says why.

    python benchmarks/chaos.py --work FOLDER [--disturbances 200] [--seed 1] [--kinds kill-job,damage] [--out TABLE]

One copy of the project runs the small study of the tests undisturbed. Other copies run it with one disturbance a run,
drawn at random, and at a random moment, until each has had some and has ended. Where a run would find everything
finished, its results are removed first. Every file that must not depend on the moment is compared. As root on Linux:
full and read-only file systems are small tmpfs mounts.

An outcome is one of: `same`, the run after it ended in the same bytes; `message`, it stopped with an error that says
what to do, and this ended in the same bytes; `snakemake`, Snakemake or Python stopped with a traceback without a line
of the project, and the run after it ended in the same bytes; `different`, `traceback` and `stuck`, which are faults.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

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

# Disturbances of one trial, after which it is compared.
DISTURBANCES_OF_A_TRIAL = 5

FAULTS = ("different", "traceback", "stuck")

TRACEBACK = "Traceback (most recent call last)"
# With it, file locks do nothing, as on some network file systems.
NO_LOCKS = "import fcntl\nfcntl.flock = lambda *arguments: None\n"


@dataclass
class Trial:
    """A copy of the project in which the study runs, with the random numbers that disturb it."""

    folder: Path
    luck: random.Random

    def start(self, forced: Sequence[str] = (), **options) -> subprocess.Popen:
        """Begin a run in a session of its own, in which `forced` outputs are made anew; options as of Popen."""
        command = ["snakemake", "--nocolor", "--cores", "2", "--configfile", "study.yaml"]
        command += ["--forcerun", *forced] if forced else []
        log = (self.folder / "run.log").open("w")
        settings = {"cwd": self.folder, "stdout": log, "stderr": subprocess.STDOUT, "start_new_session": True}
        environ = os.environ | {"CROSSTUNE_WARM_IDLE": "5"} | options.pop("env", {})
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

    def remove_results(self, following: Sequence[str]) -> None:
        """Give the disturbances that `following` names something to disturb. Damage and clocks need finished files."""
        if following and following[0] not in ("damage", "clock"):
            shutil.rmtree(self.folder / "results")
            if self.luck.random() < 0.3:
                shutil.rmtree(self.folder / "data")

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
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in names.items()
            if any(part in name for part in COMPARED) and not any(part in name for part in UNCOMPARED)
        }


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


# --- disturbances: each disturbs one run, or the files between two runs, and returns what it hit ----------------------


def kill(process: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)


def during(hit: Callable[[Trial, subprocess.Popen], str]) -> Callable[[Trial], tuple[str, int | None, str]]:
    """A disturbance that hits a run at a random moment."""

    def disturb(trial: Trial) -> tuple[str, int | None, str]:
        trial.unlock()
        process = trial.start()
        detail = hit(trial, process) if trial.wait_for_a_moment(process) else "the run had ended"
        return detail, *trial.finish(process)

    return disturb


def kill_snakemake(trial: Trial, process: subprocess.Popen) -> str:
    kill(process.pid, signal.SIGKILL)
    gone = wait_for(lambda: not trial.jobs(), 30)
    return "Snakemake" if gone else "Snakemake; a job outlived it"


def kill_job(trial: Trial, process: subprocess.Popen) -> str:
    jobs = trial.jobs()
    for job in jobs[:1]:
        kill(job, signal.SIGKILL)
    return "a job" if jobs else "no job was there"


def kill_server(trial: Trial, process: subprocess.Popen) -> str:
    servers = trial.servers()
    for server in servers[:1]:
        kill(server, signal.SIGKILL)
    return "a warm server or its fork" if servers else "no server was there"


def kill_group(trial: Trial, process: subprocess.Popen) -> str:
    os.killpg(process.pid, signal.SIGKILL)
    return "the whole group"


def end_softly(trial: Trial, process: subprocess.Popen) -> str:
    number = trial.luck.choice((signal.SIGTERM, signal.SIGINT, signal.SIGUSR1))
    targets = trial.jobs() if trial.luck.random() < 0.6 else []
    for target in targets[:1] or [process.pid]:
        kill(target, number if targets or number != signal.SIGUSR1 else signal.SIGTERM)
    return f"{number.name} to {'a job' if targets else 'Snakemake'}"


def run_twice(trial: Trial, process: subprocess.Popen) -> str:
    command = ["snakemake", "--nocolor", "--cores", "1", "--configfile", "study.yaml"]
    second = subprocess.run(command, cwd=trial.folder, capture_output=True, text=True, check=False)
    refused = second.returncode and "Traceback" not in second.stdout + second.stderr
    return "a second Snakemake, refused" if refused else f"a second Snakemake, exit {second.returncode}"


def damage(trial: Trial) -> tuple[str, int | None, str]:
    """Truncate, empty or overwrite a random file between two runs."""
    files = trial.files()
    if not files:
        return "no file was there", *trial.run()
    kinds = sorted({file_kind(path) for path in files})
    kind = trial.luck.choice(kinds)
    path = trial.luck.choice([path for path in files if file_kind(path) == kind])
    how, content = trial.luck.choice(("truncated", "emptied", "overwritten")), path.read_bytes()
    changed = {
        "truncated": content[: len(content) // 2],
        "emptied": b"",
        "overwritten": trial.luck.randbytes(max(1, len(content))),
    }[how]
    path.write_bytes(changed)
    return f"{kind} {how}", *trial.run()


def file_kind(path: Path) -> str:
    """The kind of a file, for the count of hits: its folder's role and its ending."""
    roles = (
        "model",
        "predictions",
        "scores",
        "tables",
        "figures",
        "cost",
        "baselines",
        "encoded",
        "benchmarks",
        "resume",
    )
    role = next((part for part in reversed(path.parts[:-1]) if part in roles), "data" if "data" in path.parts else "")
    return f"{role}/{path.name}" if path.name in ("stage.json", "report.html") else f"{role}/*{path.suffix}"


def set_times(trial: Trial) -> tuple[str, int | None, str]:
    """Give random files times of tomorrow or of last year, as a clock that was wrong."""
    for path in trial.luck.sample(trial.files(), min(20, len(trial.files()))):
        moment = time.time() + trial.luck.choice((86400, -365 * 86400))
        os.utime(path, (moment, moment))
    return "times of 20 files", *trial.run()


def with_little_memory(trial: Trial) -> tuple[str, int | None, str]:
    megabytes = trial.luck.choice((300, 600, 1200, 2400))
    trial.unlock()
    process = trial.start(env={"CROSSTUNE_WARM_SERVER": "0"})
    subprocess.run(["prlimit", f"--pid={process.pid}", f"--as={megabytes * 2**20}"], check=True)
    return f"{megabytes} MB of address space", *trial.finish(process)


def without_locks(trial: Trial) -> tuple[str, int | None, str]:
    place = trial.folder / "nolocks"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(NO_LOCKS)
    return "locks that do nothing", *trial.run(env={"PYTHONPATH": str(place)})


@contextmanager
def mounted(place: Path, size: str) -> Iterator[Path]:
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def with_full_temporary_folder(trial: Trial) -> tuple[str, int | None, str]:
    with mounted(trial.folder / "temporary", "64k") as place:
        with suppress(OSError), (place / "filler").open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
        return "no room in TMPDIR", *trial.run(env={"TMPDIR": str(place)})


@contextmanager
def on_small_disk(trial: Trial) -> Iterator[Path]:
    """Results on a small file system of their own while the block runs; what they hold goes there and back."""
    results, aside = trial.folder / "results", trial.folder / "aside"
    results.mkdir(exist_ok=True)
    results.rename(aside)
    try:
        with mounted(results, "64m"):
            shutil.copytree(aside, results, dirs_exist_ok=True, symlinks=True)
            yield results
            shutil.rmtree(aside)
            shutil.copytree(results, aside, symlinks=True)
    finally:
        results.rmdir()
        aside.rename(results)


def fill_disk(trial: Trial) -> tuple[str, int | None, str]:
    with on_small_disk(trial) as results:
        room = trial.luck.choice((4, 20, 100, 300, 900)) * 1024
        free = shutil.disk_usage(results).free
        with (results / "filler").open("wb") as file:
            file.write(bytes(max(0, free - room)))
        found = trial.run()
        (results / "filler").unlink()
        return f"{room // 1024} KiB left for results", *found


def make_read_only(trial: Trial) -> tuple[str, int | None, str]:
    with on_small_disk(trial) as results:
        trial.unlock()
        process = trial.start()
        trial.wait_for_a_moment(process)
        subprocess.run(["mount", "-o", "remount,ro", results], check=False, capture_output=True)
        found = trial.finish(process)
        subprocess.run(["mount", "-o", "remount,rw", results], check=True)
        return "results read-only from some moment on", *found


KINDS: dict[str, Callable[[Trial], tuple[str, int | None, str]]] = {
    "kill-snakemake": during(kill_snakemake),
    "kill-job": during(kill_job),
    "kill-server": during(kill_server),
    "kill-group": during(kill_group),
    "soft-signal": during(end_softly),
    "two-at-once": during(run_twice),
    "damage": damage,
    "clock": set_times,
    "memory": with_little_memory,
    "no-locks": without_locks,
    "full-tmp": with_full_temporary_folder,
    "full-disk": fill_disk,
    "read-only": make_read_only,
}


# --- the campaign ----------------------------------------------------------------------------------------------------


def new_trial(place: Path, luck: random.Random) -> Trial:
    place.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, place / part)
    shutil.copy(STUDY, place / "study.yaml")
    return Trial(place, luck)


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


def disturb(trial: Trial, kind: str) -> tuple[str, int | None, str]:
    """One disturbance; what it hit, the exit status of its run, and its outcome if that is clear already."""
    detail, status, output = KINDS[kind](trial)
    if status is None:
        return detail, status, "stuck"
    if trial.shows_own_traceback(output):
        return detail, status, "traceback"
    return detail, status, "snakemake" if TRACEBACK in output else ""


def run_trial(trial: Trial, kinds: list[str], expected: dict[str, str]) -> list[tuple[str, str, str]]:
    """The disturbances of a trial one after the other, then the comparison, whose outcome is that of all of them.

    Outcomes of damage, and of runs that end well, are known at once, so that the next disturbance does not hide them.
    """
    events, open_events = [], []
    for number, kind in enumerate(kinds):
        detail, status, shown = disturb(trial, kind)
        if shown:
            keep_log(trial, kind, len(events))
        events.append([kind, detail, shown])
        open_events.append(events[-1])
        if status == 0 or kind == "damage" or number == len(kinds) - 1 or shown in FAULTS:
            outcome = settle(trial, expected)
            detail = f": {differing(trial, expected)}" if outcome == "different" else ""
            for event in open_events:
                # Snakemake's own traceback is none of the project's faults if the run after it ends well.
                if not event[2] or (event[2] == "snakemake" and outcome in FAULTS):
                    event[2] = outcome + detail
            open_events = []
            if outcome in FAULTS:
                keep_log(trial, outcome, len(events))
                break
            trial.remove_results(kinds[number + 1 : number + 2])
    return [tuple(event) for event in events]


def keep_log(trial: Trial, name: str, number: int) -> None:
    kept = trial.folder.parent / "faults"
    kept.mkdir(exist_ok=True)
    shutil.copy(trial.folder / "run.log", kept / f"{trial.folder.name}.{number}.{name}.log")


def table(events: list[tuple[str, str, str]]) -> str:
    """The campaign as a Markdown table: a row for each kind, then the faults."""
    outcomes = ("same", "message", "snakemake", *FAULTS)
    lines = [f"| disturbance | number | {' | '.join(outcomes)} |", "|---|" + "--:|" * (1 + len(outcomes))]
    for kind in dict.fromkeys(kind for kind, *_ in events):
        counts = Counter(outcome.split(":")[0] for own, _, outcome in events if own == kind)
        lines.append(f"| {kind} | {sum(counts.values())} | {' | '.join(str(counts[name]) for name in outcomes)} |")
    hits = Counter(f"{kind}: {detail}" for kind, detail, _ in events)
    lines += ["", "| what was hit | times |", "|---|--:|", *(f"| {what} | {n} |" for what, n in sorted(hits.items()))]
    faults = [event for event in events if event[2].split(":")[0] in FAULTS]
    lines += ["", f"Faults: {len(faults)}.", *(f"- {' — '.join(event)}" for event in faults)]
    return "\n".join(lines) + "\n"


def campaign(disturbances: int, seed: int, kinds: list[str], work: Path) -> list[tuple[str, str, str]]:
    luck = random.Random(seed)
    reference = new_trial(work / "undisturbed", luck)
    status, output = reference.run()
    if status:
        sys.exit(f"the undisturbed run failed\n{output[-3000:]}")
    expected = reference.compared()
    events: list[tuple[str, str, str]] = []
    number = 0
    while len(events) < disturbances:
        trial = new_trial(work / f"trial{number}", luck)
        drawn = [luck.choice(kinds) for _ in range(min(DISTURBANCES_OF_A_TRIAL, disturbances - len(events)))]
        for event in run_trial(trial, drawn, expected):
            events.append(event)
            print(f"{len(events):4} {' | '.join(event)}", flush=True)
        shutil.rmtree(trial.folder)
        number += 1
    return events


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--disturbances", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", default=",".join(KINDS), help="of these, separated by commas")
    parser.add_argument(
        "--work", type=lambda text: Path(text).resolve(), required=True, help="an empty folder for the copies"
    )
    parser.add_argument("--out", type=Path, help="the table; the default is the terminal")
    options = parser.parse_args()
    events = campaign(options.disturbances, options.seed, options.kinds.split(","), options.work)
    text = table(events)
    options.out.write_text(text) if options.out else print(text)
    sys.exit(any(outcome.split(":")[0] in FAULTS for *_, outcome in events))


if __name__ == "__main__":
    main()
