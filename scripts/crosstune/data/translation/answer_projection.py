"""Projection of the answer of a question into the translated context.

The answer is marked in the context, `... was built in [[ 1887 ]] by ...`; the translated answer is the text between the
marks of the translation. If the marks are lost, the separately translated answer is searched in the translated context.
Brackets in the source that look like marks are made single first. Translators take lines, so every line break in a text
becomes a space.

    methods   markers          one mark of each kind, in order, around text
              search           the separately translated answer is in the context; the nearest occurrence is taken
              copy             the untranslated answer, a name or number, is in the context
    rejected  no answer        the row has no answer
              empty            the translated context or question has no letter or digit
              unchanged        the translated context equals the source
              broken markers   marks are doubled, nested or swapped: the translation is unreliable
              not found        marks are lost or around nothing, and the search finds nothing
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from crosstune.core.characters import is_unspaced, is_word_character

METHODS = ("markers", "search", "copy")

REJECTION_REASONS = ("no answer", "empty", "unchanged", "broken markers", "not found")

# Answers of this length also match the beginning of a longer word, because languages add endings.
MIN_PREFIX_MATCH = 4

LINE_BREAKS = re.compile("[\0\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


class RowLines(NamedTuple):
    """The lines of a row to translate: the context with its answer marked, the question, the answer alone."""

    context: str
    question: str
    answer: str


class ProjectionOutcome(NamedTuple):
    """The translated row and one of METHODS, or None and one of REJECTION_REASONS."""

    row: dict | None
    method: str


class Marks(NamedTuple):
    """Patterns of the opening and the closing mark."""

    opening: re.Pattern
    closing: re.Pattern


# Of three brackets in a row, the one away from the answer belongs to the context.
MARKS = Marks(re.compile(r"\[\[(?!\[)"), re.compile(r"(?<!\])\]\]"))

# Without brackets in the context, every bracket of the translation is a mark: some translators make them single.
BRACKETS_AS_MARKS = Marks(re.compile(r"\[(?:\s?\[)*"), re.compile(r"\](?:\s?\])*"))


def row_lines(row: dict, inside_words: bool = False) -> RowLines | None:
    """The lines to translate of a prepared question-answering row, with its first answer; None without an answer.

    Whole words are marked unless `inside_words`, because a mark inside a word spoils its translation.
    """
    span = _answer_span(row, inside_words)
    if span is None:
        return None
    context = replace_line_breaks(row["context"])
    parts = context[: span[0]], context[slice(*span)], context[span[1] :]
    before, answer, after = (collapse_brackets(part) for part in parts)
    left = " " if before and not before[-1].isspace() else ""
    right = " " if after and not after[0].isspace() else ""
    return RowLines(f"{before}{left}[[ {answer} ]]{right}{after}", replace_line_breaks(row["question"]), answer)


def project_answer(row: dict, translated: RowLines, inside_words: bool = False) -> ProjectionOutcome:
    """The translated row, {"context", "question", "answers"}, from a row and its translated lines.

    The answer is a slice of the translated context, at an offset in code points. Any strings are accepted as
    translation; unusable ones are rejected with a reason.
    """
    span = _answer_span(row, inside_words)
    if span is None:
        return ProjectionOutcome(None, "no answer")
    source = replace_line_breaks(row["context"])
    marks = MARKS if set("[]") & set(source) else BRACKETS_AS_MARKS
    text, question = replace_line_breaks(translated.context).strip(), replace_line_breaks(translated.question).strip()
    openings, closings = (list(pattern.finditer(text)) for pattern in marks)
    bare = remove_marks(marks, text)
    if not _has_words(bare) or not _has_words(question):
        return ProjectionOutcome(None, "empty")
    if " ".join(bare.split()) == " ".join(remove_marks(marks, row_lines(row, inside_words).context).split()):
        return ProjectionOutcome(None, "unchanged")
    if len(openings) > 1 or len(closings) > 1 or (openings and closings and closings[0].start() < openings[0].end()):
        return ProjectionOutcome(None, "broken markers")
    answer = source[slice(*span)]
    if openings and closings:
        parts = text[: openings[0].start()], text[openings[0].end() : closings[0].start()], text[closings[0].end() :]
        if _has_words(parts[1]) or (parts[1].strip() and not _has_words(answer)):
            return _projected(*_join_parts(parts, source, span), question, "markers")
    survivor = next(iter(openings + closings), None)
    place = survivor.start() / len(text) if survivor else span[0] / len(source)
    for needle, how in ((_search_text(translated.answer, answer, marks), "search"), (_copied_name(answer), "copy")):
        found = nearest_match(needle, bare, place)
        if found:
            return _projected(bare, *found, question, how)
    return ProjectionOutcome(None, "not found")


def replace_line_breaks(text: str) -> str:
    """The text with a space in place of each character that ends a line; the length stays."""
    return LINE_BREAKS.sub(" ", text)


def collapse_brackets(text: str) -> str:
    """The text with every run of `[` replaced by one, likewise of `]`."""
    return re.sub(r"\[{2,}", "[", re.sub(r"\]{2,}", "]", text))


def remove_marks(marks: Marks, text: str) -> str:
    """The text without marks, with one space in place of each mark and its spaces."""
    for pattern in marks:
        text = re.sub(rf"\s*{pattern.pattern}\s*", " ", text)
    return text.strip()


def nearest_match(needle: str, text: str, place: float) -> tuple[int, int] | None:
    """Half-open span of `needle` in `text` in code points, regardless of case and kind of spaces; None if absent.

    Of several spans, the nearest to the relative position `place` (0: beginning, 1: end) is returned. Whole words go
    before beginnings of words, which need MIN_PREFIX_MATCH characters.
    """
    words = needle.split()
    if not words:
        return None
    spans = [match.span() for match in re.finditer(r"\s+".join(map(re.escape, words)), text, re.IGNORECASE)]
    spans = [span for span in spans if not _inside_word(text, span[0])]
    whole = [span for span in spans if not _inside_word(text, span[1])]
    candidates = whole or (spans if len(needle) >= MIN_PREFIX_MATCH else [])
    return min(candidates, key=lambda span: abs(span[0] / len(text) - place), default=None)


def _answer_span(row: dict, inside_words: bool) -> tuple[int, int] | None:
    """Half-open span of the first answer, stripped of spaces and extended to whole words unless `inside_words`."""
    if not row["answers"]["text"] or not row["answers"]["text"][0].strip():
        return None
    context, text = row["context"], row["answers"]["text"][0]
    start = row["answers"]["answer_start"][0] + len(text) - len(text.lstrip())
    end = start + len(text.strip())
    if not inside_words:
        while _inside_word(context, start):
            start -= 1
        while _inside_word(context, end):
            end += 1
    return start, end


def _inside_word(text: str, place: int) -> bool:
    """Whether the characters on both sides of an offset belong to one word."""
    return 0 < place < len(text) and all(
        is_word_character(char) and not is_unspaced(char) for char in text[place - 1 : place + 1]
    )


def _join_parts(parts: Iterable[str], source: str, span: tuple[int, int]) -> tuple[str, int, int]:
    """(text, start, end): the three parts that the marks separated, without added spaces, and the second's span."""
    before, answer, after = parts
    left = _gap(before, answer, source[: span[0]], -1)
    right = _gap(after, answer, source[span[1] :], 0)
    before, answer, after = before.strip(), answer.strip(), after.strip()
    start = len(before) + len(left)
    return f"{before}{left}{answer}{right}{after}", start, start + len(answer)


def _gap(outer: str, answer: str, source: str, near: int) -> str:
    """The separator of the answer and the adjacent text: a space, or nothing.

    `outer` and `source` are the adjacent texts in the translation and in the source; `near` is the index of their
    character next to the answer, -1 before it and 0 after it. A mark adds a space that the source may lack. It is
    removed if the adjacent character is of the same kind, letter or punctuation, as in the source.
    """
    neighbour, edge = outer.strip()[near:][:1], answer.strip()[-1 - near :][:1]
    if not neighbour or is_unspaced(neighbour) or is_unspaced(edge):
        return ""
    adjoins = source and not source[near].isspace()
    if adjoins and is_word_character(source[near]) == is_word_character(neighbour):
        return ""
    return " " if outer[near].isspace() or (is_word_character(neighbour) and is_word_character(edge)) else ""


def _search_text(translated: str, answer: str, marks: Marks) -> str:
    """The separately translated answer, without marks and without a full stop that the source lacks."""
    text = remove_marks(marks, replace_line_breaks(translated))
    stripped = text if answer[-1] in ".。।" else text.rstrip(".。।")
    return stripped if _has_words(stripped) else ""


def _copied_name(answer: str) -> str:
    """The answer if it has a capital letter or a digit, else "": other words stay the same only by chance."""
    return answer if any(char.isupper() or char.isdigit() for char in answer) else ""


def _has_words(text: str) -> bool:
    return any(map(is_word_character, text))


def _projected(context: str, start: int, end: int, question: str, how: str) -> ProjectionOutcome:
    answers = {"text": [context[start:end]], "answer_start": [start]}
    return ProjectionOutcome({"context": context, "question": question, "answers": answers}, how)
