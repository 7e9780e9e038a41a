"""Projection of answers: by marks, by search, or rejected."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crosstune.data.translation.answer_projection import (
    METHODS,
    REJECTION_REASONS,
    RowLines,
    nearest_match,
    project_answer,
    row_lines,
)


def row_of(context: str, answer: str, start: int | None = None, question: str = "Where?") -> dict:
    start = context.index(answer) if start is None else start
    assert context[start : start + len(answer)] == answer
    return {"id": "1", "context": context, "question": question, "answers": {"text": [answer], "answer_start": [start]}}


def answer_of(row: dict) -> str:
    """The answer, as a slice of its context."""
    start, text = row["answers"]["answer_start"][0], row["answers"]["text"][0]
    assert row["context"][start : start + len(text)] == text
    return text


HOUSE = row_of("The house was built in 1887 by Ada Lovelace, in Rome.", "in 1887")


def test_a_row_has_three_lines_to_translate():
    assert row_lines(HOUSE) == RowLines(
        "The house was built [[ in 1887 ]] by Ada Lovelace, in Rome.", "Where?", "in 1887"
    )  # fmt: skip
    # A space separates a mark from punctuation, but not from the ends of the text.
    assert row_lines(row_of("(Rome)", "Rome")).context == "( [[ Rome ]] )"
    assert row_lines(row_of("Rome", "Rome")).context == "[[ Rome ]]"


def test_each_line_break_becomes_a_space_and_offsets_stay():
    lines = row_lines(row_of("One\r\ntwo\u2028three\nfour", "three", question="a\nb"))
    assert lines == RowLines("One  two [[ three ]] four", "a b", "three")


def test_brackets_that_look_like_marks_become_single():
    assert row_lines(row_of("A [[b]] c [[[d]]]", "c")).context == "A [b] [[ c ]] [d]"


def test_whole_words_are_marked_unless_inside_words():
    row = row_of("சென்னையில் மழை", "சென்னை")
    assert row_lines(row).context == "[[ சென்னையில் ]] மழை"
    assert row_lines(row, inside_words=True).context == "[[ சென்னை ]] யில் மழை"
    chinese = row_of("我住在北京市。", "北京")
    assert row_lines(chinese).context == "我住在 [[ 北京 ]] 市。", "the ends of words are unknown"


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ("La casa fue construida [[ en 1887 ]] por Ada.", "La casa fue construida en 1887 por Ada."),
        ("La casa fue construida [[en 1887]] por Ada.", "La casa fue construida en 1887 por Ada."),
        ("La casa fue construida[[en 1887]]por Ada.", "La casa fue construida en 1887 por Ada."),
        ("La casa fue construida [ en 1887 ] por Ada.", "La casa fue construida en 1887 por Ada."),
        ("La casa fue construida [ [ en 1887 ] ] por Ada.", "La casa fue construida en 1887 por Ada."),
        ("[[ en 1887 ]] fue construida, la casa", "en 1887 fue construida, la casa"),
        ("La casa fue construida por Ada [[ en 1887 ]]", "La casa fue construida por Ada en 1887"),
        ("La casa fue construida por Ada [[ en 1887 ]].", "La casa fue construida por Ada en 1887."),
        ("我家 [[ en 1887 ]] 建成。", "我家en 1887建成。"),
    ],
)
def test_the_text_between_the_marks_is_the_answer(context, expected):
    row, method = project_answer(HOUSE, RowLines(context, "¿Dónde?", "en 1887"))
    assert (method, row["context"], row["question"], answer_of(row)) == ("markers", expected, "¿Dónde?", "en 1887")


@pytest.mark.parametrize(
    ("source", "answer", "translated", "expected"),
    [
        ("Built (Rome), it", "Rome", "Costruita ( [[ Roma ]] ), essa", "Costruita (Roma), essa"),
        ("It was “Rome”.", "Rome", "Era “ [[ Roma ]] ”.", "Era “Roma”."),
        # A full stop followed the answer, now a word does: the space stays.
        ("It was in Rome.", "Rome", "In [[ Roma ]] era.", "In Roma era."),
        ("A [note] of [Rome] here", "Rome", "Una [nota] di [ [[ Roma ]] ] qui", "Una [nota] di [Roma] qui"),
        ("A [note] of [Rome] here", "[Rome]", "Una [nota] di [[[Roma]]] qui", "Una [nota] di [Roma] qui"),
        ("A [note] of [Rome] here", "[Rome]", "Una [nota] di [[ [Roma] ]] qui", "Una [nota] di [Roma] qui"),
        ("It cost $ or so", "$", "Costava [[ $ ]] circa", "Costava $ circa"),
    ],
)
def test_spaces_added_by_marks_are_removed(source, answer, translated, expected):
    row, method = project_answer(row_of(source, answer), RowLines(translated, "Dove?", "-"))
    assert (method, row["context"]) == ("markers", expected)
    answer_of(row)


def test_marks_inside_words_leave_the_word_whole():
    row = row_of("சென்னையில் மழை", "சென்னை")
    found, method = project_answer(row, RowLines("[[ ചെന്നൈ ]] യില് മഴൈ", "എവിടെ?", "-"), inside_words=True)
    assert (method, found["context"], answer_of(found)) == ("markers", "ചെന്നൈയില് മഴൈ", "ചെന്നൈ")


@pytest.mark.parametrize(
    ("context", "answer", "start", "found"),
    [
        # Without marks the place is 20/53 of the text: of the two, at 0 and at 26, the second is nearer to 0.38 * 49.
        ("En 1887 no, la casa fue en 1887 construida en Roma.", "en 1887", 24, "en 1887"),
        ("La casa fue construida EN  1887 por Ada.", "en 1887", 23, "EN  1887"),
        ("La casa fue construida en 1887 por Ada.", "[[ en 1887. ]]", 23, "en 1887"),
        ("La casa fue construida [[ ]] en 1887 por Ada.", "en 1887", 23, "en 1887"),
        # The one remaining mark gives the place: at the beginning of the text, not in its middle.
        ("[[ En 1887 no, la casa fue en 1887 construida.", "en 1887", 0, "En 1887"),
        ("Straße ẞ İ: la casa en 1887 por Ada.", "en 1887", 20, "en 1887"),
    ],
)
def test_the_answer_is_searched_if_marks_are_lost(context, answer, start, found):
    row, method = project_answer(HOUSE, RowLines(context, "¿Dónde?", answer))
    assert (method, row["answers"]["answer_start"], answer_of(row)) == ("search", [start], found)


def test_an_untranslated_name_is_found_by_itself():
    source = row_of("The house of Ada Lovelace, in Rome.", "Ada Lovelace")
    row, method = project_answer(source, RowLines("La casa de Ada Lovelace, en Roma.", "¿Quién?", "Ada Encaje"))
    assert (method, answer_of(row)) == ("copy", "Ada Lovelace")
    small = row_of("There is no house in Rome.", "no")
    assert project_answer(small, RowLines("No es una casa, no en Roma.", "¿Qué?", "ninguna")) == (None, "not found")


def test_a_search_prefers_whole_words_to_beginnings_and_finds_no_middles():
    assert nearest_match("roma", "Aroma, romano, Roma", 0) == (15, 19)
    assert nearest_match("roma", "Aroma, romano", 0) == (7, 11)
    assert nearest_match("rom", "Aroma, romano", 0) is None, "too short for a beginning"
    assert nearest_match("oma", "Aroma", 0) is None
    assert nearest_match("北京", "我住在北京市", 0) == (3, 5)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("", "¿Dónde?", "en 1887"), "empty"),
        (("[[ ]]", "¿Dónde?", "en 1887"), "empty"),
        (("La casa [[ en 1887 ]].", " ?", "en 1887"), "empty"),
        (("The house was built  [[ in 1887 ]] by Ada Lovelace, in Rome.", "¿Dónde?", "en 1887"), "unchanged"),
        (("The house was built in 1887 by Ada Lovelace, in Rome.", "¿Dónde?", "en 1887"), "unchanged"),
        (("La casa [[ [[ en 1887 ]] ]].", "¿Dónde?", "en 1887"), "markers"),  # one run of brackets, where none were
        (("La casa [[ en [[ 1887 ]] ]].", "¿Dónde?", "en 1887"), "broken markers"),
        (("La casa [[ en ]] [[ 1887 ]].", "¿Dónde?", "en 1887"), "broken markers"),
        (("La casa ]] en 1887 [[.", "¿Dónde?", "en 1887"), "broken markers"),
        (("La casa [[ . ]] de Roma.", "¿Dónde?", "[[ ]]"), "not found"),
        (("La casa de Roma.", "¿Dónde?", ""), "not found"),
    ],
)
def test_an_unusable_translation_is_rejected_with_a_reason(lines, reason):
    assert project_answer(HOUSE, RowLines(*lines)).method == reason


def test_a_row_without_an_answer_is_rejected():
    for answers in ({"text": [], "answer_start": []}, {"text": [" "], "answer_start": [0]}):
        row = HOUSE | {"answers": answers}
        assert row_lines(row) is None
        assert project_answer(row, RowLines("a", "b", "c")) == (None, "no answer")


PIECES = st.sampled_from(
    ["[[", "]]", "[[ ", " ]]", "[", "]", " ", "\n", "Ada", "rome", "1887", ".", "ß", "İ", "க்", "北京"]
)
TEXTS = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=14).map("".join))


@st.composite
def rows(draw):
    context = draw(TEXTS.filter(bool))
    start = draw(st.integers(0, len(context) - 1))
    end = draw(st.integers(start + 1, len(context)))
    return row_of(context, context[start:end], start, draw(TEXTS))


@given(rows(), TEXTS, TEXTS, TEXTS, st.booleans())
@example(HOUSE, "La casa [[ en İ1887 ]] [", "¿?a", "İ", False)
def test_any_output_of_a_translator_is_accepted(row, context, question, answer, inside_words):
    lines = row_lines(row, inside_words)
    assert (lines is None) == (not row["answers"]["text"][0].strip())
    found, method = project_answer(row, RowLines(context, question, answer), inside_words)
    assert method in (REJECTION_REASONS if found is None else METHODS)
    if found:
        text = answer_of(found)
        assert text and text == text.strip()
        assert "\n" not in found["context"] + found["question"]


WORDS = st.lists(st.sampled_from(["the", "[big]", "house,", "(built)", "1887", "of", "Ada's", "“Rome”."]), min_size=1)


@given(WORDS, st.data())
def test_a_word_for_word_translation_keeps_text_and_answer(words, data):
    """For any marked span, the projected context is the context in capitals."""
    context = " ".join(words)
    inside = [match.span() for match in re.finditer(r"\w+", context)]
    first, last = sorted((data.draw(st.sampled_from(inside)), data.draw(st.sampled_from(inside))))
    row = row_of(context, context[first[0] : last[1]], first[0])
    lines = RowLines(*(line.upper() for line in row_lines(row, inside_words=True)))
    found, method = project_answer(row, lines, inside_words=True)
    if method != "unchanged":
        assert method == "markers"
        assert found["context"] == context.upper()
        assert found["answers"] == {"text": [row["answers"]["text"][0].upper()], "answer_start": [first[0]]}
