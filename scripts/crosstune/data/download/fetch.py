"""The folder of downloads: fetching the files of data sets into it, and looking them up.

A request describes the files that one job fetches. Languages that share files share a request and are fetched once.

    hub/datasets--google--xquad@COMMIT/files/...                   files under their names in the repository
    url/raw.githubusercontent.com/files/HASH/train-v1.1.json       files under the beginning of their SHA-256
    hub/datasets--google--xquad@COMMIT/NAME-HASH.json              manifest of a request, written last
    url/raw.githubusercontent.com/NAME-HASH.json

Files of the hub are hard links into huggingface_hub's cache, or copies where that is another disk. So they stay if the
cache is emptied. A manifest lists {"path" (from its folder), "name" (in the repository) or "url", "size", "sha256"} of
every file, in the order of their rows, and `format`, if the repository's card says how the library `datasets` reads
them.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from crosstune.artifacts.checkpoint import link_or_copy
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, sha256_file, sha256_json, write_json
from crosstune.data.download.addresses import download_address
from crosstune.data.download.configurations import CARD_FILES, card_has_configurations, find_configuration
from crosstune.data.download.hub import CARD, Repository, is_offline
from crosstune.data.download.limits import FETCH_ALL
from crosstune.data.sources import HubSource, UrlSource
from crosstune.data.tables import TableFormat

NO_FILE = (
    "Correct the source's `config` and `split`, or say which `files` are meant, or pin a commit of the branch\n"
    "refs/convert/parquet, where the hub keeps Parquet files."
)


def download_request(source: HubSource | UrlSource) -> dict:
    """The request for the files of a source, as plain data."""
    if isinstance(source, UrlSource):
        return {"url": list(source.urls), "sha256": list(source.sha256)}
    request = {"hub": source.id, "revision": source.revision, "files": [list(choice) for choice in source.files]}
    return request | ({"configuration": list(source.configuration)} if source.configuration else {})


def manifest_path(request: Mapping) -> str:
    """Path of a request's manifest in the folder of downloads."""
    if "hub" in request:
        folder = f"hub/{_repository(request).folder}"
        label = request["files"][0][0].removesuffix(".parquet")
    else:
        first = urlsplit(request["url"][0])
        folder, label = f"url/{first.hostname}", PurePosixPath(first.path).name
    label = re.sub(r"[^\w.-]+", "-", label).strip("-")[:60]
    return f"{folder}/{label}-{sha256_json(request)[:8]}.json"


def _repository(request: Mapping) -> Repository:
    return Repository("dataset", request["hub"], request["revision"] or "unpinned")


def fetch(request: Mapping, downloads: Path, licence: str) -> None:
    """Download all files of a request, then write its manifest. Raises UserError if a file cannot be downloaded."""
    manifest = downloads / manifest_path(request)
    written = {"request": request}
    if "hub" in request:
        repository = _repository(request)
        names, form = hub_files(repository, request["files"], request.get("configuration"))
        entries = []
        for name, (cached, sha256) in repository.download(names, licence).items():
            entries.append({"name": name, "path": f"files/{name}", "sha256": sha256})
            link_or_copy(cached, manifest.parent / f"files/{name}")
        written |= {"format": asdict(form)} if form else {}
    else:
        entries = []
        for url, sha256 in zip(request["url"], request["sha256"], strict=True):
            path = f"files/{sha256[:16]}/{_file_name(url)}"
            check_online(url, manifest.parent / path)
            download_address(url, manifest.parent / path, sha256, licence)
            entries.append({"url": url, "path": path, "sha256": sha256})
    files = [{**entry, "size": (manifest.parent / entry["path"]).stat().st_size} for entry in entries]
    write_json(manifest, {**written, "files": files})


def hub_files(
    repository: Repository, choices: Sequence[Sequence[str]], configuration: Sequence[str] | None
) -> tuple[list[str], TableFormat | None]:
    """(names, format) of the files of a request at a commit of the hub; the format is known from a card alone.

    The repository's card decides, if it describes configurations. Otherwise the files lie at one of the places of
    `choices`, or where `datasets` looks for them. Raises UserError if there are none.
    """
    listing = repository.listing
    if configuration is None:
        return select_files(listing, choices, str(repository), NO_FILE), None
    cards = {name: path for name, (path, _) in repository.download([n for n in CARD_FILES if n in listing]).items()}
    fault = ""
    if not card_has_configurations(cards.get(CARD)):
        try:
            return select_files(listing, choices, str(repository), NO_FILE), None
        except UserError as error:
            fault = f"\n{error.message}\n{error.fix}"
    try:
        found = find_configuration(repository.id, listing, cards, *configuration)
    except UserError as error:
        raise UserError(error.message, str(repository), f"{error.fix}{fault}".strip()) from None
    return list(found.names), found.form


def is_request_cached(request: Mapping) -> bool:
    """Whether the hub's cache holds all files of a request."""
    if "hub" not in request:
        return False
    repository = _repository(request)
    try:
        return repository.cached(hub_files(repository, request["files"], request.get("configuration"))[0])
    except UserError:
        return False


def check_online(url: str, path: Path) -> None:
    """UserError if a file is not on disk and the user forbids the network."""
    if is_offline() and not path.exists():
        fix = f"Where there is a network, run this once with your study:\n  {FETCH_ALL}"
        raise UserError("this is not on disk yet, and HF_HUB_OFFLINE forbids to download it", url, fix)


def fetch_unpinned(url: str, downloads: Path, licence: str) -> str:
    """Download the file at an unpinned address and return its SHA-256, under which it is stored. Raises UserError."""
    folder = downloads / f"url/{urlsplit(url).hostname}"
    unpinned = folder / "files/unpinned" / sha256_json(url)[:16]
    unpinned.unlink(missing_ok=True)
    check_online(url, unpinned)
    download_address(url, unpinned, None, licence)
    sha256 = sha256_file(unpinned)
    path = folder / "files" / sha256[:16] / _file_name(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(unpinned, path)
    return sha256


def downloaded_files(source: HubSource | UrlSource, downloads: Path) -> tuple[list[dict], TableFormat | None]:
    """Entries of the manifest of a source's files, each with its path on disk as `place`, and their format if stated.

    Raises UserError if the files are not downloaded yet, or a file's hash is no longer that of its entry.
    """
    manifest = downloads / manifest_path(download_request(source))
    if not manifest.exists():
        raise UserError("this has not been downloaded yet", str(manifest), f"With a network: {FETCH_ALL}")
    written = read_json(manifest)
    entries = written["files"]
    for entry in entries:
        entry["place"] = manifest.parent / entry["path"]
        if not entry["place"].exists() or sha256_file(entry["place"]) != entry["sha256"]:
            fix = f"rm -f {entry['place']} {manifest}\n{FETCH_ALL}"
            raise UserError("the file is no longer what was downloaded", str(entry["place"]), fix)
    return entries, TableFormat(**written["format"]) if "format" in written else None


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
