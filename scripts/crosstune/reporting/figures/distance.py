"""Transfer by typological distance: a mark per language, a line per schedule."""

import altair as alt

from crosstune.analysis.results import Panel
from crosstune.reporting.figures.rows import drawn_schedules
from crosstune.reporting.figures.style import GREY, chart_spec, colour_encoding, shape_encoding
from crosstune.reporting.tables.distance import distance_points, lines_by_distance

WIDTH, HEIGHT = 520, 300


def schedules_with_line(panel: Panel) -> list[str]:
    """The drawn schedules with enough languages for a line."""
    return [name for name in drawn_schedules(panel) if name in lines_by_distance(panel)]


def distance_figure(panel: Panel) -> dict:
    """The languages on which a schedule does not train, by distance, with the least-squares line."""
    schedules, records, ends = schedules_with_line(panel), [], []
    lines = lines_by_distance(panel)
    for schedule in schedules:
        at = distance_points(panel, schedule)
        records += [
            {
                "schedule": schedule,
                "language": panel.language_title(point.language),
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
        alt.Chart(alt.NamedData("lines")).mark_line(strokeWidth=1.5).encode(x=x, y=y, color=colour_encoding(schedules)),
        marks.encode(x=x, y=y, color=colour_encoding(schedules), shape=shape_encoding(schedules), tooltip=tip),
    ).properties(width=WIDTH, height=HEIGHT)
    description = "Transfer to languages on which a schedule does not train, by their distance to its sources: "
    return chart_spec(chart, {"languages": records, "lines": ends}, description + ", ".join(schedules) + ".")
