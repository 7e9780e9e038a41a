"""Test cases drawn from the official variants, and their faults.

A case is a draw of one value for each placeholder. Its examples are all contexts with all questions. The draw of a
value depends on the seed, the test, the number of the variant and of the draw, and the placeholder, but not on the
language. So languages whose lists translate each other, entry by entry, have cases that translate each other.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from crosstune.core.random_streams import derive
from crosstune.data.multichecklist.answers import EMPTY, clean, find_answer
from crosstune.data.multichecklist.variants import Value, Variant

# {adj[1]}, {p.v1}, {first_name2}, and {a:animal}, which puts the English article before the word.
PLACEHOLDER = re.compile(r"\{(?:(?P<article>a):)?(?P<key>[a-z_]+\d*)(?:\[(?P<form>\d+)\]|\.(?P<part>\w+))?\}")

DRAW_BITS = 63  # of the numbers that `derive` gives

VOWELS = "aeiou"

# Why a right answer cannot pass a case.
SAME_QUESTION = "same question"  # one question about one context has two answers
NOT_IN_CONTEXT = "not in context"
WRONG_ANSWER = "wrong answer"  # the question is paired with the answer to another one


@dataclass(frozen=True)
class Example:
    """One question. `answer` is what the suite expects, None if the source leaves it out.

    `is_own`: whether the table pairs the question with this answer; true where the table is not known.
    """

    context: str
    question: str
    answer: str
    is_own: bool = True


@dataclass(frozen=True)
class Case:
    """One test case: its number within the test, from 0, and its examples, which may be none."""

    number: int
    examples: tuple[Example, ...]

    def faults(self, lang: str) -> list[str]:
        """Why a right answer cannot pass the case; empty for a sound one."""
        if not self.examples:
            return [EMPTY]
        asked: dict[tuple[str, str], set[str]] = {}
        for example in self.examples:
            asked.setdefault((example.context, example.question), set()).add(clean(example.answer, lang))
        found = {
            SAME_QUESTION: any(len(answers) > 1 for answers in asked.values()),
            NOT_IN_CONTEXT: any(find_answer(e.context, e.answer, lang) is None for e in self.examples),
            WRONG_ANSWER: not all(example.is_own for example in self.examples),
        }
        return [fault for fault, is_found in found.items() if is_found]


def draw_cases(variants: Sequence[Variant], seed: int, test: str) -> list[Case]:
    """The cases of all variants. Draws in which two placeholders have equal values are left out, as officially."""
    drawn = [
        expand(variant, values)
        for group, variant in enumerate(variants)
        for values in _draws(variant, (seed, "multichecklist", test, group))
    ]
    return [Case(number, tuple(examples)) for number, examples in enumerate(drawn)]


def expand(variant: Variant, values: Mapping[str, Value]) -> list[Example]:
    """The examples of one draw: every context with every question, in the official order."""
    contexts = [fill(context, values) for context in variant.contexts]
    pairs = [(fill(pair.question, values), fill(pair.answer, values), pair.is_own) for pair in variant.pairs]
    return [Example(context, *pair) for context, pair in product(contexts, pairs)]


def placeholders(variant: Variant) -> list[str]:
    """The placeholders of a variant's templates, each once, by first appearance."""
    templates = [*variant.contexts, *(text for pair in variant.pairs for text in (pair.question, pair.answer))]
    return list(dict.fromkeys(match["key"] for text in templates for match in PLACEHOLDER.finditer(text)))


def choices(variant: Variant, key: str) -> Sequence[Value]:
    """The list of a placeholder; `first_name2` draws from that of `first_name`."""
    return variant.values[key.rstrip("0123456789")]


def are_distinct(values: Iterable[Value]) -> bool:
    """Whether no two placeholders have equal values."""
    texts = [str(value) for value in values]
    return len(set(texts)) == len(texts)


def fill(template: str, values: Mapping[str, Value]) -> str:
    """The template with the values of its placeholders."""

    def text_of(match: re.Match) -> str:
        value = values[match["key"]]
        text = value[int(match["form"])] if match["form"] else value[match["part"]] if match["part"] else value
        if match["article"]:
            return f"{'an' if text[0].lower() in VOWELS else 'a'} {text}"
        return text

    return PLACEHOLDER.sub(text_of, template)


def _draws(variant: Variant, stream: tuple) -> Iterator[dict[str, Value]]:
    keys = placeholders(variant)
    if not keys:
        # The official generator makes one case of a variant without any template, and it has no examples.
        yield {}
        return
    for number in range(variant.draws):
        values = {
            key: choices(variant, key)[derive(*stream, key, number) * len(choices(variant, key)) >> DRAW_BITS]
            for key in keys
        }
        if are_distinct(values.values()):
            yield values
