"""Differences between two schedules by language, under their families, with confidence intervals."""

from dataclasses import dataclass

from crosstune.analysis.intervals import CONFIDENCE, interval
from crosstune.analysis.results import Panel
from crosstune.reporting.figures.axes import INDENT, RowChart, difference_axis
from crosstune.reporting.figures.drawing import Chart, text_width
from crosstune.reporting.figures.figure import Figure, LegendEntry
from crosstune.reporting.figures.forest import difference_text
from crosstune.reporting.figures.rows import trained_schedules
from crosstune.reporting.figures.subjects import ANY, Subject, about_languages, about_pair
from crosstune.reporting.tables.contrasts import ContrastResult, contrast_results


@dataclass(frozen=True)
class DifferenceRow:
    """The difference in one language or, with an empty `language`, of the mean over all; ends may be None."""

    language: str
    name: str
    family: str
    mean: float
    low: float | None
    high: float | None

    @property
    def text(self) -> str:
        return difference_text(self.mean, self.low, self.high)

    @property
    def subject(self) -> Subject:
        return about_languages(self.language) if self.language else ANY


@dataclass(frozen=True)
class DifferencePair:
    """Two schedules with their differences. `declared`: the intervals are those of a contrast's table."""

    name: str
    rows: tuple[DifferenceRow, ...]
    declared: bool
    subject: Subject
    smallest_effect: float = 0.0


def pairs_with(panel: Panel, reference: str) -> list[DifferencePair]:
    """Every other trained schedule against one, with the intervals of the declared contrasts among these pairs."""
    declared = {}
    for result in contrast_results(panel.study):
        if result.entry["model"] == panel.model and result.has_seeds and (pair := declared_pair(panel, result)):
            declared[result.a, result.b] = pair
    others = [name for name in trained_schedules(panel) if name != reference]
    pairs = [declared.get((name, reference)) or seed_pair(panel, name, reference) for name in others]
    return [pair for pair in pairs if pair]


def compared_pairs(panel: Panel) -> list[DifferencePair]:
    """The declared contrasts on this data set, then the pairs of the headline, each once."""
    pairs: dict[frozenset[str], DifferencePair] = {}
    for result in contrast_results(panel.study):
        shown = {result.a, result.b} <= set(panel.schedules) and result.entry["model"] == panel.model
        if shown and result.has_seeds and (pair := declared_pair(panel, result)):
            pairs.setdefault(frozenset((result.a, result.b)), pair)
    roles = panel.study.plan.get("headline") or {}
    for one, other in (("joint", "single"), ("sequential", "joint")):
        a, b = roles.get(one), roles.get(other)
        if {a, b} <= set(panel.schedules) and frozenset((a, b)) not in pairs and (pair := seed_pair(panel, a, b)):
            pairs[frozenset((a, b))] = pair
    return list(pairs.values())


def declared_pair(panel: Panel, result: ContrastResult) -> DifferencePair | None:
    """The languages of a contrast on this panel, with the intervals of its table; None if it has none here."""
    if (panel.track, panel.dataset) not in [(own.track, own.dataset) for own in result.panels]:
        return None
    several = len(result.panels) > 1
    rows, places = [], {code: place for place, code in enumerate(panel.languages)}
    for unit in sorted(result.units, key=lambda unit: places.get(unit["name"].rpartition(".")[2], len(places))):
        dataset, _, language = unit["name"].rpartition(".")
        if several and dataset not in (panel.dataset, panel.key):
            continue
        if language not in places:
            continue
        estimate = unit["estimate"]
        ends = estimate["interval"] if estimate else (None, None)
        mean = estimate["mean"] if estimate else unit["difference"]
        rows.append(DifferenceRow(language, panel.language_title(language), unit["family"], mean, *ends))
    if not rows:
        return None
    overall, estimate = result.entry["mean"], result.estimate("seeds")
    ends = estimate["interval"] if estimate else (None, None)
    is_part = several or len(rows) < len(result.units)
    total = [] if is_part else [DifferenceRow("", f"mean of {len(rows)}", "", overall, *ends)]
    subject, effect = about_pair(result.a, result.b), result.contrast["smallest_effect"]
    return DifferencePair(result.difference, (*total, *rows), True, subject, effect)


def seed_pair(panel: Panel, a: str, b: str) -> DifferencePair | None:
    """All languages of the panel, with intervals over the seeds; None without a value."""
    found = [(code, panel.language_title(code), panel.family(code), [code]) for code in panel.languages]
    found.insert(0, ("", f"mean of {len(panel.languages)}", "", panel.languages))
    rows = []
    for language, name, family, languages in found:
        one, other = (panel.cell(schedule, languages, panel.metric) for schedule in (a, b))
        difference = panel.over_folds(one.difference(other))
        if difference.mean is not None:
            ends = interval(difference.values, resolution=difference.resolution)
            low, high = (ends.low, ends.high) if ends else (None, None)
            rows.append(DifferenceRow(language, name, family, difference.mean, low, high))
    return DifferencePair(panel.study.names.difference(a, b), tuple(rows), False, about_pair(a, b)) if rows else None


def differences_figure(panel: Panel, reference: str = "") -> Figure | None:
    """A chart per pair of schedules, or per schedule against the `reference`; None without any."""
    pairs = pairs_with(panel, reference) if reference else compared_pairs(panel)
    if not pairs:
        return None
    sentences = ["The interval of a mean is over seeds, with fixed languages."]
    if any(pair.declared for pair in pairs):
        sentences.append(
            f"Languages of a declared contrast: {CONFIDENCE:.0%} CI over seeds and items, as in its table."
        )
    if not all(pair.declared for pair in pairs):
        sentences.append(f"Undeclared pairs: {CONFIDENCE:.0%} CI over seeds (Student's t).")
    sentences.append("No correction for the number of languages. An arrow: the CI goes on beyond the axis.")
    legend = [
        LegendEntry("language", "wide", "circle+line"),
        LegendEntry("mean over the languages", "main", "square+line"),
    ]
    if any(pair.smallest_effect for pair in pairs):
        legend.append(LegendEntry("± smallest effect of interest", "band", "band"))
    return Figure(
        "differences",
        "Differences by language and family",
        " ".join(sentences),
        tuple(difference_chart(panel, pair) for pair in pairs),
        tuple(legend),
        columns=2 if len(pairs) > 1 else 1,
    )


def difference_chart(panel: Panel, pair: DifferencePair) -> Chart:
    """The rows of one pair, each family under its own heading."""
    ends = [(row.low, row.high) for row in pair.rows if row.low is not None]
    axis = difference_axis(
        [row.mean for row in pair.rows], ends, f"points of {panel.labels[panel.metric]}", pair.smallest_effect
    )
    names = [f"xxx{row.name}" for row in pair.rows]
    room = 12 + max(text_width(row.text) for row in pair.rows)
    chart = RowChart(axis, names, right=room, most_label=150)
    top = chart.y
    families: dict[str, list[DifferenceRow]] = {}
    for row in pair.rows:
        families.setdefault(row.family, []).append(row)
    for family, rows in families.items():
        if family:
            chart.heading(family, about_languages(*(row.language for row in rows)))
        for row in rows:
            draw_row(chart, row)
    if pair.smallest_effect:
        chart.band(top, -pair.smallest_effect, pair.smallest_effect)
    name = f"Differences {pair.name} in {panel.labels[panel.metric]} by language, with their {CONFIDENCE:.0%} CI."
    return chart.chart(name, pair.name, zero=True, numbered=True, subject=pair.subject)


def draw_row(chart: RowChart, row: DifferenceRow) -> None:
    kind, shape = ("wide", "circle") if row.language else ("main", "square")
    indent, style = (INDENT, "") if row.language else (0, "strong")
    y = chart.row(row.name, indent=indent, kind=style, subject=row.subject)
    if row.low is not None:
        chart.interval(y, row.low, row.high, kind)
    chart.mark(y, row.mean, shape, kind, row.text)
    chart.note(y, row.text)
