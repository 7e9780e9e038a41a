"""What a schedule of several stages learns and forgets: scores after each of its stages."""

import altair as alt

from crosstune.analysis.results import UNTRAINED, Cell, Panel, Stage
from crosstune.reporting.figures.style import COLOURS, coloured, finished, shaped

WIDTH, HEIGHT = 225, 190

COLUMNS = 2

MOST = 12

"""Schedules that are drawn."""


def staged(panel: Panel) -> list[str]:
    """The schedules with at least two stages that are scored, the first MOST of them."""
    return [name for name in panel.schedules if len(scored_stages(panel, name)) > 1][:MOST]


def scored_stages(panel: Panel, schedule: str) -> list[Stage]:
    return [stage for stage in panel.stages(schedule) if stage.updates and panel.is_scored(schedule, stage)]


def curves_figure(panel: Panel) -> dict:
    """A small chart for every schedule of several stages: a line for each trained language and for two averages."""
    series = lines_of(panel)
    records = [record for schedule in staged(panel) for record in stage_records(panel, schedule, series)]
    steps = list(dict.fromkeys(record["stage"] for record in sorted(records, key=lambda record: record["number"])))
    base = alt.Chart().encode(
        x=alt.X("stage:N", sort=steps, title="after the stage", axis=alt.Axis(labelAngle=-30, labelLimit=120)),
        color=coloured(list(series), "line"),
    )
    score = alt.Y("score:Q", title=panel.labels[panel.metric], scale=alt.Scale(zero=True))
    tip = [
        alt.Tooltip("line:N", title="language"),
        alt.Tooltip("stage:N", title="after the stage"),
        alt.Tooltip("score:Q", title="mean", format=".1f"),
        alt.Tooltip("low:Q", title="lowest seed", format=".1f"),
        alt.Tooltip("high:Q", title="highest seed", format=".1f"),
    ]
    chart = (
        alt.layer(
            base.mark_rule(opacity=0.45, strokeWidth=3).encode(y=alt.Y("low:Q", title=None), y2="high:Q"),
            base.mark_line(strokeWidth=1.5).encode(y=score),
            base.mark_point(filled=True, size=55, opacity=1).encode(
                y=score, shape=shaped(list(series), "line"), tooltip=tip
            ),
            data=alt.NamedData("stages"),
        )
        .properties(width=WIDTH, height=HEIGHT)
        .facet(facet=alt.Facet("schedule:N", sort=staged(panel), title=None), columns=COLUMNS)
        .resolve_scale(x="independent")
    )
    names = ", ".join(staged(panel))
    told = f"{panel.labels[panel.metric]} after each stage of {names}: what rises is learned, what falls forgotten."
    return finished(chart, {"stages": records}, told)


def lines_of(panel: Panel) -> dict[str, list[str]]:
    """Name and languages of every line: two averages, then trained languages as far as there are colours."""
    averages = {"low-resource languages": panel.low, "unseen languages": panel.unseen}
    lines = {name: languages for name, languages in averages.items() if languages}
    if panel.low == panel.unseen:
        lines.pop("unseen languages", None)
    trained = dict.fromkeys(language for name in staged(panel) for language in panel.trained(name))
    for language in trained:
        if language in panel.seen and len(lines) < len(COLOURS):
            lines[panel.title(language)] = [language]
    return lines


def stage_records(panel: Panel, schedule: str, series: dict[str, list[str]]) -> list[dict]:
    """One record per line and stage, the untrained model before them where it is scored: mean and range over seeds."""
    found: list[tuple[int, str, dict[str, Cell]]] = []
    if UNTRAINED in panel.schedules:
        found.append(
            (0, "untrained", {name: panel.cell(UNTRAINED, group, panel.metric) for name, group in series.items()})
        )
    for stage in scored_stages(panel, schedule):
        cells = {name: panel.cell(schedule, group, panel.metric, stage.number - 1) for name, group in series.items()}
        found.append((stage.number, f"{stage.number} {panel.short(stage.sources)}", cells))
    return [
        {
            "schedule": schedule,
            "number": number,
            "stage": name,
            "line": line,
            "score": round(cell.mean, 4),
            "low": round(min(cell.values.values()), 4),
            "high": round(max(cell.values.values()), 4),
        }
        for number, name, cells in found
        for line, cell in cells.items()
        if cell.mean is not None
    ]
