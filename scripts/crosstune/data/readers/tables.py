"""Tables in files: CSV, TSV, JSON lines and JSON lists, as records with their places.

The builders of the `datasets` library parse them, as text: no number, date or empty cell becomes anything else. They
say little about faults, so a second look at a faulty file finds the line.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

from crosstune.core.errors import UserError
from crosstune.core.files import PACKERS
from crosstune.data.datasets_library import import_datasets
from crosstune.data.readers.pieces import describe_value, file_stem, numbered_lines, parse_json

# Separator and quote of the formats of separated cells. TSV has no quotes: they would be text.
SEPARATED = {"csv": (",", '"'), "tsv": ("\t", "")}
FORMATS_BY_SUFFIX = {
    "csv": "csv", "tsv": "tsv", "tab": "tsv", "txt": "tsv", "conll": "tsv",
    "json": "json", "jsonl": "json", "ndjson": "json",
}  # fmt: skip

NAME_OF_BREAK = "a carriage return inside a line, where only line feeds end lines"


@dataclass(frozen=True)
class Record:
    """One record of a table: its place, a name that is unique in its file, and its cells.

    The cells of separated text are named by number, from 1, and by the table's header, if it has one.
    """

    where: str
    name: str
    cells: Mapping[str | int, Any]


@dataclass(frozen=True)
class Syntax:
    """How cells are separated: the characters, the beginning of comments, whether the first line names the columns."""

    separator: str
    quote: str
    comment: str
    header: bool

    @property
    def dialect(self) -> dict[str, Any]:
        """The arguments of csv.reader."""
        quoting = {"quotechar": self.quote} if self.quote else {"quoting": csv.QUOTE_NONE, "quotechar": None}
        return {"delimiter": self.separator, "strict": True, **quoting}


def table_format(file: str, table: Mapping[str, Any]) -> str:
    """csv, tsv or json: what the record's key `table` says, else the suffix of the file's name."""
    if "format" in table:
        return table["format"]
    if "rows" in table:
        return "json"
    found = format_of_name(file) or ("csv" if "separator" in table else "")
    if not found:
        fix = "Say it in the record:\ntable: {format: tsv}"
        raise UserError("the file's name does not say which kind of table it is", file, fix)
    return found


def format_of_name(file: str) -> str:
    """The format that a file's suffixes tell, of which those of packers do not count; "" if they tell none."""
    suffixes = [suffix for suffix in PurePath(file).name.lower().split(".")[1:] if f".{suffix}" not in PACKERS]
    return FORMATS_BY_SUFFIX.get(suffixes[-1] if suffixes else "", "")


def read_table(
    file: str, text: str, table: Mapping[str, Any], names: Sequence[str | int], is_first: bool = True
) -> list[Record]:
    """The records of a table in which the columns `names` are wanted.

    `table` describes the first of the files whose rows go together; another has the format of its suffix, else lines
    of cells between tabs. Raises UserError with file and line if the file is no such table or lacks a column.
    """
    if not is_first:
        table = {"format": format_of_name(file) or "tsv"}
    form = table_format(file, table)
    if form == "json":
        return list(_json_records(file, text, table.get("rows", "")))
    separator, quote = SEPARATED[form]
    syntax = Syntax(
        table.get("separator", separator),
        table.get("quote", quote),
        table.get("comment", ""),
        table.get("header", any(isinstance(name, str) for name in names)),
    )
    return list(_separated_records(file, _without_comments(text, syntax), syntax, names))


# ----------------------------------------------------------------------------------------------------- separated cells


def _without_comments(text: str, syntax: Syntax) -> str:
    """The text with empty lines for comments, so that lines keep their numbers.

    In a table with quotes only lines before the header can be comments: a later one may lie inside a cell.
    """
    if not syntax.comment:
        return text
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if line.startswith(syntax.comment):
            lines[number] = ""
        elif syntax.quote and line.strip():
            break
    return "\n".join(lines)


def _separated_records(file: str, text: str, syntax: Syntax, names: Sequence[str | int]) -> Iterator[Record]:
    if not syntax.quote and (found := re.search(r"\r(?!\n|$)", text)):
        where = f"{file}:{text.count(chr(10), 0, found.start()) + 1}"
        raise UserError(NAME_OF_BREAK, where, f"Replace it: tr '\\r' '\\n' < {file} > converted")
    first_line, first = _first_cells(file, text, syntax)
    header = first if syntax.header else []
    _check_columns(f"{file}:{first_line}", header, len(first), names)
    line = 1
    for cells in _parse_separated(file, text, syntax, len(first)):
        if any(cell is not None for cell in cells):
            if cells[-1] is None:
                raise _separated_fault(file, text, syntax, len(first))
            if not header or line > first_line:
                numbered = dict(enumerate(cells, 1))
                yield Record(
                    f"{file}:{line}", f"{file_stem(file)}:{line}", numbered | dict(zip(header, cells, strict=False))
                )
        line += 1 + sum(cell.count("\n") for cell in cells if cell) if syntax.quote else 1


def _first_cells(file: str, text: str, syntax: Syntax) -> tuple[int, list[str]]:
    """(line, cells) of the first line with cells, which may be the header."""
    table = csv.reader(io.StringIO(text, newline=""), **syntax.dialect)
    try:
        for cells in table:
            if cells:
                lines = sum(cell.count("\n") for cell in cells)
                return table.line_num - lines, cells
    except csv.Error:
        raise _separated_fault(file, text, syntax, 0) from None
    raise UserError("the table has no lines", file, "Copy or download it again.")


def _check_columns(where: str, header: Sequence[str], width: int, names: Sequence[str | int]) -> None:
    """Raise UserError if the table lacks a column, or two columns have its name."""
    if absent := [name for name in names if isinstance(name, str) and name not in header]:
        message = f"expected a table with the columns {', '.join(map(str, names))}, found {', '.join(header)[:200]!r}"
        fix = f"There is no {absent[0]!r}: correct the record's `columns`, or say in `table` how cells are separated."
        raise UserError(message, where, fix)
    if twice := [name for name in names if header.count(str(name)) > 1 and isinstance(name, str)]:
        raise UserError(
            f"two columns are called {twice[0]!r}", where, "Name the one that you mean by its number, from 1."
        )
    if (most := max([name for name in names if isinstance(name, int)], default=0)) > width:
        raise UserError(f"expected at least {most} columns, found {width}", where, "Columns are counted from 1.")


def _parse_separated(file: str, text: str, syntax: Syntax, width: int) -> Iterator[list[str | None]]:
    """The cells of every line or, with quotes, record; None for those that it lacks."""
    datasets = import_datasets()

    names = [str(number) for number in range(width)]
    options = {
        "column_names": names,
        "header": None,
        "sep": syntax.separator,
        # The faster engine fills up short lines in silence, and reads quotes less strictly.
        "engine": "python",
        # Without a converter the engine makes numbers of digits.
        "converters": dict.fromkeys(names, _same),
        "na_filter": False,
        "keep_default_na": False,
        "skip_blank_lines": False,
        **({"quotechar": syntax.quote} if syntax.quote else {"quoting": csv.QUOTE_NONE}),
    }
    # The library's own limit is 131,072 characters a cell; a context can be longer.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    with _written(text, "table.csv") as (path, cache):
        try:
            # As a stream, the library would import torch.
            rows = datasets.Dataset.from_csv(path, cache_dir=cache, keep_in_memory=True, **options)
            for batch in rows.with_format("arrow").iter(batch_size=1000):
                yield from (list(row.values()) for row in batch.to_pylist())
        except Exception as error:  # the parsers' exceptions have no common class
            raise _separated_fault(file, text, syntax, width, str(error.__cause__ or error)) from None


def _same(cell: str) -> str:
    return cell


def _separated_fault(file: str, text: str, syntax: Syntax, width: int, reason: str = "") -> UserError:
    """The error for the first record with another number of cells than `width`, or with a wrong quote."""
    table = csv.reader(io.StringIO(text, newline=""), **syntax.dialect)
    line = 1
    try:
        for cells in table:
            if cells and len(cells) != width:
                message = f"expected {width} columns, found {len(cells)}: {syntax.separator.join(cells)[:60]!r}"
                return UserError(message, f"{file}:{line}", _syntax_advice(syntax))
            line = table.line_num + 1
    except csv.Error as error:
        message = f"not valid CSV ({error}), in the record that starts here"
        return UserError(message, f"{file}:{line}", _syntax_advice(syntax))
    return UserError(f"not a table that can be read ({reason})", file, _syntax_advice(syntax))


def _syntax_advice(syntax: Syntax) -> str:
    quotes = f"the quote is {syntax.quote}" if syntax.quote else "quotes are text"
    return f"Cells are separated by {syntax.separator!r} and {quotes}: the record's key `table` can say otherwise."


# ---------------------------------------------------------------------------------------------------------------- JSON


def _json_records(file: str, text: str, rows: str) -> Iterator[Record]:
    """The records of JSON lines, of a list, or of the list under the keys `rows`, joined by dots."""
    places: list[tuple[str, str]]  # where, name
    if rows or text.lstrip().startswith("["):
        items, where = parse_json(text, file), file
        for key in filter(None, rows.split(".")):
            items, where = _inner(items, key, where), f"{where}: {key}"
        if not isinstance(items, list):
            raise UserError(f"expected a list of rows, found {describe_value(items)}", where)
        places = [(f"{where}, row {number}", f"{file_stem(file)}:{number}") for number in range(1, len(items) + 1)]
        lines = [json.dumps(item) for item in items]
    else:
        numbered = [(number, line) for number, line in numbered_lines(text) if line.strip()]
        places = [(f"{file}:{number}", f"{file_stem(file)}:{number}") for number, _ in numbered]
        lines = [line for _, line in numbered]
    if not lines:
        return
    records = _parse_lines(lines, [where for where, _ in places])
    for (where, name), cells in zip(places, records, strict=True):
        yield Record(where, name, {key: value for key, value in cells.items() if value is not None})


def _inner(document: Any, key: str, where: str) -> Any:
    if not isinstance(document, Mapping) or key not in document:
        found = ", ".join(map(str, document)) if isinstance(document, Mapping) else describe_value(document)
        raise UserError(f"expected the key {key!r} of the record's `table: {{rows: ...}}`, found {found[:200]}", where)
    return document[key]


def _parse_lines(lines: Sequence[str], places: Sequence[str]) -> list[dict]:
    """The object of each line of JSON."""
    found, features = _parse_json_lines(lines, places)
    if sample := {key: text for key, feature in features.items() if (text := _time_as_text(feature))}:
        # The parser makes times of texts if all texts of a column look like them. One that does not keeps them texts.
        found, _ = _parse_json_lines([*lines, json.dumps(sample)], places)
        found.pop()
    if len(found) != len(lines):
        raise UserError("a line holds several objects, expected one", _file(places))
    return found


def _parse_json_lines(lines: Sequence[str], places: Sequence[str]) -> tuple[list[dict], Mapping[str, Any]]:
    """(objects, features) as the library reads them."""
    datasets = import_datasets()

    text = "\n".join(lines) + "\n"
    with _written(text, "table.jsonl") as (path, cache):
        try:
            # In one piece: the types of the first piece would be forced on the others.
            size = max(len(text.encode("utf-8", "surrogatepass")), 1)
            options = {"chunksize": size, "parse_agent_traces": False}
            rows = datasets.Dataset.from_json(path, cache_dir=cache, keep_in_memory=True, **options)
            return list(rows), rows.features
        except Exception as error:  # the parsers' exceptions have no common class
            for line, place in zip(lines, places, strict=False):
                _check_line(line, place)
            raise UserError(f"not JSON that can be read ({error.__cause__ or error})", _file(places)) from None


def _file(places: Sequence[str]) -> str:
    return re.sub(r"(:[0-9]+|, row [0-9]+)$", "", places[0])


def _check_line(line: str, where: str) -> None:
    """Raise UserError if a line is no JSON object that every parser reads."""
    file, _, number = where.rpartition(":")
    value = parse_json(line, file if number.isdecimal() else where, int(number) if number.isdecimal() else 1)
    if not isinstance(value, dict):
        raise UserError(f"expected an object, found {describe_value(value)}", where)
    if re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)):
        raise UserError("half of a surrogate pair, which is no character", where)
    json.loads(line, object_pairs_hook=lambda pairs: _check_keys([key for key, _ in pairs], where))


def _check_keys(keys: Sequence[str], where: str) -> None:
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise UserError(f"the key {twice[0]!r} occurs twice", where)


def _time_as_text(feature: Any) -> Any:
    """A value of a feature's shape in which texts stand for times; None if it holds no time."""
    if isinstance(feature, Mapping):
        return {key: text for key, inner in feature.items() if (text := _time_as_text(inner))} or None
    if hasattr(feature, "feature"):
        return [text] if (text := _time_as_text(feature.feature)) else None
    return "text" if re.match("timestamp|date|time", str(getattr(feature, "dtype", ""))) else None


@contextmanager
def _written(text: str, name: str) -> Iterator[tuple[str, str]]:
    """(file, cache): a text in a file, for parsers that read files, and a folder for what they write next to it."""
    with TemporaryDirectory(prefix="crosstune-") as folder:
        path = Path(folder, name)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        yield str(path), str(Path(folder, "cache"))
