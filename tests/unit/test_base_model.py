"""Base models: weights, architecture and tokenizer that do not fit each other are refused."""

import json
import shutil
import sys

import pytest
import torch
from helpers.limits import run_limited
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    CamembertConfig,
    MarianConfig,
    MarianMTModel,
    MPNetConfig,
    MT5Config,
    MT5EncoderModel,
    RobertaConfig,
    RobertaForMaskedLM,
    XLMRobertaConfig,
)

from crosstune.artifacts.model_config import positions
from crosstune.core.errors import UserError
from crosstune.modeling.base_model import check_base_model, check_translation_model
from crosstune.modeling.folder import load_network, save_network

SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
TINY_T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
WEIGHTS = "model.safetensors"


@pytest.fixture
def published(tokenizer_folder, tokenizer, tmp_path):
    """A tiny model's folder as transformers writes it, with a tokenizer of as many tokens."""

    def write(model_class=BertForMaskedLM, config_class=BertConfig, name="model", **options):
        folder = tmp_path / name
        options = SIZE | {"vocab_size": tokenizer.vocabulary, "max_position_embeddings": 66} | options
        torch.manual_seed(0)
        model_class(config_class(**options)).save_pretrained(folder)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(tokenizer_folder / file, folder / file)
        return folder

    return write


def rename(folder, change) -> None:
    """Save the weights of a folder again under other names; without those that become None."""
    weights = load_file(folder / WEIGHTS)
    save_file({new: weights[name] for name in weights if (new := change(name))}, folder / WEIGHTS, {"format": "pt"})


def change_config(folder, **values) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda name: f"module.{name}", "37 of its 37 weights are missing: .*; 42 other .*: module.bert.embeddings"),
        (lambda name: name.replace("bert.", "mine."), "37 of its 37 weights .*; 42 other .*: mine.embeddings"),
        (lambda name: None if "layer.1." in name else name, "16 of its 37 weights are missing: encoder.layer.1.att"),
        (lambda name: None if "word_emb" in name else name, "1 of its 37 weights are missing: embeddings.word_emb"),
    ],
)
def test_weights_of_other_names_are_refused(published, change, message):
    folder = published()
    rename(folder, change)
    for load in (load_network, lambda folder: check_base_model(folder, 64)):
        with pytest.raises(UserError, match=message):
            load(folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"vocab_size": 90}, r"have other shapes: embeddings.word_embeddings.weight \[\d+, 16\] instead of \[90, 16\]"),
        ({"hidden_size": 32}, "have other shapes: embeddings.LayerNorm"),
        ({"num_hidden_layers": 1}, "16 belong to layers that it does not have: bert.encoder.layer.1.att"),
        ({"num_hidden_layers": 3}, "16 of its 53 weights are missing: encoder.layer.2.att"),
    ],
)
def test_weights_of_another_architecture_are_refused(published, values, message):
    folder = published()
    change_config(folder, **values)
    for load in (load_network, lambda folder: check_base_model(folder, 64)):
        with pytest.raises(UserError, match=message):
            load(folder)


def test_a_masked_lm_head_of_another_vocabulary_is_refused(published):
    folder = published()
    weights = load_file(folder / WEIGHTS)
    weights["cls.predictions.bias"] = torch.zeros(7)
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    with pytest.raises(UserError, match=r"1 have other shapes: cls.predictions.bias \[7\] instead of"):
        check_base_model(folder, 64)


def test_damaged_weights_are_refused(published):
    folder = published()
    (folder / WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        check_base_model(folder, 64)


def gamma_and_beta(name: str) -> str:
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def test_old_names_half_precision_and_a_missing_pooler_go_on_working(published):
    folder = published(BertModel)
    expected = load_file(folder / WEIGHTS)
    rename(folder, gamma_and_beta)
    rename(folder, lambda name: None if name.startswith("pooler") else f"bert.{name}")
    weights = {name: tensor.half() for name, tensor in load_file(folder / WEIGHTS).items()}
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    check_base_model(folder, 64)
    for name, value in load_network(folder).encoder.state_dict().items():
        torch.testing.assert_close(value, expected[name], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("config", "own"),
    [(BertConfig, 0), (RobertaConfig, 2), (XLMRobertaConfig, 2), (CamembertConfig, 2), (MPNetConfig, 2)],
)
def test_the_longest_sequence_is_the_longest_that_the_encoder_computes(config, own):
    config = config(**SIZE, vocab_size=20, max_position_embeddings=20, type_vocab_size=1)
    longest, encoder = positions(config.to_dict()), AutoModel.from_config(config)
    assert longest == 20 - own
    encoder(torch.full((1, longest), 5))
    with pytest.raises((IndexError, RuntimeError)):
        encoder(torch.full((1, longest + 1), 5))


def test_a_sequence_without_positions_is_refused(published):
    folder = published(RobertaForMaskedLM, RobertaConfig, type_vocab_size=1)
    check_base_model(folder, 64)
    with pytest.raises(UserError, match=r"(?s)sequence has 65 tokens, and the model has positions for 64.*length: 64"):
        check_base_model(folder, 65)


def test_relative_positions_have_no_limit():
    assert positions({"model_type": "deberta-v2", "position_biased_input": False, "max_position_embeddings": 9}) is None
    assert positions({"model_type": "mt5"}) is None


def test_a_token_without_embedding_is_refused(published, tokenizer):
    folder = published(vocab_size=tokenizer.vocabulary - 1)
    with pytest.raises(UserError, match=r"(?s)1 tokens of the tokenizer have no row .*resize_token_embeddings"):
        check_base_model(folder, 64)


def test_a_tokenizer_without_fast_version_is_refused(published):
    folder = published()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="no fast version"):
        check_base_model(folder, 64)


def test_a_tokenizer_that_fails_for_unknown_words_is_refused(published):
    from tokenizers import Tokenizer, models

    folder = published()
    words = {"a": 0, "[CLS]": 1, "[SEP]": 2}
    Tokenizer(models.WordPiece(words, unk_token="[UNK]")).save(str(folder / "tokenizer.json"))
    with pytest.raises(UserError, match=r"(?s)cannot encode every text: .*unknown token"):
        check_base_model(folder, 64)


def test_an_encoder_with_tied_weights_is_saved_and_loaded(published, tmp_path):
    folder = published(MT5EncoderModel, MT5Config, **TINY_T5)
    check_base_model(folder, 64)
    network = load_network(folder)
    network.add_head("qa", [], seed=1)
    save_network(network, tmp_path / "saved", folder, "qa")
    again = load_network(tmp_path / "saved")
    assert all(value.equal(again.state_dict()[name]) for name, value in network.state_dict().items())


TINY_MARIAN = {
    "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "pad_token_id": 1, "decoder_start_token_id": 1,
}  # fmt: skip


def test_an_encoder_decoder_translates_and_is_no_base_model(published):
    folder = published(MarianMTModel, MarianConfig, **TINY_MARIAN)
    check_translation_model(folder)
    with pytest.raises(UserError, match="marian has an encoder and a decoder"):
        check_base_model(folder, 64)
    rename(folder, lambda name: f"module.{name}")
    with pytest.raises(UserError, match="weights are missing"):
        check_translation_model(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process's memory and reads it in /proc")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 2**16, "vocab_size": 2**20}, "have other shapes"),
        ({"intermediate_size": 2**40}, "have other shapes"),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers: 1,000,000, and the model can have 10,000 at most"),
        ({"num_labels": 10**9}, "num_labels: 1,000,000,000, and the model can have 2,097,152 at most"),
    ],
    ids=["wide", "between", "deep", "labels"],
)
def test_a_config_that_asks_for_more_memory_than_there_is_costs_none(published, changes, message):
    """What the sizes in config.json ask for is compared with the file of weights before anything is made."""
    folder = published(pad_token_id=0)
    change_config(folder, **changes)
    prepare = "from pathlib import Path; from crosstune.modeling.base_model import check_base_model"
    outcome = run_limited(folder.parent, prepare, f"check_base_model(Path({str(folder)!r}), 64)", 2 * 10**9)
    assert outcome.error == "UserError" and message in outcome.message, outcome
