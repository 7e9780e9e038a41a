"""Transliteration between five Indic scripts, letter by letter, without translation.

The Unicode blocks of these scripts follow one chart, that of ISCII: a sound has the same offset in each (the Unicode
Standard, chapter 12; used by Kunchukuttan 2020, The Indic NLP Library). A word is shifted to the block of Devanagari
and from there to the target's. Rules handle letters of one script only, and letters of the chart that a script does not
use. Spellings stay those of the source: a Hindi word keeps its silent vowel, a Tamil word its one letter for k and g.

Everything else in a line stays unchanged: other scripts, digits 0 to 9, punctuation, the danda.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from crosstune.core.errors import UserError
from crosstune.data.translation.translators import Translator

# Offsets of the chart on which all blocks agree: signs, vowels and consonants, their signs, digits.
CHART = [place for first, last in ((0x01, 0x03), (0x05, 0x39), (0x3C, 0x44), (0x46, 0x4D), (0x60, 0x63), (0x66, 0x6F))
         for place in range(first, last + 1)]  # fmt: skip

DEVANAGARI = 0x900

JOINERS = "\u200c\u200d"

Rules = tuple[tuple[str, str], ...]


class Script(NamedTuple):
    """The first code point of a script's block, and ordered rules of regular expressions.

    `read` rules replace letters of this script only by letters of the chart or of Devanagari. `write` rules replace
    letters of Devanagari by letters that this script has on the chart, or by its own.
    """

    first: int
    read: Rules = ()
    write: Rules = ()

    @property
    def run_pattern(self) -> re.Pattern:
        """Matches runs of this script, without the danda, which all share."""
        block = f"{chr(self.first)}-{chr(self.first + 0x63)}{chr(self.first + 0x66)}-{chr(self.first + 0x7F)}"
        return re.compile(f"[{block}][{block}{JOINERS}]*")


def _word_rules(source: str, target: str) -> Rules:
    """Rules that replace each word of `source` by the word of `target` at its position; `-` stands for ""."""
    pairs = zip(source.split(), target.split(), strict=True)
    return tuple((re.escape(old), "" if new == "-" else new) for old, new in pairs)


LATIN_DIGITS = _word_rules("० १ २ ३ ४ ५ ६ ७ ८ ९", "0 1 2 3 4 5 6 7 8 9")  # noqa: RUF001

# Letters for the vowels of English loans, and short e and o, which only the Dravidian scripts have.
LOAN_VOWELS = _word_rules("ऍ ॅ ऑ ॉ", "ए े आ ा")

LONG_E_O = _word_rules("ऎ ॆ ऒ ॊ", "ए े ओ ो")

DOTLESS = (("़", ""),)

SCRIPTS = {
    "Devanagari": Script(
        DEVANAGARI,
        read=_word_rules("ॲ", "ऍ"),
        write=(("य़", "य"), *_word_rules("ऩ ऱ ऴ", "न र ळ"), *LONG_E_O),
    ),
    "Bengali": Script(
        0x980,
        read=_word_rules("ৎ", "ত্"),
        write=(
            ("ॐ", "ओम"),
            ("(?<![डढ])़", ""),
            # Its letter for y is j at the beginning of a word and after a consonant; elsewhere it has a dot.
            ("(?<=[^्])य", "य़"),
            *_word_rules("व ऩ ऱ ळ ऴ", "ब न र ल ल"),
            *LONG_E_O,
            *LOAN_VOWELS,
        ),
    ),
    "Tamil": Script(
        0xB80,
        read=_word_rules("ஃப", "फ़"),
        write=(
            ("ॐ", "ௐ"),
            ("फ़", "ஃப"),
            *DOTLESS,
            # A nasal is written as pronounced.
            ("[ंँ](?=[क-घ])", "ङ्"),
            ("[ंँ](?=[च-झ])", "ञ्"),
            ("[ंँ](?=[ट-ढ])", "ण्"),
            ("[ंँ](?=[त-ध])", "न्"),
            ("[ंँ]", "म्"),
            # One n is used at the beginning of words and before t, the other elsewhere.
            ("(?<=.)न(?!्[त-ध])", "ऩ"),
            ("[ख-घ]", "क"),
            ("छ", "च"),
            ("झ", "ज"),
            ("[ठ-ढ]", "ट"),
            ("[थ-ध]", "त"),
            ("[फ-भ]", "प"),
            *_word_rules("श ऽ ऋ ॠ ऌ ॡ ृ ॄ ॢ ॣ", "ष - रु रू लु लू ्रु ्रू ्लु ्लू"),
            *LOAN_VOWELS,
            *LATIN_DIGITS,
        ),
    ),
    "Telugu": Script(
        0xC00,
        write=(
            ("ॐ", "ओं"),
            *DOTLESS,
            ("ँ", "ं"),
            ("म्(?![क-ह])", "ं"),
            *_word_rules("ऩ ऱ ऴ", "न र ळ"),
            *LOAN_VOWELS,
            *LATIN_DIGITS,
        ),
    ),
    "Malayalam": Script(
        0xD00,
        # Letters for consonants without a vowel, formerly written with a joiner; a new sign for au.
        read=_word_rules("ൺ ൻ ർ ൽ ൾ ൿ ൎ ൗ", "ണ് ന് ര് ല് ള് ക് ര് ൌ"),
        write=(
            ("ॐ", "ओं"),
            *DOTLESS,
            ("ँ", "ं"),
            ("ऩ", "न"),
            ("म्(?![क-ह])", "ം"),  # noqa: RUF001
            *((f"{old}्(?![क-ह])", new) for old, new in zip("णनरलळ", "ൺൻർൽൾ", strict=True)),
            ("र्(?![यर])", "ർ"),
            *LOAN_VOWELS,
            *LATIN_DIGITS,
        ),
    ),
}

SCRIPT_OF = {"hi": "Devanagari", "mr": "Devanagari", "bn": "Bengali", "ta": "Tamil", "te": "Telugu", "ml": "Malayalam"}


class Transliterator(Translator):
    inside_words = True

    def check(self, source: str, target: str) -> None:
        for language in (source, target):
            if language not in SCRIPT_OF:
                raise UserError(f"no transliteration of {language}", "translator", f"There is: {', '.join(SCRIPT_OF)}.")
        if SCRIPT_OF[source] == SCRIPT_OF[target]:
            message = f"{source} and {target} are both written in {SCRIPT_OF[source]}: the copies would be identical"
            raise UserError(message, "translator", "Leave this pair out, or translate it.")

    def translate(self, lines: Sequence[str], source: str, target: str) -> list[str]:
        self.check(source, target)
        return [transliterate(line, SCRIPT_OF[source], SCRIPT_OF[target]) for line in lines]


def transliterate(line: str, source: str, target: str) -> str:
    """The line with all runs of one script of SCRIPTS written in another."""
    return SCRIPTS[source].run_pattern.sub(
        lambda run: _transliterate_run(run[0], SCRIPTS[source], SCRIPTS[target]), line
    )


def _transliterate_run(run: str, source: Script, target: Script) -> str:
    # After NFC, a letter with a dot is two characters and a vowel sign of two parts is one.
    text = unicodedata.normalize("NFC", re.sub(f"[{JOINERS}]", "", run))
    for pattern, replacement in source.read:
        text = re.sub(pattern, replacement, text)
    text = text.translate(_block_shift(source.first, DEVANAGARI))
    for pattern, replacement in target.write:
        text = re.sub(pattern, replacement, text)
    return text.translate(_block_shift(DEVANAGARI, target.first))


@cache
def _block_shift(source: int, target: int) -> dict[int, str]:
    """A table for str.translate: characters of one block to those of another, if it has them."""
    places = {source + place: chr(target + place) for place in CHART}
    return {old: new for old, new in places.items() if unicodedata.category(new) != "Cn"}
