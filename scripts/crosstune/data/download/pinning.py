"""Pinning: the versions and numbers that a record should state, and writing versions into registry files."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from crosstune.core.errors import UserError
from crosstune.core.files import write_text
from crosstune.data.download.fetch import download_request, fetch, fetch_unpinned, hub_files
from crosstune.data.download.hub import Repository, find_commit
from crosstune.data.prepare import load_rows
from crosstune.data.record import Dataset
from crosstune.data.sources import HubSource, UrlSource

# Data sets with a loading script on the main branch have their Parquet files on the second.
BRANCHES = ("main", "refs/convert/parquet")


def find_revisions(dataset: Dataset) -> dict[str, str]:
    """The current commits, by repository id, that hold the files of a record's unpinned repositories.

    Raises UserError if a branch cannot be read or no branch has the files.
    """
    sources: dict[str, list[HubSource]] = {}
    for split, entry in dataset.splits.items():
        if "hub" in entry.source and entry.source.get("revision") is None:
            found = [dataset.source(lang, split, {}) for lang in entry.languages]
            sources.setdefault(entry.source["hub"], []).extend(found)
    return {name: _find_commit(name, sources[name]) for name in sources}


def _find_commit(name: str, sources: Iterable[HubSource]) -> str:
    first_fault = None
    for branch in BRANCHES:
        try:
            repository = Repository("dataset", name, find_commit("dataset", name, branch))
            for files, configuration in dict.fromkeys((source.files, source.configuration) for source in sources):
                hub_files(repository, files, configuration)
            return repository.commit
        except UserError as error:
            first_fault = first_fault or UserError(error.message, f"{name}, branch {branch}", error.fix)
    raise first_fault


def find_hashes(dataset: Dataset, raw: Path) -> dict[str, dict]:
    """{split: {"sha256": ...}} of a record's unpinned addresses, in the form of a record. Raises UserError."""
    hashes: dict[str, str] = {}
    splits = {}
    for split, entry in dataset.splits.items():
        if "url" in entry.source and set(entry.languages) - set(entry.sha256):
            urls = {lang: dataset.file_names(lang, split) for lang in entry.languages}
            for url in dict.fromkeys(itertools.chain.from_iterable(urls.values())):
                hashes[url] = hashes.get(url) or fetch_unpinned(url, raw, dataset.licence)
            splits[split] = {"sha256": compact_hashes({lang: [hashes[url] for url in urls[lang]] for lang in urls})}
    return splits


def find_numbers(dataset: Dataset, folders: Mapping[str, str | Path], raw: Path) -> dict[str, dict]:
    """{split: {"rows": {lang: n}, "sha256": hashes of the files}} of a pinned record's current files.

    Files in the network are fetched; files of the hub need no hashes, because their commit fixes them. Raises
    UserError.
    """
    splits: dict[str, dict] = {}
    for split, entry in dataset.splits.items():
        if "synthetic" in entry.source:
            message = f"the {split} split of {dataset.name!r} is generated, so that there is nothing to pin"
            raise UserError(message, dataset.record_file, "Synthetic data follow from the study's key `synthetic`.")
        rows, hashes = {}, {}
        for lang in entry.languages:
            source = dataset.pinned_source(lang, split, folders)
            if isinstance(source, HubSource | UrlSource):
                fetch(download_request(source), raw, dataset.licence)
            loaded, sources = load_rows(dataset, split, lang, folders, raw)
            rows[lang] = len(loaded)
            hashes[lang] = [source["sha256"] for source in sources]
        splits[split] = {"rows": rows} | ({} if "hub" in entry.source else {"sha256": compact_hashes(hashes)})
    return splits


def compact_hashes(hashes: Mapping[str, list[str]]) -> object:
    """Hashes by language in the form of a record: a single value for a list of one, or one for all languages."""
    single = {lang: values[0] if len(values) == 1 else values for lang, values in hashes.items()}
    first = next(iter(single.values()))
    return first if len(single) > 1 and all(value == first for value in single.values()) else single


def write_revision(path: Path, name: str, repository: str, commit: str) -> bool:
    """Replace every `revision: null` of a repository in a record by a commit; return whether there was one."""
    text = path.read_text(encoding="utf-8")
    root = yaml.compose(text, yaml.SafeLoader)
    record = next(value for key, value in root.value if key.value == name)
    places = sorted(_unpinned_spans(record, repository), reverse=True)
    for start, end in places:
        text = text[:start] + quote_commit(commit) + text[end:]
    if places:
        write_text(path, text)
    return bool(places)


def quote_commit(commit: str) -> str:
    """A commit as quoted YAML. Unquoted, a commit of digits, or of digits and one e, would be a number."""
    return f'"{commit}"'


def _unpinned_spans(node: yaml.Node, repository: str) -> Iterator[tuple[int, int]]:
    """(start, end) of every null `revision` of a repository below a node of a YAML file."""
    if isinstance(node, yaml.MappingNode):
        values = {key.value: value for key, value in node.value}
        revision = values.get("revision")
        if "hub" in values and values["hub"].value == repository and revision is not None:
            if revision.tag == "tag:yaml.org,2002:null":
                yield revision.start_mark.index, revision.end_mark.index
            return
        for value in values.values():
            yield from _unpinned_spans(value, repository)
