"""Folding: spellings of one text that a comparison takes as equal.

Entities and tags of HTML are resolved, then NFKC and case folding. Letters that look alike become one, and so do
letters with and without diacritics and the digits of all scripts. Characters without width are dropped.
"""

import html
import re
import unicodedata

TAG = re.compile("</?[a-zA-Z][^<>]*>")

# Letters, after case folding, that look like another or are typed instead of it: Cyrillic, Greek, Armenian, small
# capitals and letters of phonetics for Latin ones, Latin letters with strokes, Persian forms of Arabic letters.
LOOKALIKES = dict(
    zip(
        "авекмнорстухіѕјһԁԛԝѵӏαβεζηικμνορτυχωօսհոɑɡɩıᴀᴄᴇᴊᴋᴍᴏᴘᴛᴜᴠᴡᴢꜱłøđىیک",
        "abekmhopctyxisjhdqwvlabezhikmvoptuxwouhnagiiacejkmoptuvwzslodييك",
        strict=True,
    )
)

# Letters and marks without width: fillers of Hangul, joiners, the lengthening stroke of Arabic, variation selectors.
WIDTHLESS = re.compile("[\u034f\u0640\u115f\u1160\u180b-\u180f\u3164\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def fold_text(text: str) -> str:
    """The text without HTML, after NFKC and case folding."""
    if "&" in text:
        text = html.unescape(html.unescape(text))  # twice, for "&amp;nbsp;"
    if "<" in text:
        text = TAG.sub(" ", text)
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def fold_character(character: str) -> str:
    """The character as it is compared, "" if it is dropped."""
    if unicodedata.category(character) == "Cf" or is_optional_mark(character) or WIDTHLESS.match(character):
        return ""
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    base, *marks = unicodedata.normalize("NFD", character)
    if all(map(is_optional_mark, marks)):
        character = base
    return LOOKALIKES.get(character, character)


def is_optional_mark(character: str) -> bool:
    """Whether a mark may be left out: an accent (classes from 200), or a vowel point of Hebrew, Arabic or Syriac."""
    kind = unicodedata.combining(character)
    return kind >= 200 or 10 <= kind <= 36
