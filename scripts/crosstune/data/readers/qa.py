"""Readers of question answering: SQuAD's JSON and ChAII's CSV."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

from crosstune.core.errors import UserError
from crosstune.data.readers.pieces import (
    ReaderOptions,
    check_code,
    file_stem,
    id_field,
    json_field,
    parse_json,
    text_field,
)

LOST_ANSWER = ("", -1)

CHAII_COLUMNS = ("id", "context", "question", "answer_text", "answer_start", "language")


def squad(text: str, place: str, options: ReaderOptions) -> Iterator[dict]:
    """Questions in SQuAD's shape. Answers that a translation has lost are left out (SQuAD-es marks them so)."""
    for paragraph, where in paragraphs(text, place):
        context = text_field(paragraph, "context", where)
        for index, question in enumerate(json_field(paragraph, "qas", list, where)):
            spot = f"{where}.qas[{index}]"
            name = id_field(question, spot)
            spot = f"{place}, question {name}"
            answers = [
                (json_field(answer, "text", str, spot), json_field(answer, "answer_start", int, spot))
                for answer in json_field(question, "answers", list, spot)
            ]
            kept = [answer for answer in answers if answer != LOST_ANSWER]
            row = {
                "id": name,
                "context": context,
                "question": text_field(question, "question", spot),
                "answers": {"text": [text for text, _ in kept], "answer_start": [start for _, start in kept]},
            }
            check_answers(row, spot)
            yield row


def squad_text(text: str, place: str, options: ReaderOptions) -> Iterator[dict]:
    contexts = dict.fromkeys(text_field(paragraph, "context", where) for paragraph, where in paragraphs(text, place))
    yield from ({"id": f"{file_stem(place)}:{number}", "text": context} for number, context in enumerate(contexts, 1))


def chaii(text: str, place: str, options: ReaderOptions) -> Iterator[dict]:
    """The rows of one language of a file like ChAII's train.csv.

    Its column `language` says one of the options' codes: a name that is none of them is a fault, not a row to skip.
    Lines may end in LF, CR LF or both; inside of quotes they belong to the text.
    """
    for record, where in _records(text, place):
        check_code(record["language"], options.codes, where)
        if record["language"] != options.codes[options.lang]:
            continue
        if not re.fullmatch("[0-9]{1,9}", record["answer_start"]):
            raise UserError(f"expected an offset in answer_start, found {record['answer_start']!r}", where)
        row = {key: text_field(record, key, where) for key in ("id", "context", "question")}
        row["answers"] = {"text": [record["answer_text"]], "answer_start": [int(record["answer_start"])]}
        check_answers(row, f"{where}, question {row['id']}")
        yield row


def _records(text: str, place: str) -> Iterator[tuple[dict[str, str], str]]:
    """The records of a CSV file with ChAII's columns, each with the file and line where it starts."""
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    where = f"{place}:1"
    try:
        columns = next(table, [])
        if set(CHAII_COLUMNS) - set(columns):
            found = ", ".join(columns)[:200]
            message = f"expected a CSV file with the columns {', '.join(CHAII_COLUMNS)}, found {found!r}"
            raise UserError(message, where)
        where = f"{place}:{table.line_num + 1}"
        for fields in table:
            if fields and len(fields) != len(columns):
                raise UserError(f"expected {len(columns)} columns, found {len(fields)}", where)
            if fields:
                yield dict(zip(columns, fields, strict=True)), where
            where = f"{place}:{table.line_num + 1}"
    except csv.Error as error:
        raise UserError(f"not valid CSV ({error}), in the record that starts here", where) from None


def check_answers(row: Mapping, place: str) -> None:
    """A question has at least one answer, and each stands in the context at its offset."""
    answers = row["answers"]
    if not answers["text"]:
        raise UserError("the question has no answer", place, "Extractive questions need at least one answer.")
    for text, start in zip(answers["text"], answers["answer_start"], strict=True):
        found = row["context"][start : start + len(text)] if start >= 0 else ""
        if not text or found != text:
            message = f"the answer {text!r} is not at its offset {start}, where the context has {found!r}"
            raise UserError(message, place, "Offsets count code points from 0.")


def paragraphs(text: str, place: str) -> Iterator[tuple[Any, str]]:
    document = parse_json(text, place)
    for i, article in enumerate(json_field(document, "data", list, place)):
        for j, paragraph in enumerate(json_field(article, "paragraphs", list, f"{place}: data[{i}]")):
            yield paragraph, f"{place}: data[{i}].paragraphs[{j}]"
