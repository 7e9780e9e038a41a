"""Prepared splits and predictions made ahead, as files: what jobs look up before they import anything heavy.

Owns: finding rows by their manifests, taking over predictions. Must never know: models, tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.errors import UserError
from crosstune.files import read_json


@dataclass(frozen=True)
class Split:
    """One prepared split: its file of rows and their hash."""

    rows: Path
    sha256: str


def rows_by_source(manifests: Sequence[Path]) -> dict[str, Split]:
    """Prepared splits by source (`dataset.language`). Raises UserError where the rows of a manifest are gone."""
    found = {}
    for path in manifests:
        manifest, rows = read_json(path), path.with_suffix(".jsonl")
        if not rows.exists():
            raise UserError("the rows of this prepared split are gone", str(rows), f"Make them again: rm {path}")
        found[f"{manifest['dataset']}.{manifest['lang']}"] = Split(rows, manifest["sha256"])
    return found


def adopt(ahead: Path, spec: dict, weights: str, data: Sequence[Path], out: Path) -> bool:
    """Take over predictions that the training made ahead, if they are of this spec, these weights and these rows.

    Starting a process that predicts costs seconds of imports; the training has the network at hand anyway.
    """
    manifest_path = ahead.with_suffix(".json")
    if not manifest_path.exists():
        return False
    manifest = read_json(manifest_path)
    wanted = {source.rpartition(".")[2]: split.sha256 for source, split in rows_by_source(data).items()}
    made = {language: entry["data"] for language, entry in manifest["languages"].items()}
    if (manifest["spec"], manifest["weights"], made) != (spec, weights, wanted):
        return False
    out.mkdir(parents=True, exist_ok=True)
    for language in wanted:
        (ahead / f"{language}.jsonl").replace(out / f"{language}.jsonl")
    ahead.rmdir()
    manifest_path.replace(out.with_suffix(".json"))
    return True
