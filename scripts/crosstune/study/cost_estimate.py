"""The hours that a study is expected to take, before it runs or while it does.

Owns: the work of every checkpoint, and how long a device takes for it. Must never know: texts, Snakemake, what jobs ask
for.

Unlike what a job asks for (resources), which is meant to be enough, this is meant to be near. An hour is of one device:
a GPU, or a core of a CPU. Where finished work of the model has written down what it took, that is its speed; elsewhere
the operations are counted and a share of the device's peak is assumed. To both are added neither the start of
processes, some ten seconds a job, nor the encoding of rows, nor what waits in a queue.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from crosstune.artifacts.cost import UNKNOWN_DEVICE, prediction_costs, training_cost
from crosstune.machine.devices import CPU, Device, Devices
from crosstune.study.graph import Run, Study
from crosstune.study.paths import CheckpointPath, PreparedPath
from crosstune.study.recipe import is_contrastive
from crosstune.study.resources import (
    LEARNED,
    PREDICTED,
    UNKNOWN_TEST_ROWS,
    UNKNOWN_TRAINING_ROWS,
    UPDATE_SECONDS,
    JobResources,
    Size,
    gpus_of,
)
from crosstune.study.specs import predict_spec

# A row's tokens as a part of the longest row's. Training rows of studies/xtreme-r.yaml: 0.1 to 0.5, questions 0.44.
FILLED = 0.5

# The device whose hours are told schedule by schedule, where nothing is measured.
USUAL = "A100"

# What stands for the track of a base model's pretraining.
BASE = "base model"


@dataclass(frozen=True)
class WorkEstimate:
    """Tokens of a checkpoint: trained on, computed beside them as partners, looked at on the way, predicted."""

    updates: float = 0
    trained: float = 0
    partners: float = 0
    looked: float = 0
    predicted: float = 0


@dataclass(frozen=True)
class Measured:
    """What finished work of one kind took on a device: so many tokens in so many device hours."""

    tokens: float = 0
    hours: float = 0

    def __add__(self, other: "Measured") -> "Measured":
        return Measured(self.tokens + other.tokens, self.hours + other.hours)


class CostEstimate:
    """Hours of a study's checkpoints, by their paths, on any device. Finished work is looked for at these paths.

    `uncounted`: prepared splits, met so far, of which nobody knows yet how many rows they have.
    """

    def __init__(self, study: Study, jobs: JobResources, devices: Devices):
        self.study, self.devices, self._jobs = study, devices, jobs
        self.uncounted: set[str] = set()
        self._works: dict[str, WorkEstimate] = {}

    # ---- which checkpoints ----

    @cached_property
    def made(self) -> list[str]:
        """All checkpoints that the study makes, base models too."""
        return [path for path, node in self.study.checkpoints.items() if "hub" not in node.spec]

    def stages(self, model: str, track: str = "") -> list[str]:
        """The checkpoints of a model, of a track or of all and then with its base."""
        return [path for path in self.made if model == place_of(path)[0] and track in ("", place_of(path)[1])]

    def runs(self, model: str, track: str, schedule: str = "") -> list[Run]:
        """The runs of a model on a track, of one schedule or of all."""
        found = (run for run in self.study.runs if (run.model, run.track) == (model, track))
        return [run for run in found if schedule in ("", run.schedule.name)]

    def alone(self, runs: Iterable[Run]) -> list[str]:
        """The checkpoints of runs that share nothing: one that several stand on is there for each of them."""
        return [path for run in runs for path in self.study.lineage(run.stages[-1])]

    # ---- how much work ----

    def size(self, model: str) -> Size:
        return Size.of(self.study.config["models"][model])

    def work(self, path: str) -> WorkEstimate:
        """The work of one checkpoint."""
        if path not in self._works:
            self._works[path] = self._work(path)
        return self._works[path]

    def _work(self, path: str) -> WorkEstimate:
        node = self.study.checkpoints[path]
        predicted = sum(self._tokens_predicted(path, dataset) for dataset in node.evaluate)
        if "average" in node.spec:
            return WorkEstimate(predicted=predicted)
        budget, longest = node.spec.get("budget", node.spec), node.spec.get("encoding", node.spec)["max_length"]
        updates = budget.get("updates")
        if updates is None:
            rows = self._rows(node.data, UNKNOWN_TRAINING_ROWS)
            updates = math.ceil(budget["epochs"] * rows * longest * FILLED / budget["tokens"])
        trained, looked = updates * budget["tokens"], 0.0
        if "select" in node.spec:
            looks = math.ceil(updates / node.spec["select"]["every"])
            looked = looks * self._rows(node.held_out, UNKNOWN_TEST_ROWS) * longest * FILLED
        partners = trained if is_contrastive(node.spec["recipe"]) else 0
        return WorkEstimate(updates, trained, partners, looked, predicted)

    def rows_predicted(self, path: str, dataset: str) -> int:
        """Rows of a data set in all languages that a checkpoint predicts."""
        languages = self.study.checkpoints[path].evaluate[dataset]
        return self._rows([str(PreparedPath(dataset, "test", lang)) for lang in languages], UNKNOWN_TEST_ROWS)

    def _rows(self, manifests: Iterable[str], unknown: int) -> int:
        """Rows of prepared splits; `unknown` of each that nobody has counted, which is noted."""
        found = {manifest: self._jobs.rows_at(manifest) for manifest in manifests}
        self.uncounted.update(manifest for manifest, rows in found.items() if rows is None)
        return sum(unknown if rows is None else rows for rows in found.values())

    def _tokens_predicted(self, path: str, dataset: str) -> float:
        longest = predict_spec(self.study, path, dataset)["encoding"]["max_length"]
        return self.rows_predicted(path, dataset) * longest * FILLED

    # ---- how long it takes ----

    def device_of(self, model: str) -> Device:
        """The device whose hours are told in detail: a core, the GPU with the most finished work, else a usual one."""
        if not gpus_of(self.study.config["models"][model]):
            return self.devices[CPU]
        hours = {
            device: found.hours
            for (kind, mine, device, track), found in self.measured.items()
            if (kind, mine, track) == ("train", model, None) and device != UNKNOWN_DEVICE
        }
        return self._named(max(hours, key=hours.get)) if hours else self.devices[USUAL]

    def candidates(self, models: Iterable[str]) -> list[Device]:
        """Devices to tell hours for: those of the table, and others that finished work was done on."""
        names = dict.fromkeys(device for _, model, device, _ in self.measured if model in models)
        return [*self.devices, *(Device(name) for name in names if not self._named(name).tflops)]

    def hours(self, paths: Iterable[str], device: Device) -> float | None:
        """Device hours of trainings and predictions of checkpoints; None where nobody knows how fast the device is."""
        parts = [part(path, device) for path in paths for part in (self.training_hours, self.prediction_hours)]
        return None if None in parts else sum(parts)

    def hours_alone(self, models: Iterable[str], device: Device) -> float | None:
        """Of all runs of models, if they shared nothing but their base model."""
        bases = [path for path in self.made if place_of(path) in {(model, BASE) for model in models}]
        runs = [run for run in self.study.runs if run.model in models]
        return self.hours([*bases, *self.alone(runs)], device)

    def left(self, paths: Sequence[str], device: Device) -> float | None:
        """The same of what is not finished."""
        parts = [self.training_hours(path, device) for path in paths if not is_trained(path)]
        parts += [self.prediction_hours(path, device) for path in paths if not self._is_predicted(path)]
        return None if None in parts else sum(parts)

    def training_hours(self, path: str, device: Device) -> float | None:
        """Of one checkpoint."""
        work, config = self.work(path), self.study.config
        if not work.updates:
            return 0.0
        if found := self.measured_on("train", path, device):
            return work.trained * found.hours / found.tokens
        learned = self._seconds(path, device, LEARNED * (work.trained + work.partners), config["precision"])
        looked = self._seconds(path, device, PREDICTED * work.looked, config["predict_precision"])
        if learned is None:
            return None
        return (learned + looked + self._together(path, device) * work.updates * UPDATE_SECONDS) / 3600

    def prediction_hours(self, path: str, device: Device) -> float | None:
        """Of one checkpoint on all its data sets."""
        predicted = self.work(path).predicted
        if not predicted:
            return 0.0
        if found := self.measured_on("predict", path, device):
            return predicted * found.hours / found.tokens
        seconds = self._seconds(path, device, PREDICTED * predicted, self.study.config["predict_precision"])
        return None if seconds is None else seconds / 3600

    def _seconds(self, path: str, device: Device, operations: float, precision: str) -> float | None:
        """Device seconds of so many operations a parameter."""
        speed = device.speed(precision)
        return speed and operations * self.size(place_of(path)[0]).multiplied / speed

    def _together(self, path: str, device: Device) -> int:
        """Devices that a training has at the same time."""
        return self.study.checkpoints[path].threads if device.name == CPU else max(1, self.size(place_of(path)[0]).gpus)

    def _is_predicted(self, path: str) -> bool:
        return all(Path(path, "predictions", f"{name}.json").exists() for name in self.study.checkpoints[path].evaluate)

    # ---- what is known from finished work ----

    def is_measured(self, model: str, device: Device) -> bool:
        """Whether some training of the model has run on the device."""
        return ("train", model, device.name, None) in self.measured

    def measured_on(self, kind: str, path: str, device: Device) -> Measured | None:
        """Finished work on a device, of the checkpoint's track, else of its model at all. `kind`: train, predict."""
        model, track = place_of(path)
        for place in (track, None):
            if found := self.measured.get((kind, model, device.name, place)):
                return found
        return None

    @cached_property
    def measured(self) -> dict[tuple[str, str, str, str | None], Measured]:
        """Finished work by kind, model, device and track; a track of None stands for all that a model did."""
        found: dict[tuple, Measured] = {}
        for path in self.made:
            model, track = place_of(path)
            for kind, device, measured in self._finished(path):
                for place in (track, None):
                    key = (kind, model, self.devices.lookup(device).name, place)
                    found[key] = found.get(key, Measured()) + measured
        return found

    def _finished(self, path: str) -> Iterable[tuple[str, str, Measured]]:
        """(kind, device, what it took) of a checkpoint's finished work that has anything to measure."""
        training = training_cost(Path(path))
        if training and training.tokens and training.cost.seconds:
            yield "train", training.cost.device, Measured(training.tokens, training.cost.hours)
        for dataset, cost in prediction_costs(Path(path)).items():
            if cost and cost.seconds and dataset in self.study.checkpoints[path].evaluate:
                yield "predict", cost.device, Measured(self._tokens_predicted(path, dataset), cost.hours)

    def _named(self, name: str) -> Device:
        return next((device for device in self.devices if device.name == name), Device(name))


def is_trained(path: str) -> bool:
    return Path(path, "stage.json").exists()


def place_of(path: str) -> tuple[str, str]:
    """Model and track of a checkpoint."""
    location = CheckpointPath.parse(path)
    return location.model, location.track or BASE
