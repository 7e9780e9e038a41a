"""A table of cells with headings, whatever its format."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from crosstune.analysis.cells import Cell, Replicate
from crosstune.analysis.intervals import interval
from crosstune.core.text import count, decimal

NO_RUNS = Cell({}, 0)

# The most columns of a LaTeX table in an article of one column, and from how many on it is set smaller.
LATEX_COLUMNS, ROOMY_COLUMNS = 7, 6
INTERVAL_COLUMNS = 4

Values = Mapping[Replicate, float]


def statistic(name: str, values: Values) -> float | None:
    """A statistic over runs, None if there are too few.

    name: mean, sd (sample standard deviation), low or high (ends of the interval of the mean), median, min or max.
    """
    if not values or (name == "sd" and len(values) < 2):
        return None
    if name in ("low", "high"):
        return getattr(interval(values), name, None)
    functions = {"mean": statistics.fmean, "sd": statistics.stdev, "median": statistics.median, "min": min, "max": max}
    return functions[name](values.values())


@dataclass(frozen=True)
class Heading:
    """The name of a row or column.

    Neighbours of one `group` share a heading above theirs: `group_label`, or the group itself. `key` names the row or
    column in the CSV file. `select` says by axis which numbers the row or column of a custom table holds.
    """

    label: str
    group: str
    key: str
    select: Mapping[str, Any] = field(default_factory=dict, compare=False)
    group_label: str = ""

    @property
    def shown_group(self) -> str:
        """The group as readers see it."""
        return self.group_label or self.group


@dataclass(frozen=True)
class CellFormat:
    """The statistic that a cell shows of its runs, its digits, and whether a difference has a sign."""

    statistic: str = "sd"
    digits: int = 1
    signed: bool = False

    @property
    def latex_columns(self) -> int:
        """The number of columns that fit the width of a page."""
        more = max(0, self.digits - 1)
        return INTERVAL_COLUMNS - min(more, 1) if self.statistic == "interval" else max(2, LATEX_COLUMNS - 2 * more)

    @property
    def names(self) -> tuple[str, ...]:
        """The statistics of a cell, the number itself first."""
        return {"sd": ("mean", "sd"), "interval": ("mean", "low", "high")}.get(self.statistic, (self.statistic,))

    def numbers(self, cell: Cell) -> list[float | None]:
        """The statistics of a cell; None if there are too few runs."""
        return [statistic(name, cell.values) for name in self.names]

    def text(self, cell: Cell, between: str = " ± ") -> str:
        """`45.3 ± 1.2`, or `45.3` without a deviation; `45.3 [44.1, 46.5]`."""
        first, *others = self.numbers(cell)
        if first is None:
            return "n/a"
        number, known = self._number(first), [other for other in others if other is not None]
        if self.statistic == "sd":
            return number + "".join(between + decimal(sd, self.digits) for sd in known)
        return number + (f" [{', '.join(map(self._number, known))}]" if known else "")

    def _number(self, value: float) -> str:
        text = decimal(value, self.digits)
        return f"+{text}" if self.signed and float(text) > 0 else text


@dataclass(frozen=True)
class CellMark:
    """How a cell stands out: in bold, and with the letters of the table's note behind its number."""

    bold: bool = False
    letters: str = ""


@dataclass(frozen=True)
class CsvLayout:
    """Where the CSV file of a table has the cell of row i and column j: in line 1 + i * per_row + j * per_column.

    Line 0 is the head. fields: the file's column of each statistic. Without it the file is as wide as the table: a
    column `<key>_<statistic>` for each statistic of each of the table's columns.
    """

    per_row: int = 1
    per_column: int = 0
    fields: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Table:
    """Cells by row and column. `corner` names what the rows are, `format` how a cell is printed, `csv` where.

    marks: by row and column, or empty if none of the cells stands out. note: what the letters of marks mean.
    """

    name: str
    caption: str
    corner: str
    rows: tuple[Heading, ...]
    columns: tuple[Heading, ...]
    cells: tuple[tuple[Cell, ...], ...]
    format: CellFormat = CellFormat()
    csv: CsvLayout = CsvLayout()
    marks: tuple[tuple[CellMark, ...], ...] = ()
    note: str = ""

    def mark(self, row: int, column: int) -> CellMark:
        """The mark of a cell."""
        return self.marks[row][column] if self.marks else CellMark()

    def column_groups(self) -> list[tuple[str, int]]:
        """Every group of neighbouring columns and its width."""
        return [
            (group, len(list(members))) for group, members in groupby(self.columns, lambda column: column.shown_group)
        ]

    def row_groups(self) -> list[tuple[str, list[tuple[Heading, tuple[Cell, ...]]]]]:
        """Every group of neighbouring rows, each row with its cells."""
        rows = zip(self.rows, self.cells, strict=True)
        return [(group, list(members)) for group, members in groupby(rows, lambda row: row[0].shown_group)]

    def csv_fields(self, column: Heading) -> dict[str, str]:
        """The columns of the CSV file that hold the cells of one of the table's columns, by statistic."""
        if self.csv.fields is not None:
            return dict(self.csv.fields)
        return {name: f"{column.key}_{name}" for name in self.format.names}

    def transposed(self) -> "Table":
        """The same table with rows and columns exchanged."""
        cells, marks = (tuple(zip(*lines, strict=True)) for lines in (self.cells, self.marks))
        return replace(self, corner="", rows=self.columns, columns=self.rows, cells=cells, marks=marks)

    def parts(self, most_columns: int) -> list["Table"]:
        """Tables of at most `most_columns` columns, as equal as possible; names and captions number them."""
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
                marks=tuple(marks[start : start + width] for marks in self.marks),
            )
            for number, start in enumerate(starts, start=1)
        ]

    def fitted(self, most_columns: int) -> "Table":
        """This table; transposed if it has too many columns and the transposed table has fewer."""
        too_wide = len(self.columns) > max(most_columns, len(self.rows))
        return self.transposed() if too_wide else self


def build_table(
    name: str, caption: str, corner: str, rows: Sequence[tuple[Heading, list[Cell]]], columns: Iterable[Heading]
) -> Table:
    """A table of headings with their cells. The label of a row whose runs are missing says so."""
    headings = tuple(with_missing_note(heading, cells) for heading, cells in rows)
    return Table(name, caption, corner, headings, tuple(columns), tuple(tuple(cells) for _, cells in rows))


def with_missing_note(heading: Heading, cells: Sequence[Cell]) -> Heading:
    """The heading with ` [2/3 runs]` behind its label, ` [1/3 runs, 1 diverged]`, or nothing if no run is missing."""
    worst = max(cells, key=lambda cell: cell.missing_runs)
    diverged = f", {len(worst.diverged)} diverged" if worst.diverged else ""
    note = f" [{len(worst.values)}/{worst.planned_runs} runs{diverged}]" if worst.missing_runs else ""
    return replace(heading, label=heading.label + note)


def presence_sentence(cells: Sequence[Cell]) -> str:
    """The number of planned runs, and how many of them are missing or diverged."""
    missing, diverged = (sum(cell.missing_runs for cell in cells), sum(len(cell.diverged) for cell in cells))
    runs = count(sum(cell.planned_runs for cell in cells), "run")
    if not missing:
        return f"All {runs} present."
    return f"{missing} of {runs} missing{f', {diverged} of them diverged' if diverged else ''}."


def csv_numbers(cell: Cell, *names: str) -> list[str]:
    """Statistics of a cell as its CSV file has them."""
    return [decimal(statistic(name, cell.values), 4) for name in names]


def cell_text(cell: Cell) -> str:
    """`45.3 ± 1.2`, or `45.3` without a deviation."""
    return CellFormat().text(cell)


def mean_with_interval(cell: Cell, form: str = ".1f") -> str:
    """`45.3 [44.1, 46.5]`, followed by the number of runs if some are missing."""
    if cell.mean is None:
        return "n/a"
    ends = interval(cell.values, resolution=cell.resolution)
    note = f" ({len(cell.values)}/{cell.planned_runs} runs)" if cell.missing_runs else ""
    return numbers_text([cell.mean, *((ends.low, ends.high) if ends else ())], form) + note


def numbers_text(numbers: list[float], form: str) -> str:
    """`45.3`, or `45.3 [44.1, 46.5]` with the ends of an interval."""
    # Added to 0.0, a rounded -0.04 does not read -0.0.
    first, *ends = (f"{round(number, 1) + 0.0:{form}}" for number in numbers)
    return first + (f" [{', '.join(ends)}]" if ends else "")
