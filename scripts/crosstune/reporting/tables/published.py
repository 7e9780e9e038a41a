"""Published tables compared with ours: the paper's number, our mean with its interval, the difference, the examples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from crosstune.analysis.cells import Cell, replicate
from crosstune.analysis.intervals import CONFIDENCE, interval
from crosstune.analysis.results import FINAL, Panel, StudyResults
from crosstune.analysis.terms import mean
from crosstune.core.text import count, decimal
from crosstune.reporting.tables.formats import (
    csv_text,
    escape,
    markdown_text,
    pipe_table,
    style,
    text_float,
    write_files,
)
from crosstune.reporting.tables.table import CsvLayout, Heading, Table, csv_numbers, mean_with_interval

# The columns of the CSV file for the statistics of our numbers.
FIELDS = {"mean": "ours", "sd": "sd", "low": "low", "high": "high"}


@dataclass(frozen=True)
class PublishedComparison:
    """One published table and the numbers of one of our models."""

    panel: Panel
    entry: dict

    @property
    def name(self) -> str:
        return f"{self.entry['name']}.{self.panel.model}"

    @property
    def columns(self) -> dict[str, str]:
        """Our column for each published one: a language, `all` or `pooled`."""
        return dict(self.entry["columns"])

    def cell(self, schedule: str, column: str) -> Cell:
        """Our numbers of a published column, by run."""
        ours = self.columns[column]
        if self.entry["from_evaluations"]:
            return self._best_evaluations(schedule, ours)
        return self.panel.cell(schedule, self._languages(column), self.panel.metric, pooled=ours == "pooled")

    def difference(self, a: str, b: str, column: str) -> Cell:
        """Schedule `a` less schedule `b` in a column, run by run."""
        return self.cell(a, column).difference(self.cell(b, column))

    def table(self) -> Table:
        """Our numbers, then the differences between ours, by published column."""
        columns = tuple(Heading(column, "column", column) for column in self.columns)
        rows, cells, shown = [], [], self.panel.schedule_title
        for row in self.entry["rows"]:
            rows.append(Heading(", ".join([shown(row["schedule"]), *row["labels"]]), "schedule", row["schedule"]))
            cells.append(tuple(self.cell(row["schedule"], column) for column in self.columns))
        for a, b in self.entry["differences"]:
            rows.append(Heading(f"{shown(a)} - {shown(b)}", "difference", f"{a} - {b}"))
            cells.append(tuple(self.difference(a, b, column) for column in self.columns))
        layout = CsvLayout(len(columns), 1, FIELDS)
        return Table(self.name, self.caption, "schedule", tuple(rows), columns, tuple(cells), csv=layout)

    def _languages(self, column: str) -> list[str]:
        ours = self.columns[column]
        return self.panel.languages if ours in ("all", "pooled") else [ours]

    def _best_evaluations(self, schedule: str, ours: str) -> Cell:
        """The test score at the evaluation with the best validation score, the latest of equals: MuCoT's protocol."""
        runs, metric, values = self.panel.runs(schedule), self.panel.metric, {}

        def rank(evaluation: dict) -> tuple[float, int]:
            return column_score(evaluation["scores"]["validation"], ours, metric), evaluation["update"]

        for run in runs:
            if evaluations := self.panel.study.evaluations.get(run["stages"][FINAL], []):
                best = max(evaluations, key=rank)
                values[replicate(run)] = column_score(best["scores"]["test"], ours, metric)
        return Cell(values, len(runs))

    def examples(self, column: str) -> int:
        """The number of examples behind our number of a column, in all splits of the data together."""
        return sum(self.panel.example_counts.get(lang, 0) for lang in self._languages(column))

    @property
    def caption(self) -> str:
        """The caption: source of the published numbers, our runs and interval, the meaning of the columns."""
        entry, panel = self.entry, self.panel
        runs = f"{count(len(panel.study.plan['seeds']), 'seed')}"
        if panel.folds != [0]:
            runs += f" x {len(panel.folds)} splits of the data"
        meanings = "; ".join(
            f"{column}: {column_meaning(panel.study.names.language(ours))}" for column, ours in self.columns.items()
        )
        unverified = "" if entry["verified"] else " The published numbers are not verified."
        protocol = (
            " As in the original, every column is the test score at the look that is best on its own validation rows:"
            " different checkpoints in one row, which no single model has."
            if entry["from_evaluations"]
            else ""
        )
        return (
            f"{entry['title']} ({entry['what']}) compared with model {panel.model_title} on {panel.dataset_title}: "
            f"published, ours with the {CONFIDENCE:.0%} CI of the mean over {runs}, difference, examples. "
            f"Columns: {meanings}.{unverified}{protocol}"
        )


def column_score(scores: Mapping[str, dict], ours: str, metric: str) -> float:
    """The score of a language, the mean over languages (`all`), or the mean over all examples (`pooled`)."""
    if ours not in ("all", "pooled"):
        return scores[ours][metric]
    weights = [entry["n"] if ours == "pooled" else 1 for entry in scores.values()]
    return mean([entry[metric] for entry in scores.values()], weights)


def column_meaning(ours: str) -> str:
    return {"pooled": "the mean over all examples", "all": "the mean over languages"}.get(ours, ours)


def published_comparisons(study: StudyResults) -> Iterator[PublishedComparison]:
    """Every published table of a study with every model."""
    for entry in study.plan.get("published", []):
        for model in study.plan["models"]:
            yield PublishedComparison(Panel(study, model, entry["track"], entry["dataset"]), entry)


def write_published_comparisons(study: StudyResults, out: Path) -> None:
    """Write every table into the folder `out`, as CSV (one line per number), Markdown and LaTeX."""
    formats = {"csv": comparison_csv, "md": comparison_markdown, "tex": comparison_latex}
    for comparison in published_comparisons(study):
        write_files(
            {f"{comparison.name}.{suffix}": text(comparison) for suffix, text in formats.items()}, out, study.pilot
        )


def comparison_csv(comparison: PublishedComparison) -> str:
    """Long form: rows of the published table, then differences between ours (`a - b`, nothing published)."""
    head = ["schedule", *comparison.entry["labels"], "column", "published", *FIELDS.values(), "difference"]
    lines = [[*head, "runs", "missing", "examples"]]
    blank = {"labels": [""] * len(comparison.entry["labels"]), "published": {}}
    entries = [*comparison.entry["rows"], *(blank for _ in comparison.entry["differences"])]
    table = comparison.table()
    for heading, row, cells in zip(table.rows, entries, table.cells, strict=True):
        for column, cell in zip(comparison.columns, cells, strict=True):
            published = row["published"].get(column)
            difference = None if cell.mean is None or published is None else cell.mean - published
            numbers = [decimal(published, 4), *csv_numbers(cell, *FIELDS), decimal(difference, 4)]
            counts = [len(cell.values), cell.missing_runs, comparison.examples(column)]
            lines.append([heading.key, *row["labels"], column, *numbers, *counts])
    return csv_text(lines)


def comparison_rows(comparison: PublishedComparison) -> tuple[list[str], list[list[str]]]:
    """Head and rows in the paper's shape: for every column published, ours with its interval, and their difference."""
    head = ["schedule", *comparison.entry["labels"]]
    for column in comparison.columns:
        head += [f"{column}, published", f"{column}, ours", "difference"]
    rows = []
    for row in comparison.entry["rows"]:
        line = [comparison.panel.schedule_title(row["schedule"]), *row["labels"]]
        for column in comparison.columns:
            cell, published = comparison.cell(row["schedule"], column), row["published"][column]
            difference = "n/a" if cell.mean is None else f"{cell.mean - published:+.1f}"
            line += [decimal(published, 1), mean_with_interval(cell), difference]
        rows.append(line)
    return head, rows


def difference_rows(comparison: PublishedComparison) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the differences between our schedules, run by run, with the interval of their mean."""
    columns = comparison.columns
    rows = [
        [
            *map(comparison.panel.schedule_title, (a, b)),
            *(mean_with_interval(comparison.difference(a, b, name), "+.1f") for name in columns),
        ]
        for a, b in comparison.entry["differences"]
    ]
    return ["schedule", "less", *columns], rows


def summary_sentence(comparison: PublishedComparison) -> str:
    """The differences between our schedules in the first column; a direction only if the interval leaves out 0."""
    column = next(iter(comparison.columns))
    parts = []
    for a, b in comparison.entry["differences"]:
        cell = comparison.difference(a, b, column)
        a, b = map(comparison.panel.schedule_title, (a, b))
        ends = interval(cell.values, resolution=cell.resolution)
        if cell.mean is None:
            parts.append(f"{a} against {b} is missing")
        elif ends and not ends.low <= 0 <= ends.high:
            direction = "better" if cell.mean > 0 else "worse"
            parts.append(f"{a} is {direction} than {b} ({mean_with_interval(cell, '+.1f')})")
        else:
            parts.append(f"{a} and {b} do not differ clearly ({mean_with_interval(cell, '+.1f')})")
    text = "; ".join(parts)
    meaning = column_meaning(comparison.panel.study.names.language(comparison.columns[column]))
    return f"{text[:1].upper()}{text[1:]}: points of {meaning}, with the {CONFIDENCE:.0%} CI."


def examples_line(comparison: PublishedComparison) -> str:
    return f"Examples: {', '.join(f'{column} {comparison.examples(column)}' for column in comparison.columns)}."


def comparison_markdown(comparison: PublishedComparison) -> str:
    head, rows = comparison_rows(comparison)
    parts = [
        markdown_text(f"{comparison.caption} {examples_line(comparison)}"),
        pipe_table(head, rows, 1 + len(comparison.entry["labels"])),
    ]
    if comparison.entry["differences"]:
        parts += ["Differences between schedules, run by run, with the interval of their mean:"]
        parts += [pipe_table(*difference_rows(comparison), 2)]
    return "\n\n".join(parts) + "\n"


def comparison_latex(comparison: PublishedComparison) -> str:
    r"""One or two `table` floats for a document with \usepackage{booktabs}.

    To fit a page, labels stand below the schedule, the difference below the published number, the interval below ours.
    """
    head = [", ".join(["schedule", *comparison.entry["labels"]])]
    for column in comparison.columns:
        head += [f"{column}, published", f"{column}, ours"]
    labels, narrow = 1 + len(comparison.entry["labels"]), style("scriptsize", 2, stretched=True)
    body = []
    for row in comparison_rows(comparison)[1]:
        numbers = row[labels:]
        line = [stacked(row[0], ", ".join(row[1:labels]), "l")]
        for published, ours, difference in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True):
            number, _, ends = ours.partition(" ")
            line += [stacked(published, f"({difference})"), stacked(number, ends)]
        body.append(line)
    caption = f"{comparison.caption} {examples_line(comparison)}"
    floats = [text_float(comparison.name, caption, head, body, 1, narrow)]
    if comparison.entry["differences"]:
        caption = f"Differences between schedules of {comparison.name}, run by run, with the interval of their mean."
        head, rows = difference_rows(comparison)
        body = [[escape(value) for value in row] for row in rows]
        floats.append(text_float(f"{comparison.name}.differences", caption, head, body, 2, narrow))
    return "\n".join(floats)


def stacked(above: str, below: str, align: str = "c") -> str:
    """A cell of two lines, the second small."""
    return rf"\shortstack[{align}]{{{escape(above)} \\{{}} \tiny {escape(below)}}}"
