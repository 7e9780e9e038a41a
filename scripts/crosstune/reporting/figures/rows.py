"""Which schedules and languages the figures show, and in what order."""

from crosstune.analysis.results import UNTRAINED, Panel
from crosstune.reporting.figures.style import SHAPES


def drawn_schedules(panel: Panel) -> list[str]:
    """The schedules that have a mark of their own: those of the headline first, as many as there are shapes."""
    headline = [name for name in panel.study.plan.get("headline", {}).values() if name in panel.schedules]
    others = [name for name in panel.schedules if name != UNTRAINED and name not in headline]
    return [*headline, *others][: len(SHAPES)]


def row_blocks(panel: Panel) -> dict[str, dict[str, list[str]]]:
    """Rows by block, the label of a row and the languages that it averages over; blocks without rows are left out."""
    averages = {"low": "low-resource languages", "seen": "trained languages"}
    blocks = {
        "Averages": {label: panel.averages[name] for name, label in averages.items() if name in panel.averages},
        "Seen in training": {panel.title(lang): [lang] for lang in panel.seen},
        "Unseen, of a trained family": {panel.title(lang): [lang] for lang in panel.related},
        "Unseen, of no trained family": {panel.title(lang): [lang] for lang in panel.unrelated},
    }
    return {title: rows for title, rows in blocks.items() if rows}
