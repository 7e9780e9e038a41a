"""A cache of encoded rows, filled once per tokenizer and data, and shared by all schedules, seeds and processes.

The hashes of tokenizer, rows and options identify its entries. Each is one file (of safetensors) that appears
atomically: processes can write the same one at once, and a cleaner of old files removes all of an entry or nothing.
Processes map it into memory. Snakemake does not know of it: it is no target.
"""

import json
from pathlib import Path

import numpy as np

from crosstune.artifacts.split import PreparedSplit
from crosstune.core.files import atomic_open, canonical_json, read_jsonl, sha256_json
from crosstune.modeling.features import Windows
from crosstune.modeling.tasks import ENCODE_VERSION, Task
from crosstune.modeling.tokenization import Tokenizer

FIELDS = ("ids", "types", "offsets", "sequences", "rows")
GROUPS = ("per_window", "per_token")

# What comes before the header of a file of safetensors: its length, as 64-bit little-endian number.
LENGTH_BYTES = 8
# The names of numpy's types by the first letter of safetensors' names, as in I32.
KINDS = {"I": "int", "U": "uint", "F": "float"}


class FeatureCache:
    """Windows by task, rows and options, stored in `folder`; without a folder every call encodes."""

    def __init__(self, folder: Path | str | None, tokenizer: Tokenizer):
        self._folder, self.tokenizer = Path(folder) if folder else None, tokenizer

    def windows(self, task: Task, split: PreparedSplit, options: dict) -> Windows:
        """The windows of a prepared split under a task."""
        if self._folder is None:
            return task.encode(read_jsonl(split.rows), self.tokenizer, options)
        identity = [ENCODE_VERSION, type(task).__name__, task.labels, options, split.sha256, self.tokenizer.sha256]
        file = self._folder / f"{sha256_json(identity)[:32]}.safetensors"
        if not file.exists():
            windows = task.encode(read_jsonl(split.rows), self.tokenizer, options)
            save_windows(windows, file, {"rows": str(split.rows), "options": options})
        return load_windows(file)


def save_windows(windows: Windows, file: Path, note: dict) -> None:
    """Write a file of arrays, with the user's umask: who shares a cache decides who may read it."""
    from safetensors.numpy import save

    arrays = {name: getattr(windows, name) for name in FIELDS}
    arrays |= {f"{group}.{name}": array for group in GROUPS for name, array in getattr(windows, group).items()}
    with atomic_open(file) as opened:
        opened.write(save(arrays, {"note": canonical_json(note)}))


def load_windows(file: Path) -> Windows:
    """The windows of a file, memory-mapped: safetensors' own reader would copy them into every process."""
    content = np.memmap(file, np.uint8, "r")
    length = int(content[:LENGTH_BYTES].view("<u8")[0])
    data = content[LENGTH_BYTES + length :]
    arrays = {}
    for name, entry in json.loads(content[LENGTH_BYTES:][:length].tobytes()).items():
        if name != "__metadata__":
            kind = np.dtype(KINDS[entry["dtype"][0]] + entry["dtype"][1:])
            arrays[name] = data[slice(*entry["data_offsets"])].view(kind).reshape(entry["shape"])

    def grouped(group: str) -> dict[str, np.ndarray]:
        named = ((name.partition("."), array) for name, array in arrays.items())
        return {name: array for (first, _, name), array in named if first == group}

    return Windows(*(arrays[name] for name in FIELDS), *map(grouped, GROUPS))
