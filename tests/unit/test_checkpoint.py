"""Staged checkpoints and predictions: installed only if they are complete and current."""

from dataclasses import replace

import pytest

from crosstune.artifacts.checkpoint import (
    CheckpointJob,
    install_predictions,
    link_tree,
    remove_empty,
    remove_staged,
    staged_predictions_dir,
)
from crosstune.core.files import read_json, write_json, write_jsonl

SPEC = {"seed": 1}
PREDICTION = {"dataset": "worldqa", "head": "qa"}


@pytest.fixture
def data(tmp_path):
    write_jsonl(tmp_path / "data/worldqa/test.qen.jsonl", [])
    write_json(
        tmp_path / "data/worldqa/test.qen.json",
        {"dataset": "worldqa", "split": "train", "lang": "qen", "sha256": "rows"},
    )
    return (tmp_path / "data/worldqa/test.qen.json",)


@pytest.fixture
def parent(tmp_path):
    write_json(tmp_path / "parent/stage.json", {"weights": "old"})
    return tmp_path / "parent"


@pytest.fixture
def job(tmp_path, data, parent):
    return CheckpointJob(SPEC, tmp_path / "parent/child", (parent,), data)


def stage(job: CheckpointJob, **changes) -> None:
    manifest = {"spec": SPEC, "parents": ["old"], "data": {"worldqa.qen": "rows"}, "weights": "new"}
    write_json(job.staging_dir / "stage.json", {**manifest, **changes})
    write_json(job.staging_dir / "model/config.json", {})
    (job.staging_dir / "model/model.safetensors").write_bytes(b"weights")
    write_jsonl(job.staging_dir / "train.jsonl", [])


def test_installing_moves_the_staged_checkpoint_into_place(job):
    assert not job.is_staged()
    stage(job)
    assert job.is_staged()
    write_json(job.out / "model/old.json", {})
    write_json(job.out / "resume/spec.json", {})
    job.install()
    assert read_json(job.out / "stage.json")["weights"] == "new"
    assert {path.name for path in (job.out / "model").iterdir()} == {"config.json", "model.safetensors"}
    assert {path.name for path in job.out.iterdir()} == {"stage.json", "train.jsonl", "model"}


@pytest.mark.parametrize("weights", ["model.safetensors", "adapter_model.safetensors"])
def test_the_chosen_candidate_of_a_sweep_serves_whole_or_as_adapter(job, tmp_path, weights):
    choice = tmp_path / "choice.json"
    write_json(choice, {"values": {"lr": 1.0}, "number": 1})
    spec = SPEC | {"recipe": {"lr": {"sweep": [2.0, 1.0]}}}
    job = replace(job, spec=spec, choice=choice, candidates=(tmp_path / "a", tmp_path / "b"))
    assert job.chosen_candidate() is None
    manifest = {"spec": {"recipe": {"lr": 1.0}}, "parents": ["old"], "data": {"worldqa.qen": "rows"}}
    write_json(tmp_path / "b/stage.json", manifest)
    write_jsonl(tmp_path / "b/train.jsonl", [])
    assert job.chosen_candidate() is None, "its weights are gone"
    (tmp_path / "b/model").mkdir()
    (tmp_path / "b/model" / weights).write_bytes(b"weights")
    assert job.chosen_candidate() == tmp_path / "b"
    assert replace(job, keep_optimizer=True).chosen_candidate() is None


def test_staged_files_that_stay_serve_a_job_that_starts_twice(job):
    """As on a cluster: a second job for the same training deletes the outputs of the first, which has just ended."""
    stage(job)
    with job.locked():
        job.install(keep_staged=True)
    (job.out / "stage.json").unlink()
    (job.out / "model/model.safetensors").unlink()
    with job.locked():
        assert job.is_staged()
        job.install(keep_staged=True)
    assert (job.out / "model/model.safetensors").read_bytes() == b"weights"
    remove_staged(job.out)
    assert {path.name for path in job.out.iterdir()} == {"stage.json", "train.jsonl", "model"}


def test_a_staged_checkpoint_stays_until_it_is_installed(job):
    stage(job)
    remove_staged(job.out)
    assert job.is_staged()


def test_a_job_killed_while_it_installs_finds_the_staged_checkpoint_complete(job, monkeypatch):
    stage(job)
    monkeypatch.setattr("crosstune.artifacts.checkpoint.link_tree", lambda *_: (link_tree(*_), die()))
    with pytest.raises(KeyboardInterrupt):
        job.install()
    delete(job.out / "model", job.out / "stage.json")
    monkeypatch.undo()
    assert job.is_staged()
    job.install()
    assert (job.out / "model/model.safetensors").read_bytes() == b"weights"


def die(*_arguments, **_options):
    raise KeyboardInterrupt


def delete(*paths):
    """What Snakemake does with the outputs of a killed job."""
    for path in paths:
        for file in [*path.rglob("*")] if path.is_dir() else [path]:
            file.unlink()


@pytest.mark.parametrize("lost", ["model/model.safetensors", "train.jsonl", "stage.json"])
def test_a_staged_checkpoint_without_a_part_is_incomplete(job, lost):
    stage(job)
    (job.staging_dir / lost).unlink()
    assert not job.is_staged()


def test_a_staged_checkpoint_without_the_required_moments_is_incomplete(job):
    stage(job)
    assert not replace(job, keep_optimizer=True).is_staged()
    (job.staging_dir / "optimizer.safetensors").write_bytes(b"moments")
    assert replace(job, keep_optimizer=True).is_staged()


def test_a_staged_checkpoint_without_its_data_is_not_current(job):
    stage(job)
    job.data[0].unlink()
    assert job.missing_input() == job.data[0]
    assert not job.is_staged()


@pytest.mark.parametrize(
    "change", [{"spec": {"seed": 2}}, {"parents": ["other"]}, {"data": {"worldqa.qen": "other rows"}}]
)
def test_a_staged_checkpoint_of_another_spec_parent_or_data_is_not_current(job, change):
    stage(job, **change)
    assert not job.is_staged()


def stage_predictions(checkpoint, weights="new"):
    made = staged_predictions_dir(checkpoint, "worldqa")
    write_jsonl(made / "qen.jsonl", [{"id": "1"}])
    manifest = {"spec": PREDICTION, "weights": weights, "languages": {"qen": {"data": "rows"}}}
    write_json(made.with_suffix(".json"), manifest)


def test_predictions_are_installed_once(tmp_path, data):
    stage_predictions(tmp_path)
    out = tmp_path / "predictions/worldqa"
    # A process was killed while it wrote these; another has made them.
    for name in (".worldqa.json.7.tmp", "worldqa/.qen.jsonl.7.tmp"):
        (staged_predictions_dir(tmp_path, "worldqa").parent / name).write_text("half")
    assert install_predictions(tmp_path, PREDICTION, "new", data, out)
    assert (out / "qen.jsonl").exists()
    assert out.with_suffix(".json").exists()
    assert not (tmp_path / ".staging").exists()
    assert not list(tmp_path.rglob("*.tmp"))
    assert not install_predictions(tmp_path, PREDICTION, "new", data, out)


def test_predictions_without_a_language_are_not_installed(tmp_path, data):
    stage_predictions(tmp_path)
    (staged_predictions_dir(tmp_path, "worldqa") / "qen.jsonl").unlink()
    assert not install_predictions(tmp_path, PREDICTION, "new", data, tmp_path / "predictions/worldqa")


def test_missing_predictions_are_those_whose_rows_are_prepared(job, data, tmp_path):
    wanted = {"spec": PREDICTION, "data": [str(path) for path in data]}
    unprepared = {"spec": {"dataset": "other"}, "data": [str(tmp_path / "none.json")]}
    job = replace(job, predictions=[wanted, unprepared])
    stage(job)
    assert job.missing_predictions == [wanted], "nobody can predict rows that are not prepared"
    stage_predictions(job.out, weights="older")
    assert job.missing_predictions == [wanted]
    stage_predictions(job.out)
    assert job.missing_predictions == []


def test_two_jobs_may_remove_one_empty_folder(tmp_path):
    (tmp_path / ".staging/predictions").mkdir(parents=True)
    remove_empty(tmp_path / ".staging/predictions", tmp_path)
    remove_empty(tmp_path / ".staging/predictions", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_predictions_of_other_weights_or_another_spec_are_not_installed(tmp_path, data):
    stage_predictions(tmp_path)
    out = tmp_path / "predictions/worldqa"
    assert not install_predictions(tmp_path, PREDICTION, "newer", data, out)
    assert not install_predictions(tmp_path, {**PREDICTION, "head": "other"}, "new", data, out)
    assert not out.exists()
