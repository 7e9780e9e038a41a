"""Translation by lexicon: against synthetic text of the target language, with markers, and of any text."""

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.core.errors import UserError
from crosstune.data import readers
from crosstune.data.readers.pieces import ReaderOptions
from crosstune.data.synthetic import CHAII_LANGUAGES, DEFAULT_SPEC, LANGUAGES, generate_files
from crosstune.data.synthetic.facts import FactBase
from crosstune.data.synthetic.languages import UPOS, make_lexicon, to_script
from crosstune.data.synthetic.texts import (
    Phrase,
    Predicate,
    Question,
    Realiser,
    Sentence,
    join_tokens,
    marked_answer,
    paragraph_sentences,
    scene_sentence,
)
from crosstune.data.translation.translators.lexicon import LexiconTranslator

LEXICON = make_lexicon(0)
TRANSLATOR, ANOTHER = LexiconTranslator(0), LexiconTranslator(0)
REALISERS = {code: Realiser(code, LEXICON) for code in LANGUAGES}
PAIRS = list(itertools.product(LANGUAGES, repeat=2))
codes = st.sampled_from(sorted(LANGUAGES))


def translate(line: str, source: str, target: str) -> str:
    (translated,) = TRANSLATOR.translate([line], source, target)
    return translated


def in_order_of(source: str, target: str) -> Realiser:
    """A realiser of the target language with the clause order of the source."""
    realiser = Realiser(target, LEXICON)
    order, fronts = LANGUAGES[source].order, LANGUAGES[source].fronts_questions
    realiser.language = replace(realiser.language, order=order, fronts_questions=fronts)
    return realiser


def some_sentences(seed: int, count: int) -> list[Sentence]:
    """Sentences of facts, scenes and questions, and one with a plural subject and two predicates."""
    base, rng = FactBase(LEXICON, 0), random.Random(seed)
    see, carry = (Predicate(verb, Phrase("dog", article="a"), "object") for verb in ("see", "carry"))
    found = [Sentence(Phrase("baker", numeral="two", article="the"), (see, carry))]
    for _ in range(count):
        paragraph = base.paragraph("train", rng)
        found += [*paragraph_sentences(paragraph), scene_sentence(base.scene("train", rng))]
        found += [Question(fact, for_person).sentence for fact in paragraph.facts for for_person in (False, True)]
    return found


def same_marks(source: str, target: str) -> bool:
    """Whether the source marks the articles that the target needs."""
    return bool(LANGUAGES[source].article) or not LANGUAGES[target].article


# ------------------------------------------------------------------------------------------------- worked by hand


@pytest.mark.parametrize(("source", "target", "text", "expected"), [
    # The two old bakers often see the red dog. The numeral asks for -on on the noun and on its adjective, which agrees,
    # and for -in on the verb. The order stays S V O; text of qhi has S O V.
    ("qfr", "qhi", "nu degodi enelux fucepu nifbunt sedili nu gadita susté.",
     "дурил тилорон осчанон одтумин ноним хисмен рунус."),
    # Back, the subject gets "nu" (the) and the object "gu" (a), since qhi has no articles, in the order S O V.
    ("qhi", "qfr", "дурил тилорон осчанон хисмен рунус одтумин ноним.",
     "nu degodi enelux fucepu gu gadita susté nifbunt sedili."),
    # Koru lives in Kadeni and owns a young bird: ra (in) becomes -vil, the object gets -nai, the article goes.
    ("qfr", "qta", "Koru fadta ra Kadeni ta evuvu gu sunpé sudku.",
     "κορυ υτυλτι καδενιϝιλ ανχι χοχιζλο οζυϝρυ ρολχοβυναι."),
    # Where does Koru live? The question word stays in front; text of qta has it after Koru.
    ("qfr", "qta", "ika Koru fadta?", "οϝυ κορυ υτυλτι?"),
    # Vase works as a baker: irgu, which is iru + gu (as + a), becomes the ending -ad; text of qka ends in the verb.
    ("qfr", "qka", "Vase napbu irgu enelu.", "ვასე პცაკე ლანტეად."),
    # Between qhi and qta, both S O V, the result is text of qta: -vil for the word "вус", -nai for the bare object.
    ("qhi", "qta", "руво лонуке вус басрам ом соко тилтин.", "ρυϝο λονυκεϝιλ υτυλτι ανχι σοκοναι λαβολϝι."),
    ("qta", "qhi", "ρυϝο λονυκεϝιλ υτυλτι ανχι σοκοναι λαβολϝι.", "руво лонуке вус басрам ом соко тилтин."),
])  # fmt: skip
def test_translations_equal_those_by_hand(source, target, text, expected):
    assert translate(text, source, target) == expected


# ------------------------------------------------------------------------------------------- against synthetic text


@pytest.mark.parametrize("source", LANGUAGES)
def test_a_translation_is_right_except_for_the_order_of_phrases(source):
    """All words, endings and phrases are those of the target, between any two languages, with two exceptions.

    A source without articles does not mark definite objects of scenes; questions of qge are ambiguous with `love`.
    """
    sentences = some_sentences(seed=3, count=8)
    if source == "qge":
        sentences = [
            sentence for sentence in sentences if not (sentence.is_question and sentence.predicates[0].verb == "love")
        ]
    for target in LANGUAGES:
        if not same_marks(source, target):
            sentences = [sentence for sentence in sentences if sentence.predicates[0].object.article != "the"]
        assert len(sentences) > 60
        translated = TRANSLATOR.translate([REALISERS[source].text(sentence) for sentence in sentences], source, target)
        expected = in_order_of(source, target)
        assert translated == [expected.text(sentence) for sentence in sentences], target


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.data())
def test_languages_of_one_word_order_are_translated_exactly(seed, data):
    same_order = [
        (a, b)
        for a, b in PAIRS
        if LANGUAGES[a].order == LANGUAGES[b].order and LANGUAGES[a].fronts_questions == LANGUAGES[b].fronts_questions
        if same_marks(a, b) and "qge" not in (a, b)
    ]
    assert {("qhi", "qta"), ("qta", "qhi"), ("qhi", "qbn"), ("qta", "qka"), ("qen", "qes")} <= set(same_order)
    source, target = data.draw(st.sampled_from(same_order))
    for sentence in some_sentences(seed, 1):
        assert translate(REALISERS[source].text(sentence), source, target) == REALISERS[target].text(sentence)


@pytest.mark.parametrize(("text", "expected"), [
    ("осчан рунус одтум.", "bo buhik hu detfu niwol."),  # (the) baker, (a) dog, sees
    ("осчан дурил рунусон одтум.", "bo buhik silit detfus niwol."),  # two dogs
    ("дисе осчан ел учрок.", "Dise bak hu buhik likto."),  # Dise works as (a) baker
    ("дисе миве тилтин.", "Dise Mive bodal."),  # names have no article
    ("осчан", "buhik"),  # nor have phrases without a verb
    ("осчан ел", "bak buhik"),
])  # fmt: skip
def test_a_source_without_articles_gets_the_default_ones(text, expected):
    assert translate(text, "qhi", "qen") == expected


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_word_survives_a_round_trip(code):
    """Every word and every plural, translated into every other language and back."""
    realiser = REALISERS[code]
    nouns = [concept for concept, upos in UPOS.items() if upos == "NOUN"]
    forms = {to_script(word, realiser.language) for word in LEXICON.words[code].values()}
    forms |= {to_script(name, realiser.language) for name in (*LEXICON.people, *LEXICON.places)}
    forms |= {realiser.phrase(Phrase(noun, plural=True), "subject")[0].form for noun in nouns}
    for other in LANGUAGES:
        for form in forms:
            assert translate(translate(form, code, other), other, code) == form, (form, other)


@pytest.mark.parametrize("code", LANGUAGES)
def test_translation_into_the_same_language_changes_nothing(code):
    sentences = [
        REALISERS[code].text(sentence) for sentence in some_sentences(seed=5, count=8) if not sentence.is_question
    ]
    assert TRANSLATOR.translate(sentences, code, code) == sentences


# --------------------------------------------------------------------------------------------------------- markers


@pytest.fixture(scope="module")
def marked() -> dict[str, list[str]]:
    """The contexts of worldchaii with their answers in markers."""
    sizes = {key: 2 for key in DEFAULT_SPEC if not key.startswith(("seed", "chaii"))}
    text = generate_files(sizes)["chaii/train.csv"]
    names = {code: LANGUAGES[code].name.lower() for code in ("qhi", "qta")}
    found = {}
    for lang in names:
        rows = readers.read_rows("chaii", [("train.csv", text)], ReaderOptions(lang=lang, codes=names))
        found[lang] = [
            mark(row["context"], row["answers"]["text"][0], row["answers"]["answer_start"][0]) for row in rows
        ]
    return found


def mark(context: str, answer: str, start: int) -> str:
    return f"{context[:start]}[[ {answer} ]]{context[start + len(answer) :]}"


def unmark(text: str) -> tuple[str, str]:
    """The text without its one pair of markers, and the text inside them."""
    assert text.count("[[") == text.count("]]") == text.count("[[ ") == text.count(" ]]") == 1, text
    inside = text.partition("[[ ")[2].partition(" ]]")[0]
    return text.replace("[[ ", "").replace(" ]]", ""), inside


@pytest.mark.parametrize("source", ["qhi", "qta"])
def test_markers_survive_in_every_context_of_worldchaii(marked, source):
    assert len(marked[source]) == {"qhi": 746, "qta": 368}[source]
    for target in CHAII_LANGUAGES:
        if target != source:
            plain = TRANSLATOR.translate([unmark(text)[0] for text in marked[source]], source, target)
            for before, translated in zip(plain, TRANSLATOR.translate(marked[source], source, target), strict=True):
                text, answer = unmark(translated)
                assert text == before and answer.strip(".? ") == answer != ""


@settings(max_examples=150)
@given(st.integers(0, 10_000), codes, codes, st.booleans(), st.integers(0, 3))
def test_a_marked_answer_becomes_the_answer_of_the_target(seed, source, target, for_person, index):
    paragraph = FactBase(LEXICON, 0).paragraph("train", random.Random(seed))
    sentences = paragraph_sentences(paragraph, Question(paragraph.facts[index], for_person))
    tokens = REALISERS[source].tokens(*sentences)
    text, answer = unmark(translate(mark(join_tokens(tokens), *marked_answer(tokens)), source, target))
    expected = in_order_of(source, target).tokens(*sentences)
    assert (text, answer) == (join_tokens(expected), marked_answer(expected)[0])


@pytest.mark.parametrize(("text", "expected"), [
    ("[[ ra Dugevu ]] fadta", "[[ დუგევუსი ]] ლიხსი"),  # "in" is part of the ending
    ("[[ ra ]] Dugevu fadta", "[[ დუგევუსი ]] ლიხსი"),  # nothing else translates it
    ("Koru evuvu gu [[ sunpé ]] sudku.", "კორუ ბერრუ კაკარ [[ ბაპცეს ]]."),  # bird and young change places
    ("Koru evuvu [[ gu sunpé sudku ]].", "კორუ ბერრუ [[ კაკარ ბაპცეს ]]."),
    ("[[ Koru evuvu gu sunpé. Vase ]] fadta", "[[ კორუ ბერრუ ბაპცეს. ვასე ]] ლიხსი"),
    ("[[ Koru ]] [[ evuvu ]]", "[[ კორუ ]] [[ ბერრუ ]]"),
    ("[[Koru]]?", "[[ კორუ ]]?"),
    ("[[ ]] Koru ]] [[", "[[ ]] კორუ ]] [["),  # no pair around words
    ("[[ Koru", "[[ კორუ"),
    ("[[ [[ Koru ]]", "[[ [[ კორუ ]]"),
])  # fmt: skip
def test_markers_may_stand_anywhere(text, expected):
    assert translate(text, "qfr", "qka") == expected


# --------------------------------------------------------------------------------------------------------- any text


def test_unknown_words_are_written_in_the_script_of_the_target():
    assert translate("3.5 Zanzibar! (evuvu) Koru", "qfr", "qhi") == "3.5 занзибар! (евуву) кору"
    assert translate("занзибар кору", "qhi", "qta") == "ζανζιβαρ κορυ"
    assert translate("занзибар кору", "qhi", "qfr") == "zanzibar Koru"
    assert translate("", "qhi", "qfr") == ""


def test_runs_of_spaces_become_single_and_line_feeds_stay():
    assert translate(" Koru \t evuvu .\n\nKoru?", "qfr", "qfr") == "Koru evuvu.\n\nKoru?"
    assert TRANSLATOR.translate(["Koru", "", "Vase"], "qfr", "qhi") == ["кору", "", "васе"]


POOL = ["[[", "]]", " ", ".", "?", "\n", "irgu", "nu", "Koru", "вус", "лонуке", "тилорон", "оμ", "ta", "degodi", "osa"]


@settings(max_examples=500)
@given(st.lists(st.sampled_from(POOL) | st.text(max_size=5), max_size=25), codes, codes, st.booleans())
def test_any_text_gives_a_line(parts, source, target, spaced):
    text = (" " if spaced else "").join(parts)
    translated = translate(text, source, target)
    assert translated.count("\n") == text.count("\n")
    assert translated.count("[[") >= text.count("[[") and translated.count("]]") >= text.count("]]")
    assert ANOTHER.translate([text], source, target) == [translated]


def test_an_unknown_language_is_a_user_error():
    with pytest.raises(UserError, match=r"no language 'qxx'(?s:.*)It has: qen, qno"):
        TRANSLATOR.check("qhi", "qxx")
    with pytest.raises(UserError, match="no language 'hi'"):
        TRANSLATOR.translate([], "hi", "qhi")
