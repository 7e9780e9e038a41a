"""Rows from tables by named columns: a record's key `columns` says what each column holds.

A column is a name in the table's header or a key of JSON (`answers.text` is inside `answers`), or a number from 1. It
can also be a mapping:

    {column: gold, values: {e: entailment}}   other texts in place of some of the column's
    {file: 2, column: 1}                      a column of the second of a language's files, whose rows go with these
    {text: "What happens next?"}              no column: the same text in every row

Several columns of texts are joined with spaces. For `choices` they are the choices, for unlabelled text texts of their
own.
"""

import ast
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crosstune.core.errors import UserError
from crosstune.data.readers.pieces import (
    ReaderOptions,
    check_code,
    check_forms,
    check_label,
    describe_value,
    rows_of_parts,
)
from crosstune.data.readers.qa import answer_pairs, qa_row
from crosstune.data.readers.retrieval import sentence_pair
from crosstune.data.readers.tables import Record, read_table
from crosstune.data.readers.tagging import tagged_row


@dataclass(frozen=True)
class Column:
    """One column of a declaration: its name or number, and other texts for some of its values.

    `file` counts the files of a language from 1. A constant `text` needs no column.
    """

    name: str | int = 1
    file: int = 1
    values: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None

    @classmethod
    def parse(cls, given: Any) -> "Column":
        """The column of a declaration's value."""
        if not isinstance(given, Mapping):
            return cls(given)
        return cls(given.get("column", 1), given.get("file", 1), given.get("values", {}), given.get("text"))


SPLITS = ("train", "validation", "test")


class Row:
    """The cells of one record under the names of the declaration's roles.

    `records` has the record of each file that rows are put together from. Methods raise UserError with the place of a
    cell that is missing or of the wrong kind.
    """

    def __init__(self, records: Sequence[Record], columns: Mapping[str, Sequence[Column]], options: ReaderOptions):
        self._records, self._columns, self.options = records, columns, options

    @property
    def where(self) -> str:
        return self._records[0].where

    @property
    def name(self) -> str:
        """The row's id: that of its column, else of its place."""
        if "id" not in self._columns:
            return self._records[0].name
        value = self.value("id")
        return str(value) if type(value) is int else self.text("id")

    def place(self, role: str) -> str:
        """The place of a role's cell."""
        column = self._columns[role][0]
        return self._records[column.file - 1].where

    def __contains__(self, role: str) -> bool:
        return role in self._columns

    def value(self, role: str) -> Any:
        """What a role's only column holds."""
        return self._cell(self._columns[role][0])

    def text(self, role: str) -> str:
        """The text of a role's column, or of its columns with spaces between them; none is empty."""
        return " ".join(self.texts(role))

    def texts(self, role: str) -> list[str]:
        """The texts of a role's columns, none of them empty."""
        return [self._text(column) for column in self._columns[role]]

    def names(self, role: str) -> list[str | int]:
        """The names of a role's columns."""
        return [column.name for column in self._columns[role]]

    def items(self, role: str) -> list:
        """The list in a role's only column: of JSON or Python, or words between spaces."""
        value = structure(self.value(role))
        value = [item for item in value.split(" ") if item] if isinstance(value, str) else value
        if not isinstance(value, list):
            raise UserError(f"expected a list in {self._noun(role)}, found {describe_value(value)}", self.place(role))
        return value

    def label(self, role: str = "label") -> str:
        """The text of a label, as the file has it; a number is taken only if the record names it."""
        value = self.value(role)
        if type(value) is int and (str(value) in (*self.options.values, *self.options.labels, *self.options.drop)):
            return str(value)
        return label_name(value.strip() if isinstance(value, str) else value, self._noun(role), self.place(role))

    def _noun(self, role: str) -> str:
        return column_noun(self._columns[role][0].name)

    def _text(self, column: Column) -> str:
        value, where = self._cell(column), self._records[column.file - 1].where
        noun = column_noun(column.name)
        if not isinstance(value, str):
            raise UserError(f"expected a string in {noun}, found {describe_value(value)}", where)
        if not value.strip():
            raise UserError(f"{noun} is empty", where)
        if re.search("[\ud800-\udfff]", value):
            raise UserError(f"half of a surrogate pair in {noun}, which is no character", where)
        return value

    def _cell(self, column: Column) -> Any:
        if column.text is not None:
            return column.text
        record = self._records[column.file - 1]
        value = inner_value(record, column.name)
        if not column.values:
            return value
        if not isinstance(value, str) or value not in column.values:
            known = " or ".join(column.values)
            raise UserError(f"expected {known} in {column_noun(column.name)}, found {value!r}", record.where)
        return column.values[value]


def inner_value(record: Record, name: str | int) -> Any:
    """The cell of a column, or what is inside it under keys that dots join."""
    value: Any = record.cells
    for key in [name] if name in record.cells or not isinstance(name, str) else name.split("."):
        if not isinstance(value, Mapping) or key not in value:
            there = ", ".join(map(repr, (key for key in record.cells if isinstance(key, str)))) or "none"
            raise UserError(f"the field {name!r} is missing; there are {there}", record.where)
        value = value[key]
    return value


def column_noun(name: str | int) -> str:
    return f"column {name}" if isinstance(name, int) else f"the field {name!r}"


def structure(value: Any) -> Any:
    """The list or object that a text of JSON or Python holds; any other value as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return value


def label_name(value: Any, noun: str, where: str) -> str:
    """A label's name. Raises UserError for anything else, such as the number of a label without a name."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, bool):
        return str(value).lower()
    fix = (
        "If the file numbers its labels, name them in the record:\n"
        'labels: {"0": ..., "1": ...}\n'
        "Where a file of the hub does not name its labels, the one of the branch refs/convert/parquet may.\n"
        "-1 says that the label is kept secret: use a split that has labels."
    )
    raise UserError(f"expected the name of a label in {noun}, found {value!r}", where, fix)


# ----------------------------------------------------------------------------------------------------------------- rows


def declared(files: Sequence[tuple[str, str]], options: ReaderOptions) -> Iterator[dict]:
    """The rows of a language's files, given as (name, text): one after the other or, if columns name files, paired."""
    columns = parse_columns(options.columns)
    most = max(column.file for several in columns.values() for column in several)
    if most > 1:
        if len(files) != most:
            message = f"the columns name {most} files that belong together, found {len(files)}"
            raise UserError(message, " and ".join(file for file, _ in files), "List them: files: [texts, labels]")
        yield from rows_of_records(_paired(files, columns, options), columns, options)
        return

    def parse(content: str, file: str) -> Iterator[dict]:
        records = [[record] for record in _read(file, content, 1, columns, options)]
        return rows_of_records(records, columns, options)

    yield from rows_of_parts(files, parse, own_ids="id" in columns)


def parse_columns(given: Mapping[str, Any]) -> dict[str, list[Column]]:
    """The columns of each role of a declaration; `choices` may also be one column with a list."""
    return {
        role: [Column.parse(item) for item in (v if isinstance(v, list | tuple) else [v])] for role, v in given.items()
    }


def _read(
    file: str, content: str, number: int, columns: Mapping[str, Sequence[Column]], options: ReaderOptions
) -> list[Record]:
    """The records of a language's file of a number, from 1."""
    wanted = [c for several in columns.values() for c in several if c.file == number and c.text is None]
    return read_table(file, content, options.table, [column.name for column in wanted], is_first=number == 1)


def _paired(
    files: Sequence[tuple[str, str]], columns: Mapping[str, Sequence[Column]], options: ReaderOptions
) -> list[tuple[Record, ...]]:
    """The records of files whose rows go together, in order."""
    tables = [_read(file, content, number, columns, options) for number, (file, content) in enumerate(files, 1)]
    for (file, _), table in zip(files, tables, strict=True):
        if len(table) != len(tables[0]):
            message = f"{len(table)} rows for the {len(tables[0])} of {files[0][0]}"
            raise UserError(message, file, f"Row n of this file goes with row n of {files[0][0]}.")
    return list(zip(*tables, strict=True))


def rows_of_records(
    records: Iterable[Sequence[Record]], columns: Mapping[str, Sequence[Column]], options: ReaderOptions
) -> Iterator[dict]:
    """The rows of the task from records, those of the options' language and split if columns say these."""
    rows = (Row(record, columns, options) for record in records)
    if "language" in columns or "split" in columns:
        rows = [row for row in rows if _is_wanted(row)]
    return MAKERS[options.task](rows)


def _is_wanted(row: Row) -> bool:
    """Whether a row has the options' language and split. Raises UserError for a language or split of no known name."""
    options, wanted = row.options, True
    if "language" in row:
        codes = options.codes or {lang: lang for lang in options.languages}
        language = row.text("language")
        if language not in options.drop:
            check_code(language, codes, row.place("language"))
        wanted = language == codes[options.lang]
    if "split" in row:
        split = row.text("split")
        if split not in (*SPLITS, *options.drop):
            fix = "columns: {split: {column: ..., values: {training: train, dev: validation, test: test}}}"
            message = f"the split {split!r} is none of {', '.join(SPLITS)}"
            raise UserError(message, row.place("split"), f"Name the file's splits:\n{fix}\nor drop: [{split}]")
        wanted = wanted and split == options.split
    return wanted


def _one_each(make: Callable[[Row], dict]) -> Callable[[Iterable[Row]], Iterator[dict]]:
    return lambda rows: map(make, rows)


def _qa(row: Row) -> dict:
    start = row.value("answer_start") if "answer_start" in row else None
    answers = answer_pairs(structure(row.value("answers")), structure(start), row.place("answers"))
    where = f"{row.where}, question {row.name}" if "id" in row else row.where
    return qa_row(row.name, row.text("context"), row.text("question"), answers, where, row.options)


def _classification(row: Row) -> dict:
    texts = {role: row.text(role) for role in ("text", "pair") if role in row}
    label = row.label()
    if label in row.options.drop:
        return {"id": row.name, "dropped": f"the label {label!r}"}
    label = map_value(label, row.options.values)
    check_label(label, row.options.labels, row.place("label"))
    return {"id": row.name, **texts, "label": label}


def map_value(value: str, values: Mapping[str, str]) -> str:
    """What a map of the record makes of a file's label or tag; one that it lacks stays, and is then refused."""
    return values.get(value, value)


def _choice(row: Row) -> dict:
    names = row.names("choices")
    choices = row.texts("choices") if len(names) > 1 else row.items("choices")
    if not all(isinstance(choice, str) and choice.strip() for choice in choices):
        raise UserError(f"a choice is empty or no text: {choices!r}"[:200], row.place("choices"))
    if len(choices) < 2:
        raise UserError(f"expected several choices, found {len(choices)}", row.place("choices"))
    label = row.value("label")
    if str(label).strip() in row.options.drop:
        return {"id": row.name, "dropped": f"the label {label!r}"}
    return {
        "id": row.name,
        "premise": row.text("premise"),
        "question": row.text("question") if "question" in row else "",
        "choices": choices,
        "label": _choice_index(label, names, len(choices), row),
    }


def _choice_index(label: Any, names: Sequence[str | int], count: int, row: Row) -> int:
    """The number, from 0, of the choice that a label means.

    `labels` of the record are the labels of the choices in order. Without them a label is a number from 0 in JSON or
    Parquet, or the name of the choice's column.
    """
    where, known = row.place("label"), [str(name) for name in row.options.labels or names]
    text = str(label).strip()
    if isinstance(label, str | int) and not isinstance(label, bool) and text in known and known.index(text) < count:
        return known.index(text)
    if not row.options.labels and type(label) is int and 0 <= label < count:
        return label
    message = f"expected the number of one of {count} choices in 'label', found {label!r}"
    if row.options.labels:
        message = f"the label {text!r} is outside the set {' '.join(known[:count])}"
    fix = (
        "The record's key `labels` lists the labels of the choices in their order:\n"
        'labels: ["1", "2", "3"]\nSecret test labels are often -1.'
    )
    raise UserError(message, where, fix)


def _tagging(row: Row) -> dict:
    tokens, tags = row.items("tokens"), row.items("tags")
    if any(not isinstance(token, str) for token in tokens):
        wrong = next(n for n, token in enumerate(tokens) if not isinstance(token, str))
        message = f"expected a string in 'tokens[{wrong}]', found {describe_value(tokens[wrong])}"
        raise UserError(message, row.place("tokens"))
    if len(tokens) != len(tags) or not tokens:
        raise UserError(f"{len(tokens)} tokens with {len(tags)} tags", row.where)
    known = (*row.options.values, *row.options.tags, *row.options.drop)
    tags = [str(tag) if type(tag) is int and str(tag) in known else tag for tag in tags]
    tags = [label_name(tag, repr(str(row.names("tags")[0])), row.place("tags")) for tag in tags]
    tokens = [token.removeprefix(row.options.token_prefix) for token in tokens]
    check_forms(tokens, row.where)
    return tagged_row(row.name, tokens, tags, [row.where] * len(tags), row.options)


def _bitext(row: Row) -> dict:
    return {"id": row.name, "text": row.text("text"), "pair": row.text("pair")}


def _texts(rows: Iterable[Row]) -> Iterator[dict]:
    """Texts with their translations, texts of one column, or the distinct texts of several columns."""
    seen: set[str] = set()
    for row in rows:
        if "pair" in row:
            yield _bitext(row)
            continue
        if len(row.names("text")) == 1:
            yield {"id": row.name, "text": row.text("text")}
            continue
        count = 0
        for text in row.texts("text"):
            if text not in seen:
                seen.add(text)
                count += 1
                yield {"id": f"{row.name}.{count}", "text": text}


def _retrieval(rows: Iterable[Row]) -> Iterator[dict]:
    """Pairs to train on; in other splits questions and distinct candidates in rows of their own.

    Equal candidates have the keys of all their questions.
    """
    rows = list(rows)
    if rows and "answers" in rows[0]:
        yield from map(sentence_pair, map(_qa, rows))
        return
    pool: dict[tuple[str, str], list[str]] = {}
    found = []
    for row in rows:
        candidate = (row.text("candidate"), row.text("context") if "context" in row else "")
        pool.setdefault(candidate, []).append(row.name)
        found.append((row, candidate))
    for row, (text, context) in found:
        query = {"id": row.name, "query": row.text("query"), "key": row.name}
        if row.options.split == "train":
            yield query | {"candidate": text, "context": context, "keys": pool[text, context]}
        else:
            yield query | {"id": f"{row.name}_{row.options.lang}"}
    if rows and rows[0].options.split != "train":
        for number, ((text, context), keys) in enumerate(pool.items(), 1):
            name = f"{rows[0].options.lang}_{number}"
            yield {"id": name, "candidate": text, "context": context, "keys": keys}


MAKERS = {
    "qa": _one_each(_qa),
    "classification": _one_each(_classification),
    "choice": _one_each(_choice),
    "tagging": _one_each(_tagging),
    "bitext": _one_each(_bitext),
    "retrieval": _retrieval,
    "text": _texts,
}
