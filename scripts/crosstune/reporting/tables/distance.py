"""Transfer by typological distance: the regression line of every schedule, its table and its sentence.

The points are languages: a language's transfer is the mean over runs of its score less that of the untrained model, its
distance that to the schedule's source languages. Languages that the schedule trains on are no points.
"""

import statistics
from dataclasses import dataclass
from pathlib import Path

from crosstune.analysis.intervals import CONFIDENCE, Interval
from crosstune.analysis.regression import LinearFit, fit_line
from crosstune.analysis.results import UNTRAINED, Panel
from crosstune.core.text import count, decimal
from crosstune.reporting.tables.formats import TextTable, csv_text

# The distance for which slopes are printed.
STEP = 0.1

# The least number of languages of a line: any two points have one.
MIN_POINTS = 3


@dataclass(frozen=True)
class Point:
    """A language that a schedule does not train on: its distance to the sources and its transfer.

    source: the nearest source, empty for a mean over all. known: the number of features known of both languages, the
    smallest over several sources.
    """

    language: str
    source: str
    distance: float
    known: int
    transfer: float


def distance_points(panel: Panel, schedule: str) -> list[Point]:
    """The languages of known distance. Transfer is the mean over runs of the score less that of the untrained model."""
    settings, pairs = panel.study.plan["distances"], panel.study.distances["pairs"]
    trained = panel.training_languages(schedule)
    result = []
    for language in panel.languages:
        near = [(*pairs.get(language, {}).get(source, (0.0, 0)), source) for source in trained]
        near = [entry for entry in near if entry[1] >= settings["min_features"]]
        trained_cell, untrained_cell = (panel.cell(name, [language], panel.metric) for name in (schedule, UNTRAINED))
        gain = trained_cell.difference(untrained_cell)
        if language in trained or not near or gain.mean is None:
            continue
        if settings["to"] == "nearest":
            distance, known, source = min(near)
        else:
            distance, known, source = statistics.fmean(entry[0] for entry in near), min(entry[1] for entry in near), ""
        result.append(Point(language, source, distance, known, gain.mean))
    return result


def lines_by_distance(panel: Panel) -> dict[str, LinearFit]:
    """The regression line of every schedule with at least MIN_POINTS languages; empty without distances."""
    if panel.study.distances is None or UNTRAINED not in panel.schedules:
        return {}
    lines = {}
    for schedule in panel.schedules:
        at = distance_points(panel, schedule)
        families = [panel.family(point.language) for point in at]
        line = fit_line([point.distance for point in at], [point.transfer for point in at], families)
        if line and line.points >= MIN_POINTS:
            lines[schedule] = line
    return lines


def distance_table(panel: Panel) -> TextTable | None:
    """Slope and rank correlation of every schedule; None if no schedule has a line."""
    regressions = lines_by_distance(panel)
    if not regressions:
        return None
    head = ["schedule", "slope [over languages]", "[over families]", "rank correlation", "languages", "families"]
    rows, lines = [], [
        ["schedule", "slope", "intercept", "low_languages", "high_languages", "low_families", "high_families",
         "rank_correlation", "languages", "families"]
    ]  # fmt: skip
    for schedule, line in regressions.items():
        slope = f"{decimal(line.slope * STEP, 2)} {_interval_text(line.point_interval)}".strip()
        families, correlation = _interval_text(line.group_interval) or "n/a", decimal(line.rank_correlation, 2) or "n/a"
        rows.append([panel.schedule_title(schedule), slope, families, correlation, str(line.points), str(line.groups)])
        ends = [end for over in (line.point_interval, line.group_interval) for end in _ends(over)]
        own = [decimal(number, 4) for number in (line.slope, line.intercept, *ends, line.rank_correlation)]
        lines.append([schedule, *own, line.points, line.groups])
    return TextTable(f"{panel.name}.{panel.metric}.distance", describe_distance(panel), head, rows, lines)


def describe_distance(panel: Panel) -> str:
    """The caption: the regression, the features, the languages that it leaves out."""
    settings, distances = panel.study.plan["distances"], panel.study.distances
    to = "the nearest source language" if settings["to"] == "nearest" else "the source languages, their mean"
    unknown = [language for language in panel.languages if language in distances["unknown"]]
    features = f"{distances['features']} of {Path(settings['file']).name}: {', '.join(settings['features'])}"
    sentences = [
        f"Transfer (points of {panel.labels[panel.metric]} over the untrained model, mean over runs) on typological "
        f"distance to {to}, by least squares over the languages that a schedule does not train on; slope for {STEP:g} "
        f"of distance, {CONFIDENCE:.0%} CIs.",
        f"A distance is the share of differing features ({features}) among those known of both languages, at least "
        f"{settings['min_features']}.",
        f"Model {panel.model_title}, track {panel.track}, data set {panel.dataset_title}.",
        f"Without known features: {panel.study.names.languages(unknown) or 'none'}.",
    ]
    return " ".join(sentences)


def points_csv(panel: Panel) -> str:
    """One line for every point behind the slopes."""
    lines = (
        [schedule, point.language, panel.family(point.language), point.source, decimal(point.distance, 4), point.known,
         decimal(point.transfer, 4)]
        for schedule in lines_by_distance(panel)
        for point in distance_points(panel, schedule)
    )  # fmt: skip
    return csv_text([["schedule", "language", "family", "source", "distance", "features", "transfer"], *lines])


def distance_sentences(panel: Panel) -> str:
    """The slopes of the headline's schedules, or of all; a direction only if the interval over families omits 0."""
    lines = lines_by_distance(panel)
    named = (panel.study.plan.get("headline") or {}).values()
    shown = {name: line for name, line in lines.items() if name in named} or lines
    return " ".join(_sentence(panel.schedule_title(name), line) for name, line in shown.items())


def _sentence(schedule: str, line: LinearFit) -> str:
    over = line.group_interval
    clear = over is not None and not over.low <= 0 <= over.high
    wording = ("falls with distance" if line.slope < 0 else "rises with distance") if clear else "has no clear trend"
    size = f"{line.slope * STEP:+.1f} points {_interval_text(over, 1)}".strip()
    return (
        f"After {schedule}, transfer {wording}: {size} for every {STEP:g} of distance "
        f"({count(line.points, 'language')} of {line.groups} families)."
    )


def _ends(over: Interval | None) -> tuple[float | None, float | None]:
    return (over.low, over.high) if over else (None, None)


def _interval_text(over: Interval | None, digits: int = 2) -> str:
    return f"[{decimal(over.low * STEP, digits)}, {decimal(over.high * STEP, digits)}]" if over else ""
