"""The score of a schedule against its training time, where schedules differ in cost."""

from pathlib import Path

from crosstune.analysis.results import Panel
from crosstune.reporting.figures.axes import PointChart, wide_axis
from crosstune.reporting.figures.distance import add_names
from crosstune.reporting.figures.figure import Figure
from crosstune.reporting.figures.rows import mean_and_range, trained_schedules
from crosstune.reporting.figures.subjects import about_schedules
from crosstune.reporting.tables.cost import schedule_costs

# Schedules whose updates and tokens differ by less than this factor cost the same.
SAME = 1.1


def cost_records(panel: Panel, results: Path, even_if_equal: bool = False) -> list[dict]:
    """One record per schedule with scores and cost records: hours, device, mean score and range.

    None where all schedules spend the same updates and tokens, whose times differ by chance, unless `even_if_equal`.
    """
    costs = {name: cost for name, cost in schedule_costs(panel, results).items() if name in trained_schedules(panel)}
    spent = [[cost.updates for cost in costs.values()], [cost.tokens for cost in costs.values()]]
    if not even_if_equal and not any(numbers and max(numbers) > SAME * min(numbers) for numbers in spent):
        return []
    _, languages = averaged_languages(panel)
    cells = {name: panel.cell(name, languages, panel.metric) for name in costs}
    return [
        {
            "schedule": schedule,
            "hours": round(costs[schedule].hours, 6),
            "device": costs[schedule].device,
            **mean_and_range(cell),
        }
        for schedule, cell in cells.items()
        if cell.mean is not None
    ]


def averaged_languages(panel: Panel) -> tuple[str, list[str]]:
    """Name and languages of the average: the low-resource languages, or all if there are none."""
    low = panel.low_resource_languages
    return ("low-resource", low) if low else ("all", panel.languages)


def cost_figure(panel: Panel, results: Path, even_if_equal: bool = False) -> Figure | None:
    """A named mark per schedule: score by the time of all its trainings; None if the costs agree (`cost_records`)."""
    records = cost_records(panel, results, even_if_equal)
    if not records:
        return None
    group, _ = averaged_languages(panel)
    devices = ", ".join(sorted({record["device"] for record in records}))
    unit, times = ("hours", 1) if max(record["hours"] for record in records) >= 1 else ("minutes", 60)
    label = f"{panel.labels[panel.metric]}, {group} languages"
    x = wide_axis([record["hours"] * times for record in records], f"{unit} of training, {devices}", least=0)
    y = wide_axis([record[end] for record in records for end in ("low", "high")], label)
    chart = PointChart(x, y, height=240, right=40)
    for record in records:
        at, subject = record["hours"] * times, about_schedules(record["schedule"])
        chart.segment((at, record["low"]), (at, record["high"]), "wide", subject)
        text = f"{panel.schedule_title(record['schedule'])}: {at:.3g} {unit}, {record['score']:.1f}"
        chart.mark(at, record["score"], "circle", "c0", text, subject)
    names = [record["schedule"] for record in records]
    places = [(record["hours"] * times, record["score"]) for record in records]
    points = zip(names, places, strict=True)
    add_names(chart, [(panel.schedule_title(name), *place, about_schedules(name)) for name, place in points])
    caption = (
        "Training time of all stages of a schedule without sharing stages. Marks: means over seeds. Lines: their range."
    )
    name = f"{label} by {unit} of training, {len(records)} schedules."
    drawn = chart.chart(name, "", subject=about_schedules(*names))
    return Figure("cost", "Score by cost", caption, (drawn,))
