"""The registry: records of data sets and of languages.

Owns: the form of a record, where its files lie, which languages and splits it has.
Must never know: file formats (readers), what a study does with the data.

Every job parses the registry again, so that this module imports nothing heavier than YAML and its schema checker.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from crosstune.config import mend_yaml, validate
from crosstune.errors import UserError
from crosstune.files import read_text

SCHEMA = Path(__file__).parents[2] / "schemas" / "dataset.schema.yaml"
SOURCE_KINDS = ("files", "world", "hub")


@dataclass(frozen=True)
class HubSource:
    """One split of a data set on the Hugging Face hub, at a commit. `id_prefix` keeps only rows whose id begins so."""

    id: str
    config: str | None
    split: str
    revision: str
    id_prefix: str = ""


@dataclass(frozen=True)
class WorldSource:
    """Files of the constructed world, as paths relative to its folder."""

    paths: tuple[PurePosixPath, ...]


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
        kind = next(kind for kind in SOURCE_KINDS if kind in source)
        patterns = [] if kind == "hub" else source[kind]
        if isinstance(patterns, Mapping):
            patterns = patterns[lang]
        return [self._fill(pattern, lang, split) for pattern in ([patterns] if isinstance(patterns, str) else patterns)]

    def location(
        self, lang: str, split: str, folders: Mapping[str, str | Path]
    ) -> list[Path] | WorldSource | HubSource:
        """Where the rows of a language come from: files, files of the constructed world, or the hub.

        `folders` gives the paths of the folders that the record names in braces. Raises UserError for a language or
        split that the data set lacks, a folder that is not given, and a data set of the hub that nobody pinned.
        """
        source = self.require(lang, split).source
        if "hub" in source:
            return self._hub(source, lang, split)
        names = self.names(lang, split)
        if "world" in source:
            return WorldSource(tuple(map(PurePosixPath, names)))
        return [self._path(name, folders) for name in names]

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

    def _hub(self, source: Mapping[str, Any], lang: str, split: str) -> HubSource:
        if source.get("revision") is None:
            url = f"https://huggingface.co/datasets/{source['hub']}"
            cure = (
                f"Look up its commit: git ls-remote {url} HEAD refs/convert/parquet\n"
                "Write the 40 digits as the source's `revision`, in the registry, or in a copy of the record\n"
                "under another name in the study's key `datasets`."
            )
            raise UserError(f"data set {self.name!r} of the hub is not pinned to a revision", self.place, cure)
        config, prefix = (self._fill(source.get(key, ""), lang, split) for key in ("config", "id_prefix"))
        return HubSource(source["hub"], config or None, source.get("split", split), source["revision"], prefix)


class Registry(Mapping[str, Dataset]):
    """Data sets by name; an unknown name is a UserError that says what was perhaps meant."""

    def __init__(self, datasets: Mapping[str, Dataset]):
        self._datasets = dict(datasets)

    def __getitem__(self, name: str) -> Dataset:
        if name not in self._datasets:
            near = difflib.get_close_matches(str(name), self._datasets, 1)
            cure = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(self._datasets)}."
            raise UserError(f"unknown data set {name!r}", "registry", cure)
        return self._datasets[name]

    def __contains__(self, name: object) -> bool:
        return name in self._datasets

    def __iter__(self):
        return iter(self._datasets)

    def __len__(self) -> int:
        return len(self._datasets)


@dataclass(frozen=True)
class Language:
    """A language of the tables: `resource` is high, low or None (neither), `word_order` is of constructed ones."""

    code: str
    name: str
    family: str
    genus: str
    script: str
    resource: str | None = None
    word_order: str | None = None


def load_registry(folder: Path | str, extra: Mapping[str, Any] | None = None) -> Registry:
    """All records of `folder`/*.yaml (language tables aside), and those of a study's key `datasets`."""
    files = [path for path in sorted(Path(folder).glob("*.yaml")) if not path.name.startswith("languages")]
    records, places = {}, {}
    for place, found in [(str(path), read_yaml(path)) for path in files] + [("datasets", extra or {})]:
        if twice := sorted(set(found) & set(records), key=str):
            raise UserError(f"{twice[0]!r} is already a data set of {places[twice[0]]}", place, "Rename one of them.")
        records.update(found)
        places.update(dict.fromkeys(found, place))
    try:
        records = validate(records, SCHEMA)
    except UserError as error:
        name = error.place.partition(".")[0]
        place = f"{places[name]}: {error.place}" if name in places else "registry"
        raise UserError(error.message, place, error.cure) from None
    return Registry({name: _dataset(name, record, places[name]) for name, record in records.items()})


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
                keys = "name, family, genus, script, and if known resource and word_order"
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
    if "reader" not in record and any("hub" not in split.source for split in splits.values()):
        raise UserError("missing key 'reader'", where, "Files need a reader, which says what format they are in.")
    if record.get("reader") == "fields" and "fields" not in record:
        raise UserError("missing key 'fields'", where, "The reader `fields` must know which columns or keys hold text.")
    rest = {
        key: record[key]
        for key in ("task", "title", "licence", "reader", "head", "codes", "token_prefix", "notes", "xtreme")
        if key in record
    }
    rest["variant"] = record.get("metric", "")
    lists = {key: tuple(record[key]) for key in ("tags", "labels", "fields") if key in record}
    return Dataset(name=name, place=place, splits=splits, **rest, **lists)


def _split(entry: Mapping[str, Any], record: Mapping[str, Any], where: str) -> Split:
    own = entry.get("source", {})
    source = dict(own) if set(own) & set(SOURCE_KINDS) else {**record.get("source", {}), **own}
    if len(set(source) & set(SOURCE_KINDS)) != 1:
        raise UserError("a source has exactly one of files, world and hub", f"{where}.source")
    languages = tuple(entry.get("languages", record.get("languages", ())))
    if not languages:
        raise UserError("missing key 'languages'", where, "Name the split's languages, here or in the record.")
    for key in ("rows", "sha256", "exclude"):
        if surplus := sorted(set(entry.get(key, {})) - set(languages)):
            raise UserError(f"{key} of languages that the split lacks: {', '.join(surplus)}", f"{where}.{key}")
    if any(".." in PurePosixPath(path).parts or path.startswith("/") for path in _flat(source.get("world", []))):
        raise UserError("a path of the constructed world leaves its folder", f"{where}.source.world")
    for kind in ("files", "world"):
        if isinstance(source.get(kind), Mapping) and (absent := sorted(set(languages) - set(source[kind]))):
            raise UserError(f"no {kind} for the languages {', '.join(absent)}", f"{where}.source.{kind}")
    sha256 = {
        lang: (value,) if isinstance(value, str) else tuple(value) for lang, value in entry.get("sha256", {}).items()
    }
    exclude = {lang: tuple(ids) for lang, ids in entry.get("exclude", {}).items()}
    return Split(source, languages, entry.get("rows", {}), sha256, exclude)


def _flat(patterns: Any) -> list[str]:
    if isinstance(patterns, str):
        return [patterns]
    return [
        path for inner in (patterns.values() if isinstance(patterns, Mapping) else patterns) for path in _flat(inner)
    ]
