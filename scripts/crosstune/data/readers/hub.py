"""Rows from the columns of data sets on the Hugging Face hub."""

from collections.abc import Iterable, Mapping
from typing import Any

from crosstune.core.errors import UserError
from crosstune.data.readers.items import COPA_QUESTIONS
from crosstune.data.readers.pieces import (
    DEFAULT_OPTIONS,
    ReaderOptions,
    check_forms,
    check_ids,
    check_label,
    check_prefix,
    check_tag,
    id_field,
    json_field,
    json_items,
    text_field,
)
from crosstune.data.readers.qa import qa_row
from crosstune.data.readers.retrieval import sentence_pair

HUB_TAG_COLUMNS = ("upos", "pos_tags", "ner_tags", "tags")

HUB_TEXT_COLUMNS = (("premise", "hypothesis"), ("sentence1", "sentence2"), ("text",))

# The column of the premise with those of the choices: XCOPA and COPA, then SIQA.
HUB_CHOICE_COLUMNS = (("premise", ("choice1", "choice2")), ("context", ("answerA", "answerB", "answerC")))


def rows_from_records(
    records: Iterable[tuple[str, Mapping]],
    task: str,
    where: str,
    options: ReaderOptions = DEFAULT_OPTIONS,
    id_prefix: str = "",
) -> list[dict]:
    """The rows of a table with the columns of the hub's data sets, given as (location, record), with named labels.

    qa              id, context, question, answers (as SQuAD has them)
    tagging         tokens, and upos, pos_tags, ner_tags or tags; of several, the one that the options' `fields` name
    text            text
    classification  premise and hypothesis, sentence1 and sentence2, or text; and label
    choice          premise, choice1, choice2, question, label (COPA); context, question, answerA to C, label (SIQA)
    bitext          sentence1 and sentence2, which is English
    retrieval       as qa, to train on: each question with the sentence that holds its answer

    Only records whose id begins with `id_prefix` give rows. Raises UserError if a record lacks a field of its task, or
    if there are no rows (at `where`).
    """
    make_row = HUB_ROWS[task]
    rows, seen = [], 0
    for number, (place, record) in enumerate(records):
        seen += 1
        if str(record.get("id", "")).startswith(id_prefix):
            rows.append(make_row(record, place, number, options))
    if not rows:
        raise UserError(f"no rows with an id that begins with {id_prefix!r}" if seen else "no rows", where)
    check_prefix([token for row in rows for token in row.get("tokens", ())], where)
    check_ids(rows, where)
    return rows


def _qa_row(record: Mapping, where: str, number: int, options: ReaderOptions) -> dict:
    found = json_field(record, "answers", dict, where)
    answers, starts = (json_items(found, key, kind, where) for key, kind in (("text", str), ("answer_start", int)))
    if len(answers) != len(starts):
        raise UserError(f"{len(answers)} answers with {len(starts)} offsets", where)
    name = id_field(record, where)
    texts = [text_field(record, key, where) for key in ("context", "question")]
    return qa_row(name, *texts, zip(answers, starts, strict=True), f"{where}, question {name}")


def _tagging_row(record: Mapping, where: str, number: int, options: ReaderOptions) -> dict:
    column = _tag_column(record, where, options)
    tokens, tags = json_items(record, "tokens", str, where), json_field(record, column, list, where)
    if len(tokens) != len(tags) or not tokens:
        raise UserError(f"{len(tokens)} tokens with {len(tags)} tags", where)
    tokens = [token.removeprefix(options.token_prefix) for token in tokens]
    check_forms(tokens, where)
    for tag in tags:
        check_tag(_label_name(tag, column, where), options.tags, where)
    return {"id": _row_id(record, number), "tokens": tokens, "tags": tags}


def _tag_column(record: Mapping, where: str, options: ReaderOptions) -> str:
    """The column of the tags: the record's key `fields`, else the only one with a usual name."""
    usual = options.fields or HUB_TAG_COLUMNS
    columns = [name for name in usual if name in record]
    if not columns:
        raise UserError(f"expected a column of tags ({', '.join(map(str, usual))}), found {', '.join(record)}", where)
    if len(columns) > 1:
        fix = "Say in the record which one is meant:\n" + "\nor: ".join(f"fields: [{name}]" for name in columns)
        raise UserError(f"{len(columns)} columns may hold the tags: {', '.join(columns)}", where, fix)
    return columns[0]


def _text_row(record: Mapping, where: str, number: int, options: ReaderOptions) -> dict:
    return {"id": _row_id(record, number), "text": text_field(record, "text", where)}


def _classification_row(record: Mapping, where: str, number: int, options: ReaderOptions) -> dict:
    sides = next((names for names in HUB_TEXT_COLUMNS if all(name in record for name in names)), None)
    if sides is None:
        known = "; ".join(" and ".join(names) for names in HUB_TEXT_COLUMNS)
        raise UserError(f"expected columns of texts ({known}), found {', '.join(record)}", where)
    texts = [text_field(record, name, where) for name in sides]
    label = _label_name(record.get("label"), "label", where)
    check_label(label, options.labels, where)
    return {"id": _row_id(record, number), **dict(zip(("text", "pair"), texts, strict=False)), "label": label}


def _choice_row(record: Mapping, where: str, number: int, options: ReaderOptions) -> dict:
    premise, choices = next(
        (names for names in HUB_CHOICE_COLUMNS if all(name in record for name in names[1])), ("", ())
    )
    if not choices:
        known = "; ".join(" and ".join(names) for _, names in HUB_CHOICE_COLUMNS)
        raise UserError(f"expected columns of choices ({known}), found {', '.join(record)}", where)
    # COPA counts from 0 or names the column, SIQA counts from "1" in text.
    indices = {**{name: index for index, name in enumerate(choices)}, **{str(n + 1): n for n in range(len(choices))}}
    label = record.get("label")
    index = indices.get(label) if isinstance(label, str) else label
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(choices):
        raise UserError(f"expected the number of one of {len(choices)} choices in 'label', found {label!r}", where)
    question = text_field(record, "question", where)
    return {
        "id": _row_id(record, number),
        "premise": text_field(record, premise, where),
        "question": COPA_QUESTIONS.get(question, question),
        "choices": [text_field(record, name, where) for name in choices],
        "label": index,
    }


def _bitext_row(record: Mapping, where: str, number: int, options: ReaderOptions) -> dict:
    texts = {side: text_field(record, name, where) for side, name in (("text", "sentence1"), ("pair", "sentence2"))}
    return {"id": _row_id(record, number), **texts}


def _retrieval_row(record: Mapping, where: str, number: int, options: ReaderOptions) -> dict:
    return sentence_pair(_qa_row(record, where, number, options))


def _label_name(value: Any, column: str, where: str) -> str:
    if isinstance(value, str) and value:
        return value
    fix = (
        "Where the file does not name its labels, the one of the branch refs/convert/parquet may.\n"
        "-1 says that the label is kept secret: use a split that has labels."
    )
    raise UserError(f"expected the name of a label in {column!r}, found {value!r}", where, fix)


def _row_id(record: Mapping, number: int) -> str:
    """The record's `id` or `idx`, else its number, counted from 0."""
    found = (record.get(key) for key in ("id", "idx"))
    return str(next((value for value in found if isinstance(value, str | int) and value != ""), number))


HUB_ROWS = {
    "qa": _qa_row,
    "tagging": _tagging_row,
    "text": _text_row,
    "classification": _classification_row,
    "choice": _choice_row,
    "bitext": _bitext_row,
    "retrieval": _retrieval_row,
}
