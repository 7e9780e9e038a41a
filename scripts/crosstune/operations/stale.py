"""Results that differ from the output of this code and config, in three kinds.

An outdated result has another version of the code (TRAIN_VERSION etc., raised by hand when results change) or other
settings; the next run recomputes it. A result of another commit, working tree or package lock has the same versions and
stays. An orphan folder has checkpoints that the study no longer needs; only the user deletes it.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.artifacts.checkpoint import MANIFEST, RESUME, STAGING
from crosstune.core.files import read_json
from crosstune.data.leakage import LEAKAGE_VERSION
from crosstune.data.prepare import PREPARE_VERSION
from crosstune.evaluation.scoring import SCORE_VERSION
from crosstune.machine.environment import commit, lock_hash, read_cost
from crosstune.study.comparisons import CONTRASTS_VERSION
from crosstune.study.graph import Study
from crosstune.study.paths import PreparedPath
from crosstune.study.specs import predict_spec
from crosstune.study.targets import evaluated_sets

# Folders in a checkpoint's folder that are no later stages.
PARTS = ("model", "predictions", "scores", "logs", "benchmarks", STAGING, RESUME)

# The number of files listed for each reason.
MAX_LISTED = 3


@dataclass(frozen=True)
class OutdatedResult:
    """A file that the next run recomputes, and the reason."""

    path: str
    kind: str
    reason: str


@dataclass(frozen=True)
class OrphanFolder:
    """A folder whose checkpoints the study does not need: their number, and the size of the folder in bytes."""

    path: str
    checkpoints: int
    size: int


@dataclass(frozen=True)
class CodeState:
    """The code of a result, as far as recorded: commit, whether the working tree had changes, hash of the lock."""

    commit: str
    changed: bool | None
    lock: str

    @classmethod
    def from_record(cls, cost: Mapping) -> "CodeState":
        """The code state in a `cost.json`; empty if the file has none."""
        code = cost.get("code") or {}
        return cls(code.get("commit", ""), code.get("changed"), cost.get("lock_sha256") or "")

    def __str__(self) -> str:
        if not self.commit and not self.lock:
            return "not recorded"
        tree = {True: ", changed working tree", None: ""}.get(self.changed, "") if self.commit else ""
        return f"commit {self.commit[:10] or 'unknown'}{tree}, lock {self.lock[:10] or 'unknown'}"


def outdated_results(study: Study) -> list[OutdatedResult]:
    """Existing results that differ from the output of this code and config."""
    entries = [_other_version(Path(path), "prepared data", PREPARE_VERSION) for path in prepared_manifests(study)]
    entries.append(_other_version(Path(study.results, "leakage.json"), "leakage check", LEAKAGE_VERSION))
    entries.append(_other_version(Path(study.results, "contrasts.json"), "contrasts", CONTRASTS_VERSION))
    for path, node in study.checkpoints.items():
        if node.is_given:
            continue
        entries.append(_other_spec(Path(path, MANIFEST), "checkpoint", node.spec))
        for dataset in node.evaluate:
            predictions = Path(path, "predictions", f"{dataset}.json")
            entries.append(_other_spec(predictions, "predictions", predict_spec(study, path, dataset)))
            scores = Path(path, "scores", f"{dataset}.json")
            entries.append(_other_version(scores, "scores", SCORE_VERSION, "score_version"))
    return [entry for entry in entries if entry]


def prepared_manifests(study: Study) -> list[str]:
    """The manifests of the study's training and evaluation data."""
    manifests = {path for node in study.checkpoints.values() for path in (*node.data, *node.held_out)}
    tests = [(dataset, language) for dataset, languages in evaluated_sets(study) for language in languages]
    return sorted(manifests | {str(PreparedPath(dataset, "test", language)) for dataset, language in tests})


def count_code_states(study: Study) -> Counter[CodeState]:
    """The number of checkpoints and predictions by code state."""
    folders = [Path(path) for path, node in study.checkpoints.items() if not node.is_given]
    folders = [folder for folder in folders if (folder / MANIFEST).exists()]
    outputs = [Path(path, "predictions", name) for path in folders for name in study.checkpoints[str(path)].evaluate]
    folders += [folder for folder in outputs if folder.with_suffix(".json").exists()]
    return Counter(CodeState.from_record(read_cost(folder)) for folder in folders)


def orphan_folders(study: Study) -> list[OrphanFolder]:
    """Folders in the study's results that have checkpoints, but none of the study."""
    needed = {parent for path in study.checkpoints for parent in (Path(path), *Path(path).parents)}
    return list(_orphan_folders(Path(study.results), needed))


def stale_lines(study: Study) -> Iterator[str]:
    """The report for the user."""
    outdated, orphans = outdated_results(study), orphan_folders(study)
    here = CodeState.from_record({"code": commit(), "lock_sha256": lock_hash()})
    yield f"study {study.name}, in {study.results}; this code is {here}"
    yield ""
    yield "Outdated (other code or settings); the next run recomputes them:" if outdated else "Nothing is outdated."
    yield from _reason_lines(outdated)
    yield ""
    others = {code: number for code, number in count_code_states(study).items() if code != here}
    yield (
        "Computed with another commit, working tree or lock, but the same versions:"
        if others
        else f"Everything was computed with this {'commit and ' if here.commit else ''}lock."
    )
    for code, number in sorted(others.items(), key=lambda item: (-item[1], str(item[0]))):
        yield f"  {number:6}  checkpoints and predictions  {code}"
    yield ""
    yield "Folders that no run of the study needs; only you delete them:" if orphans else "No folder is left over."
    for orphan in orphans:
        checkpoints = f"{orphan.checkpoints} checkpoint{'s' * (orphan.checkpoints != 1)}"
        yield f"  {size_text(orphan.size):>9}  {checkpoints:15}  {orphan.path}"


def size_text(size: int) -> str:
    """`812 kB`, `14.2 MB`, `1.3 GB`."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size / 1000:.0f} kB"


def _reason_lines(results: Sequence[OutdatedResult]) -> Iterator[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for entry in results:
        groups.setdefault((entry.kind, entry.reason), []).append(entry.path)
    for (kind, reason), paths in groups.items():
        yield f"  {len(paths):6}  {kind:18}  {reason}"
        yield from (f"          {path}" for path in paths[:MAX_LISTED])
        if len(paths) > MAX_LISTED:
            yield f"          and {len(paths) - MAX_LISTED} more"


def _other_version(path: Path, kind: str, version: int, key: str = "version") -> OutdatedResult | None:
    if not path.exists() or (recorded := read_json(path).get(key)) == version:
        return None
    old = "no version" if recorded is None else f"version {recorded}"
    return OutdatedResult(str(path), kind, f"{old} of the code, now {version}")


def _other_spec(path: Path, kind: str, spec: Mapping) -> OutdatedResult | None:
    if not path.exists() or (recorded := read_json(path)["spec"]) == spec:
        return None
    old, new = recorded.get("version"), spec.get("version")
    if old != new:
        return OutdatedResult(str(path), kind, f"version {old} of the code, now {new}")
    keys = sorted(key for key in {*recorded, *spec} if recorded.get(key) != spec.get(key))
    # A checkpoint's spec has a hash of its parent's spec, and so of all ancestors' specs.
    if set(keys) <= {"parent", "average"}:
        return OutdatedResult(str(path), kind, "an ancestor is retrained")
    return OutdatedResult(str(path), kind, f"other settings: {', '.join(keys)}")


def _orphan_folders(folder: Path, needed: set[Path]) -> Iterator[OrphanFolder]:
    """The topmost folders below `folder` whose checkpoints are not needed."""
    for path in sorted(path for path in folder.glob("*") if path.is_dir()):
        if path in needed:
            yield from _orphan_folders(path, needed)
        elif path.name not in PARTS and (number := _count_checkpoints(path)):
            yield OrphanFolder(str(path), number, disk_size(path))


def _count_checkpoints(folder: Path) -> int:
    """The number of finished and unfinished checkpoints at and below a folder."""
    number = 0
    for _, folders, files in os.walk(folder):
        number += MANIFEST in files or RESUME in folders
        folders[:] = [name for name in folders if name not in PARTS]
    return number


def disk_size(folder: Path) -> int:
    """The size of all files below a folder in bytes; a file with several hard links counts once."""
    files = [path.lstat() for path in folder.rglob("*") if path.is_file()]
    return sum({(file.st_dev, file.st_ino): file.st_size for file in files}.values())
