"""The saved state of an unfinished training, in a folder that Snakemake does not know of.

Snakemake deletes the declared outputs of a failed or killed job, so the state has a folder of its own. One file holds
all of it and appears atomically: whenever a job is killed, the folder has a complete state or none.
"""

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from crosstune.core.errors import UserError
from crosstune.core.files import atomic_open, write_json
from crosstune.machine.cost_meter import Meter

STATE = "state.safetensors"

# Saving the state of a large model takes seconds: training takes at least this many times as long.
TRAINING_PER_SAVING = 30


class ResumeFolder:
    """The folder of a training's state; `stamp` identifies the training (the hash of its spec, data and parent).

    The state includes the cost so far from `meter`, and loading it lets the meter continue from there.
    """

    def __init__(self, folder: Path | str, stamp: str, meter: Meter | None = None):
        self._folder, self._stamp, self._meter = Path(folder), stamp, meter
        self._folder.mkdir(parents=True, exist_ok=True)

    def load(self) -> tuple[dict[str, torch.Tensor], dict] | None:
        """The tensors and the notes of the last save; None if there was none.

        Raises UserError if the state belongs to another spec, data or parent, or cannot be read.
        """
        path = self._folder / STATE
        if not path.exists():
            return None
        fix = f"If you do not need it any more: rm -r {self._folder}"
        try:
            with safe_open(path, "pt") as file:
                notes = json.loads(file.metadata()["notes"])
                stamp = file.metadata()["stamp"]
                spent = json.loads(file.metadata().get("spent", "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError, TypeError, ValueError):
            raise UserError("the saved state cannot be read", str(path), fix) from None
        if stamp != self._stamp:
            raise UserError("the saved state belongs to another spec, model, data or precision", str(path), fix)
        if self._meter:
            self._meter.resume(spent)
        return tensors, notes

    def save(self, tensors: Mapping[str, torch.Tensor], notes: dict) -> None:
        """Replace the state."""
        metadata = {"stamp": self._stamp, "notes": json.dumps(notes)}
        if self._meter:
            metadata["spent"] = json.dumps(self._meter.elapsed())
        with atomic_open(self._folder / STATE) as file:
            file.write(save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata))

    def record_divergence(self, updates: int, loss: float) -> None:
        """Record that the loss became infinite or no number after some updates; tables count such trainings."""
        write_json(self._folder / "diverged.json", {"updates": updates, "loss": str(loss)})

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self._folder)


class SaveTimer:
    """The times of saving a state: at least `interval` seconds apart, more if saving is slow."""

    def __init__(self, interval: float):
        self._interval, self._saved_at, self._seconds = interval, time.monotonic(), 0.0

    def is_due(self) -> bool:
        """Whether to save now."""
        return time.monotonic() - self._saved_at > max(self._interval, TRAINING_PER_SAVING * self._seconds)

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Open while a state is saved."""
        begin = time.monotonic()
        yield
        self._saved_at = time.monotonic()
        self._seconds = self._saved_at - begin
