"""The record of kept results: the file corrections.yaml in their folder (docs/corrections.md).

Its entries are added and never changed. The first one has the hashes of the files as they were first kept, each later
one those of the files that it changes. So the entries together say what every file must be.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import sha256_file
from crosstune.core.schema import read_yaml, validate
from crosstune.core.text import count
from crosstune.core.yaml_lines import lines_named

RECORD = "corrections.yaml"

UNRECORDED = ("README.md", RECORD)

CURRENT, CORRECTED = "CURRENT", "CORRECTED"

REMOVED = "removed"

# The beginning of a figure's value in a change, instead of its content.
DIGEST = "SHA-256 "

# A number with its sign, which may be a hyphen or a minus.
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")

# The folders of a study's results whose files are kept. Costs differ between runs and are left out.
SHOWN = ("tables", "figures", "buckets")

WHY = "Say what was wrong, since when, and what that changes:\nwhy: Two seeds were exchanged. No verdict changes."


@dataclass(frozen=True)
class CorrectionRecord:
    """The record of a folder's files."""

    folder: Path
    study: str
    entries: tuple[dict, ...]

    @property
    def status(self) -> str:
        """CORRECTED if any entry changes a kept number or statement, else CURRENT."""
        return CORRECTED if self.corrections else CURRENT

    @property
    def corrections(self) -> list[dict]:
        return [entry for entry in self.entries if entry["status"] == CORRECTED]

    @property
    def summary(self) -> str:
        """`CURRENT, 0 corrections`."""
        return f"{self.status}, {count(len(self.corrections), 'correction')}"

    @property
    def manifest(self) -> dict[str, str]:
        """The SHA-256 that each file must have, by name."""
        found: dict[str, str] = {}
        for entry in self.entries:
            found |= entry["files"]
        return {name: digest for name, digest in sorted(found.items()) if digest != REMOVED}

    def earlier(self, name: str) -> set[str]:
        """The hashes that a file had before its last change, and the word `removed` where it was away."""
        return {entry["files"][name] for entry in self.entries if name in entry["files"]} - {self.manifest.get(name)}

    def problems(self) -> Iterator[str]:
        """What in the folder is not as the record says."""
        manifest, present = self.manifest, kept_files(self.folder)
        for name in sorted({*manifest, *present}):
            if name not in present:
                yield f"{self.folder / name}: on record and not there"
            elif name not in manifest:
                yield f"{self.folder / name}: not on record"
            elif sha256_file(present[name]) != manifest[name]:
                yield f"{self.folder / name}: changed without an entry"


def kept_files(folder: Path) -> dict[str, Path]:
    """The files that a record is about, by name: all of a folder but links, hidden files, its README and the record."""
    found = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.is_symlink()]
    return {path.name: path for path in found if not path.name.startswith(".") and path.name not in UNRECORDED}


def present_files(results: Path) -> dict[str, Path]:
    """The study's present tables and figures, by name, in its folder of results."""
    folders = [results / name for name in SHOWN]
    return {file.name: file for folder in folders if folder.is_dir() for file in folder.iterdir() if file.is_file()}


def read_record(folder: Path, root: Path) -> CorrectionRecord | None:
    """The record of a folder; None if it has none. `root`: the project's folder, which has the schema.

    Raises UserError, with the line, for a mistake in the file: an entry that does not say why, or one that calls a
    changed number CURRENT.
    """
    path = folder / RECORD
    if not path.exists():
        return None
    content = read_yaml(path)
    with lines_named(path):
        content = validate(content, root / "schemas/corrections.schema.yaml")
        for number, entry in enumerate(content["entries"]):
            _check_entry(entry, f"entries[{number}]")
    return CorrectionRecord(folder, content["study"], tuple(content["entries"]))


def _check_entry(entry: Mapping, where: str) -> None:
    if not entry["why"].strip():
        raise UserError(f"the entry of {entry['date']} does not say why the results changed", f"{where}.why", WHY)
    changed = next((change for change in entry["changes"] if changes_number(change)), None)
    if entry["status"] == CURRENT and changed:
        place = ", ".join(changed[key] for key in ("table", "row", "column") if key in changed)
        message = f"the entry of {entry['date']} changes a number ({place}), so it is a correction"
        raise UserError(message, f"{where}.status", f"status: {CORRECTED}")


def changes_number(change: Mapping) -> bool:
    """Whether the numbers in a cell or line are others than before. Of a figure only a person can say."""
    old, new = (str(change.get(key, "")).replace("−", "-") for key in ("old", "new"))
    if old.startswith(DIGEST) or new.startswith(DIGEST):
        return False
    return NUMBER.findall(old) != NUMBER.findall(new)
