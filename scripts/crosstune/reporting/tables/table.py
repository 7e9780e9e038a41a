"""A table of cells with headings, whatever its format."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from crosstune.analysis.cells import Cell
from crosstune.analysis.intervals import interval
from crosstune.core.text import count, decimal

# The most columns of a LaTeX table in an article of one column, and from how many on it is set smaller.
LATEX_COLUMNS, ROOMY_COLUMNS = 7, 6
INTERVAL_COLUMNS = 4


@dataclass(frozen=True)
class Heading:
    """The name of a row or column; neighbours of one `group` stand under one heading. `key` names it in CSV files.

    `select` says which of the study's numbers the row or column is of, for those who trace a cell (docs/tables.md).
    """

    label: str
    group: str
    key: str
    select: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Form:
    """What a cell shows of its runs, with how many digits, and whether a difference bears its sign."""

    show: str = "sd"
    digits: int = 1
    signed: bool = False

    @property
    def latex_columns(self) -> int:
        """Columns of numbers beside each other on a page."""
        more = max(0, self.digits - 1)
        return INTERVAL_COLUMNS - min(more, 1) if self.show == "interval" else max(2, LATEX_COLUMNS - 2 * more)

    def numbers(self, cell: Cell) -> dict[str, float | None]:
        """What is shown, by name, the number itself first; None for what the runs do not tell."""
        if self.show == "sd":
            return {"mean": cell.mean, "sd": cell.sd}
        if self.show == "interval":
            ends = interval(cell.values)
            return {"mean": cell.mean, "low": ends and ends.low, "high": ends and ends.high}
        over = {"median": statistics.median, "min": min, "max": max}[self.show]
        return {self.show: over(cell.values.values()) if cell.values else None}

    def text(self, cell: Cell, between: str = " ± ") -> str:
        """`45.3 ± 1.2`, or `45.3` where there is no deviation; `45.3 [44.1, 46.5]`."""
        first, *others = self.numbers(cell).values()
        if first is None:
            return "n/a"
        number, known = self.number(first), [other for other in others if other is not None]
        if self.show == "sd":
            return number + "".join(between + decimal(sd, self.digits) for sd in known)
        return number + (f" [{', '.join(map(self.number, known))}]" if known else "")

    def number(self, value: float) -> str:
        text = decimal(value, self.digits)
        return f"+{text}" if self.signed and float(text) > 0 else text


@dataclass(frozen=True)
class Table:
    """Cells by row and column. `corner` says what the rows are, `form` what a cell shows.

    `select` holds for all cells, as a heading's does for its own.
    """

    name: str
    caption: str
    corner: str
    rows: tuple[Heading, ...]
    columns: tuple[Heading, ...]
    cells: tuple[tuple[Cell, ...], ...]
    form: Form = Form()
    select: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def column_groups(self) -> list[tuple[str, int]]:
        """Every group of neighbouring columns and its width."""
        return [(group, len(list(members))) for group, members in groupby(self.columns, lambda column: column.group)]

    def row_groups(self) -> list[tuple[str, list[tuple[Heading, tuple[Cell, ...]]]]]:
        """Every group of neighbouring rows, each row with its cells."""
        rows = zip(self.rows, self.cells, strict=True)
        return [(group, list(members)) for group, members in groupby(rows, lambda row: row[0].group)]

    def turned(self) -> "Table":
        """The same table with rows and columns exchanged."""
        cells = tuple(zip(*self.cells, strict=True))
        return replace(self, corner="", rows=self.columns, columns=self.rows, cells=cells)

    def parts(self, most_columns: int) -> list["Table"]:
        """The table cut into tables of at most `most_columns` columns, equal as far as can be; captions and names count
        them."""
        number = len(self.columns)
        if number <= most_columns:
            return [self]
        width = math.ceil(number / math.ceil(number / most_columns))
        starts = range(0, number, width)
        return [
            replace(
                self,
                name=f"{self.name}.{number}",
                caption=f"Part {number} of {len(starts)}. {self.caption}",
                columns=self.columns[start : start + width],
                cells=tuple(cells[start : start + width] for cells in self.cells),
            )
            for number, start in enumerate(starts, start=1)
        ]

    def fitted(self, most_columns: int) -> "Table":
        """This table, turned where it has too many columns and the turned one has fewer."""
        too_wide = len(self.columns) > max(most_columns, len(self.rows))
        return self.turned() if too_wide else self


def build(
    name: str, caption: str, corner: str, rows: Sequence[tuple[Heading, list[Cell]]], columns: Iterable[Heading]
) -> Table:
    """Put a table together; rows that lack runs say so in their label."""
    headings = tuple(replace(heading, label=heading.label + lacking(cells)) for heading, cells in rows)
    return Table(name, caption, corner, headings, tuple(columns), tuple(tuple(cells) for _, cells in rows))


def lacking(cells: Sequence[Cell]) -> str:
    """` [2/3 runs]` for a row some of whose cells lack runs, ` [1/3 runs, 1 diverged]` where a training diverged."""
    worst = max(cells, key=lambda cell: cell.missing_runs)
    diverged = f", {len(worst.diverged)} diverged" if worst.diverged else ""
    return f" [{len(worst.values)}/{worst.planned_runs} runs{diverged}]" if worst.missing_runs else ""


def presence(missing: int, diverged: int, planned: int) -> str:
    """How many of the planned runs there are, and how many ended without a number."""
    if not missing:
        return f"All {count(planned, 'run')} present."
    told = f", {diverged} of them diverged" if diverged else ""
    return f"{missing} of {count(planned, 'run')} missing{told}."


def cell_text(cell: Cell, between: str = " ± ") -> str:
    """`45.3 ± 1.2`, or `45.3` where there is no deviation."""
    return Form().text(cell, between)


def numbers(cell: Cell) -> tuple[str, str, int | str, int]:
    """Mean, deviation, runs found (nothing for a number that has none) and runs missing."""
    runs = len(cell.values) if cell.planned_runs else ""
    return decimal(cell.mean, 4), decimal(cell.sd, 4), runs, cell.missing_runs
