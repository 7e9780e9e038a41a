"""What a process made for jobs that come later, because it had the network at hand.

Owns: where such checkpoints and predictions lie, and when a job takes them over. Must never know: models, tasks.

Starting a process that trains or predicts costs seconds of imports, more than a small stage takes. So a training can
predict at once, and go on with the stages that stand on it. What it makes lies in `<checkpoint>/ahead`, outside the
declared outputs; the job that it is for finds it, and needs no heavy import.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from crosstune.artifacts.split import rows_by_source
from crosstune.core import locks
from crosstune.core.files import read_json, remove_unfinished, write_text

MANIFEST, OPTIMIZER, WEIGHTS = "stage.json", "optimizer.safetensors", "model/model.safetensors"

PARTS = (MANIFEST, WEIGHTS, "train.jsonl")

DRAFT_LOG = "train.log"

# Processes that may be killed while they make a checkpoint ahead.
MOST_LOST = 3


@dataclass(frozen=True)
class Node:
    """A checkpoint to make: what it is (`spec`), its folder, the folders of its parents, the manifests of its data.

    `held_out`: manifests of rows that it is scored on while it is trained. `predictions`: what to predict with it at
    once, each a `spec` and the manifests of its `data`.
    """

    spec: dict
    out: Path
    parents: tuple[Path, ...] = ()
    data: tuple[Path, ...] = ()
    keep_optimizer: bool = False
    predictions: Sequence[dict] = ()
    log: Path | None = None
    held_out: tuple[Path, ...] = ()

    @classmethod
    def from_json(cls, value: dict) -> "Node":
        """A node as the workflow writes it for a training that goes on with it."""
        parents, data, held_out = (tuple(map(Path, value[key])) for key in ("parents", "data", "held_out"))
        plain = {key: value[key] for key in ("spec", "keep_optimizer", "predictions")}
        return cls(out=Path(value["out"]), parents=parents, data=data, held_out=held_out, **plain)

    @property
    def unpredicted(self) -> list[dict]:
        """Predictions that are wanted of it, whose rows are prepared, and that its whole draft has not."""
        weights = read_json(self.draft / MANIFEST)["weights"]
        found = []
        for wanted in self.predictions:
            data = list(map(Path, wanted["data"]))
            if all(path.exists() for path in data) and not made_ahead(self.out, wanted["spec"], weights, data):
                found.append(wanted)
        return found

    @property
    def draft(self) -> Path:
        """Where the checkpoint is made."""
        return self.out / "ahead" / "stage"

    @property
    def failure(self) -> Path:
        """Where a process that was to make the checkpoint ahead says why it has not."""
        return self.out / "ahead" / "failure"

    @property
    def lost(self) -> int:
        """How many processes that were making the checkpoint ahead one after the other did not live to say anything."""
        return int(self._begun.read_text(encoding="utf-8")) if self._begun.exists() else 0

    @property
    def given_up(self) -> bool:
        """Whether making it ahead has cost too many processes their life; then it is left to a job of its own."""
        return self.lost >= MOST_LOST

    @property
    def _begun(self) -> Path:
        return self.out / "ahead" / "begun"

    @contextmanager
    def ahead_of_its_job(self) -> Iterator[None]:
        """In the block a process, the only one, makes the checkpoint for a later job. Held where another one does."""
        with self.alone():
            self.failure.unlink(missing_ok=True)
            write_text(self._begun, str(self.lost + 1))
            try:
                yield
            finally:
                self._begun.unlink(missing_ok=True)

    @property
    def progress_log(self) -> Path:
        """The job's log; for a stage that has no job yet a file of the draft, since a job begins with an empty log."""
        return self.log or self.draft / DRAFT_LOG

    @contextmanager
    def alone(self, wait: bool = False) -> Iterator[None]:
        """The block is of the only process that makes the checkpoint. Where another does, it is waited for, or told."""
        try:
            with locks.alone(self.out / "ahead" / "lock", wait):
                yield
        finally:
            remove_empty(self.draft.parent, self.out)

    def missing(self, parents: Sequence[Path]) -> Path | None:
        """The first file that it needs and that is not there."""
        needed = [*self.data, *self.held_out, *(parent / MANIFEST for parent in parents)]
        return next((path for path in needed if not path.exists()), None)

    def is_made(self, parents: Sequence[Path]) -> bool:
        """Whether its draft is whole and of this spec, these parents' weights and these rows."""
        parts = [*PARTS, *([OPTIMIZER] if self.keep_optimizer else [])]
        if self.missing(parents) or not all((self.draft / part).exists() for part in parts):
            return False
        return self._is_of(self.draft, parents)

    def is_finished(self, parents: Sequence[Path]) -> bool:
        """Whether it is in place already, of this spec, these parents' weights and these rows; with weights or not."""
        return (self.out / MANIFEST).exists() and not self.missing(parents) and self._is_of(self.out, parents)

    def _is_of(self, folder: Path, parents: Sequence[Path]) -> bool:
        manifest = read_json(folder / MANIFEST)
        weights = [read_json(parent / MANIFEST)["weights"] for parent in parents]
        found = [manifest[key] for key in ("spec", "parents", "data")] + [manifest.get("held_out", {})]
        return found == [self.spec, weights, hashes_of(self.data), hashes_of(self.held_out)]

    def is_followed_by_unmade(self, later: Sequence["Node"]) -> bool:
        """Whether one of `later`, which stands on this one's whole draft, is still to be made by this one's process.

        Not where another is making it, where it has failed, or where it has cost too many processes their life: this
        one must not wait for it for ever.
        """
        made = {self.out: self.draft}
        for follower in later:
            if not made.keys() >= set(follower.parents):
                continue
            parents = [made[parent] for parent in follower.parents]
            if follower.is_made(parents) and not follower.unpredicted:
                made[follower.out] = follower.draft
            elif follower.is_finished(parents):
                made |= {follower.out: follower.out} if (follower.out / WEIGHTS).exists() else {}
            elif not (follower.missing(parents) or follower.failure.exists() or follower.given_up):
                with suppress(locks.Held), follower.alone():
                    return True
        return False

    def settle(self, keep: bool = False) -> None:
        """Put the draft into place, with what it told of its progress, and remove it and the state of its training.

        `keep`: the draft stays until forget_draft, for a job that is begun a second time and whose outputs are deleted.
        """
        noted = self.draft / DRAFT_LOG
        if self.log and noted.exists():
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("a", encoding="utf-8") as log:
                log.write(noted.read_text(encoding="utf-8"))
            noted.unlink()
        shutil.rmtree(self.out / "model", ignore_errors=True)
        link_files(self.draft, self.out)
        if not keep:
            shutil.rmtree(self.draft)
        shutil.rmtree(self.out / "state", ignore_errors=True)
        self.failure.unlink(missing_ok=True)
        self._begun.unlink(missing_ok=True)
        remove_empty(self.draft.parent, self.out)


def forget_draft(checkpoint: Path) -> None:
    """Remove what `settle` has kept."""
    if (checkpoint / MANIFEST).exists():
        shutil.rmtree(checkpoint / "ahead" / "stage", ignore_errors=True)
        remove_empty(checkpoint / "ahead", checkpoint)


def hashes_of(manifests: Sequence[Path]) -> dict[str, str]:
    """The hashes of prepared rows, by source; those held out also say of which split."""
    found = {}
    for path in manifests:
        manifest = read_json(path)
        split = "" if manifest["split"] == "train" else f"{manifest['split']}/"
        found[f"{split}{manifest['dataset']}.{manifest['lang']}"] = manifest["sha256"]
    return found


def predictions_ahead(checkpoint: Path, dataset: str) -> Path:
    """Folder of predictions that a training made; their manifest lies beside it."""
    return checkpoint / "ahead" / "predictions" / dataset


def made_ahead(checkpoint: Path, spec: dict, weights: str, data: Sequence[Path]) -> bool:
    """Whether a training made predictions of this spec, these weights and these rows."""
    made = predictions_ahead(checkpoint, spec["dataset"])
    if not made.with_suffix(".json").exists():
        return False
    manifest = read_json(made.with_suffix(".json"))
    wanted = {source.rpartition(".")[2]: split.sha256 for source, split in rows_by_source(data).items()}
    found = {language: entry["data"] for language, entry in manifest["languages"].items()}
    if (manifest["spec"], manifest["weights"], found) != (spec, weights, wanted):
        return False
    return all((made / f"{language}.jsonl").exists() for language in wanted)


def adopt_predictions(checkpoint: Path, spec: dict, weights: str, data: Sequence[Path], out: Path) -> bool:
    """Take over predictions, if there are any of this spec, these weights and these rows."""
    if not made_ahead(checkpoint, spec, weights, data):
        return False
    made = predictions_ahead(checkpoint, spec["dataset"])
    put(made.with_suffix(".json"), out.with_suffix(".json"))
    take_over(made, out)
    made.with_suffix(".json").unlink()
    remove_unfinished(made.with_suffix(".json"))
    remove_empty(made.parent, checkpoint)
    return True


def take_over(folder: Path, target: Path) -> None:
    """Let `target` have the files of `folder`, then remove `folder`.

    Not moved: a job that is killed on the way loses its outputs, and must find the folder whole when it begins again.
    """
    link_files(folder, target)
    shutil.rmtree(folder)


def link_files(folder: Path, target: Path) -> None:
    """Let `target` have the files of `folder`, without what a killed process has left of writing one."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".tmp"):
        put(path, target / path.relative_to(folder))


def put(path: Path, target: Path) -> None:
    """A second name for a file; a copy where the file system has no such thing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and those above it, below `top`, as far as they are empty."""
    while folder != top:
        try:
            folder.rmdir()
        except OSError:  # not empty, or another job was faster
            return
        folder = folder.parent


MODEL = "model"


def has_weights(checkpoint: Path | str) -> bool:
    return Path(checkpoint, WEIGHTS).exists()


def remove_weights(checkpoint: Path | str) -> None:
    """Remove the model and the optimizer's state. Killed on the way it leaves no model that looks whole."""
    for part in (WEIGHTS, OPTIMIZER):
        Path(checkpoint, part).unlink(missing_ok=True)
    shutil.rmtree(Path(checkpoint, MODEL), ignore_errors=True)


def tidy(checkpoints: Iterable[dict]) -> list[str]:
    """Remove the weights of each checkpoint (`path`) for which no file (`until`) is waited any more; their paths."""
    done = [entry["path"] for entry in checkpoints if _all_exist(entry["until"])]
    for path in done:
        forget_draft(Path(path))
        remove_weights(path)
    return done


def _all_exist(files: Sequence[str]) -> bool:
    return all(Path(file).exists() for file in files)
