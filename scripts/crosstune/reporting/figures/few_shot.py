"""Few-shot curves: the score of each sampled language by the number of its examples."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from crosstune.analysis.intervals import CONFIDENCE, interval
from crosstune.analysis.results import Panel
from crosstune.reporting.figures.axes import Axis, PointChart, wide_axis
from crosstune.reporting.figures.drawing import Chart
from crosstune.reporting.figures.figure import Figure
from crosstune.reporting.figures.rows import schedule_legend
from crosstune.reporting.figures.style import SHAPES
from crosstune.reporting.figures.subjects import about_languages, about_pair, about_schedules
from crosstune.reporting.tables.few_shot import describe_curves, drawn_curves, sampled_languages

# The largest number of drawn curves.
MAX_FEW_SHOT = len(SHAPES)

# The distance between the marks of two curves at one size, as a share of the axis.
DODGE = 0.012


def few_shot_figure(panel: Panel) -> Figure | None:
    """A chart per sampled language, with a line per curve and the interval of each mean; None without any."""
    names = list(drawn_curves(panel))[:MAX_FEW_SHOT]
    records = list(curve_records(panel, names))
    if not records:
        return None
    # No score is outside 0 to 100, whatever an interval over two seeds says.
    ends = [min(100, max(0, record[end])) for record in records for end in ("low", "high")]
    y = wide_axis(ends, panel.labels[panel.metric])
    languages = dict.fromkeys(record["language"] for record in records)
    charts = tuple(
        few_shot_chart(language, records, list(map(panel.schedule_title, names)), y) for language in languages
    )
    more = len(drawn_curves(panel)) - len(names)
    caption = (
        f"Scores by {describe_curves(panel)}, on a logarithmic scale with a place for 0. Marks: means over seeds, each "
        f"with a draw of its own. Lines: their {CONFIDENCE:.0%} CI (Student's t)."
        + (f" {more} further curves are not drawn; the table has all of them." if more > 0 else "")
    )
    legend = tuple(schedule_legend(panel, names))
    return Figure("few-shot", "Few-shot curves", caption, charts, legend, columns=min(2, len(charts)))


def few_shot_chart(language: str, records: Sequence[dict], names: Sequence[str], y: Axis) -> Chart:
    """The curves of one language."""
    sizes = sorted({record["examples"] for record in records})
    constant = axis_constant(sizes)
    last = position(max(sizes), constant) or 1.0
    chart = PointChart(Axis(-0.06 * last, 1.06 * last, "training examples of the language"), y)
    for number, name in enumerate(names):
        own = [record for record in records if (record["language"], record["curve"]) == (language, name)]
        points = [
            (position(dodged(record["examples"], number, len(names), sizes, constant), constant), record)
            for record in own
        ]
        for (x1, before), (x2, after) in pairwise(points):
            subject = about_pair(before["schedule"], after["schedule"])
            chart.segment((x1, before["score"]), (x2, after["score"]), f"c{number}", subject)
        for x, record in points:
            subject = about_schedules(record["schedule"])
            chart.segment((x, record["low"]), (x, record["high"]), f"c{number}", subject)
            text = f"{name}, {record['examples']}: {record['score']:.1f} [{record['low']:.1f}, {record['high']:.1f}]"
            chart.mark(x, record["score"], SHAPES[number], f"c{number}", text, subject)
    drawn = [record for record in records if record["language"] == language]
    of_size = {size: [record["schedule"] for record in records if record["examples"] == size] for size in sizes}
    ticks = [(position(size, constant), str(size), about_schedules(*of_size[size])) for size in sizes]
    subject = about_languages(drawn[0]["key"]) & about_schedules(*(record["schedule"] for record in drawn))
    name = f"{y.title} in {language} by the number of its training examples: {', '.join(names)}."
    return chart.chart(name, language, ticks, subject)


def axis_constant(sizes: Sequence[int]) -> float:
    """Where the axis turns logarithmic: below the smallest sample it is linear and has a place for 0."""
    return max(1, min((size for size in sizes if size), default=1) / 4)


def curve_records(panel: Panel, names: Sequence[str]) -> Iterator[dict]:
    """One record per curve, point and language that the curve samples, with the interval if there are two seeds."""
    for language in sampled_languages(panel):
        for name in names:
            curve = drawn_curves(panel)[name]
            for size, schedule in curve.points.items() if language in curve.languages else ():
                cell = panel.over_folds(panel.cell(schedule, [language], panel.metric))
                if cell.mean is None:
                    continue
                ends = interval(cell.values, resolution=cell.resolution)
                low, high = (ends.low, ends.high) if ends else (cell.mean, cell.mean)
                numbers = {"score": cell.mean, "low": low, "high": high}
                yield {
                    "key": language,
                    "language": panel.language_title(language),
                    "schedule": schedule,
                    "curve": panel.schedule_title(name),
                    "examples": size,
                    **{key: round(value, 4) for key, value in numbers.items()},
                }


def position(size: float, constant: float) -> float:
    """The place of a size on the symmetric logarithmic axis."""
    return math.copysign(math.log1p(abs(size) / constant), size)


def dodged(size: int, place: int, places: int, sizes: Sequence[int], constant: float) -> float:
    """The size, moved along the axis so that the intervals of `places` curves do not cover each other."""
    moved = position(size, constant) + (place - (places - 1) / 2) * DODGE * position(max(sizes), constant)
    return math.copysign(math.expm1(abs(moved)) * constant, moved)
