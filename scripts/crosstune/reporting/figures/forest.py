"""The forest plot: every declared contrast with its intervals, on the band of its smallest effect."""

from dataclasses import dataclass

from crosstune.analysis.estimates import NO_VERDICT, UNJUDGED
from crosstune.analysis.intervals import CONFIDENCE, interval
from crosstune.analysis.results import Panel, StudyResults
from crosstune.core.text import decimal
from crosstune.reporting.figures.axes import RowChart, difference_axis, minus
from crosstune.reporting.figures.drawing import text_width
from crosstune.reporting.figures.figure import Figure, LegendEntry
from crosstune.reporting.figures.subjects import Subject, about_data, about_pair
from crosstune.reporting.tables.contrasts import ContrastResult, contrast_results

# The most contrasts that are drawn with all their intervals; of more, each has one.
DETAILED = 4

# The random effects of each inference.
RANDOM = {"seeds": "seeds", "examples": "seeds, items", "languages": "seeds, items, languages"}

# Scores are from 0 to 100, and so no difference is larger.
LARGEST = 100


@dataclass(frozen=True)
class ForestRow:
    """One interval of a contrast; `main`: the one that gives the verdict. One that `is_vacuous` is not drawn."""

    name: str
    mean: float
    low: float | None
    high: float | None
    verdict: str
    main: bool

    @property
    def is_vacuous(self) -> bool:
        """Whether a wider interval excludes no difference, as with two families of languages."""
        return not self.main and self.low is not None and self.low <= -LARGEST and self.high >= LARGEST

    @property
    def text(self) -> str:
        """`+6.0 [−0.2, 12.1]`."""
        return "CI wider than ±100:" if self.is_vacuous else difference_text(self.mean, self.low, self.high)


@dataclass(frozen=True)
class ForestBlock:
    """The rows of one contrast, and the half width of its band; 0 without one. `name`: empty if it is not declared."""

    name: str
    difference: str
    rows: tuple[ForestRow, ...]
    subject: Subject
    smallest_effect: float = 0.0

    @property
    def title(self) -> str:
        """`pos-low: joint − english`."""
        return ": ".join(filter(None, [self.name, self.difference]))


def forest_figure(study: StudyResults) -> Figure | None:
    """The declared contrasts or, without any, the pairs of the headline; None if nothing can be compared."""
    blocks = contrast_blocks(study) or headline_blocks(study)
    if not blocks:
        return None
    declared, rows = bool(contrast_blocks(study)), [row for block in blocks for row in block.rows]
    ends = [(row.low, row.high) for row in rows if row.low is not None and not row.is_vacuous]
    widest = max(block.smallest_effect for block in blocks)
    axis = difference_axis([row.mean for row in rows], ends, "points", widest)
    detailed = len(blocks) <= DETAILED
    chart = RowChart(
        axis,
        [f"xx{row.name}" for row in rows] if detailed else [text for b in blocks for text in (b.name, b.difference)],
        right=12 + max(text_width(f"{row.text} {row.verdict}") for row in rows),
        most_label=215,
        corner="random effects:" if detailed else "",
    )
    for block in blocks:
        if detailed:
            chart.heading(block.title, block.subject)
        top = chart.y
        for row in block.rows:
            if detailed:
                y = chart.row(row.name, 19, indent=10, kind="" if row.main else "soft", subject=block.subject)
            else:
                y = chart.row(block.name, 32, kind="strong", below=block.difference, subject=block.subject)
            draw_interval(chart, y, row)
            chart.note(y, f"{row.text} {row.verdict}")
        if block.smallest_effect:
            chart.band(top, -block.smallest_effect, block.smallest_effect)
    name = "Differences between schedules: " + "; ".join(
        f"{block.title}: {row.text} {row.verdict}" for block in blocks for row in block.rows if row.main
    )
    legend = [LegendEntry(f"mean with {CONFIDENCE:.0%} CI, which gives the verdict", "main", "square+line")]
    if any(not row.main for row in rows):
        legend.append(LegendEntry("with more random effects", "wide", "circle+line"))
    if declared:
        legend.append(LegendEntry("± smallest effect of interest", "band", "band"))
    caption = (
        "Right of 0, the schedule before the minus is better. Better, worse: the 95% CI excludes 0. Equivalent: the "
        "90% CI lies within the band of the smallest effect. An arrow: the CI goes on beyond the axis."
        if declared
        else f"No contrast is declared: {CONFIDENCE:.0%} CI over seeds (Student's t), languages and items fixed."
    )
    return Figure(
        "forest", "Declared contrasts", caption, (chart.chart(name, zero=True, numbered=True),), tuple(legend)
    )


def draw_interval(chart: RowChart, y: float, row: ForestRow) -> None:
    if row.is_vacuous:
        return
    kind = "main" if row.main else "wide"
    if row.low is not None:
        chart.interval(y, row.low, row.high, kind, row.text)
    chart.mark(y, row.mean, "square" if row.main else "circle", kind, row.text)


def contrast_blocks(study: StudyResults) -> list[ForestBlock]:
    """A block per declared contrast with seeds."""
    results = [result for result in contrast_results(study) if result.has_seeds]
    return [contrast_block(result, len(results) <= DETAILED) for result in results]


def contrast_block(result: ContrastResult, detailed: bool) -> ForestBlock:
    """The intervals of a contrast: all if `detailed`, else the one of its verdict."""
    rows = []
    for question, name in RANDOM.items():
        if not (estimate := result.estimate(question)):
            continue
        if detailed or question == "seeds":
            ends = estimate["interval"]
            rows.append(ForestRow(name, estimate["mean"], *ends, estimate["verdict"], question == "seeds"))
    if not rows:
        mean = result.entry["mean"]
        rows = [ForestRow("one seed: no CI", mean, None, None, result.verdict("seeds"), True)]
    several = len(result.study.plan["models"]) > 1
    model = f", {result.study.names.model(result.entry['model'])}" if several else ""
    subject = about_pair(result.a, result.b) & about_data(*result.panels)
    return ForestBlock(result.name, result.difference + model, tuple(rows), subject, result.contrast["smallest_effect"])


def headline_blocks(study: StudyResults) -> list[ForestBlock]:
    """The differences between the headline's schedules over the seeds, in every primary panel."""
    blocks = []
    for panel in study.primary_panels():
        roles = study.plan.get("headline") or {}
        pairs = [(roles.get(a), roles.get(b)) for a, b in (("joint", "single"), ("sequential", "joint"))]
        for a, b in pairs:
            if {a, b} <= set(panel.schedules) and (row := seed_row(panel, a, b)):
                model = f", {panel.model_title}" if len(study.plan["models"]) > 1 else ""
                subject = about_pair(a, b) & about_data(panel)
                blocks.append(ForestBlock("", study.names.difference(a, b) + model, (row,), subject))
    return blocks


def seed_row(panel: Panel, a: str, b: str) -> ForestRow | None:
    """The mean difference over seeds in the languages of the question."""
    languages = panel.low_resource_languages or panel.unseen_languages or panel.languages
    difference = panel.cell(a, languages, panel.metric).difference(panel.cell(b, languages, panel.metric))
    difference = panel.over_folds(difference)
    if difference.mean is None:
        return None
    ends = interval(difference.values, resolution=difference.resolution)
    clear = ends and (ends.low > 0 or ends.high < 0)
    verdict = ("better" if difference.mean > 0 else "worse") if clear else "inconclusive"
    verdict = verdict if panel.is_learned([a, b], languages, panel.metric) else UNJUDGED
    verdict = NO_VERDICT if panel.study.pilot else verdict
    return ForestRow(
        RANDOM["seeds"], difference.mean, *((ends.low, ends.high) if ends else (None, None)), verdict, True
    )


def difference_text(mean: float, low: float | None, high: float | None) -> str:
    """`+6.0 [−0.2, 12.1]`, or `+6.0` without an interval."""
    first = minus(decimal(mean, 1))
    first = f"+{first}" if float(decimal(mean, 1)) > 0 else first
    return first if low is None else f"{first} [{minus(decimal(low, 1))}, {minus(decimal(high, 1))}]"
