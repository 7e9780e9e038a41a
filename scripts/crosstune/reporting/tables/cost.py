"""Cost tables: time, energy and tokens of the schedules of a finished study, next to their scores.

Times differ between equal runs, so these tables have a folder apart from the tables whose bytes do not.
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.analysis.results import Panel, StudyResults
from crosstune.artifacts.cost import CostRecord, TrainingCost, prediction_costs, training_cost
from crosstune.core.text import count, decimal
from crosstune.reporting.tables.formats import TextTable, table_files, write_files
from crosstune.reporting.tables.table import cell_text, csv_numbers


@dataclass(frozen=True)
class ScheduleCost:
    """The cost of a schedule, as the mean over its runs (seeds, and folds if data are split in several ways).

    hours: device hours of all its stages, as if it had been trained alone; own_hours: a stage that n runs share counts
    1/n. prediction_hours: of its stages on all data sets. kwh: of trainings and predictions. The last two are None if a
    run lacks the record. device: the name of the GPU, or `CPU core`; several with commas. runs: the number of runs in
    the means; missing: the number of runs that lack the cost record of a training.
    """

    hours: float
    own_hours: float
    prediction_hours: float | None
    device: str
    kwh: float | None
    updates: float
    tokens: float
    runs: int
    missing: int


@dataclass(frozen=True)
class StageCost:
    """The cost of a stage of a run, and how many runs share the stage."""

    training: TrainingCost
    predictions: list[CostRecord | None]
    users: int


def schedule_costs(panel: Panel, results: Path) -> dict[str, ScheduleCost]:
    """The cost of each schedule of a panel for which any run has a complete record."""
    users = Counter(
        stage for schedule in panel.track_plan["schedules"] for run in panel.runs(schedule) for stage in stages_of(run)
    )
    costs = {}
    for schedule in panel.schedules:
        runs = [_stage_costs(run, results, users) for run in panel.runs(schedule)]
        recorded = [stages for stages in runs if stages is not None]
        if recorded:
            costs[schedule] = _mean_cost(recorded, len(runs) - len(recorded))
    return costs


def stages_of(run: dict) -> list[str]:
    """The stages that a run is charged for; for an average those of its members, since averaging takes seconds."""
    return run.get("members", run["stages"])


def _stage_costs(run: dict, results: Path, users: Counter) -> list[StageCost] | None:
    """The costs of the stages of a run; None if a training lacks its record."""
    folders = {stage: results / stage for stage in stages_of(run)}
    trainings = {stage: training_cost(folder) for stage, folder in folders.items()}
    if None in trainings.values():
        return None
    return [
        StageCost(trainings[stage], list(prediction_costs(folder).values()), users[stage])
        for stage, folder in folders.items()
    ]


def _mean_cost(runs: Sequence[Sequence[StageCost]], missing: int) -> ScheduleCost:
    trainings = [[stage.training for stage in stages] for stages in runs]
    predictions = [[record for stage in stages for record in stage.predictions] for stages in runs]
    records = [[*(training.cost for training in run), *more] for run, more in zip(trainings, predictions, strict=True)]
    devices = dict.fromkeys(training.cost.device for run in trainings for training in run if training.updates)
    return ScheduleCost(
        hours=statistics.fmean(sum(training.cost.hours for training in run) for run in trainings),
        own_hours=statistics.fmean(sum(stage.training.cost.hours / stage.users for stage in run) for run in runs),
        prediction_hours=_mean_of_sums([[record and record.hours for record in run] for run in predictions]),
        device=", ".join(devices) or trainings[0][0].cost.device,
        kwh=_mean_of_sums([[record and record.kwh for record in run] for run in records]),
        updates=statistics.fmean(sum(training.updates for training in run) for run in trainings),
        tokens=statistics.fmean(sum(training.tokens for training in run) for run in trainings),
        runs=len(runs),
        missing=missing,
    )


def _mean_of_sums(runs: Sequence[Sequence[float | None]]) -> float | None:
    """The mean over runs of their sums; None if any part is unknown."""
    if any(part is None for parts in runs for part in parts):
        return None
    return statistics.fmean(map(sum, runs))


# --- the table -------------------------------------------------------------------------------------------------------


def cost_table(panel: Panel, results: Path) -> TextTable | None:
    """Schedules with their scores and costs; None if no schedule has a cost."""
    costs = schedule_costs(panel, results)
    if not costs:
        return None
    group, languages = next(iter(panel.language_groups.items()))
    label = panel.labels[panel.metric]
    head = ["schedule", f"{label}, {group}", "updates", "tokens", "hours", "hours, shared", "hours of predictions",
            "kWh", "device"]  # fmt: skip
    lines = [["schedule", "metric", "languages", "mean", "sd", "updates", "tokens", "hours", "own_hours",
              "prediction_hours", "kwh", "device", "runs", "missing"]]  # fmt: skip
    rows = []
    for schedule in panel.schedules:
        score, cost = panel.cell(schedule, languages, panel.metric), costs.get(schedule)
        rows.append([_label(panel, schedule, cost), cell_text(score), *_texts(cost)])
        numbers = [""] * 9 if cost is None else _numbers(cost)
        lines.append([schedule, panel.metric, group, *csv_numbers(score, "mean", "sd"), *numbers])
    return TextTable(f"cost.{panel.name}", describe_cost(panel), head, rows, lines)


def _label(panel: Panel, schedule: str, cost: ScheduleCost | None) -> str:
    """The schedule, with the number of runs that have a cost record if some lack it."""
    planned = len(panel.runs(schedule))
    recorded = cost.runs if cost else 0
    shown = panel.schedule_title(schedule)
    return shown if recorded == planned else f"{shown} [{recorded}/{planned} runs]"


def _texts(cost: ScheduleCost | None) -> list[str]:
    if cost is None:
        return ["n/a"] * 7
    hours = [cost.hours, cost.own_hours, cost.prediction_hours, cost.kwh]
    return [
        f"{cost.updates:,.0f}", f"{cost.tokens:,.0f}", *(decimal(number, 3) or "n/a" for number in hours), cost.device
    ]  # fmt: skip


def _numbers(cost: ScheduleCost) -> list:
    hours = [decimal(number, 6) for number in (cost.hours, cost.own_hours, cost.prediction_hours, cost.kwh)]
    return [f"{cost.updates:g}", f"{cost.tokens:.0f}", *hours, cost.device, cost.runs, cost.missing]


def describe_cost(panel: Panel) -> str:
    """The caption: the meaning of hours and shared hours, and the costs that the numbers leave out."""
    runs = count(len(panel.study.plan["seeds"]), "seed")
    if panel.folds != [0]:
        runs += f" x {len(panel.folds)} splits of the data"
    return " ".join(
        [
            f"What the schedules took (docs/cost.md). Model {panel.model_title}, track {panel.track}, data set "
            f"{panel.dataset_title}: means over {runs}; the score with its sample standard deviation.",
            "hours: device hours (of GPUs or CPU cores) of all stages, as if the schedule had been trained alone; "
            "shared: a stage that several schedules stand on counts for each of them its part; predictions: of all "
            "stages on all data sets. kWh: of trainings and predictions, where the machine counts energy.",
            "The base model is not in it.",
        ]
    )


def write_cost_tables(study: StudyResults, results: Path, out: Path) -> list[Path]:
    """Write the cost table of every panel that has one into the folder `out`, and return the paths."""
    out.mkdir(parents=True, exist_ok=True)
    contents = {}
    for panel in study.panels():
        if table := cost_table(panel, results):
            contents |= table_files(table)
    return write_files(contents, out, study.pilot)
