"""A cache of encoded rows, filled once per tokenizer and data, and shared by all schedules, seeds and processes.

The hashes of tokenizer, rows and options identify its folders. Each appears atomically, so that processes can write the
same one at once; its arrays are memory-mapped. Snakemake does not know of it: it is no target.
"""

import os
import secrets
import shutil
from pathlib import Path

import numpy as np

from crosstune.artifacts.split import PreparedSplit
from crosstune.core.files import atomic_open, read_jsonl, sha256_json, write_json
from crosstune.modeling.features import Windows
from crosstune.modeling.tasks import ENCODE_VERSION, Task
from crosstune.modeling.tokenization import Tokenizer


class FeatureCache:
    """Windows by task, rows and options, stored in `folder`; without a folder every call encodes."""

    def __init__(self, folder: Path | str | None, tokenizer: Tokenizer):
        self._folder, self.tokenizer = Path(folder) if folder else None, tokenizer

    def windows(self, task: Task, split: PreparedSplit, options: dict) -> Windows:
        """The windows of a prepared split under a task."""
        if self._folder is None:
            return task.encode(read_jsonl(split.rows), self.tokenizer, options)
        identity = [ENCODE_VERSION, type(task).__name__, task.labels, options, split.sha256, self.tokenizer.sha256]
        folder = self._folder / sha256_json(identity)[:32]
        if not folder.exists():
            windows = task.encode(read_jsonl(split.rows), self.tokenizer, options)
            save_windows(windows, folder, {"rows": str(split.rows), "options": options})
        return load_windows(folder)


def save_windows(windows: Windows, folder: Path, note: dict) -> None:
    """Write a folder of arrays; if another process was faster, its folder stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.parent / f".{secrets.token_hex(8)}"
    draft.mkdir()  # with the user's umask: who shares a cache decides who may read it
    arrays = {"ids": windows.ids, "types": windows.types, "offsets": windows.offsets}
    arrays |= {"sequences": windows.sequences, "rows": windows.rows}
    arrays |= {f"per_window.{name}": array for name, array in windows.per_window.items()}
    arrays |= {f"per_token.{name}": array for name, array in windows.per_token.items()}
    try:
        for name, array in arrays.items():
            with atomic_open(draft / f"{name}.npy") as file:
                np.save(file, array)
        write_json(draft / "windows.json", note)
        os.rename(draft, folder)
    except OSError:
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def load_windows(folder: Path) -> Windows:
    """The windows of a folder, memory-mapped."""
    arrays = {path.name.removesuffix(".npy"): np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}

    def with_prefix(prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

    return Windows(
        *(arrays[name] for name in ("ids", "types", "offsets", "sequences", "rows")),
        with_prefix("per_window."),
        with_prefix("per_token."),
    )
