"""The results of a study without weights in one archive, and back in place.

The archive holds what was computed with checkpoints: manifests, curves, predictions, scores, the check for leakage and
the trivial baselines. Tables, figures and the page are not in it: Snakemake makes them from it and the prepared data,
without a training. A study that several machines share, or that is run in parts, is put together from several archives.
The same results give the same bytes.
"""

import json
import zipfile
from collections.abc import Iterable
from pathlib import Path

from crosstune.artifacts.checkpoint import CURVE, MANIFEST, MODEL, has_weights
from crosstune.artifacts.choice import CHOICE
from crosstune.core.bombs import check_size
from crosstune.core.errors import UserError
from crosstune.core.files import atomic_open, read_json
from crosstune.core.zips import member_chunks
from crosstune.operations.zip_files import regular_files, write_zip
from crosstune.study.graph import Study

# Results of a checkpoint. Those of the directories are complete if the manifest next to them exists.
FILES, FOLDERS = (MANIFEST, "cost.json", CURVE, CHOICE), ("predictions", "scores")

# Results of the study that come from its rows. Without them finished trainings would wait for a check, and be repeated.
STUDY_FILES, STUDY_FOLDERS = ("leakage.json", "leakage.passed"), ("baselines",)

REMOVED = "weights.removed"


def export_results(study: Study, root: Path, out: Path) -> int:
    """Pack all finished results below `root` into the archive `out`; return the number of finished checkpoints.

    Raises UserError if nothing is finished.
    """
    finished = [path for path in _own_checkpoints(study) if (root / path / MANIFEST).exists()]
    trained = [path for path in finished if study.checkpoints[path].parents]
    if not trained:
        raise UserError("no checkpoint of the study is finished", study.results, "Run it first: snakemake --cores 2")
    names = [f"{study.results}/{name}" for name in (*STUDY_FILES, *STUDY_FOLDERS)]
    names += [f"{path}/{name}" for path in finished for name in (*FILES, *FOLDERS)]
    files = {str(file.relative_to(root)): file for name in names for file in regular_files(root / name, root)}
    write_zip(out, files, {}, zipfile.ZIP_LZMA)
    return len(trained)


def import_results(study: Study, root: Path, archive: Path) -> tuple[int, int]:
    """Put the results of an archive into place below `root`; return the numbers of new and of present checkpoints.

    A checkpoint counts as one whose weights were removed: a later job that needs them trains it again. Nothing is
    replaced. Raises UserError for a damaged or foreign archive, or for results in place that are others.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            entries = {entry.filename: entry for entry in packed.infolist() if not entry.is_dir()}
            check_size(archive.stat().st_size, sum(entry.file_size for entry in entries.values()), str(archive))
            names = [name for name in entries if _belongs(name, study)]
            stages = [name for name in names if name.endswith(f"/{MANIFEST}")]
            if not stages:
                fix = f"Write it with: snakemake --cores 1 export_results (of the study {study.name!r})"
                raise UserError(f"no results of the study {study.name!r}", str(archive), fix)
            present = [name for name in stages if (root / name).exists()]
            _check_same(packed, present, root)
            kept = tuple(f"{Path(name).parent}/" for name in present)
            for name in sorted(names, key=lambda name: (name.endswith(f"/{MANIFEST}"), name)):
                if not (root / name).exists() and not name.startswith(kept):
                    with atomic_open(root / name) as target:
                        target.writelines(member_chunks(packed, entries[name]))
    except FileNotFoundError:
        raise UserError("no such archive", str(archive), "--config archive=PATH names it.") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise UserError(f"the archive is damaged ({error})", str(archive), "Copy or download it again.") from None
    for name in stages:
        _mark_removed(root / name)
    return len(stages) - len(present), len(present)


def _own_checkpoints(study: Study) -> dict[str, None]:
    """The checkpoints that the study trains or averages. Given models have weights, which every machine gets itself."""
    return {path: None for path, node in study.checkpoints.items() if not node.is_given}


def _belongs(name: str, study: Study) -> bool:
    """Whether a file of the archive is a result that this study has a place for."""
    if ".." in Path(name).parts or Path(name).is_absolute() or "\\" in name:
        raise UserError(f"the archive holds a file that leaves its folder: {name!r}", fix="Do not trust it.")
    top = name.removeprefix(f"{study.results}/")
    if top in STUDY_FILES or top.startswith(tuple(f"{folder}/" for folder in STUDY_FOLDERS)):
        return top != name
    own = _own_checkpoints(study)
    return any(_checkpoint_of(name, part) in own for part in (*FILES, *FOLDERS))


def _checkpoint_of(name: str, part: str) -> str:
    """The checkpoint of a file of its `part`, a file or a folder of results; empty if it is of another part."""
    folder, found, _ = name.rpartition(f"/{part}/") if part in FOLDERS else name.rpartition(f"/{part}")
    return folder if found else ""


def _check_same(packed: zipfile.ZipFile, present: Iterable[str], root: Path) -> None:
    """UserError if a finished checkpoint in place is another one than the archive's."""
    for name in present:
        if json.loads(b"".join(member_chunks(packed, packed.getinfo(name)))) != read_json(root / name):
            fix = f"To take the archive's: rm -r {Path(name).parent}\nTo keep both, give this study another name."
            raise UserError("a finished checkpoint differs from the archive's", name, fix)


def _mark_removed(manifest: Path) -> None:
    """Make the rest of a checkpoint as it is once its weights are removed."""
    checkpoint = manifest.parent
    if not has_weights(checkpoint):
        (checkpoint / MODEL).mkdir(exist_ok=True)
        (checkpoint / REMOVED).touch()
