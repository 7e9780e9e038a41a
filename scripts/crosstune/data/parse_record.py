"""Parse the YAML of a record into a `Dataset`."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from crosstune.core.errors import UserError
from crosstune.data.record import (
    COMMON_ROLES,
    ROLES,
    SOURCE_KINDS,
    TEXT_ROLES,
    Dataset,
    Folds,
    SplitRecord,
    is_archive,
    language_patterns,
    source_kind,
)
from crosstune.data.tables import is_table

# Readers whose files have columns to choose; every other reader knows its own.
TOKEN_LINES = ("columns", "columns-text")
CONLLU = ("conllu", "conllu-text")
CONLLU_COLUMN = re.compile(r"lemma|upos|xpos|deprel|(feats|misc)\.\S+")

# What `drop` may name for question answering.
DROPPED_QUESTIONS = ("unanswerable", "unlocated")


def parse_record(name: str, record: Mapping[str, Any], record_file: str) -> Dataset:
    """The data set of a record that fits the schema. Raises UserError if its keys contradict each other."""
    where = f"{record_file}: {name}"
    splits = {
        split: _parse_split(entry, record, f"{where}.splits.{split}") for split, entry in record["splits"].items()
    }
    if not {"reader", "columns"} & set(record) and any(map(_needs_reader, (split.source for split in splits.values()))):
        example = ", ".join(f"{role}: ..." for role in ROLES[record["task"]][0])
        fix = f"Files need a reader for their format, or tables the names of their columns:\ncolumns: {{{example}}}"
        raise UserError("missing key 'reader' or 'columns'", where, fix)
    _check_declaration(record, where)
    unnamed = [lang for split in splits.values() for lang in split.languages if lang not in record.get("codes", {})]
    finds_by_code = record.get("reader") == "chaii" or ("language" in record.get("columns", {}) and "codes" in record)
    if finds_by_code and unnamed:
        message = f"no code for {unnamed[0]!r}, and the rows of a language are found by its code"
        fix = f"Say what the file's column `language` calls it:\ncodes: {{{unnamed[0]}: ...}}"
        raise UserError(message, f"{where}.codes", fix)
    rest = {
        key: record[key]
        for key in (
            "task",
            "title",
            "licence",
            "reader",
            "head",
            "codes",
            "token_prefix",
            "parallel",
            "notes",
            "xtreme",
            "suite",
            "columns",
            "table",
            "tag_scheme",
            "answer_start",
        )
        if key in record
    }
    if "translate" in splits.get("test", next(iter(splits.values()))).source:
        # The ids of translated rows begin with the languages.
        rest.setdefault("parallel", "id-without-prefix")
    rest["variant"] = record.get("metric", "")
    if "folds" in record:
        rest["folds"] = _parse_folds(record, where)
    rest["drop"] = tuple(record.get("drop", ()))
    return Dataset(name=name, record_file=record_file, splits=splits, **rest, **_parse_labels(record))


def _parse_labels(record: Mapping[str, Any]) -> dict[str, Any]:
    """The labels or tags, and the map to them from those of the files if the record gives one."""
    if record["task"] == "choice":
        return {"choices": tuple(record.get("labels", ()))}
    found: dict[str, Any] = {}
    for key in ("tags", "labels"):
        given = record.get(key, ())
        found[key] = tuple(dict.fromkeys(given.values() if isinstance(given, Mapping) else given))
        if isinstance(given, Mapping):
            found["values"] = dict(given)
    return found


def _check_declaration(record: Mapping[str, Any], where: str) -> None:
    """Raise UserError if `columns` and the keys that go with it do not fit the task and the reader."""
    task, reader, columns = record["task"], record.get("reader"), record.get("columns", {})
    if reader in TOKEN_LINES:
        wrong = [c for role, c in columns.items() if role not in ("tokens", "tags") or type(c) is not int]
        fix = "columns: {tokens: 1, tags: 4}"
    elif reader in CONLLU:
        wrong = [c for role, c in columns.items() if role != "tags" or not CONLLU_COLUMN.fullmatch(str(c))]
        fix = "columns: {tags: xpos}    # or lemma, upos, deprel, feats.KEY, misc.KEY"
    elif reader:
        wrong = list(columns) or list(record.get("table", {}))
        fix = "This reader knows its columns. For a table of other columns leave `reader` out."
    else:
        wrong, fix = [], ""
        if columns:
            _check_roles(task, columns, where)
    if wrong:
        raise UserError(f"{wrong[0]!r} does not fit the reader `{reader}`", f"{where}.columns", fix)
    asks = task == "qa" or (task == "retrieval" and ("answers" in columns or reader))
    for key, fits in (("answer_start", asks), ("tag_scheme", task == "tagging")):
        if key in record and not fits:
            raise UserError(f"{key} is not for the task {task}", f"{where}.{key}", "Remove it.")
    if "drop" in record and not {"language", "split"} & set(columns):
        unknown = sorted(set(record["drop"]) - set(DROPPED_QUESTIONS)) if asks else []
        if unknown or not (asks or task in ("classification", "choice", "tagging")):
            fix = f"For questions with answers: {', '.join(DROPPED_QUESTIONS)}. For other tasks: labels or tags."
            raise UserError(f"nothing is called {(unknown or record['drop'])[0]!r} here", f"{where}.drop", fix)


def _check_roles(task: str, columns: Mapping[str, Any], where: str) -> None:
    """Raise UserError if the columns of a table lack one that its task needs, or name one that it does not have."""
    required, optional = ROLES["qa" if task == "retrieval" and "answers" in columns else task]
    if absent := [role for role in required if role not in columns]:
        line = ", ".join(f"{role}: {columns.get(role, '...')}" for role in required)
        fix = f"Which column holds it? A name, or a number from 1:\ncolumns: {{{line}}}"
        raise UserError(f"{task} needs the column {absent[0]!r}", f"{where}.columns", fix)
    known = (*required, *optional, *COMMON_ROLES)
    if surplus := [role for role in columns if role not in known]:
        fix = f"It has: {', '.join(known)}"
        raise UserError(f"a row of {task} has nothing called {surplus[0]!r}", f"{where}.columns.{surplus[0]}", fix)
    for role, column in columns.items():
        if isinstance(column, list) and role not in TEXT_ROLES:
            raise UserError(f"{role!r} is one column", f"{where}.columns.{role}", "Name one.")


def _parse_folds(record: Mapping[str, Any], where: str) -> Folds:
    """The record's `folds`. Raises UserError if the data set has a test split or the keys do not fit the method."""
    folds = Folds(**record["folds"])
    if set(record["splits"]) != {"train"}:
        raise UserError("folds are of a data set whose one split is `train`", f"{where}.folds", "Remove `folds`.")
    if folds.by == "draw" and not (folds.test and folds.validation):
        fix = f"folds: {{number: {folds.number}, by: draw, test: 100, validation: 100}}"
        raise UserError("a draw needs the numbers of its test and validation rows", f"{where}.folds", fix)
    if folds.by == "context" and (folds.test or folds.validation):
        raise UserError("cross-validation tests and validates on one part each", f"{where}.folds", "by: draw")
    return folds


def _parse_split(entry: Mapping[str, Any], record: Mapping[str, Any], where: str) -> SplitRecord:
    own, common = entry.get("source", {}), record.get("source", {})
    adds = not set(own) & set(SOURCE_KINDS) or ("hub" in common and set(own) & set(SOURCE_KINDS) == {"files"})
    source = {**common, **own} if adds else dict(own)
    kinds = set(source) & set(SOURCE_KINDS)
    if len(kinds) != 1 and kinds != {"hub", "files"}:
        raise UserError(
            "a source has exactly one of files, folder, synthetic, hub, url and translate", f"{where}.source"
        )
    languages = tuple(entry.get("languages", record.get("languages", ())))
    if not languages:
        raise UserError("missing key 'languages'", where, "Name the split's languages, here or in the record.")
    for key in ("rows", "sha256", "exclude"):
        given = entry.get(key, {})
        if isinstance(given, Mapping) and (surplus := sorted(set(given) - set(languages))):
            raise UserError(f"{key} of languages that the split lacks: {', '.join(surplus)}", f"{where}.{key}")
    if any(".." in PurePosixPath(path).parts or path.startswith("/") for path in _flatten(source.get("synthetic", []))):
        raise UserError("a path of the constructed world leaves its folder", f"{where}.source.world")
    for kind in ("files", "synthetic", "url", "member"):
        if isinstance(source.get(kind), Mapping) and (absent := sorted(set(languages) - set(source[kind]))):
            raise UserError(f"no {kind} for the languages {', '.join(absent)}", f"{where}.source.{kind}")
    if kinds == {"translate"}:
        if missing := [key for key in ("from", "by") if key not in source]:
            fix = "source: {translate: squad, from: [en], by: apertium}"
            raise UserError(f"missing key {missing[0]!r}", f"{where}.source", fix)
    elif not kinds & {"folder"} and kinds != {"files"}:
        _check_network(source, f"{where}.source")
    hashes = entry.get("sha256", {})
    hashes = hashes if isinstance(hashes, Mapping) else dict.fromkeys(languages, hashes)
    sha256 = {lang: (value,) if isinstance(value, str) else tuple(value) for lang, value in hashes.items()}
    for lang in sha256 if "url" in source else ():
        if len(sha256[lang]) != len(language_patterns(source["url"], lang)):
            raise UserError(f"expected one hash for each address of {lang!r}", f"{where}.sha256")
    exclude = {lang: tuple(ids) for lang, ids in entry.get("exclude", {}).items()}
    return SplitRecord(source, languages, entry.get("rows", {}), sha256, exclude)


def _check_network(source: Mapping[str, Any], where: str) -> None:
    """Raise UserError for unknown names in braces, addresses without host or with password, misplaced `member`."""
    for key in ("files", "url", "member", "synthetic"):
        for pattern in _flatten(source.get(key, [])):
            known = {"lang", "split", "code"} | ({"config"} if "hub" in source else set())
            if unknown := sorted(set(re.findall(r"\{(\w*)\}", pattern)) - known):
                message = f"{{{unknown[0]}}} is unknown here; there are {', '.join(sorted(known))}"
                raise UserError(message, f"{where}.{key}", "Folders of yours can be named in local files only.")
    for url in _flatten(source.get("url", [])):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(f"expected an address that begins with https://, found {url!r}", f"{where}.url")
        if parts.username or parts.password:
            raise UserError("the address holds a password, which would be in every log", f"{where}.url", "Remove it.")
        if is_archive(url) != ("member" in source):
            message = "an archive needs the key `member`, which names the files in it; no other file has this key"
            raise UserError(message, f"{where}.member", 'member: "folder/{lang}.tsv"')


def _needs_reader(source: Mapping[str, Any]) -> bool:
    """Whether the files have a format to parse: translations and tables have columns already."""
    if {"translate", "folder"} & set(source) or (source_kind(source) == "hub" and "files" not in source):
        return False
    patterns = _flatten(source.get("member") or source.get("files") or source[source_kind(source)])
    downloaded = source_kind(source) in ("hub", "url") and "member" not in source
    return not all(is_table(name) if downloaded else name.endswith(".parquet") for name in patterns)


def _flatten(patterns: Any) -> list[str]:
    if isinstance(patterns, str):
        return [patterns]
    return [
        path for inner in (patterns.values() if isinstance(patterns, Mapping) else patterns) for path in _flatten(inner)
    ]
