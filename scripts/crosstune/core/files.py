"""Reading and writing files: atomic writes, hashes, compressed text, JSON and JSON lines; the pattern of paths."""

import bz2
import codecs
import errno
import gzip
import hashlib
import io
import json
import lzma
import os
import re
import secrets
import shlex
import shutil
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from crosstune.core.bombs import BoundedStream
from crosstune.core.errors import UserError

# The longer marks first: UTF-32's begins with UTF-16's.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Programs that pack, by the suffix of their files.
PACKERS = {".gz": "gzip", ".xz": "xz", ".bz2": "bzip2", ".zst": "zstd"}
MOST_ZEROS = 10  # a text in which more than one byte in so many is zero is not UTF-8


@contextmanager
def atomic_open(path: Path | str) -> Iterator[BinaryIO]:
    """Open `path` for writing bytes; the whole file appears when the block ends without an error, else none."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In a folder that others can write to, nobody can plant a link under a name that cannot be guessed.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "wb", opener=_open_new) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _open_new(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL | os.O_NOFOLLOW, 0o666)


def open_no_link(path: Path | str) -> BinaryIO:
    """A file to read and to append to, which is made if it is not there. Raises UserError if it is a link."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise UserError("this is a link, and crosstune follows none here", str(path), f"rm {path}") from None
    return os.fdopen(descriptor, "a+b")


def open_log(path: Path) -> TextIO:
    """A log to add lines to, which is made with its folder if it is not there. Raises UserError if it is a link."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return io.TextIOWrapper(open_no_link(path), encoding="utf-8")


def make_empty_folder(path: Path) -> None:
    """Make a folder that holds nothing: no file of an earlier try, and no link that somebody planted."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)


def open_private_folder(path: Path) -> int:
    """A descriptor of a folder that is this user's alone, which is made if it is not there.

    Raises PermissionError if others can look into the folder, and OSError if it is a link or cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    status = os.fstat(folder)
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        os.close(folder)
        raise PermissionError(errno.EACCES, "not this user's alone", str(path))
    return folder


def remove_unfinished(path: Path) -> None:
    """Remove the temporary files that killed writers of a file have left; no process may be writing it."""
    for temporary in path.parent.glob(f".{path.name}.*.tmp"):
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    with atomic_open(path) as file:
        file.write(text.encode("utf-8"))


def canonical_json(value: Any) -> str:
    """One line of JSON with sorted keys: equal values give equal text, which can be hashed or handed to a rule."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def write_json(path: Path | str, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_jsonl(path: Path | str, rows: Iterable[dict]) -> None:
    with atomic_open(path) as file:
        for row in rows:
            file.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8"))


def read_json(path: Path | str) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def read_json_or_empty(path: Path | str) -> dict:
    """The mapping in a file of JSON; empty if there is no such file."""
    return read_json(path) if Path(path).exists() else {}


def read_jsonl(path: Path | str) -> list[dict]:
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def sha256_file(path: Path | str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode("utf-8")).hexdigest()


def read_text(path: Path | str) -> str:
    """The whole text of a plain, .gz, .xz, .bz2 or .zst file, without a byte-order mark.

    The encoding is UTF-8, or UTF-16 or UTF-32 if their byte-order mark says so.
    Raises UserError if the file is missing, truncated, corrupt or in another encoding (with the line of the first bad
    byte).
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError("no such file", str(path)) from None
    except OSError as error:
        raise UserError(f"the file cannot be read ({error})", str(path)) from None
    return decode_text(content, str(path))


def decode_text(content: bytes, name: str) -> str:
    """The text of a file's bytes, decompressed by the suffix of its name. Raises UserError as read_text does."""
    try:
        if Path(name).suffix in PACKERS:
            with _open_packed(content, Path(name).suffix) as file:
                content = BoundedStream(file, len(content), name).read()
    except (EOFError, lzma.LZMAError, zlib.error, OSError) as error:
        raise UserError(f"the file is truncated or corrupt ({error})", name, "Copy or download it again.") from None
    encoding = next((encoding for mark, encoding in BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    zeros = content.count(0)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"the text is not {encoding.upper().removesuffix('-SIG')}"
        raise UserError(message, f"{name}:{line}", _conversion(name, content, zeros)) from None
    if encoding == "utf-8" and zeros > len(content) / MOST_ZEROS:
        raise UserError("the text is not UTF-8 but UTF-16", f"{name}:1", _conversion(name, content, zeros))
    return text


def _open_packed(content: bytes, suffix: str) -> BinaryIO:
    if suffix == ".zst":
        import pyarrow  # has Zstandard, which Python 3.11 lacks

        return pyarrow.CompressedInputStream(io.BytesIO(content), "zstd")
    return {".gz": gzip, ".xz": lzma, ".bz2": bz2}[suffix].open(io.BytesIO(content))


def _conversion(name: str, content: bytes, zeros: int) -> str:
    """Commands that convert a file to UTF-8, from UTF-16 if it has zero bytes, which texts in 8-bit encodings lack."""
    # The zero byte of an ASCII character is its second one if the lower byte comes first.
    encoding = ("UTF-16LE" if content[1::2].count(0) * 2 > zeros else "UTF-16BE") if zeros else "LATIN1"
    path, packer = shlex.quote(name), PACKERS.get(Path(name).suffix)
    command = f"iconv -f {encoding} -t UTF-8"
    command = f"{packer} -dc {path} | {command} | {packer}" if packer else f"{command} {path}"
    advice = "" if zeros else "Convert it from its encoding, for example LATIN1 or WINDOWS-1251:\n"
    return f"{advice}{command} > converted && mv converted {path}"


def paths_regex(paths: Iterable[str]) -> str:
    """A regular expression that matches some paths; without paths, one that matches nothing.

    It branches at every folder, so a match tries few paths, however many there are. Folders with the same content share
    their branch, because Snakemake reads the expression once more for every file of every job.
    """
    below: dict[str, list[str]] = {}
    for path in paths:
        name, slash, rest = path.partition("/")
        below.setdefault(name + slash, []).append(rest)
    alike: dict[str, list[str]] = {}
    for top, rests in below.items():
        alike.setdefault(f"(?:{paths_regex(rests)})" if top.endswith("/") else "", []).append(re.escape(top))
    return "|".join(f"(?:{'|'.join(tops)}){branch}" for branch, tops in alike.items()) or "(?!)"
