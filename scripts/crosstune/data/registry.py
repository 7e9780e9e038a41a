"""The registry: records of data sets and of languages.

Owns: the form of a record, where its files lie, which languages and splits it has.
Must never know: file formats (readers), what a study does with the data.

Every job parses the registry again, so that this module imports nothing heavier than YAML and its schema checker.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crosstune.core.errors import UserError
from crosstune.core.schema import mend_yaml, read_yaml, validate
from crosstune.data.parse_record import _dataset
from crosstune.data.record import FOLD, Dataset, Folds, Split, fold_name
from crosstune.data.sources import FoldSource

SCHEMA = Path(__file__).parents[3] / "schemas" / "dataset.schema.yaml"

# Files of the folder that are no data sets.
OTHER_TABLES = ("languages", "gpus")


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
        fix = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(self._records)}."
        raise UserError(f"unknown data set {name!r}", "registry", fix)

    def __contains__(self, name: object) -> bool:
        return name in self._records or self._parts(name)[1] > 0

    def _dataset(self, name: str) -> Dataset:
        if name not in self._datasets:
            place = self._places[name]
            try:
                record = validate({name: self._records[name]}, SCHEMA)[name]
            except UserError as error:
                where = f"{place}: {error.where}" if error.where.partition(".")[0] == name else place
                raise UserError(error.message, where, error.fix) from None
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
