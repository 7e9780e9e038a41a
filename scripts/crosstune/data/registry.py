"""The registry: records of all data sets and languages.

Every job parses the registry, so this module imports nothing heavier than YAML and a schema validator.
"""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from crosstune.core.errors import UserError
from crosstune.core.schema import mend_yaml, read_yaml, validate
from crosstune.data.parse_record import parse_record
from crosstune.data.part_names import HELD, split_part
from crosstune.data.parts import part_dataset
from crosstune.data.places import check_places, check_syntax
from crosstune.data.record import FOLD_NAME, Dataset, Folds, SplitRecord, fold_name
from crosstune.data.sources import FoldSource

SCHEMA = Path(__file__).parents[3] / "schemas" / "dataset.schema.yaml"

# Prefixes of files in the registry folder that hold no data sets.
OTHER_FILES = ("languages", "gpus")


class Registry(Mapping[str, Dataset]):
    """Data sets by name. An unknown name raises UserError, which suggests a similar one.

    A record is checked on first access, because every job reads the registry and needs one record of some hundred.
    `record_files` gives the file, or config key, that defines each record.
    """

    def __init__(self, records: Mapping[str, Any], record_files: Mapping[str, str]):
        self._records, self._record_files = dict(records), record_files
        self._datasets: dict[str, Dataset] = {}

    def __getitem__(self, name: str) -> Dataset:
        if name in self._records:
            return self._load(name)
        whole, part = split_part(str(name))
        if part and whole in self:
            if name not in self._datasets:
                origin = self.translation_source(whole) if part.kind == HELD else ""
                self._datasets[name] = part_dataset(self[whole], part, self[part.of(origin)] if origin else None)
            return self._datasets[name]
        base, fold = self._parse_fold_name(name)
        if fold:
            # Cached, because every checkpoint looks it up.
            if name not in self._datasets:
                self._datasets[name] = self._fold_dataset(base, fold)
            return self._datasets[name]
        near = difflib.get_close_matches(str(name), self._records, 1)
        fix = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(self._records)}."
        raise UserError(f"unknown data set {name!r}", "registry", fix)

    def __contains__(self, name: object) -> bool:
        whole, part = split_part(str(name))
        return whole in self if part else name in self._records or self._parse_fold_name(name)[1] > 0

    def _load(self, name: str) -> Dataset:
        if name not in self._datasets:
            file = self._record_files[name]
            _check_former_keys(self._records[name], f"{file}: {name}")
            try:
                record = validate({name: self._records[name]}, SCHEMA)[name]
            except UserError as error:
                where = f"{file}: {error.where}" if error.where.partition(".")[0] == name else file
                raise UserError(error.message, where, error.fix) from None
            check_syntax(record, f"{file}: {name}")
            dataset = parse_record(name, record, file)
            check_places(dataset)
            # Cached before the check, which would recurse for two records that translate each other.
            self._datasets[name] = dataset
            _check_translation(dataset, self)
        return self._datasets[name]

    def folds(self, name: str) -> Folds | None:
        """The folds of a data set: its own or, for a translation, those of its originals; None without folds."""
        record = self[name]
        origin = self.translation_source(name)
        return self.folds(origin) if origin else record.folds

    def translation_source(self, name: str) -> str:
        """Name of the data set whose training rows a data set translates; "" if it is no translation."""
        train = self[name].splits.get("train")
        return train.source.get("translate", "") if train else ""

    def _parse_fold_name(self, name: object) -> tuple[str, int]:
        """(data set, fold number) of a name such as `chaii-fold2`; number 0 if the name is not a fold's."""
        match = FOLD_NAME.fullmatch(str(name))
        if not match or match[1] not in self._records:
            return str(name), 0
        folds = self.folds(match[1])
        return match[1], int(match[2]) if folds and int(match[2]) <= folds.number else 0

    def _fold_dataset(self, base: str, fold: int) -> Dataset:
        """One fold: three splits of the labelled rows or, of a translation, its training rows alone."""
        record, origin = self[base], self.translation_source(base)
        languages = record.splits["train"].languages
        if origin:
            source = FoldSource(base, self[origin].splits["train"].languages, fold, fold_name(origin, fold))
        else:
            source = FoldSource(base, languages, fold)
        split = SplitRecord({"fold": source}, languages, {}, {}, {})
        splits = dict.fromkeys(("train",) if origin else ("train", "validation", "test"), split)
        name, folds = fold_name(base, fold), self.folds(base)
        return replace(record, name=name, splits=splits, folds=folds, fold=fold, base_dataset=base)

    def __iter__(self):
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)


@dataclass(frozen=True)
class Language:
    """A language of the tables. `resource` is high, low or None (neither); only synthetic ones have a `word_order`.

    `iso` is the ISO 639-3 code; None if `code` is that.
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
    """All data sets of `folder`/*.yaml, and those of `extra`, a study's key `datasets`.

    Records of `extra` are all checked now. Raises UserError if one is wrong or two data sets have the same name.
    """
    paths = [path for path in sorted(Path(folder).glob("*.yaml")) if not path.name.startswith(OTHER_FILES)]
    records, files = {}, {}
    for file, entries in [(str(path), read_yaml(path)) for path in paths] + [("datasets", extra or {})]:
        if twice := sorted(set(entries) & set(records), key=str):
            raise UserError(f"{twice[0]!r} is already a data set of {files[twice[0]]}", file, "Rename one of them.")
        mend_yaml(dict.fromkeys(entries), file)
        records.update(entries)
        files.update(dict.fromkeys(entries, file))
    for name in records:
        if (match := FOLD_NAME.fullmatch(str(name))) and match[1] in records:
            raise UserError(f"{name!r} is the name of a fold of {match[1]}", files[name], "Rename it.")
    registry = Registry(records, files)
    for name in extra or {}:
        registry[name]
    return registry


def load_languages(folder: Path | str, extra: Mapping[str, Mapping[str, str]] | None = None) -> dict[str, Language]:
    """Languages by code, from all `folder`/languages*.yaml and from `extra`, a study's key `languages`.

    Keys of `extra` replace those of the files. Raises UserError for duplicates, wrong keys and missing ones.
    """
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
    for code, entry in (extra or {}).items():
        known = asdict(languages[code]) if code in languages else {"code": code, "genus": entry.get("family")}
        if missing := [key for key in ("name", "family", "script") if key not in {**known, **entry}]:
            line = ", ".join(f"{key}: {entry.get(key, '...')}" for key in ("name", "family", "script", "resource"))
            message = f"a language that the registry lacks needs {', '.join(missing)}"
            raise UserError(message, f"languages.{code}", f"{code}: {{{line}}}")
        languages[code] = Language(**{**known, **entry})
    return languages


def _check_former_keys(record: Any, where: str) -> None:
    """Raise UserError, with the line to write instead, for a key of earlier versions."""
    if isinstance(record, Mapping) and "fields" in record:
        names = ", ".join(map(str, record["fields"])) if isinstance(record["fields"], list) else "..."
        roles = f"tokens: tokens, tags: {names}" if record.get("task") == "tagging" else f"text: [{names}]"
        fix = f"Write it, without `reader: fields`, as\ncolumns: {{{roles}}}"
        raise UserError("the key 'fields' is now `columns`", f"{where}.fields", fix)


def _check_translation(dataset: Dataset, datasets: Registry) -> None:
    """Raise UserError if a record translates a data set or language that does not exist, or that cannot be."""
    for name, split in dataset.splits.items():
        if "translate" not in split.source:
            continue
        where = f"{dataset.where}.splits.{name}.source"
        origin = split.source["translate"]
        if origin not in datasets:
            near = difflib.get_close_matches(origin, datasets, 1)
            fix = f"Did you mean {near[0]!r}?" if near else ""
            raise UserError(f"unknown data set {origin!r}", f"{where}.translate", fix)
        original = datasets[origin]
        if any("translate" in other.source for other in original.splits.values()):
            raise UserError(f"{origin!r} is a translation itself", f"{where}.translate", "Translate its original.")
        if original.task != dataset.task:
            raise UserError(f"{origin!r} is of the task {original.task}, not {dataset.task}", f"{where}.translate")
        for lang in split.source["from"]:
            original.require(lang, name, f"{where}.from")
        if own := set(split.languages) & set(split.source["from"]):
            raise UserError(f"{sorted(own)[0]!r} would be translated into itself", f"{where}.from")
