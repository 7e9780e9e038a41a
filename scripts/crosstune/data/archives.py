"""Files in archives: zip, tar, and compressed tar.

Members are read in memory. Nothing is unpacked to disk, so no name can lead out of a folder and no link is followed.
"""

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from crosstune.core.bombs import HARMLESS_BYTES, check_size
from crosstune.core.errors import UserError
from crosstune.core.zips import member_chunks

# The longest header of a member, in bytes: it has the member's name.
LONGEST_HEADER = 1_000_000

# What compressed files begin with.
PACKERS = {b"\x1f\x8b": gzip, b"\xfd7zXZ": lzma, b"BZh": bz2}


def read_members(path: Path, choose: Callable[[list[str]], list[str]]) -> list[tuple[str, bytes]]:
    """(name, content) of the members that `choose` selects from the names of all regular files in an archive.

    Raises UserError if the archive is damaged or any of its names, chosen or not, leaves its folder.
    """
    read = _read_zip if path.name.endswith(".zip") else _read_tar
    try:
        return read(path, choose)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, RuntimeError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise UserError("no such file", str(path)) from None
        raise UserError(f"the archive is damaged ({error})", str(path), "Download it again.") from None


def _read_zip(path: Path, choose: Callable[[list[str]], list[str]]) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
        names = _choose_members({name: entry.file_size for name, entry in entries.items()}, choose, path)
        return [(name, b"".join(member_chunks(archive, entries[name]))) for name in names]


def _read_tar(path: Path, choose: Callable[[list[str]], list[str]]) -> list[tuple[str, bytes]]:
    with _decompressed(path) as file, tarfile.open(fileobj=(reader := _TarReader(file, path)), mode="r:") as archive:
        # Regular files only: the target of a link would be another member or a file of this machine.
        members = {member.name: member for member in archive if member.isreg()}
        reader.in_headers = False
        names = _choose_members({name: member.size for name, member in members.items()}, choose, path)
        return [(name, archive.extractfile(members[name]).read()) for name in names]


def _decompressed(path: Path) -> BinaryIO:
    """The tar archive in a file, by the file's first bytes."""
    with path.open("rb") as file:
        begin = file.read(6)
    opened = next((module.open for mark, module in PACKERS.items() if begin.startswith(mark)), open)
    return opened(path, "rb")


class _TarReader:
    """A tar archive's stream. tarfile reads names of any length at once; here they have limits until all are known."""

    def __init__(self, file: BinaryIO, path: Path):
        self._file, self._path, self._read = file, path, 0
        self.in_headers = True
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        self._read += size
        if self.in_headers and (size > LONGEST_HEADER or self._read > HARMLESS_BYTES):
            message = f"the archive has names and headers of {max(size, self._read):,} bytes"
            raise UserError(message, str(self._path), "Do not trust it.")
        return self._file.read(size)


def _choose_members(sizes: dict[str, int], choose: Callable[[list[str]], list[str]], path: Path) -> list[str]:
    for name in sizes:
        # Some systems read a backslash as a separator of folders, and zip files may hold one.
        pure = PurePosixPath(name.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts:
            raise UserError(f"the archive holds a file that leaves its folder: {name!r}", str(path), "Do not trust it.")
    names = choose(list(sizes))
    # The list of sizes binds: no more is read.
    check_size(path.stat().st_size, sum(sizes[name] for name in names), str(path))
    return names
