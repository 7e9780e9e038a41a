"""Carrying the answer of a question through translation.

Owns: the marks around an answer, how it is found again in the translated context, why a row is given up.
Must never know: translators, files, ids of rows.

The answer is marked in the context, `... was built in [[ 1887 ]] by ...`, and what the translation has between the
marks is the translated answer. Where the marks got lost, the answer, which is also translated alone, is searched in the
translated context. Brackets of the context's own that look like marks are made single before. Lines are what
translators take, so that each line break in a text becomes a space.

    found by  markers          exactly one of each, in order, around something
              search           the answer translated alone stands in the context; of several the nearest to its place
              copy             the answer itself does, as a name or number that is not translated
    given up  no answer        the row has none
              empty            the context or the question came back without a letter or digit
              unchanged        the context came back as it was
              broken markers   doubled, nested or swapped: the translation cannot be trusted
              not found        marks lost or around nothing, and the search was in vain
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from crosstune.core.characters import in_word, unspaced

METHODS = ("markers", "search", "copy")

REJECTION_REASONS = ("no answer", "empty", "unchanged", "broken markers", "not found")

# The least length of an answer that is also found as the beginning of a longer word: languages add endings.
MIN_PREFIX_MATCH = 4

LINE_BREAKS = re.compile("[\0\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


class RowLines(NamedTuple):
    """What is translated of a row: the context with its answer marked, the question, the answer alone."""

    context: str
    question: str
    answer: str


class ProjectionOutcome(NamedTuple):
    """The translated context, question and answers, and one of WAYS; or None and one of REASONS."""

    row: dict | None
    method: str


class Marks(NamedTuple):
    """Patterns of the opening and the closing mark."""

    opening: re.Pattern
    closing: re.Pattern


# Of a run of three the one that does not touch the answer is the context's own.
MARKS = Marks(re.compile(r"\[\[(?!\[)"), re.compile(r"(?<!\])\]\]"))

# Where the context has no brackets, every bracket of the translation is of a mark: some translators make them single.
BRACKETS_AS_MARKS = Marks(re.compile(r"\[(?:\s?\[)*"), re.compile(r"\](?:\s?\])*"))


def row_lines(row: dict, inside_words: bool = False) -> RowLines | None:
    """The lines to translate of a prepared question-answering row, whose first answer counts; None without an answer.

    A mark inside a word spoils its translation. Unless `inside_words`, the whole word is marked.
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
    """The translated row, {"context", "question", "answers"}, from the row and its translated lines.

    The answer is a slice of the translated context, at an offset in code points. Any output of a translator is
    something this can be given: what cannot be used ends as a reason.
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
    """The text with a space for each character that ends a line: as long as before."""
    return LINE_BREAKS.sub(" ", text)


def collapse_brackets(text: str) -> str:
    """The text with `[` for `[[` or more, likewise `]`."""
    return re.sub(r"\[{2,}", "[", re.sub(r"\]{2,}", "]", text))


def remove_marks(marks: Marks, text: str) -> str:
    """The text without marks; of the spaces around each, one is left."""
    for pattern in marks:
        text = re.sub(rf"\s*{pattern.pattern}\s*", " ", text)
    return text.strip()


def nearest_match(needle: str, text: str, place: float) -> tuple[int, int] | None:
    """First and last + 1 code point of `needle` in `text`, regardless of case and of the kind of spaces.

    Of several places the one nearest to `place` (0: the beginning, 1: the end) counts; whole words go before
    beginnings of words, which only a needle of INFLECTED_FROM characters may be. None where there is none.
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
    """The half-open span of the first answer without spaces at its ends, of whole words unless `inside_words`."""
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
    """Whether the characters on both sides of a place belong to one word."""
    return 0 < place < len(text) and all(in_word(char) and not unspaced(char) for char in text[place - 1 : place + 1])


def _join_parts(parts: Iterable[str], source: str, span: tuple[int, int]) -> tuple[str, int, int]:
    """The text whose three parts the marks stood between, without the spaces they brought, and the second's span."""
    before, answer, after = parts
    left = _gap(before, answer, source[: span[0]], -1)
    right = _gap(after, answer, source[span[1] :], 0)
    before, answer, after = before.strip(), answer.strip(), after.strip()
    start = len(before) + len(left)
    return f"{before}{left}{answer}{right}{after}", start, start + len(answer)


def _gap(outer: str, answer: str, source: str, near: int) -> str:
    """What stands between the answer and the text beside it: a space, or nothing.

    `outer`, `source`: the text beside it in the translation and in the source; `near` is the index of their character
    next to the answer, -1 before it and 0 after it. A mark brought a space where the source has none; where what stands
    there is again punctuation, or a letter, that space goes.
    """
    beside, edge = outer.strip()[near:][:1], answer.strip()[-1 - near :][:1]
    if not beside or unspaced(beside) or unspaced(edge):
        return ""
    glued = source and not source[near].isspace()
    if glued and in_word(source[near]) == in_word(beside):
        return ""
    return " " if outer[near].isspace() or (in_word(beside) and in_word(edge)) else ""


def _search_text(translated: str, answer: str, marks: Marks) -> str:
    """The answer translated alone, as it is searched: without marks, and without a full stop that it did not have."""
    text = remove_marks(marks, replace_line_breaks(translated))
    stripped = text if answer[-1] in ".。।" else text.rstrip(".。।")
    return stripped if _has_words(stripped) else ""


def _copied_name(answer: str) -> str:
    """The answer where it has a capital letter or a digit: names and numbers stay the same, other words by chance."""
    return answer if any(char.isupper() or char.isdigit() for char in answer) else ""


def _has_words(text: str) -> bool:
    return any(map(in_word, text))


def _projected(context: str, start: int, end: int, question: str, how: str) -> ProjectionOutcome:
    answers = {"text": [context[start:end]], "answer_start": [start]}
    return ProjectionOutcome({"context": context, "question": question, "answers": answers}, how)
