"""Attributes of examples, from prepared rows: lengths, places, words in common, entities, labels, scripts.

An attribute is a number, which is compared within its language, or a name. Lengths are in characters; those of tagging
in tokens. A language without a sure list of question words has no attribute `question_word`.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from crosstune.core.characters import is_unspaced, is_word_character

Value = float | str

# Question words by what they ask for; the first pattern that a question contains decides.
QUESTION_WORDS = {
    "en": (
        ("how many", r"how (many|much)"), ("who", r"who|whom|whose"), ("when", r"when"), ("where", r"where"),
        ("why", r"why"), ("which", r"which"), ("how", r"how"), ("what", r"what"),
    ),
    "de": (
        ("how many", r"wie ?vie(l|le|len|ler)"), ("who", r"wer|wen|wem|wessen"), ("when", r"wann"),
        ("where", r"wo|wohin|woher"), ("why", r"warum|wieso|weshalb"), ("which", r"welche[rnsm]?"), ("how", r"wie"),
        ("what", r"was"),
    ),
    "es": (
        ("how many", r"cuánt[oa]s?"), ("who", r"quién(es)?"), ("when", r"cuándo"), ("where", r"a?dónde"),
        ("why", r"por qué"), ("which", r"cuál(es)?"), ("how", r"cómo"), ("what", r"qué"),
    ),
    "fr": (
        ("how many", r"combien"), ("who", r"qui"), ("when", r"quand"), ("where", r"où"), ("why", r"pourquoi"),
        ("which", r"(le|la|les)?quel(le)?s?"), ("how", r"comment"), ("what", r"que|qu|quoi"),
    ),
}  # fmt: skip

# Attributes that a model's tokenizer decides. They are numbers of any task with texts.
OF_TOKENIZERS = ("pieces_per_word", "unreadable_pieces")

MANY = 3  # counts from here on are one name


def row_attributes(
    task: str, rows: Sequence[Mapping], lang: str, training: Iterable[Mapping] = ()
) -> dict[str, dict[str, Value]]:
    """The values of every attribute of a task, by id of the row. `training`: the rows that were trained on."""
    if task not in ATTRIBUTES:
        return {}
    describe = ATTRIBUTES[task](lang, training)
    values: dict[str, dict[str, Value]] = {}
    for row in rows:
        for name, value in describe(row):
            values.setdefault(name, {})[row["id"]] = value
    return values


def attribute_names(task: str) -> list[str]:
    """The attributes of a task, in the order of tables; empty for a task without any."""
    return list(NAMES.get(task, ()))


def words(text: str) -> list[str]:
    """The words of a text in lower case; of scripts without spaces, the characters."""
    found, word = [], ""
    for character in f"{text.lower()} ":
        if is_word_character(character) and not is_unspaced(character):
            word += character
            continue
        if word:
            found.append(word)
            word = ""
        if is_word_character(character):
            found.append(character)
    return found


def shared_words(question: str, context: str) -> float:
    """The share of a question's words that the context has too, 0 for a question without words."""
    asked = words(question)
    return len([word for word in asked if word in set(words(context))]) / len(asked) if asked else 0.0


def scripts(text: str) -> str:
    """`one script` or `several scripts`, by the letters' names; `no letters`."""
    names = {unicodedata.name(letter, "").split(" ")[0] for letter in set(text) if letter.isalpha()}
    kana = {name for name in names if name.startswith(("HIRAGANA", "KATAKANA"))}
    if kana:  # Japanese is written in kana and Han together
        names = (names - kana - {"CJK"}) | {"JAPANESE"}
    return "no letters" if not names else "one script" if len(names) == 1 else "several scripts"


def question_word(question: str, lang: str) -> str:
    """What a question asks for, by its first question word in a list's order; `other` without any."""
    text = question.lower()
    return next((name for name, word in QUESTION_WORDS[lang] if re.search(rf"\b({word})\b", text)), "other")


def entities(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """(type, first, end) of the entities of BIO tags; a word that continues another type begins one."""
    found: list[tuple[str, int, int]] = []
    before = "O"
    for place, tag in enumerate(tags):
        mark, _, kind = tag.partition("-")
        if mark == "I" and before.partition("-")[2] == kind and found:
            found[-1] = (kind, found[-1][1], place + 1)
        elif mark in "BI" and kind:
            found.append((kind, place, place + 1))
        before = tag
    return found


def _number_name(number: int) -> str:
    return f"{MANY} or more" if number >= MANY else str(number)


# ---- tasks ----------------------------------------------------------------------------------------------------------


def _question_answering(lang: str, training: Iterable[Mapping]) -> Callable[[Mapping], Iterator[tuple[str, Value]]]:
    seen = {text.lower() for row in training for text in row.get("answers", {}).get("text", ())}

    def describe(row: Mapping) -> Iterator[tuple[str, Value]]:
        answer, start = row["answers"]["text"][0], row["answers"]["answer_start"][0]
        yield "context_length", len(row["context"])
        yield "question_length", len(row["question"])
        yield "answer_length", len(answer)
        yield "answer_place", start / len(row["context"])
        yield "shared_words", shared_words(row["question"], row["context"])
        if lang in QUESTION_WORDS:
            yield "question_word", question_word(row["question"], lang)
        yield "answer_seen", "seen" if any(text.lower() in seen for text in row["answers"]["text"]) else "new"
        yield "scripts", scripts(row["context"])

    return describe


def _tagging(lang: str, training: Iterable[Mapping]) -> Callable[[Mapping], Iterator[tuple[str, Value]]]:
    seen = {
        " ".join(row["tokens"][first:end]).lower()
        for row in training
        for _, first, end in entities(row.get("tags", ()))
    }

    def describe(row: Mapping) -> Iterator[tuple[str, Value]]:
        yield "sentence_length", len(row["tokens"])
        found = entities(row["tags"])
        if any("-" in tag for tag in row["tags"]) or "O" in row["tags"]:
            known = [" ".join(row["tokens"][first:end]).lower() in seen for _, first, end in found]
            yield "entities", _number_name(len(found))
            yield "longest_entity", _number_name(max((end - first for _, first, end in found), default=0))
            yield "entity_types", "+".join(sorted({kind for kind, _, _ in found})) or "none"
            yield "entities_seen", "none" if not found else "all seen" if all(known) else "some new"
        yield "scripts", scripts("".join(row["tokens"]))

    return describe


def _texts(lang: str, training: Iterable[Mapping]) -> Callable[[Mapping], Iterator[tuple[str, Value]]]:
    def describe(row: Mapping) -> Iterator[tuple[str, Value]]:
        text = row.get("text", row.get("premise", row.get("query", "")))
        yield "text_length", len(text)
        if "pair" in row:
            yield "pair_length", len(row["pair"])
        if "pair" in row and "label" in row:
            yield "shared_words", shared_words(row["pair"], text)
        if "label" in row:
            yield "label", str(row["label"])
        yield "scripts", scripts(text)

    return describe


ATTRIBUTES = {
    "qa": _question_answering,
    "tagging": _tagging,
    "classification": _texts,
    "choice": _texts,
    "bitext": _texts,
    "retrieval": _texts,
}

NAMES: Mapping[str, tuple[str, ...]] = {
    "qa": (
        "context_length", "question_length", "answer_length", "answer_place", "shared_words", "question_word",
        "answer_seen", "scripts",
    ),
    "tagging": ("sentence_length", "entities", "longest_entity", "entity_types", "entities_seen", "scripts"),
    "classification": ("text_length", "pair_length", "shared_words", "label", "scripts"),
    "choice": ("text_length", "label", "scripts"),
    "bitext": ("text_length", "pair_length", "scripts"),
    "retrieval": ("text_length", "scripts"),
}  # fmt: skip
