"""Encoded rows, made once per tokenizer and data and shared by all schedules, seeds and processes.

Owns: the folder of encoded windows and their identity. Must never know: what a task does with them.

A cache, not a target: which windows there are follows from the tokenizer's, the rows' and the options' hashes. A folder
appears whole or not at all, so that processes can make the same one at once; its arrays are memory-mapped.
"""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from crosstune.artifacts.split import PreparedSplit
from crosstune.core.files import atomic_open, read_jsonl, sha256_json, write_json
from crosstune.modeling.features import Windows
from crosstune.modeling.tasks import ENCODE_VERSION, Task
from crosstune.modeling.tokenization import TextEncoder


class EncodedData:
    """Windows by task, rows and options, kept in `folder`; no folder: encoded each time."""

    def __init__(self, folder: Path | str | None, encoder: TextEncoder):
        self._folder, self.encoder = Path(folder) if folder else None, encoder

    def windows(self, task: Task, split: PreparedSplit, options: dict) -> Windows:
        """The windows of a prepared split under a task."""
        if self._folder is None:
            return task.encode(read_jsonl(split.rows), self.encoder, options)
        identity = [ENCODE_VERSION, type(task).__name__, task.labels, options, split.sha256, self.encoder.sha256]
        place = self._folder / sha256_json(identity)[:32]
        if not place.exists():
            windows = task.encode(read_jsonl(split.rows), self.encoder, options)
            save_windows(windows, place, {"rows": str(split.rows), "options": options})
        return load_windows(place)


def save_windows(windows: Windows, place: Path, note: dict) -> None:
    """Write a folder of arrays; where another process was faster, its folder stays."""
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".", dir=place.parent))
    arrays = {"ids": windows.ids, "types": windows.types, "offsets": windows.offsets}
    arrays |= {"sequences": windows.sequences, "rows": windows.rows}
    arrays |= {f"per_window.{name}": array for name, array in windows.per_window.items()}
    arrays |= {f"per_token.{name}": array for name, array in windows.per_token.items()}
    try:
        for name, array in arrays.items():
            with atomic_open(draft / f"{name}.npy") as file:
                np.save(file, array)
        write_json(draft / "windows.json", note)
        draft.chmod(0o755)
        os.rename(draft, place)
    except OSError:
        if not place.exists():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def load_windows(place: Path) -> Windows:
    """The windows of a folder, memory-mapped."""
    arrays = {path.name.removesuffix(".npy"): np.load(path, mmap_mode="r") for path in sorted(place.glob("*.npy"))}

    def part(prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

    return Windows(
        *(arrays[name] for name in ("ids", "types", "offsets", "sequences", "rows")),
        part("per_window."),
        part("per_token."),
    )
