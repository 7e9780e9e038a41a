"""Tables as CSV, Markdown and LaTeX."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from crosstune.analysis.cells import Cell
from crosstune.core.files import write_text
from crosstune.reporting.tables.table import ROOMY_COLUMNS, CellFormat, CellMark, Heading, Table, csv_numbers

# The most columns of a Markdown table, and of a LaTeX float of texts.
MOST_COLUMNS, TEXT_COLUMNS = 16, 4

LONG_HEADING = 12

# Raised letters for the notes of tables; Unicode has none for q.
NOTE_LETTERS = "abcdefghijklmnoprstuvwxyz"
RAISED = str.maketrans(NOTE_LETTERS, "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ")

PILOT_MARK = "PILOT, no result."

NUMBER = re.compile(r"[+-]?[0-9.,]+([eE][+-]?[0-9]+)?%?")

# What spreadsheets take for a formula, also after spaces and in wide letters.
FORMULA = re.compile("\\s*[-=+@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")

# The beginnings of tags, of links' addresses and of entities, which Markdown passes on as they are.
MARKUP = re.compile(r"<(?=[A-Za-z/!?])|(?<=\])[(:]|&(?=#?\w+;)")

LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "−": "$-$",
    "→": r"$\rightarrow$",
    "†": r"\textdagger{}",
    **{chr(code): f"$^{{{letter}}}$" for letter in NOTE_LETTERS for code in [RAISED[ord(letter)]]},
} | {character: f"\\{character}" for character in "&%$#_{}"}


@dataclass(frozen=True)
class TextTable:
    """A table of texts. The first column of `head` and `rows` names the row; `lines` are its CSV file, head first.

    title: its heading on the page, empty if the page has one of its own.
    """

    name: str
    caption: str
    head: list[str]
    rows: list[list[str]]
    lines: list[list]
    title: str = ""


def table_files(table: Table | TextTable) -> dict[str, str]:
    """The files of a table, content by name: `<name>.csv`, `.md` and `.tex`."""
    lines = csv_lines(table) if isinstance(table, Table) else table.lines
    return {
        f"{table.name}.csv": csv_text(lines),
        f"{table.name}.md": markdown(table),
        f"{table.name}.tex": latex(table),
    }


def write_files(contents: Mapping[str, str], out: Path, pilot: bool = False) -> list[Path]:
    """Write the files of tables, given as content by name, into the folder `out`, and return their paths.

    Those of a `pilot` say so.
    """
    for name, content in contents.items():
        write_text(out / name, mark_pilot(name, content) if pilot else content)
    return [out / name for name in contents]


def mark_pilot(name: str, content: str) -> str:
    """A table of a pilot with the word: before a caption, or in a last column of CSV."""
    if name.endswith(".tex"):
        return content.replace(r"\caption{", rf"\caption{{{PILOT_MARK} ")
    if not name.endswith(".csv"):
        return f"{PILOT_MARK} {content}"
    head, *lines = csv.reader(io.StringIO(content))
    return csv_text([[*head, "pilot"], *([*line, "pilot"] for line in lines)])


# --- CSV -------------------------------------------------------------------------------------------------------------


def csv_lines(table: Table) -> Iterator[Sequence]:
    """One line per row: the statistics of every cell, and the number of missing runs."""
    fields = [field for column in table.columns for field in table.csv_fields(column).values()]
    yield ["group", "row", "missing", *fields]
    for row, cells in zip(table.rows, table.cells, strict=True):
        numbers = [number for cell in cells for number in csv_numbers(cell, *table.format.names)]
        yield [row.group, row.key, max(cell.missing_runs for cell in cells), *numbers]


def csv_text(lines: Iterable[Sequence]) -> str:
    """Lines of cells as CSV. A text that a spreadsheet would take for a formula gets a quote in front."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([_harmless(cell) for cell in line] for line in lines)
    return buffer.getvalue()


def _harmless(cell: object) -> object:
    if isinstance(cell, str) and FORMULA.match(cell) and not NUMBER.fullmatch(cell.strip()):
        return f"'{cell}"
    return cell


# --- Markdown --------------------------------------------------------------------------------------------------------


def markdown(table: Table | TextTable) -> str:
    """A pipe table under its caption. The first row or column of a group also has the group's name."""
    if isinstance(table, TextTable):
        return f"{markdown_text(table.caption)}\n\n{pipe_table(table.head, table.rows, 1)}\n"
    table = table.fitted(MOST_COLUMNS)
    labels, head = grouped_labels(table.rows), [table.corner, *grouped_labels(table.columns)]
    rows = [
        [label, *(markdown_cell(table.format.text(cell), table.mark(i, j)) for j, cell in enumerate(cells))]
        for i, (label, cells) in enumerate(zip(labels, table.cells, strict=True))
    ]
    note = f"\n{markdown_text(table.note)}\n" if table.note else ""
    return f"{markdown_text(table.caption)}\n\n{pipe_table(head, rows, 1)}\n{note}"


def markdown_cell(text: str, mark: CellMark) -> str:
    """The text of a cell, in bold and with raised letters if it is marked so."""
    return (f"**{text}**" if mark.bold else text) + raised(mark.letters)


def raised(letters: str) -> str:
    """Small letters as raised ones of Unicode."""
    return letters.translate(RAISED)


def markdown_text(text: str) -> str:
    """A text in one line without HTML, links and images: entities stand for the characters that begin them."""
    return MARKUP.sub(lambda match: f"&#{ord(match[0])};", re.sub(r"\s*[\r\n]\s*", " ", text))


def pipe_table(head: list[str], rows: list[list[str]], labels: int) -> str:
    """A Markdown table of texts; the first `labels` columns are aligned left."""
    align = ["left"] * labels + ["right"] * (len(head) - labels)
    head, *rows = [[markdown_text(" ".join(cell.split())).replace("|", r"\|") for cell in row] for row in [head, *rows]]
    return tabulate(rows, head, tablefmt="pipe", disable_numparse=True, colalign=align)


def grouped_labels(headings: Sequence[Heading]) -> list[str]:
    """`seen: qen`, `qes`, `unseen: qna`, ..."""
    groups = [None, *(heading.shown_group for heading in headings)]
    return [
        heading.label if heading.shown_group == before else f"{heading.shown_group}: {heading.label}"
        for before, heading in zip(groups, headings, strict=False)
    ]


# --- LaTeX -----------------------------------------------------------------------------------------------------------


def latex(table: Table | TextTable) -> str:
    r"""`table` floats for a document with \usepackage{booktabs}, as many as the width of a page needs."""
    if isinstance(table, TextTable):
        return "\n".join(text_floats(table))
    most = table.format.latex_columns
    return "\n".join(grouped_float(part) for part in table.fitted(most).parts(most))


def text_floats(table: TextTable) -> Iterator[str]:
    """Floats of at most TEXT_COLUMNS columns besides the first."""
    starts = range(1, len(table.head), TEXT_COLUMNS) if len(table.head) > TEXT_COLUMNS + 2 else [1]
    for number, start in enumerate(starts, start=1):
        part = slice(start, start + TEXT_COLUMNS) if len(starts) > 1 else slice(1, None)
        name = f"{table.name}.{number}" if len(starts) > 1 else table.name
        rows = [[escape(text) for text in (row[0], *row[part])] for row in table.rows]
        yield text_float(name, table.caption, [table.head[0], *table.head[part]], rows, 1, style("scriptsize", 4))


def grouped_float(table: Table) -> str:
    """One float; groups span their columns and head their rows."""
    roomy = len(table.columns) < min(ROOMY_COLUMNS, table.format.latex_columns)
    column_groups = table.column_groups()
    lines = [
        latex_row("", (rf"\multicolumn{{{span}}}{{c}}{{{escape(group)}}}" for group, span in column_groups)),
        " ".join(rf"\cmidrule(lr){{{first}-{last}}}" for first, last in spans(column_groups)),
        latex_row(escape(table.corner), (latex_heading(column.label) for column in table.columns)),
    ]
    place = 0
    for group, members in table.row_groups():
        lines += [r"\midrule", rf"\multicolumn{{{len(table.columns) + 1}}}{{l}}{{\emph{{{escape(group)}}}}} \\"]
        for row, cells in members:
            marks = [table.mark(place, column) for column in range(len(cells))]
            texts = [latex_cell(cell, table.format, mark) for cell, mark in zip(cells, marks, strict=True)]
            lines.append(latex_row(escape(row.label), texts))
            place += 1
    size = style("footnotesize", 4) if roomy else style("scriptsize", 3)
    columns = "l" + "r" * len(table.columns)
    return latex_float(table.name, escape(table.caption), size, columns, lines, escape(table.note))


def text_float(name: str, caption: str, head: list[str], rows: list[list[str]], labels: int, style: str) -> str:
    """One float of texts; the first `labels` columns are aligned left. `rows` and `style` are LaTeX already."""
    first, *others = map(latex_heading, head)
    lines = [latex_row(first, others), r"\midrule", *(latex_row(label, values) for label, *values in rows)]
    return latex_float(name, escape(caption), style, "l" * labels + "r" * (len(head) - labels), lines)


def latex_float(name: str, caption: str, style: str, columns: str, lines: Iterable[str], note: str = "") -> str:
    """A `table` float around the lines of a tabular, with a note below it; all arguments are LaTeX already."""
    caption = " ".join(caption.split())  # an empty line would end LaTeX's argument
    head = [rf"\caption{{{caption}}}", rf"\label{{tab:{name}}}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    below = [rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize {note}}}"] if note else []
    tail = [r"\bottomrule", r"\end{tabular}", *below, r"\end{table}"]
    # The caption stands above, and the standard classes leave no space below it there.
    space = r"\setlength{\belowcaptionskip}{4pt}"
    return "\n".join([r"\begin{table}", rf"\centering{style}{space}", *head, *lines, *tail]) + "\n"


def style(size: str, space: float, stretched: bool = False) -> str:
    """The size of the letters, and the space between columns in points and, if `stretched`, between rows."""
    stretch = r"\renewcommand{\arraystretch}{1.2}" if stretched else ""
    return rf"\{size}\setlength{{\tabcolsep}}{{{space:g}pt}}{stretch}"


def spans(groups: Sequence[tuple[str, int]]) -> Iterator[tuple[int, int]]:
    """First and last column of every group; the names of the rows are column 1."""
    first = 2
    for _, span in groups:
        yield first, first + span - 1
        first += span


def latex_row(label: str, cells: Iterable[str]) -> str:
    return rf"{' & '.join([label, *cells])} \\"


def latex_heading(label: str) -> str:
    """A column's name. A long one is broken after every `+` and comma and before a note on missing runs, or else before
    its last word."""
    lines = label.replace(" + ", " +\n").replace(", ", ",\n").replace(" [", "\n[").split("\n")
    if len(lines) == 1 and len(label) >= LONG_HEADING:
        lines = label.rsplit(" ", 1)
    text = r" \\{} ".join(map(escape, lines))
    return rf"\shortstack{{{text}}}" if len(lines) > 1 else text


def latex_cell(cell: Cell, format: CellFormat, mark: CellMark) -> str:
    text = format.text(cell, between=r" {\tiny$\pm$")
    text = text + "}" if r"\pm" in text else text
    return (rf"\textbf{{{text}}}" if mark.bold else text) + (f"$^{{{mark.letters}}}$" if mark.letters else "")


def escape(text: str) -> str:
    return "".join(LATEX_ESCAPES.get(character, character) for character in text)
