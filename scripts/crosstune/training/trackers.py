"""Experiment trackers of a training, through accelerate's: TensorBoard, W&B, MLflow, trackio (docs/trackers.md).

A tracker has every point of the curves once, however often a training is interrupted. An attempt replaces what an
earlier one has logged by the points of the saved state, and goes on from there. A tracker changes no result, and one
that fails ends no training. Unless the user's environment says otherwise, all of them write files alone.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

from accelerate.tracking import GeneralTracker, MLflowTracker, TensorBoardTracker, TrackioTracker, WandBTracker

from crosstune.artifacts.checkpoint import link_tree
from crosstune.core.files import read_json, write_json
from crosstune.core.locks import file_lock
from crosstune.machine.gpu_lease import log_line

# Folders in a stage's folder.
TENSORBOARD, WANDB = "tensorboard", "wandb"


@dataclass(frozen=True)
class TrackerOptions:
    """The trackers of a study's trainings by name, and the folder of its results, whose name is that of the study."""

    names: tuple[str, ...] = ()
    results: Path = Path()

    @classmethod
    def from_json(cls, value: Mapping) -> "TrackerOptions":
        """Of `names` and `results`; both may be missing."""
        return cls(tuple(value.get("names", ())), Path(value.get("results", "")))

    @property
    def project(self) -> str:
        """The name under which a tracker has the study's trainings."""
        return self.results.resolve().name


@dataclass(frozen=True)
class TrackedRun:
    """A training as trackers know it: the folder of its stage, and settings to show."""

    options: TrackerOptions
    stage: Path
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The stage's path in the study's results."""
        stage, results = self.stage.resolve(), self.options.results.resolve()
        return str(stage.relative_to(results)) if stage.is_relative_to(results) else stage.name


class Trackers:
    """The trackers of one training. `resume`: the folder of its saved state; `log`: the job's log.

    Every process of a training has them, and the main one alone calls `begin`, `add` and `close`.
    """

    def __init__(self, run: TrackedRun | None = None, resume: Path = Path(), log: Path | None = None):
        self._run, self._resume, self._log = run, resume, log
        self._open: list[GeneralTracker] = []

    @property
    def are_wanted(self) -> bool:
        """Whether there is any."""
        return bool(self._run and self._run.options.names)

    def begin(self, curve: Sequence[Mapping], evaluations: Sequence[Mapping], metric: str) -> None:
        """Start all trackers, without what earlier attempts have logged, and with the points of a saved state."""
        if not self._run:
            return
        remove_curves(self._run.stage, self._run.options.names)
        if not self.are_wanted:
            return
        os.environ.update(offline_environment(self._run.options, os.environ))
        identity = self._identity()
        for name in self._run.options.names:
            self._try(name, lambda name=name: self._open.append(START[name](self._run, identity)))
        for update, values in sorted(points(curve, evaluations, metric).items()):
            self._add(update, values)

    def add(self, update: int, curve: Sequence[Mapping], evaluations: Sequence[Mapping], metric: str) -> None:
        """Log the points of an update, if curve or evaluations end with one of it."""
        if self._open and (values := points(curve[-1:], evaluations[-1:], metric).get(update)):
            self._add(update, values)

    def close(self) -> None:
        """Finish all trackers."""
        for tracker in self._open:
            self._try(tracker.name, tracker.finish)
        self._open = []

    def _add(self, update: int, values: Mapping[str, float]) -> None:
        for tracker in list(self._open):
            if not self._try(tracker.name, lambda tracker=tracker: tracker.log(dict(values), step=update)):
                self._open.remove(tracker)

    def _try(self, name: str, action: Callable[[], None]) -> bool:
        """Whether an action of a tracker succeeds. Anything may fail there, and no training is lost for it."""
        try:
            action()
        except Exception as error:
            log_line(f"warning: the tracker {name} gets no more points: {type(error).__name__}: {error}", self._log)
            return False
        return True

    def _identity(self) -> str:
        """The same text for all attempts of a training, and another one for every training."""
        path = self._resume / "tracked.json"
        if not path.exists():
            write_json(path, {"id": uuid4().hex})
        parts = [read_json(path)["id"], self._run.name, *map(str, sorted(self._run.settings.items()))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def points(curve: Sequence[Mapping], evaluations: Sequence[Mapping], metric: str) -> dict[int, dict[str, float]]:
    """Values by name, by update: those of a learning curve, and of evaluations on validation rows by `metric`.

    A state that an earlier version has saved has points without the norm of the gradient.
    """
    found: dict[int, dict[str, float]] = {}
    for point in curve:
        update = point["update"]
        values = {"train/loss": point["loss"], "train/learning_rate": point["lr"]}
        values |= {"train/contrastive_loss": point["contrast"]} if "contrast" in point else {}
        values |= {"train/gradient_norm": point["grad_norm"]} if "grad_norm" in point else {}
        found.setdefault(update, {}).update(values)
    for evaluation in evaluations:
        scores = evaluation["scores"]["validation"]
        values = {f"validation/{metric}": evaluation["score"]}
        values |= {f"validation/{metric}/{language}": scores[language][metric] for language in scores}
        found.setdefault(evaluation["update"], {}).update(values)
    return found


def remove_curves(stage: Path, wanted: Sequence[str] = ()) -> None:
    """Remove what trackers other than those `wanted` have written into a stage's folder: it is of another training."""
    for name in {TENSORBOARD, WANDB} - set(wanted):
        shutil.rmtree(stage / name, ignore_errors=True)


def link_curves(stage: Path, copy: Path) -> None:
    """Give another stage, which the same training is taken for, the TensorBoard files of a stage."""
    remove_curves(copy)
    link_tree(stage / TENSORBOARD, copy / TENSORBOARD)


def offline_environment(options: TrackerOptions, environ: Mapping[str, str]) -> dict[str, str]:
    """Variables with which trackers write files of the study and use no network, as far as `environ` lacks them."""
    results = options.results.resolve()
    variables: dict[str, str] = {}
    if "wandb" in options.names:
        variables |= {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
    if "mlflow" in options.names:
        variables |= {"MLFLOW_TRACKING_URI": f"sqlite:///{results / 'mlflow.db'}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    if "trackio" in options.names:
        variables |= {"TRACKIO_DIR": str(results / "trackio")}
    return {name: value for name, value in variables.items() if name not in environ}


# --- the start of each tracker ---------------------------------------------------------------------------------------


def _start_tensorboard(run: TrackedRun, identity: str) -> GeneralTracker:
    # A TensorBoard that runs waits for the file that it read last, so an empty one stays in its place. It forgets the
    # points of that file because the next one says that it begins at 0.
    earlier = sorted((run.stage / TENSORBOARD).glob("events.*"))
    for path in earlier:
        path.unlink()
    for path in earlier[-1:]:
        path.touch()
    tracker = TensorBoardTracker(TENSORBOARD, logging_dir=run.stage, purge_step=0)
    tracker.start()
    return tracker


def _start_wandb(run: TrackedRun, identity: str) -> GeneralTracker:
    shutil.rmtree(run.stage / WANDB, ignore_errors=True)
    # A service that has points of an earlier attempt ignores the same updates when they come again.
    tracker = WandBTracker(run.options.project, dir=str(run.stage), name=run.name, id=identity, resume="allow")
    return _with_settings(tracker, run)


def _start_mlflow(run: TrackedRun, identity: str) -> GeneralTracker:
    client = import_module("mlflow").MlflowClient  # no package of the locks, nor is trackio
    # Two trainings that begin together must not both make the tables of a new database.
    with file_lock(run.options.results / "mlflow.lock", wait=True):
        for experiment in client().search_experiments(filter_string=f"name = '{run.options.project}'"):
            for earlier in client().search_runs([experiment.experiment_id], f"tags.crosstune_training = '{identity}'"):
                client().delete_run(earlier.info.run_id)
        tracker = MLflowTracker(run.options.project, run_name=run.name, tags={"crosstune_training": identity})
        return _with_settings(tracker, run)


def _start_trackio(run: TrackedRun, identity: str) -> GeneralTracker:
    name = f"{run.name} {identity[:4]}"
    import_module("trackio.sqlite_storage").SQLiteStorage.delete_run(run.options.project, name)
    tracker = TrackioTracker(run.options.project, name=name, embed=False, auto_log_gpu=False, auto_log_cpu=False)
    return _with_settings(tracker, run)


def _with_settings(tracker: GeneralTracker, run: TrackedRun) -> GeneralTracker:
    tracker.start()
    tracker.store_init_configuration(dict(run.settings))
    return tracker


START: Mapping[str, Callable[[TrackedRun, str], GeneralTracker]] = {
    "tensorboard": _start_tensorboard,
    "wandb": _start_wandb,
    "mlflow": _start_mlflow,
    "trackio": _start_trackio,
}
