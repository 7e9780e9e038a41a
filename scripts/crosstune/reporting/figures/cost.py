"""The score of a schedule against its training time."""

from pathlib import Path

import altair as alt

from crosstune.analysis.results import Panel
from crosstune.reporting.figures.rows import drawn_schedules, mean_and_range
from crosstune.reporting.figures.style import chart_spec, colour_encoding, shape_encoding
from crosstune.reporting.tables.cost import schedule_costs

WIDTH, HEIGHT = 440, 260


def cost_records(panel: Panel, results: Path) -> list[dict]:
    """One record per drawn schedule with scores and cost records: hours, device, mean score and range."""
    costs = schedule_costs(panel, results)
    _, languages = averaged_languages(panel)
    cells = {name: panel.cell(name, languages, panel.metric) for name in drawn_schedules(panel) if name in costs}
    return [
        {
            "schedule": schedule,
            "hours": round(costs[schedule].hours, 6),
            "device": costs[schedule].device,
            **mean_and_range(cell),
        }
        for schedule, cell in cells.items()
        if cell.mean is not None
    ]


def averaged_languages(panel: Panel) -> tuple[str, list[str]]:
    """Name and languages of the average: the low-resource languages, or all if there are none."""
    low = panel.low_resource_languages
    return ("low-resource", low) if low else ("all", panel.languages)


def cost_figure(panel: Panel, records: list[dict]) -> dict:
    """A mark per schedule: score by the time of all its trainings, without sharing stages."""
    schedules = [record["schedule"] for record in records]
    name, _ = averaged_languages(panel)
    devices = ", ".join(sorted({record["device"] for record in records}))
    unit, times = ("hours", 1) if max(record["hours"] for record in records) >= 1 else ("minutes", 60)
    records = [{**record, unit: round(record["hours"] * times, 4)} for record in records]
    x = alt.X(f"{unit}:Q", title=f"{unit} of training, {devices}", scale=alt.Scale(zero=True))
    title = f"{panel.labels[panel.metric]}, {name} languages"
    y = alt.Y("score:Q", title=title, scale=alt.Scale(zero=False))
    base = alt.Chart(alt.NamedData("schedules")).encode(x=x, color=colour_encoding(schedules))
    tip = ["schedule:N", alt.Tooltip(f"{unit}:Q", format=".3~g"), alt.Tooltip("score:Q", title="mean", format=".1f")]
    chart = alt.layer(
        base.mark_rule(strokeWidth=1.5, opacity=0.6).encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
        base.mark_point(filled=True, size=80, opacity=1).encode(y=y, shape=shape_encoding(schedules), tooltip=tip),
    ).properties(width=WIDTH, height=HEIGHT)
    description = f"{panel.labels[panel.metric]} in {name} languages by training time: {', '.join(schedules)}."
    return chart_spec(chart, {"schedules": records}, description)
