"""MultiCheckList's rule of equal answers, and where an answer stands in its context."""

import re

# What the official script replaces by a space: articles and, in one language each, a preposition or a pronoun. In a
# language without an entry its empty pattern puts a space between all characters, of both answers alike.
ARTICLES = {
    "af": r"(’n)\b",  # noqa: RUF001
    "ar": r"\sال^|ال",  # noqa: RUF001
    "bn": r"\b(একটি|একজন)",
    "de": r"\b(ein|eine|einen)\b",
    "el": r"\b(Ο|ένα|μια)\b",  # noqa: RUF001
    "en": r"\b(a|an|the|in|at)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "eu": r"\b(bat)\b",
    "fa": r"\b(یک)\b",
    "fr": r"\b(un|une|le|la|en)\b",
    "hi": r"\b(एक)",
    "hu": r"\b(egy)\b",
    "it": r"\b(un|una)\b",
    "ml": r"\b(ഒരു)",
    "mr": r"\b(एक)",
    "my": r"\b(တစ်ဦး)",
    "nl": r"\b(een)\b",
    "pa": r"\b(ਇੱਕ|ਇਕ)",
    "pt": r"\b(um|uma)\b",
    "ta": r"\b(ஒரு)",
    "tl": r"\b(Si)\b",
    "tr": r"\b(bir)\b",
    "vi": r"\b(một)\b",
    "wo": r"\b(dafa)\b",
    "yo": r"\b(kan)\b",
}

# The fault of a case without examples, which no rows can tell.
EMPTY = "empty"

# What it strips at both ends.
EDGES = ",. "
MORE_EDGES = {"bn": "\u09f7", "hi": "\u09f7", "pa": "\u0964", "pl": "„”", "ur": "\u200f"}


# In characters: no template makes a longer context (damaged files do), and what `clean` removes from a span is shorter.
LONGEST_CONTEXT, MOST_REMOVED = 1000, 40


def clean(answer: str, lang: str) -> str:
    """The answer as the official script compares it: without articles, and without punctuation at both ends."""
    return re.sub(ARTICLES.get(lang, ""), " ", answer).strip(EDGES + MORE_EDGES.get(lang, ""))


def find_answer(context: str, answer: str, lang: str) -> tuple[str, int] | None:
    """The first span of the context, with its offset, that counts as equal to the answer; None without any.

    Most answers stand in the context as they are. Others do so but for an article or a full stop.
    """
    if answer in context:
        return answer, context.index(answer)
    wanted = clean(answer, lang)
    if len(context) > LONGEST_CONTEXT:
        return None
    for start in range(len(context)):
        for end in range(start + 1, min(len(context), start + len(answer) + MOST_REMOVED) + 1):
            if clean(context[start:end], lang) == wanted:
                return context[start:end], start
    return None
