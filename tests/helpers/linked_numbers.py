"""Numbers of a text that no file linked beside them has."""

import re
from collections.abc import Iterator
from pathlib import Path

# A number with a decimal, as results have it. Versions, identifiers and rates such as 3e-4 are none.
NUMBER = re.compile(r"(?<![\w.:/-])[+-]?\d[\d,]*\.\d+(?!\w|\.\d)")
LINK = re.compile(r"\]\(([^)#\s]+)\)")


def blocks(text: str) -> Iterator[str]:
    """The paragraphs; a table belongs to the paragraph before it, which introduces it."""
    paragraph = ""
    for part in re.split(r"\n\s*\n", text):
        if part.lstrip().startswith("|") and paragraph:
            paragraph += "\n\n" + part
            continue
        if paragraph:
            yield paragraph
        paragraph = part
    yield paragraph


def numbers(text: str) -> set[str]:
    """The numbers with a decimal, with the signs and hyphens of print made plain."""
    plain = re.sub(r"\]\([^)]*\)", "]", text).replace("\N{MINUS SIGN}", "-").replace("\N{EN DASH}", " ")
    return {number.lstrip("+").replace(",", "") for number in NUMBER.findall(plain)}


def unlinked_numbers(path: Path, text: str | None = None) -> list[tuple[str, str]]:
    """Every number that none of the files has to which its paragraph links, with the beginning of the paragraph.

    `text`: a part of the file, in place of the whole.

    A number of the text may leave out the sign of a difference: "2.1 points worse" is -2.1 in a table.
    """
    missing = []
    for block in blocks(path.read_text(encoding="utf-8") if text is None else text):
        files = [path.parent / target for target in LINK.findall(block) if "://" not in target]
        linked = set().union(*(numbers(file.read_text(encoding="utf-8")) for file in files if file.is_file()))
        linked |= {number.lstrip("-") for number in linked}
        missing += [(number, block[:60]) for number in sorted(numbers(block) - linked)]
    return missing
