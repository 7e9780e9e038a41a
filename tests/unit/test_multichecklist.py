"""MultiCheckList on a small table of our own: draws, faults, suites of others, scores."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from helpers.checklist_table import HEAD, LINES, NAMES, checklist_files, names_text, table_text
from hypothesis import given
from hypothesis import strategies as st

from crosstune.core.errors import UserError
from crosstune.data.multichecklist.answers import clean, find_answer
from crosstune.data.multichecklist.cases import Case, Example, expand, fill
from crosstune.data.multichecklist.matching import VariantMatcher
from crosstune.data.multichecklist.templates import TESTS
from crosstune.data.multichecklist.variants import Pair, Variant
from crosstune.data.readers import read_rows
from crosstune.data.readers.pieces import ReaderOptions
from crosstune.data.registry import load_registry
from crosstune.evaluation.metrics import METRICS

ROOT = Path(__file__).parents[2]
METRIC = METRICS["multichecklist"]
SIZES = {"comp": 2, "intens": 4, "prop": 2, "prof": 2, "anim": 2, "anim2": 2}


def rows(lang="en", files=None, **suite) -> list[dict]:
    return read_rows("multichecklist", files or checklist_files(), ReaderOptions(lang, suite={"cases": 12, **suite}))


def as_suite(found: list[dict], lang: str) -> tuple[str, str]:
    """Rows as a suite in JSON lines."""
    lines = [
        {"lang": lang, "test": TESTS[row["case"]["test"]], "context": row["context"], "question": row["question"],
         "answer": row["answers"]["text"][0], "case": row["case"]["number"]}
        for row in found
    ]  # fmt: skip
    return "suite.jsonl", "".join(json.dumps(line) + "\n" for line in lines)


class TestDraws:
    def test_a_case_has_every_context_with_every_question(self):
        found = rows()
        cases = Counter((row["case"]["test"], row["case"]["number"]) for row in found)
        assert {(test, size) for (test, _), size in cases.items()} == set(SIZES.items())
        for row in found:
            (text,), (start,) = row["answers"]["text"], row["answers"]["answer_start"]
            assert row["context"][start : start + len(text)] == text
            assert row["case"]["faults"] == []

    def test_draws_with_two_equal_names_are_left_out(self):
        comparisons = [row for row in rows(cases=200) if row["case"]["test"] == "comp"]
        assert 200 * 2 / 3 - 30 < comparisons[0]["case"]["of"] < 200 * 2 / 3 + 30
        for row in comparisons:
            names = [name for name in NAMES["en"]["male"] if name in row["context"]]
            assert len(names) == 2

    def test_tests_whose_words_agree_with_a_man_have_names_of_men_and_the_animals_of_both(self):
        found = rows(cases=60)
        assert not any(
            name in row["context"] for row in found for name in ("Uma", "Vita") if row["case"]["test"] == "prof"
        )
        # Three and two names are cut to two and two.
        names = Counter(
            name
            for row in found
            if row["case"]["test"] == "anim"
            for name in NAMES["en"]["male"] + NAMES["en"]["female"]
            if name in row["context"]
        )
        assert set(names) == {"Zeke", "Yorick", "Uma", "Vita"}

    def test_the_seed_and_the_size_are_keys(self):
        assert rows() == rows(seed=42) != rows(seed=1)
        assert {row["case"]["of"] for row in rows(cases=5) if row["case"]["test"] == "prop"} == {5}

    def test_a_language_without_names_gets_english_ones(self):
        assert any("Quill" in row["context"] for row in rows("ha"))

    def test_cases_of_languages_with_aligned_lists_translate_each_other(self):
        words = {line[1]: line[2] for line in LINES if line and line[0] in ("animal", "vehicle")}
        english, swahili = rows(), rows("sw")
        pairs = [(a, b) for a, b in zip(english, swahili, strict=True) if a["case"]["test"] == "anim"]
        assert [a["id"] for a, _ in pairs] == [b["id"] for _, b in pairs]
        assert all(words[a["answers"]["text"][0]] == b["answers"]["text"][0] for a, b in pairs)

    def test_the_rows_do_not_depend_on_the_hashing_of_strings(self):
        program = (
            "import json, hashlib; from helpers.checklist_table import checklist_files;"
            "from crosstune.data.readers import read_rows; from crosstune.data.readers.pieces import ReaderOptions;"
            "rows = read_rows('multichecklist', checklist_files(), ReaderOptions('ha'));"
            "print(hashlib.sha256(json.dumps(rows).encode()).hexdigest())"
        )
        digests = set()
        for seed in ("0", "1", "2"):
            path = os.pathsep.join([str(ROOT / "scripts"), str(ROOT / "tests")])
            environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": path}
            done = subprocess.run(
                [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
            )
            digests.add(done.stdout)
        assert len(digests) == 1

    def test_the_rows_are_these(self):
        """The draw must not change unnoticed: suites would differ."""
        found = rows("sw", cases=3)
        assert [row["context"] for row in found if row["id"] in ("comp-0-0", "anim-0-0")] == EXPECTED_CONTEXTS
        assert hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16] == EXPECTED_DIGEST


EXPECTED_CONTEXTS = ["Simba tulivu sana Baraka.", "Juma ana mbuzi na mashua."]
EXPECTED_DIGEST = "f83961bf75809f91"


class TestFaults:
    @pytest.mark.parametrize(
        ("examples", "faults"),
        [
            ([("A is B. C is D.", "who?", "A")], []),
            ([], ["empty"]),
            ([("A is B.", "who?", "A"), ("A is B.", "who?", "B")], ["same question"]),
            ([("A is B.", "who?", "a A"), ("A is B.", "who?", "A.")], []),  # equal answers
            ([("A is B.", "who?", "E")], ["not in context"]),
            ([("A is B.", "who?", "the B.")], []),  # but for an article
        ],
    )
    def test_by_hand(self, examples, faults):
        assert Case(0, tuple(Example(*example) for example in examples)).faults("en") == faults

    def test_a_question_with_the_answer_to_another_is_a_fault(self):
        found = rows("ha")
        by_test = {
            test: {fault for row in found if row["case"]["test"] == test for fault in row["case"]["faults"]}
            for test in SIZES
        }
        assert by_test["intens"] == {"wrong answer"}  # the second variant of `most`
        assert by_test["prop"] == {"same question"}  # both ask for the first property
        assert by_test["anim2"] == {"not in context"}
        assert by_test["comp"] == {"same question"}  # the two forms are equal
        assert by_test["prof"] == by_test["anim"] == set()

    def test_an_answer_that_the_context_lacks_has_no_offset(self):
        (row, *_) = [
            row for row in rows("ha") if "not in context" in row["case"]["faults"] and row["id"].endswith("-0")
        ]
        assert row["answers"]["answer_start"] == [-1]


class TestAnswers:
    @pytest.mark.parametrize(
        ("lang", "one", "other", "is_equal"),
        [
            ("en", "a dog", "dog", True),
            ("en", "The dog", "dog", False),  # nothing is lower-cased
            ("en", "in a car.", "car", True),
            ("de", "eine Katze", "Katze", True),
            ("de", "einer Katze", "Katze", False),
            ("sw", "mbwa.", "mbwa", True),  # no articles: a space between all characters of both
            ("zh", "狗。", "狗", False),  # the ideographic full stop stays
            ("pl", "„pies”", "pies", True),
            ("tl", "Si Juan", "Juan", True),
        ],
    )
    def test_compared_as_officially(self, lang, one, other, is_equal):
        assert (clean(one, lang) == clean(other, lang)) == is_equal

    def test_the_first_equal_span(self):
        assert find_answer("I have a dog.", "the dog", "en") == (" a dog", 6)
        assert find_answer("I have a dog.", "cat", "en") is None


class TestScores:
    def answers(self, lang="en", wrong=()) -> dict:
        # Whoever reads a question twice answers it twice alike.
        right = {(row["context"], row["question"]): row["answers"]["text"][0] for row in rows(lang)}
        predictions = [
            {
                "id": row["id"],
                "prediction": "?" if row["id"] in wrong else right[row["context"], row["question"]],
                "gold": row["answers"]["text"],
                "case": row["case"],
            }
            for row in rows(lang)
        ]
        return METRIC.summarise(METRIC.measure(predictions, lang))

    def test_one_wrong_answer_fails_its_case(self):
        sizes = {row["case"]["test"]: row["case"]["of"] for row in rows()}
        scores = self.answers(wrong=["intens-0-1"])
        assert scores["n"] == sum(sizes.values())
        assert scores["error_intens"] == pytest.approx(100 / sizes["intens"])
        assert scores["error"] == pytest.approx(100 / sum(sizes.values())) == 100 - scores["passed"]
        assert scores["error_examples"] == pytest.approx(100 / sum(sizes[test] * SIZES[test] for test in SIZES))
        assert scores["error_comp"] == scores["error_taxonomy"] == 0
        assert scores["error_vocabulary"] == pytest.approx(100 / (sizes["intens"] + sizes["comp"]))

    def test_cases_that_cannot_pass_are_left_out_of_the_sound_ones_alone(self):
        scores = self.answers("ha")
        assert scores["error_prop"] == 100 - scores["passed_prop"] == 100
        assert scores["error_prof_sound"] == scores["error_sound"] == 0
        # A language without a sound case of a test has no such number.
        assert "error_prop_sound" not in scores and "passed_anim2_sound" not in scores

    def test_a_case_without_examples_has_failed(self):
        about = {"test": "prop", "capability": "Taxonomy", "of": 4, "faults": []}
        predictions = [
            {"id": f"prop-{n}-0", "prediction": "x", "gold": ["x"], "case": about | {"number": n}} for n in (0, 2)
        ]
        records = METRIC.measure(predictions, "mr")
        assert [(record["id"], record["passed"], bool(record["faults"])) for record in records] == [
            ("prop-0", 100, False), ("prop-1", 0, True), ("prop-2", 100, False), ("prop-3", 0, True)
        ]  # fmt: skip
        scores = METRIC.summarise(records)
        assert (scores["error_prop"], scores["error_prop_sound"], scores["n"]) == (50, 0, 4)

    @pytest.mark.parametrize("key", ["passed", "passed_comp", "correct", "passed_sound", "correct_sound"])
    def test_terms_of_cases_sum_to_the_number(self, key):
        predictions = [
            {"id": row["id"], "prediction": "Zeke", "gold": row["answers"]["text"], "case": row["case"]}
            for row in rows()
        ]
        records = METRIC.measure(predictions, "en")
        above, below = (
            sum(terms) for terms in zip(*(METRIC.ratio_terms(record, key) for record in records), strict=True)
        )
        assert METRIC.summarise(records)[key] == pytest.approx(above / below)

    def test_rows_of_other_data_sets_are_refused(self):
        assert "case" in METRIC.problem({"prediction": "a", "gold": ["a"]})
        case = {"test": "comp", "number": "0", "of": 1, "faults": []}
        assert "case" in METRIC.problem({"prediction": "a", "gold": ["a"], "case": case})


class TestSuites:
    @pytest.mark.parametrize("lang", ["en", "sw", "ha"])
    def test_a_suite_in_json_lines_gives_the_rows_it_was_made_of(self, lang):
        assert rows(lang, checklist_files(as_suite(rows(lang), lang))) == rows(lang)

    @pytest.mark.parametrize("lang", ["en", "sw"])
    def test_the_published_format_gets_its_answers_from_the_templates(self, lang):
        found = rows(lang)
        data = [
            {
                "title": "",
                "paragraphs": [{"context": row["context"], "qas": [{"question": row["question"], "id": "0"}]}],
            }
            for row in found
        ]
        published = "suite.json", json.dumps({"version": "fake", "data": data})
        assert rows(lang, checklist_files(published)) == found

    def test_a_published_question_that_no_template_makes_is_named(self):
        data = [{"title": "", "paragraphs": [{"context": "What?", "qas": [{"question": "Why?", "id": "0"}]}]}]
        published = "suite.json", json.dumps({"version": "fake", "data": data})
        with pytest.raises(UserError, match="no templates make the question 'Why\\?'"):
            rows("en", checklist_files(published))

    def test_a_suite_that_the_templates_do_not_make_keeps_its_answers(self):
        line = {
            "test": "Animal vs Vehicle",
            "context": "Bo has a cow.",
            "question": "What?",
            "answer": "a cow",
            "case": 0,
        }
        (row,) = rows("en", checklist_files(("suite.jsonl", json.dumps(line))))
        assert (row["id"], row["answers"], row["case"]["faults"]) == (
            "anim-0-0", {"text": ["a cow"], "answer_start": [7]}, []
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"test": "Other"}, "unknown test 'Other'"),
            ({"case": "1"}, "expected a whole number in 'case'"),
            ({"lang": "sw"}, "a line in 'sw' in a suite for 'en'"),
            ({"answer": " "}, "the field 'answer' is empty"),
        ],
    )
    def test_faults_name_the_line(self, change, message):
        line = {"test": "Animal vs Vehicle", "context": "A", "question": "B", "answer": "A", "case": 0}
        text = json.dumps(line) + "\n" + json.dumps(line | {"case": 1} | change)
        with pytest.raises(UserError, match=message) as caught:
            rows("en", checklist_files(("suite.jsonl", text)))
        assert caught.value.where == "suite.jsonl:2"

    def test_a_case_that_comes_twice_is_a_fault(self):
        line = {"test": "Animal vs Vehicle", "context": "A", "question": "B", "answer": "A"}
        text = "\n".join(json.dumps(line | {"case": number}) for number in (1, 0))
        with pytest.raises(UserError, match="case 0 of the test 'Animal vs Vehicle' comes twice"):
            rows("en", checklist_files(("suite.jsonl", text)))


class TestFiles:
    @pytest.mark.parametrize(
        ("templates", "names", "message", "where"),
        [
            (table_text(head=["Feld", *HEAD[1:]]), names_text(), "expected a table whose columns", "templates.tsv:1"),
            (table_text(LINES[2:]), names_text(), "the line 'Context' comes before any `Name`", "templates.tsv:2"),
            (table_text([["Name", "Else"]]), names_text(), "unknown test 'Else'", "templates.tsv:2"),
            (table_text(LINES[:-9]), names_text(), "the test 'Animal vs Vehicle v2' is missing", "templates.tsv"),
            (table_text(), "{}", "the field 'names' is missing", "names.json"),
            (
                table_text(),
                '{"names": {"en": {"male": [1], "female": ["A"]}}}',
                "list of names in 'male'",
                "names.json: names",
            ),
            (table_text(), "{", "not valid JSON", "names.json:1"),
        ],
    )
    def test_a_fault_has_a_place(self, templates, names, message, where):
        with pytest.raises(UserError, match=message) as caught:
            rows("en", [("templates.tsv", templates), ("names.json", names)])
        assert caught.value.where == where

    def test_a_language_without_a_column_is_a_fault(self):
        with pytest.raises(UserError, match="no templates in 'fr'"):
            rows("fr")

    def test_one_file_is_not_enough(self):
        with pytest.raises(UserError, match="expected the templates and the names, found 1 files"):
            rows("en", checklist_files()[:1])


RECORD = {
    "task": "qa",
    "title": "t",
    "licence": "l",
    "reader": "multichecklist",
    "languages": ["en"],
    "source": {"files": ["{mine}/a", "{mine}/b"]},
    "splits": {"test": {}},
}


class TestRecords:
    def test_the_metric_needs_the_reader(self):
        record = RECORD | {"metric": "multichecklist", "reader": "squad"}
        with pytest.raises(UserError, match="The metric counts cases"):
            load_registry(ROOT / "registry", {"mine": record})

    def test_the_size_needs_the_reader(self):
        record = RECORD | {"suite": {"cases": 9}, "reader": "squad"}
        with pytest.raises(UserError, match="The key is for the reader `multichecklist`"):
            load_registry(ROOT / "registry", {"mine": record})

    def test_the_size_reaches_the_record(self):
        record = RECORD | {"metric": "multichecklist", "suite": {"cases": 9}}
        assert load_registry(ROOT / "registry", {"mine": record})["mine"].suite == {"cases": 9}


WORDS = st.lists(st.text("ab c", min_size=1, max_size=3), min_size=1, max_size=4, unique=True)


@given(WORDS, WORDS, st.data())
def test_the_draw_of_any_case_is_found_again(animals, names, data):
    """Whatever the words are, some draw is found, and it gives the same case."""
    pairs = (Pair("{male}?", "{animal}", True), Pair("who?", "{male}", True))
    variant = Variant(("{male} {animal}.", "{animal}{male}"), pairs, {"male": names, "animal": animals}, 1)
    values = {"male": data.draw(st.sampled_from(names)), "animal": data.draw(st.sampled_from(animals))}
    if values["male"] == values["animal"]:
        return
    context = fill("{male} {animal}.", values)
    found = list(VariantMatcher(variant).draws(context, f"{values['male']}?"))
    assert values in found
    assert all(expand(variant, other)[0].context == context for other in found)


@given(st.text(max_size=60), st.sampled_from(["suite", "templates", "names"]))
def test_any_text_gives_rows_or_a_clear_message(text, place):
    files = {"suite": as_suite(rows(cases=1), "en")[1], "templates": table_text(), "names": names_text()}
    files[place] = files[place][:40] + text + files[place][40:]
    try:
        rows("en", list(files.items()))
    except UserError as error:
        assert error.where
