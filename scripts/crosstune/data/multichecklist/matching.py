"""Which draw of which variant a published case is: its questions are then known to be paired rightly or not."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import product

from crosstune.data.multichecklist.cases import (
    PLACEHOLDER,
    Example,
    are_distinct,
    choices,
    expand,
    fill,
    placeholders,
)
from crosstune.data.multichecklist.variants import Value, Variant

Values = dict[str, Value]


class VariantMatcher:
    """Finds the draws of a variant that give a context and a question."""

    def __init__(self, variant: Variant):
        self.variant = variant
        self.keys = placeholders(variant)
        self._texts: dict[tuple[str, str], dict[str, list[Value]]] = {}

    @property
    def size(self) -> int:
        """The number of examples of a case."""
        return len(self.variant.contexts) * len(self.variant.pairs)

    @cached_property
    def _split(self) -> dict[str, list[str]]:
        """Every template as literal, slot, literal, slot, ... literal."""
        templates = [*self.variant.contexts, *(pair.question for pair in self.variant.pairs)]
        return {template: _literals_and_slots(template) for template in templates}

    def draws(self, context: str, question: str, where: tuple[int, int] = (0, 0)) -> Iterator[Values]:
        """The draws whose context and question of the numbers `where` are these, as far as these show them.

        Placeholders of answers alone, which no official template has, would be missing.
        """
        template, pair = self.variant.contexts[where[0]], self.variant.pairs[where[1]]
        for some in self._parse(self._split[template], context, {}):
            for values in self._parse(self._split[pair.question], question, some):
                # Two values can have a form in common that only another question tells apart.
                for combination in product(*values.values()):
                    if are_distinct(combination):
                        yield dict(zip(values, combination, strict=True))

    def _parse(self, parts: Sequence[str], text: str, known: Mapping[str, list[Value]]) -> Iterator[dict]:
        """The values, by placeholder, with which a template gives a text. `known`: those still possible."""
        if not text.startswith(parts[0]):
            return
        rest = text[len(parts[0]) :]
        if len(parts) == 1:
            if not rest:
                yield dict(known)
            return
        slot, literal = parts[1], parts[2]
        key = PLACEHOLDER.fullmatch(slot)["key"]
        is_last = len(parts) == 3
        ends = [len(rest) - len(literal)] if is_last else _places(rest, literal)
        for end in ends:
            options = self._options(key, slot, rest[:end]) if end >= 0 else []
            if key in known:
                options = [value for value in options if any(value is other for other in known[key])]
            if options:
                yield from self._parse(parts[2:], rest[end:], {**known, key: options})

    def _options(self, key: str, slot: str, text: str) -> list[Value]:
        """The values of a placeholder that fill a slot with this text."""
        if (key, slot) not in self._texts:
            texts: dict[str, list[Value]] = {}
            for value in choices(self.variant, key):
                texts.setdefault(fill(slot, {key: value}), []).append(value)
            self._texts[key, slot] = texts
        return self._texts[key, slot].get(text, [])


def find_draw(matchers: Sequence[VariantMatcher], asked: Sequence[tuple[str, str]]) -> list[Example] | None:
    """The examples of the longest case with which a list of (context, question) begins; None if there is none.

    Contexts and questions of the list must be those of the case, in order; what follows them is free.
    """
    best: list[Example] | None = None
    for matcher in matchers:
        if not asked or not 0 < matcher.size <= len(asked) or (best and matcher.size <= len(best)):
            continue
        for values in matcher.draws(*asked[0]):
            complete = _completed(matcher, values, asked)
            examples = complete and expand(matcher.variant, complete)
            if examples and [(e.context, e.question) for e in examples] == list(asked[: matcher.size]):
                best = examples
                break
    return best


def _completed(matcher: VariantMatcher, values: Values, asked: Sequence[tuple[str, str]]) -> Values | None:
    """The draw with the placeholders that only later contexts or questions show."""
    questions = len(matcher.variant.pairs)
    for number in range(1, matcher.size):
        if set(values) >= set(matcher.keys):
            return values
        more = next(matcher.draws(*asked[number], divmod(number, questions)), None)
        if more is None:
            return None
        values = more | values
    return values if set(values) >= set(matcher.keys) else None


def _literals_and_slots(template: str) -> list[str]:
    parts, end = [], 0
    for match in PLACEHOLDER.finditer(template):
        parts += [template[end : match.start()], match[0]]
        end = match.end()
    return [*parts, template[end:]]


def _places(text: str, literal: str) -> Iterator[int]:
    """Where a literal begins in a text; everywhere if it is empty."""
    place = text.find(literal)
    while place >= 0:
        yield place
        place = text.find(literal, place + 1) if place < len(text) else -1
