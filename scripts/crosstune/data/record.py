"""A data set's record: its splits, languages, files and folds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from crosstune.core.errors import UserError
from crosstune.data.sources import HubSource, Location, TranslatedSource, UrlSource, WorldSource

# `files` beside `hub` are files of the hub's repository.
SOURCE_KINDS = ("hub", "url", "world", "translate", "files")

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz")

# Where the hub's libraries put the Parquet files of a split, and where its converter does (refs/convert/parquet).
HUB_FILES = {
    True: (
        "{config}/{split}-?????-of-*.parquet",
        "{config}/{split}/*.parquet",
        "data/{config}/{split}-?????-of-*.parquet",
        "{config}/{split}.parquet",
    ),
    False: (
        "data/{split}-?????-of-*.parquet",
        "default/{split}/*.parquet",
        "{split}-?????-of-*.parquet",
        "data/{split}.parquet",
        "{split}.parquet",
    ),
}


FOLD = re.compile(r"(.+)-fold([1-9][0-9]*)")


def fold_name(dataset: str, fold: int) -> str:
    """The name under which a fold of a data set is a data set: `chaii-fold2`."""
    return f"{dataset}-fold{fold}"


@dataclass(frozen=True)
class Folds:
    """How a data set without test split is split: in how many ways, and by what.

    `context`: cross-validation, in which a paragraph and all questions about it stay together. `draw`: independent
    random draws of `test` and `validation` rows, in which they do not, and test sets overlap (MuCoT's).
    """

    number: int
    by: str = "context"
    test: int = 0
    validation: int = 0


@dataclass(frozen=True)
class Split:
    """One split of a data set: its source, and what it must hold, per language."""

    source: Mapping[str, Any]
    languages: tuple[str, ...]
    rows: Mapping[str, int]
    sha256: Mapping[str, tuple[str, ...]]
    exclude: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Dataset:
    """A record. `place` is the file (or config key) that it was read from."""

    name: str
    place: str
    task: str
    title: str
    licence: str
    splits: Mapping[str, Split]
    reader: str | None = None
    codes: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    head: str | None = None
    fields: tuple[str | int, ...] = ()
    token_prefix: str = ""
    notes: str = ""
    variant: str = ""
    xtreme: str = ""
    folds: Folds | None = None
    # Of a fold: its number, from 1, and the data set that it is of.
    fold: int = 0
    whole: str = ""

    @property
    def metric(self) -> str:
        """The name of the metric that the data set is scored by: its task's own, or the variant that it asks for."""
        return self.variant or self.task

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of all splits together."""
        return tuple(dict.fromkeys(lang for split in self.splits.values() for lang in split.languages))

    def require(self, lang: str, split: str, place: str = "") -> Split:
        """The split; UserError at `place` (a config key) where the data set lacks it, or lacks the language in it."""
        if split not in self.splits:
            have = ", ".join(self.splits)
            raise UserError(f"data set {self.name!r} has no split {split!r}", place or self.place, f"It has: {have}.")
        found = self.splits[split]
        if lang not in found.languages:
            message = f"data set {self.name!r} has no language {lang!r} in its {split} split"
            raise UserError(message, place or self.place, f"It has: {', '.join(found.languages)}.")
        return found

    def names(self, lang: str, split: str) -> list[str]:
        """The files of a language as the record names them, with folders still in braces (none for the hub)."""
        source = self.require(lang, split).source
        kind = kind_of(source)
        return [] if kind in ("hub", "translate") else self._filled(source[kind], lang, split)

    def location(self, lang: str, split: str, folders: Mapping[str, str | Path]) -> Location:
        """Where the rows of a language come from: files, files of the constructed world, the hub, or addresses.

        `folders` gives the paths of the folders that the record names in braces. Raises UserError for a language or
        split that the data set lacks, a folder that is not given, and a data set of the network that nobody pinned.
        """
        if not self.pinned(lang, split):
            what = "a revision" if kind_of(self.splits[split].source) == "hub" else "the hash of its file"
            message = f"data set {self.name!r} ({split}, {lang}) is not pinned to {what}"
            raise UserError(message, self.place, f"With a network: python scripts/pin.py {self.name}")
        return self.planned(lang, split, folders)

    def planned(self, lang: str, split: str, folders: Mapping[str, str | Path]) -> Location:
        """As `location`, but pinned or not: enough to say what a study would read, not to read it."""
        source = self.require(lang, split).source
        if "fold" in source:
            return source["fold"]
        kind = kind_of(source)
        if kind == "translate":
            return TranslatedSource(source["translate"], split, tuple(source["from"]), source["by"])
        if kind == "hub":
            prefix = self._fill(source.get("id_prefix", ""), lang, split)
            return HubSource(source["hub"], source.get("revision"), self.hub_files(lang, split), prefix)
        names = self.names(lang, split)
        if kind == "url":
            members = tuple(self._filled(source.get("member", []), lang, split))
            return UrlSource(tuple(names), self.splits[split].sha256.get(lang, ()), members)
        if kind == "world":
            return WorldSource(tuple(map(PurePosixPath, names)))
        return [self._path(name, folders) for name in names]

    def pinned(self, lang: str, split: str) -> bool:
        """Whether the record says which version of a source in the network it means."""
        found = self.require(lang, split)
        if "hub" in found.source:
            return found.source.get("revision") is not None
        return "url" not in found.source or lang in found.sha256

    def hub_files(self, lang: str, split: str) -> tuple[tuple[str, ...], ...]:
        """The choices of patterns for the files of a language on the hub."""
        source = self.require(lang, split).source
        config = self._fill(source.get("config", ""), lang, split)
        name = source.get("split", split)

        def fill(pattern: str) -> str:
            return self._fill(pattern.replace("{config}", config), lang, name)

        if "files" in source:
            return tuple((fill(pattern),) for pattern in of_language(source["files"], lang))
        return (tuple(fill(pattern) for pattern in HUB_FILES[bool(config)]),)

    def _filled(self, patterns: Any, lang: str, split: str) -> list[str]:
        return [self._fill(pattern, lang, split) for pattern in of_language(patterns, lang)]

    def _fill(self, pattern: str, lang: str, split: str) -> str:
        if "{code}" in pattern and lang not in self.codes:
            raise UserError(f"the record's `codes` has no entry for {lang!r}", f"{self.place}: {self.name}")
        return pattern.replace("{lang}", lang).replace("{split}", split).replace("{code}", self.codes.get(lang, ""))

    def _path(self, name: str, folders: Mapping[str, str | Path]) -> Path:
        for folder in re.findall(r"\{(\w+)\}", name):
            if folder not in folders:
                fix = f"Say where it is in the config:\nfolders:\n  {folder}: ../path/to/{folder}"
                raise UserError(f"data set {self.name!r} needs the folder {folder!r}", "folders", fix)
            name = name.replace(f"{{{folder}}}", str(folders[folder]))
        return Path(name)


def kind_of(source: Mapping[str, Any]) -> str:
    """Which of SOURCE_KINDS a source is."""
    return next(kind for kind in SOURCE_KINDS if kind in source)


def is_archive(name: str) -> bool:
    """Whether a file or address is named like an archive that can be read."""
    return urlsplit(name).path.endswith(ARCHIVES)


def of_language(patterns: Any, lang: str) -> list[str]:
    if isinstance(patterns, Mapping):
        patterns = patterns[lang]
    return [patterns] if isinstance(patterns, str) else list(patterns)
