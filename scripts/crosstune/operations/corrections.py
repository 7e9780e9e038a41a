"""Corrections of kept results: finding them, and writing the entry for a person to complete.

The record next to kept files says what they must be (artifacts/correction_record.py). Here the study's present
tables and figures are compared with them, and the kept files with the record.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from crosstune.artifacts.correction_record import (
    CORRECTED,
    CURRENT,
    RECORD,
    REMOVED,
    CorrectionRecord,
    kept_files,
    present_files,
    read_record,
)
from crosstune.core.errors import UserError, printable
from crosstune.core.files import atomic_open, read_json_or_empty, sha256_file, write_text
from crosstune.core.text import count
from crosstune.machine.environment import commit, tracked_versions, utc_now
from crosstune.operations.table_changes import file_changes

HEAD = """\
# The correction record of the results in this folder (docs/corrections.md). Entries are added and never changed:
# `snakemake --cores 1 corrections` writes them.
"""

FIRST = "The results as they were first recorded."

MOST_SHOWN = 10  # changes printed


@dataclass(frozen=True)
class Correction:
    """One file that is, or shall be, another one than on record. `new` is None if the file is gone."""

    name: str
    old: bytes | None
    new: bytes | None
    is_present: bool  # whether `new` comes from the study's results, and the kept file is still the old one

    @property
    def changes(self) -> list[dict]:
        return file_changes(self.name, self.old, self.new)


def update_record(study: str, folder: Path, results: Path, root: Path) -> Iterator[str]:
    """Bring the record of the kept files in `folder` up to date; yield lines to show.

    `results`: the study's folder of results. `root`: the project's folder. Without a record the first entry is written.
    Files of an entry that says why are taken over from the results. Then one entry is written for everything that
    differs, without its `why`. Raises UserError for a record that is not complete, and if nothing is kept.
    """
    if not folder.is_dir() or not kept_files(folder):
        fix = f"Put there what you keep, for example:\nmkdir -p {folder} && cp {results}/tables/*.md {folder}/\n"
        raise UserError("no kept results", str(folder), f"{fix}Another folder: --config corrections=FOLDER")
    record = read_record(folder, root)
    if record is None:
        yield from _begin(study, folder, results)
        return
    if record.study != study:
        raise UserError(f"this is the record of the study {record.study!r}", str(folder / RECORD), f"study: {study}")
    yield from _take_over(record, results)
    found = list(find_corrections(record, results))
    if found:
        yield from _add(record, found, results)
    else:
        yield f"{folder / RECORD}: {record.summary}; {count(len(record.manifest), 'file')} as recorded"


def find_corrections(record: CorrectionRecord, results: Path) -> Iterator[Correction]:
    """The kept files that are not those on record, and those that the study's present results replace.

    Raises UserError if the version on record of a changed file is nowhere to be found.
    """
    kept, present = kept_files(record.folder), present_files(results)
    for name in sorted({*record.manifest, *kept}):
        digest, file = record.manifest.get(name), kept.get(name)
        own = file and file.read_bytes()
        if digest is None or file is None or sha256_file(file) != digest:
            yield Correction(name, digest and _recorded_content(record, name, results), own, False)
        elif name in present and sha256_file(present[name]) != digest:
            yield Correction(name, own, present[name].read_bytes(), True)


def _recorded_content(record: CorrectionRecord, name: str, results: Path) -> bytes:
    """The content of a file as it is on record: from the study's results, or from git."""
    digest, path = record.manifest[name], record.folder / name
    present = present_files(results).get(name)
    for content in [*([present.read_bytes()] if present else []), *tracked_versions(path)]:
        if _sha256(content) == digest:
            return content
    fix = f"Put the recorded file back (SHA-256 {digest}), and run this again to record a change."
    raise UserError("the kept file is not the recorded one, which is neither in git nor in the results", str(path), fix)


def _take_over(record: CorrectionRecord, results: Path) -> Iterator[str]:
    """Replace kept files that are still those from before their entry by the study's present ones."""
    kept, present = kept_files(record.folder), present_files(results)
    for name, digest in record.manifest.items():
        if name not in kept or sha256_file(kept[name]) not in record.earlier(name):
            continue
        if name not in present or sha256_file(present[name]) != digest:
            message = "the file is still the one from before its correction, and the results lack the corrected one"
            raise UserError(message, str(kept[name]), f"Put the corrected file there: SHA-256 {digest}")
        with atomic_open(kept[name]) as file:
            file.write(present[name].read_bytes())
        yield f"{kept[name]}: replaced by {present[name]}"


def _begin(study: str, folder: Path, results: Path) -> Iterator[str]:
    files = {name: sha256_file(path) for name, path in kept_files(folder).items()}
    entry = _entry_text(CURRENT, FIRST, _commits(results), files, [])
    write_text(folder / RECORD, f"{HEAD}study: {_quoted(study)}\nentries:\n{entry}")
    yield f"{folder / RECORD}: written, with {count(len(files), 'file')}: {CURRENT}, 0 corrections"


def _add(record: CorrectionRecord, found: Iterable[Correction], results: Path) -> Iterator[str]:
    """Add the entry to fill in to the end of the record."""
    path = record.folder / RECORD
    changes = [change for correction in found for change in correction.changes]
    files = {item.name: REMOVED if item.new is None else _sha256(item.new) for item in found}
    only_added = all(item.old is None for item in found)
    text = path.read_text(encoding="utf-8").rstrip("\n")
    commits = {item.is_present: _commits(results if item.is_present else None) for item in found}
    commits = sorted({revision for own in commits.values() for revision in own})
    text += "\n" + _entry_text(CURRENT if only_added else CORRECTED, "", commits, files, changes)
    _check_added(text, record)
    write_text(path, text)
    yield f"{path}: {count(len(changes), 'change')} in {count(len(files), 'file')}"
    yield from (f"  {_change_line(change)}" for change in changes[:MOST_SHOWN])
    if len(changes) > MOST_SHOWN:
        yield f"  and {len(changes) - MOST_SHOWN} more"
    if any(item.is_present for item in found):
        yield "Say why in the last entry, then run this again: the kept files are replaced then."
        yield "If the kept numbers stand, delete the entry instead."
    else:
        yield "Say why in the last entry; the record is complete then."
        yield "If the recorded numbers stand, delete the entry and put the recorded files back instead."


def _check_added(text: str, record: CorrectionRecord) -> None:
    """UserError if a text is not the record with one more entry: somebody has written its entries in another form."""
    try:
        added = len(yaml.safe_load(text)["entries"]) == len(record.entries) + 1
    except yaml.YAMLError:
        added = False
    if not added:
        fix = "The entries come last, each on lines of its own:\nentries:\n  - date: ..."
        raise UserError("no entry can be added to the end of this file", str(record.folder / RECORD), fix)


def _commits(results: Path | None) -> list[str]:
    """The commits that made the study's results; without results, or without their provenance, that of the project."""
    provenance = read_json_or_empty(results / "provenance.json") if results else {}
    makers = [*provenance.get("made", []), provenance.get("code", commit())]
    return sorted({maker["commit"] for maker in makers if maker.get("commit")})


def _entry_text(
    status: str, why: str, commits: Iterable[str], files: Mapping[str, str], changes: Iterable[Mapping]
) -> str:
    """An entry as YAML, one line for each change, so that a difference of two versions is easy to read."""
    lines = [
        f'  - date: "{utc_now()[:10]}"',
        f"    status: {status}",
        f"    why: {_quoted(why)}",
        f"    commits: [{', '.join(commits)}]",
        "    files:",
        *(f"      {_quoted(name)}: {_quoted(digest)}" for name, digest in files.items()),
    ]
    items = [", ".join(f"{key}: {_quoted(value)}" for key, value in change.items()) for change in changes]
    lines += ["    changes:", *(f"      - {{{item}}}" for item in items)] if items else []
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A text in the quotes of JSON, which YAML reads as the same text; characters that no reader sees as escapes."""
    return json.dumps(printable(text), ensure_ascii=False)


def _change_line(change: Mapping) -> str:
    place = ", ".join(change[key] for key in ("table", "row", "column") if key in change)
    return f"{place}: {change.get('old', 'nothing')} -> {change.get('new', 'nothing')}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
