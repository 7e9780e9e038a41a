"""Finished files that something other than a job has changed: a disk that was full, a copy that broke off, a hand.

Snakemake sees that a file is newer, and makes what depends on it anew from whatever it contains. So a run that has
ended remembers the files that it leaves, and the next one looks for others in their place before it starts. A run that
was killed remembers nothing: what it was writing is incomplete, and Snakemake knows that.
"""

import os
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import read_json_or_empty, sha256_file, write_json
from crosstune.core.text import count

MEMORY = Path(".snakemake/finished-files.json")

# Larger files are weights. They take long to read, and have a hash in the manifest next to them.
MOST_BYTES = 64 * 2**20

# What every run writes anew, and caches that check themselves.
NOT_FINISHED = {"logs", "benchmarks", "resume", ".staging", "encoded"}

MAX_NAMED = 10

# Clocks of machines that share a disk differ by less.
MOST_SECONDS_AHEAD = 60


def remember_files(folders: Iterable[Path], jobs: Iterable[Sequence[str]], memory: Path = MEMORY) -> None:
    """Write down size, time, SHA-256 and job's outputs of all files in `folders`. Does nothing where it cannot write.

    `jobs`: the files and folders that each job makes. A file of no job keeps the outputs that are known of it.
    """
    folders, known = list(folders), _read_memory(memory)
    made = {output.rstrip("/"): outputs for outputs in jobs for output in outputs}
    found = _of_others(known, folders)
    for path in _finished_files(folders):
        with suppress(OSError):
            label = _label(path)
            entry = known.get(str(path), {})
            sha256 = entry["sha256"] if entry.get("label") == label else sha256_file(path)
            outputs = next((made[name] for name in (str(path), *map(str, path.parents)) if name in made), None)
            outputs = list(outputs or entry.get("outputs", []))
            found[str(path)] = {"label": label, "sha256": sha256, "outputs": outputs}
    with suppress(OSError):
        write_json(memory, found)


def check_finished_files(folders: Iterable[Path], memory: Path = MEMORY) -> None:
    """UserError if a remembered file of `folders` is there with another content, naming the outputs to remove."""
    entries = _read_memory(memory)
    others = _of_others(entries, folders)
    entries = {path: entry for path, entry in entries.items() if path not in others}
    changed = [path for path, entry in entries.items() if _is_changed(Path(path), entry)]
    if changed:
        removed = _quoted(name for path in changed for name in entries[path]["outputs"] or [path])
        # Snakemake leaves a file that is missing alone if what depends on it is there.
        forced = _quoted(name for path in changed for name in entries[path]["outputs"])
        fix = f"Remove what their jobs made:\nrm -rf {removed}"
        fix += f"\nThen add to the same command:\n--forcerun {forced}" if forced else ""
        raise UserError(
            f"{count(len(changed), 'file')} changed after the last run had ended: {_first(changed)}", "", fix
        )


def reset_future_times(folders: Iterable[Path]) -> str:
    """Give files and folders with a time in the future the present one; the notice about them, empty without any.

    Snakemake refuses whatever is made from such a file, after it has been made: it is older than its input. All get
    the same time, so that none becomes newer than what was made from it.
    """
    now = time.time()
    ahead = []
    for path in [path for folder in folders for path in [folder, *folder.rglob("*")]]:
        with suppress(OSError):
            if path.lstat().st_mtime > now + MOST_SECONDS_AHEAD:
                os.utime(path, (now, now), follow_symlinks=False)
                ahead.append(str(path))
    if not ahead:
        return ""
    return f"times in the future, as after a wrong clock, are now the present one: {_first(sorted(ahead, key=Path))}"


def remove_leftovers(folders: Iterable[Path], seconds: float = 3600) -> None:
    """Remove the hidden temporary files of writes that a kill has ended. Another study may be writing younger ones."""
    oldest = time.time() - seconds
    for path in [path for folder in folders for path in folder.rglob(".*.tmp")]:
        with suppress(OSError):
            if path.lstat().st_mtime < oldest and not path.is_dir():
                path.unlink()


def forget_files(folders: Iterable[Path], memory: Path = MEMORY) -> None:
    """Forget the files of `folders`, because jobs are about to change some."""
    with suppress(OSError):
        write_json(memory, _of_others(_read_memory(memory), folders))


def _of_others(entries: Mapping[str, dict], folders: Iterable[Path]) -> dict[str, dict]:
    """The entries of files that are in none of `folders`: other studies' results, if they are still there."""
    folders = list(folders)
    return {
        name: entry
        for name, entry in entries.items()
        if not any(Path(name).is_relative_to(folder) for folder in folders) and Path(name).exists()
    }


def _first(names: Sequence[str]) -> str:
    """The names for a message, which has room for some."""
    return ", ".join(names[:MAX_NAMED]) + (" ..." if len(names) > MAX_NAMED else "")


def _quoted(names: Iterable[str]) -> str:
    return " ".join(map(shlex.quote, sorted(set(names))))


def _read_memory(memory: Path) -> dict:
    """The remembered files; empty if there are none, or if the memory is damaged itself."""
    with suppress(OSError, ValueError):
        return read_json_or_empty(memory)
    return {}


def _finished_files(folders: Iterable[Path]) -> list[Path]:
    return sorted(
        path
        for folder in folders
        for path in folder.rglob("*")
        if not NOT_FINISHED & set(path.parts) and not path.is_symlink() and path.is_file()
        if path.stat().st_size <= MOST_BYTES
    )


def _is_changed(path: Path, entry: dict) -> bool:
    """Whether a file is there with another content; one that is gone is made anew."""
    try:
        return _label(path) != entry["label"] and sha256_file(path) != entry["sha256"]
    except OSError:
        return False


def _label(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
