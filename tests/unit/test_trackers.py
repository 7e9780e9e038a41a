"""Experiment trackers: every point once, also after a kill; files alone; results that do not know of them."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from closeness import same_weights
from helpers.processes import wait_until
from helpers.study_config import ROOT, study
from sample_rows import RECIPE, SENTENCES
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from crosstune.core.errors import UserError
from crosstune.modeling.batching import Mixture, plan_batches
from crosstune.study import trackers as of_study
from crosstune.study.specs import config_affecting_results, plan_config
from crosstune.study.trackers import check_trackers, tracker_environment
from crosstune.training.interruption import TrainingInterrupted
from crosstune.training.micro_batches import TrainingData
from crosstune.training.model_selection import BestCheckpoint
from crosstune.training.trackers import TrackedRun, TrackerOptions, Trackers, link_curves, offline_environment

UPDATES, EVERY = 12, 4
OFFLINE = ("WANDB_MODE", "MLFLOW_TRACKING_URI", "TRACKIO_DIR")


@pytest.fixture
def stage(tmp_path) -> Path:
    folder = tmp_path / "results/study/tiny/seed1/qa/worldqa.qen@12"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def run(fit, new_network, tokenizer, tmp_path, stage):
    """Train a tagger with TensorBoard; the network and its curve. A second call resumes an interrupted one."""

    def train(tracked=True, folder="state", recipe=RECIPE, **options):
        network = new_network()
        network.add_head("tagging.x", ["A", "B"], seed=1)
        windows = network.tasks["tagging.x"].encode(SENTENCES, tokenizer, {"max_length": 32})
        plan = plan_batches({"t.en": windows.lengths}, Mixture(("t.en",)), 60, (1, "key"), UPDATES)
        data = TrainingData({"t.en": windows}, {"t.en": "tagging.x"})
        best = BestCheckpoint(EVERY, "f1", lambda update: {"validation": {"en": {"f1": 10.0 * update}}})
        names = ("tensorboard",) if tracked else ()
        shown = TrackedRun(TrackerOptions(names, tmp_path / "results/study"), stage, {"seed": 1})
        trackers = Trackers(shown, tmp_path / folder, tmp_path / "log")
        try:
            curve, _ = fit(network, data, plan, recipe, folder=folder, best=best, trackers=trackers, **options)
        finally:
            trackers.close()
        return network, curve

    return train


def logged(stage: Path) -> dict[str, list[tuple[int, float]]]:
    """The points of a stage's TensorBoard files by curve. Nothing is purged: what is there twice is seen twice."""
    found = EventAccumulator(str(stage / "tensorboard"), purge_orphaned_data=False)
    found.Reload()
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def expected(curve: list[dict]) -> dict[str, list[tuple[int, float]]]:
    scores = [(update, pytest.approx(10.0 * update)) for update in range(EVERY, UPDATES + 1, EVERY)]
    return {
        "train/loss": [(point["update"], pytest.approx(point["loss"])) for point in curve],
        "train/learning_rate": [(point["update"], pytest.approx(point["lr"])) for point in curve],
        "train/gradient_norm": [(point["update"], pytest.approx(point["grad_norm"])) for point in curve],
        "validation/f1": scores,
        "validation/f1/en": scores,
    }


def test_loss_learning_rate_gradient_norm_and_validation_are_logged_by_update(run, stage):
    _, curve = run()
    assert logged(stage) == expected(curve) and len(curve) == UPDATES
    assert all(point["grad_norm"] > 0 for point in curve)


@pytest.mark.parametrize("bound", [RECIPE["max_grad_norm"], 0])
def test_a_tracker_changes_no_bit_of_the_training(run, bound):
    recipe = {**RECIPE, "max_grad_norm": bound}
    tracked, curve = run(folder="tracked", recipe=recipe)
    plain, plain_curve = run(tracked=False, folder="plain", recipe=recipe)
    assert same_weights(tracked, plain) and curve == plain_curve


@pytest.mark.parametrize("after", [1, 5, 8, 10])
def test_a_training_that_a_signal_interrupts_has_every_point_once(run, stage, after):
    run(folder="whole")
    whole = logged(stage)
    with pytest.raises(TrainingInterrupted):
        run(interrupt_after=after)
    assert max(update for update, _ in logged(stage)["train/loss"]) > after - 1
    run()
    assert logged(stage) == whole


def test_a_training_that_is_killed_after_a_saved_state_has_every_point_once(run, stage, tmp_path):
    """The state is that of an earlier update than the last point: the first update is always saved, few others are."""
    run(folder="whole")
    whole = logged(stage)
    process = os.fork()
    if not process:
        run(save_interval=0, interrupt_after=9, number=signal.SIGKILL)
        os._exit(0)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert (tmp_path / "state/state.safetensors").exists()
    assert max(update for update, _ in logged(stage)["train/loss"]) == 9
    run()
    assert logged(stage) == whole


def test_a_tensorboard_that_runs_meanwhile_shows_no_point_twice(run, stage):
    board = EventAccumulator(str(stage / "tensorboard"))
    with pytest.raises(TrainingInterrupted):
        run(interrupt_after=5)
    board.Reload()
    assert [event.step for event in board.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6]
    begun = int(time.time())
    wait_until(lambda: time.time() > begun + 1)  # The names of files, by which TensorBoard orders them, have seconds.
    run()
    board.Reload()
    assert [event.step for event in board.Scalars("train/loss")] == list(range(1, UPDATES + 1))


def test_a_training_that_trackers_join_later_has_all_of_its_curve(run, stage):
    with pytest.raises(TrainingInterrupted):
        run(tracked=False, interrupt_after=5)
    assert not (stage / "tensorboard").exists()
    _, curve = run()
    assert logged(stage) == expected(curve)


def test_a_training_without_trackers_removes_the_curves_of_another(run, stage):
    run()
    run(tracked=False, folder="again")
    assert not (stage / "tensorboard").exists()


def test_a_tracker_that_fails_ends_no_training(run, stage, tmp_path):
    (stage / "tensorboard").write_text("no folder")
    _, curve = run()
    assert curve[-1]["update"] == UPDATES
    lines = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("warning")]
    assert len(lines) == 1 and lines[0].startswith("warning: the tracker tensorboard gets no more points: FileExists")


def test_a_stage_that_is_taken_from_a_sweep_has_the_curves_of_the_candidate(run, stage, tmp_path):
    run()
    link_curves(stage, tmp_path / "chosen")
    assert logged(tmp_path / "chosen") == logged(stage)


def test_trackers_write_files_of_the_study_unless_the_user_says_otherwise():
    options = TrackerOptions(("tensorboard", "wandb", "mlflow", "trackio"), Path("/study/results/x"))
    found = offline_environment(options, {})
    places = ("offline", "sqlite:////study/results/x/mlflow.db", "/study/results/x/trackio")
    assert tuple(found[name] for name in OFFLINE) == places
    assert found["MLFLOW_DISABLE_TELEMETRY"] == "true" and found["WANDB_ERROR_REPORTING"] == "false"
    assert offline_environment(options, found) == {}
    own = offline_environment(options, {"WANDB_MODE": "online", "MLFLOW_TRACKING_URI": "http://localhost:5000"})
    assert not {"WANDB_MODE", "MLFLOW_TRACKING_URI"} & own.keys()
    assert offline_environment(TrackerOptions(("tensorboard",)), {}) == {}


# --- in a study ------------------------------------------------------------------------------------------------------


def test_no_spec_and_no_plan_knows_of_trackers():
    plain, tracked = study(), study(trackers=["tensorboard"])
    assert {path: node.spec for path, node in tracked.checkpoints.items()} == {
        path: node.spec for path, node in plain.checkpoints.items()
    }
    assert config_affecting_results(tracked.config) == config_affecting_results(plain.config)
    assert plan_config(tracked.config) == plan_config(plain.config)


def test_trainings_are_told_the_trackers_and_where_the_results_are():
    told = json.loads(tracker_environment(study(trackers=["tensorboard", "wandb"]))["CROSSTUNE_TRACKERS"])
    options = TrackerOptions.from_json(told)
    assert options.names == ("tensorboard", "wandb") and options.project == "test"
    assert TrackerOptions.from_json(json.loads(tracker_environment(study())["CROSSTUNE_TRACKERS"])).names == ()


@pytest.mark.parametrize(
    ("value", "where", "message"),
    [("tensorboard", "trackers", "expected a list"), (["tensorbord"], "trackers[0]", "'tensorbord' does not fit")],
)
def test_a_mistake_in_the_key_is_one_message(value, where, message):
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        study(trackers=value)
    assert caught.value.where == where


def test_a_tracker_that_is_not_installed_is_told_before_any_job(monkeypatch):
    found = study(trackers=["tensorboard"])
    check_trackers(found)
    monkeypatch.setattr(of_study, "find_spec", lambda name: None if name.startswith("tensorboard") else name)
    with pytest.raises(UserError, match="the tracker tensorboard needs the package tensorboard") as caught:
        check_trackers(found)
    requirement = re.search(r"^(tensorboard==\S+)", (ROOT / "envs/requirements.lock").read_text(), re.MULTILINE)[1]
    assert caught.value.where == "trackers" and caught.value.fix == f"pip install {requirement}"
    check_trackers(study())
    monkeypatch.setattr(of_study, "find_spec", lambda name: None)
    check_trackers(found)  # without torch, jobs run elsewhere
