"""Files in archives: zip, tar, and compressed tar.

Members are read in memory. Nothing is unpacked to disk, so no name can lead out of a folder and no link is followed.
"""

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from crosstune.core.bombs import BoundedStream, check_size
from crosstune.core.errors import UserError
from crosstune.core.zips import member_chunks

# What compressed files begin with.
COMPRESSIONS = {b"\x1f\x8b": gzip, b"BZh": bz2, b"\xfd7zXZ": lzma}


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
        return [(name, _read_member(archive, entries[name])) for name in names]


def _read_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        fix = "Unpack it, and pack it again with zip."
        message = f"{entry.filename!r} is compressed by a method that few programs read"
        raise UserError(message, archive.filename, fix)
    return b"".join(member_chunks(archive, entry))


def _read_tar(path: Path, choose: Callable[[list[str]], list[str]]) -> list[tuple[str, bytes]]:
    with _unpacked(path) as file, tarfile.open(fileobj=file, mode="r:") as archive:
        # Regular files only: the target of a link would be another member or a file of this machine.
        members = {member.name: member for member in archive if member.isreg()}
        names = _choose_members({name: member.size for name, member in members.items()}, choose, path)
        return [(name, archive.extractfile(members[name]).read()) for name in names]


@contextmanager
def _unpacked(path: Path) -> Iterator[BoundedStream]:
    """A tar archive without its compression. Headers and members that nobody asked for can be bombs too."""
    with open(path, "rb") as file:
        start = file.read(6)
    module = next((module for mark, module in COMPRESSIONS.items() if start.startswith(mark)), None)
    with module.open(path) if module else open(path, "rb") as file:
        yield BoundedStream(file, path.stat().st_size, str(path))


def _choose_members(sizes: dict[str, int], choose: Callable[[list[str]], list[str]], path: Path) -> list[str]:
    for name in sizes:
        # Some systems read a backslash as a separator of folders, and zip files may hold one.
        pure = PurePosixPath(name.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts:
            raise UserError(f"the archive holds a file that leaves its folder: {name!r}", str(path), "Do not trust it.")
    names = choose(list(sizes))
    check_size(path.stat().st_size, sum(sizes[name] for name in names), str(path))
    return names
