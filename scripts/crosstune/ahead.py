"""What a process made for jobs that come later, because it had the network at hand.

Owns: where such checkpoints and predictions lie, and when a job takes them over. Must never know: models, tasks.

Starting a process that trains or predicts costs seconds of imports, more than a small stage takes. So a training can
predict at once, and go on with the stages that stand on it. What it makes lies in `<checkpoint>/ahead`, outside the
declared outputs; the job that it is for finds it, and needs no heavy import.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.files import read_json
from crosstune.prepared import rows_by_source

MANIFEST = "stage.json"


@dataclass(frozen=True)
class Node:
    """A checkpoint to make: what it is (`spec`), its folder, the folders of its parents, the manifests of its data.

    `predictions`: what to predict with it at once, each a `spec` and the manifests of its `data`.
    """

    spec: dict
    out: Path
    parents: tuple[Path, ...] = ()
    data: tuple[Path, ...] = ()
    keep_optimizer: bool = False
    predictions: Sequence[dict] = ()
    log: Path | None = None

    @classmethod
    def from_json(cls, value: dict) -> "Node":
        """A node as the workflow writes it for a training that goes on with it."""
        out = Path(value["out"])
        parents, data = (tuple(Path(path) for path in value[key]) for key in ("parents", "data"))
        log = out / "logs" / "train.log"
        return cls(value["spec"], out, parents, data, value["keep_optimizer"], value["predictions"], log)

    @property
    def draft(self) -> Path:
        """Where the checkpoint is made."""
        return self.out / "ahead" / "stage"

    @property
    def ready(self) -> bool:
        """Whether all its data are prepared."""
        return all(path.exists() for path in self.data)

    def is_made(self, parents: Sequence[Path]) -> bool:
        """Whether its draft is whole and of this spec, these parents' weights and these rows."""
        if not (self.draft / MANIFEST).exists():
            return False
        manifest = read_json(self.draft / MANIFEST)
        weights = [read_json(parent / MANIFEST)["weights"] for parent in parents]
        rows = {source: split.sha256 for source, split in rows_by_source(self.data).items()}
        return (manifest["spec"], manifest["parents"], manifest["data"]) == (self.spec, weights, rows)

    def settle(self) -> None:
        """Move the draft into place, its manifest last."""
        for path in sorted(self.draft.iterdir(), key=lambda path: path.name == MANIFEST):
            target = self.out / path.name
            if target.is_dir():
                shutil.rmtree(target)
            path.replace(target)
        remove_empty(self.draft, self.out)


def predictions_ahead(checkpoint: Path, dataset: str) -> Path:
    """Folder of predictions that a training made; their manifest lies beside it."""
    return checkpoint / "ahead" / "predictions" / dataset


def adopt_predictions(checkpoint: Path, spec: dict, weights: str, data: Sequence[Path], out: Path) -> bool:
    """Take over predictions, if there are any of this spec, these weights and these rows."""
    made = predictions_ahead(checkpoint, spec["dataset"])
    if not made.with_suffix(".json").exists():
        return False
    manifest = read_json(made.with_suffix(".json"))
    wanted = {source.rpartition(".")[2]: split.sha256 for source, split in rows_by_source(data).items()}
    found = {language: entry["data"] for language, entry in manifest["languages"].items()}
    if (manifest["spec"], manifest["weights"], found) != (spec, weights, wanted):
        return False
    out.mkdir(parents=True, exist_ok=True)
    for language in wanted:
        (made / f"{language}.jsonl").replace(out / f"{language}.jsonl")
    made.with_suffix(".json").replace(out.with_suffix(".json"))
    remove_empty(made, checkpoint)
    return True


def remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and those above it, below `top`, as far as they are empty."""
    while folder != top and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
