"""The heat map: the mean over seeds of every language with every schedule, as a number on a shade."""

import altair as alt

from crosstune.analysis.results import Panel
from crosstune.reporting.figures.rows import row_blocks
from crosstune.reporting.figures.style import chart_spec

STEP_X, STEP_Y = 62, 19

# The share of the highest score above which numbers are white, on the dark shades.
DARK = 0.68


def heat_figure(panel: Panel) -> dict:
    """The heat map of a panel in its primary metric: the rows of the dot plot, all schedules."""
    blocks = row_blocks(panel)
    data = {title: heat_records(panel, rows) for title, rows in blocks.items()}
    highest = max((record["score"] for part in data.values() for record in part), default=100)
    titles = list(blocks)
    parts = [
        heat_block(title, list(rows), panel.schedules, highest, title == titles[0]) for title, rows in blocks.items()
    ]
    description = f"Mean {panel.labels[panel.metric]} of every schedule in every language, as in the tables."
    return chart_spec(alt.vconcat(*parts, spacing=8), data, description)


def heat_records(panel: Panel, rows: dict[str, list[str]]) -> list[dict]:
    """One record per row and schedule with scores."""
    cells = {
        (label, schedule): panel.cell(schedule, languages, panel.metric)
        for label, languages in rows.items()
        for schedule in panel.schedules
    }
    return [
        {"row": label, "schedule": schedule, "score": round(cell.mean, 4), "runs": len(cell.values)}
        for (label, schedule), cell in cells.items()
        if cell.mean is not None
    ]


def heat_block(title: str, rows: list[str], schedules: list[str], highest: float, first: bool) -> alt.LayerChart:
    """One block of rows; the first shows the names of the schedules."""
    names = alt.Axis(orient="top", labelAngle=-35, labels=first, title=None, labelLimit=160, domain=False)
    base = alt.Chart(alt.NamedData(title)).encode(
        x=alt.X("schedule:N", scale=alt.Scale(domain=schedules), axis=names),
        y=alt.Y("row:N", sort=None, title=None, axis=alt.Axis(minExtent=170, labelLimit=170)),
        tooltip=[
            alt.Tooltip("row:N", title="language"),
            alt.Tooltip("schedule:N"),
            alt.Tooltip("score:Q", title="mean", format=".1f"),
            alt.Tooltip("runs:Q"),
        ],
    )
    shade = alt.Color("score:Q", scale=alt.Scale(scheme="blues", domain=[0, highest]), legend=None)
    number = alt.condition(f"datum.score > {DARK * highest:.6f}", alt.value("white"), alt.value("black"))
    return alt.layer(
        base.mark_rect(stroke="white", strokeWidth=0.5).encode(color=shade),
        base.mark_text(fontSize=10).encode(text=alt.Text("score:Q", format=".1f"), color=number),
    ).properties(width=STEP_X * len(schedules), height=STEP_Y * len(rows), title=title)
