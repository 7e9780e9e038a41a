"""Texts as tokens: ranges of whole characters, words as they stand in a text, tokenizers with an odd part."""

import unicodedata
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as LibraryTokenizer
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

from crosstune.core.errors import UserError
from crosstune.core.files import write_json
from crosstune.data.attributes import OF_TOKENIZERS
from crosstune.modeling.encoding_facts import encoding_facts, unknown_share, unknown_warnings
from crosstune.modeling.pieces import piece_attributes, pieces_per_word
from crosstune.modeling.tasks.classification import Classification
from crosstune.modeling.tasks.mlm import MaskedLanguageModelling
from crosstune.modeling.tasks.qa import QuestionAnswering
from crosstune.modeling.tasks.tagging import IGNORE_INDEX, Tagging
from crosstune.modeling.tokenization import Tokenizer

OPTIONS = {"max_length": 64, "stride": 16, "max_question_length": 16}
LETTERS = "abcéñçệấ한국어서울がザपकिखुआ"
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
# A space before every part of a text: of a word, and of a character of punctuation.
SPLIT_FIRST = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=True)])

# Normalizer, splitter, and the step after that cuts offsets.
KINDS = {
    "NFC": (normalizers.NFC(), pre_tokenizers.Metaspace(), None),
    "NFKC": (normalizers.NFKC(), pre_tokenizers.BertPreTokenizer(), None),
    "accents": (normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer(), None),
    "bytes": (normalizers.NFC(), BYTES, processors.ByteLevel(trim_offsets=True, add_prefix_space=False)),
    "spaces": (None, SPLIT_FIRST, processors.ByteLevel(trim_offsets=True, add_prefix_space=True)),
}


@pytest.fixture(scope="session")
def library_tokenizer():
    """The library's tokenizer of one kind, whose tokens are characters or bytes and few more."""

    @cache
    def make(kind: str, unknown: str | None = "<unk>") -> LibraryTokenizer:
        own = LibraryTokenizer(models.BPE(unk_token=unknown))
        normalizer, own.pre_tokenizer, cut = KINDS[kind]
        if normalizer:
            own.normalizer = normalizer
        if cut:
            own.post_processor = cut
        alphabet = pre_tokenizers.ByteLevel.alphabet() if cut else []
        specials = [unknown] if unknown else []
        trainer = trainers.BpeTrainer(
            vocab_size=350, initial_alphabet=alphabet, show_progress=False, special_tokens=specials
        )
        own.train_from_iterator([f"{' '.join(LETTERS)} John John Smith aab aab b c"], trainer)
        return own

    return make


@pytest.fixture(scope="session")
def tokenizer_of(library_tokenizer, tmp_path_factory):
    """A tokenizer of one kind."""

    @cache
    def make(kind: str, unknown: str | None = "<unk>") -> Tokenizer:
        folder = tmp_path_factory.mktemp(kind)
        library_tokenizer(kind, unknown).save(str(folder / "tokenizer.json"))
        write_json(folder / "tokenizer_config.json", {"unk_token": unknown} if unknown else {})
        return Tokenizer(folder)

    return make


def question(context: str, answer: str, begin: int) -> dict:
    return {"id": "q", "question": "a", "context": context, "answers": {"text": [answer], "answer_start": [begin]}}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
@settings(max_examples=25)
@given(words=st.lists(st.text(LETTERS, min_size=1, max_size=3), min_size=1, max_size=6), data=st.data())
def test_every_word_can_be_given_back(tokenizer_of, kind, form, words, data):
    """Of at most three letters: in bytes and decomposed, more letters are longer than the longest answer."""
    words = [unicodedata.normalize(form, word) for word in words]
    # A mark at the beginning of a word is part of the space before it.
    words = ["a" + word if unicodedata.category(word[0])[0] == "M" else word for word in words]
    context, chosen = " ".join(words), data.draw(st.integers(0, len(words) - 1))
    begin = len(" ".join([*words[:chosen], ""]))
    row = question(context, words[chosen], begin)
    task = QuestionAnswering()
    windows = task.encode([row], tokenizer_of(kind), OPTIONS)
    (best,) = task.best_answers([row], windows)
    assert best["prediction"] == words[chosen]
    with_target = np.flatnonzero(windows.per_window["end"])
    for window in with_target[:1]:
        start, end = (windows.offsets[window] + windows.per_window[name][window] for name in ("start", "end"))
        spoken = context[windows.per_token["first"][start] : windows.per_token["last"][end]]
        assert spoken == words[chosen]


@pytest.mark.parametrize("letters", ["국울", "ガザ", "ấñ"])
def test_parts_of_a_letter_belong_to_its_own_token(tokenizer_of, letters):
    text = unicodedata.normalize("NFD", letters)
    found = tokenizer_of("NFKC").tokenize([text])[0]
    ranges = [text[a:b] for a, b in zip(found.starts, found.ends, strict=True)]
    assert ranges == [unicodedata.normalize("NFD", letter) for letter in letters]


@pytest.mark.parametrize("kind", ["NFC", "NFKC", "accents", "bytes"])
def test_ranges_that_lose_nothing_stay_as_the_library_gives_them(library_tokenizer, tokenizer_of, kind):
    text = "aab, John (Smith) cb 12"
    found, expected = tokenizer_of(kind).tokenize([text])[0], library_tokenizer(kind).encode(text).offsets
    assert found.ends.tolist() == [end for _, end in expected]
    assert found.starts.tolist() == [s + (e - s > 1 and text[s] == " ") for s, e in expected]


def test_words_have_the_tokens_of_a_text_in_byte_level_tokenizers(tokenizer_of):
    tokenizer = tokenizer_of("bytes")
    text, (words,) = tokenizer.tokenize(["aab John Smith"])[0], tokenizer.tokenize_words([["John", "Smith"]])
    assert text.ids[-len(words.ids) :].tolist() == words.ids.tolist()
    assert words.words.tolist() == sorted(words.words.tolist()) and set(words.words.tolist()) == {0, 1}
    (alone,) = tokenizer_of("spaces").tokenize_words([["John", "Smith"]])
    assert tokenizer_of("spaces").tokenize(["John Smith"])[0].ids.tolist() == alone.ids.tolist()


def test_transformers_gives_the_same_tokens_for_words(library_tokenizer, tokenizer_of):
    from transformers import PreTrainedTokenizerFast

    own = LibraryTokenizer.from_str(library_tokenizer("bytes").to_str())
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    words = ["John", "aab", "한국", ",", "x"]
    expected = PreTrainedTokenizerFast(tokenizer_object=own)(words, is_split_into_words=True, add_special_tokens=False)
    (found,) = tokenizer_of("bytes").tokenize_words([words])
    assert found.ids.tolist() == expected.input_ids and found.words.tolist() == expected.word_ids()


def test_words_of_sentencepiece_and_wordpiece_get_no_space(tokenizer, tokenizer_of):
    for own in (tokenizer, tokenizer_of("NFC"), tokenizer_of("NFKC")):
        (words,) = own.tokenize_words([["aab", "cat"]])
        assert words.ids.tolist() == own.tokenize(["aab cat"])[0].ids.tolist()


def test_a_word_without_tokens_has_a_tag_without_an_unknown_token(tokenizer_of):
    own = tokenizer_of("NFKC", unknown=None)
    assert own.unknown_id is None and not len(own.tokenize_words([["☃"]])[0].ids)
    rows = [{"id": "1", "tokens": ["aab", "☃", "b"], "tags": ["A", "B", "A"]}]
    windows = Tagging(["A", "B"]).encode(rows, own, OPTIONS)
    assert [tag for tag in windows.per_token["tags"] if tag != IGNORE_INDEX] == [0, 1, 0]
    assert unknown_share(windows, own) == 0


def test_masks_need_a_mask_token(tokenizer_of):
    with pytest.raises(UserError, match="no mask token"):
        MaskedLanguageModelling().encode([{"id": "1", "text": "a b"}], tokenizer_of("NFC"), OPTIONS)


# --- facts of an encoding --------------------------------------------------------------------------------------------


def test_a_question_without_room_for_context_is_refused(tokenizer):
    row = question("the cat sat on the mat", "cat", 4) | {"question": "who sat on the mat " * 20}
    with pytest.raises(UserError, match=r"(?s)encoding.max_question_length: .*no room.*max_question_length: 30"):
        QuestionAnswering().encode([row], tokenizer, OPTIONS | {"max_question_length": 64})
    windows = QuestionAnswering().encode([row], tokenizer, OPTIONS)
    layout = tokenizer.pair_layout
    assert set(windows.per_window["context"]) == {16 + len(layout.before) + len(layout.between)}


def test_the_ceiling_is_the_score_of_the_best_spans(tokenizer):
    context = "the cat sat on the mat " * 4
    rows = [question(context, "cat", 4), question(context, context.strip(), 0)]
    rows[1]["question"] = "who sat " * 20
    facts = encoding_facts(QuestionAnswering(), rows, tokenizer, OPTIONS | {"max_length": 128}, "qa", "en")
    assert (facts["rows"], facts["cut"], facts["ceiling"]["n"]) == (2, 1, 2)
    assert facts["ceiling"]["exact_match"] == 50, "one answer is longer than any span"
    assert 50 < facts["ceiling"]["f1"] < 100


def test_cut_rows_and_unknown_tokens_are_counted(tokenizer):
    rows = [{"id": "1", "text": "the cat " * 50, "label": "A"}, {"id": "2", "text": "☃ ☃ ☃ ☃", "label": "A"}]
    facts = encoding_facts(Classification(["A"]), rows, tokenizer, OPTIONS, "classification", "en")
    assert (facts["cut"], facts["ceiling"]) == (1, None) and 0 < facts["unknown"] < 0.2
    words = [{"id": "1", "tokens": ["the", "cat"] * 60, "tags": ["A"] * 120}]
    assert encoding_facts(Tagging(["A"]), words, tokenizer, OPTIONS, "tagging", "en")["cut"] == 0


def test_pieces_are_counted_per_word_and_not_in_text_without_spaces(tokenizer):
    words = ["the", "cat", "thecat"]
    (tokenized,) = tokenizer.tokenize_words([words])
    expected = len(tokenized.ids) / 3
    assert pieces_per_word([{"id": "1 2", "tokens": words, "tags": ["A"] * 3}], tokenizer) == expected
    assert pieces_per_word([{"id": "1 2", "text": "the cat thecat", "label": "the cat"}], tokenizer) == expected
    assert pieces_per_word([{"id": "1", "text": "猫が" * 30, "label": "A"}], tokenizer) is None


def save_tokenizer(folder, model, splitter, special: tuple[str, ...]) -> None:
    """Save a tokenizer of a model and a splitter. `special`: first, last, unknown, padding and mask token."""
    first, last, unknown, padding, mask = special
    own = LibraryTokenizer(model)
    own.pre_tokenizer = splitter
    ids = [(token, own.token_to_id(token)) for token in (first, last)]
    pair = f"{first} $A {last} $B:1 {last}:1"
    own.post_processor = processors.TemplateProcessing(f"{first} $A {last}", pair, ids)
    own.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"unk_token": unknown, "pad_token": padding, "mask_token": mask})


def test_attributes_of_a_tokenizer_by_hand(tmp_path):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "a", "c", "##a", "##t", "##s", "."]
    model = models.WordPiece(dict(zip(pieces, range(len(pieces)), strict=True)), unk_token="[UNK]")
    save_tokenizer(tmp_path, model, pre_tokenizers.BertPreTokenizer(), ("[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]"))
    rows = [
        {"id": "1", "text": "the cat", "label": "cats"},
        {"id": "2", "context": "the cats.", "question": "a dog"},  # the, cat, s, full stop, a, unknown
        {"id": "3", "tokens": ["ca", "the"], "tags": ["A", "A"]},  # c, a, the
        {"id": "4", "text": ""},
    ]
    values = piece_attributes(rows, Tokenizer(tmp_path))
    assert values["pieces_per_word"] == {"1": 1.0, "2": 6 / 4, "3": 3 / 2, "4": 0.0}
    assert values["unreadable_pieces"] == {"1": 0.0, "2": 2 / 6, "3": 2 / 3, "4": 0.0}
    unspaced = [{"id": "1", "text": "thecat" * 9}]
    assert list(piece_attributes(unspaced, Tokenizer(tmp_path))) == ["unreadable_pieces"]
    assert tuple(values) == OF_TOKENIZERS
    listed = [{"id": "1", "key": "x y z", "premise": "the", "choices": ["cat", "the cat"]}]
    assert piece_attributes(listed, Tokenizer(tmp_path))["pieces_per_word"] == {"1": 1.0}


def test_marks_of_spaces_and_words_of_one_character_are_readable(tmp_path):
    pieces = ["<unk>", "<s>", "</s>", "<pad>", "▁", "日本の", "は", "大", "▁cat", "▁c", "a", "t", "dog"]
    model = models.Unigram([(piece, -1.0 - len(pieces) + len(piece)) for piece in pieces], unk_id=0)
    save_tokenizer(tmp_path, model, pre_tokenizers.Metaspace(), ("<s>", "</s>", "<unk>", "<pad>", "<pad>"))
    rows = [{"id": "1", "text": "日本の は 大"}, {"id": "2", "text": "cat cat"}, {"id": "3", "text": "cat ca"}]
    rows.append({"id": "4", "text": "dog dog"})  # ▁, dog, ▁, dog
    values = piece_attributes(rows, Tokenizer(tmp_path))["unreadable_pieces"]
    assert values == {"1": 0.0, "2": 0.0, "3": pytest.approx(2 / 3), "4": 0.0}  # of ▁cat, ▁c, a: the last two


def test_a_large_share_of_unknown_tokens_is_a_warning():
    assert unknown_warnings({"squad.en": 0.001, "x.th": 0.31}) == [
        "WARNING: 31% of the tokens of x.th are unknown to the model's tokenizer"
    ]
