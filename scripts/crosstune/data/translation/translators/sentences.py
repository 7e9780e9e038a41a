"""Cutting lines into sentences, and joining their translations: models that translate are trained on single sentences.

Owns: where a sentence ends. Must never know: models, languages.
"""

import re
from collections.abc import Iterable
from itertools import pairwise

from crosstune.core.characters import SENTENCE_END, unspaced

# A mark that closes what ends with the sentence.
CLOSING = re.compile(r"(?: ?\])*")

MAX_CHARACTERS = 500  # characters; more are cut at a space


def split_sentences(line: str) -> list[str]:
    """The sentences of a line, without the spaces between them; none of more than LONGEST characters with a space."""
    ends = (CLOSING.match(line, match.end()).end() for match in SENTENCE_END.finditer(line))
    pieces = (line[begin:end].strip() for begin, end in pairwise([0, *ends, len(line)]))
    return [part for piece in pieces if piece for part in _cut(piece)]


def join_sentences(pieces: Iterable[str]) -> str:
    """One line of translated sentences: a space between two, but in scripts that are written without."""
    line = ""
    for piece in filter(None, (piece.strip() for piece in pieces)):
        space = " " if line and not (unspaced(line[-1]) or unspaced(piece[0])) else ""
        line += space + piece
    return line


def _cut(piece: str) -> list[str]:
    parts = []
    while len(piece) > MAX_CHARACTERS:
        place = piece.rfind(" ", 1, MAX_CHARACTERS + 1)
        if place < 0:
            break
        parts.append(piece[:place].rstrip())
        piece = piece[place:].lstrip()
    return [*parts, piece]
