"""Published tables, from the files of published/.

Owns: the form of such a file. Must never know: what of ours stands beside a number.
"""

from pathlib import Path
from typing import Any

from crosstune.core.errors import UserError
from crosstune.core.schema import read_yaml

KEYS = ("title", "what", "verified", "scale", "columns", "labels", "rows")


def load_published(folder: Path, name: str, place: str) -> dict[str, Any]:
    """The published table `file.entry` of a folder. UserError at `place` where there is none or its form is wrong."""
    file, _, entry = name.partition(".")
    path = folder / f"{file}.yaml"
    if not path.exists():
        known = ", ".join(sorted(found.stem for found in folder.glob("*.yaml")))
        raise UserError(f"no published numbers {file!r}", place, f"There are: {known or 'none'}")
    tables = read_yaml(path)
    if entry not in tables:
        raise UserError(f"{path} has no table {entry!r}", place, f"It has: {', '.join(tables)}")
    table = tables[entry]
    if missing := [key for key in KEYS if key not in table]:
        raise UserError(f"missing key {missing[0]!r}", f"{path}: {entry}", f"A published table has {', '.join(KEYS)}.")
    for row, content in table["rows"].items():
        for key, wanted in (("labels", table["labels"]), ("values", table["columns"])):
            if len(content.get(key, [])) != len(wanted):
                raise UserError(f"expected {len(wanted)} {key}", f"{path}: {entry}.rows.{row}.{key}")
    return table
