"""Translators: programs and transliteration, their refusals before any work, and their failures."""

import re
import shlex
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.core.errors import UserError
from crosstune.data.translation.translators import BACKENDS, load_translator
from crosstune.data.translation.translators.command import CommandTranslator
from crosstune.data.translation.translators.sentences import MAX_CHARACTERS, join_sentences, split_sentences
from crosstune.data.translation.translators.transliteration import SCRIPT_OF, SCRIPTS, Transliterator

PAIRS = {"en-es": "eng-spa"}


@pytest.fixture
def program(tmp_path):
    """A function from Python code to its translator; the code has the input `lines` and sys.argv[1], the pair."""

    def make(code: str, pairs=PAIRS) -> CommandTranslator:
        path = tmp_path / "a translator.py"
        read = "import sys; lines = sys.stdin.buffer.read().decode().split('\\n')[:-1]\n"
        path.write_text(read + code)
        return CommandTranslator(f"{sys.executable} {shlex.quote(str(path))} {{pair}}", pairs)

    return make


@pytest.mark.parametrize(
    ("config", "found"), [({}, "none"), ({"command": "x", "transliterate": True}, "command and transliterate")]
)
def test_a_configuration_names_one_translator(config, found):
    with pytest.raises(UserError, match=f"exactly one of the keys {', '.join(BACKENDS)}, found {found}"):
        load_translator(config)


def test_translators_are_found_by_their_key():
    assert isinstance(load_translator({"command": "cat", "pairs": PAIRS}), CommandTranslator)
    assert isinstance(load_translator({"transliterate": True, "command": None}), Transliterator)
    with pytest.raises(UserError, match=r"the folder of the model a/b is not named"):
        load_translator({"model": "a/b"})


# Programs


def test_a_program_gets_one_line_for_each(program):
    upper = program("print('\\n'.join(line.upper() + sys.argv[1] * bool(line) for line in lines))")
    lines = ["straße", "", "a\nb\0c\rd", " 北京 "]
    assert upper.translate(lines, "en", "es") == ["STRASSEeng-spa", "", "A B C Deng-spa", "北京 eng-spa"]
    assert upper.translate([], "en", "es") == []


def test_the_last_line_break_may_be_missing(program):
    assert program("sys.stdout.write('\\n'.join(lines))").translate(["a", ""], "en", "es") == ["a", ""]
    assert program("sys.stdout.write('\\n'.join(lines[:-1]))").translate(["a", "b"], "en", "es") == ["a", "b"]


def test_no_shell_reads_the_command(tmp_path):
    mark = tmp_path / "mark"
    echo = CommandTranslator(f"cat - ; touch {mark}", PAIRS)
    with pytest.raises(UserError, match="ended with"):
        echo.translate(["a"], "en", "es")
    with pytest.raises(UserError, match="ended with"):
        CommandTranslator("cat {pair}", {"en-es": f"x; touch {mark}"}).translate([f"$(touch {mark})"], "en", "es")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print(*lines[:-2], sep='\\n')", "was given 4 lines, every other one empty, and wrote 2,"),
        ("print(*lines, 'more', sep='\\n')", "was given 4 lines, every other one empty, and wrote 5,"),
        ("print('a', 'b', 'c', 'd', sep='\\n')", "or text where an empty line belongs: no message"),
        (
            "print('first\\n\\nlast words\\n', file=sys.stderr); sys.exit(3)",
            "eng-spa ended with 3: first ... last words",
        ),
        ("sys.stdout.buffer.write(b'\\xff\\n\\n\\n\\n')", "wrote no UTF-8"),
    ],
)
def test_a_failing_program_is_a_user_error(program, code, message):
    with pytest.raises(UserError) as caught:
        program(code).translate(["a", "b"], "en", "es")
    assert message in str(caught.value)
    assert "a translator.py" in str(caught.value)


def test_missing_pairs_and_programs_are_user_errors_before_any_work(program):
    with pytest.raises(UserError, match=r"has no pair en-ca \(known: en-es\)\n.*pairs: {en-ca: NAME}"):
        program("").check("en", "ca")
    absent = CommandTranslator("no-such-program {pair}", PAIRS)
    with pytest.raises(UserError, match=r"no-such-program is not installed"):
        absent.translate(["a"], "en", "es")
    absent.check("en", "es")  # a study can be planned without the program
    for command in ("", "a 'b"):
        with pytest.raises(UserError, match=r"translator\.command"):
            CommandTranslator(command, PAIRS)


def test_the_package_of_apertium_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=r"apertium is not installed\n  apt install apertium apertium-eng-spa"):
        CommandTranslator("apertium -u -f txt {pair}", PAIRS).translate(["a"], "en", "es")


# Transliteration. Names as written in both languages or, if spelling differs, transliterated by hand: Devanagari भारत
# bh-ā-r-t is Tamil p-ā-r-t, which has one letter for p and bh.
GOLDEN = [
    ("hi", "bn", "दिल्ली", "দিল্লী"),
    ("hi", "bn", "दुनिया", "দুনিয়া"),  # y between vowels has a dot below, but not in a conjunct or at the beginning
    ("hi", "bn", "सत्य योग", "সত্য যোগ"),
    ("hi", "bn", "विद्यालय", "বিদ্যালয়"),
    ("hi", "bn", "बढ़ना", "বঢ়না"),
    ("hi", "ta", "भारत", "பாரத"),
    ("hi", "ta", "गंगा", "கங்கா"),
    ("hi", "ta", "मुंबई", "மும்பஈ"),
    ("hi", "ta", "हिन्दी नमन", "ஹிந்தீ நமன"),
    ("hi", "ta", "कृष्ण", "க்ருஷ்ண"),
    ("hi", "ta", "फ़ोन ॐ", "ஃபோன ௐ"),
    ("hi", "te", "नमस्ते", "నమస్తే"),
    ("hi", "te", "ऑफिस", "ఆఫిస"),
    ("hi", "te", "हाँ", "హాం"),
    ("hi", "ml", "धर्म", "ധർമ"),
    ("hi", "ml", "कार्य", "കാര്യ"),
    ("hi", "ml", "क्षत्रिय", "ക്ഷത്രിയ"),
    ("mr", "te", "महाराष्ट्र", "మహారాష్ట్ర"),
    ("ta", "hi", "சென்னை", "चेन्नै"),
    ("ta", "hi", "தமிழ்", "तमिळ्"),
    ("ta", "hi", "ஃபோன்", "फ़ोन्"),
    ("ta", "ml", "தமிழ்", "തമിഴ്"),
    ("ta", "ml", "வணக்கம்", "വണക്കം"),
    ("ta", "ml", "ஜப்பான்", "ജപ്പാൻ"),
    ("ta", "te", "மதுரை", "మతురై"),
    ("ta", "bn", "கொல்லம்", "কোল্লম্"),
    ("bn", "hi", "বিদ্যালয়", "बिद्यालय"),
    ("bn", "hi", "হঠাৎ", "हठात्"),
    ("bn", "ta", "ঢাকা", "டாகா"),
    ("ml", "hi", "കേരളം", "केरळं"),
    ("ml", "hi", "അവൻ", "अवन्"),
    ("ml", "ta", "തിരുവനന്തപുരം", "திருவனந்தபுரம்"),
    ("ml", "ta", "പൗരൻ", "பௌரன்"),
    ("te", "hi", "హైదరాబాద్", "हैदराबाद्"),
    ("te", "ml", "తెలుగు", "തെലുഗു"),
    ("te", "ta", "నది", "நதி"),
    ("hi", "bn", "१२३", "১২৩"),
    ("hi", "ml", "१२३", "123"),  # as they are written today
]


@pytest.mark.parametrize(("source", "target", "word", "expected"), GOLDEN)
def test_words_letter_by_letter(source, target, word, expected):
    # Dots and vowel signs of two parts may be composed or not.
    assert Transliterator().translate([word], source, target) == [unicodedata.normalize("NFC", expected)]


def test_nothing_but_the_source_script_is_touched():
    line = "[[ Rāma 1947 ]] 50%, தமிழ்। «x»\u200b"
    assert Transliterator().translate([line, f"भारत {line}"], "hi", "bn") == [line, f"ভারত {line}"]


def test_identical_copies_and_unknown_languages_are_refused():
    with pytest.raises(UserError, match="hi and mr are both written in Devanagari"):
        Transliterator().check("hi", "mr")
    with pytest.raises(UserError, match="no transliteration of en"):
        Transliterator().translate(["a"], "hi", "en")


LANGUAGES = st.sampled_from(sorted(SCRIPT_OF))


def letters(script: str) -> str:
    first = SCRIPTS[script].first
    return "".join(chr(first + place) for place in range(0x80) if unicodedata.category(chr(first + place)) != "Cn")


@given(LANGUAGES, LANGUAGES, st.data())
def test_any_text_comes_out_without_everyday_letters_of_the_source(source, target, data):
    if SCRIPT_OF[source] == SCRIPT_OF[target]:
        return
    text = data.draw(st.text(st.one_of(st.sampled_from(letters(SCRIPT_OF[source]) + "\u200d .[]7"), st.characters())))
    (found,) = Transliterator().translate([text], source, target)
    first = SCRIPTS[SCRIPT_OF[source]].first
    consonants_and_vowels = [first + place for place in (*range(0x05, 0x0B), *range(0x15, 0x29), 0x3E, 0x3F, 0x4D)]
    assert not set(found) & {chr(point) for point in consonants_and_vowels}


@given(LANGUAGES, LANGUAGES, st.text())
def test_a_text_in_another_script_stays(source, target, text):
    if SCRIPT_OF[source] != SCRIPT_OF[target] and not SCRIPTS[SCRIPT_OF[source]].run_pattern.search(text):
        assert Transliterator().translate([text], source, target) == [text]


# Sentences


def test_sentences_are_cut_after_marks_that_end_them():
    assert split_sentences('He left. "Why?" she asked! [[ In 1.5 s. ]] End') == [
        "He left.", '"Why?"', "she asked!", "[[ In 1.5 s. ]]", "End",
    ]  # fmt: skip
    assert split_sentences("राम गया। सीता आई। अब") == ["राम गया।", "सीता आई।", "अब"]
    assert split_sentences("我住在北京。你呢？") == ["我住在北京。", "你呢？"]  # noqa: RUF001
    assert split_sentences("  ") == []


def test_translated_sentences_are_joined_with_spaces_where_a_script_has_them():
    assert join_sentences(["Uno.", "", " Dos. "]) == "Uno. Dos."
    assert join_sentences(["我住在北京。", "你呢？"]) == "我住在北京。你呢？"  # noqa: RUF001


@given(st.lists(st.text(st.characters(codec="ascii"), max_size=700)).map(" ".join))
def test_no_text_is_lost_between_sentences(line):
    found = split_sentences(line)
    assert re.sub(r"\s", "", "".join(found)) == re.sub(r"\s", "", line)
    assert all(len(part) <= MAX_CHARACTERS or " " not in part for part in found)
