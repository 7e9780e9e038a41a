"""Texts overlap exactly, nearly or by an id, in words and in scripts without spaces.

test_overlap_cases.py has the ways in which texts come to overlap.
"""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.data.overlap import OverlapIndex, chunk_bounds, compared_texts, fingerprint, hash_texts


def line(first: int, last: int) -> str:
    """Distinct words, so that another line contains a shingle only if it contains its 8 words."""
    return " ".join(f"word{number}" for number in range(first, last))


def rows(*texts: str) -> list[dict]:
    return [{"id": f"row-{number}", "text": text} for number, text in enumerate(texts)]


def overlap_of(evaluated: list[dict], train: list[dict]) -> dict:
    """The counts of one evaluation set against one training set; all 0 without overlap."""
    pairs = OverlapIndex({"e": fingerprint(evaluated)}).overlaps("t", fingerprint(train), ["e"])
    return pairs[0] if pairs else {"exact": 0, "near": 0, "short": 0, "id": 0, "parallel": 0}


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


@pytest.mark.parametrize(("size", "shared", "near"), [(29, 17, 0), (29, 18, 1), (12, 10, 0), (12, 11, 1)])
def test_half_of_the_runs_of_eight_words_make_a_text_near(size, shared, near):
    """29 words have 22 such runs, their first 18 words 11. Of 12 words, a shingle is required."""
    assert counts(line(0, size), f"before {line(0, shared)} after") == (0, near, 0)


@pytest.mark.parametrize(("size", "shared", "near"), [(60, 23, 0), (60, 24, 1), (90, 29, 0), (90, 30, 1)])
def test_a_third_of_a_long_text_makes_it_near(size, shared, near):
    """And no less than 24 words; half of the runs of eight words would be 34 words of 60."""
    assert counts(line(0, size), f"before {line(0, shared)} after") == (0, near, 0)


@pytest.mark.parametrize(("words", "near"), [(10, 0), (11, 1)])
def test_a_near_text_has_eleven_words_or_more(words, near):
    """The training text contains it whole."""
    assert counts(line(0, words), line(0, 40)) == (0, near, 0)


def test_the_parts_of_a_text_may_be_in_several_training_texts():
    whole = rows(line(0, 60))
    assert overlap_of(whole, rows(line(0, 12), line(30, 41)))["near"] == 0
    found = overlap_of(whole, rows("something", line(0, 12), "else", line(30, 42)))
    assert found["near"] == 1
    assert found["examples"][0]["train"] in ("row-1", "row-3") and found["examples"][0]["share"] == 0.4
    assert overlap_of(whole, rows(line(0, 16), line(8, 20), line(4, 12)))["near"] == 0, "a word counts once"


def test_a_training_text_that_repeats_one_shingle_holds_it_once():
    assert counts(line(0, 29), " ".join([line(0, 8)] * 30)) == (0, 0, 0)


THAI = "กรุงเทพมหานครเป็นเมืองหลวงและนครที่มีประชากรมากที่สุดของประเทศไทย"
CHINESE = "北京市是中华人民共和国的首都也是全国的政治文化和国际交往中心历史悠久人口众多经济发达交通便利"


@pytest.mark.parametrize(("text", "size"), [(THAI, 32), (CHINESE, 16)], ids=["Thai", "Chinese"])
def test_scripts_without_spaces_are_compared_by_characters(text, size):
    assert counts(text, " ".join(text)) == (1, 0, 0), "spaces are ignored"
    assert counts(text, f"{text[:4]}{text[5:]}") == (0, 1, 0), "one character is missing"
    assert counts(text, text[::-1]) == (0, 0, 0)
    assert counts(text[: size - 1], text[: size - 1]) == (0, 0, 1)
    assert counts(text[:size], text[:size]) == (1, 0, 0)
    # A shingle has 11 / 8 of the size.
    assert counts(text[: 14 * size // 8], text[: 11 * size // 8]) == (0, 1, 0)
    assert counts(text[: 14 * size // 8], text[: 11 * size // 8 - 1]) == (0, 0, 0)


def test_a_name_in_chinese_does_not_turn_a_text_into_characters():
    assert counts(f"{line(0, 7)} 北京", f"{line(0, 7)} 北京") == (1, 0, 0)
    assert counts(f"{line(0, 20)} 北京", f"{line(0, 20)} 上海") == (0, 1, 0)


def test_the_same_id_is_the_same_question_in_any_language():
    squad, uuid = "56beb4343aeaaa14008c925b", "0123456789abcdef"
    english = [{"id": name, "text": "one"} for name in (squad, f"en-{uuid}", "2006-0011", "12", "beef")]
    german = [{"id": name, "text": "eins"} for name in (squad, f"de-{uuid}", "2006-0011", "12", "beef")]
    pair = overlap_of(english, german)
    assert pair["id"] == 2, "an id of less than 16 digits may be anyone's"
    assert {"how": "id", "train": f"de-{uuid}", "evaluate": f"en-{uuid}"} in pair["examples"]
    assert (pair["exact"], pair["near"], pair["short"], pair["parallel"]) == (0, 0, 0, 0)


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
    """Texts are hashed in chunks; a text is never cut."""
    assert chunk_bounds([3, 3, 9, 1], most=6) == [0, 2, 3, 4]
    assert chunk_bounds([]) == [0, 0]
    words = [f"w{number}" for number in range(12)]
    luck = random.Random(2)
    train = rows(*(" ".join(luck.choices(words, k=luck.randint(1, 40))) for _ in range(30)), line(0, 20), line(0, 12))
    evaluated = rows(line(0, 20), line(3, 30), *(row["text"] + " " + line(0, 3) for row in train[:9]))
    whole = overlap_of(evaluated, train)
    monkeypatch.setattr(chunk_bounds, "__defaults__", (1,))
    assert overlap_of(evaluated, train) == whole
    assert whole["exact"] == 1 and whole["near"] > 3


def naive(evaluated: str, train: str) -> int:
    """The number of words of an evaluation text in the runs of 11 words that a training text contains."""
    words, other = evaluated.split(), train.split()
    runs = {tuple(other[i : i + 11]) for i in range(len(other) - 10)}
    return len({i + j for i in range(len(words) - 10) if tuple(words[i : i + 11]) in runs for j in range(11)})


WORD = st.sampled_from(["ab", "a", "bc", "c", "d", "e", "f3", "ß"])


@settings(max_examples=150)
@given(st.lists(WORD, min_size=11, max_size=60), st.data())
def test_near_follows_its_definition_after_any_edit(words, data):
    changed = list(words)
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, len(changed)))
        changed[place : place + data.draw(st.integers(0, 1))] = data.draw(st.lists(WORD, max_size=2))
    evaluated, train = " ".join(words).replace("ß", "ss"), " ".join(changed).replace("ß", "ss")
    exact = evaluated.replace(" ", "") == train.replace(" ", "")
    enough = min((len(words) + 7) / 2, max(24, len(words) / 3))
    near = not exact and naive(evaluated, train) >= enough
    assert counts(evaluated, train)[:2] == (int(exact), int(near))


@given(st.lists(st.text(max_size=40), max_size=6))
def test_any_text_can_be_hashed(texts):
    hashes = hash_texts(texts)
    assert len(hashes.keys) == len(hashes.sizes) == len(hashes.units) == len(texts)
    spans = hashes.units * 11 // 8
    assert np.maximum(hashes.sizes - spans + 1, 0).sum() == len(hashes.shingles) == len(hashes.owners)
    alone = [hash_texts([text]).keys[0] for text in texts]
    assert np.array_equal(hashes.keys, alone), "a hash does not depend on the other texts"
