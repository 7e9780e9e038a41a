"""Limits on what a small file may unpack to: a bomb would fill the memory of a machine that others use too."""

from typing import BinaryIO

from crosstune.core.errors import UserError

# Text of a published data set is compressed some five to twenty times, and tables of numbers a hundred times.
LARGEST_RATIO = 200

# Below this size, in bytes, nothing is a bomb.
HARMLESS_BYTES = 100_000_000


def largest_size(packed: int) -> int:
    """The most bytes that a file of `packed` bytes may unpack to."""
    return max(HARMLESS_BYTES, LARGEST_RATIO * packed)


def check_size(packed: int, unpacked: int, where: str) -> None:
    """Raise UserError if a file of `packed` bytes unpacks to more than any honest file."""
    if unpacked > largest_size(packed):
        message = f"{packed:,} bytes unpack to {unpacked:,} or more, which no data file does"
        raise UserError(message, where, "Do not trust it.")


class BoundedStream:
    """A file that is unpacked while it is read. It raises UserError where it is longer than any honest file."""

    def __init__(self, file: BinaryIO, packed: int, where: str):
        self._file, self._packed, self._where = file, packed, where

    def read(self, size: int = -1) -> bytes:
        most = largest_size(self._packed) + 1 - self._file.tell()
        content = self._file.read(most if size < 0 else min(size, most))
        check_size(self._packed, self._file.tell(), self._where)
        return content

    def seek(self, place: int) -> int:
        check_size(self._packed, place, self._where)
        return self._file.seek(place)

    def tell(self) -> int:
        return self._file.tell()
