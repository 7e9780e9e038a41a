"""SHA-256 of large files that seldom change, remembered between processes."""

import os
import time
from contextlib import suppress
from pathlib import Path

from crosstune.core.files import read_json_or_empty, sha256_file, write_json

# A file that changed less than this before it is read may change again without another time on its label.
MIN_AGE_SECONDS = 2.0


class HashCache:
    """Hashes of files by path. A file is read again if its size, times, inode or device are others.

    `file`: the JSON file that remembers them; one that is damaged or cannot be written costs time alone.
    """

    def __init__(self, file: Path):
        self._file = file

    def sha256(self, *paths: Path) -> list[str]:
        """The hashes of some files."""
        known = self._known()
        found, news = [], {}
        for path in paths:
            label, name = _label(path), os.path.abspath(path)
            entry = known.get(name)
            if isinstance(entry, dict) and entry.get("label") == label:
                found.append(entry["sha256"])
                continue
            began = time.time()
            found.append(sha256_file(path))
            if label == _label(path) and began - path.stat().st_mtime > MIN_AGE_SECONDS:
                news[name] = {"label": label, "sha256": found[-1]}
        if news:
            with suppress(OSError):
                write_json(self._file, self._known() | news)
        return found

    def _known(self) -> dict:
        with suppress(OSError, ValueError):
            known = read_json_or_empty(self._file)
            return known if isinstance(known, dict) else {}
        return {}


def _label(path: Path) -> list[int]:
    """What changes if a file is written, moved or replaced."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]
