"""The official table of templates: six tests in 50 languages, a column a language, and the lists of first names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from crosstune.core.errors import UserError
from crosstune.data.readers.pieces import json_field, numbered_lines, parse_json

# The tests' names in the table, by our names.
TESTS = {
    "comp": "A is COMP than B. Who is more / less COMP?",
    "intens": "Intensifiers (very, super, extremely) and reducers (somewhat, kinda, etc)?",
    "prop": "size, shape, age, color",
    "prof": "Profession vs nationality",
    "anim": "Animal vs Vehicle",
    "anim2": "Animal vs Vehicle v2",
}

CAPABILITIES = {
    "comp": "Vocabulary",
    "intens": "Vocabulary",
    "prop": "Taxonomy",
    "prof": "Taxonomy",
    "anim": "Taxonomy",
    "anim2": "Taxonomy",
}

# Their translations agree with male names alone, so that the name of any gender is replaced by a male one.
MALE_TESTS = ("comp", "intens", "prof")

# Tests whose lists keep empty cells, so that a list stays next to the one of its limits.
ALIGNED_TESTS = ("prop", "prof")

LIMITS = "-placeholders"  # ends the name of a column with the English values that the column before holds for

TEMPLATE_FIELDS = {"Context": "contexts", "Question": "questions", "Answer": "answers"}

FALLBACK = "en"  # languages without names of their own get English ones, in silence


@dataclass(frozen=True)
class TemplateCell:
    """A template, and the number of its row among those of its field."""

    text: str
    row: int


@dataclass(frozen=True)
class Templates:
    """The templates of one test in one language, in the table's order, variant by variant within a row.

    `values`: the lists of its placeholders, such as `adj`. `limits`: for `contexts`, `questions` and each list, the
    English values that its entries hold for, "" for all. A list without empty cells may be shorter than its limits.
    """

    contexts: list[TemplateCell] = field(default_factory=list)
    questions: list[TemplateCell] = field(default_factory=list)
    answers: list[TemplateCell] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)
    limits: dict[str, list[str]] = field(default_factory=dict)


def read_templates(text: str, file: str) -> dict[str, dict[str, Templates]]:
    """The table's templates by test, then by language. Raises UserError if it is not the official table."""
    lines = numbered_lines(text)
    _, head = next(lines)
    columns = head.strip().split("\t")
    if columns[:2] != ["Field", "en"]:
        raise UserError("expected a table whose columns are `Field`, `en` and other languages", f"{file}:1")
    limited = [column.removesuffix(LIMITS) for column in columns if column.endswith(LIMITS)]
    if stray := [language for language in limited if language not in columns]:
        raise UserError(f"the column {stray[0] + LIMITS!r} belongs to no language", f"{file}:1")
    tests: dict[str, dict[str, Templates]] = {}
    names = {name: test for test, name in TESTS.items()}
    test, counts = "", dict.fromkeys(TEMPLATE_FIELDS, 0)
    for number, line in lines:
        # A line ends with its last cell that is not empty, as for the official reader.
        kind, *cells = line.strip().split("\t")
        where = f"{file}:{number}"
        if kind == "Name":
            if not cells or cells[0] not in names:
                raise UserError(f"unknown test {cells[0] if cells else ''!r}", where, f"There are: {', '.join(names)}.")
            test, counts = names[cells[0]], dict.fromkeys(TEMPLATE_FIELDS, 0)
            tests[test] = {column: Templates() for column in columns[1:] if not column.endswith(LIMITS)}
        elif kind and kind != "Capability":
            if not test:
                raise UserError(f"the line {kind!r} comes before any `Name`", where)
            _add_line(tests[test], test, kind, list(zip(columns[1:], cells, strict=False)), counts)
    if missing := [name for test, name in TESTS.items() if test not in tests]:
        raise UserError(f"the test {missing[0]!r} is missing", file, "Get the table as it was published.")
    return tests


def _add_line(
    languages: Mapping[str, Templates], test: str, kind: str, cells: list[tuple[str, str]], counts: dict[str, int]
) -> None:
    """Add one line of the table to the templates of all languages."""
    row = counts.get(kind, 0)
    for column, text in cells:
        templates = languages[column.removesuffix(LIMITS)]
        name = TEMPLATE_FIELDS.get(kind, kind)
        if test in MALE_TESTS and kind in TEMPLATE_FIELDS:
            text = text.replace("first_name", "male")
        if column.endswith(LIMITS):
            templates.limits.setdefault(name, []).append(text)
        elif kind == "Answer":
            templates.answers.extend([TemplateCell(text, row)] if text.strip() else [])
        elif kind in TEMPLATE_FIELDS:
            getattr(templates, name).append(TemplateCell(text, row))
        elif text.strip() or test in ALIGNED_TESTS:
            templates.values.setdefault(name, []).append(text)
    if kind in counts:
        counts[kind] += 1


def read_names(text: str, file: str, lang: str) -> dict[str, list[str]]:
    """The lists `male`, `female` and `first_name` of a language, or the English ones if it has none.

    `first_name` interleaves the two others, cut to the shorter one. The file is JSON: {"names": {language: {"male":
    [...], "female": [...]}}}.
    """
    by_language = json_field(parse_json(text, file), "names", dict, file)
    own = json_field(by_language, lang if lang in by_language else FALLBACK, dict, f"{file}: names")
    lists = {}
    for gender in ("male", "female"):
        lists[gender] = json_field(own, gender, list, f"{file}: names")
        if not lists[gender] or not all(isinstance(name, str) and name for name in lists[gender]):
            raise UserError(f"expected a list of names in {gender!r}", f"{file}: names")
    return lists | {"first_name": list(_interleave(lists["male"], lists["female"]))}


def _interleave(first: list[str], second: list[str]) -> Iterator[str]:
    for pair in zip(first, second, strict=False):
        yield from pair
