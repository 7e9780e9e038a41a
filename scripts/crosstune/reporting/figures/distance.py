"""Transfer by typological distance: a chart per schedule, a labelled point per language."""

from crosstune.analysis.results import Panel
from crosstune.reporting.figures.axes import PointChart, wide_axis
from crosstune.reporting.figures.drawing import Chart, Text, text_width
from crosstune.reporting.figures.figure import Figure
from crosstune.reporting.figures.rows import marked_schedules
from crosstune.reporting.figures.subjects import Subject, about_languages, about_schedules
from crosstune.reporting.tables.distance import distance_points, lines_by_distance

# The width of a chart for which labels avoid each other, and the height of a label.
USUAL_WIDTH, LETTERS = 270, 11


def schedules_with_line(panel: Panel) -> list[str]:
    """The drawn schedules with enough languages for a line."""
    return [name for name in marked_schedules(panel) if name in lines_by_distance(panel)]


def distance_figure(panel: Panel) -> Figure | None:
    """The languages on which a schedule does not train, by distance, with the least-squares line; None without any."""
    schedules = schedules_with_line(panel)
    if not schedules:
        return None
    charts = tuple(distance_chart(panel, schedule, schedules) for schedule in schedules)
    caption = "Points: languages on which the schedule does not train. Lines: least squares through them."
    return Figure("distance", "Transfer by typological distance", caption, charts, columns=min(2, len(charts)))


def distance_chart(panel: Panel, schedule: str, schedules: list[str]) -> Chart:
    """The points of one schedule with the codes of their languages; all charts have the same axes."""
    every = [point for name in schedules for point in distance_points(panel, name)]
    x = wide_axis([point.distance for point in every], "typological distance to the sources")
    y = wide_axis([*(point.transfer for point in every), 0.0], f"{panel.labels[panel.metric]} over the untrained model")
    chart = PointChart(x, y)
    points = distance_points(panel, schedule)
    line = lines_by_distance(panel)[schedule]
    ends = (min(point.distance for point in points), max(point.distance for point in points))
    chart.segment(*((end, line.intercept + line.slope * end) for end in ends), "main")
    chart.segment((x.low, 0), (x.high, 0), "zero")
    for point in points:
        name = panel.language_title(point.language)
        text = f"{name}, {panel.family(point.language)}: distance {point.distance:.2f}, {point.transfer:+.1f} points"
        chart.mark(point.distance, point.transfer, "circle", "c0", text, about_languages(point.language))
    named = panel.study.names.language
    add_names(
        chart,
        [(named(at.language), at.distance, at.transfer, about_languages(at.language)) for at in points],
    )
    shown = panel.schedule_title(schedule)
    # The line keeps all languages; without any of them it goes with its chart.
    subject = about_schedules(schedule) & about_languages(*(point.language for point in points))
    name = f"Transfer after {shown} by distance to its sources, {len(points)} languages."
    return chart.chart(name, shown, subject=subject)


def add_names(chart: PointChart, points: list[tuple[str, float, float, Subject]]) -> None:
    """Name the points, each (name, x, y, subject).

    A name stands next to, above or below its point, where fewest other names and points are in the way.
    """
    centres = [(chart.x.share(x) * USUAL_WIDTH, chart.down(y)) for _, x, y, _ in points]
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in centres]
    for (name, x, _, subject), (across, down) in zip(points, centres, strict=True):
        width = text_width(name)
        choices = {
            "start": (7, 4, across + 7), "end": (-7, 4, across - 7 - width),
            "middle": (0, -8, across - width / 2), "below": (0, 16, across - width / 2),
        }  # fmt: skip

        def overlaps(choice: str, width: float = width, down: float = down, choices: dict = choices) -> float:
            _, lower, left = choices[choice]
            box = (left, down + lower - LETTERS, left + width, down + lower)
            outside = max(0.0, -box[0]) + max(0.0, box[2] - USUAL_WIDTH)
            return outside + sum(
                max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
                * max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
                for other in taken
            )

        best = min(choices, key=overlaps)
        shift, lower, left = choices[best]
        anchor = "middle" if best == "below" else best
        chart.parts.append(Text(chart.x.share(x), down + lower, name, "number", anchor, shift, subject=subject))
        taken.append((left, down + lower - LETTERS, left + width, down + lower))
