"""Tables whose cells are text: their form, and writing them as Markdown and LaTeX.

Owns: both formats. Must never know: what a cell says.
"""

from dataclasses import dataclass

from tabulate import tabulate

from crosstune.tables import escape, framed, latex_heading, latex_row

LATEX_COLUMNS = 4
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
    starts = range(1, len(sheet.head), LATEX_COLUMNS) if len(sheet.head) > LATEX_COLUMNS + 2 else [1]
    floats = []
    for number, start in enumerate(starts, start=1):
        part = slice(start, start + LATEX_COLUMNS) if len(starts) > 1 else slice(1, None)
        name = f"{sheet.name}.{number}" if len(starts) > 1 else sheet.name
        first, *others = map(latex_heading, [sheet.head[0], *sheet.head[part]])
        rows = (latex_row(escape(row[0]), map(escape, row[part])) for row in sheet.rows)
        lines = [latex_row(first, others), r"\midrule", *rows]
        style = r"\scriptsize\setlength{\tabcolsep}{4pt}"
        floats.append(framed(name, escape(sheet.caption), style, "l" + "r" * len(others), lines))
    return "\n".join(floats)
