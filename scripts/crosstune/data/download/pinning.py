"""Pinning: finding the versions and numbers that a record should state, and writing versions into it.

Owns: which branch of the hub is taken, edits of registry files that leave all but the `revision` as it is.
Must never know: HTTP, the form of rows.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from crosstune.core.errors import UserError
from crosstune.core.files import write_text
from crosstune.data.download.fetch import fetch, request_of, select, unpinned_sha256
from crosstune.data.download.hub import Hub, Repository
from crosstune.data.prepare import load
from crosstune.data.record import Dataset
from crosstune.data.sources import HubSource, UrlSource

# A data set whose main branch has a loading script has its Parquet files on the second.
BRANCHES = ("main", "refs/convert/parquet")


def find_revisions(dataset: Dataset, hub: Hub, raw: Path) -> dict[str, str]:
    """The current commits of the unpinned repositories of a record, by id: where the files are that it names.

    Raises UserError where a branch cannot be read, or no branch has the files.
    """
    wanted: dict[str, list] = {}
    for split, entry in dataset.splits.items():
        if "hub" in entry.source and entry.source.get("revision") is None:
            choices = [choice for lang in entry.languages for choice in dataset.hub_files(lang, split)]
            wanted.setdefault(entry.source["hub"], []).extend(choices)
    return {name: _commit_with(hub, Repository("datasets", name), choices, raw) for name, choices in wanted.items()}


def _commit_with(hub: Hub, repository: Repository, choices: list, raw: Path) -> str:
    first_fault = None
    for branch in BRANCHES:
        try:
            commit = hub.commit(repository, branch)
            listing = hub.listing(repository, commit, raw / "hub" / repository.folder(commit))
            select(listing.files, choices, f"{repository.id}, branch {branch}", "Correct the record's source.")
            return commit
        except UserError as error:
            first_fault = first_fault or error
    raise first_fault


def find_hashes(dataset: Dataset, raw: Path) -> dict[str, dict]:
    """{split: {"sha256": ...}} of the unpinned addresses of a record, as the record can say it. Raises UserError."""
    hashes: dict[str, str] = {}
    found = {}
    for split, entry in dataset.splits.items():
        if "url" in entry.source and set(entry.languages) - set(entry.sha256):
            urls = {lang: dataset.names(lang, split) for lang in entry.languages}
            for url in dict.fromkeys(url for of_language in urls.values() for url in of_language):
                hashes[url] = hashes.get(url) or unpinned_sha256(url, raw, dataset.licence)
            values = {lang: [hashes[url] for url in of_language] for lang, of_language in urls.items()}
            found[split] = {"sha256": shortest(values)}
    return found


def find_numbers(dataset: Dataset, folders: Mapping[str, str | Path], raw: Path) -> dict[str, dict]:
    """{split: {"rows": {lang: n}, "sha256": hashes of the files}} of a pinned record, as its files are now.

    Files of the network are fetched; those of the hub need no hashes, because their commit says them. Raises UserError.
    """
    found: dict[str, dict] = {}
    for split, entry in dataset.splits.items():
        if "world" in entry.source:
            message = f"the {split} split of {dataset.name!r} is generated, so that there is nothing to pin"
            raise UserError(message, dataset.place, "The constructed world follows from the study's key `world`.")
        rows, hashes = {}, {}
        for lang in entry.languages:
            source = dataset.location(lang, split, folders)
            if isinstance(source, HubSource | UrlSource):
                fetch(request_of(source), raw, dataset.licence)
            of_language, origins = load(dataset, split, lang, folders, raw)
            rows[lang] = len(of_language)
            hashes[lang] = [origin["sha256"] for origin in origins]
        found[split] = {"rows": rows} | ({} if "hub" in entry.source else {"sha256": shortest(hashes)})
    return found


def shortest(hashes: Mapping[str, list[str]]) -> object:
    """Hashes by language as a record says them: one value for a list of one, and once where all are the same."""
    single = {lang: values[0] if len(values) == 1 else values for lang, values in hashes.items()}
    first = next(iter(single.values()))
    return first if len(single) > 1 and all(value == first for value in single.values()) else single


def write_revision(path: Path, name: str, repository: str, commit: str) -> bool:
    """Put a commit where a record of a registry file says `revision: null` for a repository; whether it says so."""
    text = path.read_text(encoding="utf-8")
    root = yaml.compose(text, yaml.SafeLoader)
    record = next(value for key, value in root.value if key.value == name)
    places = sorted(_unpinned(record, repository), reverse=True)
    for start, end in places:
        text = text[:start] + quoted(commit) + text[end:]
    if places:
        write_text(path, text)
    return bool(places)


def quoted(commit: str) -> str:
    """A commit as YAML: without quotes, one of nothing but digits, or of digits and one e, would be a number."""
    return f'"{commit}"'


def _unpinned(node: yaml.Node, repository: str) -> Iterator[tuple[int, int]]:
    """Beginning and end of every null `revision` of a repository below a node of a YAML file."""
    if isinstance(node, yaml.MappingNode):
        values = {key.value: value for key, value in node.value}
        revision = values.get("revision")
        if "hub" in values and values["hub"].value == repository and revision is not None:
            if revision.tag == "tag:yaml.org,2002:null":
                yield revision.start_mark.index, revision.end_mark.index
            return
        for value in values.values():
            yield from _unpinned(value, repository)
