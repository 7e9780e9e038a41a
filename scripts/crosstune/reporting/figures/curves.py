"""Learning and forgetting of a schedule of several stages: scores after each stage."""

import altair as alt

from crosstune.analysis.cells import Cell
from crosstune.analysis.results import UNTRAINED, Panel, StageInfo
from crosstune.reporting.figures.rows import mean_and_range
from crosstune.reporting.figures.style import COLOURS, chart_spec, colour_encoding, shape_encoding

WIDTH, HEIGHT = 225, 190

COLUMNS = 2

# The largest number of drawn schedules.
MAX_CURVES = 12


def multi_stage_schedules(panel: Panel) -> list[str]:
    """The first MAX_CURVES schedules with at least two scored stages."""
    return [name for name in panel.schedules if len(scored_stages(panel, name)) > 1][:MAX_CURVES]


def scored_stages(panel: Panel, schedule: str) -> list[StageInfo]:
    return [stage for stage in panel.stages(schedule) if stage.updates and panel.is_scored(schedule, stage)]


def curves_figure(panel: Panel) -> dict:
    """A small chart per schedule of several stages, with a line for each trained language and for two averages."""
    series, schedules = line_languages(panel), multi_stage_schedules(panel)
    records = [record for schedule in schedules for record in stage_records(panel, schedule, series)]
    steps = list(dict.fromkeys(record["stage"] for record in sorted(records, key=lambda record: record["number"])))
    base = alt.Chart().encode(
        x=alt.X("stage:N", sort=steps, title="after the stage", axis=alt.Axis(labelAngle=-30, labelLimit=120)),
        color=colour_encoding(list(series), "line"),
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
                y=score, shape=shape_encoding(list(series), "line"), tooltip=tip
            ),
            data=alt.NamedData("stages"),
        )
        .properties(width=WIDTH, height=HEIGHT)
        .facet(facet=alt.Facet("schedule:N", sort=schedules, title=None), columns=COLUMNS)
        .resolve_scale(x="independent")
    )
    names = ", ".join(schedules)
    description = (
        f"{panel.labels[panel.metric]} after each stage of {names}. Rising lines: learning; falling: forgetting."
    )
    return chart_spec(chart, {"stages": records}, description)


def line_languages(panel: Panel) -> dict[str, list[str]]:
    """Name and languages of every line: two averages, then trained languages up to the number of colours."""
    low, unseen = panel.low_resource_languages, panel.unseen_languages
    averages = {"low-resource languages": low, "unseen languages": unseen}
    lines = {name: languages for name, languages in averages.items() if languages}
    if low == unseen:
        lines.pop("unseen languages", None)
    trained = dict.fromkeys(
        language for name in multi_stage_schedules(panel) for language in panel.training_languages(name)
    )
    for language in trained:
        if language in panel.seen_languages and len(lines) < len(COLOURS):
            lines[panel.language_title(language)] = [language]
    return lines


def stage_records(panel: Panel, schedule: str, series: dict[str, list[str]]) -> list[dict]:
    """Mean and range over seeds for every line and stage, after those of the untrained model if it is scored."""
    steps: list[tuple[int, str, dict[str, Cell]]] = []
    if UNTRAINED in panel.schedules:
        steps.append(
            (0, "untrained", {name: panel.cell(UNTRAINED, group, panel.metric) for name, group in series.items()})
        )
    for stage in scored_stages(panel, schedule):
        cells = {name: panel.cell(schedule, group, panel.metric, stage.number - 1) for name, group in series.items()}
        steps.append((stage.number, f"{stage.number} {panel.short_sources(stage.sources)}", cells))
    return [
        {"schedule": schedule, "number": number, "stage": name, "line": line, **mean_and_range(cell)}
        for number, name, cells in steps
        for line, cell in cells.items()
        if cell.mean is not None
    ]
