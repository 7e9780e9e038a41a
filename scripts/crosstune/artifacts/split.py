"""Prepared splits, as files: what jobs look up before they import anything heavy.

Owns: finding rows by their manifests. Must never know: models, tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import read_json


@dataclass(frozen=True)
class Split:
    """One prepared split: its file of rows and their hash."""

    rows: Path
    sha256: str


def origin_of(source: str, row: Mapping) -> str:
    """The name that an original and its translations share: `<dataset>.<language>/<id>` of the original.

    `source` is the row's own. Translations say what they are of in `origin`; a row without it is an original.
    """
    return row.get("origin", f"{source}/{row['id']}")


def rows_by_source(manifests: Sequence[Path]) -> dict[str, Split]:
    """Prepared splits by source (`dataset.language`). Raises UserError where the rows of a manifest are gone."""
    found = {}
    for path in manifests:
        manifest, rows = read_json(path), path.with_suffix(".jsonl")
        if not rows.exists():
            raise UserError("the rows of this prepared split are gone", str(rows), f"Make them again: rm {path}")
        found[f"{manifest['dataset']}.{manifest['lang']}"] = Split(rows, manifest["sha256"])
    return found
