"""Texts overlap exactly, nearly or by an id, in words and in scripts without spaces."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.data import overlap
from crosstune.data.overlap import (
    MIN_SHINGLES,
    NEAR_SHARE,
    OverlapIndex,
    chunk_bounds,
    compared_texts,
    fingerprint,
    hash_texts,
)


def line(first: int, last: int) -> str:
    """Distinct words, so that another line contains a shingle only if it contains its 8 words."""
    return " ".join(f"word{number}" for number in range(first, last))


def rows(*texts: str) -> list[dict]:
    return [{"id": f"row-{number}", "text": text} for number, text in enumerate(texts)]


def overlap_of(evaluated: list[dict], train: list[dict]) -> dict:
    """The counts of one evaluation set against one training set; all 0 without overlap."""
    pairs = OverlapIndex({"e": fingerprint(evaluated)}).overlaps("t", fingerprint(train), ["e"])
    return pairs[0] if pairs else {"exact": 0, "near": 0, "short": 0, "id": 0}


def counts(evaluated: str, train: str) -> tuple[int, int, int]:
    pair = overlap_of(rows(evaluated), rows("something else", train))
    return pair["exact"], pair["near"], pair["short"]


def test_exact_ignores_case_spaces_punctuation_and_compatibility_forms():
    full_width = "die straße die er am \uff13 mai sah lang leer"
    assert counts("Die STRASSE, die er am 3. Mai sah: “lang” & leer.", full_width) == (1, 0, 0)
    said = "The U.S. said on Monday that it was not at war."
    assert counts(said, "The US said on Monday that it was not at war") == (1, 0, 0)
    assert counts(said, "The UN said on Monday that it was not at war") == (0, 0, 0)


def test_a_vowel_sign_is_no_punctuation():
    """Hindi writes vowels as marks, which are no letters to str.isalnum: "dīn" and "dān" are different words."""
    words = "एक दो तीन चार पाँच छह सात"
    assert counts(f"{words} दीन", f"{words} दीन") == (1, 0, 0)
    assert counts(f"{words} दीन", f"{words} दान") == (0, 0, 0)


def test_a_text_of_seven_words_is_short_and_one_of_eight_is_not():
    assert counts(line(0, 7), line(0, 7)) == (0, 0, 1)
    assert counts(line(0, 8), line(0, 8)) == (1, 0, 0)
    assert counts("...", "!!!") == (0, 0, 0), "a text without tokens is no text"


@pytest.mark.parametrize(("shared", "near"), [(17, 0), (18, 1), (19, 1)])
def test_half_of_the_shingles_make_a_text_near(shared, near):
    """A text of 29 words has 22 shingles; its first n words have n - 7, so that 18 words are 11 of 22, the half."""
    assert NEAR_SHARE == 0.5
    assert counts(line(0, 29), f"before {line(0, shared)} after") == (0, near, 0)


@pytest.mark.parametrize(("words", "near"), [(10, 0), (11, 1)])
def test_a_near_text_has_four_shingles_or_more(words, near):
    """The training text contains it whole. Eleven words have four shingles."""
    assert MIN_SHINGLES == 4
    assert counts(line(0, words), line(0, 40)) == (0, near, 0)


def test_half_of_a_text_must_be_in_one_training_text():
    whole = rows(line(0, 40))
    assert overlap_of(whole, rows(line(0, 20), line(20, 40)))["near"] == 0
    assert overlap_of(whole, rows(line(30, 90), line(0, 30)))["near"] == 1
    assert overlap_of(whole, rows(line(30, 90), line(0, 30)))["examples"][0]["train"] == "row-1"


def test_a_training_text_that_repeats_one_shingle_holds_it_once():
    assert counts(line(0, 29), " ".join([line(0, 8)] * 30)) == (0, 0, 0)


THAI = "กรุงเทพมหานครเป็นเมืองหลวงและนครที่มีประชากรมากที่สุดของประเทศไทย"
CHINESE = "北京市是中华人民共和国的首都也是全国的政治文化和国际交往中心历史悠久人口众多经济发达交通便利"


@pytest.mark.parametrize("text", [THAI, CHINESE], ids=["Thai", "Chinese"])
def test_scripts_without_spaces_are_compared_by_characters(text):
    assert counts(text, " ".join(text)) == (1, 0, 0), "spaces are ignored"
    assert counts(text, f"{text[:4]}{text[5:]}") == (0, 1, 0), "one character is missing"
    assert counts(text, text[::-1]) == (0, 0, 0)
    # 15 characters have no shingle of 16. 2 n + 15 have 2 n shingles, their first n + 15 have n, the first n + 14 less.
    assert counts(text[:15], text[:15]) == (0, 0, 1)
    assert counts(text[:16], text[:16]) == (1, 0, 0)
    assert counts(text[:43], text[:29]) == (0, 1, 0)
    assert counts(text[:43], text[:28]) == (0, 0, 0)


def test_a_name_in_chinese_does_not_turn_a_text_into_characters():
    assert counts(f"{line(0, 7)} 北京", f"{line(0, 7)} 北京") == (1, 0, 0)
    assert counts(f"{line(0, 20)} 北京", f"{line(0, 20)} 上海") == (0, 1, 0)


def test_the_same_id_is_the_same_question_in_any_language():
    squad, uuid, ewt = "56beb4343aeaaa14008c925b", "0123456789abcdef", "news_e874a1e5eb995654_2006-0011"
    english = [{"id": name, "text": "one"} for name in (squad, f"en-{uuid}", ewt, "12", "beef")]
    german = [{"id": name, "text": "eins"} for name in (squad, f"de-{uuid}", ewt, "12", "beef")]
    pair = overlap_of(english, german)
    assert pair["id"] == 2, "an id that ends in less than 16 digits may be anyone's"
    assert {"how": "id", "train": f"de-{uuid}", "evaluate": f"en-{uuid}"} in pair["examples"]
    assert (pair["exact"], pair["near"], pair["short"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("row", "texts"),
    [
        ({"context": "c", "question": "q", "answers": {}}, ["c", "q"]),
        ({"text": "a", "pair": "b", "label": "x"}, ["a b"]),
        ({"text": "a", "label": "x"}, ["a "]),
        ({"premise": "p", "question": "q", "choices": ["a", "b"], "label": 1}, ["p q a b"]),
        ({"tokens": ["a", "b"], "tags": ["X", "X"]}, ["a b"]),
        ({"text": "a", "pair": "b"}, ["a", "b"]),
        ({"query": "q", "key": "k"}, ["q"]),
        ({"candidate": "c", "context": "d", "keys": []}, ["d", "c"]),
    ],
)
def test_the_texts_of_a_row_depend_on_its_task(row, texts):
    assert compared_texts({"id": "1", **row}) == texts


def test_texts_of_a_set_are_counted_once():
    pair = overlap_of(rows(line(0, 9), line(0, 9).upper(), line(50, 60)), rows(line(0, 9)))
    assert (pair["texts"], pair["exact"]) == (2, 1)


def test_empty_sets_do_not_overlap():
    assert overlap_of(rows(), rows(line(0, 20))) == overlap_of(rows(line(0, 20)), rows()) == overlap_of(rows(), rows())


def test_sets_do_not_mix():
    sets = {name: fingerprint(rows(text)) for name, text in (("a", line(0, 9)), ("b", line(20, 29)), ("c", line(0, 9)))}
    pairs = OverlapIndex(sets).overlaps("t", fingerprint(rows(line(0, 9))), ["a", "b"])
    assert [(pair["evaluate"], pair["exact"]) for pair in pairs] == [("a", 1)]


def test_chunks_change_no_result(monkeypatch):
    """Texts are hashed, and pairs of shingles counted, in chunks; a text is never cut."""
    assert chunk_bounds([3, 3, 9, 1], most=6) == [0, 2, 3, 4]
    assert chunk_bounds([]) == [0, 0]
    words = [f"w{number}" for number in range(12)]
    luck = random.Random(2)
    train = rows(*(" ".join(luck.choices(words, k=luck.randint(1, 40))) for _ in range(30)), line(0, 20), line(0, 12))
    evaluated = rows(line(0, 20), line(3, 30), *(row["text"] + " " + line(0, 3) for row in train[:9]))
    whole = overlap_of(evaluated, train)
    for name in ("CHUNK_CHARACTERS", "CHUNK_PAIRS"):
        monkeypatch.setattr(overlap, name, 1)
    monkeypatch.setattr(chunk_bounds, "__defaults__", (1,))
    assert overlap_of(evaluated, train) == whole
    assert whole["exact"] == 1 and whole["near"] > 3


def naive(evaluated: str, train: str) -> float:
    """The share of an evaluation text's shingles of 8 words in a training text, by the definition."""
    first, second = (
        {tuple(words[i : i + 8]) for i in range(len(words) - 7)} for words in (evaluated.split(), train.split())
    )
    return len(first & second) / len(first) if first else 0.0


WORD = st.sampled_from(["ab", "a", "bc", "c", "d", "e", "f3", "ß"])


@settings(max_examples=150, deadline=None)
@given(st.lists(WORD, min_size=11, max_size=60), st.data())
def test_near_follows_its_definition_after_any_edit(words, data):
    changed = list(words)
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, len(changed)))
        changed[place : place + data.draw(st.integers(0, 1))] = data.draw(st.lists(WORD, max_size=2))
    evaluated, train = " ".join(words).replace("ß", "ss"), " ".join(changed).replace("ß", "ss")
    distinct = len({tuple(words[i : i + 8]) for i in range(len(words) - 7)})
    exact = evaluated.replace(" ", "") == train.replace(" ", "")
    near = not exact and distinct >= MIN_SHINGLES and naive(evaluated, train) >= NEAR_SHARE
    assert counts(evaluated, train)[:2] == (int(exact), int(near))


@given(st.lists(st.text(max_size=40), max_size=6))
def test_any_text_can_be_hashed(texts):
    keys, sizes, shingles, owners = hash_texts(texts)
    assert len(keys) == len(sizes) == len(texts)
    assert sizes.sum() == len(shingles) == len(owners)
    alone = [hash_texts([text])[0][0] for text in texts]
    assert np.array_equal(keys, alone), "a hash does not depend on the other texts"
