"""Translation by models of transformers: tiny random ones, compared with the calls that the documentation gives."""

import json
import shutil

import pytest

from crosstune.core.errors import UserError
from crosstune.data.translation.translators import load_translator

CODES = {"en": "eng_Latn", "es": "spa_Latn"}
SIZE = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "init_std": 0.5,
    "max_position_embeddings": 64,
}


@pytest.fixture(scope="module")
def nllb(tmp_path_factory):
    """An NLLB with a tokenizer of single letters."""
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    folder = tmp_path_factory.mktemp("nllb")
    letters = "▁ABCDTWabcdefghijklmnopqrstuvwxyz.?![]"
    vocab = {token: place for place, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *letters])}
    tokenizer = NllbTokenizer(vocab=vocab, merges=[], extra_special_tokens=["eng_Latn", "spa_Latn", "fra_Latn"])
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    config = M2M100Config(vocab_size=len(tokenizer), decoder_start_token_id=2, **SIZE)
    M2M100ForConditionalGeneration(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def marian(tmp_path_factory):
    """A Marian for several target languages, with a sentencepiece tokenizer."""
    import sentencepiece
    import torch
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    folder = tmp_path_factory.mktemp("marian")
    text = iter(["the cat sat on the mat. who saw the red house? A dog! The Who"] * 20)
    model = str(folder / "source")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=text, model_prefix=model, vocab_size=40, hard_vocab_limit=False, minloglevel=2
    )
    shutil.move(f"{model}.model", folder / "source.spm")
    shutil.copy(folder / "source.spm", folder / "target.spm")
    pieces = sentencepiece.SentencePieceProcessor(str(folder / "source.spm"))
    names = ["</s>", "<unk>", *(pieces.id_to_piece(place) for place in range(3, len(pieces))), ">>spa<<", ">>fra<<"]
    vocab = {name: place for place, name in enumerate([*names, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    tokenizer = MarianTokenizer(*(str(folder / name) for name in ("source.spm", "target.spm", "vocab.json")))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    pad = vocab["<pad>"]
    special = {"pad_token_id": pad, "decoder_start_token_id": pad, "eos_token_id": 0, "forced_eos_token_id": None}
    config = MarianConfig(vocab_size=len(vocab), share_encoder_decoder_embeddings=True, **special, **SIZE)
    MarianMTModel(config).save_pretrained(folder)
    return folder


def alone(folder, sentence, beams, longest="", **options) -> str:
    """The translation of one sentence by the plain calls, as long as beside the sentence `longest`."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    if "forced" in options:
        tokenizer.src_lang = "eng_Latn"
        options["forced_bos_token_id"] = tokenizer.convert_tokens_to_ids(options.pop("forced"))
    room = min(63, 2 * len(tokenizer(longest or sentence)["input_ids"]) + 16)
    inputs = tokenizer(sentence, return_tensors="pt")
    found = model.generate(**inputs, num_beams=beams, max_new_tokens=room, **options)
    return tokenizer.batch_decode(found, skip_special_tokens=True)[0].strip()


@pytest.mark.parametrize("beams", [1, 3])
def test_a_model_with_language_tokens(nllb, beams):
    translator = load_translator({"model": "x/nllb", "codes": CODES, "beams": beams}, nllb)
    # The two are translated in one batch, the first of them padded.
    dog_line = "The dog saw it."
    cat = alone(nllb, "The cat sat.", beams, longest=dog_line, forced="spa_Latn")
    dog = alone(nllb, dog_line, beams, forced="spa_Latn")
    assert cat and dog and cat != dog
    assert translator.translate([f"The cat sat. {dog_line}", "", "The cat sat."], "en", "es") == [
        f"{cat} {dog}",
        "",
        cat,
    ]
    assert translator.translate([], "en", "es") == []
    assert cat != alone(nllb, "The cat sat.", beams, longest=dog_line, forced="fra_Latn"), (
        "the language makes a difference"
    )


def test_what_is_too_long_is_cut_and_counted(nllb):
    translator = load_translator({"model": "x/nllb", "codes": CODES}, nllb)
    # 80 letters, the end and the language, of which the model takes 64.
    assert len(translator.translate(["a" * 80, "a dog"], "en", "es")) == 2
    assert translator.truncated >= 1


def test_unknown_languages_are_refused(nllb):
    translator = load_translator({"model": "x/nllb", "codes": {"en": "eng_Latn", "hi": "hin_Deva"}}, nllb)
    with pytest.raises(UserError, match=r"(?s)does not know es as 'es'.*codes: \{es: "):
        translator.check("en", "es")
    with pytest.raises(UserError, match="does not know hi as 'hin_Deva'"):
        translator.check("hi", "en")


@pytest.mark.parametrize("code", ["spa", ">>spa<<"])
def test_a_model_with_the_language_before_each_sentence(marian, code):
    translator = load_translator({"model": "x/marian", "codes": {"es": code}}, marian)
    expected = alone(marian, ">>spa<< the cat sat", 1)
    assert expected and translator.translate(["the cat sat"], "en", "es") == [expected]
    with pytest.raises(UserError, match=r"(?s)none is hi \(known: >>spa<<, >>fra<<\).*codes: \{hi: "):
        translator.check("en", "hi")


def test_a_model_of_one_pair_is_not_used_for_another(marian, tmp_path):
    folder = shutil.copytree(marian, tmp_path / "one")
    vocab = json.loads((folder / "vocab.json").read_text())
    renamed = {token.replace(">>", "x").replace("<<", "x"): place for token, place in vocab.items()}
    (folder / "vocab.json").write_text(json.dumps(renamed))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"source_lang": "eng", "target_lang": "es"}))
    with pytest.raises(UserError, match=r"(?s)source_lang is 'eng', and en is requested.*codes: \{en: eng\}"):
        load_translator({"model": "x/marian"}, folder).check("en", "es")
    translator = load_translator({"model": "x/marian", "codes": {"en": "eng"}}, folder)
    assert translator.translate(["the cat sat"], "en", "es") == [alone(folder, "the cat sat", 1)]


def test_a_folder_that_is_no_translation_model(tmp_path):
    with pytest.raises(UserError, match="not a translation model"):
        load_translator({"model": "x/y"}, tmp_path)
