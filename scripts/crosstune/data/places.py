"""Places that records and studies may name: hosts of addresses, and files below the folders that a study names.

A study of somebody else's could otherwise read any file of the user's, and show it on its page.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from crosstune.core.errors import UserError
from crosstune.data.record import Dataset, source_kind

# Names and IPv4 addresses, IPv6 addresses. The host becomes the name of a folder.
HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|[0-9a-f]*:[0-9a-f:.]+")

# These hold no files of data, whatever they look like.
SYSTEM_FOLDERS = ("/proc", "/dev", "/sys")


def check_syntax(record: Mapping[str, Any], where: str) -> None:
    """UserError for an address in a record that cannot be taken apart."""
    sources = [record.get("source", {}), *(split.get("source", {}) for split in record["splits"].values())]
    for url in (url for source in sources for url in _texts(source.get("url", []))):
        try:
            urlsplit(url)
        except ValueError as error:
            raise UserError(f"not an address: {url!r} ({error})", f"{where}.source.url", "https://...") from None


def check_places(dataset: Dataset) -> None:
    """UserError for a host or a path of the synthetic data, with all names filled in, that is not one."""
    for split, record in dataset.splits.items():
        kind, where = source_kind(record.source), f"{dataset.where}.splits.{split}.source"
        if kind not in ("url", "synthetic"):
            continue
        for name in dict.fromkeys(name for lang in record.languages for name in dataset.file_names(lang, split)):
            if kind == "url":
                _check_host(name, f"{where}.url")
            elif name.startswith("/") or ".." in PurePosixPath(name).parts:
                message = f"the path {name!r} leaves the folder of the synthetic data"
                raise UserError(message, f"{where}.synthetic", "Name a file inside, as in docs/synthetic.md.")


def _check_host(url: str, where: str) -> None:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "", parts.port)[0]
    except ValueError as error:
        raise UserError(f"not an address: {url!r} ({error})", where, "https://...") from None
    if not HOST.fullmatch(host):
        message = f"the host {host!r} is no name of letters, digits, dots and dashes, and no IP address"
        raise UserError(message, where, "Correct the address. If it is somebody else's, do not trust it.")


def check_bounds(path: Path, folders: Mapping[str, str | Path]) -> None:
    """UserError for a data file outside the project and the study's `folders`, and for what is no regular file.

    What counts is the file itself, not the links that lead to it: a folder of data may come with links in it.
    """
    place = Path(os.path.realpath(path))
    if not any(_is_below(place, folder) for folder in (Path.cwd(), *folders.values())):
        linked = f" (a link to {place})" if place != Path(os.path.abspath(path)) else ""
        fix = f"If you mean it, name its folder:\nfolders:\n  mine: {place.parent}"
        raise UserError(f"the file lies outside the project and the study's folders{linked}", str(path), fix)
    if any(place.is_relative_to(folder) for folder in SYSTEM_FOLDERS) or (path.exists() and not path.is_file()):
        raise UserError("this is no regular file", str(path), "Name a file of data.")


def check_below(path: Path, folder: Path) -> None:
    """UserError if a file is not below a folder, by its path or through a link."""
    if not _is_below(Path(os.path.realpath(path)), folder):
        raise UserError(f"the file lies outside {folder}", str(path), "Do not trust it.")


def check_named(name: str, where: str) -> None:
    """UserError for an absolute path in what is published with a study: the places of the user's folders are not."""
    if name.startswith(("/", "~")):
        folder, _, file = name.rpartition("/")
        fix = f"Name its folder:\nfolders:\n  mine: {folder}\nand write here:\n{{mine}}/{file}"
        raise UserError(f"the place of {name!r} would be published with the study", where, fix)


def _is_below(place: Path, folder: str | Path) -> bool:
    return place.is_relative_to(os.path.realpath(folder))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    else:
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)
