"""Training on the rows of the embeddings that the data use: the weights that come out are those of training on all."""

import numpy as np
import pytest
import torch
from closeness import ROUNDING, relative_difference, relative_differences
from safetensors.torch import load_file

from crosstune.artifacts.checkpoint import Node
from crosstune.core.files import read_json, sha256_file, write_json, write_jsonl
from crosstune.core.progress import Progress
from crosstune.modeling.batching import Mixture, compose
from crosstune.modeling.folder import save_network
from crosstune.modeling.used_embeddings import WORTHWHILE, UsedEmbedding, UsedRows
from crosstune.training import checkpoint_job, trainer
from crosstune.training.resume import StateFolder

RECIPE = {"lr": 1e-2, "warmup": 0.1, "decay": "linear", "weight_decay": 1.0, "clip": 1.0, "label_smoothing": 0.0}
FEW = [{"id": "0", "tokens": ["the", "cat", "sat"], "tags": ["A", "B", "B"]}] * 6
OTHERS = [{"id": "1", "tokens": ["a", "dog", "saw", "who"], "tags": ["A", "B", "B", "B"]}] * 6
UPDATES = 8


@pytest.fixture
def train(encoder, new_network, tmp_path):
    """Train a network on rows, with all rows of its embeddings or with those used."""

    def run(network, rows, alone, moments=None, packing=True, look=None):
        windows = network.tasks["tagging.x"].encode(rows, encoder, {"max_length": 32})
        plan = compose({"t.en": windows.lengths}, Mixture(("t.en",)), 20, (1, "key"), UPDATES)
        settings = trainer.Settings(RECIPE, (1, "key"), "fp32", 4096, 1e9)
        used = UsedRows(network, ["tagging.x"], [windows.ids], moments or {})
        if alone:
            used.keep_alone()
            moments = used.taken(moments or {})
        if look:
            look(used)
        with trainer.StopRequest() as stop:
            _, moments = trainer.train(
                network,
                encoder,
                trainer.Corpus({"t.en": windows}, {"t.en": "tagging.x"}),
                plan,
                settings,
                StateFolder(tmp_path / "state", "x"),
                stop,
                lambda total, done: Progress("test", total, done, tmp_path / "log"),
                moments,
            )
        if alone:
            used.give_back(trainer.decayed(RECIPE, UPDATES, UPDATES))
            moments = used.put_back(moments)
        return used, moments

    def make(packing=True):
        torch.set_num_threads(1)
        network = new_network(dropout=0.0, packing=packing)
        network.add_head("tagging.x", ["A", "B"], seed=1)
        return network

    run.make = make
    return run


def assert_equal(one: dict, two: dict) -> None:
    assert list(one) == list(two)
    assert max(relative_differences(one, two).values()) < ROUNDING


@pytest.mark.parametrize("packing", [True, False])
def test_weights_and_moments_are_those_of_training_on_all_rows(train, packing):
    whole, alone = train.make(packing), train.make(packing)
    before = alone.encoder.get_input_embeddings().weight.detach().clone()
    _, expected = train(whole, FEW, alone=False)
    used, found = train(alone, FEW, alone=True)
    assert 3 <= len(used.rows) < len(before)
    assert_equal(dict(alone.state_dict()), dict(whole.state_dict()))
    assert_equal(dict(found), dict(expected))
    after = alone.encoder.get_input_embeddings().weight
    others = np.setdiff1d(np.arange(len(before)), used.rows)
    # Those that are not used have decayed, and that can be seen.
    assert relative_difference([after[others]], [before[others]]) > 1e-3
    assert type(alone.encoder.get_input_embeddings()) is torch.nn.Embedding


def test_rows_that_an_earlier_training_moves_go_on_moving(train):
    whole, alone = train.make(), train.make()
    _, expected = train(whole, FEW, alone=False)
    _, found = train(alone, FEW, alone=True)
    _, expected = train(whole, OTHERS, alone=False, moments=expected)
    used, found = train(alone, OTHERS, alone=True, moments=found)
    assert_equal(dict(alone.state_dict()), dict(whole.state_dict()))
    assert_equal(dict(found), dict(expected))
    fresh = UsedRows(alone, ["tagging.x"], [used.rows[:1].numpy()], {})
    assert len(fresh.rows) < len(used.rows)


def test_in_between_the_network_computes_on_any_text(train, encoder):
    network = train.make()
    batch = network.tasks["tagging.x"].encode(OTHERS, encoder, {"max_length": 32})
    ids = torch.from_numpy(np.asarray(batch.ids[:4])).long()
    embedding = network.encoder.get_input_embeddings()
    expected = embedding(ids).detach().clone()

    def look(used):
        assert type(embedding) is UsedEmbedding
        with used.with_others(1.0):
            assert torch.equal(embedding(ids), expected)
        with used.with_others(0.5):
            mine = torch.isin(ids, used.rows)
            assert relative_difference([embedding(ids)[~mine]], [0.5 * expected[~mine]]) < ROUNDING
        assert type(embedding) is UsedEmbedding

    train(network, FEW, alone=True, look=look)


def test_a_stage_is_the_one_of_training_on_all_rows(new_network, tokenizer_folder, tmp_path, monkeypatch):
    """Its weights, its optimizer and its looks at held-out words that it is not trained on."""
    save_network(new_network(dropout=0.0), tmp_path / "base/model", tokenizer_folder, "")
    weights = sha256_file(tmp_path / "base/model/model.safetensors")
    write_json(tmp_path / "base/stage.json", {"weights": weights, "parents": [], "lineage": {}})
    manifests = {}
    for split, rows in (("train", FEW), ("validation", OTHERS)):
        path = tmp_path / f"data/names/{split}.en.jsonl"
        write_jsonl(path, rows)
        manifests[split] = path.with_suffix(".json")
        write_json(manifests[split], {"dataset": "names", "split": split, "lang": "en", "sha256": sha256_file(path)})
    spec = {
        "seed": 1, "after": [], "sources": ["names.en"], "replayed": [], "replay": 0.0, "updates": UPDATES,
        "epochs": None, "tokens": 20, "heads": [{"name": "tagging.x", "labels": ["A", "B"]}],
        "source_heads": {"names.en": "tagging.x"}, "encoding": {"max_length": 32}, "precision": "fp32",
        "recipe": RECIPE | {"alpha": 1.0, "dropout": 0.0, "optimizer": "reset"}, "packing": True,
        "select": {"metric": "tagging", "every": 4, "precision": "fp32", "head": "tagging.x"},
    }  # fmt: skip
    made, looked_up, as_ever = [], [], checkpoint_job.predicted

    def predicted(network, *rest):
        """What a look computes with, before it does."""
        embedding = network.encoder.get_input_embeddings()
        looked_up.append(embedding(torch.arange(embedding.num_embeddings)).detach().clone())
        return as_ever(network, *rest)

    monkeypatch.setattr(checkpoint_job, "predicted", predicted)
    for name, worthwhile in (("all", 0.0), ("used", WORTHWHILE)):
        monkeypatch.setattr("crosstune.modeling.used_embeddings.WORTHWHILE", worthwhile)
        data, held_out = ((manifests[split],) for split in ("train", "validation"))
        node = Node(spec, tmp_path / name, (tmp_path / "base",), data, True, held_out=held_out)
        checkpoint_job.make_checkpoints(node, [], checkpoint_job.Knobs())
        made.append(node.draft)
    for file in ("model/model.safetensors", "optimizer.safetensors"):
        assert_equal(*(dict(sorted(load_file(draft / file).items())) for draft in made))
    looks = [read_json(draft / "stage.json")["selection"]["looks"] for draft in made]
    assert looks[0] == looks[1] and len(looks[0]) == 2
    for one, other in zip(looked_up[:2], looked_up[2:], strict=True):
        assert relative_difference([one], [other]) < ROUNDING


def test_a_head_that_is_tied_to_the_matrix_trains_all_of_it(new_network, encoder):
    network = new_network()
    network.add_head("mlm", [], seed=1)
    used = UsedRows(network, ["mlm"], [np.array([5, 6])], {})
    assert used.rows is None
    used.keep_alone()
    assert type(network.encoder.get_input_embeddings()) is torch.nn.Embedding
    assert UsedRows(network, [], [np.array([5, 6])], {}).rows is not None


def test_where_nearly_all_rows_are_used_all_are_trained(new_network):
    network = new_network()
    every = np.arange(network.encoder.get_input_embeddings().num_embeddings)
    assert UsedRows(network, [], [every], {}).rows is None


def test_weight_decay_of_what_has_no_gradient_is_that_of_torch():
    weight = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = torch.optim.AdamW([weight], weight_decay=RECIPE["weight_decay"])
    for number in range(5):
        optimizer.param_groups[0]["lr"] = trainer.learning_rate(RECIPE, number, UPDATES)
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    assert trainer.decayed(RECIPE, 5, UPDATES) == pytest.approx(weight.item(), rel=1e-12)
