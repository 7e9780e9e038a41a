"""What differs between two versions of a file of results: cells of tables, lines of text, a figure."""

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from pathlib import Path

from crosstune.artifacts.correction_record import DIGEST

TEXTS = (".csv", ".md", ".tex", ".txt")

SHOWN_HASH = 12

# A bar that separates cells, not one that is part of a text.
BAR = re.compile(r"(?<!\\)\|")

# The line below the head of a Markdown table.
RULE = re.compile(r"[|:\- ]+")

Rows = Sequence[Sequence[str]]
"""The rows of a table, its head first."""


def file_changes(name: str, old: bytes | None, new: bytes | None) -> list[dict]:
    """The changes of a file as a record of corrections lists them; None: there is no file.

    Cells are compared by the names of their rows and columns, other lines of a text in order. Of any other file, such
    as a figure, the hashes are printed.
    """
    if old is None or new is None or Path(name).suffix not in TEXTS:
        values = {"old": old, "new": new}
        return [{"table": name} | {key: _digest(value) for key, value in values.items() if value is not None}]
    tables, lines = zip(
        *(parse(name, content.decode("utf-8", errors="replace")) for content in (old, new)), strict=True
    )
    several = max(map(len, tables)) > 1
    changes = []
    for number, (before, after) in enumerate(zip_longest(*tables, fillvalue=()), start=1):
        named = {"table": f"{name}, table {number}" if several else name}
        changes += [named | change for change in table_changes(before, after)]
    return changes + [{"table": name} | change for change in line_changes(*lines)]


def parse(name: str, text: str) -> tuple[list[Rows], list[str]]:
    """The tables of a text and its other lines, without empty ones."""
    if name.endswith(".csv"):
        return [[row for row in csv.reader(io.StringIO(text)) if row]], []
    tables: list[list[list[str]]] = []
    lines, inside = [], False
    for line in text.splitlines():
        is_row = name.endswith(".md") and line.startswith("|")
        if is_row and not inside:
            tables.append([])
        if is_row and not RULE.fullmatch(line):
            tables[-1].append([cell.strip().replace(r"\|", "|") for cell in BAR.split(line.strip())[1:-1]])
        elif not is_row and line.strip():
            lines.append(line.strip())
        inside = is_row
    return tables, lines


def table_changes(old: Rows, new: Rows) -> Iterator[dict]:
    """The cells that differ, and the rows that only one of two tables has."""
    width = max(_key_width(old), _key_width(new))
    before, after = _cells(old, width), _cells(new, width)
    for row in dict.fromkeys([*before, *after]):
        if row not in before or row not in after:
            side, cells = ("old", before[row]) if row in before else ("new", after[row])
            yield {"row": row, side: " | ".join(cells.values())}
            continue
        for column in dict.fromkeys([*before[row], *after[row]]):
            values = {"old": before[row].get(column), "new": after[row].get(column)}
            if values["old"] != values["new"]:
                given = {side: value for side, value in values.items() if value is not None}
                yield {"row": row, "column": column} | given


def line_changes(old: Sequence[str], new: Sequence[str]) -> Iterator[dict]:
    """The lines that differ, in order."""
    for kind, *spans in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            first, last, begin, end = spans
            for before, after in zip_longest(old[first:last], new[begin:end]):
                values = {"old": before, "new": after}
                yield {side: value for side, value in values.items() if value is not None}


def _key_width(rows: Rows) -> int:
    """The number of columns, from the first one on, that tell every row from the others; without them all columns."""
    columns = max(map(len, rows), default=1)
    body = [tuple(row) for row in rows[1:]]
    fitting = (width for width in range(1, columns) if len({row[:width] for row in body}) == len(body))
    return next(fitting, columns)


def _cells(rows: Rows, width: int) -> dict[str, dict[str, str]]:
    """The cells by row and column. The names of a row are its first cells; equal names are numbered."""
    head = _numbered(rows[0]) if rows else []
    names = _numbered([", ".join(filter(None, row[:width])) for row in rows[1:]])
    return {name: dict(zip(head[width:], row[width:], strict=False)) for name, row in zip(names, rows[1:], strict=True)}


def _numbered(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(f"{name} ({seen[name]})" if seen[name] > 1 else name)
    return found


def _digest(content: bytes) -> str:
    return f"{DIGEST}{hashlib.sha256(content).hexdigest()[:SHOWN_HASH]}"
