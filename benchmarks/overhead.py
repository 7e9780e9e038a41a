"""What a study takes beyond its jobs' own programs: locally, and through SLURM.

    python benchmarks/overhead.py --out benchmarks/results/overhead.md
    SLURM_CONF=$(tests/cluster/slurm_up.sh) python benchmarks/overhead.py --slurm 20 5

The SLURM of the tests claims 16 cores, whatever the machine has. Here its partition gives as many as --cores says:
other jobs wait in the queue, as on a cluster that is busy, and slow down no program.

Runs a study in a copy of the project, with a `python` on the PATH that notes when each program of a rule begins and
ends. What is not within such a span is overhead.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from rivals import copy_project, processor

# Notes a program's file, begin and end, and is otherwise the interpreter.
NOTING = """#!/bin/sh
begin=$(date +%s.%N)
"{python}" "$@"
code=$?
echo "$(basename "$1" .py) $begin $(date +%s.%N)" >> "{notes}"
exit $code
"""


@dataclass(frozen=True)
class Span:
    """Something that took place, in seconds since the epoch."""

    name: str
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin


def covered(spans: Iterable[Span]) -> float:
    """Seconds during which at least one of the spans is under way."""
    total, until = 0.0, 0.0
    for span in sorted(spans, key=lambda span: span.begin):
        total += max(0.0, span.end - max(span.begin, until))
        until = max(until, span.end)
    return total


def run_study(folder: Path, options: Sequence[str]) -> tuple[Span, list[Span], str]:
    """Run a study in a fresh copy of the project: its span, its programs' spans, what Snakemake said."""
    copy_project(folder)
    notes = folder / "programs.txt"
    shim = folder / "bin/python"
    shim.parent.mkdir()
    shim.write_text(NOTING.format(python=sys.executable, notes=notes))
    shim.chmod(0o755)
    environ = {**os.environ, "PATH": f"{shim.parent}:{os.environ['PATH']}"}
    begin = time.time()
    done = subprocess.run(["snakemake", *options], cwd=folder, env=environ, capture_output=True, text=True)
    whole = Span("study", begin, time.time())
    if done.returncode:
        sys.exit(done.stderr[-4000:])
    programs = [line.split() for line in notes.read_text().splitlines()]
    return whole, [Span(name, float(begin), float(end)) for name, begin, end in programs], done.stderr


def local_rows(whole: Span, programs: Sequence[Span], cores: int) -> list[tuple[str, float]]:
    """Where the core-seconds of a local run went that no program had."""
    first, last = min(span.begin for span in programs), max(span.end for span in programs)
    busy = covered(programs)
    own = sum(span.seconds for span in programs)
    return [
        ("Snakemake reads the study, before the first program", (first - whole.begin) * cores),
        ("after the last program", (whole.end - last) * cores),
        ("no program runs, in between", (last - first - busy) * cores),
        (
            "one program runs (the base model's, on both cores, among it), and nothing is ready for the others",
            busy * cores - own,
        ),
    ]


def slurm_jobs(said: str) -> tuple[list[Span], list[Span]]:
    """The jobs of a run from SLURM's accounts: in the queue, and running."""
    run = re.search(r"SLURM run ID: (\S+)", said)[1]
    command = ["sacct", "--name", run, "--allocations", "--noheader", "-P", "-o", "Comment,Submit,Start,End"]
    waiting, running = [], []
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        rule, *moments = line.split("|")
        submit, start, end = (datetime.fromisoformat(moment).timestamp() for moment in moments)
        name = rule.removeprefix("rule_").partition("_wildcards_")[0]
        waiting.append(Span(name, submit, start))
        running.append(Span(name, start, end))
    return waiting, running


def slurm_rows(whole: Span, programs: list[Span], waiting: list[Span], running: list[Span]) -> list[tuple[str, float]]:
    """Where the seconds of a run through SLURM went in which no program ran."""
    at_work = covered(programs)
    in_jobs = covered([*programs, *running])
    in_slurm = covered([*programs, *running, *waiting])
    return [
        ("jobs start and end (Snakemake twice in each), no program runs", in_jobs - at_work),
        ("jobs wait in the queue, none runs", in_slurm - in_jobs),
        ("nothing is in SLURM: Snakemake notices what has ended, and submits", whole.seconds - in_slurm),
    ]


def by_program(programs: Sequence[Span]) -> list[str]:
    """Rows of a table: how often each program ran, and its seconds."""
    names = sorted({span.name for span in programs}, key=lambda name: -seconds_of(programs, name))
    counts = {name: sum(span.name == name for span in programs) for name in names}
    return [f"| {name} | {counts[name]} | {seconds_of(programs, name):.1f} |" for name in names]


def seconds_of(spans: Sequence[Span], name: str) -> float:
    return sum(span.seconds for span in spans if span.name == name)


def table(title: str, unit: str, rows: Sequence[tuple[str, float]]) -> list[str]:
    """The parts of an overhead, the largest first."""
    lines = ["", f"| {title} | {unit} |", "|:--|--:|"]
    lines += [f"| {name} | {value:.1f} |" for name, value in sorted(rows, key=lambda row: -row[1])]
    return [*lines, f"| **together** | **{sum(value for _, value in rows):.1f}** |"]


def measure_slurm(folder: Path, seconds: int, study: Sequence[str]) -> list[str]:
    """A run by the shipped profile, in which a job is first looked at after so many seconds."""
    options = ["--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", str(seconds)]
    whole, programs, said = run_study(folder, [*options, *study])
    waiting, running = slurm_jobs(said)
    names = {span.name for span in running}
    inside = sum(span.seconds for span in programs if span.name in names or span.name == "train")
    each = (sum(span.seconds for span in running) - inside) / len(running)
    return [
        "",
        f"## The same through SLURM on this machine, the first look at a job after {seconds} s",
        "",
        f"{whole.seconds:.1f} s, {len(running)} jobs. A program runs for {covered(programs):.1f} s of it."
        f" A job takes {each:.1f} s beside its program.",
        *table("no program runs", "s", slurm_rows(whole, programs, waiting, running)),
    ]


def measure_local(folder: Path, cores: int, study: Sequence[str]) -> list[str]:
    """A run on cores of this machine, and the page's head."""
    load = os.getloadavg()[0]
    whole, programs, _ = run_study(folder, ["--cores", str(cores), *study])
    own = sum(span.seconds for span in programs)
    return [
        "# What a study takes beyond its programs",
        "",
        f"{date.today()}, {processor()}, `python benchmarks/overhead.py {' '.join(sys.argv[1:])}`;"
        f" load at the start {load:.1f}.",
        "",
        f"## {cores} cores, {study[-1]}",
        "",
        f"{whole.seconds:.1f} s, {len(programs)} programs. They have {own:.1f} of {cores * whole.seconds:.1f}"
        f" core-seconds, {own / cores / whole.seconds:.0%}.",
        *table("not a program's", "core-s", local_rows(whole, programs, cores)),
        "",
        "| program | runs | s |",
        "|:--|--:|--:|",
        *by_program(programs),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", default="config.yaml", help="the study (%(default)s)")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--slurm", type=int, nargs="+", default=[], metavar="SECONDS",
                        help="through SLURM too, the first look at a job after so many seconds")  # fmt: skip
    parser.add_argument("--out", type=Path, help="file for the tables")
    args = parser.parse_args()

    study = ["--configfile", args.configfile]
    with tempfile.TemporaryDirectory() as folder:
        lines = measure_local(Path(folder, "local"), args.cores, study)
        if args.slurm:
            partition = ["PartitionName=main", "Nodes=node1", f"MaxCPUsPerNode={args.cores}"]
            subprocess.run(["scontrol", "update", *partition], check=True)
        try:
            for seconds in args.slurm:
                lines += measure_slurm(Path(folder, f"slurm{seconds}"), seconds, study)
        finally:
            if args.slurm:
                subprocess.run(["scontrol", "update", *partition[:2], "MaxCPUsPerNode=UNLIMITED"], check=True)
    print("\n".join(lines))
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
