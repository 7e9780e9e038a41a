"""Reading and writing files: atomic writes, hashes, compressed text, JSON and JSON lines.

Owns: how bytes reach the disk, the pattern of several paths. Must never know: what they mean.
"""

import errno
import gzip
import hashlib
import json
import lzma
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from crosstune.core.errors import UserError


@contextmanager
def atomic_open(path: Path | str) -> Iterator[BinaryIO]:
    """Open `path` for writing bytes; it appears whole when the block ends well, and not at all otherwise."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def open_private_folder(path: Path) -> int:
    """A descriptor of a folder that is this user's alone, which is made if it is not there.

    Raises PermissionError if others can look into the folder, and OSError if it is a link or cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    found = os.fstat(folder)
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        os.close(folder)
        raise PermissionError(errno.EACCES, "not this user's alone", str(path))
    return folder


def remove_unfinished(path: Path) -> None:
    """Remove what processes that were killed have left of writing a file; none may be writing it."""
    for temporary in path.parent.glob(f".{path.name}.*.tmp"):
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    with atomic_open(path) as file:
        file.write(text.encode("utf-8"))


def canonical_json(value: Any) -> str:
    """One line, sorted keys: equal values give equal text, so that it can be hashed or handed to a rule."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def write_json(path: Path | str, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_jsonl(path: Path | str, rows: Iterable[dict]) -> None:
    with atomic_open(path) as file:
        for row in rows:
            file.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8"))


def read_json(path: Path | str) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def read_jsonl(path: Path | str) -> list[dict]:
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def sha256_file(path: Path | str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode("utf-8")).hexdigest()


def read_text(path: Path | str) -> str:
    """The whole text of a plain, .gz or .xz file in UTF-8 (a byte-order mark is dropped).

    Raises UserError naming the file where it is missing, cut short, corrupt or not UTF-8 (with the byte's line).
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError("no such file", str(path)) from None
    except OSError as error:
        raise UserError(f"the file cannot be read ({error})", str(path)) from None
    return decode_text(content, str(path))


def decode_text(content: bytes, place: str) -> str:
    """The text of a file's bytes, unpacked as its name `place` says. Raises UserError as read_text does."""
    unpack = {".gz": gzip.decompress, ".xz": lzma.decompress}.get(Path(place).suffix, bytes)
    try:
        content = unpack(content)
    except (EOFError, lzma.LZMAError, zlib.error, OSError) as error:
        raise UserError(f"the file is truncated or corrupt ({error})", place, "Copy or download it again.") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        fix = f"Convert it: iconv -f LATIN1 -t UTF-8 {Path(place).name}"
        raise UserError("the text is not UTF-8", f"{place}:{line}", fix) from None


def paths_regex(paths: Iterable[str]) -> str:
    """A regular expression of some paths; of none, one that matches nothing.

    It branches at every folder, so that a match looks at few of them however many they are. Folders that hold the same
    share their branch: Snakemake reads the expression once more for every file of every job.
    """
    below: dict[str, list[str]] = {}
    for path in paths:
        name, slash, rest = path.partition("/")
        below.setdefault(name + slash, []).append(rest)
    alike: dict[str, list[str]] = {}
    for top, rests in below.items():
        alike.setdefault(f"(?:{paths_regex(rests)})" if top.endswith("/") else "", []).append(re.escape(top))
    return "|".join(f"(?:{'|'.join(tops)}){branch}" for branch, tops in alike.items()) or "(?!)"
