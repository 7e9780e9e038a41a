"""Facts about characters: those of words, those that end sentences, and scripts that are written without spaces."""

import re
import unicodedata

# First and last code points of kana and Han; of scripts written without spaces: these, Thai and Lao, Myanmar, Khmer.
IDEOGRAPHIC_SCRIPTS = ((0x3040, 0x30FF), (0x3400, 0x9FFF), (0x20000, 0x3FFFF))

UNSPACED_SCRIPTS = ((0xE00, 0xEFF), (0x1000, 0x109F), (0x1780, 0x17FF), *IDEOGRAPHIC_SCRIPTS)

# Their punctuation: of CJK, and its full-width forms of ASCII.
UNSPACED_PUNCTUATION = ((0x3000, 0x303F), (0xFF01, 0xFF65))

# Vowels and finals of decomposed Korean syllables; the voicing marks of half-width katakana.
LETTER_PARTS = ((0x1160, 0x11FF), (0xD7B0, 0xD7FF), (0xFF9E, 0xFF9F))

# The end of a sentence, with closing quotes and brackets. An abbreviation counts as an end, too.
SENTENCE_END = re.compile(r"""[.!?…]+["'”’»)\]]*(?=\s)|[。！？।۔؟]+["'”’»」』)\]]*""")  # noqa: RUF001


def is_word_character(character: str) -> bool:
    """Whether a character is a letter, a mark (a vowel sign, a virama) or a digit."""
    return unicodedata.category(character)[0] in "LMN"


def continues_letter(character: str) -> bool:
    """Whether a character is part of the letter before it: a mark, or a part that composes with others."""
    is_part = any(first <= ord(character) <= last for first, last in LETTER_PARTS)
    return is_part or unicodedata.category(character)[0] == "M"


def is_unspaced(character: str) -> bool:
    """Whether a character belongs to a script that is written without spaces."""
    return any(first <= ord(character) <= last for first, last in UNSPACED_SCRIPTS + UNSPACED_PUNCTUATION)
