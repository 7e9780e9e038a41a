"""Fetching the files of data sets from the network, and finding them again on disk.

Owns: the folder of downloads, which files a source means, the manifest that lists them.
Must never know: HTTP (download), the hub's protocol (hub), file formats.

A request is what one job fetches: the same for all languages that share their files, so that they are fetched once.

    hub/datasets--google--xquad@COMMIT/files/...                   files under their names in the repository
    hub/datasets--google--xquad@COMMIT/listing.json                what the repository holds
    url/raw.githubusercontent.com/files/HASH/train-v1.1.json       files under the beginning of their SHA-256
    hub/datasets--google--xquad@COMMIT/NAME-HASH.json              manifest of a request, written last
    url/raw.githubusercontent.com/NAME-HASH.json

A manifest lists {"path" (from its folder), "name" (in the repository) or "url", "size", "sha256"} of every file, in the
order in which their rows are to follow each other.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from crosstune.core.errors import UserError
from crosstune.core.files import read_json, sha256_file, sha256_json, write_json
from crosstune.data.download.http import FETCH_ALL, Client, Expected, HttpFailure, announce, explained, offline
from crosstune.data.download.hub import Hub, Repository
from crosstune.data.sources import HubSource, UrlSource

NO_FILE = (
    "Correct the source's `config` and `split`, or say which `files` are meant, or pin a commit of the branch\n"
    "refs/convert/parquet, where the hub keeps Parquet files."
)


def request_of(source: HubSource | UrlSource) -> dict:
    """What has to be fetched for a source, as plain data."""
    if isinstance(source, HubSource):
        return {"hub": source.id, "revision": source.revision, "files": [list(choice) for choice in source.files]}
    return {"url": list(source.urls), "sha256": list(source.sha256)}


def manifest_path(request: Mapping) -> str:
    """Where a request's manifest lies in the folder of downloads."""
    if "hub" in request:
        folder = f"hub/{Repository('datasets', request['hub']).folder(request['revision'] or 'unpinned')}"
        label = request["files"][0][0].removesuffix(".parquet")
    else:
        first = urlsplit(request["url"][0])
        folder, label = f"url/{first.hostname}", PurePosixPath(first.path).name
    label = re.sub(r"[^\w.-]+", "-", label).strip("-")[:60]
    return f"{folder}/{label}-{sha256_json(request)[:8]}.json"


def fetch(request: Mapping, downloads: Path, licence: str) -> None:
    """Bring all files of a request into the folder of downloads, then write its manifest. Raises UserError."""
    manifest = downloads / manifest_path(request)
    folder = manifest.parent
    if "hub" in request:
        hub, repository = Hub.from_environment(), Repository("datasets", request["hub"])
        listing = hub.listing(repository, request["revision"], folder)
        names = select(listing.files, request["files"], f"{repository.id} at {request['revision']}", NO_FILE)
        hashes = hub.bring(repository, request["revision"], names, folder, licence)
        found = [{"name": name, "path": f"files/{name}", "sha256": hashes[name]} for name in names]
    else:
        client = Client(forbidden=offline())
        found = [
            {"url": url, "path": fetch_url(client, url, sha256, folder, licence), "sha256": sha256}
            for url, sha256 in zip(request["url"], request["sha256"], strict=True)
        ]
    files = [{**entry, "size": (folder / entry["path"]).stat().st_size} for entry in found]
    write_json(manifest, {"request": request, "files": files})


def fetch_url(client: Client, url: str, sha256: str, folder: Path, licence: str) -> str:
    """Bring the file at an address to its place in `folder`, which is returned. Raises UserError."""
    path = f"files/{sha256[:16]}/{_file_name(url)}"
    try:
        if not (folder / path).exists():
            announce(url, client.size(url) or 0, licence, folder)
        client.download(url, folder / path, Expected(sha256=sha256))
    except HttpFailure as failure:
        raise explained(failure) from None
    return path


def unpinned_sha256(url: str, downloads: Path, licence: str) -> str:
    """The SHA-256 of the file at an address that nobody has pinned; the file is kept for when someone has."""
    folder, client = downloads / f"url/{urlsplit(url).hostname}", Client(forbidden=offline())
    unpinned = folder / "files/unpinned" / sha256_json(url)[:16]
    try:
        announce(url, client.size(url) or 0, licence, folder)
        sha256 = client.download(url, unpinned)
    except HttpFailure as failure:
        raise explained(failure) from None
    path = folder / "files" / sha256[:16] / _file_name(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(unpinned, path)
    return sha256


def fetched(source: HubSource | UrlSource, downloads: Path) -> list[dict]:
    """The manifest's entries of a source's files, each with its `place` on disk, checked against their hashes.

    Raises UserError where they have not been fetched, or are no longer what was fetched.
    """
    manifest = downloads / manifest_path(request_of(source))
    if not manifest.exists():
        raise UserError("this has not been downloaded yet", str(manifest), f"With a network: {FETCH_ALL}")
    entries = read_json(manifest)["files"]
    for entry in entries:
        entry["place"] = manifest.parent / entry["path"]
        if not entry["place"].exists() or sha256_file(entry["place"]) != entry["sha256"]:
            fix = f"rm -f {entry['place']} {manifest}\n{FETCH_ALL}"
            raise UserError("the file is no longer what was downloaded", str(entry["place"]), fix)
    return entries


def select(names: Iterable[str], choices: Iterable[Sequence[str]], place: str, fix: str) -> list[str]:
    """The names that are meant: of each choice, all that fit its first pattern that any fits.

    Raises UserError at `place` where nothing fits a choice.
    """
    names, found = list(names), {}
    for choice in choices:
        fitting = next(filter(None, (matching(names, pattern) for pattern in choice)), None)
        if not fitting:
            data = [name for name in sorted(names) if not name.endswith((".md", ".gitattributes"))]
            shown = ", ".join(data[:12]) + (f" and {len(data) - 12} more" if len(data) > 12 else "")
            raise UserError(f"no file fits {' or '.join(choice)}", place, f"There are: {shown or 'none'}\n{fix}")
        found.update(dict.fromkeys(fitting))
    return list(found)


def matching(names: Iterable[str], pattern: str) -> list[str]:
    """The names that fit a pattern, sorted: `*` and `?` are characters but `/`, `**` are any characters."""
    parts = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    expression = "".join(parts.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*|\?)", pattern))
    return sorted(name for name in names if re.fullmatch(expression, name, re.DOTALL))


def _file_name(url: str) -> str:
    """The last part of an address, as a name for its file: the ending says how it is read."""
    name = re.sub(r"[^\w.-]+", "-", PurePosixPath(urlsplit(url).path).name)
    return name if name.strip(".") else "file"
