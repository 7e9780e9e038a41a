"""Rows from the records of Parquet files: their columns are named, and the hub's data sets use few names."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

from crosstune.core.errors import UserError
from crosstune.data.readers.declared import parse_columns, rows_of_records
from crosstune.data.readers.formats import COPA_QUESTIONS
from crosstune.data.readers.pieces import DEFAULT_OPTIONS, ReaderOptions, check_ids, check_prefix, take_notes
from crosstune.data.readers.tables import Record

SQUAD = {"id": "id", "context": "context", "question": "question", "answers": "answers"}

# By task, the declarations of the usual columns: the one whose columns are all there is used.
USUAL_COLUMNS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "qa": (SQUAD,),
    "retrieval": (SQUAD,),
    "tagging": tuple({"tokens": "tokens", "tags": tags} for tags in ("upos", "pos_tags", "ner_tags", "tags")),
    "text": ({"text": "text"},),
    "classification": (
        {"text": "premise", "pair": "hypothesis", "label": "label"},
        {"text": "sentence1", "pair": "sentence2", "label": "label"},
        {"text": "text", "label": "label"},
    ),
    "choice": (
        {
            "premise": "premise",
            "choices": ["choice1", "choice2"],
            "question": {"column": "question", "values": COPA_QUESTIONS},
            "label": "label",
        },
        {
            "premise": "context",
            "choices": ["answerA", "answerB", "answerC"],
            "question": "question",
            "label": "label",
            "labels": ("1", "2", "3"),
        },
    ),
    "bitext": ({"text": "sentence1", "pair": "sentence2"},),
}


def rows_from_records(
    records: Iterable[tuple[str, Mapping]],
    task: str,
    where: str,
    options: ReaderOptions = DEFAULT_OPTIONS,
    id_prefix: str = "",
) -> list[dict]:
    """The rows of a table that names its columns, given as (location, record), with named labels.

    The options' `columns` say what they hold, else USUAL_COLUMNS. Only records whose id begins with `id_prefix` give
    rows. Raises UserError if a record lacks a field of its task, or if there are no rows (at `where`).
    """
    numbered = (
        Record(place, _row_id(cells, number), {key: value for key, value in cells.items() if value is not None})
        for number, (place, cells) in enumerate(records)
    )
    first = next(numbered, None)
    if first is None:
        raise UserError("no rows", where)
    options = replace(options, task=task)
    if not options.columns:
        options = _usual_options(first, options)
    chosen = (record for record in chain([first], numbered) if str(record.cells.get("id", "")).startswith(id_prefix))
    found = rows_of_records(((record,) for record in chosen), parse_columns(options.columns), options)
    rows = take_notes(found, options.notes)
    if not rows:
        raise UserError(
            f"no rows with an id that begins with {id_prefix!r}" if id_prefix else "no rows are left", where
        )
    check_prefix([token for row in rows for token in row.get("tokens", ())], where)
    check_ids(rows, where)
    return rows


def _usual_options(record: Record, options: ReaderOptions) -> ReaderOptions:
    """The options with the usual columns of their task that a table has. Raises UserError without or with several."""
    usual = USUAL_COLUMNS[options.task]
    fitting = (
        [columns for columns in usual if _names(columns) <= record.cells.keys()] if len(usual) > 1 else list(usual)
    )
    if not fitting:
        expected = "; or ".join(", ".join(_names_in_order(columns)) for columns in usual)
        found = ", ".join(map(str, record.cells))
        fix = "If the columns are called otherwise, name them in the record: columns: {...}"
        raise UserError(f"expected the columns {expected}; found {found}", record.where, fix)
    if options.task == "tagging" and len(fitting) > 1:
        fix = "Say in the record which one is meant:\n" + "\nor: ".join(
            f"columns: {{tokens: tokens, tags: {columns['tags']}}}" for columns in fitting
        )
        names = ", ".join(columns["tags"] for columns in fitting)
        raise UserError(f"{len(fitting)} columns may hold the tags: {names}", record.where, fix)
    columns = dict(fitting[0])
    labels = columns.pop("labels", options.labels)
    return replace(options, columns=columns, labels=labels)


def _names(columns: Mapping[str, Any]) -> set[str]:
    return set(_names_in_order(columns))


def _names_in_order(columns: Mapping[str, Any]) -> Iterator[str]:
    parsed = parse_columns({role: column for role, column in columns.items() if role != "labels"})
    return (column.name for several in parsed.values() for column in several)


def _row_id(cells: Mapping, number: int) -> str:
    """The record's `id` or `idx`, else its number, counted from 0."""
    found = (cells.get(key) for key in ("id", "idx"))
    return str(next((value for value in found if isinstance(value, str | int) and value != ""), number))
