"""Transfer by typological distance: a line for every schedule, its table and its sentence.

Owns: which languages and distances a line goes through, how it is told. Must never know: where distances come from.

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
from crosstune.reporting.tables.formats import Sheet, csv_text

STEP = 0.1

"""The distance that a slope is told for."""

FEWEST = 3

"""Languages of a line: through two of them goes one whatever they are."""


@dataclass(frozen=True)
class Point:
    """A language that a schedule does not train on: its distance to the sources, and what the schedule gave it.

    source: the nearest source, empty for a mean over all. known: features known of both, of several sources the fewest.
    """

    language: str
    source: str
    distance: float
    known: int
    transfer: float


def points(panel: Panel, schedule: str) -> list[Point]:
    """The languages whose distance is known; transfer is the score less that of the untrained model, the runs' mean."""
    settings, pairs = panel.study.plan["distances"], panel.study.distances["pairs"]
    trained = panel.training_languages(schedule)
    found = []
    for language in panel.languages:
        near = [(*pairs.get(language, {}).get(source, (0.0, 0)), source) for source in trained]
        near = [entry for entry in near if entry[1] >= settings["min_features"]]
        gain = panel.cell(schedule, [language], panel.metric).difference(
            panel.cell(UNTRAINED, [language], panel.metric)
        )
        if language in trained or not near or gain.mean is None:
            continue
        if settings["to"] == "nearest":
            distance, known, source = min(near)
        else:
            distance, known, source = statistics.fmean(entry[0] for entry in near), min(entry[1] for entry in near), ""
        found.append(Point(language, source, distance, known, gain.mean))
    return found


def lines_by_distance(panel: Panel) -> dict[str, LinearFit]:
    """The line of transfer on distance of every schedule with enough languages; empty without distances."""
    if panel.study.distances is None or UNTRAINED not in panel.schedules:
        return {}
    found = {}
    for schedule in panel.schedules:
        at = points(panel, schedule)
        families = [panel.family(point.language) for point in at]
        line = fit_line([point.distance for point in at], [point.transfer for point in at], families)
        if line and line.points >= FEWEST:
            found[schedule] = line
    return found


def distance_sheet(panel: Panel) -> Sheet | None:
    """Slope and rank correlation of every schedule; None where no schedule has a line."""
    found = lines_by_distance(panel)
    if not found:
        return None
    head = ["schedule", "slope [over languages]", "[over families]", "rank correlation", "languages", "families"]
    rows = [
        [
            schedule,
            f"{decimal(line.slope * STEP, 2)} {_ends(line.point_interval)}".strip(),
            _ends(line.group_interval) or "n/a",
            decimal(line.rank_correlation, 2) or "n/a",
            str(line.points),
            str(line.groups),
        ]
        for schedule, line in found.items()
    ]
    lines = [
        ["schedule", "slope", "intercept", "low_languages", "high_languages", "low_families", "high_families",
         "rank_correlation", "languages", "families"]
    ]  # fmt: skip
    for schedule, line in found.items():
        ends = [end for found in (line.point_interval, line.group_interval) for end in _both(found)]
        own = [decimal(number, 4) for number in (line.slope, line.intercept, *ends, line.rank_correlation)]
        lines.append([schedule, *own, line.points, line.groups])
    return Sheet(f"{panel.name}.{panel.metric}.distance", describe_distance(panel), head, rows, lines)


def describe_distance(panel: Panel) -> str:
    """What the caption must say: of what on what, from which features, which languages are left out."""
    settings, found = panel.study.plan["distances"], panel.study.distances
    to = "the nearest source language" if settings["to"] == "nearest" else "the source languages, their mean"
    unknown = [language for language in panel.languages if language in found["unknown"]]
    features = f"{found['features']} of {Path(settings['file']).name}: {', '.join(settings['features'])}"
    sentences = [
        f"Transfer (points of {panel.labels[panel.metric]} over the untrained model, mean over runs) on typological "
        f"distance to {to}, by least squares over the languages that a schedule does not train on; slope for {STEP:g} "
        f"of distance, {CONFIDENCE:.0%} intervals.",
        f"A distance is the share of differing features ({features}) among those known of both languages, at least "
        f"{settings['min_features']}.",
        f"Model {panel.model}, track {panel.track}, data set {panel.dataset}.",
        f"Without known features: {', '.join(unknown) or 'none'}.",
    ]
    return " ".join(sentences)


def points_csv(panel: Panel) -> str:
    """One line for every point behind the slopes."""
    lines = (
        [schedule, point.language, panel.family(point.language), point.source, decimal(point.distance, 4), point.known,
         decimal(point.transfer, 4)]
        for schedule in lines_by_distance(panel)
        for point in points(panel, schedule)
    )  # fmt: skip
    return csv_text([["schedule", "language", "family", "source", "distance", "features", "transfer"], *lines])


def distance_told(panel: Panel) -> str:
    """The slopes of the headline's schedules, or of all, in words; a direction only where families agree in it."""
    found = lines_by_distance(panel)
    named = (panel.study.plan.get("headline") or {}).values()
    shown = {name: line for name, line in found.items() if name in named} or found
    return " ".join(_told(name, line) for name, line in shown.items())


def _told(schedule: str, line: LinearFit) -> str:
    over = line.group_interval
    clear = over is not None and not over.low <= 0 <= over.high
    wording = ("falls with distance" if line.slope < 0 else "rises with distance") if clear else "has no clear trend"
    size = f"{line.slope * STEP:+.1f} points {_ends(over, 1)}".strip()
    return (
        f"After {schedule}, transfer {wording}: {size} for every {STEP:g} of distance "
        f"({count(line.points, 'language')} of {line.groups} families)."
    )


def _both(found: Interval | None) -> tuple[float | None, float | None]:
    return (found.low, found.high) if found else (None, None)


def _ends(found: Interval | None, digits: int = 2) -> str:
    return f"[{decimal(found.low * STEP, digits)}, {decimal(found.high * STEP, digits)}]" if found else ""
