"""Checkpoints and predictions that another job's process has made: taken over whole and only if they are the ones."""

import pytest

from crosstune.ahead import Node, adopt_predictions, predictions_ahead
from crosstune.files import read_json, write_json, write_jsonl

SPEC = {"seed": 1}
PREDICTION = {"dataset": "worldqa", "head": "qa"}


@pytest.fixture
def data(tmp_path):
    write_jsonl(tmp_path / "data/worldqa/test.qen.jsonl", [])
    write_json(tmp_path / "data/worldqa/test.qen.json", {"dataset": "worldqa", "lang": "qen", "sha256": "rows"})
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


def test_a_draft_is_moved_into_place(node):
    assert not node.is_made(node.parents)
    make_draft(node)
    assert node.is_made(node.parents)
    write_json(node.out / "model/old.json", {})
    node.settle()
    assert read_json(node.out / "stage.json")["weights"] == "new"
    assert [path.name for path in (node.out / "model").iterdir()] == ["config.json"]
    assert not (node.out / "ahead").exists()


@pytest.mark.parametrize(
    "change", [{"spec": {"seed": 2}}, {"parents": ["other"]}, {"data": {"worldqa.qen": "other rows"}}]
)
def test_a_draft_of_another_spec_parent_or_data_is_none(node, change):
    make_draft(node, **change)
    assert not node.is_made(node.parents)


def test_a_draft_without_its_manifest_is_none(node):
    make_draft(node)
    (node.draft / "stage.json").unlink()
    assert not node.is_made(node.parents)


def make_predictions(checkpoint, weights="new"):
    made = predictions_ahead(checkpoint, "worldqa")
    write_jsonl(made / "qen.jsonl", [{"id": "1"}])
    manifest = {"spec": PREDICTION, "weights": weights, "languages": {"qen": {"data": "rows"}}}
    write_json(made.with_suffix(".json"), manifest)


def test_predictions_are_taken_over_once(tmp_path, data):
    make_predictions(tmp_path)
    out = tmp_path / "predictions/worldqa"
    assert adopt_predictions(tmp_path, PREDICTION, "new", data, out)
    assert (out / "qen.jsonl").exists()
    assert out.with_suffix(".json").exists()
    assert not (tmp_path / "ahead").exists()
    assert not adopt_predictions(tmp_path, PREDICTION, "new", data, out)


def test_predictions_with_other_weights_or_of_another_spec_are_left(tmp_path, data):
    make_predictions(tmp_path)
    out = tmp_path / "predictions/worldqa"
    assert not adopt_predictions(tmp_path, PREDICTION, "newer", data, out)
    assert not adopt_predictions(tmp_path, {**PREDICTION, "head": "other"}, "new", data, out)
    assert not out.exists()
