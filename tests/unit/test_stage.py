"""One checkpoint folder: what a stage needs no head for, and predictions that fail."""

import pytest

from crosstune.artifacts.checkpoint import Node, predictions_ahead
from crosstune.core.files import read_json, sha256_file, write_json, write_jsonl
from crosstune.modeling.folder import save_network
from crosstune.training.checkpoint_job import Knobs, make_checkpoints

RECIPE = {
    "lr": 1e-3, "warmup": 0.1, "decay": "linear", "weight_decay": 0.01, "clip": 1.0, "alpha": 1.0,
    "label_smoothing": 0.0, "optimizer": "reset",
}  # fmt: skip


@pytest.fixture
def node(new_network, tokenizer_folder, tmp_path):
    """A stage that trains nothing and has no head, wanted for bitext retrieval at a layer of the one-layer encoder."""

    def make(layer: int) -> Node:
        base = tmp_path / "base"
        save_network(new_network(), base / "model", tokenizer_folder, "")
        weights = sha256_file(base / "model/model.safetensors")
        write_json(base / "stage.json", {"weights": weights, "parents": [], "lineage": {}})
        rows = tmp_path / "data/tatoeba/test.th.jsonl"
        write_jsonl(
            rows, [{"id": "1", "text": "the cat", "pair": "a dog"}, {"id": "2", "text": "mat", "pair": "house"}]
        )
        manifest = rows.with_suffix(".json")
        write_json(manifest, {"dataset": "tatoeba", "lang": "th", "sha256": sha256_file(rows)})
        spec = {
            "seed": 1, "after": [], "sources": [], "replayed": [], "replay": 0.0, "updates": 0, "epochs": None,
            "tokens": 64, "heads": [], "source_heads": {}, "recipe": RECIPE,
            "encoding": {"max_length": 32}, "precision": "fp32", "packing": True,
        }  # fmt: skip
        encoding = {"max_length": 32, "layer": layer}
        wanted = {"dataset": "tatoeba", "head": "bitext", "encoding": encoding, "precision": "fp32", "packing": True}
        predictions = [{"spec": wanted, "data": [str(manifest)]}]
        return Node(spec, base / "untrained", (base,), (), predictions=predictions)

    return make


def test_what_needs_no_head_is_evaluated_on_the_bare_encoder(node):
    stage = node(layer=1)
    make_checkpoints(stage, [], Knobs())
    assert read_json(stage.draft / "model/config.json")["crosstune_heads"] == {}
    answers = (predictions_ahead(stage.out, "tatoeba") / "th.jsonl").read_text().splitlines()
    assert len(answers) == 2


def test_predictions_that_fail_leave_the_training_done(node, capsys):
    stage = node(layer=9)
    make_checkpoints(stage, [], Knobs())
    assert stage.is_made(stage.parents)
    assert not predictions_ahead(stage.out, "tatoeba").with_suffix(".json").exists()
    assert "the encoder has 1 layers, and layer 9 is wanted" in capsys.readouterr().err


def test_what_a_killed_process_has_not_predicted_is_predicted_from_its_draft(node):
    stage = node(layer=1)
    make_checkpoints(stage, [], Knobs())
    made = predictions_ahead(stage.out, "tatoeba")
    answers, weights = (made / "th.jsonl").read_bytes(), stage.draft / "model/model.safetensors"
    trained = weights.stat().st_mtime_ns
    made.with_suffix(".json").unlink()
    (made / "th.jsonl").unlink()
    make_checkpoints(stage, [], Knobs())
    assert (made / "th.jsonl").read_bytes() == answers and stage.unpredicted == []
    assert weights.stat().st_mtime_ns == trained
