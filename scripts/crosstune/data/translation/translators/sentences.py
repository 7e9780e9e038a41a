"""Split lines into sentences and join their translations: translation models are trained on single sentences."""

import re
from collections.abc import Iterable
from itertools import pairwise

from crosstune.core.characters import SENTENCE_END, is_unspaced

# Closing marks after the end of a sentence.
CLOSING = re.compile(r"(?: ?\])*")

MAX_CHARACTERS = 500  # longer sentences are cut at a space


def split_sentences(line: str) -> list[str]:
    """The stripped sentences of a line; only one without a space has more than MAX_CHARACTERS characters."""
    ends = (CLOSING.match(line, match.end()).end() for match in SENTENCE_END.finditer(line))
    pieces = (line[begin:end].strip() for begin, end in pairwise([0, *ends, len(line)]))
    return [part for piece in pieces if piece for part in _cut(piece)]


def join_sentences(pieces: Iterable[str]) -> str:
    """One line of translated sentences, with a space between two unless their script is written without."""
    line = ""
    for piece in filter(None, (piece.strip() for piece in pieces)):
        space = " " if line and not (is_unspaced(line[-1]) or is_unspaced(piece[0])) else ""
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
