"""What the schedules of a finished study took, next to their scores.

Owns: which stages a schedule is charged for, means over runs, the sheets of costs. Must never know: how the page looks,
how hours are expected beforehand.

Times differ between equal runs: these sheets have a folder of their own, beside tables whose bytes do not.
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.analysis.results import Panel, StudyResults
from crosstune.artifacts.cost import CostRecord, TrainingCost, prediction_costs, training_cost
from crosstune.core.files import write_text
from crosstune.core.text import count, decimal
from crosstune.reporting.tables.formats import Sheet, csv_text, sheet_latex, sheet_markdown
from crosstune.reporting.tables.table import cell_text, numbers


@dataclass(frozen=True)
class Spent:
    """What a schedule took, the mean over its runs (seeds, and folds where data are split in several ways).

    hours: device hours of all its stages, as if it had been trained alone; own_hours: where a stage that n runs stand
    on counts 1/n. prediction_hours: of its stages on all data sets. kwh: of trainings and predictions. The last two are
    None where a run has not written them down. `device`: the name of the GPU, or `CPU core`; several with commas.
    runs: those that the means are over; missing: those of which a training has not written down what it took.
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
class Charge:
    """What a stage of a run took, and how many runs stand on it."""

    training: TrainingCost
    predictions: list[CostRecord | None]
    users: int


def spent_by_schedule(panel: Panel, results: Path) -> dict[str, Spent]:
    """What the schedules of a panel took, as far as some run of theirs has written it down, by their names."""
    users = Counter(
        stage for schedule in panel.track_plan["schedules"] for run in panel.runs(schedule) for stage in stages_of(run)
    )
    found = {}
    for schedule in panel.schedules:
        runs = [_charges(run, results, users) for run in panel.runs(schedule)]
        told = [charges for charges in runs if charges is not None]
        if told:
            found[schedule] = _spent(told, len(runs) - len(told))
    return found


def stages_of(run: dict) -> list[str]:
    """The stages that a run stands on; of an average those of its members, since to average takes seconds."""
    return run.get("members", run["stages"])


def _charges(run: dict, results: Path, users: Counter) -> list[Charge] | None:
    """The stages of a run; None where one of them lacks what it took."""
    folders = {stage: results / stage for stage in stages_of(run)}
    trainings = {stage: training_cost(folder) for stage, folder in folders.items()}
    if None in trainings.values():
        return None
    return [
        Charge(trainings[stage], list(prediction_costs(folder).values()), users[stage])
        for stage, folder in folders.items()
    ]


def _spent(runs: Sequence[Sequence[Charge]], missing: int) -> Spent:
    trainings = [[charge.training for charge in charges] for charges in runs]
    predictions = [[took for charge in charges for took in charge.predictions] for charges in runs]
    everything = [
        [*(training.cost for training in done), *more] for done, more in zip(trainings, predictions, strict=True)
    ]
    devices = dict.fromkeys(training.cost.device for done in trainings for training in done if training.updates)
    return Spent(
        hours=statistics.fmean(sum(training.cost.hours for training in done) for done in trainings),
        own_hours=statistics.fmean(sum(part.training.cost.hours / part.users for part in charges) for charges in runs),
        prediction_hours=_mean([[took and took.hours for took in more] for more in predictions]),
        device=", ".join(devices) or trainings[0][0].cost.device,
        kwh=_mean([[took and took.kwh for took in parts] for parts in everything]),
        updates=statistics.fmean(sum(training.updates for training in done) for done in trainings),
        tokens=statistics.fmean(sum(training.tokens for training in done) for done in trainings),
        runs=len(runs),
        missing=missing,
    )


def _mean(runs: Sequence[Sequence[float | None]]) -> float | None:
    """The mean of the runs' sums; None where a part of one is not known."""
    if any(part is None for parts in runs for part in parts):
        return None
    return statistics.fmean(map(sum, runs))


# --- the sheet -------------------------------------------------------------------------------------------------------


def cost_sheet(panel: Panel, results: Path) -> Sheet | None:
    """Schedules with their scores and what they took; None where no schedule has written that down."""
    found = spent_by_schedule(panel, results)
    if not found:
        return None
    group, languages = next(iter(panel.language_groups.items()))
    label = panel.labels[panel.metric]
    head = ["schedule", f"{label}, {group}", "updates", "tokens", "hours", "hours, shared", "hours of predictions",
            "kWh", "device"]  # fmt: skip
    lines = [["schedule", "metric", "languages", "mean", "sd", "updates", "tokens", "hours", "own_hours",
              "prediction_hours", "kwh", "device", "runs", "missing"]]  # fmt: skip
    rows = []
    for schedule in panel.schedules:
        score, spent = panel.cell(schedule, languages, panel.metric), found.get(schedule)
        rows.append([_label(panel, schedule, spent), cell_text(score), *_told(spent)])
        own = [""] * 9 if spent is None else _numbers(spent)
        lines.append([schedule, panel.metric, group, *numbers(score)[:2], *own])
    return Sheet(f"cost.{panel.name}", describe_cost(panel), head, rows, lines)


def _label(panel: Panel, schedule: str, spent: Spent | None) -> str:
    """The schedule, and how many of its runs have written down what they took, where not all have."""
    planned = len(panel.runs(schedule))
    told = spent.runs if spent else 0
    return schedule if told == planned else f"{schedule} [{told}/{planned} runs]"


def _told(spent: Spent | None) -> list[str]:
    if spent is None:
        return ["n/a"] * 7
    hours = [spent.hours, spent.own_hours, spent.prediction_hours, spent.kwh]
    told = [decimal(number, 3) or "n/a" for number in hours]
    return [f"{spent.updates:,.0f}", f"{spent.tokens:,.0f}", *told, spent.device]


def _numbers(spent: Spent) -> list:
    hours = [decimal(number, 6) for number in (spent.hours, spent.own_hours, spent.prediction_hours, spent.kwh)]
    return [f"{spent.updates:g}", f"{spent.tokens:.0f}", *hours, spent.device, spent.runs, spent.missing]


def describe_cost(panel: Panel) -> str:
    """What the caption must say: of what hours are, what is shared, what is not in the numbers."""
    runs = count(len(panel.study.plan["seeds"]), "seed")
    if panel.folds != [0]:
        runs += f" x {len(panel.folds)} splits of the data"
    return " ".join(
        [
            f"What the schedules took (docs/cost.md). Model {panel.model}, track {panel.track}, data set "
            f"{panel.dataset}: means over {runs}; the score with its sample standard deviation.",
            "hours: device hours (of GPUs or CPU cores) of all stages, as if the schedule had been trained alone; "
            "shared: a stage that several schedules stand on counts for each of them its part; predictions: of all "
            "stages on all data sets. kWh: of trainings and predictions, where the machine counts energy.",
            "The base model is not in it.",
        ]
    )


def write_costs(study: StudyResults, results: Path, out: Path) -> list[Path]:
    """Write the sheet of every panel that has one into the folder `out`, as CSV, Markdown and LaTeX; the paths."""
    out.mkdir(parents=True, exist_ok=True)
    contents = {}
    for panel in study.panels():
        if sheet := cost_sheet(panel, results):
            contents |= {f"{sheet.name}.csv": csv_text(sheet.lines), f"{sheet.name}.md": sheet_markdown(sheet)}
            contents[f"{sheet.name}.tex"] = sheet_latex(sheet)
    for name, content in contents.items():
        write_text(out / name, content)
    return [out / name for name in contents]
