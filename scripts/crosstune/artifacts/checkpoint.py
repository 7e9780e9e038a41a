"""The files of one checkpoint, its lock, and the staging folder in which a job makes it.

A job makes a checkpoint, and the predictions that it adds, in `<checkpoint>/.staging`, outside the outputs that the
workflow declares: a killed job loses its declared outputs, but never what it has staged. Installing then links the
staged files into place.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crosstune.artifacts.choice import chosen_values, resolve_recipe
from crosstune.artifacts.split import prepared_splits
from crosstune.core import locks
from crosstune.core.files import read_json, remove_unfinished

MANIFEST, OPTIMIZER, MODEL, CURVE = "stage.json", "optimizer.safetensors", "model", "train.jsonl"
# A stage has one of them.
WEIGHTS, ADAPTER = f"{MODEL}/model.safetensors", f"{MODEL}/adapter_model.safetensors"
# What a job reads besides.
READ_WITH = {
    WEIGHTS: (f"{MODEL}/config.json", f"{MODEL}/tokenizer.json"),
    ADAPTER: (f"{MODEL}/config.json", f"{MODEL}/adapter_config.json"),
}
STAGING, RESUME = ".staging", "resume"
# A model's card for the hub, among the files of the model.
CARD = "README.md"


@dataclass(frozen=True)
class CheckpointJob:
    """A checkpoint to make: its `spec`, its folder, the folders of its parents, the manifests of its data.

    `held_out`: manifests of rows that the training is evaluated on. `predictions`: data sets to predict after the
    training, each as a `spec` and the manifests of its `data`. `choice`: the file with the values of a sweep.
    `candidates`: folders of the same stage with each of the values, in the order of the choice.
    """

    spec: dict
    out: Path
    parents: tuple[Path, ...] = ()
    data: tuple[Path, ...] = ()
    keep_optimizer: bool = False
    predictions: Sequence[dict] = ()
    log: Path | None = None
    held_out: tuple[Path, ...] = ()
    choice: Path | None = None
    candidates: tuple[Path, ...] = ()

    @classmethod
    def from_json(cls, value: dict) -> "CheckpointJob":
        """A job as the workflow describes a checkpoint to retrain."""
        parents, data, held_out = (tuple(map(Path, value[key])) for key in ("parents", "data", "held_out"))
        plain = {key: value[key] for key in ("spec", "keep_optimizer")}
        choice = Path(value["choice"]) if "choice" in value else None
        return cls(out=Path(value["out"]), parents=parents, data=data, held_out=held_out, choice=choice, **plain)

    @property
    def chosen(self) -> dict:
        """The values of a sweep that are chosen for it, by key."""
        return chosen_values(self.choice)

    @property
    def settings(self) -> dict:
        """The spec with the chosen values in its recipe."""
        return self.spec | {"recipe": resolve_recipe(self.spec["recipe"], self.chosen)} if self.choice else self.spec

    @property
    def staging_dir(self) -> Path:
        """The folder in which the job makes the checkpoint."""
        return self.out / STAGING / "checkpoint"

    @property
    def resume_dir(self) -> Path:
        """The folder of the state from which an interrupted training resumes."""
        return self.out / RESUME

    @property
    def missing_predictions(self) -> list[dict]:
        """Requested predictions that are not staged yet for the staged weights, if their rows are prepared."""
        weights = read_json(self.staging_dir / MANIFEST)["weights"]
        missing = []
        for request in self.predictions:
            data = list(map(Path, request["data"]))
            prepared = all(path.exists() for path in data)
            if prepared and not predictions_are_current(self.out, request["spec"], weights, data):
                missing.append(request)
        return missing

    @contextmanager
    def locked(self, wait: bool = False) -> Iterator[None]:
        """Hold the checkpoint's lock: one process makes it. With `wait` another holder is waited for, else LockHeld."""
        try:
            with locks.file_lock(self.out / STAGING / "lock", wait):
                yield
        finally:
            remove_empty(self.staging_dir.parent, self.out)

    def missing_input(self) -> Path | None:
        """The first input file that does not exist."""
        needed = [*self.data, *self.held_out, *(parent / MANIFEST for parent in self.parents)]
        needed += [self.choice] if self.choice else []
        return next((path for path in needed if not path.exists()), None)

    def is_staged(self) -> bool:
        """Whether the staged checkpoint is complete, and of this spec, these parents' weights and these rows."""
        if self.missing_input() or not self._is_complete(self.staging_dir):
            return False
        manifest = read_json(self.staging_dir / MANIFEST)
        parents = [read_json(parent / MANIFEST)["weights"] for parent in self.parents]
        found = [manifest[key] for key in ("spec", "parents", "data")]
        found += [manifest.get("held_out", {}), manifest.get("chosen", {})]
        return found == [self.spec, parents, data_hashes(self.data), data_hashes(self.held_out), self.chosen]

    def _is_complete(self, folder: Path) -> bool:
        """Whether a folder has all parts of this checkpoint: the whole model, or its adapter."""
        parts = [MANIFEST, CURVE, *([OPTIMIZER] if self.keep_optimizer else [])]
        return has_weights(folder) and all((folder / part).exists() for part in parts)

    def chosen_candidate(self) -> Path | None:
        """The finished candidate that this checkpoint would be trained as once more; None if there is no such."""
        if not self.candidates:
            return None
        candidate = self.candidates[read_json(self.choice)["number"]]
        if not self._is_complete(candidate):
            return None
        manifest = read_json(candidate / MANIFEST)
        parents = [read_json(parent / MANIFEST)["weights"] for parent in self.parents]
        found = [manifest[key] for key in ("parents", "data")] + [manifest["spec"]["recipe"]]
        wanted = [parents, data_hashes(self.data), self.settings["recipe"]]
        return candidate if found == wanted else None

    def install(self, keep_staged: bool = False) -> None:
        """Link the staged checkpoint into place; remove the staged files and the state to resume from.

        `keep_staged`: the staged files stay until `remove_staged`. A cluster may start a job twice, and the outputs of
        the first are then deleted.
        """
        shutil.rmtree(self.out / MODEL, ignore_errors=True)
        link_tree(self.staging_dir, self.out)
        if not keep_staged:
            shutil.rmtree(self.staging_dir)
        shutil.rmtree(self.resume_dir, ignore_errors=True)
        remove_empty(self.staging_dir.parent, self.out)


def remove_staged(checkpoint: Path) -> None:
    """Remove the staged copy of an installed checkpoint."""
    if (checkpoint / MANIFEST).exists():
        shutil.rmtree(checkpoint / STAGING / "checkpoint", ignore_errors=True)
        remove_empty(checkpoint / STAGING, checkpoint)


def data_hashes(manifests: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of prepared rows by their name."""
    return {_name(manifest): manifest["sha256"] for manifest in map(read_json, manifests)}


def content_keys(manifests: Sequence[Path]) -> dict[str, str]:
    """Content keys of prepared rows by their name."""
    return {_name(manifest): manifest.get("content_key", "") for manifest in map(read_json, manifests)}


def rows_name(dataset: str, split: str, language: str) -> str:
    """The name of prepared rows in a checkpoint's manifest: their source; held-out rows also name their split."""
    return f"{'' if split == 'train' else f'{split}/'}{dataset}.{language}"


def _name(manifest: Mapping) -> str:
    return rows_name(manifest["dataset"], manifest["split"], manifest["lang"])


# --- weights ---------------------------------------------------------------------------------------------------------


def has_weights(checkpoint: Path | str) -> bool:
    """Whether a checkpoint folder holds its weights."""
    return Path(checkpoint, WEIGHTS).exists() or Path(checkpoint, ADAPTER).exists()


def lost_files(checkpoint: Path | str) -> list[str]:
    """Files that a job reads with a checkpoint's weights and that are gone: file systems remove single old files."""
    present = [part for part in READ_WITH if Path(checkpoint, part).exists()]
    return [name for part in present for name in READ_WITH[part] if not Path(checkpoint, name).exists()]


def is_loadable(checkpoint: Path | str) -> bool:
    """Whether a checkpoint folder holds its weights and all that a job reads with them."""
    return has_weights(checkpoint) and not lost_files(checkpoint)


def remove_weights(checkpoint: Path) -> None:
    """Remove the model and the optimizer's state. A kill halfway leaves no model that looks complete."""
    remove_staged(checkpoint)
    for part in (WEIGHTS, ADAPTER, OPTIMIZER):
        (checkpoint / part).unlink(missing_ok=True)
    shutil.rmtree(checkpoint / MODEL, ignore_errors=True)


# --- staged predictions ----------------------------------------------------------------------------------------------


def staged_predictions_dir(checkpoint: Path, dataset: str) -> Path:
    """Folder of the predictions that a training job staged; their manifest has the same name with .json."""
    return checkpoint / STAGING / "predictions" / dataset


def predictions_are_current(checkpoint: Path, spec: dict, weights: str, data: Sequence[Path]) -> bool:
    """Whether staged predictions are complete, and of this spec, these weights and these rows."""
    return not why_not_staged(checkpoint, spec, weights, data)


def why_not_staged(checkpoint: Path, spec: dict, weights: str, data: Sequence[Path]) -> str:
    """Why there are no current staged predictions; empty if there are."""
    staged = staged_predictions_dir(checkpoint, spec["dataset"])
    if not staged.with_suffix(".json").exists():
        end = (checkpoint / MANIFEST).stat().st_mtime if (checkpoint / MANIFEST).exists() else 0
        late = [str(path) for path in data if path.stat().st_mtime > end]
        cause = f"when it ended, {', '.join(late)} did not exist" if late else "nobody asked it for them"
        return f"the training staged no predictions of {spec['dataset']}: {cause}"
    manifest = read_json(staged.with_suffix(".json"))
    rows = {source.rpartition(".")[2]: split.sha256 for source, split in prepared_splits(data).items()}
    predicted = {language: entry["data"] for language, entry in manifest["languages"].items()}
    wanted = {"other settings": spec, "other weights": weights, "other rows": rows}
    found = (manifest["spec"], manifest["weights"], predicted)
    if other := [name for (name, value), made in zip(wanted.items(), found, strict=True) if value != made]:
        return f"the staged predictions of {spec['dataset']} are of {' and '.join(other)}"
    lost = [f"{language}.jsonl" for language in rows if not (staged / f"{language}.jsonl").exists()]
    return f"{staged} lacks {', '.join(lost)}" if lost else ""


def install_predictions(checkpoint: Path, spec: dict, weights: str, data: Sequence[Path], out: Path) -> bool:
    """Move current staged predictions to `out`; False if there are none."""
    if not predictions_are_current(checkpoint, spec, weights, data):
        return False
    staged = staged_predictions_dir(checkpoint, spec["dataset"])
    link_or_copy(staged.with_suffix(".json"), out.with_suffix(".json"))
    # Linked first and removed after: a job that is killed in between finds the staged files when it starts again.
    link_tree(staged, out)
    shutil.rmtree(staged)
    staged.with_suffix(".json").unlink()
    remove_unfinished(staged.with_suffix(".json"))
    remove_empty(staged.parent, checkpoint)
    return True


# --- files -----------------------------------------------------------------------------------------------------------


def link_tree(folder: Path, target: Path) -> None:
    """Link all files of `folder` below `target`, without temporary files of a killed writer."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".tmp"):
        link_or_copy(path, target / path.relative_to(folder))


def link_or_copy(path: Path, target: Path) -> None:
    """A hard link to a file, or a copy if the file system has no hard links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and its ancestors below `top` as long as they are empty."""
    while folder != top:
        try:
            folder.rmdir()
        except OSError:  # not empty, or another job was faster
            return
        folder = folder.parent
