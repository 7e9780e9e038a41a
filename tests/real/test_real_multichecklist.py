"""MultiCheckList against the official suites, the official counts and the official rules."""

import csv
import io
import json
import os
import random
from collections import Counter
from functools import cache
from itertools import groupby
from pathlib import Path

import pytest
from helpers.checklist_rules import OfficialRules

from crosstune.core.files import read_text
from crosstune.data.multichecklist.answers import EMPTY, clean
from crosstune.data.multichecklist.cases import draw_cases, fill
from crosstune.data.multichecklist.matching import VariantMatcher, find_draw
from crosstune.data.multichecklist.reader import OFFICIAL_SUITE
from crosstune.data.multichecklist.templates import TESTS, read_names, read_templates
from crosstune.data.multichecklist.variants import TestSource, test_variants
from crosstune.data.prepare import load_rows
from crosstune.data.readers import read_rows
from crosstune.data.readers.pieces import ReaderOptions
from crosstune.data.registry import load_registry
from crosstune.evaluation.metrics import METRICS

ROOT = Path(__file__).parents[2]
BUNDLE = Path(os.environ.get("CROSSTUNE_BUNDLE", ROOT.parent / "shared" / "data"))
FOLDER = BUNDLE / "multichecklist"
TEMPLATES, NAMES = FOLDER / "checklist_templates.tsv.xz", FOLDER / "names.json.xz"

pytestmark = pytest.mark.skipif(
    not TEMPLATES.exists(), reason=f"no MultiCheckList in {FOLDER} (set CROSSTUNE_BUNDLE to the folder above)"
)

REGISTRY = load_registry(ROOT / "registry")
LANGUAGES = REGISTRY["multichecklist"].languages
SUITES = REGISTRY["multichecklist_suites"].languages
SHORT = {name: test for test, name in TESTS.items()}
METRIC = METRICS["multichecklist"]

# Draws in which two of a case's values are equal are dropped, by chance: of 200 at most this many.
MOST_DROPPED = 20
NAME_TESTS = ("comp", "intens", "anim2")  # two names that can be equal


@cache
def table() -> dict:
    return read_templates(read_text(TEMPLATES), str(TEMPLATES))


@cache
def counts() -> dict:
    lines = csv.DictReader(io.StringIO((FOLDER / "counts.tsv").read_text()), delimiter="\t")
    return {
        (line["lang"], line["test"]): {key: int(value) for key, value in line.items() if key not in ("lang", "test")}
        for line in lines
    }


def variants(test: str, lang: str, cases: int = OFFICIAL_SUITE["cases"]):
    lists = table()["anim" if test == "anim2" else test]
    names = read_names(read_text(NAMES), str(NAMES), lang)
    own = table()[test]
    return test_variants(TestSource(test, lang, own[lang], own["en"], lists[lang], lists["en"], names, cases))


def rows(name: str, lang: str) -> list[dict]:
    return load_rows(REGISTRY[name], "test", lang, {"bundle": BUNDLE}, ".")[0]


@cache
def suite(lang: str) -> list[dict]:
    lines = read_text(FOLDER / f"suites/{lang}.jsonl.xz").splitlines()
    return [json.loads(line) for line in lines if line]


@pytest.mark.parametrize("lang", SUITES)
def test_our_templates_make_every_example_of_the_official_suite(lang):
    matchers = {test: [VariantMatcher(variant) for variant in variants(test, lang)] for test in TESTS}
    for (test, number), group in groupby(suite(lang), key=lambda line: (SHORT[line["test"]], line["case"])):
        lines = list(group)
        found = find_draw(matchers[test], [(line["context"], line["question"]) for line in lines])
        assert found is not None, (test, number)
        assert [example.answer for example in found] == [line["answer"] for line in lines], (test, number)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_official_rules_make_every_example_of_ours(lang):
    cells = [line.rstrip("\r\n").split("\t") for line in read_text(TEMPLATES).split("\n")]
    names = read_names(read_text(NAMES), str(NAMES), lang)
    for test, name in TESTS.items():
        rules = OfficialRules(cells, name, lang, names)
        for case in draw_cases(variants(test, lang, 20), 7, test):
            for example in case.examples:
                assert rules.can_make(example.context, example.question, example.answer), (test, example)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_counts_are_the_official_ones_but_for_the_draw(lang):
    for test in TESTS:
        official, own = counts()[lang, test], variants(test, lang)
        cases = draw_cases(own, OFFICIAL_SUITE["seed"], test)
        planned = sum(variant.draws if variant.contexts or variant.pairs else 1 for variant in own)
        dropped = MOST_DROPPED if test in NAME_TESTS else 0
        for found in (len(cases), official["cases"]):
            assert planned - dropped <= found <= planned, test
        sizes = {len(case.examples) for case in cases}
        assert min(sizes - {0}) <= official["examples"] / official["cases"] <= max(sizes), test
        faults = [case.faults(lang) for case in cases]
        assert sum(EMPTY in found for found in faults) == official["empty_cases"], test
        forced = sum(map(bool, faults))
        if official["cases_forced_to_fail"] in (0, official["cases"]):
            # A name that a context lacks can be a part of one that it has.
            assert 0 <= len(cases) * bool(official["cases_forced_to_fail"]) - forced <= 2, test
        else:
            assert abs(forced - official["cases_forced_to_fail"]) <= 20, test


@pytest.mark.parametrize("lang", SUITES)
def test_the_words_that_we_draw_are_those_of_the_official_suite(lang):
    """A suite of 100 or more draws lacks hardly any word of a list."""
    found = {line["answer"] for line in suite(lang) if SHORT[line["test"]] == "anim"}
    templates = {pair.answer for variant in variants("anim", lang) for pair in variant.pairs}
    words = {
        fill(template, {"animal": animal, "vehicle": vehicle})
        for template in templates
        for variant in variants("anim", lang)
        for animal in variant.values["animal"]
        for vehicle in variant.values["vehicle"]
    }
    assert found <= words and len(words) - len(found) <= 2


@pytest.mark.parametrize("lang", SUITES)
def test_exactly_the_cases_that_cannot_pass_are_flagged(lang):
    flagged = Counter()
    sizes = {}
    seen = set()
    for row in rows("multichecklist_suites", lang):
        case = row["case"]
        sizes[case["test"]] = case["of"]
        if (case["test"], case["number"]) not in seen:
            seen.add((case["test"], case["number"]))
            flagged[case["test"]] += bool(case["faults"])
    for test, size in sizes.items():
        official = counts()[lang, test]
        empty = size - len([key for key in seen if key[0] == test])
        assert size == official["cases"] and empty == official["empty_cases"], test
        assert flagged[test] + empty == official["cases_forced_to_fail"], test


@pytest.mark.parametrize("lang", SUITES)
def test_error_rates_of_perturbed_predictions_are_those_of_the_official_aggregation(lang):
    """The official rule: an example passes if both answers are equal after `clean`, a case if all of its examples do,
    and the error rate is 1 - passed cases / cases; a case without examples fails."""
    draw = random.Random(lang)
    wrong = [draw.random() < 0.05 for _ in suite(lang)]
    answers = [("?" if is_wrong else line["answer"]) for line, is_wrong in zip(suite(lang), wrong, strict=True)]
    prepared = rows("multichecklist_suites", lang)
    assert [row["context"] for row in prepared] == [line["context"] for line in suite(lang)]
    predictions = [
        {"id": row["id"], "prediction": answer, "gold": row["answers"]["text"], "case": row["case"]}
        for row, answer in zip(prepared, answers, strict=True)
    ]
    scores = METRIC.summarise(METRIC.measure(predictions, lang))
    passed: dict[str, dict[int, bool]] = {test: {} for test in TESTS}
    for line, answer in zip(suite(lang), answers, strict=True):
        own = passed[SHORT[line["test"]]]
        own[line["case"]] = own.get(line["case"], True) and clean(answer, lang) == clean(line["answer"], lang)
    for test, own in passed.items():
        expected = 100 * (1 - sum(own.values()) / counts()[lang, test]["cases"])
        assert scores[f"error_{test}"] == pytest.approx(expected), test
    total = sum(counts()[lang, test]["cases"] for test in TESTS)
    assert scores["n"] == total
    assert scores["error"] == pytest.approx(100 * (1 - sum(sum(own.values()) for own in passed.values()) / total))
    assert scores["correct"] == pytest.approx(100 * (1 - sum(wrong) / len(wrong)))


@pytest.mark.parametrize("lang", ["ar", "de", "en", "es", "ru"])
def test_the_published_format_gives_the_answers_of_the_suite(lang):
    data = [
        {"title": "", "paragraphs": [{"context": line["context"], "qas": [{"question": line["question"], "id": "0"}]}]}
        for line in suite(lang)
    ]
    files = [
        (f"{lang}_squad_suite.json", json.dumps({"version": "fake", "data": data})),
        (str(TEMPLATES), read_text(TEMPLATES)),
        (str(NAMES), read_text(NAMES)),
    ]
    found = read_rows("multichecklist", files, ReaderOptions(lang))
    given = rows("multichecklist_suites", lang)
    keys = ("context", "question", "answers")
    assert [[row[key] for key in keys] for row in found] == [[row[key] for key in keys] for row in given]
    assert [row["case"]["faults"] for row in found] == [row["case"]["faults"] for row in given]


def test_languages_whose_lists_are_aligned_have_cases_that_translate_each_other():
    english, swahili = (draw_cases(variants("anim", lang), 42, "anim") for lang in ("en", "sw"))
    words = table()["anim"]
    for one, other in zip(english, swahili, strict=True):
        index = words["en"].values["animal"].index(one.examples[0].answer)
        assert other.examples[0].answer == words["sw"].values["animal"][index]
