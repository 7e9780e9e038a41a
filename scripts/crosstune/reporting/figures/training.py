"""Training curves: loss, validation scores of model selection, learning rate and gradient norm along the updates."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.analysis.cells import replicate
from crosstune.analysis.results import Panel, read_json_object
from crosstune.artifacts.checkpoint import CURVE, MANIFEST
from crosstune.reporting.figures.axes import Axis, PointChart, wide_axis
from crosstune.reporting.figures.drawing import Chart, Curve, Line, Text
from crosstune.reporting.figures.figure import Figure
from crosstune.reporting.figures.rows import trained_schedules
from crosstune.reporting.figures.subjects import about_schedules

# The most points of a curve: losses between them are averaged.
POINTS = 48

# The most drawn schedules.
MOST_SCHEDULES = 24

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Quantity:
    """What a chart shows along the updates: its key in the records, the axis, the first words of the description."""

    name: str
    axis: str
    words: str


QUANTITIES = (
    Quantity("loss", "loss", "Training loss"),
    Quantity("score", "validation score", "Score on validation rows"),
    Quantity("lr", "learning rate", "Learning rate"),
    Quantity("grad_norm", "gradient norm", "Norm of the gradient"),
)


@dataclass(frozen=True)
class TrainingRun:
    """The curves of one run, by quantity, and where its stages begin; updates are counted over all stages."""

    name: str
    curves: Mapping[str, Points]
    starts: tuple[float, ...]


def training_runs(panel: Panel, schedule: str, results: Path) -> list[TrainingRun]:
    """The runs of a schedule that have a record of their loss. Reads train.jsonl and stage.json of their stages."""
    found = []
    for run in panel.runs(schedule):
        curves: dict[str, Points] = {quantity.name: [] for quantity in QUANTITIES}
        starts, before = [], 0
        for stage, updates in zip(run["stages"], run["updates"], strict=False):
            starts.append(before)
            manifest = read_json_object(results / stage / MANIFEST) or {}
            looks = manifest.get("selection", {}).get("looks", [])
            for entry in [*curve_of(results / stage / CURVE), *looks]:
                for name in curves.keys() & entry.keys():
                    curves[name].append((before + entry["update"], entry[name]))
            before += updates
        if curves["loss"]:
            found.append(TrainingRun(f"seed {replicate(run)}", curves, tuple(starts)))
    return found


def curve_of(path: Path) -> list[dict]:
    """The entries of a train.jsonl with a loss; none without the file."""
    if not path.exists():
        return []
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [entry for entry in entries if entry.get("loss") is not None]


def thinned(points: Sequence[tuple[float, float]], most: int = POINTS) -> Points:
    """At most `most` points, each the mean of its neighbours."""
    size = max(1, -(-len(points) // most))
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(statistics.fmean(x for x, _ in group), statistics.fmean(y for _, y in group)) for group in groups]


def training_figure(panel: Panel, results: Path) -> Figure | None:
    """A chart per schedule and quantity that its runs have; None without a record of the loss."""
    runs = {name: training_runs(panel, name, results) for name in trained_schedules(panel)[:MOST_SCHEDULES]}
    runs = {name: own for name, own in runs.items() if own}
    if not runs:
        return None
    charts = []
    for quantity in QUANTITIES:
        values = [value for own in runs.values() for run in own for _, value in thinned(run.curves[quantity.name])]
        if values:
            y = wide_axis(values, quantity.axis, least=None if quantity.name == "score" else 0)
            for name, own in runs.items():
                if recorded := [run for run in own if run.curves[quantity.name]]:
                    charts.append(run_chart(panel, name, recorded, y, quantity))
    caption = (
        f"A line per seed, or one for all if they are the same: the training loss and what else was recorded, averaged "
        f"to at most {POINTS} points. Vertical lines: a stage begins. The numbers are in train.jsonl of every stage."
    )
    return Figure("training", "Training curves", caption, tuple(charts), columns=2)


def run_chart(panel: Panel, schedule: str, runs: list[TrainingRun], y: Axis, quantity: Quantity) -> Chart:
    """The curves of one schedule; one, if those of all runs are the same, as learning rates mostly are."""
    last = max(x for run in runs for x, _ in run.curves["loss"])
    chart = PointChart(Axis(0, last, "updates"), y, height=120)
    foot = chart.top + chart.height
    stages = panel.stages(schedule)
    for start, stage in zip(runs[0].starts, stages, strict=False):
        at = chart.x.share(start)
        if start:
            chart.parts.append(Line(at, chart.top, at, foot, "zero"))
        if len(stages) > 1:
            chart.parts.append(Text(at, chart.top - 3, panel.short_sources(stage.sources), "tick", shift=4))
    shown = panel.schedule_title(schedule)
    curves = {run.name: run.curves[quantity.name] for run in runs}
    if len(runs) > 1 and all(curve == runs[0].curves[quantity.name] for curve in curves.values()):
        curves = {"every seed": runs[0].curves[quantity.name]}
    for name, points in curves.items():
        curve = tuple((chart.x.share(x), chart.down(value)) for x, value in thinned(points))
        chart.parts.append(Curve(curve, foot + chart.bottom, "run", f"{shown}, {name}"))
    of_runs = "the same in all runs" if len(curves) < len(runs) else f"{len(runs)} runs"
    name = f"{quantity.words} of {shown} by update, {of_runs}."
    return chart.chart(name, shown, subject=about_schedules(schedule))
