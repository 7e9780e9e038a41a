"""A stage's folder is an ordinary one: transformers' own classes load it and give the same logits."""

import shutil

import pytest
import torch
import transformers
from closeness import ROUNDING, relative_difference
from transformers import AutoConfig, AutoModel

from crosstune.modeling.batching import collate
from crosstune.modeling.folder import average_models, load_network, save_network
from crosstune.modeling.network import MultiHeadEncoder
from crosstune.modeling.tasks.pooling import first_tokens

SIZE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
ROWS = {
    "classification.nli": [{"id": "1", "text": "the cat sat", "pair": "a dog sat", "label": "yes"}],
    "choice": [{"id": "1", "premise": "the cat", "question": "who", "choices": ["a dog", "the mat"], "label": 0}],
    "tagging.x": [{"id": "1", "tokens": ["the", "cat"], "tags": ["yes", "no"]}],
    "qa": [{"id": "1", "question": "who", "context": "the cat", "answers": {"text": ["cat"], "answer_start": [4]}}],
}
CLASSES = {
    "classification.nli": "AutoModelForSequenceClassification",
    "choice": "AutoModelForMultipleChoice",
    "tagging.x": "AutoModelForTokenClassification",
    "qa": "AutoModelForQuestionAnswering",
}


def new_network(family: str, vocabulary: int, **options) -> MultiHeadEncoder:
    torch.manual_seed(0)
    size = SIZE | {"vocab_size": vocabulary, "max_position_embeddings": 70, "pad_token_id": 0}
    config = AutoConfig.for_model(family, type_vocab_size=2 if family == "bert" else 1, **size)
    return MultiHeadEncoder(AutoModel.from_config(config, **options).eval())


def test_a_config_does_not_depend_on_the_folder_of_the_parent(tokenizer, tokenizer_folder, tmp_path):
    """A parent whose weights were removed is retrained in another folder."""
    save_network(new_network("bert", tokenizer.vocabulary), tmp_path / "parent", tokenizer_folder, "")
    shutil.copytree(tmp_path / "parent", tmp_path / "retrained/parent")
    for place in ("parent", "retrained/parent"):
        network = load_network(tmp_path / place)
        network.add_head("qa", [], seed=3)
        save_network(network, tmp_path / place / "stage", tokenizer_folder, "qa")
    configs = [(tmp_path / place / "stage/config.json").read_bytes() for place in ("parent", "retrained/parent")]
    assert configs[0] == configs[1]


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("name", CLASSES)
def test_transformers_loads_a_stage_and_computes_the_same(tokenizer, tokenizer_folder, tmp_path, family, name):
    network = new_network(family, tokenizer.vocabulary, add_pooling_layer=False)
    network.add_head(name, ["no", "yes"] if "." in name else [], seed=3)
    save_network(network.eval(), tmp_path, tokenizer_folder, name)
    model, notes = getattr(transformers, CLASSES[name]).from_pretrained(tmp_path, output_loading_info=True)
    assert not notes["missing_keys"], "every weight of the class was found"

    options = {"max_length": 32, "stride": 8, "max_question_length": 8}
    batch = collate([network.tasks[name].encode(ROWS[name], tokenizer, options)], [0])
    lengths = batch.lengths
    ids = torch.nn.utils.rnn.pad_sequence(batch.ids.split(lengths), batch_first=True)
    types = torch.nn.utils.rnn.pad_sequence(batch.types.split(lengths), batch_first=True)
    inputs = {"input_ids": ids, "attention_mask": (torch.arange(ids.shape[1]) < torch.tensor(lengths)[:, None]).long()}
    if family == "bert":
        inputs["token_type_ids"] = types
    if name == "choice":
        inputs = {key: value[None] for key, value in inputs.items()}
    with torch.no_grad():
        hidden = network.hidden(batch)
        pooled = name in ("choice", "classification.nli")
        ours = network.bound_head(name)(first_tokens(hidden, batch) if pooled else hidden)
        theirs = model.eval()(**inputs)
    if name == "qa":
        expected = torch.stack([theirs.start_logits[0], theirs.end_logits[0]], -1)
    else:
        expected = theirs.logits[0] if name == "tagging.x" else theirs.logits.reshape(ours.shape)
    assert relative_difference([ours], [expected]) < ROUNDING


def test_a_stage_shares_the_files_of_its_tokenizer_with_its_parent(tokenizer, tokenizer_folder, tmp_path):
    network = new_network("bert", tokenizer.vocabulary, add_pooling_layer=False)
    network.add_head("qa", [], seed=3)
    first, second, mean = (tmp_path / name for name in ("first", "second", "mean"))
    save_network(network, first, tokenizer_folder, "qa")
    save_network(network, second, first, "qa")
    average_models([first, second], mean)
    for folder in (second, mean):
        shared = {path.name for path in folder.iterdir() if path.samefile(first / path.name)}
        assert shared == {"tokenizer.json", "tokenizer_config.json"} | {
            path.name for path in first.glob("sentencepiece.model")
        }


def test_a_classifier_begins_with_the_published_pooler_and_keeps_it(tokenizer, tokenizer_folder, tmp_path):
    network = new_network("bert", tokenizer.vocabulary, add_pooling_layer=True)
    pooler = network.encoder.pooler.dense.weight.clone()
    network.add_head("classification.nli", ["no", "yes"], seed=3)
    assert torch.equal(network.head("classification.nli").dense.weight, pooler)
    with torch.no_grad():
        network.head("classification.nli").dense.weight += 1
    save_network(network, tmp_path / "one", tokenizer_folder, "classification.nli")
    again = load_network(tmp_path / "one")
    assert torch.equal(again.head("classification.nli").dense.weight, pooler + 1)
    assert again.encoder.pooler is None, "it is the head's now, and would only be carried along"
    again.add_head("choice", [], seed=3)
    assert torch.equal(again.head("choice").dense.weight, pooler), "a later head begins as it would have alone"
    save_network(again, tmp_path / "two", tokenizer_folder, "choice")
    third = load_network(tmp_path / "two")
    assert torch.equal(third.published_pooler["weight"], pooler)
    assert torch.equal(third.head("classification.nli").dense.weight, pooler + 1)


@pytest.mark.parametrize("name", ["mlm", "qa", "tagging.x", "classification.nli", "choice", "retrieval"])
def test_a_head_depends_on_its_seed_and_name_alone(tokenizer, name):
    drawn = []
    for state in (0, 1):
        network = new_network("bert", tokenizer.vocabulary, add_pooling_layer=False)
        torch.manual_seed(state)
        network.add_head(name, ["no", "yes"] if "." in name else [], seed=3)
        drawn.append(network.head(name).state_dict())
    assert all(torch.equal(drawn[0][key], drawn[1][key]) for key in drawn[0])


def test_two_heads_of_one_kind_come_back_as_they_were(tokenizer, tokenizer_folder, tmp_path):
    network = new_network("bert", tokenizer.vocabulary, add_pooling_layer=False)
    for seed, name in enumerate(["classification.nli", "choice", "tagging.x", "retrieval"]):
        network.add_head(name, ["no", "yes"] if "." in name else [], seed=seed)
    save_network(network, tmp_path, tokenizer_folder, "choice")
    again = load_network(tmp_path)
    assert set(again.tasks) == set(network.tasks)
    for name, head in network.heads.items():
        for key, tensor in head.state_dict().items():
            assert torch.equal(again.heads[name].state_dict()[key], tensor), (name, key)
