"""Reader of question answering in SQuAD's JSON, and rows from answers in any form."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crosstune.core.errors import UserError
from crosstune.data.readers.pieces import (
    DEFAULT_OPTIONS,
    ReaderOptions,
    describe_value,
    file_stem,
    id_field,
    json_field,
    json_items,
    parse_json,
    text_field,
)

LOST_ANSWER = ("", -1)  # the mark of SQuAD-es

# What the record's key `drop` may name for question answering.
UNANSWERABLE, UNLOCATED = "unanswerable", "unlocated"

Answers = Sequence[tuple[str, int | None]]


def squad(text: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """Questions in SQuAD's format, without answers that were lost in translation."""
    for paragraph, where in paragraphs(text, file):
        context = text_field(paragraph, "context", where)
        for index, question in enumerate(json_field(paragraph, "qas", list, where)):
            spot = f"{where}.qas[{index}]"
            name = id_field(question, spot)
            spot = f"{file}, question {name}"
            answers = answer_pairs(json_field(question, "answers", list, spot), None, spot)
            yield qa_row(name, context, text_field(question, "question", spot), answers, spot, options)


def squad_text(text: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    contexts = dict.fromkeys(text_field(paragraph, "context", where) for paragraph, where in paragraphs(text, file))
    yield from ({"id": f"{file_stem(file)}:{number}", "text": context} for number, context in enumerate(contexts, 1))


def answer_pairs(answers: Any, starts: Any, where: str) -> list[tuple[str, int | None]]:
    """(text, offset) of answers in any form: an offset is None if there is none.

    `answers` is a text, a list of texts, SQuAD's list of {text, answer_start}, or the hub's {text: [...], answer_start:
    [...]}. `starts` has the offsets of texts: one or a list, as numbers or digits; None if there are none.
    """
    if isinstance(answers, Mapping):
        if "text" not in answers:
            raise UserError(f"expected 'text' in the answers, found {', '.join(map(str, answers)) or 'nothing'}", where)
        answers, starts = answers["text"], answers.get("answer_start", [] if answers["text"] == [] else None)
    answers = answers if isinstance(answers, list) else [answers]
    if answers and all(isinstance(answer, Mapping) for answer in answers):
        return [
            (json_field(answer, "text", str, where), _offset(answer.get("answer_start"), "answer_start", where))
            for answer in answers
        ]
    texts = json_items({"text": answers}, "text", str, where)
    if starts is None:
        return [(text, None) for text in texts if text]
    starts = starts if isinstance(starts, list) else [starts]
    if texts == [""] and starts in ([""], [None], [-1], ["-1"]):
        return []
    if len(texts) != len(starts):
        raise UserError(f"{len(texts)} answers with {len(starts)} offsets", where)
    names = (f"answer_start[{number}]" for number in range(len(starts)))
    return [
        (text, _offset(start, name, where, digits=True)) for text, start, name in zip(texts, starts, names, strict=True)
    ]


def _offset(value: Any, name: str, where: str, digits: bool = False) -> int | None:
    """An offset: a whole number or, in tables of texts, its digits, perhaps written as `5.0`; None if there is none."""
    if digits and isinstance(value, str):
        if not value.strip():
            return None
        if not re.fullmatch(r"-?[0-9]{1,9}(\.0)?", value.strip()):
            raise UserError(f"expected an offset in {name!r}, found {value!r}", where)
        return int(value.strip().removesuffix(".0"))
    if value is not None and type(value) is not int:
        raise UserError(f"expected a whole number in {name!r}, found {describe_value(value)}", where)
    return value


def qa_row(
    name: str, context: str, question: str, answers: Answers, where: str, options: ReaderOptions = DEFAULT_OPTIONS
) -> dict:
    """A row of question answering from (text, offset) of its answers, without those that translation lost.

    What the options' `drop` names is left out: the row then has a key `dropped`, or `noted`, that says why. Raises
    UserError if a question has no answer, or an answer is not at its offset (code points).
    """
    # Some data sets mark questions without answer by an empty one.
    drops = UNANSWERABLE in options.drop
    answers = [answer for answer in answers if answer != LOST_ANSWER and (answer[0] or not drops)]
    noted: list[str] = []
    if not answers and drops:
        return {"id": name, "dropped": "no answer"}
    located = [located for answer in answers if (located := _locate(context, *answer, noted, where, options))]
    if answers and not located:
        return {"id": name, "dropped": "no answer that is in its context"}
    answers = {"text": [text for text, _ in located], "answer_start": [start for _, start in located]}
    row = {"id": name, "context": context, "question": question, "answers": answers}
    check_answers(row, where)
    return row | ({"noted": noted} if noted else {})


def _locate(
    context: str, text: str, start: int | None, noted: list[str], where: str, options: ReaderOptions
) -> tuple[str, int] | None:
    """An answer with its offset, which is looked for if the record says so; None for one that is left out."""
    if start is not None and start >= 0 and text and context.startswith(text, start):
        return text, start
    found = context.find(text) if text else -1
    if options.answer_start == "find" and found >= 0:
        several = "" if context.find(text, found + 1) < 0 else ", the first of several places"
        noted.append(f"an answer whose offset was looked for{several}")
        return text, found
    if UNLOCATED in options.drop:
        noted.append("an answer that is not at its place and was left out")
        return None
    if options.answer_start == "find":
        message = f"the answer {text!r} is not in the context"
    elif start is None:
        message = f"the answer {text!r} has no offset"
    else:
        return text, start  # check_answers says what is wrong
    fix = f"To leave such answers out and count them:\ndrop: [{UNLOCATED}]"
    if options.answer_start != "find":
        fix = f"To take the first place where the context has the answer:\nanswer_start: find\n{fix}"
    raise UserError(message, where, fix)


def check_answers(row: Mapping, where: str) -> None:
    """Raise UserError if a question has no answer, or an answer is not in the context at its offset (code points)."""
    answers = row["answers"]
    if not answers["text"]:
        fix = (
            "Extractive questions need at least one answer. To leave unanswerable ones out and count them:\n"
            f"drop: [{UNANSWERABLE}]"
        )
        raise UserError("the question has no answer", where, fix)
    for text, start in zip(answers["text"], answers["answer_start"], strict=True):
        found = row["context"][start : start + len(text)] if start >= 0 else ""
        if not text or found != text:
            message = f"the answer {text!r} is not at its offset {start}, where the context has {found!r}"
            fix = (
                "Offsets count code points from 0. To take the first place where the context has the answer:\n"
                "answer_start: find"
            )
            raise UserError(message, where, fix)


def paragraphs(text: str, file: str) -> Iterator[tuple[Any, str]]:
    """(paragraph, its location) of a file in SQuAD's format."""
    document = parse_json(text, file)
    for i, article in enumerate(json_field(document, "data", list, file)):
        for j, paragraph in enumerate(json_field(article, "paragraphs", list, f"{file}: data[{i}]")):
            yield paragraph, f"{file}: data[{i}].paragraphs[{j}]"
