"""Published tables, from the files of published/."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crosstune.core.errors import UserError
from crosstune.core.schema import read_yaml

KEYS = ("title", "what", "verified", "scale", "columns", "labels", "rows")


def load_published(folder: Path, name: str, where: str) -> dict[str, Any]:
    """The published table `file.entry` of a folder. UserError at `where` if there is none, or if its form is wrong."""
    file, _, entry = name.partition(".")
    path = folder / f"{file}.yaml"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise UserError(f"no published numbers {file!r}", where, f"There are: {known or 'none'}")
    tables = read_yaml(path)
    if entry not in tables:
        raise UserError(f"{path} has no table {entry!r}", where, f"It has: {', '.join(tables)}")
    table = tables[entry]
    if missing := [key for key in KEYS if key not in table]:
        raise UserError(f"missing key {missing[0]!r}", f"{path}: {entry}", f"A published table has {', '.join(KEYS)}.")
    for row, content in table["rows"].items():
        for key, headings in (("labels", table["labels"]), ("values", table["columns"])):
            if len(content.get(key, [])) != len(headings):
                raise UserError(f"expected {len(headings)} {key}", f"{path}: {entry}.rows.{row}.{key}")
    return table


def points(table: Mapping[str, Any], row: str) -> dict[str, float]:
    """A row of a published table, from 0 to 100, by column."""
    values = (round(value * 100 / table["scale"], 6) for value in table["rows"][row]["values"])
    return dict(zip(table["columns"], values, strict=True))
