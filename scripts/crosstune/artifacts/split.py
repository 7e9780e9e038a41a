"""Files of prepared splits. A job looks them up before it imports anything heavy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import read_json


@dataclass(frozen=True)
class PreparedSplit:
    """One prepared split: the path and the SHA-256 of its file of rows, and the key of all that they depend on."""

    rows: Path
    sha256: str
    content_key: str = ""


def row_origin(source: str, row: Mapping) -> str:
    """The name that an original row and its translations share: `<dataset>.<language>/<id>` of the original.

    `source` is the row's own `<dataset>.<language>`. A row without the key `origin` is an original.
    """
    return row.get("origin", f"{source}/{row['id']}")


def prepared_splits(manifests: Sequence[Path]) -> dict[str, PreparedSplit]:
    """Prepared splits by source (`dataset.language`). Raises UserError if a manifest's file of rows is missing."""
    splits = {}
    for path in manifests:
        manifest, rows = read_json(path), path.with_suffix(".jsonl")
        if not rows.exists():
            raise UserError(
                "the rows of this prepared split are missing",
                str(rows),
                f"Prepare them again: rm {path}; snakemake --cores 1 prepare_all",
            )
        splits[f"{manifest['dataset']}.{manifest['lang']}"] = PreparedSplit(
            rows, manifest["sha256"], manifest.get("content_key", "")
        )
    return splits
