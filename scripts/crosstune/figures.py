"""The figure of a study: every language, every schedule, every seed, over the floor.

Owns: what is drawn and how. Must never know: where scores are stored, which page shows the figure.

One row per language, grouped by its relation to the trained languages; within a row one mark per schedule (large:
mean, small: single seeds) and a grey bar for the best trivial answer or untrained model. Shape, colour and vertical
order all tell the schedule, so that it can be read in grey and by the colour-blind (colours: Okabe and Ito).
"""

import math
from pathlib import Path

import altair as alt
import vl_convert

from crosstune.collect import UNTRAINED, Panel, Study
from crosstune.files import atomic_open, write_text

COLOURS = ("#e69f00", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
FLOOR_COLOUR = "#777777"
KINDS = ("scores", "floors")
WIDTH = 520
LINE_HEIGHT = 9
FONT = "Helvetica, Arial, sans-serif"


def write_figures(study: Study, out: Path) -> list[Path]:
    """Draw every panel into the folder `out` as <track>.<dataset>.<model>.svg and .pdf, and return the paths."""
    paths = []
    for panel in study.panels():
        if not drawn_schedules(panel):
            continue
        spec = figure(panel)
        svg, pdf = out / f"{panel.name}.svg", out / f"{panel.name}.pdf"
        write_text(svg, figure_svg(spec))
        with atomic_open(pdf) as file:
            file.write(vl_convert.vegalite_to_pdf(spec))
        paths += [svg, pdf]
    return paths


def figure_svg(spec: dict) -> str:
    """A Vega-Lite specification as SVG text: no file, no network."""
    return vl_convert.vegalite_to_svg(spec)


def drawn_schedules(panel: Panel) -> list[str]:
    """The schedules that the figure shows: those of the headline first, as many as there are shapes."""
    headline = [name for name in panel.study.plan.get("headline", {}).values() if name in panel.schedules]
    others = [name for name in panel.schedules if name != UNTRAINED and name not in headline]
    return [*headline, *others][: len(SHAPES)]


def figure(panel: Panel) -> dict:
    """The dot plot of a panel in its primary metric, as a Vega-Lite specification that holds its data."""
    schedules = drawn_schedules(panel)
    blocks = {title: rows for title, rows in row_blocks(panel).items() if rows}
    data = {
        title: (score_records(panel, schedules, rows), floor_records(panel, rows)) for title, rows in blocks.items()
    }
    highest = max((record["score"] for parts in data.values() for part in parts for record in part), default=100)
    scale = alt.Scale(domain=[0, min(100, 10 * math.ceil(highest / 10))], nice=False)
    bottom = list(blocks)[-1]
    chart = (
        alt.vconcat(
            *(
                block(title, list(rows), schedules, score_axis(panel, scale, labelled=title == bottom))
                for title, rows in blocks.items()
            ),
            spacing=10,
        )
        .configure(font=FONT, background="white")
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=11, titleFontSize=11, titleFontWeight="normal", ticks=False, domain=False)
        .configure_title(anchor="start", fontSize=11, offset=4)
        .configure_legend(orient="top", labelFontSize=12, symbolSize=100, symbolOpacity=1, title=None)
    )
    # The data are added by name: Altair would validate every record of inline data, which takes minutes.
    datasets = {
        f"{kind} {title}": part for title, parts in data.items() for kind, part in zip(KINDS, parts, strict=True)
    }
    return chart.to_dict() | {"datasets": datasets}


def row_blocks(panel: Panel) -> dict[str, dict[str, list[str]]]:
    """The rows of the figure by block: the label of a row and the languages that it averages over."""
    averages = {"low": "low-resource languages", "seen": "trained languages"}
    return {
        "Averages": {label: panel.averages[name] for name, label in averages.items() if name in panel.averages},
        "Seen in training": {panel.title(lang): [lang] for lang in panel.seen},
        "Unseen, of a trained family": {panel.title(lang): [lang] for lang in panel.related},
        "Unseen, of no trained family": {panel.title(lang): [lang] for lang in panel.unrelated},
    }


def score_records(panel: Panel, schedules: list[str], rows: dict[str, list[str]]) -> list[dict]:
    """One record per row, schedule and seed."""
    return [
        {"row": label, "schedule": schedule, "seed": seed, "score": round(score, 4)}
        for label, languages in rows.items()
        for schedule in schedules
        for seed, score in panel.cell(schedule, languages, panel.metric).values.items()
    ]


def floor_records(panel: Panel, rows: dict[str, list[str]]) -> list[dict]:
    """The best floor of every row that has one."""
    floors = {label: panel.best_floor(languages, panel.metric) for label, languages in rows.items()}
    return [{"row": label, "score": round(score, 4)} for label, score in floors.items() if score is not None]


def score_axis(panel: Panel, scale: alt.Scale, labelled: bool) -> alt.X:
    """The horizontal axis; only the lowest block labels it."""
    title = f"{panel.labels[panel.metric]}; grey bar: floor" if labelled else None
    return alt.X("score:Q", scale=scale, axis=alt.Axis(title=title, labels=labelled, labelFlush=False, tickCount=6))


def block(title: str, rows: list[str], schedules: list[str], x: alt.X) -> alt.LayerChart:
    """One block of rows: floor, range over seeds, seeds, means."""
    row = alt.Y("row:N", sort=rows, title=None, axis=alt.Axis(minExtent=170, grid=False))
    scores = alt.Chart(alt.NamedData(f"scores {title}")).encode(
        y=row.scale(paddingInner=0.3),
        yOffset=alt.YOffset("schedule:N", sort=schedules, scale=alt.Scale(domain=schedules)),
        color=alt.Color("schedule:N", scale=alt.Scale(domain=schedules, range=COLOURS[: len(schedules)])),
    )
    shape = alt.Shape("schedule:N", scale=alt.Scale(domain=schedules, range=SHAPES[: len(schedules)]))
    floor = alt.Chart(alt.NamedData(f"floors {title}")).mark_tick(color=FLOOR_COLOUR, thickness=3)
    return alt.layer(
        floor.encode(y=row, x=x),
        scores.mark_rule(strokeWidth=1.5, opacity=0.6).encode(x=x.aggregate("min"), x2="max(score):Q"),
        scores.mark_point(filled=True, size=14, opacity=0.6).encode(x=x, shape=shape),
        scores.mark_point(filled=True, size=75, opacity=1).encode(x=x.aggregate("mean"), shape=shape),
    ).properties(width=WIDTH, height=len(rows) * (len(schedules) * LINE_HEIGHT + 8), title=title)
