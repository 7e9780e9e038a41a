"""The expected hours of a study, before or during its run.

A job requests an upper bound (see resources); the hours here are the expected ones. An hour is one of a GPU or of a CPU
core. If finished work of the model has a cost record, its throughput is used. Otherwise operations are counted, and a
share of the device's peak is assumed. The hours exclude the start of processes (about ten seconds a job), the encoding
of rows and the time in a queue.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from crosstune.artifacts.cost import UNKNOWN_DEVICE, prediction_costs, training_cost
from crosstune.machine.devices import CPU, Device, Devices
from crosstune.study.adapters import size_at, sizes_of
from crosstune.study.graph import Run, Study
from crosstune.study.model_size import Size, gpus_of
from crosstune.study.paths import CheckpointPath, PreparedPath
from crosstune.study.recipe import is_contrastive
from crosstune.study.resources import (
    PREDICT_OPERATIONS,
    UNKNOWN_TEST_ROWS,
    UNKNOWN_TRAINING_ROWS,
    UPDATE_SECONDS,
    JobResources,
)
from crosstune.study.specs import predict_spec

# A row's mean length relative to the longest. Training rows of studies/xtreme-r.yaml: 0.1 to 0.5, questions 0.44.
FILL_RATIO = 0.5

# The GPU of the hours by schedule if nothing is measured.
DEFAULT_GPU = "A100"

# The track of a base model's pretraining.
BASE = "base model"


@dataclass(frozen=True)
class WorkEstimate:
    """Updates of a checkpoint, and its tokens: training, translation partners, evaluation in training, prediction."""

    updates: float = 0
    training_tokens: float = 0
    partner_tokens: float = 0
    evaluation_tokens: float = 0
    prediction_tokens: float = 0


@dataclass(frozen=True)
class Throughput:
    """The tokens and device hours of finished work of one kind on a device."""

    tokens: float = 0
    hours: float = 0

    def __add__(self, other: "Throughput") -> "Throughput":
        return Throughput(self.tokens + other.tokens, self.hours + other.hours)


class CostEstimate:
    """Hours of a study's checkpoints, by their paths, on any device. Cost records of finished work lie at these paths.

    `uncounted_splits`: manifests of prepared splits whose number of rows was needed and is unknown.
    """

    def __init__(self, study: Study, jobs: JobResources, devices: Devices):
        self.study, self.devices, self._jobs = study, devices, jobs
        self.uncounted_splits: set[str] = set()
        self._works: dict[str, WorkEstimate] = {}

    # ---- checkpoints ----

    @cached_property
    def checkpoints(self) -> list[str]:
        """All checkpoints that the study computes, including base models."""
        return [path for path, node in self.study.checkpoints.items() if not node.is_given]

    def stages(self, model: str, track: str = "") -> list[str]:
        """The checkpoints of a model on a track; without a track, all of them and the base."""
        parts = ((path, *model_and_track(path)) for path in self.checkpoints)
        return [path for path, name, own_track in parts if name == model and track in ("", own_track)]

    def runs(self, model: str, track: str, schedule: str = "") -> list[Run]:
        """The runs of a model on a track, of one schedule or of all."""
        runs = (run for run in self.study.runs if (run.model, run.track) == (model, track))
        return [run for run in runs if schedule in ("", run.schedule.name)]

    def unshared_stages(self, runs: Iterable[Run]) -> list[str]:
        """The checkpoints of runs that share nothing: a common ancestor occurs once for every run."""
        return [path for run in runs for path in self.study.lineage(run.stages[-1])]

    # ---- work ----

    def size(self, model: str) -> Size:
        return self._sizes[model]

    @cached_property
    def _sizes(self) -> dict[str, Size]:
        return sizes_of(self.study.config)

    def work(self, path: str) -> WorkEstimate:
        """The work of one checkpoint."""
        if path not in self._works:
            self._works[path] = self._work(path)
        return self._works[path]

    def _work(self, path: str) -> WorkEstimate:
        node = self.study.checkpoints[path]
        prediction = sum(self._prediction_tokens(path, dataset) for dataset in node.evaluate)
        if "average" in node.spec or node.candidates:  # one of the candidates is taken over
            return WorkEstimate(prediction_tokens=prediction)
        budget, longest = node.spec.get("budget", node.spec), node.spec.get("encoding", node.spec)["max_length"]
        updates = budget.get("updates")
        if updates is None:
            rows = self._rows(node.data, UNKNOWN_TRAINING_ROWS)
            updates = math.ceil(budget["epochs"] * rows * longest * FILL_RATIO / budget["tokens"])
        training, evaluation = updates * budget["tokens"], 0.0
        if "select" in node.spec:
            evaluations = math.ceil(updates / node.spec["select"]["every"])
            evaluation = evaluations * self._rows(node.held_out, UNKNOWN_TEST_ROWS) * longest * FILL_RATIO
        partners = training if is_contrastive(node.spec["recipe"]) else 0
        return WorkEstimate(updates, training, partners, evaluation, prediction)

    def prediction_rows(self, path: str, dataset: str) -> int:
        """The number of rows of a data set, in all languages, that a checkpoint predicts."""
        languages = self.study.checkpoints[path].evaluate[dataset]
        return self._rows([str(PreparedPath(dataset, "test", lang)) for lang in languages], UNKNOWN_TEST_ROWS)

    def _rows(self, manifests: Iterable[str], unknown: int) -> int:
        """The number of rows of prepared splits; a split without a count has `unknown` rows and is noted."""
        counts = {manifest: self._jobs.rows_at(manifest) for manifest in manifests}
        self.uncounted_splits.update(manifest for manifest, rows in counts.items() if rows is None)
        return sum(unknown if rows is None else rows for rows in counts.values())

    def _prediction_tokens(self, path: str, dataset: str) -> float:
        longest = predict_spec(self.study, path, dataset)["encoding"]["max_length"]
        return self.prediction_rows(path, dataset) * longest * FILL_RATIO

    # ---- hours ----

    def device_of(self, model: str) -> Device:
        """The device of the detailed hours: a core, the GPU with the most finished work, or the default GPU."""
        if not gpus_of(self.study.config["models"][model]):
            return self.devices[CPU]
        hours = {
            device: throughput.hours
            for (kind, name, device, track), throughput in self.throughputs.items()
            if (kind, name, track) == ("train", model, None) and device != UNKNOWN_DEVICE
        }
        return self._device(max(hours, key=hours.get)) if hours else self.devices[DEFAULT_GPU]

    def reported_devices(self, models: Iterable[str]) -> list[Device]:
        """The devices of the report: those of the table, and others with finished work."""
        names = dict.fromkeys(device for _, model, device, _ in self.throughputs if model in models)
        return [*self.devices, *(Device(name) for name in names if not self._device(name).tflops)]

    def hours(self, paths: Iterable[str], device: Device) -> float | None:
        """Device hours of trainings and predictions of checkpoints; None if the device's speed is unknown."""
        parts = [part(path, device) for path in paths for part in (self.training_hours, self.prediction_hours)]
        return None if None in parts else sum(parts)

    def unshared_hours(self, models: Iterable[str], device: Device) -> float | None:
        """Hours of all runs of models if they shared only their base model."""
        bases = [path for path in self.checkpoints if model_and_track(path) in {(model, BASE) for model in models}]
        runs = [run for run in self.study.runs if run.model in models]
        return self.hours([*bases, *self.unshared_stages(runs)], device)

    def remaining_hours(self, paths: Sequence[str], device: Device) -> float | None:
        """Hours of the unfinished trainings and predictions of checkpoints; None if the device's speed is unknown."""
        parts = [self.training_hours(path, device) for path in paths if not is_trained(path)]
        parts += [self.prediction_hours(path, device) for path in paths if not self._is_predicted(path)]
        return None if None in parts else sum(parts)

    def training_hours(self, path: str, device: Device) -> float | None:
        """Hours of the training of one checkpoint."""
        work, config = self.work(path), self.study.config
        if not work.updates:
            return 0.0
        if throughput := self.throughput("train", path, device):
            return work.training_tokens * throughput.hours / throughput.tokens
        size = size_at(self.study, path, self._sizes)
        operations = size.training_operations * (work.training_tokens + work.partner_tokens)
        training = self._seconds(path, device, operations, config["precision"])
        operations = PREDICT_OPERATIONS * work.evaluation_tokens
        evaluation = self._seconds(path, device, operations, config["predict_precision"])
        if training is None:
            return None
        return (training + evaluation + self._device_count(path, device) * work.updates * UPDATE_SECONDS) / 3600

    def prediction_hours(self, path: str, device: Device) -> float | None:
        """Hours of the predictions of one checkpoint on all its data sets."""
        tokens = self.work(path).prediction_tokens
        if not tokens:
            return 0.0
        if throughput := self.throughput("predict", path, device):
            return tokens * throughput.hours / throughput.tokens
        seconds = self._seconds(path, device, PREDICT_OPERATIONS * tokens, self.study.config["predict_precision"])
        return None if seconds is None else seconds / 3600

    def _seconds(self, path: str, device: Device, operations: float, precision: str) -> float | None:
        """Device seconds of `operations` operations per parameter."""
        speed = device.speed(precision)
        return speed and operations * self.size(model_and_track(path)[0]).matrix_parameters / speed

    def _device_count(self, path: str, device: Device) -> int:
        """The number of devices that a training uses at once."""
        return (
            self.study.checkpoints[path].threads
            if device.name == CPU
            else max(1, self.size(model_and_track(path)[0]).gpus)
        )

    def _is_predicted(self, path: str) -> bool:
        return all(Path(path, "predictions", f"{name}.json").exists() for name in self.study.checkpoints[path].evaluate)

    # ---- finished work ----

    def has_measurements(self, model: str, device: Device) -> bool:
        """Whether a training of the model has run on the device."""
        return ("train", model, device.name, None) in self.throughputs

    def throughput(self, kind: str, path: str, device: Device) -> Throughput | None:
        """Finished work on a device: of the checkpoint's track or else of its model. `kind`: train, predict."""
        model, track = model_and_track(path)
        key = (kind, model, device.name)
        return self.throughputs.get((*key, track)) or self.throughputs.get((*key, None))

    @cached_property
    def throughputs(self) -> dict[tuple[str, str, str, str | None], Throughput]:
        """Finished work by kind, model, device and track; the track None is the sum over a model's tracks."""
        sums: dict[tuple, Throughput] = {}
        for path in self.checkpoints:
            model, track = model_and_track(path)
            for kind, device, throughput in self._measurements(path):
                for scope in (track, None):
                    key = (kind, model, self.devices.lookup(device).name, scope)
                    sums[key] = sums.get(key, Throughput()) + throughput
        return sums

    def _measurements(self, path: str) -> Iterable[tuple[str, str, Throughput]]:
        """(kind, device, throughput) of a checkpoint's finished work with a duration."""
        training = training_cost(Path(path))
        if training and training.tokens and training.cost.seconds:
            yield "train", training.cost.device, Throughput(training.tokens, training.cost.hours)
        for dataset, cost in prediction_costs(Path(path)).items():
            if cost and cost.seconds and dataset in self.study.checkpoints[path].evaluate:
                yield "predict", cost.device, Throughput(self._prediction_tokens(path, dataset), cost.hours)

    def _device(self, name: str) -> Device:
        return next((device for device in self.devices if device.name == name), Device(name))


def is_trained(path: str) -> bool:
    return Path(path, "stage.json").exists()


def model_and_track(path: str) -> tuple[str, str]:
    """Model and track of a checkpoint."""
    location = CheckpointPath.parse(path)
    return location.model, location.track or BASE
