"""The dot plot: every language, schedule and seed against the best trivial baseline.

There is one row per language, grouped by its relation to the trained languages. A row has marks per schedule (large:
mean, small: seeds) and a grey bar for the best trivial baseline. Shape, colour and vertical order encode the schedule.
"""

import math

import altair as alt

from crosstune.analysis.results import Panel
from crosstune.reporting.figures.rows import drawn_schedules, row_blocks
from crosstune.reporting.figures.style import GREY, chart_spec, colour_encoding, shape_encoding

KINDS = ("scores", "baselines")

WIDTH = 520

LINE_HEIGHT = 9


def languages_figure(panel: Panel) -> dict:
    """The Vega-Lite specification of a panel's dot plot in its primary metric, with its data."""
    schedules = drawn_schedules(panel)
    blocks = row_blocks(panel)
    data = {
        title: (score_records(panel, schedules, rows), baseline_records(panel, rows)) for title, rows in blocks.items()
    }
    highest = max((record["score"] for parts in data.values() for part in parts for record in part), default=100)
    scale = alt.Scale(domain=[0, min(100, 10 * math.ceil(highest / 10))], nice=False)
    bottom = list(blocks)[-1]
    charts = [
        dot_plot_block(title, list(rows), schedules, score_axis(panel, scale, labelled=title == bottom))
        for title, rows in blocks.items()
    ]
    datasets = {
        f"{kind} {title}": part for title, parts in data.items() for kind, part in zip(KINDS, parts, strict=True)
    }
    description = f"{panel.labels[panel.metric]} of {', '.join(schedules)} in every language, seed by seed."
    return chart_spec(alt.vconcat(*charts, spacing=10), datasets, description)


def score_records(panel: Panel, schedules: list[str], rows: dict[str, list[str]]) -> list[dict]:
    """One record per row, schedule and run."""
    return [
        {"row": label, "schedule": schedule, "seed": str(run) if run.fold else run.seed, "score": round(score, 4)}
        for label, languages in rows.items()
        for schedule in schedules
        for run, score in panel.cell(schedule, languages, panel.metric).values.items()
    ]


def baseline_records(panel: Panel, rows: dict[str, list[str]]) -> list[dict]:
    """The best trivial baseline of every row that has one."""
    scores = {label: panel.best_baseline(languages, panel.metric) for label, languages in rows.items()}
    return [{"row": label, "score": round(score, 4)} for label, score in scores.items() if score is not None]


def score_axis(panel: Panel, scale: alt.Scale, labelled: bool) -> alt.X:
    """The horizontal axis, labelled in the lowest block only."""
    title = f"{panel.labels[panel.metric]}; grey bar: best trivial baseline" if labelled else None
    return alt.X("score:Q", scale=scale, axis=alt.Axis(title=title, labels=labelled, labelFlush=False, tickCount=6))


def dot_plot_block(title: str, rows: list[str], schedules: list[str], x: alt.X) -> alt.LayerChart:
    """One block of rows: best trivial baseline, range over seeds, seeds, means."""
    row = alt.Y("row:N", sort=None, title=None, axis=alt.Axis(minExtent=170, grid=False))
    scores = alt.Chart(alt.NamedData(f"scores {title}")).encode(
        y=row.scale(paddingInner=0.3),
        yOffset=alt.YOffset("schedule:N", scale=alt.Scale(domain=schedules)),
        color=colour_encoding(schedules),
    )
    baseline = alt.Chart(alt.NamedData(f"baselines {title}")).mark_tick(color=GREY, thickness=3)
    who = [alt.Tooltip("row:N", title="language"), alt.Tooltip("schedule:N")]
    seed = [*who, alt.Tooltip("seed:N"), alt.Tooltip("score:Q", format=".1f")]
    mean = [*who, alt.Tooltip("mean(score):Q", title="mean", format=".1f")]
    best = [who[0], alt.Tooltip("score:Q", title="best trivial baseline", format=".1f")]
    return alt.layer(
        baseline.encode(y=row, x=x, tooltip=best),
        scores.mark_rule(strokeWidth=1.5, opacity=0.6).encode(x=x.aggregate("min"), x2="max(score):Q"),
        scores.mark_point(filled=True, size=14, opacity=0.6).encode(x=x, shape=shape_encoding(schedules), tooltip=seed),
        scores.mark_point(filled=True, size=75, opacity=1).encode(
            x=x.aggregate("mean"), shape=shape_encoding(schedules), tooltip=mean
        ),
    ).properties(width=WIDTH, height=len(rows) * (len(schedules) * LINE_HEIGHT + 8), title=title)
