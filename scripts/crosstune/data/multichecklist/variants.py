"""The official variants: which contexts, questions and words of a language belong together, and how often to draw them.

Where words must agree with each other, the table says for which English values a cell holds. The official generator
then draws a fixed number of cases from each group of cells. Its rules are kept with their quirks, because they decide
the suites: substrings are compared, lists may be shifted against their limits, and questions are paired with answers by
their order alone, which asks for the wrong answer where a language has several variants of a question.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from crosstune.data.multichecklist.templates import TemplateCell, Templates

# The separator of forms within a cell, and languages that separate them in another way.
SEPARATORS = {"my": " ", "th": " ", "ur": "،", "ar": "،", "fa": "،", "zh": "，"}  # noqa: RUF001

COMPARISON_GROUPS = ("ja", "ta", "ru", "hu", "pt")
INTENSIFIER_GROUPS = ("de", "ru", "ja", "vi")
PROFESSION_GROUPS = ("fr", "he", "it", "es", "uk", "ru", "pt", "el", "lt")
PROPERTY_GROUPS = (
    *("es", "he", "et", "fi", "fr", "it", "uk", "ur", "bg", "nl"),
    *("hi", "ru", "ja", "fa", "pl", "pt", "el", "lt", "de"),
)
ANIMAL_GROUPS = ("nl", "fi")
ANIMAL_CONTEXTS = ("ru", "tr")

Value = str | list[str] | dict[str, str]


@dataclass(frozen=True)
class Pair:
    """Templates of a question and of the answer that the suite expects. `is_own`: whether the table pairs them too."""

    question: str
    answer: str
    is_own: bool


@dataclass(frozen=True)
class Variant:
    """Contexts, each of which has all questions; the lists by placeholder; the number of draws."""

    contexts: tuple[str, ...]
    pairs: tuple[Pair, ...]
    values: Mapping[str, Sequence[Value]]
    draws: int


@dataclass(frozen=True)
class TestSource:
    """All that the variants of one test in one language depend on.

    `lists` is the templates whose lists of words count: its own, or those of `anim` for both tests of animals. `names`
    as of `read_names`. `cases`: how many to draw in all.
    """

    __test__ = False  # no class of tests, whatever pytest thinks of its name

    test: str
    lang: str
    own: Templates
    english: Templates
    lists: Templates
    english_lists: Templates
    names: Mapping[str, Sequence[str]]
    cases: int

    @property
    def separator(self) -> str:
        return SEPARATORS.get(self.lang, ", ")

    def forms(self, cells: Iterable[str]) -> list[list[str]]:
        """The forms in each cell."""
        return [cell.split(self.separator) for cell in cells]

    def variant(
        self,
        contexts: Iterable[TemplateCell],
        questions: Iterable[TemplateCell],
        values: Mapping[str, Sequence],
        draws: int,
    ) -> Variant:
        """A variant with the test's answers, paired with the questions by order."""
        pairs = zip(questions, self.own.answers, strict=False)
        return Variant(
            tuple(context.text for context in contexts),
            tuple(Pair(question.text, answer.text, self._is_own(question, answer)) for question, answer in pairs),
            {**self.names, **values},
            draws,
        )

    def _is_own(self, question: TemplateCell, answer: TemplateCell) -> bool:
        rows = {cell.row for cell in self.own.questions if cell.text == question.text}
        return answer.row in rows


def test_variants(source: TestSource) -> list[Variant]:
    """The variants of a test in a language, in the order of their cases."""
    return RULES[source.test](source)


test_variants.__test__ = False


def _filled(cells: Iterable[TemplateCell]) -> list[TemplateCell]:
    return [cell for cell in cells if cell.text]


def _words(values: Iterable[str]) -> list[str]:
    return [value for value in values if value]


def _share(cases: int, groups: int) -> int:
    """The draws of each group, at least one."""
    return max(1, cases // groups)


def _names_one(limits: str, english: str) -> bool:
    """Whether limits name an English value, whole or by its last word."""
    return bool(limits) and (english in limits or english.split(" ")[-1] in limits)


def _chosen(entries: Sequence, limits: Sequence[str], english: str) -> list:
    """The entries that hold for an English value: those whose limits name it, and those without limits."""
    texts = [entry.text if isinstance(entry, TemplateCell) else entry for entry in entries]
    return [
        entry
        for entry, text, limit in zip(entries, texts, limits, strict=False)
        if _names_one(limit, english) or (not limit and text)
    ]


# ---- comparisons ----------------------------------------------------------------------------------------------------


def _comparisons(source: TestSource) -> list[Variant]:
    own, contexts = source.own, _filled(source.own.contexts)
    if source.lang not in COMPARISON_GROUPS:
        values = {"adj": source.forms(own.values["adj"])}
        return [source.variant(contexts, _filled(own.questions), values, source.cases)]
    questions: dict[str, list[TemplateCell]] = {}
    for question, limits in zip(own.questions, own.limits["questions"], strict=False):
        questions.setdefault(limits, []).append(question)
    # A question that holds for all adjectives joins every group.
    common = _filled(questions.pop("", []))
    adjectives = list(zip(_words(own.values["adj"]), source.english.values["adj"], strict=False))
    return [
        source.variant(
            contexts,
            group + common,
            # The second English form has a space before it, so that the first of the limits never counts.
            {"adj": source.forms(cell for cell, english in adjectives if english.split(",")[1] in limits)},
            _share(source.cases, len(questions)),
        )
        for limits, group in questions.items()
    ]


# ---- intensifiers ---------------------------------------------------------------------------------------------------


def _intensifiers(source: TestSource) -> list[Variant]:
    own = source.own
    modifiers = {name: own.values[name] for name in ("very", "somewhat")}
    if source.lang not in INTENSIFIER_GROUPS:
        values = modifiers | {"s": own.values["state"]}
        return [source.variant(_filled(own.contexts), _filled(own.questions), values, source.cases)]
    states = dict(zip(source.english.values["state"], own.values["state"], strict=False))

    def limited_to(cells: Sequence[TemplateCell], limits: Sequence[str], english: str) -> list[TemplateCell]:
        # A state named twice in the limits gets the template twice.
        named = zip(cells, limits, strict=False)
        return [cell for cell, limit in named for state in limit.split(", ") if limit and state == english]

    return [
        source.variant(
            limited_to(own.contexts, own.limits["contexts"], english),
            limited_to(own.questions, own.limits["questions"], english),
            modifiers | {"s": [state]},
            _share(source.cases, len(states)),
        )
        for english, state in states.items()
    ]


# ---- properties -----------------------------------------------------------------------------------------------------


def _properties(source: TestSource) -> list[Variant]:
    own = source.own
    names = dict(zip(source.english.values["property"], _words(own.values["property"]), strict=False))
    if source.lang in PROPERTY_GROUPS:
        return _property_groups(source, names)
    order = list(names)
    pairs = [(first, second) for number, first in enumerate(order) for second in order[number + 1 :]]
    values = _property_values(pairs, names, {name: _words(own.values[name]) for name in names})
    if source.lang == "mr":
        return _marathi_properties(source, values)
    objects = source.forms(_words(own.values["obj"]))
    return [source.variant(_filled(own.contexts), _filled(own.questions), {"obj": objects, "p": values}, source.cases)]


def _property_values(
    pairs: Iterable[tuple[str, str]], names: Mapping[str, str], words: Mapping[str, Sequence[str]]
) -> list[dict[str, str]]:
    """The values of the placeholder `p`: two properties (p1, p2) with a word of each (v1, v2)."""
    return [
        {"p1": names[first], "p2": names[second], "v1": v1, "v2": v2}
        for first, second in pairs
        for v1, v2 in product(words[first], words[second])
    ]


def _marathi_properties(source: TestSource, values: list[dict[str, str]]) -> list[Variant]:
    """Contexts that agree with the object; some objects have none, and their cases no examples."""
    own, english = source.own, source.english.values["obj"]
    objects = dict(zip(english, _words(own.values["obj"]), strict=False))
    variants = [
        source.variant(
            _chosen(own.contexts, own.limits["contexts"], name),
            _filled(own.questions),
            {"obj": source.forms([cell]), "p": values},
            _share(source.cases, len(objects)),
        )
        for name, cell in objects.items()
    ]
    return _enough(variants, source.cases)


def _enough(variants: Sequence[Variant], cases: int) -> list[Variant]:
    """The first variants, as many as give more than `cases`."""
    chosen, total = [], 0
    for variant in variants:
        if total > cases:
            break
        chosen.append(variant)
        total += variant.draws
    return chosen


def _property_groups(source: TestSource, names: Mapping[str, str]) -> list[Variant]:
    """Questions that agree with the property, and words that agree with the object."""
    own, english = source.own, source.english.values
    properties, ages = _question_properties(source, names)
    objects = {
        name: (source.forms([cell]), {key: _chosen(own.values[key], own.limits[key], name) for key in names})
        for name, cell in zip(english["obj"], _words(own.values["obj"]), strict=False)
    }
    share = int(source.cases // len(properties) / 10) * (3 if source.lang == "pl" else 1)
    draws = 1 if source.lang == "ru" else max(1, share)
    cells = {cell.text: cell for cell in own.questions}
    variants = []
    for first, second in product(properties, repeat=2):
        # Russian questions do not name the property.
        if source.lang != "ru" and ("p1}" not in first or "p2}" not in second):
            continue
        if properties[first] == properties[second] and len(properties[first]) == 1:
            continue
        pairs = [(p1, p2) for p1, p2 in product(properties[first], properties[second]) if p1 != p2]
        for name, (forms, words) in objects.items():
            if any(name not in ages[question] for question in (first, second) if question in ages):
                continue
            values = {"obj": forms, "p": _property_values(pairs, names, words)}
            contexts = _property_contexts(source, properties[first])
            variants.append(source.variant(contexts, [cells[first], cells[second]], values, draws))
    return _enough(variants, source.cases)


def _question_properties(source: TestSource, names: Mapping[str, str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The English properties that each question asks for, and the limits of Russian questions for age."""
    properties: dict[str, dict[str, None]] = {}
    ages = {}
    for question, limits in zip(source.own.questions, source.own.limits["questions"], strict=False):
        if source.lang == "ru" and limits.startswith("age"):
            # These limits list objects as well.
            ages[question.text] = limits
            limits = "age"
        if limits or question.text:
            listed = limits.strip().split(", ") if limits else list(names)
            properties.setdefault(question.text, {}).update(dict.fromkeys(listed))
    return {question: list(listed) for question, listed in properties.items()}, ages


def _property_contexts(source: TestSource, properties: Sequence[str]) -> list[TemplateCell]:
    """The contexts; in Dutch the one for materials or the one for all else, by the first property."""
    own = source.own
    if source.lang != "nl":
        return _filled(own.contexts)
    wanted = "material" if "material" in properties else "color"
    named = zip(own.contexts, own.limits["contexts"], strict=False)
    return [[context for context, limits in named if wanted in limits.split(", ")][-1]]


# ---- professions ----------------------------------------------------------------------------------------------------


def _professions(source: TestSource) -> list[Variant]:
    own = source.own
    if source.lang not in PROFESSION_GROUPS:
        values = {name: _words(own.values[name]) for name in ("nationality", "profession")}
        return [source.variant(_filled(own.contexts), _filled(own.questions), values, source.cases)]
    names = dict(zip(source.english.values["profession"], _words(own.values["profession"]), strict=False))
    return [
        source.variant(
            _chosen(own.contexts, own.limits["contexts"], name),
            _chosen(own.questions, own.limits["questions"], name),
            {
                "nationality": _chosen(own.values["nationality"], own.limits["nationality"], name),
                "profession": [profession],
            },
            max(1, int(source.cases // len(names) * 1.5)),
        )
        for name, profession in names.items()
    ]


# ---- animals and vehicles -------------------------------------------------------------------------------------------


def _animals(source: TestSource) -> list[Variant]:
    own, lists = source.own, source.lists
    words = {name: _words(lists.values[name]) for name in ("animal", "vehicle")}
    contexts, questions = _filled(own.contexts), _filled(own.questions)
    if source.lang in ANIMAL_GROUPS:
        names = dict(zip(source.english_lists.values["animal"], words["animal"], strict=False))
        return [
            source.variant(
                _chosen(own.contexts, own.limits["contexts"], name),
                questions,
                words | {"animal": [animal]},
                _share(source.cases, len(names)),
            )
            for name, animal in names.items()
        ]
    if source.lang in ANIMAL_CONTEXTS:
        english = [cell.text for cell, _ in zip(source.english.contexts, contexts, strict=False)]
        limited = {name: _for_contexts(lists.values[name], lists.limits[name], english) for name in words}
        return [source.variant(contexts, questions, limited, _share(source.cases, len(english)))]
    if source.lang == "qu" and source.test == "anim":
        # The endings of an answer depend on its place in the context.
        pairs = zip(questions, own.limits["answers"], strict=False)
        other = tuple(Pair(question.text, answer, True) for question, answer in pairs)
        first = source.variant(contexts[:1], questions, words, _share(source.cases, 2))
        return [first, Variant((contexts[1].text,), other, first.values, first.draws)]
    return [source.variant(contexts, questions, words, source.cases)]


def _for_contexts(values: Sequence[str], limits: Sequence[str], contexts: Sequence[str]) -> list[str]:
    """The words that hold for any of the English contexts; they are drawn for all."""
    chosen = [
        value
        for value, limit in zip(values, limits, strict=False)
        if any(context in limit for context in contexts) or (not limit and value)
    ]
    return list(dict.fromkeys(chosen))


RULES: Mapping[str, Callable[[TestSource], list[Variant]]] = {
    "comp": _comparisons,
    "intens": _intensifiers,
    "prop": _properties,
    "prof": _professions,
    "anim": _animals,
    "anim2": _animals,
}
