"""The record of one data set: its splits, languages, files and folds."""

import glob
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from crosstune.core.errors import UserError
from crosstune.data.sources import DataSource, HubSource, SavedSource, SyntheticSource, TranslatedSource, UrlSource

# A source with `hub` and `files` names files of the hub's repository.
SOURCE_KINDS = ("hub", "url", "synthetic", "translate", "folder", "files")

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz")

# Paths of a split's Parquet files, by whether the data set has configurations: the layouts of the hub's libraries and
# of its converter (branch refs/convert/parquet).
HUB_PATTERNS = {
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


# For each task type, the columns that `columns` must and may name for a table, besides COMMON_ROLES.
ROLES = {
    "qa": (("context", "question", "answers"), ("answer_start",)),
    "classification": (("text", "label"), ("pair",)),
    "choice": (("premise", "choices", "label"), ("question",)),
    "tagging": (("tokens", "tags"), ()),
    "bitext": (("text", "pair"), ()),
    "retrieval": (("query", "candidate"), ("context",)),
    "text": (("text",), ("pair",)),
}
COMMON_ROLES = ("id", "language", "split")
# Those that hold text, for which several columns may be named.
TEXT_ROLES = ("context", "question", "text", "pair", "premise", "choices", "query", "candidate")

FOLD_NAME = re.compile(r"(.+)-fold([1-9][0-9]*)")


def fold_name(dataset: str, fold: int) -> str:
    """The name of a fold as a data set of its own: `chaii-fold2`."""
    return f"{dataset}-fold{fold}"


@dataclass(frozen=True)
class Folds:
    """Repeated splits of a data set that has no test split.

    `number` folds, `by` one of two methods. `context` is cross-validation that keeps a paragraph and its questions
    together. `draw` draws `test` and `validation` rows anew for every fold, so that test sets overlap.
    """

    number: int
    by: str = "context"
    test: int = 0
    validation: int = 0


@dataclass(frozen=True)
class SplitRecord:
    """One split of a data set: its source, and per language the expected rows and hashes and the excluded ids."""

    source: Mapping[str, Any]
    languages: tuple[str, ...]
    rows: Mapping[str, int]
    sha256: Mapping[str, tuple[str, ...]]
    exclude: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Dataset:
    """A record. `record_file` is the registry file that defines it, or the config key `datasets`.

    A fold is a data set too: `fold` is its number, from 1, and `base_dataset` the name of the data set that it splits.
    So is a part (crosstune.data.parts), with the name of the whole as `base_dataset`.
    `parallel` is what translations of one test example have in common (`key_of_example`). `values` maps the files'
    labels or tags to `labels` or `tags`; `choices` are the labels of a multiple-choice row's choices, in order.
    `suite` holds the settings of the reader `multichecklist`.
    """

    name: str
    record_file: str
    task: str
    title: str
    licence: str
    splits: Mapping[str, SplitRecord]
    reader: str | None = None
    codes: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    head: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    table: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    choices: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    tag_scheme: str = ""
    answer_start: str = ""
    token_prefix: str = ""
    notes: str = ""
    variant: str = ""
    xtreme: str = ""
    parallel: str = "id"
    suite: Mapping[str, int] = field(default_factory=dict)
    folds: Folds | None = None
    fold: int = 0
    base_dataset: str = ""

    @property
    def declaration(self) -> dict[str, Any] | tuple:
        """What the record says of its tables, besides tags and labels; () if it says nothing."""
        names = ("columns", "table", "values", "choices", "drop", "tag_scheme", "answer_start")
        return {name: value for name in names if (value := getattr(self, name))} or ()

    @property
    def where(self) -> str:
        """The record's location, for error messages."""
        return f"{self.record_file}: {self.name}"

    @property
    def metric(self) -> str:
        """Name of the metric: the record's own variant, by default the task's."""
        return self.variant or self.task

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of all splits, each once."""
        return tuple(dict.fromkeys(lang for split in self.splits.values() for lang in split.languages))

    def require(self, lang: str, split: str, where: str = "") -> SplitRecord:
        """The split. Raises UserError at `where` (a config key) if it or its language does not exist."""
        where = where or self.record_file
        if split not in self.splits:
            message = f"data set {self.name!r} has no split {split!r}"
            raise UserError(message, where, f"It has: {', '.join(self.splits)}.")
        record = self.splits[split]
        if lang not in record.languages:
            message = f"data set {self.name!r} has no language {lang!r} in its {split} split"
            raise UserError(message, where, f"It has: {', '.join(record.languages)}.")
        return record

    def file_names(self, lang: str, split: str) -> list[str]:
        """Files of a language as the record names them: folders in braces, wildcards; none for hub and translations."""
        source = self.require(lang, split).source
        kind = source_kind(source)
        return [] if kind in ("hub", "translate") else self._expand_all(source[kind], lang, split)

    def pinned_source(self, lang: str, split: str, folders: Mapping[str, str | Path]) -> DataSource:
        """The source of one language's rows, in a version that the record pins.

        `folders` maps the names in braces to paths. Raises UserError if the split, its language or a folder is missing,
        or if the record pins no version of a source in the network.
        """
        if not self.is_pinned(lang, split):
            what = "a revision" if source_kind(self.splits[split].source) == "hub" else "the hash of its file"
            message = f"data set {self.name!r} ({split}, {lang}) is not pinned to {what}"
            raise UserError(message, self.record_file, f"With a network: python scripts/pin.py {self.name}")
        return self.source(lang, split, folders)

    def source(self, lang: str, split: str, folders: Mapping[str, str | Path]) -> DataSource:
        """The source of one language's rows, pinned or not: enough to plan a study, not to read data."""
        source = self.require(lang, split).source
        if derived := source.get("fold") or source.get("part"):
            return derived
        kind, prefix = source_kind(source), self._expand(source.get("id_prefix", ""), lang, split)
        if kind == "translate":
            return TranslatedSource(source["translate"], split, tuple(source["from"]), source["by"])
        if kind == "hub":
            return HubSource(
                source["hub"],
                source.get("revision"),
                self.hub_patterns(lang, split),
                prefix,
                None if "files" in source else self.hub_configuration(lang, split),
            )
        names = self.file_names(lang, split)
        if kind == "url":
            members = tuple(self._expand_all(source.get("member", []), lang, split))
            return UrlSource(tuple(names), self.splits[split].sha256.get(lang, ()), members)
        if kind == "folder":
            return SavedSource(self._path(names[0], folders), source.get("split", split), prefix)
        if kind == "synthetic":
            return SyntheticSource(tuple(map(PurePosixPath, names)))
        return [path for _, path in self.local_files(lang, split, folders)]

    def local_files(self, lang: str, split: str, folders: Mapping[str, str | Path]) -> list[tuple[str, Path]]:
        """(name, path) of a language's files on disk; the name has its folder in braces.

        `*` and `?` match the characters of one name and `**` folders too; matches are in the order of their names. A
        pattern that matches nothing stays, and is then a file that does not exist.
        """
        found = []
        for name in self.file_names(lang, split):
            if not (wildcard := re.search("[*?]", name)):
                found.append((name, self._path(name, folders)))
                continue
            cut = name.rfind("/", 0, wildcard.start()) + 1
            base, pattern = name[:cut], name[cut:].replace("[", "[[]")
            root = self._path(base or ".", folders)
            matches = sorted(glob.glob(pattern, root_dir=root, recursive=True))
            paths = [(base + match, root / match) for match in matches if (root / match).is_file()]
            found += paths or [(name, self._path(name, folders))]
        return found

    def is_pinned(self, lang: str, split: str) -> bool:
        """Whether the record states the version of a source in the network; true for every other source."""
        record = self.require(lang, split)
        if "hub" in record.source:
            return record.source.get("revision") is not None
        return "url" not in record.source or lang in record.sha256

    def hub_patterns(self, lang: str, split: str) -> tuple[tuple[str, ...], ...]:
        """Choices of file patterns for one language on the hub, as in HubSource."""
        source = self.require(lang, split).source
        config, name = self.hub_configuration(lang, split)

        def fill(pattern: str) -> str:
            return self._expand(pattern.replace("{config}", config), lang, name)

        if "files" in source:
            return tuple((fill(pattern),) for pattern in language_patterns(source["files"], lang))
        return (tuple(fill(pattern) for pattern in HUB_PATTERNS[bool(config)]),)

    def hub_configuration(self, lang: str, split: str) -> tuple[str, str]:
        """(configuration or "", split) of one language on the hub."""
        source = self.require(lang, split).source
        return self._expand(source.get("config", ""), lang, split), source.get("split", split)

    def _expand_all(self, patterns: Any, lang: str, split: str) -> list[str]:
        return [self._expand(pattern, lang, split) for pattern in language_patterns(patterns, lang)]

    def _expand(self, pattern: str, lang: str, split: str) -> str:
        if "{code}" in pattern and lang not in self.codes:
            raise UserError(f"the record's `codes` has no entry for {lang!r}", self.where)
        return pattern.replace("{lang}", lang).replace("{split}", split).replace("{code}", self.codes.get(lang, ""))

    def _path(self, name: str, folders: Mapping[str, str | Path]) -> Path:
        for folder in re.findall(r"\{(\w+)\}", name):
            if folder not in folders:
                fix = f"Say where it is in the config:\nfolders:\n  {folder}: ../path/to/{folder}"
                raise UserError(f"data set {self.name!r} needs the folder {folder!r}", "folders", fix)
            name = name.replace(f"{{{folder}}}", str(folders[folder]))
        return Path(name)


def key_of_example(parallel: str, identifier: str, position: int) -> str:
    """What the translations of a test example have in common, by the `parallel` of its record.

    id: its whole id. id-without-prefix: its id after the first colon, for ids that begin with a file's name or with
    languages. position: its place among the examples of its language.
    """
    if parallel == "position":
        return str(position)
    return identifier.partition(":")[2] or identifier if parallel == "id-without-prefix" else identifier


def source_kind(source: Mapping[str, Any]) -> str:
    """The one of SOURCE_KINDS that a source has as key."""
    return next(kind for kind in SOURCE_KINDS if kind in source)


def is_archive(name: str) -> bool:
    """Whether a file or address has the suffix of a readable archive."""
    return urlsplit(name).path.endswith(ARCHIVE_SUFFIXES)


def language_patterns(patterns: Any, lang: str) -> list[str]:
    if isinstance(patterns, Mapping):
        patterns = patterns[lang]
    return [patterns] if isinstance(patterns, str) else list(patterns)
