"""Training curves: the loss of every run along its updates, and the validation scores of model selection."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.analysis.cells import replicate
from crosstune.analysis.results import Panel, read_json_object
from crosstune.artifacts.checkpoint import CURVE, MANIFEST
from crosstune.reporting.figures.axes import Axis, PointChart, wide_axis
from crosstune.reporting.figures.drawing import Chart, Curve, Line, Text
from crosstune.reporting.figures.figure import Figure
from crosstune.reporting.figures.rows import trained_schedules

# The most points of a curve: losses between them are averaged.
POINTS = 48

# The most drawn schedules.
MOST_SCHEDULES = 24

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class TrainingRun:
    """Losses and validation scores of one run by update, counted over all its stages, and where its stages begin."""

    name: str
    losses: Points
    validation: Points
    starts: tuple[float, ...]


def training_runs(panel: Panel, schedule: str, results: Path) -> list[TrainingRun]:
    """The runs of a schedule that have a record of their loss. Reads train.jsonl and stage.json of their stages."""
    found = []
    for run in panel.runs(schedule):
        losses, validation, starts, before = Points(), Points(), [], 0
        for stage, updates in zip(run["stages"], run["updates"], strict=False):
            starts.append(before)
            losses += [(before + entry["update"], entry["loss"]) for entry in curve_of(results / stage / CURVE)]
            manifest = read_json_object(results / stage / MANIFEST) or {}
            looks = manifest.get("selection", {}).get("looks", [])
            validation += [(before + look["update"], look["score"]) for look in looks]
            before += updates
        if losses:
            found.append(TrainingRun(f"seed {replicate(run)}", losses, validation, tuple(starts)))
    return found


def curve_of(path: Path) -> list[dict]:
    """The entries of a train.jsonl with a loss; none without the file."""
    if not path.exists():
        return []
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [entry for entry in entries if entry.get("loss") is not None]


def thinned(points: Sequence[tuple[float, float]], most: int = POINTS) -> Points:
    """At most `most` points, each the mean of its neighbours."""
    size = -(-len(points) // most)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(statistics.fmean(x for x, _ in group), statistics.fmean(y for _, y in group)) for group in groups]


def training_figure(panel: Panel, results: Path) -> Figure | None:
    """A chart of the loss per schedule, and one of the validation scores where there are any; None without a record."""
    runs = {name: training_runs(panel, name, results) for name in trained_schedules(panel)[:MOST_SCHEDULES]}
    runs = {name: own for name, own in runs.items() if own}
    if not runs:
        return None
    every = [run for own in runs.values() for run in own]
    losses = [loss for run in every for _, loss in thinned(run.losses)]
    y = wide_axis(losses, "loss", least=0)
    charts = [run_chart(panel, name, own, y) for name, own in runs.items()]
    scores = [score for run in every for _, score in run.validation]
    if scores:
        y = wide_axis(scores, "validation score")
        charts += [run_chart(panel, name, own, y, True) for name, own in runs.items() if own[0].validation]
    caption = (
        f"A line per seed: the training loss, averaged to at most {POINTS} points. Vertical lines: a stage begins. The "
        "numbers are in train.jsonl of every stage."
    )
    return Figure("training", "Training curves", caption, tuple(charts), columns=2)


def run_chart(panel: Panel, schedule: str, runs: list[TrainingRun], y: Axis, validation: bool = False) -> Chart:
    """The curves of one schedule."""
    last = max(x for run in runs for x, _ in run.losses)
    chart = PointChart(Axis(0, last, "updates"), y, height=120)
    foot = chart.top + chart.height
    stages = panel.stages(schedule)
    for start, stage in zip(runs[0].starts, stages, strict=False):
        at = chart.x.share(start)
        if start:
            chart.parts.append(Line(at, chart.top, at, foot, "zero"))
        if len(stages) > 1:
            chart.parts.append(Text(at, chart.top - 3, panel.short_sources(stage.sources), "tick", shift=4))
    for run in runs:
        points = thinned(run.validation if validation else run.losses)
        curve = tuple((chart.x.share(x), chart.down(value)) for x, value in points)
        chart.parts.append(Curve(curve, foot + chart.bottom, "run", f"{panel.schedule_title(schedule)}, {run.name}"))
    shown = panel.schedule_title(schedule)
    what = "Score on validation rows" if validation else "Training loss"
    return chart.chart(f"{what} of {shown} by update, {len(runs)} runs.", shown)
