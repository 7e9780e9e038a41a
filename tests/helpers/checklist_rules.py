"""MultiCheckList's rules a second time, straight from the table of templates, without the code that draws cases.

An example can be made if cells of the language's columns give its context, question and answer with one word for each
placeholder, and if the limits beside these cells name the English values of the words.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

SLOT = re.compile(r"\{(?:a:)?(\w+?)(\d?)(?:\[(\d)\]|\.(\w+))?\}")
MALE = ("A is COMP", "Intensifiers", "Profession")
LISTS = {"s": "state", "adj": "adj", "obj": "obj"}
SEPARATORS = {"my": " ", "th": " ", "ur": "،", "ar": "،", "fa": "،", "zh": "，"}  # noqa: RUF001
PROPERTIES = ("color", "size", "age", "shape", "material")


class OfficialRules:
    """The rules of one test in one language. `table`: the lines of the table, as cells."""

    def __init__(self, table: Sequence[Sequence[str]], name: str, lang: str, names: Mapping[str, Sequence[str]]):
        self.lang, self.names = lang, names
        self.columns = [n for n, column in enumerate(table[0]) if column == lang]
        self.has_limits = f"{lang}-placeholders" in table[0]
        block = self._block(table, name)
        words = self._block(table, "Animal vs Vehicle") if name.startswith("Animal") else block
        male = name.startswith(MALE)
        self.contexts = self._templates(block, "Context", male)
        self.pairs = list(self._pairs(block, male))
        self.words = {kind: self._words(words, kind) for kind in {row[0] for row in words}}
        # In ru and tr a word's limits name contexts, and words of all contexts are drawn for each. In qu they are the
        # answers' other endings, and nothing reads those of pa and yo.
        self.limited = not (name.startswith("Animal") and lang in ("ru", "tr", "qu")) and lang not in ("pa", "yo")
        self._patterns = {text: self._pattern(text) for text, _ in self.contexts}

    def can_make(self, context: str, question: str, answer: str) -> bool:
        return any(
            self._fill(pair[0], values) == question
            and self._gives(pair[1], values, answer)
            and self._fits(values, limits, pair[2])
            for values, limits in self._parses(context)
            for pair in self.pairs
        )

    def _gives(self, template: str, values: Mapping, answer: str) -> bool:
        """Whether an answer's template gives it, with any name where no other text shows which."""
        keys = [(slot[1], slot[2]) for slot in SLOT.finditer(template)]
        if all(key in values for key in keys):
            return self._fill(template, values) == answer
        ((key, number),) = keys
        return any(self._fill(template, {(key, number): {"": name}}) == answer for _, name, _ in self._choices(key))

    # ---- the table ----

    @staticmethod
    def _block(table: Sequence[Sequence[str]], name: str) -> list[Sequence[str]]:
        (start,) = [number for number, row in enumerate(table) if list(row[:2]) == ["Name", name]]
        block = []
        for row in table[start + 2 :]:
            if not row[0].strip():
                break
            block.append(row)
        return block

    def _cells(self, row: Sequence[str]) -> Iterator[tuple[str, str]]:
        """(text, limits) of the language's cells in a row."""
        for number in self.columns:
            if row[number].strip():
                yield row[number], row[number + 1] if self.has_limits else ""

    def _templates(self, block, kind: str, male: bool) -> list[tuple[str, str]]:
        cells = [cell for row in block if row[0] == kind for cell in self._cells(row)]
        return [(text.replace("first_name", "male") if male else text, limits) for text, limits in cells]

    def _pairs(self, block, male: bool) -> Iterator[tuple[str, str, str]]:
        """(question, answer, limits). Any question may have any answer: the official program pairs them by order."""
        answers = [text for text, _ in self._templates(block, "Answer", male)]
        if self.lang == "qu":  # the other column has the answers' other endings
            answers += [row[self.columns[0] + 1] for row in block if row[0] == "Answer"]
        for question, limits in self._templates(block, "Question", male):
            for answer in answers:
                yield question, answer, limits

    def _words(self, block, kind: str) -> list[tuple[str, str, str]]:
        """(English value, word, limits) of a list. A list without limits is as long as the English one."""
        rows = [row for row in block if row[0] == kind]
        return [(row[1], text, limits) for row in rows for text, limits in self._cells(row)]

    # ---- examples ----

    def _choices(self, key: str) -> list[tuple[str, str, str]]:
        if key in self.names:
            return [("", name, "") for name in self.names[key]]
        return self.words[LISTS.get(key, key)]

    def _forms(self, key: str, form: str, part: str) -> set[str]:
        """The texts that a slot can have."""
        if key == "p":
            return {word for name in PROPERTIES for _, word, _ in self._choices(name)}
        words = [word for _, word, _ in self._choices(key)]
        if not form:
            return set(words)
        split = [word.split(SEPARATORS.get(self.lang, ", ")) for word in words]
        return {forms[int(form)] for forms in split if len(forms) > int(form)}

    def _pattern(self, template: str) -> re.Pattern:
        pattern, end, seen = "", 0, set()
        for slot in SLOT.finditer(template):
            key, number, form, part = slot.groups()
            name = f"{key}_{number}_{form or part or ''}"
            article = "(?:an? )" if slot[0].startswith("{a:") else ""
            texts = "|".join(sorted(map(re.escape, self._forms(key, form, part)), key=len, reverse=True))
            group = f"(?P={name})" if name in seen else f"(?P<{name}>{texts})"
            pattern += re.escape(template[end : slot.start()]) + article + group
            seen.add(name)
            end = slot.end()
        return re.compile(pattern + re.escape(template[end:]))

    def _parses(self, context: str) -> Iterator[tuple[dict, str]]:
        """(words by placeholder, limits) of every template that gives the context."""
        for template, limits in self.contexts:
            match = self._patterns[template].fullmatch(context)
            if not match:
                continue
            texts: dict[tuple[str, str], dict[str, str]] = {}
            for name, text in match.groupdict().items():
                key, number, form = name.rsplit("_", 2)
                texts.setdefault((key, number), {})[form] = text
            options = [list(self._entries(key, forms)) for (key, _), forms in texts.items()]
            for chosen in product(*options):
                yield dict(zip(texts, chosen, strict=True)), limits

    def _entries(self, key: str, forms: Mapping[str, str]) -> Iterator[dict]:
        """The entries of a list that have these texts, by the index of a form or the name of a part."""
        if key == "p":
            names = self.words["property"]
            named = {english: word for english, (_, word, _) in zip(PROPERTIES, names, strict=False)}
            for first, second in product(PROPERTIES, repeat=2):
                for one, two in product(self._choices(first), self._choices(second)):
                    if (one[1], two[1]) == (forms["v1"], forms["v2"]) and first != second:
                        entry = {"v1": one[1], "v2": two[1], "p1": named.get(first, ""), "p2": named.get(second, "")}
                        yield entry | {"english": (first, second), "limits": (one[2], two[2])}
            return
        for english, word, limits in self._choices(key):
            split = word.split(SEPARATORS.get(self.lang, ", ")) if key in ("adj", "obj") else [word]
            entry = {str(number): text for number, text in enumerate(split)} | {"": word}
            if all(entry.get(form) == text for form, text in forms.items()):
                yield entry | {"english": english, "limits": limits}

    def _fill(self, template: str, values: Mapping) -> str | None:
        def text(slot: re.Match) -> str:
            key, number, form, part = slot.groups()
            return values.get((key, number), {}).get(form or part or "", "\0")

        return SLOT.sub(text, template)

    def _fits(self, values: Mapping, context_limits: str, question_limits: str) -> bool:
        """Whether limits name the English values that they are about."""
        if not self.limited:
            return True
        entries = {key: entry for (key, _), entry in values.items()}
        if "p" in entries:
            thing = entries["obj"]["english"].split(" ")[-1]
            asked = any(name in question_limits for name in entries["p"]["english"])
            words = [not limit or thing in limit for limit in entries["p"]["limits"]]
            return all(words) and (asked or not question_limits)
        if "adj" in entries:
            limits, chosen = [question_limits], entries["adj"]["english"].split(",")[1]
        else:
            limits = [context_limits, question_limits, entries.get("nationality", {}).get("limits", "")]
            chosen = next(entries[key]["english"] for key in ("profession", "s", "animal") if key in entries)
        return all(not limit or chosen.strip().split(" ")[-1] in limit for limit in limits)
