"""Files in archives: zip, tar, and compressed tar.

Owns: reading single members of an archive, and refusing what an archive must not hold.
Must never know: which files anyone wants, formats of data.

Nothing is unpacked to disk: members are read in memory, so that no name can lead out of a folder and no link be
followed.
"""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from crosstune.core.errors import UserError

LARGEST = 4_000_000_000  # bytes of one member: more than any file of text that fits in memory


def read_members(path: Path, choose: Callable[[list[str]], list[str]]) -> list[tuple[str, bytes]]:
    """(name, content) of the members that `choose` picks among the names of all regular files of an archive.

    Raises UserError where the archive is damaged, or holds a name that leaves its folder, whether chosen or not.
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
        return [(name, archive.read(name)) for name in _chosen(sizes, choose, path)]


def _read_tar(path: Path, choose: Callable[[list[str]], list[str]]) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        # Links and devices are no files; a link's target would be another member, or a file of this machine.
        members = {member.name: member for member in archive if member.isreg()}
        names = _chosen({name: member.size for name, member in members.items()}, choose, path)
        return [(name, archive.extractfile(members[name]).read()) for name in names]


def _chosen(sizes: dict[str, int], choose: Callable[[list[str]], list[str]], path: Path) -> list[str]:
    for name in sizes:
        # A backslash separates folders on one system and not on another: zip files made by hand may hold one.
        pure = PurePosixPath(name.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts:
            raise UserError(f"the archive holds a file that leaves its folder: {name!r}", str(path), "Do not trust it.")
    names = choose(list(sizes))
    for name in names:
        if sizes[name] > LARGEST:
            raise UserError(f"{name} is larger than any data file: {sizes[name]} bytes", str(path), "Do not trust it.")
    return names
