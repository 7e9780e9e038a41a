"""The dot plot: every language with every schedule against the best trivial baseline.

There is one row per language, in blocks by its relation to the trained languages. Shape, colour and height within the
row encode the schedule. Schedules beyond the number of shapes are grey ticks.
"""

import math
from dataclasses import replace

from crosstune.analysis.results import Panel
from crosstune.core.text import decimal
from crosstune.reporting.figures.axes import INDENT, Axis, RowChart
from crosstune.reporting.figures.drawing import Chart
from crosstune.reporting.figures.figure import Figure, LegendEntry
from crosstune.reporting.figures.rows import (
    about_row,
    marked_schedules,
    row_blocks,
    schedule_legend,
    trained_schedules,
)
from crosstune.reporting.figures.style import SHAPES
from crosstune.reporting.figures.subjects import about_schedules

# From so many languages on, rows are closer and single seeds are left out: their range remains.
MANY = 16


def languages_figure(panel: Panel) -> Figure:
    """The dot plot of a panel in its primary metric, a chart per block of rows."""
    axis = Axis(0, score_limit(panel), panel.labels[panel.metric])
    blocks = row_blocks(panel)
    axes = [axis, *[replace(axis, title="")] * (len(blocks) - 1)]
    charts = tuple(dot_plot(panel, title, rows, own) for (title, rows), own in zip(blocks.items(), axes, strict=True))
    marked = marked_schedules(panel)
    legend = schedule_legend(panel, marked)
    others = [name for name in trained_schedules(panel) if name not in marked]
    if others:
        legend.append(LegendEntry("other schedules", "other", "tick", about_schedules(*others), len(others)))
    legend.append(LegendEntry("best trivial baseline", "baseline", "tick"))
    seeds = "" if len(panel.languages) >= MANY else " Small dots: seeds."
    caption = f"Large marks: mean over seeds. Lines: the range of the seeds.{seeds}"
    return Figure("languages", "Scores by language and schedule", caption, charts, tuple(legend))


def score_limit(panel: Panel) -> float:
    """The upper end of the axis: the next ten above all scores, at most 100."""
    cells = [panel.cell(name, [lang], panel.metric) for name in trained_schedules(panel) for lang in panel.languages]
    baselines = [panel.best_baseline([lang], panel.metric) or 0 for lang in panel.languages]
    highest = max([*baselines, *(value for cell in cells for value in cell.values.values())], default=100)
    return max(10, min(100, 10 * math.ceil(highest / 10)))


def dot_plot(panel: Panel, title: str, rows: dict[str, list[str]], axis: Axis) -> Chart:
    """One block of rows."""
    names = [f"xxx{name}" for block in row_blocks(panel).values() for name in block]
    marked, chart = marked_schedules(panel), RowChart(axis, names)
    gap = 3 if len(panel.languages) >= MANY else 8
    height = max(20, gap * len(marked) + 8)
    places = {}
    for name, languages in rows.items():
        y = places[name] = chart.row(name, height, INDENT, subject=about_row(title, languages))
        baseline = panel.best_baseline(languages, panel.metric)
        if baseline is not None:
            chart.mark(y, baseline, "tick", "baseline", f"{name}: best trivial baseline {decimal(baseline, 1)}")
        chart.rule()
    # The marks of a schedule are neighbours, so that the page needs their subject once.
    trained = trained_schedules(panel)
    for schedule in [*(name for name in trained if name not in marked), *marked]:
        shift = gap * (marked.index(schedule) - (len(marked) - 1) / 2) if schedule in marked else 0
        for name, languages in rows.items():
            mark_schedule(chart, panel, places[name] + shift, (name, languages), schedule)
    schedules = ", ".join(map(panel.schedule_title, trained))
    name = f"{panel.labels[panel.metric]} of {schedules}: {title}, {len(rows)} rows."
    return chart.chart(name, title, subject=about_schedules(*trained))


def mark_schedule(chart: RowChart, panel: Panel, y: float, row: tuple[str, list[str]], schedule: str) -> None:
    """The marks of a schedule in a row (its name and its languages)."""
    name, languages = row
    cell, marked = panel.cell(schedule, languages, panel.metric), marked_schedules(panel)
    if cell.mean is None:
        return
    row_name = "" if len(panel.languages) >= MANY else f"{name}, "
    title = f"{row_name}{panel.schedule_title(schedule)}: {decimal(cell.mean, 1)}"
    subject = about_schedules(schedule)
    if schedule not in marked:
        chart.mark(y, cell.mean, "tick", "other", title, subject)
        return
    number = marked.index(schedule)
    values = list(cell.values.values())
    if len(values) > 1:
        chart.interval(y, min(values), max(values), f"c{number}", subject=subject)
    if len(panel.languages) < MANY:
        for value in values:
            chart.mark(y, value, "dot", f"c{number}", subject=subject)
    chart.mark(y, cell.mean, SHAPES[number], f"c{number}", title, subject)
