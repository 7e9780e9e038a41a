"""Files in archives: zip, tar, and compressed tar.

Members are read in memory. Nothing is unpacked to disk, so no name can lead out of a folder and no link is followed.
"""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from crosstune.core.bombs import check_size
from crosstune.core.errors import UserError


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
        sizes = {info.filename: info.file_size for info in archive.infolist() if not info.is_dir()}
        return [(name, archive.read(name)) for name in _choose_members(sizes, choose, path)]


def _read_tar(path: Path, choose: Callable[[list[str]], list[str]]) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        # Regular files only: the target of a link would be another member or a file of this machine.
        members = {member.name: member for member in archive if member.isreg()}
        names = _choose_members({name: member.size for name, member in members.items()}, choose, path)
        return [(name, archive.extractfile(members[name]).read()) for name in names]


def _choose_members(sizes: dict[str, int], choose: Callable[[list[str]], list[str]], path: Path) -> list[str]:
    for name in sizes:
        # Some systems read a backslash as a separator of folders, and zip files may hold one.
        pure = PurePosixPath(name.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts:
            raise UserError(f"the archive holds a file that leaves its folder: {name!r}", str(path), "Do not trust it.")
    names = choose(list(sizes))
    # A zip archive's list of sizes binds: zipfile reads no more, and tarfile reads what the list says.
    check_size(path.stat().st_size, sum(sizes[name] for name in names), str(path))
    return names
