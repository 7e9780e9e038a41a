"""The heat map: the mean over seeds of every language with every schedule, as a number on a shade."""

from crosstune.analysis.results import Panel
from crosstune.core.text import decimal
from crosstune.reporting.figures.drawing import (
    Band,
    Chart,
    Element,
    Label,
    ShadedCell,
    ShadedColumn,
    Text,
    label_width,
    shortened,
    text_width,
)
from crosstune.reporting.figures.figure import Figure
from crosstune.reporting.figures.rows import about_row, row_blocks
from crosstune.reporting.figures.subjects import about_schedules

STEP = 19

# The strengths of the weakest and of the strongest shade: numbers stay readable on it.
WEAKEST, STRONGEST = 0.06, 0.74

# From so many schedules on, numbers have no decimals.
MANY = 6

# The longest name of a schedule in pixels, and the narrowest plot, on a phone. Names that do not fit there run upwards.
MOST_NAME, NARROWEST = 120, 190


def heat_figure(panel: Panel) -> Figure:
    """The heat map of a panel in its primary metric: the rows of the dot plot, all schedules."""
    records = {title: heat_records(panel, rows) for title, rows in row_blocks(panel).items()}
    highest = max((record["score"] for part in records.values() for record in part), default=100)
    charts = tuple(heat_block(panel, title, row_blocks(panel)[title], part, highest) for title, part in records.items())
    decimals = " Rounded; the tables have the decimals." if len(panel.schedules) >= MANY else ""
    return Figure(
        "heat", "Every language with every schedule", f"Means over seeds; a stronger shade is higher.{decimals}", charts
    )


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


def heat_block(panel: Panel, title: str, lines: dict[str, list[str]], records: list[dict], highest: float) -> Chart:
    """One block of rows under the names of the schedules."""
    rows, schedules, many = list(lines), panel.schedules, len(panel.schedules) >= MANY
    every = [label for block in row_blocks(panel).values() for label in block]
    left = label_width(every, 150 if many else 190)
    names = [shortened(panel.schedule_title(name), MOST_NAME) for name in schedules]
    longest = max(map(text_width, names))
    turned = longest * len(names) > NARROWEST
    top = 14 + longest if turned else 20
    width, parts = 1 / len(schedules), list[Element]()
    for n, name in enumerate(names):
        middle = (n + 0.5) * width
        if turned:
            parts.append(Text(middle, top - 6, name, "tick", shift=4, turned=True))
        else:
            parts.append(Text(middle, 13, name, "tick", "middle"))
    for n, schedule in enumerate(schedules):
        own = [record for record in records if record["schedule"] == schedule]
        shown = panel.schedule_title(schedule)
        cells = tuple(heat_cell(record, shown, top + STEP * rows.index(record["row"]), highest, many) for record in own)
        parts.append(ShadedColumn(n * width, (n + 1) * width, STEP - 1, cells))
    labels = [
        Label(0, top + STEP * n + 13, shortened(row, left - 6), title=row) for n, row in enumerate(rows)
    ]  # fmt: skip
    name = f"Mean {panel.labels[panel.metric]} of every schedule: {title}, {len(rows)} rows, as in the tables."
    return Chart(
        name,
        top + STEP * len(rows) + 4,
        *(left, 0),
        tuple(parts),
        tuple(labels),
        title,
        rows=tuple(Band(STEP, about_row(title, languages)) for languages in lines.values()),
        first_row=top,
        columns=tuple(Band(100 * width, about_schedules(schedule)) for schedule in schedules),
    )


def heat_cell(record: dict, schedule: str, y: float, highest: float, many: bool) -> ShadedCell:
    """One number on its shade; under the pointer with names and decimals, unless there are many."""
    strength = max(0.0, record["score"] / highest) if highest else 0.0
    hover = "" if many else f"{record['row']}, {schedule}: {decimal(record['score'], 1)}"
    shade = WEAKEST + (STRONGEST - WEAKEST) * strength
    return ShadedCell(y, decimal(record["score"], 0 if many else 1), shade, hover)
