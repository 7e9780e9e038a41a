"""Readers of question answering: SQuAD's JSON and ChAII's CSV."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

from crosstune.errors import UserError
from crosstune.readers.pieces import Options, identifier, member, parse_json, stem, text_of

LOST_ANSWER = ("", -1)
CHAII_LANGUAGES = {"hi": "hindi", "ta": "tamil"}


def squad(text: str, place: str, options: Options) -> Iterator[dict]:
    """Questions in SQuAD's shape. Answers that a translation has lost are left out (SQuAD-es marks them so)."""
    for paragraph, where in paragraphs(text, place):
        context = text_of(paragraph, "context", where)
        for index, question in enumerate(member(paragraph, "qas", list, where)):
            spot = f"{where}.qas[{index}]"
            name = identifier(question, spot)
            spot = f"{place}, question {name}"
            answers = [
                (member(answer, "text", str, spot), member(answer, "answer_start", int, spot))
                for answer in member(question, "answers", list, spot)
            ]
            kept = [answer for answer in answers if answer != LOST_ANSWER]
            row = {
                "id": name,
                "context": context,
                "question": text_of(question, "question", spot),
                "answers": {"text": [text for text, _ in kept], "answer_start": [start for _, start in kept]},
            }
            check_answers(row, spot)
            yield row


def squad_text(text: str, place: str, options: Options) -> Iterator[dict]:
    contexts = dict.fromkeys(text_of(paragraph, "context", where) for paragraph, where in paragraphs(text, place))
    yield from ({"id": f"{stem(place)}:{number}", "text": context} for number, context in enumerate(contexts, 1))


def chaii(text: str, place: str, options: Options) -> Iterator[dict]:
    """The rows of one language of ChAII's train.csv: its column `language` says hindi or tamil."""
    columns = ["id", "context", "question", "answer_text", "answer_start", "language"]
    table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if set(columns) - set(table.fieldnames or []):
            found = ", ".join(table.fieldnames or [])[:200]
            raise UserError(f"expected a CSV file with the columns {', '.join(columns)}, found {found!r}", place)
        for record in table:
            where = f"{place}:{table.line_num}"
            if None in record or None in record.values():
                raise UserError(f"expected {len(table.fieldnames)} columns, found more or fewer", where)
            if record["language"] != CHAII_LANGUAGES.get(options.lang):
                continue
            if not re.fullmatch("[0-9]{1,9}", record["answer_start"]):
                raise UserError(f"expected an offset in answer_start, found {record['answer_start']!r}", where)
            row = {
                "id": record["id"],
                "context": record["context"],
                "question": record["question"],
                "answers": {"text": [record["answer_text"]], "answer_start": [int(record["answer_start"])]},
            }
            check_answers(row, f"{where}, question {row['id']}")
            yield row
    except csv.Error as error:
        raise UserError(f"not valid CSV ({error})", f"{place}:{table.line_num}") from None


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
    for i, article in enumerate(member(document, "data", list, place)):
        for j, paragraph in enumerate(member(article, "paragraphs", list, f"{place}: data[{i}]")):
            yield paragraph, f"{place}: data[{i}].paragraphs[{j}]"
