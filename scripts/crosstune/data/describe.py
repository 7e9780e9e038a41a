"""Guess the record of files: what guess_format.py says of their contents, with languages and splits from their names.

A guess is a record that works, with questions for what files cannot tell.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crosstune.core.errors import UserError
from crosstune.data.guess_format import guess_format
from crosstune.data.prepare import load_rows
from crosstune.data.record import Dataset
from crosstune.data.registry import Language, load_registry

SPLITS = {
    "train": "train", "training": "train", "dev": "validation", "devel": "validation", "validation": "validation",
    "valid": "validation", "val": "validation", "test": "test", "testing": "test",
    "testa": "validation", "testb": "test",
}  # fmt: skip
UNKNOWN_LANGUAGE = "xx"


@dataclass
class Guess:
    """A record, the folder of its files, the questions that it leaves, by key, and what reading it gave.

    `described`: the languages that the registry lacks.
    """

    record: dict[str, Any]
    folder: Path
    questions: dict[str, str] = field(default_factory=dict)
    described: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    first: dict = field(default_factory=dict)


def guess_record(
    paths: Sequence[Path], name: str, languages: Mapping[str, Language], language: str = "", task: str = ""
) -> Guess:
    """The record of some files of one data set, whose rows it gives. Raises UserError if no guess can be read.

    `language` and `task` are what the user says of them; "" if that is to be guessed.
    """
    for path in paths:
        if not path.is_file():
            raise UserError("no such file", str(path))
    files = [_Place.of(path, languages, language) for path in paths]
    record, questions = guess_format(paths, task)
    known = dict.fromkeys(place.language for place in files)
    asked = "which language is it? its ISO 639 code" if UNKNOWN_LANGUAGE in known else "as the files' names say"
    questions |= {} if language else {"languages": asked}
    codes = {place.language: place.code for place in files if place.code not in ("", place.language)}
    record |= {"codes": codes} if codes else {}
    guess = Guess({**record, "languages": list(known)}, _common_folder(paths), questions)
    guess.record["splits"] = _splits(files, guess.folder, name)
    guess.described = [code for code in known if code not in languages]
    _read(guess, name)
    return guess


def _read(guess: Guess, name: str) -> None:
    """Read all rows of a guess, with keys that errors propose, and keep their number and the first one."""
    for _ in range(4):
        try:
            dataset = load_registry(guess.folder / "no registry", {name: _complete(guess.record, name)})[name]
            _count(guess, dataset, name)
            return
        except UserError as error:
            if not _mend(guess, error):
                raise


def _count(guess: Guess, dataset: Dataset, name: str) -> None:
    guess.counts = {}
    for split, entry in dataset.splits.items():
        for lang in entry.languages:
            rows, _ = load_rows(dataset, split, lang, {name: guess.folder}, guess.folder)
            guess.counts[f"{split} {lang}"] = len(rows)
            guess.first = guess.first or rows[0]


def _mend(guess: Guess, error: UserError) -> bool:
    """Add the first key to the record that an error proposes and the record lacks; whether there is one."""
    proposals = (
        ("drop: [unanswerable]", "drop", "unanswerable", "some questions have no answer"),
        ("answer_start: find", "answer_start", "find", "some answers are not at their offset, or have none"),
        ("drop: [unlocated]", "drop", "unlocated", "some answers are not in their context"),
    )
    for line, key, value, reason in proposals:
        if line not in error.fix or value in guess.record.get(key, ()):
            continue
        guess.record[key] = [*guess.record.get("drop", []), value] if key == "drop" else value
        guess.questions[key] = f"{reason}; prepare counts them"
        return True
    if prefix := re.search(r'token_prefix: "(.+?)"', error.fix):
        guess.record["token_prefix"] = prefix[1]
        return True
    return False


def _complete(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {"title": name, "licence": "unknown", **record}


# ---------------------------------------------------------------------------------------------------- places of files


@dataclass(frozen=True)
class _Place:
    """A file with the language and split that its path tells; `code` is what the path calls the language.

    `pattern` is the path with a name in braces for that.
    """

    path: Path
    pattern: str
    language: str
    code: str
    split: str

    @classmethod
    def of(cls, path: Path, languages: Mapping[str, Language], given: str) -> "_Place":
        absolute = path.absolute()
        # A folder's name may be a language's, but tells nothing by a part of it.
        parts = [*re.split("[^A-Za-z]+", absolute.name), absolute.parent.name]
        names = {language.name.lower(): code for code, language in languages.items()}
        names |= {language.iso: code for code, language in languages.items() if language.iso}
        names |= {code: code for code in languages}
        code = next((part for part in parts if (part == given if given else part.lower() in names)), "")
        language = given or names.get(code.lower(), UNKNOWN_LANGUAGE)
        split = next((SPLITS[part.lower()] for part in parts if part.lower() in SPLITS), "train")
        above = absolute.parent.parent
        tail = str(absolute.relative_to(above))
        if code:
            braces = "{lang}" if code == language else "{code}"
            tail = re.sub(rf"(?<![A-Za-z]){code}(?![A-Za-z])", braces, tail)
        return cls(absolute, str(above / tail), language, code, split)


def _common_folder(paths: Sequence[Path]) -> Path:
    """The innermost folder that holds all files."""
    parents = [path.absolute().parent for path in paths]
    above = (parents[0], *parents[0].parents)
    return next(folder for folder in above if all(parent.is_relative_to(folder) for parent in parents))


def _splits(files: Sequence[_Place], folder: Path, name: str) -> dict[str, dict]:
    """The record's splits with their sources: one pattern if a split's files differ in their language alone."""
    splits: dict[str, dict] = {}
    for split in ("train", "validation", "test"):
        places = [place for place in files if place.split == split]
        if not places:
            continue
        languages = list(dict.fromkeys(place.language for place in places))
        sources = {
            lang: [_named(place, folder, name) for place in places if place.language == lang] for lang in languages
        }
        patterns = {_patterned(place, folder, name) for place in places}
        if len(patterns) == 1:
            source: Any = patterns.pop()
        else:
            source = {lang: names[0] if len(names) == 1 else names for lang, names in sources.items()}
        every = list(dict.fromkeys(place.language for place in files))
        splits[split] = {"source": {"files": source}} | ({"languages": languages} if languages != every else {})
    return splits


def _named(place: _Place, folder: Path, name: str) -> str:
    return f"{{{name}}}/{place.path.relative_to(folder)}"


def _patterned(place: _Place, folder: Path, name: str) -> str:
    if not place.pattern.startswith(f"{folder}/"):
        return _named(place, folder, name)
    return f"{{{name}}}/{place.pattern.removeprefix(f'{folder}/')}"
