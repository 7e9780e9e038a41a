"""A chaos campaign: whatever disturbs a study, it ends in the bytes of the undisturbed run, or stops and says why.

    python benchmarks/chaos.py --work FOLDER [--disturbances 200] [--seed 1] [--kinds kill-job,damage] [--out TABLE]

One copy of the project runs the small study of the tests undisturbed. Other copies run it with one disturbance a run,
drawn at random, and at a random moment, until each has had some and has ended. Where a run would find everything
finished, its results are removed first. Every file that must not depend on the moment is compared. As root on Linux:
full and read-only file systems are small tmpfs mounts. `chaos_trial.py` lists the outcomes.
"""

import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from chaos_trial import (
    FAULTS,
    Trial,
    campaign_options,
    differing,
    end_campaign,
    fault_lines,
    final_outcome,
    keep_log,
    new_trial,
    outcome_table,
    own_outcome,
    run_undisturbed,
    settle,
    wait_for,
)

# Disturbances of one trial, after which it is compared.
DISTURBANCES_OF_A_TRIAL = 5

# With it, file locks do nothing, as on some network file systems.
NO_LOCKS = "import fcntl\nfcntl.flock = lambda *arguments: None\n"


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


def disturb(trial: Trial, kind: str) -> tuple[str, int | None, str]:
    """One disturbance; what it hit, the exit status of its run, and its outcome if that is clear already."""
    detail, status, output = KINDS[kind](trial)
    return detail, status, own_outcome(trial, status, output)


def remove_results(trial: Trial, following: Sequence[str]) -> None:
    """Give the disturbances that `following` names something to disturb. Damage and clocks need finished files."""
    if following and following[0] not in ("damage", "clock"):
        shutil.rmtree(trial.folder / "results")
        if trial.luck.random() < 0.3:
            shutil.rmtree(trial.folder / "data")


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
                found = final_outcome(event[2], outcome)
                event[2] = found + detail if found == outcome else found
            open_events = []
            if outcome in FAULTS:
                keep_log(trial, outcome, len(events))
                break
            remove_results(trial, kinds[number + 1 : number + 2])
    return [tuple(event) for event in events]


def table(events: list[tuple[str, str, str]]) -> str:
    """The campaign as a Markdown table: a row for each kind, then the faults."""
    hits = Counter(f"{kind}: {detail}" for kind, detail, _ in events)
    lines = [*outcome_table(events, "disturbance"), "", "| what was hit | times |", "|---|--:|"]
    lines += [*(f"| {what} | {n} |" for what, n in sorted(hits.items())), "", *fault_lines(events)]
    return "\n".join(lines) + "\n"


def campaign(disturbances: int, seed: int, kinds: list[str], work: Path) -> list[tuple[str, str, str]]:
    luck = random.Random(seed)
    undisturbed = new_trial(work / "undisturbed", luck)
    expected = run_undisturbed(undisturbed)
    shutil.rmtree(undisturbed.folder)
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
    parser = campaign_options(__doc__.split("\n")[0])
    parser.add_argument("--disturbances", type=int, default=200)
    parser.add_argument("--kinds", default=",".join(KINDS), help="of these, separated by commas")
    options = parser.parse_args()
    events = campaign(options.disturbances, options.seed, options.kinds.split(","), options.work)
    end_campaign(events, table(events), options.out)


if __name__ == "__main__":
    main()
