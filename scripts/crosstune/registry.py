"""The registry: records of data sets and of languages.

Owns: the form of a record, where its files lie, which languages and splits it has.
Must never know: file formats (readers), what a study does with the data.

Every job parses the registry again, so that this module imports nothing heavier than YAML and its schema checker.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import yaml

from crosstune.config import mend_yaml, validate
from crosstune.errors import UserError
from crosstune.files import read_text
from crosstune.fold_names import FOLD, fold_name

SCHEMA = Path(__file__).parents[2] / "schemas" / "dataset.schema.yaml"
# Files of the folder that are no data sets.
OTHER_TABLES = ("languages", "gpus")
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


@dataclass(frozen=True)
class HubSource:
    """Files of a data set on the Hugging Face hub, at a commit (None where nobody has pinned it).

    Every entry of `files` is a choice of patterns, of which the first that any file fits counts: `*` and `?` stand for
    characters of one name, `**` for folders too. `id_prefix` keeps only rows whose id begins so.
    """

    id: str
    revision: str | None
    files: tuple[tuple[str, ...], ...]
    id_prefix: str = ""


@dataclass(frozen=True)
class UrlSource:
    """Files at addresses, with the SHA-256 of each (none where nobody has pinned them).

    `members` are patterns of files in archives, as in HubSource.
    """

    urls: tuple[str, ...]
    sha256: tuple[str, ...]
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorldSource:
    """Files of the constructed world, as paths relative to its folder."""

    paths: tuple[PurePosixPath, ...]


@dataclass(frozen=True)
class TranslatedSource:
    """Rows of another data set in other languages, by a translator of the study: `origins` are languages to translate.

    Prepared rows of `dataset` and `split` in each of them are translated and follow each other.
    """

    dataset: str
    split: str
    origins: tuple[str, ...]
    translator: str


@dataclass(frozen=True)
class FoldSource:
    """One fold of another data set's prepared training rows, of which `languages` are all that are split together.

    With `origins`, the rows are translations, and those of the fold of `origins` are kept.
    """

    dataset: str
    languages: tuple[str, ...]
    fold: int
    origins: str = ""


Location = list[Path] | WorldSource | HubSource | UrlSource | TranslatedSource | FoldSource


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
            return tuple((fill(pattern),) for pattern in _of_language(source["files"], lang))
        return (tuple(fill(pattern) for pattern in HUB_FILES[bool(config)]),)

    def _filled(self, patterns: Any, lang: str, split: str) -> list[str]:
        return [self._fill(pattern, lang, split) for pattern in _of_language(patterns, lang)]

    def _fill(self, pattern: str, lang: str, split: str) -> str:
        if "{code}" in pattern and lang not in self.codes:
            raise UserError(f"the record's `codes` has no entry for {lang!r}", f"{self.place}: {self.name}")
        return pattern.replace("{lang}", lang).replace("{split}", split).replace("{code}", self.codes.get(lang, ""))

    def _path(self, name: str, folders: Mapping[str, str | Path]) -> Path:
        for folder in re.findall(r"\{(\w+)\}", name):
            if folder not in folders:
                cure = f"Say where it is in the config:\nfolders:\n  {folder}: ../path/to/{folder}"
                raise UserError(f"data set {self.name!r} needs the folder {folder!r}", "folders", cure)
            name = name.replace(f"{{{folder}}}", str(folders[folder]))
        return Path(name)


class Registry(Mapping[str, Dataset]):
    """Data sets by name; an unknown name is a UserError that says what was perhaps meant.

    A record is checked when it is first asked for: every job reads the registry and needs one of some hundred.
    """

    def __init__(self, records: Mapping[str, Any], places: Mapping[str, str]):
        self._records, self._places = dict(records), places
        self._datasets: dict[str, Dataset] = {}

    def __getitem__(self, name: str) -> Dataset:
        if name in self._records:
            return self._dataset(name)
        whole, fold = self._parts(name)
        if fold:
            # Asked for once a checkpoint, so that it is made once.
            if name not in self._datasets:
                self._datasets[name] = self._fold(whole, fold)
            return self._datasets[name]
        near = difflib.get_close_matches(str(name), self._records, 1)
        cure = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(self._records)}."
        raise UserError(f"unknown data set {name!r}", "registry", cure)

    def __contains__(self, name: object) -> bool:
        return name in self._records or self._parts(name)[1] > 0

    def _dataset(self, name: str) -> Dataset:
        if name not in self._datasets:
            place = self._places[name]
            try:
                record = validate({name: self._records[name]}, SCHEMA)[name]
            except UserError as error:
                where = f"{place}: {error.place}" if error.place.partition(".")[0] == name else place
                raise UserError(error.message, where, error.cure) from None
            dataset = _dataset(name, record, place)
            # Known before it is checked: what it translates could be a translation of it.
            self._datasets[name] = dataset
            _check_translated(dataset, self)
        return self._datasets[name]

    def folds(self, name: str) -> Folds | None:
        """How a data set is split in several ways: as its record says, or the record of what it is translated from."""
        record = self[name]
        origin = self.translated(name)
        return self.folds(origin) if origin else record.folds

    def translated(self, name: str) -> str:
        """The data set whose training rows a data set translates; "" where it is no translation."""
        train = self[name].splits.get("train")
        return train.source.get("translate", "") if train else ""

    def _parts(self, name: object) -> tuple[str, int]:
        """Data set and number of a fold's name, `chaii-fold2`; 0 where it is the name of no fold."""
        match = FOLD.fullmatch(str(name))
        if not match or match[1] not in self._records:
            return str(name), 0
        folds = self.folds(match[1])
        return match[1], int(match[2]) if folds and int(match[2]) <= folds.number else 0

    def _fold(self, whole: str, fold: int) -> Dataset:
        """The record of one fold: three splits of labelled rows, or the translations of its training rows."""
        record, origin = self[whole], self.translated(whole)
        languages = record.splits["train"].languages
        if origin:
            source = FoldSource(whole, self[origin].splits["train"].languages, fold, fold_name(origin, fold))
        else:
            source = FoldSource(whole, languages, fold)
        split = Split({"fold": source}, languages, {}, {}, {})
        splits = dict.fromkeys(("train",) if origin else ("train", "validation", "test"), split)
        return replace(
            record, name=fold_name(whole, fold), splits=splits, folds=self.folds(whole), fold=fold, whole=whole
        )

    def __iter__(self):
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)


@dataclass(frozen=True)
class Language:
    """A language of the tables: `resource` is high, low or None (neither), `word_order` is of constructed ones.

    `iso`: its ISO 639-3 code, which is the code itself where that has three letters.
    """

    code: str
    name: str
    family: str
    genus: str
    script: str
    resource: str | None = None
    word_order: str | None = None
    iso: str | None = None


def load_registry(folder: Path | str, extra: Mapping[str, Any] | None = None) -> Registry:
    """All records of `folder`/*.yaml (tables of languages and GPUs aside), and those of a study's key `datasets`.

    Of the latter every one is checked, whether the study uses it or not.
    """
    files = [path for path in sorted(Path(folder).glob("*.yaml")) if not path.name.startswith(OTHER_TABLES)]
    records, places = {}, {}
    for place, found in [(str(path), read_yaml(path)) for path in files] + [("datasets", extra or {})]:
        if twice := sorted(set(found) & set(records), key=str):
            raise UserError(f"{twice[0]!r} is already a data set of {places[twice[0]]}", place, "Rename one of them.")
        mend_yaml(dict.fromkeys(found), place)
        records.update(found)
        places.update(dict.fromkeys(found, place))
    for name in records:
        if (match := FOLD.fullmatch(str(name))) and match[1] in records:
            raise UserError(f"{name!r} is the name of a fold of {match[1]}", places[name], "Rename it.")
    registry = Registry(records, places)
    for name in extra or {}:
        registry[name]
    return registry


def load_languages(folder: Path | str) -> dict[str, Language]:
    """Languages by code, from all `folder`/languages*.yaml."""
    languages: dict[str, Language] = {}
    for path in sorted(Path(folder).glob("languages*.yaml")):
        table = mend_yaml(read_yaml(path), str(path))
        for code, entry in table.items():
            if code in languages:
                raise UserError(f"language {code!r} is described twice", str(path), "Remove one of the two entries.")
            try:
                languages[code] = Language(code, **entry)
            except TypeError:
                keys = "name, family, genus, script, and if known resource, word_order and iso"
                raise UserError(f"language {code!r} needs the keys {keys}", str(path)) from None
    return languages


def read_yaml(path: Path | str) -> dict[Any, Any]:
    """The mapping in a YAML file, empty if the file is; UserError with file:line where it is no YAML."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content = yaml.load(read_text(path), loader) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UserError(f"not valid YAML ({getattr(error, 'problem', None) or error})", place) from None
    if not isinstance(content, Mapping):
        raise UserError("expected entries by name, as in `name: {...}`", str(path))
    return dict(content)


def _dataset(name: str, record: Mapping[str, Any], place: str) -> Dataset:
    where = f"{place}: {name}"
    splits = {split: _split(entry, record, f"{where}.splits.{split}") for split, entry in record["splits"].items()}
    if "reader" not in record and not all(_needs_no_reader(split.source) for split in splits.values()):
        raise UserError("missing key 'reader'", where, "Files need a reader, which says what format they are in.")
    if record.get("reader") == "fields" and "fields" not in record:
        raise UserError("missing key 'fields'", where, "The reader `fields` must know which columns or keys hold text.")
    unnamed = [lang for split in splits.values() for lang in split.languages if lang not in record.get("codes", {})]
    if record.get("reader") == "chaii" and unnamed:
        message = f"no code for {unnamed[0]!r}, and the reader `chaii` finds the rows of a language by its code"
        cure = f"Say what the file's column `language` calls it:\ncodes: {{{unnamed[0]}: ...}}"
        raise UserError(message, f"{where}.codes", cure)
    rest = {
        key: record[key]
        for key in ("task", "title", "licence", "reader", "head", "codes", "token_prefix", "notes", "xtreme")
        if key in record
    }
    rest["variant"] = record.get("metric", "")
    if "folds" in record:
        rest["folds"] = _folds(record, where)
    lists = {key: tuple(record[key]) for key in ("tags", "labels", "fields") if key in record}
    return Dataset(name=name, place=place, splits=splits, **rest, **lists)


def _folds(record: Mapping[str, Any], where: str) -> Folds:
    """The record's `folds`, checked: only what has no test split is split by us, and not into more than it holds."""
    folds = Folds(**record["folds"])
    if set(record["splits"]) != {"train"}:
        raise UserError("folds are of a data set whose one split is `train`", f"{where}.folds", "Remove `folds`.")
    if folds.by == "draw" and not (folds.test and folds.validation):
        cure = f"folds: {{number: {folds.number}, by: draw, test: 100, validation: 100}}"
        raise UserError("a draw needs the numbers of its test and validation rows", f"{where}.folds", cure)
    if folds.by == "context" and (folds.test or folds.validation):
        raise UserError("cross-validation tests and validates on one part each", f"{where}.folds", "by: draw")
    return folds


def _check_translated(dataset: Dataset, datasets: Registry) -> None:
    """UserError where a record translates what there is not, or cannot be."""
    for name, split in dataset.splits.items():
        if "translate" not in split.source:
            continue
        where = f"{dataset.place}: {dataset.name}.splits.{name}.source"
        of = split.source["translate"]
        if of not in datasets:
            near = difflib.get_close_matches(of, datasets, 1)
            raise UserError(
                f"unknown data set {of!r}", f"{where}.translate", f"Did you mean {near[0]!r}?" if near else ""
            )
        if any("translate" in other.source for other in datasets[of].splits.values()):
            raise UserError(f"{of!r} is a translation itself", f"{where}.translate", "Translate what it is made of.")
        if datasets[of].task != dataset.task:
            raise UserError(f"{of!r} is of the task {datasets[of].task}, not {dataset.task}", f"{where}.translate")
        for lang in split.source["from"]:
            datasets[of].require(lang, name, f"{where}.from")
        if own := set(split.languages) & set(split.source["from"]):
            raise UserError(f"{sorted(own)[0]!r} would be translated into itself", f"{where}.from")


def _split(entry: Mapping[str, Any], record: Mapping[str, Any], where: str) -> Split:
    own, common = entry.get("source", {}), record.get("source", {})
    adds = not set(own) & set(SOURCE_KINDS) or ("hub" in common and set(own) & set(SOURCE_KINDS) == {"files"})
    source = {**common, **own} if adds else dict(own)
    kinds = set(source) & set(SOURCE_KINDS)
    if len(kinds) != 1 and kinds != {"hub", "files"}:
        raise UserError("a source has exactly one of files, world, hub, url and translate", f"{where}.source")
    languages = tuple(entry.get("languages", record.get("languages", ())))
    if not languages:
        raise UserError("missing key 'languages'", where, "Name the split's languages, here or in the record.")
    for key in ("rows", "sha256", "exclude"):
        given = entry.get(key, {})
        if isinstance(given, Mapping) and (surplus := sorted(set(given) - set(languages))):
            raise UserError(f"{key} of languages that the split lacks: {', '.join(surplus)}", f"{where}.{key}")
    if any(".." in PurePosixPath(path).parts or path.startswith("/") for path in _flat(source.get("world", []))):
        raise UserError("a path of the constructed world leaves its folder", f"{where}.source.world")
    for kind in ("files", "world", "url", "member"):
        if isinstance(source.get(kind), Mapping) and (absent := sorted(set(languages) - set(source[kind]))):
            raise UserError(f"no {kind} for the languages {', '.join(absent)}", f"{where}.source.{kind}")
    if kinds == {"translate"}:
        if missing := [key for key in ("from", "by") if key not in source]:
            cure = "source: {translate: squad, from: [en], by: apertium}"
            raise UserError(f"missing key {missing[0]!r}", f"{where}.source", cure)
    elif kinds != {"files"}:
        _check_network(source, f"{where}.source")
    hashes = entry.get("sha256", {})
    hashes = hashes if isinstance(hashes, Mapping) else dict.fromkeys(languages, hashes)
    sha256 = {lang: (value,) if isinstance(value, str) else tuple(value) for lang, value in hashes.items()}
    for lang in sha256 if "url" in source else ():
        if len(sha256[lang]) != len(_of_language(source["url"], lang)):
            raise UserError(f"expected one hash for each address of {lang!r}", f"{where}.sha256")
    exclude = {lang: tuple(ids) for lang, ids in entry.get("exclude", {}).items()}
    return Split(source, languages, entry.get("rows", {}), sha256, exclude)


def kind_of(source: Mapping[str, Any]) -> str:
    """Which of SOURCE_KINDS a source is."""
    return next(kind for kind in SOURCE_KINDS if kind in source)


def _check_network(source: Mapping[str, Any], where: str) -> None:
    """UserError for patterns and addresses that cannot be meant."""
    for key in ("files", "url", "member", "world"):
        for pattern in _flat(source.get(key, [])):
            known = {"lang", "split", "code"} | ({"config"} if "hub" in source else set())
            if unknown := sorted(set(re.findall(r"\{(\w*)\}", pattern)) - known):
                message = f"{{{unknown[0]}}} is unknown here; there are {', '.join(sorted(known))}"
                raise UserError(message, f"{where}.{key}", "Folders of yours can be named in local files only.")
    for url in _flat(source.get("url", [])):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(f"expected an address that begins with https://, found {url!r}", f"{where}.url")
        if parts.username or parts.password:
            raise UserError("the address holds a password, which would be in every log", f"{where}.url", "Remove it.")
        if is_archive(url) != ("member" in source):
            message = "an archive needs the key `member`, which says what to read in it; another file cannot have it"
            raise UserError(message, f"{where}.member", 'member: "folder/{lang}.tsv"')


def is_archive(name: str) -> bool:
    """Whether a file or address is named like an archive that can be read."""
    return urlsplit(name).path.endswith(ARCHIVES)


def _needs_no_reader(source: Mapping[str, Any]) -> bool:
    """Whether a source's rows are of their schema already: those of Parquet files, and translated ones."""
    if "translate" in source:
        return True
    if kind_of(source) == "hub" and "files" not in source:
        return True
    patterns = _flat(source.get("member") or source.get("files") or source[kind_of(source)])
    return kind_of(source) in ("hub", "url") and all(pattern.endswith(".parquet") for pattern in patterns)


def _of_language(patterns: Any, lang: str) -> list[str]:
    if isinstance(patterns, Mapping):
        patterns = patterns[lang]
    return [patterns] if isinstance(patterns, str) else list(patterns)


def _flat(patterns: Any) -> list[str]:
    if isinstance(patterns, str):
        return [patterns]
    return [
        path for inner in (patterns.values() if isinstance(patterns, Mapping) else patterns) for path in _flat(inner)
    ]
