"""Checkpoints and predictions that another job's process has made: taken over whole and only if they are the ones."""

import os
import signal
from dataclasses import replace

import pytest

from crosstune.artifacts.checkpoint import (
    MOST_LOST,
    Node,
    adopt_predictions,
    forget_draft,
    predictions_ahead,
    remove_empty,
    take_over,
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
def node(tmp_path, data, parent):
    return Node(SPEC, tmp_path / "parent/child", (parent,), data)


def make_draft(node: Node, **changes) -> None:
    manifest = {"spec": SPEC, "parents": ["old"], "data": {"worldqa.qen": "rows"}, "weights": "new"}
    write_json(node.draft / "stage.json", {**manifest, **changes})
    write_json(node.draft / "model/config.json", {})
    (node.draft / "model/model.safetensors").write_bytes(b"weights")
    write_jsonl(node.draft / "train.jsonl", [])


def test_a_draft_is_moved_into_place(node):
    assert not node.is_made(node.parents)
    make_draft(node)
    assert node.is_made(node.parents)
    write_json(node.out / "model/old.json", {})
    write_json(node.out / "state/spec.json", {})
    node.settle()
    assert read_json(node.out / "stage.json")["weights"] == "new"
    assert {path.name for path in (node.out / "model").iterdir()} == {"config.json", "model.safetensors"}
    assert {path.name for path in node.out.iterdir()} == {"stage.json", "train.jsonl", "model"}


def test_what_is_in_place_is_not_made_ahead_once_more(node):
    assert not node.is_finished(node.parents)
    make_draft(node)
    node.settle()
    delete(node.out / "model")  # its weights are not kept
    assert node.is_finished(node.parents)
    assert not replace(node, spec={"seed": 2}).is_finished(node.parents)
    write_json(node.parents[0] / "stage.json", {"weights": "newer"})
    assert not node.is_finished(node.parents)


def test_a_draft_that_is_kept_serves_a_job_that_is_begun_again(node):
    """As on a cluster: a second job for the same training deletes the outputs of the first, which has just ended."""
    make_draft(node)
    with node.alone():
        node.settle(keep=True)
    (node.out / "stage.json").unlink()
    (node.out / "model/model.safetensors").unlink()
    with node.alone():
        assert node.is_made(node.parents)
        node.settle(keep=True)
    assert (node.out / "model/model.safetensors").read_bytes() == b"weights"
    forget_draft(node.out)
    assert {path.name for path in node.out.iterdir()} == {"stage.json", "train.jsonl", "model"}


def test_it_is_known_whether_something_that_stands_on_a_draft_is_still_to_make(node):
    make_draft(node)
    child = replace(node, out=node.out / "second", parents=(node.out,))
    grandchild = replace(node, out=child.out / "third", parents=(child.out,))
    sibling = replace(node, out=node.parents[0] / "sibling")
    assert not node.is_followed_by_unmade([sibling]), "that is for its own job"
    assert node.is_followed_by_unmade([child, grandchild])
    with child.alone():
        assert not node.is_followed_by_unmade([child, grandchild]), "another process is at it"
    assert not (node.out / "second").exists() or not list((node.out / "second").iterdir())

    child.failure.parent.mkdir(parents=True)
    child.failure.write_text("the loss is nan")
    assert not node.is_followed_by_unmade([child]), "its own job will say why"
    child.failure.unlink()

    make_draft(child, parents=["new"])
    assert node.is_followed_by_unmade([replace(child, predictions=[{"spec": PREDICTION, "data": node.data}])])
    assert not node.is_followed_by_unmade([child]) and node.is_followed_by_unmade([child, grandchild])
    make_draft(grandchild, parents=["new"])
    assert not node.is_followed_by_unmade([child, grandchild])
    child.settle()
    assert not node.is_followed_by_unmade([child, grandchild]), "one in place needs no draft"
    delete(child.out / "model")
    delete(grandchild.draft / "stage.json")
    assert not node.is_followed_by_unmade([child, grandchild]), "nothing is made from weights that are gone"
    assert not node.is_followed_by_unmade([replace(sibling, parents=(node.out,), data=(node.out / "rows.json",))])


def test_one_that_kills_processes_is_left_to_its_own_job(node, data):
    make_draft(node)
    child = replace(node, out=node.out / "second", parents=(node.out,))
    for killed in range(MOST_LOST):
        assert child.lost == killed and node.is_followed_by_unmade([child])
        process = os.fork()
        if not process:
            with child.ahead_of_its_job():
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(process, 0)
    assert not node.is_followed_by_unmade([child])
    with pytest.raises(ValueError), child.ahead_of_its_job():
        raise ValueError
    assert child.lost == 0, "that one lived to tell"
    assert not (node.out / "second").exists() or not list((node.out / "second").iterdir())


def test_a_draft_that_is_not_in_place_is_not_forgotten(node):
    make_draft(node)
    forget_draft(node.out)
    assert node.is_made(node.parents)


def test_its_progress_is_added_to_the_log_of_the_job(node, tmp_path):
    make_draft(node)
    node.progress_log.write_text("70/70 updates\n")
    replace(node, log=tmp_path / "logs/train.log").settle()
    assert (tmp_path / "logs/train.log").read_text() == "70/70 updates\n"
    assert not (node.out / "train.log").exists()


def test_a_job_killed_while_it_settles_finds_the_draft_whole(node, monkeypatch):
    make_draft(node)
    monkeypatch.setattr("crosstune.artifacts.checkpoint.shutil.rmtree", die)
    with pytest.raises(KeyboardInterrupt):
        take_over(node.draft, node.out)
    delete(node.out / "model", node.out / "stage.json")
    monkeypatch.undo()
    assert node.is_made(node.parents)
    node.settle()
    assert (node.out / "model/model.safetensors").read_bytes() == b"weights"


def die(*_arguments, **_options):
    raise KeyboardInterrupt


def delete(*paths):
    """What Snakemake does with the outputs of a killed job."""
    for path in paths:
        for file in [*path.rglob("*")] if path.is_dir() else [path]:
            file.unlink()


@pytest.mark.parametrize("lost", ["model/model.safetensors", "train.jsonl", "stage.json"])
def test_a_draft_that_lacks_a_part_is_none(node, lost):
    make_draft(node)
    (node.draft / lost).unlink()
    assert not node.is_made(node.parents)


def test_a_draft_without_the_moments_that_are_wanted_now_is_none(node):
    make_draft(node)
    assert not replace(node, keep_optimizer=True).is_made(node.parents)
    (node.draft / "optimizer.safetensors").write_bytes(b"moments")
    assert replace(node, keep_optimizer=True).is_made(node.parents)


def test_a_draft_whose_parent_or_data_is_gone_is_none(node):
    make_draft(node)
    node.data[0].unlink()
    assert node.missing(node.parents) == node.data[0]
    assert not node.is_made(node.parents)


@pytest.mark.parametrize(
    "change", [{"spec": {"seed": 2}}, {"parents": ["other"]}, {"data": {"worldqa.qen": "other rows"}}]
)
def test_a_draft_of_another_spec_parent_or_data_is_none(node, change):
    make_draft(node, **change)
    assert not node.is_made(node.parents)


def make_predictions(checkpoint, weights="new"):
    made = predictions_ahead(checkpoint, "worldqa")
    write_jsonl(made / "qen.jsonl", [{"id": "1"}])
    manifest = {"spec": PREDICTION, "weights": weights, "languages": {"qen": {"data": "rows"}}}
    write_json(made.with_suffix(".json"), manifest)


def test_predictions_are_taken_over_once(tmp_path, data):
    make_predictions(tmp_path)
    out = tmp_path / "predictions/worldqa"
    # A process was killed while it wrote these; another has made them.
    for name in (".worldqa.json.7.tmp", "worldqa/.qen.jsonl.7.tmp"):
        (predictions_ahead(tmp_path, "worldqa").parent / name).write_text("half")
    assert adopt_predictions(tmp_path, PREDICTION, "new", data, out)
    assert (out / "qen.jsonl").exists()
    assert out.with_suffix(".json").exists()
    assert not (tmp_path / "ahead").exists()
    assert not list(tmp_path.rglob("*.tmp"))
    assert not adopt_predictions(tmp_path, PREDICTION, "new", data, out)


def test_predictions_that_lack_a_language_are_left(tmp_path, data):
    """A job was killed while it took them over, by a version that moved them."""
    make_predictions(tmp_path)
    (predictions_ahead(tmp_path, "worldqa") / "qen.jsonl").unlink()
    assert not adopt_predictions(tmp_path, PREDICTION, "new", data, tmp_path / "predictions/worldqa")


def test_what_a_draft_lacks_of_its_predictions_is_known(node, data, tmp_path):
    wanted = {"spec": PREDICTION, "data": [str(path) for path in data]}
    unprepared = {"spec": {"dataset": "other"}, "data": [str(tmp_path / "none.json")]}
    node = replace(node, predictions=[wanted, unprepared])
    make_draft(node)
    assert node.unpredicted == [wanted], "nobody can predict rows that are not prepared"
    make_predictions(node.out, weights="older")
    assert node.unpredicted == [wanted]
    make_predictions(node.out)
    assert node.unpredicted == []


def test_two_jobs_may_clear_one_folder(tmp_path):
    (tmp_path / "ahead/predictions").mkdir(parents=True)
    remove_empty(tmp_path / "ahead/predictions", tmp_path)
    remove_empty(tmp_path / "ahead/predictions", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_predictions_with_other_weights_or_of_another_spec_are_left(tmp_path, data):
    make_predictions(tmp_path)
    out = tmp_path / "predictions/worldqa"
    assert not adopt_predictions(tmp_path, PREDICTION, "newer", data, out)
    assert not adopt_predictions(tmp_path, {**PREDICTION, "head": "other"}, "new", data, out)
    assert not out.exists()
