"""The printed cost report: the jobs of a study and their expected hours, energy and disk."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from tabulate import tabulate

from crosstune.core.text import count
from crosstune.machine.devices import CPU, Device
from crosstune.study.cost_estimate import BASE, FILL_RATIO, CostEstimate
from crosstune.study.data_requirements import DataRequirements
from crosstune.study.disk_space import WeightsOnDisk
from crosstune.study.local_models import copied_models
from crosstune.study.model_size import gpus_of, parameters_of
from crosstune.study.resources import UNKNOWN_TEST_ROWS, UPDATE_SECONDS
from crosstune.study.retention import RetentionPolicy, manifest_of
from crosstune.study.targets import baseline_files, prediction_files, score_files

# Bytes of a predicted row, with its gold answers and its score.
PREDICTED_ROW_BYTES = 400

WIDTH = 110


def cost_report(estimate: CostEstimate, requirements: DataRequirements, retention: RetentionPolicy) -> str:
    """The text, for a terminal."""
    study = estimate.study
    parts = {"model": study.config["models"], "seed": study.config["seeds"], "run": study.runs}
    sections = [
        f"study {study.name}: {', '.join(count(len(items), noun) for noun, items in parts.items())}",
        _table(("job", "in all", "done"), jobs_of(estimate, requirements)),
        *(_hours_of_schedules(estimate, track) for track in study.config["tracks"]),
        *_hours_by_device(estimate),
        "Disk\n" + _table(("", "GB"), _disk(estimate, retention)),
        _lines(_assumptions(estimate)),
        _lines(requirements.pending_notices()),
    ]
    return "\n\n".join(filter(None, sections))


def jobs_of(estimate: CostEstimate, requirements: DataRequirements) -> list[tuple[str, int, int]]:
    """Each rule with jobs, the number of its jobs in the whole study, and the number of finished ones."""
    study = estimate.study
    nodes = [study.checkpoints[path] for path in estimate.checkpoints]
    translated = [
        f"data/translated/{t.dataset}/{t.split}.{t.source}-{t.target}.json"
        for t in dict.fromkeys(requirements.translations)
    ]
    outputs = {
        "fetch, fetch_model": requirements.all_downloads,
        "copy_model": copied_models(study),
        "prepare": requirements.prepared,
        "translate": translated,
        "pretrain": [manifest_of(node.path) for node in nodes if not node.parents],
        "train": [manifest_of(node.path) for node in nodes if node.parents and "average" not in node.spec],
        "average": [manifest_of(node.path) for node in nodes if "average" in node.spec],
        "predict": prediction_files(study),
        "score": score_files(study),
        "baselines": baseline_files(study),
    }
    return [(rule, len(files), sum(Path(file).exists() for file in files)) for rule, files in outputs.items() if files]


# --- hours -----------------------------------------------------------------------------------------------------------


def _hours_of_schedules(estimate: CostEstimate, track: str) -> str:
    """A table of schedules by models; the last row counts shared stages once."""
    study = estimate.study
    models = list(study.config["models"])
    devices = {model: estimate.device_of(model) for model in models}
    rows = []
    for schedule in study.tracks[track].schedules:
        paths = {model: estimate.unshared_stages(estimate.runs(model, track, schedule.name)) for model in models}
        work = [estimate.work(path) for path in paths[models[0]]]
        sizes = (f"{sum(part.updates for part in work):,.0f}", figure(sum(part.training_tokens for part in work) / 1e6))
        rows.append((schedule.name, *sizes, *(_hours(estimate, paths[model], devices[model]) for model in models)))
    shared = (_hours(estimate, estimate.stages(model, track), devices[model]) for model in models)
    rows.append(("all, shared stages once", "", "", *shared))
    head = ("schedule", "updates", "M tokens", *(f"{model}, {_unit(devices[model])}" for model in models))
    return f"Track {track}, hours of {_replicates(estimate, track)}\n" + _table(head, rows)


def _replicates(estimate: CostEstimate, track: str) -> str:
    """`5 seeds`, `5 seeds x 10 splits of the data`."""
    seeds, folds = estimate.study.config["seeds"], estimate.study.tracks[track].folds
    return count(len(seeds), "seed") + (f" x {len(folds)} splits of the data" if folds != (0,) else "")


def _hours_by_device(estimate: CostEstimate) -> list[str]:
    """A table for the models that use GPUs, and one for those that compute on cores."""
    models = estimate.study.config["models"]
    with_gpu = [name for name, model in models.items() if gpus_of(model)]
    on_cores = [name for name in models if name not in with_gpu]
    sections = []
    for group, devices in ((with_gpu, estimate.reported_devices(with_gpu)), (on_cores, [estimate.devices[CPU]])):
        if group:
            rows = [_device_row(estimate, group, device) for device in devices]
            head = ("device", "h on their own", "h shared", "h to do", "kWh", "speed")
            title = "Device hours: each schedule on its own, shared stages once, still to do"
            sections.append(f"In all: {', '.join(group)}. {title}\n" + _table(head, rows))
            sections.append("\n".join([*_pretraining(estimate, group), *_sharing(estimate, group)]))
    return sections


def _device_row(estimate: CostEstimate, models: Sequence[str], device: Device) -> tuple[str, ...]:
    shared = [path for model in models for path in estimate.stages(model)]
    hours = estimate.hours(shared, device)
    kwh = None if hours is None or device.watts is None else hours * device.watts / 1000
    remaining = estimate.remaining_hours(shared, device)
    measured = [model for model in models if estimate.has_measurements(model, device)]
    basis = f"measured: {', '.join(measured)}" if measured else "assumed"
    return (device.name, *map(figure, (estimate.unshared_hours(models, device), hours, remaining, kwh)), basis)


def _pretraining(estimate: CostEstimate, models: Sequence[str]) -> list[str]:
    """The hours of the study's own base models, which are part of the totals."""
    hours = [
        f"{model} {_hours(estimate, paths, estimate.device_of(model))} {_unit(estimate.device_of(model))}"
        for model in models
        if (paths := estimate.stages(model, BASE))
    ]
    return [f"Of these, pretraining: {', '.join(hours)}."] if hours else []


def _sharing(estimate: CostEstimate, models: Sequence[str]) -> list[str]:
    """A sentence on the savings by shared stages, for each unit of hours."""
    totals: dict[str, list[float]] = {}
    for model in models:
        device = estimate.device_of(model)
        unshared = estimate.unshared_hours([model], device)
        shared = estimate.hours(estimate.stages(model), device)
        if unshared is not None and shared is not None:
            sums = totals.setdefault(_unit(device), [0.0, 0.0])
            sums[0] += unshared
            sums[1] += shared
    return [
        f"No two schedules share a stage: they take {figure(shared)} {unit}, together as on their own."
        if math.isclose(unshared, shared)
        else f"Schedules on their own would take {figure(unshared)} {unit}; "
        f"shared stages make it {figure(shared)} {unit}."
        for unit, (unshared, shared) in totals.items()
    ]


def _unit(device: Device) -> str:
    return "core h" if device.name == CPU else f"{device.name} h"


def _hours(estimate: CostEstimate, paths: Iterable[str], device: Device) -> str:
    return figure(estimate.hours(paths, device))


# --- assumptions -----------------------------------------------------------------------------------------------------


def _assumptions(estimate: CostEstimate) -> list[str]:
    """The measurements, the assumptions, and the costs that the numbers exclude."""
    study = estimate.study
    lines = [*_measured(estimate), *_assumed_sizes(estimate)]
    share = ", ".join(f"{part:.0%} of the peak in {precision}" for precision, part in estimate.devices.share.items())
    lines += [
        f"Assumed if nothing is measured: {share} (registry/gpus.yaml), {UPDATE_SECONDS} s more for every update, "
        f"rows that fill {FILL_RATIO:.0%} of the longest length.",
        f"Trainings in {_precision(study.config['precision'])}, predictions in "
        f"{_precision(study.config['predict_precision'])}. A GPU without bf16 computes in fp32.",
        "Energy: hours x power of the board (TDP) or, for a core, its share of the processor's. It excludes the rest "
        "of the machine, cooling and idling.",
        "Hours: without the start of jobs, encoding, downloads, translation and the time in a queue.",
    ]
    if estimate.uncounted_splits:
        lines.append(
            f"Splits of data whose rows are not counted yet, each taken for {UNKNOWN_TEST_ROWS:,} for testing: "
            f"{len(estimate.uncounted_splits)}. To count them, prepare the data: snakemake --cores 2 prepare_all"
        )
    return lines


def _precision(name: str) -> str:
    return "bf16 if the device has it" if name == "auto" else name


def _measured(estimate: CostEstimate) -> list[str]:
    return [
        f"Measured: {model}, {track}, {work.tokens / work.hours / 3600:,.0f} tokens/s a {device}."
        for (kind, model, device, track), work in sorted(estimate.throughputs.items(), key=str)
        if kind == "train" and track is not None
    ]


def _assumed_sizes(estimate: CostEstimate) -> list[str]:
    unknown = [name for name, model in estimate.study.config["models"].items() if parameters_of(model) is None]
    return [f"Assumed to be a large model, because it does not state its `parameters`: {name}." for name in unknown]


def _disk(estimate: CostEstimate, retention: RetentionPolicy) -> list[tuple[str, str]]:
    study = estimate.study
    weights = WeightsOnDisk(study, retention).amounts()
    rows = sum(
        estimate.prediction_rows(path, name)
        for path in estimate.checkpoints
        for name in study.checkpoints[path].evaluate
    )
    lines = [
        ("weights, all checkpoints", figure(weights.all / 1e9)),
        (f"weights, the most at once (keep_weights: {study.config['keep_weights']})", figure(weights.most / 1e9)),
        ("predictions and scores", figure(rows * PREDICTED_ROW_BYTES / 1e9)),
    ]
    if weights.unknown:
        lines.append((f"and {weights.unknown} checkpoints of models of unknown size", "n/a"))
    return lines


# --- form ------------------------------------------------------------------------------------------------------------


def figure(number: float | None) -> str:
    """A number with two or three significant digits; `n/a` for None."""
    if number is None:
        return "n/a"
    if 0 < number < 0.01:
        return "< 0.01"
    return f"{number:,.0f}" if number >= 100 or number == 0 else f"{number:.1f}" if number >= 1 else f"{number:.2f}"


def _lines(sentences: Iterable[str]) -> str:
    return "\n".join(textwrap.fill(line, WIDTH, break_long_words=False, break_on_hyphens=False) for line in sentences)


def _table(head: Sequence[str], rows: Sequence[Sequence]) -> str:
    align = ["left"] + ["right"] * (len(head) - 1)
    if head[-1] == "speed":
        align[-1] = "left"
    return tabulate(rows, head, tablefmt="simple", disable_numparse=True, colalign=align)
