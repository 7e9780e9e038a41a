"""Building blocks of readers: options, checked fields of JSON, lines, blocks, ids."""

import difflib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from crosstune.core.errors import UserError

# fmt: off
UPOS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM",
    "VERB", "X",
)

# fmt: on

UNSPACED_LANGUAGES = ("ja", "km", "lo", "my", "th", "zh")  # written without spaces between words

# Suffixes of formats and of compression.
SUFFIXES = ("json", "jsonl", "ndjson", "csv", "tsv", "txt", "conll", "conllu", "parquet", "gz", "xz", "bz2", "zst")

KIND_NAMES = {str: "a string", int: "a whole number", list: "a list", dict: "an object"}


@dataclass(frozen=True)
class ReaderOptions:
    """Properties of a file, beyond its format, that its record states, under the names of the record's keys.

    `values` maps the file's labels or tags to those of `labels` or `tags`; empty if the file has these. `task` and
    `split` are those of the rows. Reading counts in `notes` what it leaves out or looks for.
    """

    lang: str = ""
    languages: tuple[str, ...] = ()
    tags: tuple[str, ...] = UPOS
    labels: tuple[str, ...] = ()
    token_prefix: str = ""
    codes: Mapping[str, str] = field(default_factory=dict)
    suite: Mapping[str, int] = field(default_factory=dict)
    task: str = ""
    split: str = "train"
    columns: Mapping[str, Any] = field(default_factory=dict)
    table: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    tag_scheme: str = ""
    answer_start: str = ""
    notes: Counter = field(default_factory=Counter, compare=False)


DEFAULT_OPTIONS = ReaderOptions()


def check_ids(rows: Sequence[Mapping], where: str) -> None:
    """Raise UserError if an id occurs twice."""
    seen = set()
    for row in rows:
        if row["id"] in seen:
            raise UserError(f"the id {row['id']!r} occurs twice", where, "Ids name predictions: make them unique.")
        seen.add(row["id"])


def check_tag(tag: str, allowed: Sequence[str], where: str) -> None:
    """Raise UserError if the record's key `tags` does not allow the tag."""
    _check_member(tag, allowed, where, "tag", "tags")


def check_label(label: str, allowed: Sequence[str], where: str) -> None:
    """Raise UserError if the record's key `labels` does not allow the label."""
    _check_member(label, allowed, where, "label", "labels")


def check_code(code: str, codes: Mapping[str, str], where: str) -> None:
    """Raise UserError if a file's name of a language is no value of the record's key `codes`."""
    try:
        _check_member(code, list(codes.values()), where, "language", "codes")
    except UserError as error:
        fix = f"{error.fix}\nTo read no rows of another language:\ndrop: [{code}]"
        raise UserError(error.message, error.where, fix) from None


def _check_member(value: str, allowed: Sequence[str], where: str, what: str, key: str) -> None:
    if value not in allowed:
        near = difflib.get_close_matches(value, allowed, 1)
        fix = f"Did you mean {near[0]!r}?" if near else f"The record's key `{key}` lists the allowed values."
        raise UserError(f"the {what} {value!r} is outside the set {' '.join(allowed)}", where, fix)


def check_forms(tokens: Sequence[str], where: str) -> None:
    """Raise UserError for a sentence of withheld words: some treebanks replace all by `_` for their texts' licence."""
    if len(tokens) > 1 and set(tokens) == {"_"}:
        fix = "The treebank's README says where the text is and how to put it back. Train on the file with the text."
        raise UserError("all words of the sentence are `_`: this release holds no text", where, fix)


def check_prefix(tokens: Sequence[str], where: str) -> None:
    """Raise UserError if all tokens of a file begin with the code of a language, as in WikiANN's original files."""
    prefix = re.match("[a-z][a-z-]+:", tokens[0]) if len(tokens) > 1 else None
    if prefix and all(token.startswith(prefix[0]) for token in tokens):
        fix = f'Say in the record that it is no text:\ntoken_prefix: "{prefix[0]}"'
        raise UserError(f"all tokens begin with {prefix[0]!r}", where, f'{fix}\nor of all languages: "{{lang}}:"')


def parse_json(text: str, file: str, first_line: int = 1) -> Any:
    """The JSON of a text that begins at `first_line` of a file. Raises UserError with the line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        message = f"not valid JSON ({error.msg}): the file is truncated or of another format"
        raise UserError(message, f"{file}:{first_line + error.lineno - 1}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"not valid JSON ({error})", f"{file}:{first_line}") from None


def json_field(mapping: Any, key: str, kind: type, where: str) -> Any:
    """The field `key` of a JSON object. Raises UserError if it is missing or not of type `kind`."""
    if not isinstance(mapping, Mapping):
        raise UserError(f"expected an object with the field {key!r}, found {describe_value(mapping)}", where)
    if key not in mapping:
        raise UserError(f"the field {key!r} is missing; there are {', '.join(map(repr, mapping)) or 'none'}", where)
    value = mapping[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UserError(f"expected {KIND_NAMES[kind]} in {key!r}, found {describe_value(value)}", where)
    if kind is str and re.search("[\ud800-\udfff]", value):
        raise UserError(f"half of a surrogate pair in {key!r}, which is no character", where)
    return value


def json_items(mapping: Any, key: str, kind: type, where: str) -> list:
    """The list in field `key` of a JSON object. Raises UserError if an item is not of type `kind`."""
    items = json_field(mapping, key, list, where)
    for number, item in enumerate(items):
        if not isinstance(item, kind) or isinstance(item, bool):
            raise UserError(f"expected {KIND_NAMES[kind]} in '{key}[{number}]', found {describe_value(item)}", where)
    return items


def text_field(mapping: Any, key: str, where: str) -> str:
    """The field `key` of a JSON object, a string. Raises UserError if it holds white space only."""
    value = json_field(mapping, key, str, where)
    if not value.strip():
        raise UserError(f"the field {key!r} is empty", where)
    return value


def id_field(mapping: Any, where: str) -> str:
    """The field `id` of a JSON object, a string or a whole number, as a string."""
    if isinstance(mapping, Mapping) and type(mapping.get("id")) is int:
        return str(mapping["id"])
    return text_field(mapping, "id", where)


def describe_value(value: Any) -> str:
    kind = KIND_NAMES.get(type(value), type(value).__name__)
    return kind if isinstance(value, list | dict) else f"{kind}, {str(value)[:40]!r}"


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number from 1, line). Only line feeds end lines; str.splitlines would split at characters inside texts."""
    return ((number, line.removesuffix("\r")) for number, line in enumerate(text.split("\n"), 1))


def line_blocks(text: str) -> Iterator[list[tuple[int, str]]]:
    """Runs of numbered lines that are not empty."""
    block: list[tuple[int, str]] = []
    for number, line in numbered_lines(text + "\n"):
        if line.strip(" "):
            block.append((number, line))
        elif block:
            yield block
            block = []


def join_tokens(tokens: Sequence[str], lang: str) -> str:
    """The text of tokens: with spaces between them if the language is written with spaces."""
    return ("" if lang in UNSPACED_LANGUAGES else " ").join(tokens)


def file_stem(file: str) -> str:
    """The file's name without suffixes of format and compression, which begins the ids of rows without id."""
    return re.sub(rf"(\.({'|'.join(SUFFIXES)}))+$", "", PurePath(file).name)


def take_notes(rows: Iterable[dict], notes: Counter) -> list[dict]:
    """The rows that are not left out. What readers say of the others, and of some rows, is counted in `notes`.

    A reader gives a row that it leaves out as {"id", "dropped": why}, and may add {"noted": [what, ...]} to any other.
    """
    kept = []
    for row in rows:
        if "dropped" in row:
            notes[f"rows left out: {row['dropped']}"] += 1
        else:
            notes.update(row.pop("noted", ()))
            kept.append(row)
    return kept


def rows_of_parts(
    files: Iterable[tuple[str, str]], parse: Callable[[str, str], Iterable[dict]], own_ids: bool = False
) -> Iterator[dict]:
    """The rows of files, given as (name, text), of which `parse` makes rows from text and name, one after the other.

    If a file has an id of an earlier one because it numbers its rows alike, all its ids get its number: `2/test:1`; not
    so if the rows have ids of their own. Raises UserError if two files are equal.
    """
    seen: set[str] = set()
    contents: dict[str, str] = {}
    for number, (file, content) in enumerate(files, 1):
        if other := contents.get(content):
            raise UserError(f"the file is the same as {other}", file, "Name it once.")
        contents[content] = file
        rows = list(parse(content, file))
        if not own_ids and not seen.isdisjoint(row["id"] for row in rows):
            rows = [renamed(row, f"{number}/") for row in rows]
        seen.update(row["id"] for row in rows)
        yield from rows


def renamed(row: dict, prefix: str) -> dict:
    """A row whose id, and keys that refer to it, begin with a prefix."""
    keys = {"keys": [prefix + key for key in row["keys"]]} if "keys" in row else {}
    return row | {"id": prefix + row["id"]} | ({"key": prefix + row["key"]} if "key" in row else {}) | keys
