"""The tables of a study: schedule x language, the transfer matrix after every stage, averages, and the long forms.

Owns: which rows and columns a table has, its caption, and writing it as CSV, Markdown and LaTeX. Must never know: where
scores are stored, how the page looks.

Every number is a mean over runs (seeds, and folds where data are split in several ways) with its sample standard
deviation (n - 1). A row that lacks runs says so, and so does the caption. The bytes depend on the scores and the plan
alone.
"""

import csv
import io
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from tabulate import tabulate

from crosstune.collect import UNTRAINED, Average, Cell, Panel, Stage, Study
from crosstune.files import write_text
from crosstune.intervals import interval
from crosstune.metrics import XTREME_R

SEEN_MARK = "†"
MOST_COLUMNS = 16
LONG_HEADING = 12
LATEX_COLUMNS, ROOMY_COLUMNS = 7, 6
"""The most columns of a LaTeX table in an article of one column, and from how many on it is set smaller."""
INTERVAL_COLUMNS = 4
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


def write_tables(study: Study, out: Path) -> list[Path]:
    """Write every table of the study into the folder `out` and return the paths.

    scores.csv: one line per run, stage, language and metric. summary.csv: mean and deviation of every final number.
    For each panel and metric `<track>.<dataset>.<model>.<metric>.{csv,md,tex}`, and for the primary metric the same
    with `.transfer` before the suffix. For each average over tasks `average.<name>.{csv,md,tex}`.
    """
    contents = {"scores.csv": scores_csv(study), "summary.csv": summary_csv(study)}
    for table in tables(study):
        contents[f"{table.name}.csv"] = wide_csv(table)
        contents[f"{table.name}.md"] = markdown(table)
        contents[f"{table.name}.tex"] = latex(table)
    for name, content in contents.items():
        write_text(out / name, content)
    return [out / name for name in contents]


def tables(study: Study) -> Iterator[Table]:
    """Every table of a study, in the order of its panels."""
    for panel in study.panels():
        for metric in panel.labels:
            yield schedule_table(panel, metric)
        yield transfer_table(panel)
    yield from map(average_table, study.averages())


def schedule_table(panel: Panel, metric: str) -> Table:
    """Schedules (floors first) x languages (seen, unseen) and macro-averages, after the last stage."""
    columns = column_languages(panel)
    every = {"group": "all", "aggregate": "pooled"}
    pooled = [Heading("pooled", "average", "average_pooled", every)] if panel.can_pool else []
    floors = [
        (
            Heading(name, "floor", name, {"baseline": name}),
            [panel.floor_cell(name, languages, metric) for languages in columns.values()]
            + [panel.pooled_floor_cell(name, panel.languages, metric) for _ in pooled],
        )
        for name in panel.baselines
    ]
    trained = [
        (
            Heading(schedule, "floor" if schedule == UNTRAINED else "schedule", schedule, {"schedule": schedule}),
            [panel.cell(schedule, languages, metric) for languages in columns.values()]
            + [panel.pooled_cell(schedule, panel.languages, metric) for _ in pooled],
        )
        for schedule in floor_first(panel.schedules)
    ]
    caption = f"{panel.labels[metric]} after the last stage. {describe(panel)}"
    table = build(f"{panel.name}.{metric}", caption, "schedule", floors + trained, [*columns, *pooled])
    axes = {"rows": ["baseline", "schedule"], "columns": ["language", "group", *(["pooled"] if pooled else [])]}
    return replace(table, select=panel_select(panel, metric) | axes)


def transfer_table(panel: Panel) -> Table:
    """Every stage of every schedule x languages: what a stage gave to, and took from, each language."""
    columns = column_languages(panel)
    rows = [
        (
            Heading(
                stage_label(panel, stage),
                schedule,
                f"{stage.number} {'+'.join(stage.sources) or UNTRAINED}",
                {"schedule": schedule, "stage": stage.number},
            ),
            [panel.cell(schedule, languages, panel.metric, stage.number - 1) for languages in columns.values()],
        )
        for schedule in floor_first(panel.schedules)
        for stage in panel.stages(schedule)
        if panel.is_scored(schedule, stage)
    ]
    caption = f"{panel.labels[panel.metric]} after every stage (transfer matrix). {describe(panel)}"
    table = build(f"{panel.name}.{panel.metric}.transfer", caption, "after stage", rows, columns)
    return replace(
        table, select=panel_select(panel, panel.metric) | {"rows": ["stage"], "columns": ["language", "group"]}
    )


def panel_select(panel: Panel, metric: str) -> dict[str, Any]:
    """What all cells of a panel's table have in common."""
    return {"over": [f"{panel.track}/{panel.dataset}"], "model": panel.model, "metric": metric}


def average_table(average: Average) -> Table:
    """Models x schedules x tasks, and the mean over the tasks; a row that cannot have it says what it lacks."""
    tasks = [Heading(task, "task", task, {"task": [task]}) for task in average.tasks]
    means = [
        Heading("mean", "average", "average", {"task": list(average.tasks)}),
        Heading("mean, F1 only", "average", "average_f1", {"task": list(average.tasks), "primary": True}),
    ]
    rows, cells = [], []
    for model in average.study.plan["models"]:
        for schedule in floor_first(average.schedules):
            lacks = "; ".join(average.lacking(model, schedule))
            label = schedule + (f" [lacks {lacks}]" if lacks else "")
            rows.append(Heading(label, model, schedule, {"model": model, "schedule": schedule}))
            numbers = [average.cell(model, schedule, task) for task in average.tasks]
            over_tasks = [average.mean(model, schedule, primary) for primary in (False, True)]
            cells.append((*numbers, *over_tasks))
    name, caption = f"average.{average.name}", describe_average(average)
    select = {"average": average.name}
    return Table(name, caption, "schedule", tuple(rows), (*tasks, *means), tuple(cells), select=select)


def describe_average(average: Average) -> str:
    """What the caption must say: what a number is, where it comes from, which official tasks are not in it."""
    plan, model = average.study.plan, average.study.plan["models"][0]
    sources = []
    for task, entry in average.tasks.items():
        labels = average.panel(model, task).labels
        measure = " and ".join(labels[key] for key in average.panel(model, task).measured.averaged)
        always = f", always of schedule {entry['schedule']}" if "schedule" in entry else ""
        sources.append(f"{task}: {entry['track']}/{entry['dataset']}, {measure}{always}")
    absent = [task for task in XTREME_R if task not in average.tasks]
    sentences = [
        f"Average {average.name} over {count(len(average.tasks), 'task')}; 0 to 100, mean ± sample standard deviation "
        f"over {count(len(plan['seeds']), 'seed')} ({', '.join(map(str, plan['seeds']))}).",
        "A task is the macro-average over its evaluated languages, English included; question answering is "
        "(F1 + exact match) / 2, and F1 alone in “mean, F1 only”.",
        "A mean takes the seeds that have every task.",
        f"{'; '.join(sources)}.",
    ]
    if absent and len(absent) < len(XTREME_R):
        sentences.append(f"Of XTREME-R's ten tasks it is without {', '.join(absent)}.")
    return " ".join(sentences)


def column_languages(panel: Panel) -> dict[Heading, list[str]]:
    """The columns of a panel's tables and the languages that each averages over."""
    seen = {Heading(lang + SEEN_MARK, "seen", lang, {"language": lang}): [lang] for lang in panel.seen}
    unseen = {Heading(lang, "unseen", lang, {"language": lang}): [lang] for lang in panel.unseen}
    averages = {
        Heading(name, "average", f"average_{name}", {"group": name}): langs for name, langs in panel.averages.items()
    }
    return seen | unseen | averages


def floor_first(schedules: Iterable[str]) -> list[str]:
    return sorted(schedules, key=lambda schedule: schedule != UNTRAINED)


def stage_label(panel: Panel, stage: Stage) -> str:
    """`qen + qes` for a first stage, `→ qfr` for one that goes on from the stage before it."""
    return ("→ " if stage.number > 1 else "") + (panel.short(stage.sources) or UNTRAINED)


def describe(panel: Panel) -> str:
    """What a caption must say: model, seeds, budget, matching, groups of languages, missing runs."""
    content, seeds = panel.content, panel.study.plan["seeds"]
    budget = content["budget"]
    missing, planned = panel.missing_runs()
    folded = f" and {len(panel.folds)} splits of the data" if panel.folds != [0] else ""
    matched = "compute-matched: the same for every schedule" if content["matched"] else "NOT compute-matched"
    sentences = [
        f"Model {panel.model}, track {panel.track}, data set {panel.dataset}; 0 to 100, mean ± sample standard "
        f"deviation over {count(len(seeds), 'seed')} ({', '.join(map(str, seeds))}){folded}.",
        f"Budget {budget['updates']} updates of {budget['tokens']} tokens ({matched}).",
        f"{SEEN_MARK} seen: some schedule of the track trains on it; unseen: none does.",
        f"Averages are macro-averages over languages; low: low-resource languages ({', '.join(panel.low) or 'none'})"
        + ("; pooled: over all examples." if panel.can_pool else "."),
        presence(missing, panel.diverged_runs(), planned),
    ]
    return " ".join(sentences)


def build(
    name: str, caption: str, corner: str, rows: Sequence[tuple[Heading, list[Cell]]], columns: Iterable[Heading]
) -> Table:
    """Put a table together; rows that lack runs say so in their label."""
    headings = tuple(replace(heading, label=heading.label + lacking(cells)) for heading, cells in rows)
    return Table(name, caption, corner, headings, tuple(columns), tuple(tuple(cells) for _, cells in rows))


def lacking(cells: Sequence[Cell]) -> str:
    """` [2/3 runs]` for a row some of whose cells lack runs, ` [1/3 runs, 1 diverged]` where a training diverged."""
    worst = max(cells, key=lambda cell: cell.missing)
    diverged = f", {len(worst.diverged)} diverged" if worst.diverged else ""
    return f" [{len(worst.values)}/{worst.expected} runs{diverged}]" if worst.missing else ""


def presence(missing: int, diverged: int, planned: int) -> str:
    """How many of the planned runs there are, and how many ended without a number."""
    if not missing:
        return f"All {count(planned, 'run')} present."
    told = f", {diverged} of them diverged" if diverged else ""
    return f"{missing} of {count(planned, 'run')} missing{told}."


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


# --- numbers ---------------------------------------------------------------------------------------------------------


def decimal(number: float | None, digits: int) -> str:
    """A rounded number, empty for None; never `-0.0`."""
    return "" if number is None else f"{round(number, digits) + 0.0:.{digits}f}"


def cell_text(cell: Cell, between: str = " ± ") -> str:
    """`45.3 ± 1.2`, or `45.3` where there is no deviation."""
    return Form().text(cell, between)


# --- formats ---------------------------------------------------------------------------------------------------------


def scores_csv(study: Study) -> str:
    """One line for every score that exists: the long, tidy form of everything."""
    panel_head, stage_head = ["model", "track", "dataset"], ["schedule", "stage", "sources", "updates"]
    head = [*panel_head, *stage_head, "seed", "fold", "language", "metric", "value"]
    lines = (
        (*origin, *(run if isinstance(run, tuple) else (run, "")), lang, metric, decimal(value, 4))
        for panel in study.panels()
        for schedule in panel.schedules
        for stage in panel.stages(schedule)
        for origin in [(*panel_key(panel), schedule, stage.number, "+".join(stage.sources), stage.updates)]
        for lang in panel.languages
        for metric in panel.labels
        for run, value in panel.cell(schedule, [lang], metric, stage.number - 1).values.items()
    )
    return csv_text([head, *lines])


def summary_csv(study: Study) -> str:
    """One line for every final number of the tables: mean, deviation, runs found and missing."""
    head = ["model", "track", "dataset", "metric", "schedule", "group", "language", "mean", "sd", "runs", "missing"]
    lines = (
        (*panel_key(panel), metric, row.key, column.group, column.key, *numbers(cell))
        for panel in study.panels()
        for metric in panel.labels
        for table in [schedule_table(panel, metric)]
        for row, cells in zip(table.rows, table.cells, strict=True)
        for column, cell in zip(table.columns, cells, strict=True)
    )
    return csv_text([head, *lines])


def numbers(cell: Cell) -> tuple[str, str, int | str, int]:
    """Mean, deviation, runs found (nothing for a number that has none) and runs missing."""
    runs = len(cell.values) if cell.expected else ""
    return decimal(cell.mean, 4), decimal(cell.sd, 4), runs, cell.missing


def wide_csv(table: Table) -> str:
    """One line per row: what is shown of every column (mean and deviation), and the runs that the row lacks."""
    parts = table.form.numbers(Cell({}, 0))
    head = ["group", "row", "missing"] + [f"{column.key}_{part}" for column in table.columns for part in parts]
    lines = (
        (
            row.group,
            row.key,
            max(cell.missing for cell in cells),
            *(decimal(number, 4) for cell in cells for number in table.form.numbers(cell).values()),
        )
        for row, cells in zip(table.rows, table.cells, strict=True)
    )
    return csv_text([head, *lines])


def panel_key(panel: Panel) -> tuple[str, str, str]:
    return panel.model, panel.track, panel.dataset


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
