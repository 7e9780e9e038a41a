"""Freezing: which weights a training leaves as they are, and that it does so to the byte."""

import pytest
import torch
from closeness import TRAINED, relative_difference, same_weights
from helpers.study_config import study
from sample_rows import RECIPE, SENTENCES

from crosstune.core.errors import UserError
from crosstune.modeling.batching import Mixture, plan_batches
from crosstune.modeling.freezing import freeze
from crosstune.modeling.used_embeddings import SparseEmbedding
from crosstune.training.interruption import TrainingInterrupted
from crosstune.training.micro_batches import TrainingData

LOWER = {"embeddings": True, "layers": 1}


@pytest.fixture
def run(fit, new_network, tokenizer):
    """Train a tagger with two layers, some of them frozen: the network before and after, and the moments."""

    def train(options, updates=6, packing=True, recipe=RECIPE, dropout=0.1, **arguments):
        networks = [new_network(layers=2, packing=packing, dropout=dropout) for _ in range(2)]
        for network in networks:
            network.add_head("tagging.x", ["A", "B"], seed=1)
        before, network = networks
        freeze(network, options)
        windows = network.tasks["tagging.x"].encode(SENTENCES, tokenizer, {"max_length": 32})
        plan = plan_batches({"t.en": windows.lengths}, Mixture(("t.en",)), 60, ("key",), updates)
        data = TrainingData({"t.en": windows}, {"t.en": "tagging.x"})
        _, moments = fit(network, data, plan, recipe, **arguments)
        return before, network, moments

    return train


def moved(before, after) -> set[str]:
    """The names of the weights that a training changed, without the unused pooler."""
    pairs = zip(before.named_parameters(), after.parameters(), strict=True)
    return {name for (name, old), new in pairs if not torch.equal(old, new)}


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize(
    ("options", "frozen"),
    [
        ({"embeddings": True}, ("encoder.embeddings.",)),
        (LOWER, ("encoder.embeddings.", "encoder.encoder.layer.0.")),
        ({"layers": 2}, ("encoder.encoder.layer.0.", "encoder.encoder.layer.1.")),
        ({"embeddings": False, "layers": 0}, ()),
    ],
)
def test_frozen_weights_keep_their_bytes_and_all_others_train(run, options, frozen, packing):
    before, after, moments = run(options, packing=packing)
    names = {name for name, _ in before.named_parameters()}
    assert moved(before, after) == {name for name in names if not name.startswith(frozen)}
    assert {name.partition(".")[2] for name in moments} == moved(before, after), "frozen weights have no moments"


def test_the_gradients_of_other_weights_are_those_of_a_whole_training(run):
    recipe = {**RECIPE, "max_grad_norm": 0}
    _, whole, _ = run({}, updates=1, recipe=recipe, folder="whole")
    _, part, _ = run(LOWER, updates=1, recipe=recipe, folder="part")
    pairs = zip(whole.named_parameters(), part.parameters(), strict=True)
    assert all(torch.equal(one, other) for (_, one), other in pairs if other.requires_grad)


def test_packed_and_padded_rows_train_alike(run):
    _, packed, _ = run(LOWER, dropout=0.0, folder="packed")
    _, padded, _ = run(LOWER, dropout=0.0, folder="padded", packing=False)
    assert relative_difference(packed.state_dict().values(), padded.state_dict().values()) < TRAINED


def test_an_interrupted_training_with_frozen_weights_is_the_whole_one_bit_for_bit(run):
    _, whole, _ = run(LOWER, folder="whole")
    with pytest.raises(TrainingInterrupted):
        run(LOWER, folder="parts", interrupt_after=2)
    _, parts, _ = run(LOWER, folder="parts")
    assert same_weights(whole, parts)


def test_moments_of_a_stage_before_are_dropped_where_it_is_frozen(run):
    _, _, carried = run({}, folder="first")
    before, after, moments = run(LOWER, folder="second", moments=carried)
    assert {name.partition(".")[2] for name in moments} == moved(before, after)


def test_a_frozen_embedding_keeps_all_rows_as_they_are(new_network):
    network = new_network()
    freeze(network, {"embeddings": True})
    matrix = network.encoder.get_input_embeddings().weight
    expected = matrix.clone()
    used = SparseEmbedding(network, [], [torch.tensor([1]).numpy()], {})
    used.shrink()
    used.restore(0.5)
    assert torch.equal(network.encoder.get_input_embeddings().weight, expected)


def test_more_frozen_layers_than_there_are_are_refused(new_network):
    with pytest.raises(UserError, match="the encoder has 1 layer, and 2 are frozen"):
        freeze(new_network(), {"layers": 2})
    with pytest.raises(UserError, match=r"the encoder has 1 layer, and 2 are frozen in worldqa\.qen@60") as caught:
        study(tracks__qa__recipe={"freeze": {"layers": 2}})
    assert caught.value.fix == "freeze: {layers: 1}"


def test_freeze_names_the_parts():
    with pytest.raises(UserError, match=r"expected a mapping .*, found the truth value True"):
        study(tracks__qa__recipe={"freeze": True})


def test_something_must_be_left_to_train(new_network):
    network = new_network()
    with pytest.raises(UserError, match="nothing is left to train"):
        freeze(network, LOWER)
    network.add_head("tagging.x", ["A", "B"], seed=1)
    freeze(network, LOWER)


def test_a_stage_can_freeze_or_thaw_single_parts():
    stages = ["qen", {"train": "qes", "freeze": {"layers": 0}}]
    found = study(tracks__qa__recipe={"freeze": LOWER}, tracks__qa__schedules={"a": stages})
    *_, first, second = found.runs[-1].stages[-1].split("/")
    assert (first, second) == ("worldqa.qen@30", "worldqa.qes@30~freeze_layers=0")
    recipes = [found.checkpoints[path].spec["recipe"]["freeze"] for path in found.runs[-1].stages]
    assert recipes == [LOWER, {"embeddings": True, "layers": 0}]
    assert "freeze" not in study().checkpoints[study().runs[-1].stages[-1]].spec["recipe"]
