"""Weights that were removed are retrained to the same bytes, in scratch, or refused."""

from dataclasses import replace

import pytest

from crosstune.artifacts.checkpoint import WEIGHTS, has_weights, remove_weights
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, sha256_file, write_json
from crosstune.training.checkpoint_job import RuntimeOptions, make_checkpoint
from crosstune.training.interruption import InterruptGuard
from crosstune.training.retrain import missing_jobs, weights_of


@pytest.fixture
def stop():
    with InterruptGuard() as request:
        yield request


@pytest.fixture
def trained(untrained_job, stop):
    """An installed checkpoint."""
    job = replace(untrained_job(layer=1), predictions=())
    make_checkpoint(job, job.parents, RuntimeOptions(), stop)
    job.install()
    return job


@pytest.fixture
def retrained(trained, stop, tmp_path):
    """The context in which a job has the weights of the checkpoint."""
    return lambda: weights_of(
        [trained.out], [trained], tmp_path / "job/.staging/retrained", RuntimeOptions(), stop, None
    )


def test_a_job_has_the_same_bytes_and_leaves_nothing(trained, retrained, tmp_path):
    before = {path: sha256_file(path) for path in trained.out.rglob("*") if path.is_file()}
    weights = before[trained.out / WEIGHTS]
    remove_weights(trained.out)
    with retrained() as (folder,):
        assert folder != trained.out and sha256_file(folder / WEIGHTS) == weights
        assert (folder / "model/tokenizer.json").exists()
    assert not has_weights(trained.out) and not (tmp_path / "job/.staging").exists()
    left = {path: sha256_file(path) for path in trained.out.rglob("*") if path.is_file()}
    assert left == {path: digest for path, digest in before.items() if "model" not in path.parts}


def test_weights_that_exist_are_used_in_place(trained, retrained):
    with retrained() as (folder,):
        assert folder == trained.out


def test_an_interrupted_job_finds_the_retrained_weights(trained, retrained):
    remove_weights(trained.out)
    with pytest.raises(KeyboardInterrupt), retrained() as (folder,):
        raise KeyboardInterrupt
    before = (folder / WEIGHTS).stat().st_mtime_ns
    with retrained() as (again,):
        assert again == folder and (folder / WEIGHTS).stat().st_mtime_ns == before


def test_only_missing_ancestors_are_retrained(trained):
    last = replace(trained, out=trained.out / "last", parents=(trained.out,))
    (last.out / "model").mkdir(parents=True)
    assert missing_jobs([last.out], [trained, last]) == [last]
    remove_weights(trained.out)
    assert missing_jobs([last.out], [trained, last]) == [trained, last]
    assert missing_jobs([trained.out], [trained, last]) == [trained]
    for name in (WEIGHTS, "model/config.json", "model/tokenizer.json"):
        assert missing_jobs([last.out], [trained, last]) == [trained, last]
        (last.out / name).touch()
    assert missing_jobs([last.out], [trained, last]) == []


def test_a_base_model_that_lost_a_file_is_told(trained, retrained):
    remove_weights(trained.out)
    (trained.parents[0] / "model/tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"(?s)has lost model/tokenizer.json.*rm -r .*base"), retrained():
        pass


def test_other_weights_are_refused(trained, retrained):
    manifest = read_json(trained.out / "stage.json")
    write_json(trained.out / "stage.json", manifest | {"weights": "of another processor"})
    remove_weights(trained.out)
    with (
        pytest.raises(UserError, match=r"(?s)retraining gives others.*--forcerun .*untrained/stage.json"),
        retrained(),
    ):
        pass
    assert not has_weights(trained.out)


def test_a_missing_parent_is_one_message(trained, retrained):
    remove_weights(trained.out)
    (trained.parents[0] / "stage.json").unlink()
    with (
        pytest.raises(UserError, match=r"no such file, and the weights of .*untrained must be retrained"),
        retrained(),
    ):
        pass
