"""A published table beside ours: the paper's number, our mean with its interval, the difference, and of how many.

Owns: which number of ours stands beside a published one, how such a table is written. Must never know: where scores are
stored.
"""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from crosstune.analysis.cells import Cell, replicate
from crosstune.analysis.intervals import CONFIDENCE, interval
from crosstune.analysis.results import FINAL, Panel, StudyResults
from crosstune.core.files import write_text
from crosstune.core.text import count, decimal
from crosstune.reporting.tables.formats import csv_text, escape, latex_table, pipe_table


@dataclass(frozen=True)
class Companion:
    """One published table with one model's numbers beside it."""

    panel: Panel
    entry: dict

    @property
    def name(self) -> str:
        return f"{self.entry['name']}.{self.panel.model}"

    @property
    def columns(self) -> dict[str, str]:
        """What of ours stands beside each published column: a language, `all` or `pooled`."""
        return dict(self.entry["columns"])

    def cell(self, schedule: str, column: str) -> Cell:
        """Our numbers of a published column, by run."""
        ours = self.columns[column]
        if self.entry["protocol"] == "mucot":
            return self._best_looks(schedule, ours)
        return self.panel.cell(schedule, self._languages(column), self.panel.metric, pooled=ours == "pooled")

    def difference(self, a: str, b: str, column: str) -> Cell:
        """Schedule `a` less schedule `b` in a column, run by run."""
        return self.cell(a, column).difference(self.cell(b, column))

    def _languages(self, column: str) -> list[str]:
        ours = self.columns[column]
        return self.panel.languages if ours in ("all", "pooled") else [ours]

    def _best_looks(self, schedule: str, ours: str) -> Cell:
        """The test score at the look with the best validation score, the latest of equals: MuCoT's protocol."""
        runs, metric = self.panel.runs(schedule), self.panel.metric
        found = {}
        for run in runs:
            looks = self.panel.study.evaluations.get(run["stages"][FINAL], [])
            if looks:
                best = max(looks, key=lambda look: (over(look["scores"]["validation"], ours, metric), look["update"]))
                found[replicate(run)] = over(best["scores"]["test"], ours, metric)
        return Cell(found, len(runs))

    def examples(self, column: str) -> int:
        """How many examples our number of a column is of, in all splits of the data together."""
        return sum(self.panel.example_counts.get(lang, 0) for lang in self._languages(column))

    @property
    def caption(self) -> str:
        """What a reader must know: whose numbers, of what, over which runs, what the interval covers."""
        entry, panel = self.entry, self.panel
        runs = f"{count(len(panel.study.plan['seeds']), 'seed')}"
        if panel.folds != [0]:
            runs += f" x {len(panel.folds)} splits of the data"
        beside = "; ".join(f"{column}: {meaning(ours)}" for column, ours in self.columns.items())
        unverified = "" if entry["verified"] else " The published numbers are not verified."
        protocol = (
            " As in the original, every column is the test score at the look that is best on its own validation rows:"
            " different checkpoints in one row, which no single model has."
            if entry["protocol"] == "mucot"
            else ""
        )
        return (
            f"{entry['title']} ({entry['what']}) beside model {panel.model} on {panel.dataset}: published, ours with "
            f"the {CONFIDENCE:.0%} interval of the mean over {runs}, difference, examples. Beside {beside}."
            f"{unverified}{protocol}"
        )


def over(scores: Mapping[str, dict], ours: str, metric: str) -> float:
    """One number of a look: of a language, the mean over languages (`all`), or over all examples (`pooled`)."""
    if ours not in ("all", "pooled"):
        return scores[ours][metric]
    weights = [entry["n"] if ours == "pooled" else 1 for entry in scores.values()]
    return statistics.fmean([entry[metric] for entry in scores.values()], weights)


def meaning(ours: str) -> str:
    return {"pooled": "the mean over all examples", "all": "the mean over languages"}.get(ours, ours)


def companions(study: StudyResults) -> Iterator[Companion]:
    """Every published table of a study with every model."""
    for entry in study.plan.get("published", []):
        for model in study.plan["models"]:
            yield Companion(Panel(study, model, entry["track"], entry["dataset"]), entry)


def write_companions(study: StudyResults, out: Path) -> None:
    """Write every table into the folder `out`, as CSV (one line per number), Markdown and LaTeX."""
    for companion in companions(study):
        write_text(out / f"{companion.name}.csv", companion_csv(companion))
        write_text(out / f"{companion.name}.md", companion_markdown(companion))
        write_text(out / f"{companion.name}.tex", companion_latex(companion))


def companion_csv(companion: Companion) -> str:
    """Long form: rows of the published table, then differences between ours (`a - b`, nothing published)."""
    head = ["schedule", *companion.entry["labels"], "column", "published", "ours", "sd", "low", "high", "difference"]
    lines = [[*head, "runs", "missing", "examples"]]
    for row in companion.entry["rows"]:
        for column in companion.columns:
            cell, published = companion.cell(row["schedule"], column), row["published"][column]
            difference = None if cell.mean is None else cell.mean - published
            own = [decimal(published, 4), *numbers(cell), decimal(difference, 4)]
            lines.append([row["schedule"], *row["labels"], column, *own, *counts(companion, cell, column)])
    blank = [""] * len(companion.entry["labels"])
    for a, b in companion.entry["differences"]:
        for column in companion.columns:
            cell = companion.difference(a, b, column)
            own = ["", *numbers(cell), ""]
            lines.append([f"{a} - {b}", *blank, column, *own, *counts(companion, cell, column)])
    return csv_text(lines)


def numbers(cell: Cell) -> list[str]:
    """Mean, deviation, and both ends of the interval."""
    found = interval(cell.values)
    ends = [found.low, found.high] if found else [None, None]
    return [decimal(number, 4) for number in (cell.mean, cell.sd, *ends)]


def counts(companion: Companion, cell: Cell, column: str) -> list[int]:
    return [len(cell.values), cell.missing_runs, companion.examples(column)]


def companion_rows(companion: Companion) -> tuple[list[str], list[list[str]]]:
    """Head and rows in the paper's shape: for every column published, ours with its interval, and their difference."""
    head = ["schedule", *companion.entry["labels"]]
    for column in companion.columns:
        head += [f"{column}, published", f"{column}, ours", "difference"]
    rows = []
    for row in companion.entry["rows"]:
        line = [row["schedule"], *row["labels"]]
        for column in companion.columns:
            cell, published = companion.cell(row["schedule"], column), row["published"][column]
            difference = "n/a" if cell.mean is None else f"{cell.mean - published:+.1f}"
            line += [decimal(published, 1), with_interval(cell), difference]
        rows.append(line)
    return head, rows


def difference_rows(companion: Companion) -> tuple[list[str], list[list[str]]]:
    """Differences between schedules of ours, run by run, with the interval of their mean."""
    columns = companion.columns
    rows = [
        [a, b, *(with_interval(companion.difference(a, b, name), "+.1f") for name in columns)]
        for a, b in companion.entry["differences"]
    ]
    return ["schedule", "less", *columns], rows


def with_interval(cell: Cell, form: str = ".1f") -> str:
    """`45.3 [44.1, 46.5]`; what runs it lacks stands behind it."""
    if cell.mean is None:
        return "n/a"
    found = interval(cell.values)
    lacks = f" ({len(cell.values)}/{cell.planned_runs} runs)" if cell.missing_runs else ""
    # Added to 0.0, a rounded -0.04 does not read -0.0.
    mean, *ends = (round(number, 1) + 0.0 for number in (cell.mean, *((found.low, found.high) if found else ())))
    between = ", ".join(f"{end:{form}}" for end in ends)
    return f"{mean:{form}}" + (f" [{between}]" if ends else "") + lacks


def told(companion: Companion) -> str:
    """The differences between schedules in words, by the first column; a direction only where the interval has one."""
    column = next(iter(companion.columns))
    parts = []
    for a, b in companion.entry["differences"]:
        cell = companion.difference(a, b, column)
        found = interval(cell.values)
        if cell.mean is None:
            parts.append(f"{a} against {b} is missing")
        elif found and not found.low <= 0 <= found.high:
            direction = "better" if cell.mean > 0 else "worse"
            parts.append(f"{a} is {direction} than {b} ({with_interval(cell, '+.1f')})")
        else:
            parts.append(f"{a} and {b} cannot be told apart ({with_interval(cell, '+.1f')})")
    text = "; ".join(parts)
    meant = meaning(companion.columns[column])
    return f"{text[:1].upper()}{text[1:]}: points of {meant}, with the {CONFIDENCE:.0%} interval."


def examples_line(companion: Companion) -> str:
    told = (f"{column} {companion.examples(column)}" for column in companion.columns)
    return f"Examples: {', '.join(told)}."


def companion_markdown(companion: Companion) -> str:
    head, rows = companion_rows(companion)
    parts = [
        f"{companion.caption} {examples_line(companion)}",
        pipe_table(head, rows, 1 + len(companion.entry["labels"])),
    ]
    if companion.entry["differences"]:
        parts += ["Differences between schedules, run by run, with the interval of their mean:"]
        parts += [pipe_table(*difference_rows(companion), 2)]
    return "\n\n".join(parts) + "\n"


def companion_latex(companion: Companion) -> str:
    r"""One or two `table` floats for a document with \usepackage{booktabs}.

    To fit a page, labels stand below the schedule, the difference below the published number, the interval below ours.
    """
    head = [", ".join(["schedule", *companion.entry["labels"]])]
    for column in companion.columns:
        head += [f"{column}, published", f"{column}, ours"]
    labels = 1 + len(companion.entry["labels"])
    body = []
    for row in companion_rows(companion)[1]:
        numbers = row[labels:]
        line = [stacked(row[0], ", ".join(row[1:labels]), "l")]
        for published, ours, difference in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True):
            mean, _, ends = ours.partition(" ")
            line += [stacked(published, f"({difference})"), stacked(mean, ends)]
        body.append(line)
    caption = f"{companion.caption} {examples_line(companion)}"
    floats = [latex_table(companion.name, caption, head, body, 1)]
    if companion.entry["differences"]:
        caption = f"Differences between schedules of {companion.name}, run by run, with the interval of their mean."
        head, rows = difference_rows(companion)
        body = [[escape(value) for value in row] for row in rows]
        floats.append(latex_table(f"{companion.name}.differences", caption, head, body, 2))
    return "\n".join(floats)


def stacked(above: str, below: str, align: str = "c") -> str:
    """A cell of two lines, the second small."""
    return rf"\shortstack[{align}]{{{escape(above)} \\{{}} \tiny {escape(below)}}}"
