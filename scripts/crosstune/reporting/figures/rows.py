"""The schedules and rows that the figures show, in the order of the config, and the numbers of a mark."""

from collections.abc import Sequence

from crosstune.analysis.cells import Cell
from crosstune.analysis.results import UNTRAINED, Panel
from crosstune.reporting.figures.figure import LegendEntry
from crosstune.reporting.figures.style import SHAPES
from crosstune.reporting.figures.subjects import ANY, Subject, about_languages, about_schedules

# The block of rows that are averages.
MEANS = "Means over languages"


def trained_schedules(panel: Panel) -> list[str]:
    """The schedules without the untrained model, in the order of the config."""
    return [name for name in panel.schedules if name != UNTRAINED]


def marked_schedules(panel: Panel) -> list[str]:
    """The schedules with a colour and a shape of their own, in the order of the config; the headline's are among them.

    Their number is limited to that of the shapes.
    """
    names = trained_schedules(panel)
    headline = [name for name in panel.study.plan.get("headline", {}).values() if name in names]
    chosen = list(dict.fromkeys([*headline, *names]))[: len(SHAPES)]
    return [name for name in names if name in chosen]


def schedule_legend(panel: Panel, schedules: Sequence[str]) -> list[LegendEntry]:
    """An entry for every schedule, or few-shot curve."""
    return [
        LegendEntry(panel.schedule_title(name), f"c{n}", SHAPES[n], about_curve(panel, name))
        for n, name in enumerate(schedules)
    ]


def about_curve(panel: Panel, name: str) -> Subject:
    """A schedule, or the schedules of a few-shot curve."""
    curve = panel.curves.get(name)
    return about_schedules(*(curve.points.values() if curve else [name]))


def about_row(title: str, languages: Sequence[str]) -> Subject:
    """The language of a row of the block `title`; an average is about no language, since it keeps all of them."""
    return ANY if title == MEANS else about_languages(*languages)


def mean_and_range(cell: Cell) -> dict[str, float]:
    """Mean, lowest and highest value of a cell over its runs."""
    numbers = {"score": cell.mean, "low": min(cell.values.values()), "high": max(cell.values.values())}
    return {name: round(number, 4) for name, number in numbers.items()}


def row_blocks(panel: Panel) -> dict[str, dict[str, list[str]]]:
    """Title of a block -> label of a row -> languages of its average; without empty blocks."""
    averages = {"low": "low-resource", "seen": "trained"}
    groups = panel.language_groups
    blocks = {
        MEANS: {f"{label} ({len(groups[name])})": groups[name] for name, label in averages.items() if name in groups},
        "Seen in training": {panel.language_title(lang): [lang] for lang in panel.seen_languages},
        "Unseen, of a trained family": {panel.language_title(lang): [lang] for lang in panel.related_languages},
        "Unseen, of no trained family": {panel.language_title(lang): [lang] for lang in panel.unrelated_languages},
    }
    return {title: rows for title, rows in blocks.items() if rows}
