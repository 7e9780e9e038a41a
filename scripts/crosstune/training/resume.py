"""The state of an unfinished training, in a folder that the workflow does not declare.

Owns: saving, loading and refusing state. Must never know: what is trained.

Snakemake deletes the declared outputs of a failed or killed job, so the state lies beside them. One file holds all of
it and appears atomically: whenever a job is killed, the folder holds a whole state or none.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from crosstune.core.errors import UserError
from crosstune.core.files import atomic_open, write_json
from crosstune.machine.cost_meter import Meter

STATE = "state.safetensors"


class StateFolder:
    """`<stage>/resume`, stamped with what identifies the training (the hash of its spec, data and parent).

    With the state goes what the training has taken so far, as `meter` has it: an attempt goes on counting from there.
    """

    def __init__(self, folder: Path | str, stamp: str, meter: Meter | None = None):
        self._folder, self._stamp, self._meter = Path(folder), stamp, meter
        self._folder.mkdir(parents=True, exist_ok=True)

    def load(self) -> tuple[dict[str, torch.Tensor], dict] | None:
        """The tensors and the notes that were saved last; None where nothing was.

        Raises UserError where the state was left by another spec, data or parent, or cannot be read.
        """
        path = self._folder / STATE
        if not path.exists():
            return None
        fix = f"If it is not wanted any more: rm -r {self._folder}"
        try:
            with safe_open(path, "pt") as file:
                notes = json.loads(file.metadata()["notes"])
                found = file.metadata()["stamp"]
                spent = json.loads(file.metadata().get("spent", "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError, TypeError, ValueError):
            raise UserError("the saved state cannot be read", str(path), fix) from None
        if found != self._stamp:
            raise UserError("the saved state belongs to another spec, model, data or precision", str(path), fix)
        if self._meter:
            self._meter.resume(spent)
        return tensors, notes

    def save(self, tensors: Mapping[str, torch.Tensor], notes: dict) -> None:
        metadata = {"stamp": self._stamp, "notes": json.dumps(notes)}
        if self._meter:
            metadata["spent"] = json.dumps(self._meter.spent())
        with atomic_open(self._folder / STATE) as file:
            file.write(save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata))

    def note_divergence(self, updates: int, loss: float) -> None:
        """Leave a note that the loss was no number any more after so many updates, for the tables to count."""
        write_json(self._folder / "diverged.json", {"updates": updates, "loss": str(loss)})

    def remove(self) -> None:
        shutil.rmtree(self._folder)
