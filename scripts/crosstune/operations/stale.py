"""Results of a study that this code and config would not have made so, or not at all.

Owns: finding them, and saying what of them another run makes anew. Must never know: how to make or delete anything.

Three kinds, in the order of their weight. `Outdated`: made of another version of the code (TRAIN_VERSION and its
like, raised by hand when results change), or by other settings; the next run makes these anew. Made by another commit,
a changed working tree or another lock of packages: the versions say that this changes nothing. `Orphan`: a folder of
checkpoints that the study does not ask for any more; nobody ever deletes it but you.
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

# What lies in a checkpoint's folder beside the stages that stand on it.
PARTS = ("model", "predictions", "scores", "logs", "benchmarks", STAGING, RESUME)

# Of each reason so many files are named.
NAMED = 3


@dataclass(frozen=True)
class Outdated:
    """A file that the next run makes anew, and why."""

    path: str
    kind: str
    reason: str


@dataclass(frozen=True)
class Orphan:
    """A folder of checkpoints that the study does not ask for: how many, and the bytes of all that is in it."""

    path: str
    checkpoints: int
    size: int


@dataclass(frozen=True)
class Maker:
    """What made a result, as far as it was written down: commit, whether the tree was changed, hash of the lock."""

    commit: str
    changed: bool | None
    lock: str

    @classmethod
    def of(cls, cost: Mapping) -> "Maker":
        """The maker that a `cost.json` names; empty where it is of a time that did not tell."""
        code = cost.get("code") or {}
        return cls(code.get("commit", ""), code.get("changed"), cost.get("lock_sha256") or "")

    def __str__(self) -> str:
        if not self.commit and not self.lock:
            return "nobody wrote down by what"
        tree = {True: ", changed working tree", None: ""}.get(self.changed, "") if self.commit else ""
        return f"commit {self.commit[:10] or 'unknown'}{tree}, lock {self.lock[:10] or 'unknown'}"


def outdated(study: Study) -> list[Outdated]:
    """Results that are there and are not what this code and config make."""
    found = [_other_version(Path(path), "prepared data", PREPARE_VERSION) for path in prepared(study)]
    found.append(_other_version(Path(study.results, "leakage.json"), "look for leakage", LEAKAGE_VERSION))
    found.append(_other_version(Path(study.results, "contrasts.json"), "contrasts", CONTRASTS_VERSION))
    for path, node in study.checkpoints.items():
        if "hub" in node.spec:
            continue
        found.append(_other_spec(Path(path, MANIFEST), "checkpoint", node.spec))
        for dataset in node.evaluate:
            predictions = Path(path, "predictions", f"{dataset}.json")
            found.append(_other_spec(predictions, "predictions", predict_spec(study, path, dataset)))
            scores = Path(path, "scores", f"{dataset}.json")
            found.append(_other_version(scores, "scores", SCORE_VERSION, "score_version"))
    return [entry for entry in found if entry]


def prepared(study: Study) -> list[str]:
    """Manifests of the rows that the study trains on and evaluates."""
    found = {path for node in study.checkpoints.values() for path in (*node.data, *node.held_out)}
    tests = [(dataset, language) for dataset, languages in evaluated_sets(study) for language in languages]
    return sorted(found | {str(PreparedPath(dataset, "test", language)) for dataset, language in tests})


def makers(study: Study) -> Counter[Maker]:
    """How many checkpoints and predictions each maker has made."""
    folders = [Path(path) for path, node in study.checkpoints.items() if "hub" not in node.spec]
    made = [folder for folder in folders if (folder / MANIFEST).exists()]
    predictions = [Path(path, "predictions", name) for path in made for name in study.checkpoints[str(path)].evaluate]
    made += [folder for folder in predictions if folder.with_suffix(".json").exists()]
    return Counter(Maker.of(read_cost(folder)) for folder in made)


def orphans(study: Study) -> list[Orphan]:
    """Folders below the study's results that hold checkpoints and none of the study's."""
    wanted = {parent for path in study.checkpoints for parent in (Path(path), *Path(path).parents)}
    return list(_orphans(Path(study.results), wanted))


def stale_lines(study: Study) -> Iterator[str]:
    """All of it for a person."""
    old, made, lost = outdated(study), makers(study), orphans(study)
    here = Maker.of({"code": commit(), "lock_sha256": lock_hash()})
    yield f"study {study.name}, in {study.results}; this code is {here}"
    yield ""
    yield "Made by other code or settings; the next run makes them anew:" if old else "Nothing is of older versions."
    yield from _reasons(old)
    yield ""
    others = {maker: number for maker, number in made.items() if maker != here}
    yield (
        "Made by another commit, tree or lock, of which the versions say that it changes nothing:"
        if others
        else f"Everything was made by this {'commit and ' if here.commit else ''}lock."
    )
    for maker, number in sorted(others.items(), key=lambda item: (-item[1], str(item[0]))):
        yield f"  {number:6}  checkpoints and predictions  {maker}"
    yield ""
    yield "Asked for by no run of the study any more; nothing ever deletes them:" if lost else "No folder is left over."
    for orphan in lost:
        checkpoints = f"{orphan.checkpoints} checkpoint{'s' * (orphan.checkpoints != 1)}"
        yield f"  {size_told(orphan.size):>9}  {checkpoints:15}  {orphan.path}"


def size_told(size: int) -> str:
    """`812 kB`, `14.2 MB`, `1.3 GB`."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size / 1000:.0f} kB"


def _reasons(found: Sequence[Outdated]) -> Iterator[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for entry in found:
        groups.setdefault((entry.kind, entry.reason), []).append(entry.path)
    for (kind, reason), paths in groups.items():
        yield f"  {len(paths):6}  {kind:18}  {reason}"
        yield from (f"          {path}" for path in paths[:NAMED])
        if len(paths) > NAMED:
            yield f"          and {len(paths) - NAMED} more"


def _other_version(path: Path, kind: str, version: int, key: str = "version") -> Outdated | None:
    if not path.exists() or (found := read_json(path).get(key)) == version:
        return None
    made = "no version" if found is None else f"version {found}"
    return Outdated(str(path), kind, f"{made} of the code, now {version}")


def _other_spec(path: Path, kind: str, spec: Mapping) -> Outdated | None:
    if not path.exists() or (found := read_json(path)["spec"]) == spec:
        return None
    if found.get("version") != spec.get("version"):
        return Outdated(str(path), kind, f"version {found.get('version')} of the code, now {spec.get('version')}")
    keys = sorted(key for key in {*found, *spec} if found.get(key) != spec.get(key))
    # A checkpoint's spec holds the stamp of its parent's, and so of everything above it.
    if set(keys) <= {"parent", "average"}:
        return Outdated(str(path), kind, "what it stands on is made anew")
    return Outdated(str(path), kind, f"other settings: {', '.join(keys)}")


def _orphans(folder: Path, wanted: set[Path]) -> Iterator[Orphan]:
    """The topmost folders below `folder` with checkpoints that are not wanted."""
    for path in sorted(path for path in folder.glob("*") if path.is_dir()):
        if path in wanted:
            yield from _orphans(path, wanted)
        elif path.name not in PARTS and (number := _checkpoints(path)):
            yield Orphan(str(path), number, disk_size(path))


def _checkpoints(folder: Path) -> int:
    """Checkpoints at and below a folder, whole ones and such as were left unfinished."""
    number = 0
    for _, folders, files in os.walk(folder):
        number += MANIFEST in files or RESUME in folders
        folders[:] = [name for name in folders if name not in PARTS]
    return number


def disk_size(folder: Path) -> int:
    """Bytes of all files below a folder; one with several names counts once."""
    found = [path.lstat() for path in folder.rglob("*") if path.is_file()]
    return sum({(file.st_dev, file.st_ino): file.st_size for file in found}.values())
