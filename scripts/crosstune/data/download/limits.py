"""What a download may take: its size is printed before it starts, the disk has room, and no server sends more."""

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from crosstune.core.errors import UserError, show

ANNOUNCED_BYTES = 100_000_000  # downloads of this size or more announce size and licence

LARGEST_UNSTATED = 10_000_000_000  # bytes from a server that does not state a file's size

PROGRESS_INTERVAL = 30  # seconds between two lines of progress

FETCH_ALL = "HF_HUB_OFFLINE=0 snakemake --cores 1 downloads"

LOOK_AT_SOURCE = "Look at the source's revision, address and hashes in its record; or another file is served there."


def announce(name: str, size: int, licence: Callable[[], str], folder: Path) -> None:
    """Print size and licence of a large download. Raises UserError if the disk has too little space for it.

    `licence` gives the text to print; it is called for a large download only.
    """
    if size >= ANNOUNCED_BYTES:
        show(f"downloading {name}: {human_size(size)}, licence: {licence()}", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < size:
        message = f"the disk has {human_size(free)} free, and the download needs {human_size(size)}"
        raise UserError(message, str(folder), "Free some space and run the same command again.")


def human_size(size: float) -> str:
    """A number of bytes with its unit: `1.3 GB`."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


class DownloadMeter:
    """Counts the bytes of a download of `expected` bytes, prints its progress, and ends one that is larger."""

    def __init__(self, name: str, expected: int):
        self.name, self.expected, self.received = name, expected, 0
        self._printed = time.monotonic()

    def add(self, count: int) -> None:
        """Count bytes; a negative number takes back those of a broken attempt. Raises UserError at too many."""
        if count > 0 and self.received + count > self.expected:
            message = f"the server sends more than the {self.expected} bytes of the file"
            raise UserError(message, self.name, LOOK_AT_SOURCE)
        self.received += count
        if time.monotonic() - self._printed > PROGRESS_INTERVAL:
            self._printed = time.monotonic()
            show(f"{self.name}: {human_size(self.received)} of {human_size(self.expected)}", file=sys.stderr)


class MeteredFile:
    """An open file that tells a meter of the bytes before it writes them."""

    def __init__(self, file: BinaryIO, meter: DownloadMeter):
        self._file, self._meter = file, meter

    def write(self, content: bytes) -> None:
        """Count and write some bytes. Raises UserError at too many."""
        self._meter.add(len(content))
        self._file.write(content)

    def flush(self) -> None:
        """Nothing: the file's end writes what is left."""
