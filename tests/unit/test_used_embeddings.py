"""Training on the rows of the embeddings that the data use: the weights that come out are those of training on all."""

import numpy as np
import pytest
import torch
from closeness import ROUNDING, relative_difference, relative_differences
from safetensors.torch import load_file
from written_checkpoint import write_base, write_split

from crosstune.artifacts.checkpoint import CheckpointJob
from crosstune.core.files import read_json
from crosstune.modeling.batching import Mixture, plan_batches
from crosstune.modeling.used_embeddings import MAX_USED_SHARE, RowSubsetEmbedding, SparseEmbedding
from crosstune.training import checkpoint_job
from crosstune.training.interruption import InterruptGuard
from crosstune.training.micro_batches import TrainingData
from crosstune.training.optimizer import LrSpan, decay_factor, learning_rate

RECIPE = {
    "lr": 1e-2,
    "warmup": 0.1,
    "lr_schedule": "linear",
    "weight_decay": 1.0,
    "max_grad_norm": 1.0,
    "label_smoothing": 0.0,
}
FEW = [{"id": "0", "tokens": ["the", "cat", "sat"], "tags": ["A", "B", "B"]}] * 6
OTHERS = [{"id": "1", "tokens": ["a", "dog", "saw", "who"], "tags": ["A", "B", "B", "B"]}] * 6
UPDATES = 8


@pytest.fixture
def new_tagger(new_network):
    def make(packing=True):
        network = new_network(dropout=0.0, packing=packing)
        network.add_head("tagging.x", ["A", "B"], seed=1)
        return network

    return make


@pytest.fixture
def train(fit, tokenizer):
    """Train a network on rows, with all rows of its embeddings or with those used; these, and the moments."""

    def run(network, rows, sparse, moments=None, inspect=None):
        windows = network.tasks["tagging.x"].encode(rows, tokenizer, {"max_length": 32})
        plan = plan_batches({"t.en": windows.lengths}, Mixture(("t.en",)), 20, (1, "key"), UPDATES)
        embedding = SparseEmbedding(network, ["tagging.x"], [windows.ids], moments or {})
        if sparse:
            embedding.shrink()
            moments = embedding.select_rows(moments or {})
        if inspect:
            inspect(embedding)
        data = TrainingData({"t.en": windows}, {"t.en": "tagging.x"})
        _, moments = fit(network, data, plan, RECIPE, key=(1, "key"), moments=moments)
        if sparse:
            embedding.restore(decay_factor(RECIPE, UPDATES, LrSpan(UPDATES)))
            moments = embedding.expand_rows(moments)
        return embedding, moments

    return run


def assert_equal(one: dict, two: dict) -> None:
    assert list(one) == list(two)
    assert max(relative_differences(one, two).values()) < ROUNDING


@pytest.mark.parametrize("packing", [True, False])
def test_weights_and_moments_are_those_of_training_on_all_rows(train, new_tagger, packing):
    whole, alone = new_tagger(packing), new_tagger(packing)
    before = alone.encoder.get_input_embeddings().weight.detach().clone()
    _, expected = train(whole, FEW, sparse=False)
    used, found = train(alone, FEW, sparse=True)
    assert 3 <= len(used.rows) < len(before)
    assert_equal(dict(alone.state_dict()), dict(whole.state_dict()))
    assert_equal(dict(found), dict(expected))
    after = alone.encoder.get_input_embeddings().weight
    others = np.setdiff1d(np.arange(len(before)), used.rows)
    # Those that are not used have decayed, and that can be seen.
    assert relative_difference([after[others]], [before[others]]) > 1e-3
    assert type(alone.encoder.get_input_embeddings()) is torch.nn.Embedding


def test_rows_with_moments_of_an_earlier_training_keep_moving(train, new_tagger):
    whole, alone = new_tagger(), new_tagger()
    _, expected = train(whole, FEW, sparse=False)
    _, found = train(alone, FEW, sparse=True)
    _, expected = train(whole, OTHERS, sparse=False, moments=expected)
    used, found = train(alone, OTHERS, sparse=True, moments=found)
    assert_equal(dict(alone.state_dict()), dict(whole.state_dict()))
    assert_equal(dict(found), dict(expected))
    fresh = SparseEmbedding(alone, ["tagging.x"], [used.rows[:1].numpy()], {})
    assert len(fresh.rows) < len(used.rows)


def test_during_training_the_network_can_compute_on_any_text(train, new_tagger, tokenizer):
    network = new_tagger()
    batch = network.tasks["tagging.x"].encode(OTHERS, tokenizer, {"max_length": 32})
    ids = torch.from_numpy(np.asarray(batch.ids[:4])).long()
    embedding = network.encoder.get_input_embeddings()
    expected = embedding(ids).detach().clone()

    def inspect(used):
        assert type(embedding) is RowSubsetEmbedding
        with used.full_matrix(1.0):
            assert torch.equal(embedding(ids), expected)
        with used.full_matrix(0.5):
            mine = torch.isin(ids, used.rows)
            assert relative_difference([embedding(ids)[~mine]], [0.5 * expected[~mine]]) < ROUNDING
        assert type(embedding) is RowSubsetEmbedding

    train(network, FEW, sparse=True, inspect=inspect)


def test_a_stage_is_the_one_of_training_on_all_rows(new_network, tokenizer_folder, tmp_path, monkeypatch):
    """Its weights, its optimizer and its evaluations on held-out words that it is not trained on."""
    base = write_base(tmp_path / "base", new_network(dropout=0.0), tokenizer_folder)
    splits = (("train", FEW), ("validation", OTHERS))
    manifests = {split: write_split(tmp_path / "data", "names.en", split, rows) for split, rows in splits}
    spec = {
        "seed": 1, "after": [], "sources": ["names.en"], "replayed": [], "replay": 0.0, "updates": UPDATES,
        "epochs": None, "tokens": 20, "heads": [{"name": "tagging.x", "labels": ["A", "B"]}],
        "source_heads": {"names.en": "tagging.x"}, "encoding": {"max_length": 32}, "precision": "fp32",
        "recipe": RECIPE | {"sampling_alpha": 1.0, "dropout": 0.0, "optimizer": "reset"}, "packing": True,
        "select": {"metric": "tagging", "every": 4, "precision": "fp32", "head": "tagging.x"},
    }  # fmt: skip
    made, matrices, predict_splits = [], [], checkpoint_job.predict_splits

    def record_matrix(network, *rest):
        """Record the embeddings of an evaluation."""
        embedding = network.encoder.get_input_embeddings()
        matrices.append(embedding(torch.arange(embedding.num_embeddings)).detach().clone())
        return predict_splits(network, *rest)

    monkeypatch.setattr(checkpoint_job, "predict_splits", record_matrix)
    for name, share in (("all", 0.0), ("used", MAX_USED_SHARE)):
        monkeypatch.setattr("crosstune.modeling.used_embeddings.MAX_USED_SHARE", share)
        data, held_out = ((manifests[split],) for split in ("train", "validation"))
        node = CheckpointJob(spec, tmp_path / name, (base,), data, True, held_out=held_out)
        with InterruptGuard() as guard:
            checkpoint_job.make_checkpoint(node, node.parents, checkpoint_job.RuntimeOptions(), guard)
        made.append(node.staging_dir)
    for file in ("model/model.safetensors", "optimizer.safetensors"):
        assert_equal(*(dict(sorted(load_file(draft / file).items())) for draft in made))
    looks = [read_json(draft / "stage.json")["selection"]["looks"] for draft in made]
    assert looks[0] == looks[1] and len(looks[0]) == 2
    for one, other in zip(matrices[:2], matrices[2:], strict=True):
        assert relative_difference([one], [other]) < ROUNDING


def test_a_head_that_is_tied_to_the_matrix_trains_all_of_it(new_network):
    network = new_network()
    network.add_head("mlm", [], seed=1)
    used = SparseEmbedding(network, ["mlm"], [np.array([5, 6])], {})
    assert used.rows is None
    used.shrink()
    assert type(network.encoder.get_input_embeddings()) is torch.nn.Embedding
    assert SparseEmbedding(network, [], [np.array([5, 6])], {}).rows is not None


def test_if_nearly_all_rows_are_used_all_are_trained(new_network):
    network = new_network()
    every = np.arange(network.encoder.get_input_embeddings().num_embeddings)
    assert SparseEmbedding(network, [], [every], {}).rows is None


def test_weight_decay_without_gradient_is_that_of_torch():
    weight = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = torch.optim.AdamW([weight], weight_decay=RECIPE["weight_decay"])
    for number in range(5):
        optimizer.param_groups[0]["lr"] = learning_rate(RECIPE, number, UPDATES)
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    assert decay_factor(RECIPE, 5, LrSpan(UPDATES)) == pytest.approx(weight.item(), rel=1e-12)
