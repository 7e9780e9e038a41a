"""Readers of question answering: SQuAD's JSON and ChAII's CSV."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
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

LOST_ANSWER = ("", -1)  # the mark of SQuAD-es

CHAII_COLUMNS = ("id", "context", "question", "answer_text", "answer_start", "language")


def squad(text: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """Questions in SQuAD's format, without answers that were lost in translation."""
    for paragraph, where in paragraphs(text, file):
        context = text_field(paragraph, "context", where)
        for index, question in enumerate(json_field(paragraph, "qas", list, where)):
            spot = f"{where}.qas[{index}]"
            name = id_field(question, spot)
            spot = f"{file}, question {name}"
            answers = [
                (json_field(answer, "text", str, spot), json_field(answer, "answer_start", int, spot))
                for answer in json_field(question, "answers", list, spot)
            ]
            yield qa_row(name, context, text_field(question, "question", spot), answers, spot)


def qa_row(name: str, context: str, question: str, answers: Iterable[tuple[str, int]], where: str) -> dict:
    """A row of question answering from (text, start) of its answers, without those lost. Raises UserError."""
    answers = [answer for answer in answers if answer != LOST_ANSWER]
    texts, starts = [text for text, _ in answers], [start for _, start in answers]
    row = {"id": name, "context": context, "question": question, "answers": {"text": texts, "answer_start": starts}}
    check_answers(row, where)
    return row


def squad_text(text: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    contexts = dict.fromkeys(text_field(paragraph, "context", where) for paragraph, where in paragraphs(text, file))
    yield from ({"id": f"{file_stem(file)}:{number}", "text": context} for number, context in enumerate(contexts, 1))


def chaii(text: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """The rows of one language of a file like ChAII's train.csv.

    The column `language` holds one of the options' codes; any other value is a fault, not a row to skip. Lines may end
    in LF or CR LF; line breaks inside quotes belong to the text.
    """
    for record, where in _records(text, file):
        check_code(record["language"], options.codes, where)
        if record["language"] != options.codes[options.lang]:
            continue
        if not re.fullmatch("[0-9]{1,9}", record["answer_start"]):
            raise UserError(f"expected an offset in answer_start, found {record['answer_start']!r}", where)
        row = {key: text_field(record, key, where) for key in ("id", "context", "question")}
        row["answers"] = {"text": [record["answer_text"]], "answer_start": [int(record["answer_start"])]}
        check_answers(row, f"{where}, question {row['id']}")
        yield row


def _records(text: str, file: str) -> Iterator[tuple[dict[str, str], str]]:
    """(record, location of its first line) of a CSV file with ChAII's columns."""
    # The library's own limit is 131,072 characters a field; a context can be longer.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    where = f"{file}:1"
    try:
        columns = next(table, [])
        if set(CHAII_COLUMNS) - set(columns):
            expected, found = ", ".join(CHAII_COLUMNS), ", ".join(columns)[:200]
            raise UserError(f"expected a CSV file with the columns {expected}, found {found!r}", where)
        where = f"{file}:{table.line_num + 1}"
        for fields in table:
            if fields and len(fields) != len(columns):
                raise UserError(f"expected {len(columns)} columns, found {len(fields)}", where)
            if fields:
                yield dict(zip(columns, fields, strict=True)), where
            where = f"{file}:{table.line_num + 1}"
    except csv.Error as error:
        raise UserError(f"not valid CSV ({error}), in the record that starts here", where) from None


def check_answers(row: Mapping, where: str) -> None:
    """Raise UserError if a question has no answer, or an answer is not in the context at its offset (code points)."""
    answers = row["answers"]
    if not answers["text"]:
        raise UserError("the question has no answer", where, "Extractive questions need at least one answer.")
    for text, start in zip(answers["text"], answers["answer_start"], strict=True):
        found = row["context"][start : start + len(text)] if start >= 0 else ""
        if not text or found != text:
            message = f"the answer {text!r} is not at its offset {start}, where the context has {found!r}"
            raise UserError(message, where, "Offsets count code points from 0.")


def paragraphs(text: str, file: str) -> Iterator[tuple[Any, str]]:
    """(paragraph, its location) of a file in SQuAD's format."""
    document = parse_json(text, file)
    for i, article in enumerate(json_field(document, "data", list, file)):
        for j, paragraph in enumerate(json_field(article, "paragraphs", list, f"{file}: data[{i}]")):
            yield paragraph, f"{file}: data[{i}].paragraphs[{j}]"
