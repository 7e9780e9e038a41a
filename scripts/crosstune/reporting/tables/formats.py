"""Tables whose cells are text: their form, and writing them as Markdown and LaTeX.

Owns: both formats. Must never know: what a cell says.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from crosstune.analysis.cells import Cell
from crosstune.core.text import decimal
from crosstune.reporting.tables.table import ROOMY_COLUMNS, Form, Heading, Table

SHEET_COLUMNS = 4

"""Columns of numbers beside each other on a page."""


@dataclass(frozen=True)
class Sheet:
    """`head` and `rows`, whose first column says what a row is; `lines` are the same numbers as CSV, head first."""

    name: str
    caption: str
    head: list[str]
    rows: list[list[str]]
    lines: list[list]


def sheet_markdown(sheet: Sheet) -> str:
    align = ["left"] + ["right"] * (len(sheet.head) - 1)
    table = tabulate(sheet.rows, sheet.head, tablefmt="pipe", disable_numparse=True, colalign=align)
    return f"{sheet.caption}\n\n{table}\n"


def sheet_latex(sheet: Sheet) -> str:
    r"""`table` floats for a document with \usepackage{booktabs}: as many as the width of a page needs."""
    starts = range(1, len(sheet.head), SHEET_COLUMNS) if len(sheet.head) > SHEET_COLUMNS + 2 else [1]
    floats = []
    for number, start in enumerate(starts, start=1):
        part = slice(start, start + SHEET_COLUMNS) if len(starts) > 1 else slice(1, None)
        name = f"{sheet.name}.{number}" if len(starts) > 1 else sheet.name
        first, *others = map(latex_heading, [sheet.head[0], *sheet.head[part]])
        rows = (latex_row(escape(row[0]), map(escape, row[part])) for row in sheet.rows)
        lines = [latex_row(first, others), r"\midrule", *rows]
        style = r"\scriptsize\setlength{\tabcolsep}{4pt}"
        floats.append(framed(name, escape(sheet.caption), style, "l" + "r" * len(others), lines))
    return "\n".join(floats)


MOST_COLUMNS = 16

LONG_HEADING = 12

LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "†": r"\textdagger{}",
} | {character: f"\\{character}" for character in "&%$#_{}"}


def wide_csv(table: Table) -> str:
    """One line per row: what is shown of every column (mean and deviation), and the runs that the row lacks."""
    parts = table.form.numbers(Cell({}, 0))
    head = ["group", "row", "missing"] + [f"{column.key}_{part}" for column in table.columns for part in parts]
    lines = (
        (
            row.group,
            row.key,
            max(cell.missing_runs for cell in cells),
            *(decimal(number, 4) for cell in cells for number in table.form.numbers(cell).values()),
        )
        for row, cells in zip(table.rows, table.cells, strict=True)
    )
    return csv_text([head, *lines])


def csv_text(lines: Iterable[Sequence]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(lines)
    return buffer.getvalue()


def markdown(table: Table) -> str:
    """A pipe table under its caption; the first row or column of a group also bears the group's name."""
    table = table.fitted(MOST_COLUMNS)
    labels, head = grouped_labels(table.rows), [table.corner, *grouped_labels(table.columns)]
    rows = [[label, *map(table.form.text, cells)] for label, cells in zip(labels, table.cells, strict=True)]
    align = ["left"] + ["right"] * len(table.columns)
    return f"{table.caption}\n\n{tabulate(rows, head, tablefmt='pipe', disable_numparse=True, colalign=align)}\n"


def pipe_table(head: list[str], rows: list[list[str]], labels: int) -> str:
    """A Markdown table of texts, of which the first `labels` columns are set left."""
    align = ["left"] * labels + ["right"] * (len(head) - labels)
    return tabulate(rows, head, tablefmt="pipe", disable_numparse=True, colalign=align)


def grouped_labels(headings: Sequence[Heading]) -> list[str]:
    """`seen: qen`, `qes`, `unseen: qna`, ..."""
    groups = [None, *(heading.group for heading in headings)]
    return [
        heading.label if heading.group == before else f"{heading.group}: {heading.label}"
        for before, heading in zip(groups, headings, strict=False)
    ]


def latex(table: Table) -> str:
    r"""`table` floats for a document with \usepackage{booktabs}: as many as the width of a page needs."""
    most = table.form.latex_columns
    return "\n".join(latex_float(part) for part in table.fitted(most).parts(most))


def latex_float(table: Table) -> str:
    """One float; groups span their columns and head their rows."""
    size = "footnotesize" if len(table.columns) < min(ROOMY_COLUMNS, table.form.latex_columns) else "scriptsize"
    column_groups = table.column_groups()
    lines = [
        latex_row("", (rf"\multicolumn{{{span}}}{{c}}{{{escape(group)}}}" for group, span in column_groups)),
        " ".join(rf"\cmidrule(lr){{{first}-{last}}}" for first, last in spans(column_groups)),
        latex_row(escape(table.corner), (latex_heading(column.label) for column in table.columns)),
    ]
    for group, members in table.row_groups():
        lines += [r"\midrule", rf"\multicolumn{{{len(table.columns) + 1}}}{{l}}{{\emph{{{escape(group)}}}}} \\"]
        lines += [
            latex_row(escape(row.label), (latex_cell(cell, table.form) for cell in cells)) for row, cells in members
        ]
    style = rf"\{size}\setlength{{\tabcolsep}}{{{'4pt' if size == 'footnotesize' else '3pt'}}}"
    return framed(table.name, escape(table.caption), style, "l" + "r" * len(table.columns), lines)


def framed(name: str, caption: str, style: str, columns: str, lines: Iterable[str]) -> str:
    """A `table` float around the lines of a tabular; all is LaTeX. `style`: its size and spaces."""
    head = [rf"\caption{{{caption}}}", rf"\label{{tab:{name}}}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    tail = [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    # The caption stands above, where the standard classes leave no space below it.
    space = r"\setlength{\belowcaptionskip}{4pt}"
    return "\n".join([r"\begin{table}", rf"\centering{style}{space}", *head, *lines, *tail]) + "\n"


def latex_table(name: str, caption: str, head: list[str], rows: list[list[str]], labels: int) -> str:
    r"""One `table` float of texts, of which the first `labels` columns are set left; `rows` are LaTeX already."""
    first, *others = map(latex_heading, head)
    style = r"\scriptsize\setlength{\tabcolsep}{2pt}\renewcommand{\arraystretch}{1.2}"
    lines = [latex_row(first, others), r"\midrule", *(latex_row(label, values) for label, *values in rows)]
    return framed(name, escape(caption), style, "l" * labels + "r" * (len(head) - labels), lines)


def spans(groups: Sequence[tuple[str, int]]) -> Iterator[tuple[int, int]]:
    """First and last column of every group; the names of the rows are column 1."""
    first = 2
    for _, span in groups:
        yield first, first + span - 1
        first += span


def latex_row(label: str, cells: Iterable[str]) -> str:
    return rf"{' & '.join([label, *cells])} \\"


def latex_heading(label: str) -> str:
    """A column's name, broken where it is long: after every `+` and comma, and before the note on missing runs; or
    before its last word."""
    lines = label.replace(" + ", " +\n").replace(", ", ",\n").replace(" [", "\n[").split("\n")
    if len(lines) == 1 and len(label) >= LONG_HEADING:
        lines = label.rsplit(" ", 1)
    text = r" \\{} ".join(map(escape, lines))
    return rf"\shortstack{{{text}}}" if len(lines) > 1 else text


def latex_cell(cell: Cell, form: Form) -> str:
    text = form.text(cell, between=r" {\tiny$\pm$")
    return text + "}" if r"\pm" in text else text


def escape(text: str) -> str:
    return "".join(LATEX_ESCAPES.get(character, character) for character in text)
