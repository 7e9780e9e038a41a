"""The memory and time that jobs used, compared with their requests."""

import atexit
import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from crosstune.core.files import read_json, write_json
from crosstune.core.locks import process_label

COLUMNS = ("rule", "jobs", "most memory, MiB", "requested", "longest, minutes", "requested", "jobs over")


@dataclass(frozen=True)
class JobUsage:
    """The memory (MiB; None if not measured) and time (minutes) that a job used and requested."""

    rule: str
    mib: float | None
    requested_mib: int
    minutes: float
    requested_minutes: int

    @property
    def memory_share(self) -> float:
        """The used share of the requested memory."""
        return (self.mib or 0) / self.requested_mib

    @property
    def time_share(self) -> float:
        """The used share of the requested time."""
        return self.minutes / self.requested_minutes


def record_usage(requested: Sequence[str] | None) -> None:
    """Write the request of this job, (file, MiB, minutes), if there is one; add what it used when the process ends.

    `peak_mib` is the most memory that was resident in this process at once (VmHWM in proc(5)), what it shares with the
    warm server included; `cpu_seconds` are those of this process and its children. A job writes them itself because
    Snakemake's benchmark measures the warm server's client, not the job.
    """
    if requested:
        path, mib, minutes = Path(requested[0]).absolute(), *map(int, requested[1:])
        note = {"mem_mb": mib, "runtime": minutes, "process": process_label()}
        write_json(path, note)
        atexit.register(_add_usage, path, note)


def _add_usage(path: Path, note: Mapping) -> None:
    # Not ru_maxrss, which a process inherits from the one that started it.
    with suppress(OSError):  # A full disk has been reported by then, and without /proc there is no warm server.
        peak = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
        usage = {"peak_mib": int(peak[1]) / 1024, "cpu_seconds": sum(os.times()[:4])}
        write_json(path, {**note, **{name: round(number, 1) for name, number in usage.items()}})


def read_job_usage(results: Path) -> list[JobUsage]:
    """Every job under `results` with a benchmark (`<name>.tsv`) and a note of its request (`<name>.requested.json`)."""
    jobs = []
    for path in sorted(benchmark_files(results)):
        note = _note_of(path)
        if not note.exists():
            continue
        with path.open(encoding="utf-8", newline="") as file:
            line = next(csv.DictReader(file, delimiter="\t"), None)
        if line:
            request, minutes = read_json(note), float(line["s"]) / 60
            # A job that ends before Snakemake measures it the first time has NA, or nothing.
            measured = [float(line["max_rss"])] if line["max_rss"] not in ("NA", "-") else []
            mib = max([*measured, *filter(None, [request.get("peak_mib")])], default=None)
            rule = path.name.partition(".")[0]
            jobs.append(JobUsage(rule, mib, request["mem_mb"], minutes, request["runtime"]))
    return jobs


def _note_of(benchmark: Path) -> Path:
    return benchmark.with_suffix(".requested.json")


def benchmark_files(results: Path) -> Iterator[Path]:
    """The benchmarks under `results`. Another job may remove a folder meanwhile: os.walk goes on without it."""
    for folder, _, names in os.walk(results):
        if Path(folder).name == "benchmarks":
            yield from (Path(folder, name) for name in names if name.endswith(".tsv"))


def remove_unread_files(folders: Iterable[Path]) -> None:
    """Remove what Snakemake makes for every job and nobody reads: empty logs, benchmarks of predictions only moved.

    A study has thousands of jobs, and a file system may limit the number of files.
    """
    for folder, _, names in chain.from_iterable(map(os.walk, folders)):
        paths = [Path(folder, name) for name in names]
        unread = [path for path in paths if path.suffix == ".log" and not path.stat().st_size]
        if Path(folder).name == "benchmarks":
            unread += [path for path in paths if path.match("predict.*.tsv") and not _note_of(path).exists()]
        for path in unread:
            path.unlink(missing_ok=True)
        if unread:
            with suppress(OSError):  # not empty
                os.rmdir(folder)


def usage_table(jobs: Sequence[JobUsage]) -> tuple[tuple[str, ...], list[tuple]]:
    """Columns and one line a rule; memory and time are those of the job that came nearest to its request."""
    rows = []
    for rule in sorted({job.rule for job in jobs}):
        mine = [job for job in jobs if job.rule == rule]
        big, long = max(mine, key=lambda job: job.memory_share), max(mine, key=lambda job: job.time_share)
        over = sum(job.memory_share > 1 or job.time_share > 1 for job in mine)
        memory = "n/a" if big.mib is None else f"{big.mib:,.0f}"
        requested = (f"{big.requested_mib:,}", f"{long.requested_minutes:,}")
        rows.append((rule, len(mine), memory, requested[0], f"{long.minutes:.1f}", requested[1], over))
    return COLUMNS, rows
