"""Extractive question answering on MLQA: F1 and exact match with rules for the language of the answer.

The metric is `mlqa_evaluation_v1.py` of facebookresearch/MLQA (commit 5ef5c73). Unlike SQuAD's script it drops all
punctuation of Unicode (categories P*) and of ASCII, and the articles of the answer's language; in Chinese every
ideograph is a word. Its quirks are kept:

- Arabic: only the half without anchors of the pattern for the article can match. It removes the two letters everywhere,
  inside words too, and leaves a space that splits the word.
- ASCII symbols such as `$` and `+` are dropped; other symbols (`€`, `°`) stay, as they are not punctuation in Unicode.
"""

import re
import string
import unicodedata
from collections.abc import Sequence
from functools import partial

from crosstune.evaluation.metrics import qa

ARTICLES = {
    "ar": re.compile("ال"),
    "de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "en": re.compile(r"\b(a|an|the)\b"),
    "es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "hi": None,
    "vi": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
    "zh": None,
}

LANGUAGES = tuple(ARTICLES)

IDEOGRAPH = re.compile("([\u4e00-\u9fa5])")


def measure(rows: Sequence[dict], lang: str) -> list[dict]:
    """One record {"id", "f1", "exact_match"} (0 to 100) per row, by the rules of `lang`, one of LANGUAGES."""
    return qa.measure(rows, lang, partial(normalise, lang=lang))


def normalise(text: str, lang: str) -> str:
    """Lower case, no punctuation, no articles, words between single spaces: in this order."""
    text = "".join(character for character in text.lower() if not is_punctuation(character))
    if articles := ARTICLES[lang]:
        text = articles.sub(" ", text)
    if lang == "zh":
        text = IDEOGRAPH.sub(r" \1 ", text)
    return " ".join(text.split())


def is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")


MLQA = qa.answer_metric("MLQA", measure, languages=LANGUAGES)
