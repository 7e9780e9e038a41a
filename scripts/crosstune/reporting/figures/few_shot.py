"""Few-shot curves: the score of each sampled language by the number of its examples."""

import math
from collections.abc import Iterator, Sequence

import altair as alt

from crosstune.analysis.intervals import interval
from crosstune.analysis.results import Panel
from crosstune.reporting.figures.style import COLOURS, chart_spec, colour_encoding, shape_encoding
from crosstune.reporting.tables.few_shot import drawn_curves, sampled_languages

WIDTH, HEIGHT, COLUMNS = 420, 240, 2

# The largest number of drawn curves.
MAX_FEW_SHOT = len(COLOURS)

# The distance between the marks of two curves at one size, as a share of the axis.
DODGE = 0.012


def few_shot_figure(panel: Panel) -> dict:
    """A small chart per sampled language, with a line per curve and the interval of each mean over seeds."""
    names = list(drawn_curves(panel))[:MAX_FEW_SHOT]
    records = list(curve_records(panel, names))
    sizes = sorted({record["examples"] for record in records})
    # Logarithmic from the smallest sample on; below it the axis is linear and has a place for 0.
    constant = max(1, min((size for size in sizes if size), default=1) / 4)
    for record in records:
        record["x"] = round(dodged(record["examples"], names.index(record["curve"]), len(names), sizes, constant), 4)
    x = alt.X(
        "x:Q",
        title="training examples of the language",
        scale=alt.Scale(type="symlog", constant=constant, nice=False, padding=16),
        axis=alt.Axis(values=sizes, format="d", grid=False),
    )
    label = panel.labels[panel.metric]
    # No score is outside 0 to 100, whatever an interval over two seeds says.
    ends = [max(0, min(record["low"] for record in records)), min(100, max(record["high"] for record in records))]
    y = alt.Y("score:Q", title=label, scale=alt.Scale(domain=ends, nice=True))
    tip = [
        alt.Tooltip("curve:N"),
        alt.Tooltip("examples:Q"),
        alt.Tooltip("score:Q", title="mean", format=".1f"),
        alt.Tooltip("low:Q", title="interval from", format=".1f"),
        alt.Tooltip("high:Q", title="to", format=".1f"),
    ]
    base = alt.Chart().encode(x=x, color=colour_encoding(names, "curve"))
    chart = (
        alt.layer(
            base.mark_rule(opacity=0.55, strokeWidth=1.5, clip=True).encode(y=alt.Y("low:Q", title=label), y2="high:Q"),
            base.mark_line(strokeWidth=1.5).encode(y=y, order=alt.Order("examples:Q")),
            base.mark_point(filled=True, size=60, opacity=1).encode(
                y=y, shape=shape_encoding(names, "curve"), tooltip=tip
            ),
            data=alt.NamedData("points"),
        )
        .properties(width=WIDTH, height=HEIGHT)
        .facet(facet=alt.Facet("language:N", sort=None, title=None), columns=COLUMNS)
    )
    return chart_spec(chart, {"points": records}, f"{label} by the number of training examples: {', '.join(names)}.")


def curve_records(panel: Panel, names: Sequence[str]) -> Iterator[dict]:
    """One record per curve, point and language that the curve samples, with the interval if there are two seeds."""
    for language in sampled_languages(panel):
        for name in names:
            curve = drawn_curves(panel)[name]
            for size, schedule in curve.points.items() if language in curve.languages else ():
                cell = panel.cell(schedule, [language], panel.metric)
                if cell.mean is None:
                    continue
                ends = interval(cell.values, resolution=cell.resolution)
                low, high = (ends.low, ends.high) if ends else (cell.mean, cell.mean)
                numbers = {"score": cell.mean, "low": low, "high": high}
                yield {
                    "language": panel.language_title(language),
                    "curve": name,
                    "examples": size,
                    **{key: round(value, 4) for key, value in numbers.items()},
                }


def dodged(size: int, place: int, places: int, sizes: Sequence[int], constant: float) -> float:
    """The size, moved along the symlog axis so that the intervals of `places` curves do not cover each other."""

    def position(value: float) -> float:
        return math.log1p(value / constant)

    moved = position(size) + (place - (places - 1) / 2) * DODGE * position(max(sizes))
    return math.copysign(math.expm1(abs(moved)) * constant, moved)
