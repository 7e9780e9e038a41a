"""The schedules and rows that the figures show, in order, and the numbers of a mark."""

from crosstune.analysis.cells import Cell
from crosstune.analysis.results import UNTRAINED, Panel
from crosstune.reporting.figures.style import SHAPES


def drawn_schedules(panel: Panel) -> list[str]:
    """The schedules to draw, those of the headline first; their number is limited to that of the shapes."""
    headline = [name for name in panel.study.plan.get("headline", {}).values() if name in panel.schedules]
    rest = [name for name in panel.schedules if name != UNTRAINED and name not in headline]
    return [*headline, *rest][: len(SHAPES)]


def mean_and_range(cell: Cell) -> dict[str, float]:
    """Mean, lowest and highest value of a cell over its runs."""
    numbers = {"score": cell.mean, "low": min(cell.values.values()), "high": max(cell.values.values())}
    return {name: round(number, 4) for name, number in numbers.items()}


def row_blocks(panel: Panel) -> dict[str, dict[str, list[str]]]:
    """Title of a block -> label of a row -> languages of its average; without empty blocks."""
    averages = {"low": "low-resource languages", "seen": "trained languages"}
    groups = panel.language_groups
    blocks = {
        "Averages": {label: groups[name] for name, label in averages.items() if name in groups},
        "Seen in training": {panel.language_title(lang): [lang] for lang in panel.seen_languages},
        "Unseen, of a trained family": {panel.language_title(lang): [lang] for lang in panel.related_languages},
        "Unseen, of no trained family": {panel.language_title(lang): [lang] for lang in panel.unrelated_languages},
    }
    return {title: rows for title, rows in blocks.items() if rows}
