"""Learning and forgetting of a schedule of several stages: scores after each stage."""

from crosstune.analysis.cells import Cell
from crosstune.analysis.results import UNTRAINED, Panel, StageInfo
from crosstune.reporting.figures.axes import Axis, PointChart, spread, wide_axis
from crosstune.reporting.figures.drawing import Chart, Text, shortened
from crosstune.reporting.figures.figure import Figure
from crosstune.reporting.figures.rows import mean_and_range
from crosstune.reporting.figures.style import LANGUAGE_COLOURS, SHAPES
from crosstune.reporting.figures.subjects import ANY, Subject, about_languages, about_schedules

# The largest number of drawn schedules.
MAX_CURVES = 12

LINE_NAMES = 118

# Class and shape of the lines that are averages: they have the colour of the text.
AVERAGES = {"low-resource": ("average", "diamond"), "unseen": ("unseen", "cross")}


def multi_stage_schedules(panel: Panel) -> list[str]:
    """The first MAX_CURVES schedules with at least two scored stages."""
    return [name for name in panel.schedules if len(scored_stages(panel, name)) > 1][:MAX_CURVES]


def scored_stages(panel: Panel, schedule: str) -> list[StageInfo]:
    return [stage for stage in panel.stages(schedule) if stage.updates and panel.is_scored(schedule, stage)]


def curves_figure(panel: Panel) -> Figure | None:
    """A chart per schedule of several stages, with a line for two averages and each trained language."""
    series, schedules = line_languages(panel), multi_stage_schedules(panel)
    records = {schedule: stage_records(panel, schedule, series) for schedule in schedules}
    records = {schedule: found for schedule, found in records.items() if found}
    if not records:
        return None
    scores = [record[key] for found in records.values() for record in found for key in ("low", "high")]
    y = wide_axis(scores, panel.labels[panel.metric], least=0)
    charts = tuple(curves_chart(panel, schedule, found, series, y) for schedule, found in records.items())
    more = f" The first {MAX_CURVES} schedules are drawn." if len(schedules) == MAX_CURVES else ""
    caption = (
        "Scores after each stage: means over seeds; thin lines: their range. Rising: learning; falling: "
        f"forgetting.{more}"
    )
    return Figure("curves", "Learning and forgetting along a schedule", caption, charts, columns=min(2, len(charts)))


def line_kind(names: list[str], line: str) -> tuple[str, str]:
    """Class and shape of a line: averages in the colour of the text, languages in colours of their own."""
    if line in AVERAGES:
        return AVERAGES[line]
    number = [name for name in names if name not in AVERAGES].index(line) % len(LANGUAGE_COLOURS)
    return f"l{number}", SHAPES[number]


def about_line(series: dict[str, list[str]], line: str) -> Subject:
    """The language of a line; an average keeps all its languages."""
    return ANY if line in AVERAGES else about_languages(*series[line])


def about_step(number: int) -> Subject:
    """The schedule of the step before all stages, the untrained model; other steps are of their chart's schedule."""
    return ANY if number else about_schedules(UNTRAINED)


def curves_chart(panel: Panel, schedule: str, records: list[dict], series: dict[str, list[str]], y: Axis) -> Chart:
    """The lines of one schedule, each named at its end."""
    steps = list(dict.fromkeys((record["number"], record["stage"]) for record in records))
    places = {number: n for n, (number, _) in enumerate(steps)}
    chart = PointChart(Axis(-0.12, len(steps) - 0.88, "after stage"), y, right=LINE_NAMES)
    ends: dict[str, float] = {}
    for line in series:
        own = [record for record in records if record["line"] == line]
        draw_line(chart, own, places, line_kind(list(series), line), about_line(series, line))
        if own:
            ends[line] = chart.down(own[-1]["score"])
    heights = spread(list(ends.values()), 14, chart.top, chart.top + chart.height)
    for line, height in zip(ends, heights, strict=True):
        name = shortened(line.rpartition(" (")[0] or line, LINE_NAMES - 8)
        chart.parts.append(Text(1, height + 4, name, "number", shift=8, subject=about_line(series, line)))
    label = panel.labels[panel.metric]
    ticks = [(places[number], shortened(name, 62), about_step(number)) for number, name in steps]
    shown, subject = panel.schedule_title(schedule), about_schedules(schedule)
    if not AVERAGES.keys() & ends.keys():
        subject &= about_languages(*(code for line in ends for code in series[line]))
    return chart.chart(f"{label} after each stage of {shown}, for {', '.join(ends)}.", shown, ticks, subject)


def draw_line(
    chart: PointChart, records: list[dict], places: dict[int, int], look: tuple[str, str], subject: Subject
) -> None:
    """The points of a line, each with its range and the segment to the next; `look`: class and shape."""
    (kind, shape), points = look, [(places[record["number"]], record["score"]) for record in records]
    for n, record in enumerate(records):
        (x, score), about_point = points[n], subject & about_step(record["number"])
        if n + 1 < len(points):
            chart.segment(points[n], points[n + 1], kind, about_point)
        chart.segment((x, record["low"]), (x, record["high"]), "edge", about_point)
        seeds = f"seeds {record['low']:.1f} to {record['high']:.1f}"
        text = f"{record['line']}, {record['stage']}: {score:.1f} ({seeds})"
        chart.mark(x, score, shape, kind, text, about_point)


def line_languages(panel: Panel) -> dict[str, list[str]]:
    """Name and languages of every line: two averages, then trained languages up to the number of colours."""
    low, unseen = panel.low_resource_languages, panel.unseen_languages
    averages = {"low-resource": low, "unseen": unseen}
    lines = {name: languages for name, languages in averages.items() if languages}
    if low == unseen:
        lines.pop("unseen", None)
    trained = dict.fromkeys(
        language for name in multi_stage_schedules(panel) for language in panel.training_languages(name)
    )
    seen = [language for language in trained if language in panel.seen_languages]
    return lines | {panel.language_title(language): [language] for language in seen[: len(LANGUAGE_COLOURS)]}


def stage_records(panel: Panel, schedule: str, series: dict[str, list[str]]) -> list[dict]:
    """Mean and range over seeds for every line and stage, after those of the untrained model if it is scored."""
    steps: list[tuple[int, str, dict[str, Cell]]] = []
    if UNTRAINED in panel.schedules:
        steps.append(
            (
                0,
                panel.schedule_title(UNTRAINED),
                {name: panel.cell(UNTRAINED, group, panel.metric) for name, group in series.items()},
            )
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
