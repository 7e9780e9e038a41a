"""Transfer against typological distance: a mark for each language, a line for each schedule."""

import altair as alt

from crosstune.analysis.results import Panel
from crosstune.reporting.figures.rows import drawn_schedules
from crosstune.reporting.figures.style import GREY, coloured, finished, shaped
from crosstune.reporting.tables.distance import lines_by_distance, points

WIDTH, HEIGHT = 520, 300


def fitted(panel: Panel) -> list[str]:
    """The drawn schedules that have a line."""
    return [name for name in drawn_schedules(panel) if name in lines_by_distance(panel)]


def distance_figure(panel: Panel) -> dict:
    """Languages that a schedule does not train on, by distance, with the line of least squares."""
    schedules, records, ends = fitted(panel), [], []
    lines = lines_by_distance(panel)
    for schedule in schedules:
        at = points(panel, schedule)
        records += [
            {
                "schedule": schedule,
                "language": panel.title(point.language),
                "family": panel.family(point.language),
                "distance": round(point.distance, 4),
                "transfer": round(point.transfer, 4),
            }
            for point in at
        ]
        line = lines[schedule]
        ends += [
            {"schedule": schedule, "distance": round(x, 4), "transfer": round(line.intercept + line.slope * x, 4)}
            for x in (min(point.distance for point in at), max(point.distance for point in at))
        ]
    x = alt.X("distance:Q", title="typological distance to the sources", scale=alt.Scale(zero=False, padding=8))
    y = alt.Y("transfer:Q", title=f"{panel.labels[panel.metric]} over the untrained model")
    tip = [
        "language:N",
        "family:N",
        "schedule:N",
        *(alt.Tooltip(f"{field}:Q", format=".2f") for field in ("distance", "transfer")),
    ]
    marks = alt.Chart(alt.NamedData("languages")).mark_point(filled=True, size=60, opacity=0.85)
    chart = alt.layer(
        alt.Chart(alt.NamedData("languages")).mark_rule(color=GREY, strokeDash=[4, 3]).encode(y=alt.datum(0)),
        alt.Chart(alt.NamedData("lines")).mark_line(strokeWidth=1.5).encode(x=x, y=y, color=coloured(schedules)),
        marks.encode(x=x, y=y, color=coloured(schedules), shape=shaped(schedules), tooltip=tip),
    ).properties(width=WIDTH, height=HEIGHT)
    told = "Transfer to languages that a schedule does not train on, by their distance to its sources: "
    return finished(chart, {"languages": records, "lines": ends}, told + ", ".join(schedules) + ".")
