"""The weights in a checkpoint's folder: whether they are there, and removing them.

Owns: what of a checkpoint is dear in disk. Must never know: why weights go, how they are made.
"""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from crosstune.ahead import OPTIMIZER, WEIGHTS, forget_draft

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
