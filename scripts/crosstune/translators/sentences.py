"""Cutting lines into sentences, and joining their translations: models that translate are trained on single sentences.

Owns: where a sentence ends. Must never know: models, languages.
"""

import re
from collections.abc import Iterable

from crosstune.letters import unspaced

# The end of a sentence: a mark that ends one, quotes or brackets that close, and a space, which Chinese and Japanese
# do without. Abbreviations are taken for ends, too: a sentence in two pieces does less harm than two in one.
END = re.compile(r"(?<=[.!?।॥؟۔…])[\"'”’»)\]]*(?: ?\])*\s+|(?<=[。！？])[”’」』）]*\s*")
LONGEST = 500  # characters; more are cut at a space


def sentences(line: str) -> list[str]:
    """The sentences of a line, without the spaces between them; none of more than LONGEST characters with a space."""
    cuts = [0, *(match.end() for match in END.finditer(line)), len(line)]
    pieces = (line[begin:end].strip() for begin, end in zip(cuts, cuts[1:], strict=False))
    return [part for piece in pieces if piece for part in _cut(piece)]


def join(pieces: Iterable[str]) -> str:
    """One line of translated sentences: a space between two, but in scripts that are written without."""
    line = ""
    for piece in filter(None, (piece.strip() for piece in pieces)):
        space = " " if line and not (unspaced(line[-1]) or unspaced(piece[0])) else ""
        line += space + piece
    return line


def _cut(piece: str) -> list[str]:
    parts = []
    while len(piece) > LONGEST:
        place = piece.rfind(" ", 1, LONGEST + 1)
        if place < 0:
            break
        parts.append(piece[:place].rstrip())
        piece = piece[place:].lstrip()
    return [*parts, piece]
