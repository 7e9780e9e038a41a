"""The folder of downloads: fetching the files of data sets into it, and looking them up.

A request describes the files that one job fetches. Languages that share files share a request and are fetched once.

    hub/datasets--google--xquad@COMMIT/files/...                   files under their names in the repository
    hub/datasets--google--xquad@COMMIT/listing.json                what the repository holds
    url/raw.githubusercontent.com/files/HASH/train-v1.1.json       files under the beginning of their SHA-256
    hub/datasets--google--xquad@COMMIT/NAME-HASH.json              manifest of a request, written last
    url/raw.githubusercontent.com/NAME-HASH.json

A manifest lists {"path" (from its folder), "name" (in the repository) or "url", "size", "sha256"} of every file, in the
order of their rows.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from crosstune.core.errors import UserError
from crosstune.core.files import read_json, sha256_file, sha256_json, write_json
from crosstune.data.download.http import (
    FETCH_ALL,
    Client,
    ExpectedFile,
    HttpFailure,
    announce,
    as_user_error,
    is_offline,
)
from crosstune.data.download.hub import Hub, Repository
from crosstune.data.sources import HubSource, UrlSource

NO_FILE = (
    "Correct the source's `config` and `split`, or say which `files` are meant, or pin a commit of the branch\n"
    "refs/convert/parquet, where the hub keeps Parquet files."
)


def download_request(source: HubSource | UrlSource) -> dict:
    """The request for the files of a source, as plain data."""
    if isinstance(source, HubSource):
        return {"hub": source.id, "revision": source.revision, "files": [list(choice) for choice in source.files]}
    return {"url": list(source.urls), "sha256": list(source.sha256)}


def manifest_path(request: Mapping) -> str:
    """Path of a request's manifest in the folder of downloads."""
    if "hub" in request:
        folder = f"hub/{Repository('datasets', request['hub']).folder(request['revision'] or 'unpinned')}"
        label = request["files"][0][0].removesuffix(".parquet")
    else:
        first = urlsplit(request["url"][0])
        folder, label = f"url/{first.hostname}", PurePosixPath(first.path).name
    label = re.sub(r"[^\w.-]+", "-", label).strip("-")[:60]
    return f"{folder}/{label}-{sha256_json(request)[:8]}.json"


def fetch(request: Mapping, downloads: Path, licence: str) -> None:
    """Download all files of a request, then write its manifest. Raises UserError if a file cannot be downloaded."""
    manifest = downloads / manifest_path(request)
    folder = manifest.parent
    if "hub" in request:
        hub, repository = Hub.from_environment(), Repository("datasets", request["hub"])
        listing = hub.listing(repository, request["revision"], folder)
        names = select_files(listing.files, request["files"], f"{repository.id} at {request['revision']}", NO_FILE)
        hashes = hub.download(repository, request["revision"], names, folder, licence)
        entries = [{"name": name, "path": f"files/{name}", "sha256": hashes[name]} for name in names]
    else:
        client = Client(offline=is_offline())
        entries = [
            {"url": url, "path": fetch_url(client, url, sha256, folder, licence), "sha256": sha256}
            for url, sha256 in zip(request["url"], request["sha256"], strict=True)
        ]
    files = [{**entry, "size": (folder / entry["path"]).stat().st_size} for entry in entries]
    write_json(manifest, {"request": request, "files": files})


def fetch_url(client: Client, url: str, sha256: str, folder: Path, licence: str) -> str:
    """Download the file at an address into `folder` and return its path there. Raises UserError."""
    _check_address(url)
    path = f"files/{sha256[:16]}/{_file_name(url)}"
    try:
        if not (folder / path).exists():
            announce(url, client.size(url) or 0, licence, folder)
        client.download(url, folder / path, ExpectedFile(sha256=sha256))
    except HttpFailure as failure:
        raise as_user_error(failure) from None
    return path


def _check_address(url: str) -> None:
    """UserError for an address that anybody on the way can answer instead of its host."""
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise UserError("not an https address", url, f"https://{url.partition('://')[2] or url}")


def fetch_unpinned(url: str, downloads: Path, licence: str) -> str:
    """Download the file at an unpinned address and return its SHA-256, under which it is stored. Raises UserError."""
    _check_address(url)
    folder, client = downloads / f"url/{urlsplit(url).hostname}", Client(offline=is_offline())
    unpinned = folder / "files/unpinned" / sha256_json(url)[:16]
    try:
        announce(url, client.size(url) or 0, licence, folder)
        sha256 = client.download(url, unpinned)
    except HttpFailure as failure:
        raise as_user_error(failure) from None
    path = folder / "files" / sha256[:16] / _file_name(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(unpinned, path)
    return sha256


def downloaded_files(source: HubSource | UrlSource, downloads: Path) -> list[dict]:
    """Entries of the manifest of a source's files, each with its path on disk as `place`.

    Raises UserError if the files are not downloaded yet, or a file's hash is no longer that of its entry.
    """
    manifest = downloads / manifest_path(download_request(source))
    if not manifest.exists():
        raise UserError("this has not been downloaded yet", str(manifest), f"With a network: {FETCH_ALL}")
    entries = read_json(manifest)["files"]
    for entry in entries:
        entry["place"] = manifest.parent / entry["path"]
        if not entry["place"].exists() or sha256_file(entry["place"]) != entry["sha256"]:
            fix = f"rm -f {entry['place']} {manifest}\n{FETCH_ALL}"
            raise UserError("the file is no longer what was downloaded", str(entry["place"]), fix)
    return entries


# `**` tries all ways to match.
MAX_DEEP_STARS = 3


def select_files(names: Iterable[str], choices: Iterable[Sequence[str]], where: str, fix: str) -> list[str]:
    """The names that match the first pattern with any match of each choice, in order, each once.

    Raises UserError at `where` if no name matches a choice.
    """
    names, selected = list(names), {}
    for choice in choices:
        matches = next(filter(None, (match_names(names, pattern) for pattern in choice)), None)
        if not matches:
            data = [name for name in sorted(names) if not name.endswith((".md", ".gitattributes"))]
            shown = ", ".join(data[:12]) + (f" and {len(data) - 12} more" if len(data) > 12 else "")
            raise UserError(f"no file fits {' or '.join(choice)}", where, f"There are: {shown or 'none'}\n{fix}")
        selected.update(dict.fromkeys(matches))
    return list(selected)


def match_names(names: Iterable[str], pattern: str) -> list[str]:
    """The names that match a pattern, sorted. `*` and `?` match characters other than `/`, `**` matches any."""
    expression = _glob_expression(pattern)
    return sorted(name for name in names if expression.fullmatch(name))


@cache
def _glob_expression(pattern: str) -> re.Pattern:
    """The regular expression of a pattern. Raises UserError for one that takes too long to match.

    What follows a `*`, up to the next star, may as well match where it first can. So an atomic group does not try the
    other places, whose number grows with a power of the number of stars. What follows the last star must reach the end.
    """
    if pattern.count("**") > MAX_DEEP_STARS:
        raise UserError(f"more than {MAX_DEEP_STARS} times `**` in a pattern", pattern, "Write fewer.")
    first, *rest = re.split(r"(\*+)", pattern)
    expression = _literal(first)
    for number in range(0, len(rest), 2):
        deep, text, last = len(rest[number]) > 1, _literal(rest[number + 1]), number == len(rest) - 2
        expression += f".*{text}" if deep else f"[^/]*{text}" if last else f"(?>[^/]*?{text})"
    return re.compile(expression, re.DOTALL)


def _literal(text: str) -> str:
    """The expression of a pattern without stars."""
    return "[^/]".join(map(re.escape, text.split("?")))


def _file_name(url: str) -> str:
    """The last part of an address as a file name, with its suffix, which decides how the file is read."""
    name = re.sub(r"[^\w.-]+", "-", PurePosixPath(urlsplit(url).path).name)
    return name if name.strip(".") else "file"
