"""The reader of MultiCheckList: rows of question answering from templates, or from a suite that somebody made of them.

Files: the table of templates and the names, and before these, if given, a suite. A suite is JSON lines with the keys
test, context, question, answer, case, or the published JSON without answers; these follow from the templates.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import NamedTuple

from crosstune.core.errors import UserError
from crosstune.data.multichecklist.answers import find_answer
from crosstune.data.multichecklist.cases import Case, Example, draw_cases
from crosstune.data.multichecklist.matching import VariantMatcher, find_draw
from crosstune.data.multichecklist.templates import CAPABILITIES, TESTS, Templates, read_names, read_templates
from crosstune.data.multichecklist.variants import TestSource, Variant, test_variants
from crosstune.data.readers.pieces import ReaderOptions, json_field, numbered_lines, parse_json, text_field
from crosstune.data.readers.qa import paragraphs

# The official number of cases of a test, and the official seed (of another generator).
OFFICIAL_SUITE = {"cases": 200, "seed": 42}

ABSENT = -1  # the offset of an answer that no span of the context equals


class Asked(NamedTuple):
    """One line of a suite; `answer` is None in the published format."""

    context: str
    question: str
    answer: str | None
    where: str


def read_suite(files: Sequence[tuple[str, str]], options: ReaderOptions) -> Iterator[dict]:
    """The rows of one language. Raises UserError for other files than the three, and for faults in them.

    A row's `case` says to which case it belongs: `test`, `capability`, `number`, `of` (how many cases the test has) and
    `faults`, why a right answer cannot pass it.
    """
    if len(files) not in (2, 3):
        fix = 'source: {files: ["{bundle}/checklist_templates.tsv", "{bundle}/names.json"]}'
        raise UserError(f"expected the templates and the names, found {len(files)} files", files[0][0], fix)
    *suite, (file, text), (names_file, names_text) = files
    names = read_names(names_text, names_file, options.lang)
    settings = {**OFFICIAL_SUITE, **options.suite}
    sources = _sources(read_templates(text, file), names, options.lang, settings["cases"], file)
    with _consistent_table(file, options.lang):
        variants = {test: test_variants(source) for test, source in sources.items()}
        if suite:
            (name, content), *_ = suite
            tests = _read_cases(content, name, options.lang, variants)
        else:
            tests = {test: draw_cases(variants[test], settings["seed"], test) for test in TESTS}
    for test, cases in tests.items():
        for case in cases:
            yield from case_rows(case, test, cases[-1].number + 1, options.lang)


@contextmanager
def _consistent_table(file: str, lang: str) -> Iterator[None]:
    """UserError for a table whose lists, templates and limits do not fit together.

    The official rules look words up by names, places and forms that other cells give, so any cell may lack one.
    """
    try:
        yield
    except (LookupError, ValueError, TypeError, ZeroDivisionError) as error:
        message = f"the templates in {lang!r} do not fit together ({error!r})"
        raise UserError(message, file, "Get the table as it was published.") from None


def case_rows(case: Case, test: str, of: int, lang: str) -> Iterator[dict]:
    """The rows of a case; none if it has no examples, which `of` reveals in the others."""
    about = {
        "test": test,
        "capability": CAPABILITIES[test],
        "number": case.number,
        "of": of,
        "faults": case.faults(lang),
    }
    for number, example in enumerate(case.examples):
        # An equal span, so that the row's answer is literally in the context.
        text, start = find_answer(example.context, example.answer, lang) or (example.answer, ABSENT)
        yield {
            "id": f"{test}-{case.number}-{number}",
            "context": example.context,
            "question": example.question,
            "answers": {"text": [text], "answer_start": [start]},
            "case": about,
        }


def _sources(
    tests: Mapping[str, Mapping[str, Templates]], names: Mapping[str, Sequence[str]], lang: str, cases: int, file: str
) -> dict[str, TestSource]:
    """What the variants of every test depend on. UserError for a language without a column."""
    if lang not in tests["comp"]:
        raise UserError(f"no templates in {lang!r}", file, f"There are: {', '.join(tests['comp'])}.")
    sources = {}
    for test, templates in tests.items():
        lists = tests["anim"] if test == "anim2" else templates
        sources[test] = TestSource(test, lang, templates[lang], templates["en"], lists[lang], lists["en"], names, cases)
    return sources


# ---- suites ---------------------------------------------------------------------------------------------------------


def _read_cases(content: str, file: str, lang: str, variants: Mapping[str, Sequence[Variant]]) -> dict[str, list[Case]]:
    """The cases of a suite by test."""
    matchers = {test: [VariantMatcher(variant) for variant in own] for test, own in variants.items()}
    # The published file is one JSON object on one line.
    if '"paragraphs"' in content[:200]:
        return _published_cases(content, file, matchers)
    tests: dict[str, list[Case]] = {}
    lines = list(_lines(content, file, lang))
    for (test, number), group in groupby(lines, key=lambda line: line[0]):
        asked = [line[1] for line in group]
        cases = tests.setdefault(test, [])
        if cases and number <= cases[-1].number:
            raise UserError(f"case {number} of the test {TESTS[test]!r} comes twice or too late", asked[0].where)
        cases.append(Case(number, _given_examples(asked, matchers[test])))
    return tests


def _lines(content: str, file: str, lang: str) -> Iterator[tuple[tuple[str, int], Asked]]:
    """((test, number of the case), question) of every line of JSON."""
    short = {name: test for test, name in TESTS.items()}
    for number, line in numbered_lines(content):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        record = parse_json(line, file, number)
        name = text_field(record, "test", where)
        if name not in short:
            raise UserError(f"unknown test {name!r}", where, f"There are: {', '.join(TESTS.values())}.")
        if record.get("lang", lang) != lang:
            raise UserError(
                f"a line in {record['lang']!r} in a suite for {lang!r}", where, "Correct the record's files."
            )
        texts = [text_field(record, key, where) for key in ("context", "question", "answer")]
        yield (short[name], json_field(record, "case", int, where)), Asked(*texts, where)


def _given_examples(asked: Sequence[Asked], matchers: Sequence[VariantMatcher]) -> tuple[Example, ...]:
    """The examples of a case with given answers; the templates tell which questions have the answer to another."""
    found = find_draw(matchers, [(line.context, line.question) for line in asked]) or []
    given = tuple(Example(line.context, line.question, line.answer) for line in asked)
    is_same = [(e.context, e.question, e.answer) for e in found] == [(e.context, e.question, e.answer) for e in given]
    return tuple(found) if is_same else given


def _published_cases(
    content: str, file: str, matchers: Mapping[str, Sequence[VariantMatcher]]
) -> dict[str, list[Case]]:
    """The cases of a published suite, whose file has contexts and questions alone, in the order of tests and cases."""
    asked = [
        Asked(text_field(paragraph, "context", where), text_field(question, "question", where), None, where)
        for paragraph, where in paragraphs(content, file)
        for question in json_field(paragraph, "qas", list, where)
    ]
    pairs = [(line.context, line.question) for line in asked]
    longest = max(matcher.size for own in matchers.values() for matcher in own)
    tests: dict[str, list[Case]] = {}
    place, order = 0, list(TESTS)
    while place < len(pairs):
        # A test ends where the next one's cases begin.
        for test in order:
            examples = find_draw(matchers[test], pairs[place : place + longest])
            if examples:
                break
        else:
            message = f"no templates make the question {pairs[place][1]!r} about {pairs[place][0]!r}"
            raise UserError(message, asked[place].where, "Templates, names and suite must be of one version.")
        order = order[order.index(test) :]
        cases = tests.setdefault(test, [])
        cases.append(Case(len(cases), tuple(examples)))
        place += len(examples)
    return tests
