"""Guess how files are written and what their columns hold: task, reader, columns, table, labels and tags of a record.

Names of columns decide first, then what they contain.
"""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crosstune.core.errors import UserError
from crosstune.core.files import read_text
from crosstune.data.parquet import read_parquet
from crosstune.data.readers.declared import structure
from crosstune.data.readers.formats import COPA_QUESTIONS
from crosstune.data.readers.pieces import UPOS, line_blocks
from crosstune.data.readers.tables import SEPARATED, format_of_name, read_table

# Usual names of columns, in small letters, by what they hold.
NAMES = {
    "id": "id idx guid uid pairid pair_id example_id question_id",
    "language": "language lang lang_code language_code dialect",
    "context": "context passage paragraph document context_text article",
    "question": "question question_text query",
    "answers": "answers answer answer_text answers_text",
    "answer_start": "answer_start start answer_start_index start_position answer_offset",
    "text": "text premise sentence1 sentence tweet review text_a sentence_a content message comment utterance",
    "pair": "hypothesis sentence2 text_b sentence_b pair",
    "label": "label gold_label gold class category sentiment target intent polarity annotation",
    "premise": "premise context ctx passage flores_passage story goal",
    "right": "label correct_answer_num correct answer answerkey answer_key gold",
    "choices": "choices options endings",
    "tokens": "tokens words token_list",
    "tags": "tags ner_tags upos pos_tags ner labels tag",
    "query": "query question claim",
    "candidate": "candidate passage positive document doc answer_sentence positive_passage",
    "source": "source src sentence1 text text_a original",
    "translation": "translation tgt target sentence2 text_b pair english",
}
CHOICE = re.compile(r"(?:choice|mc_answer|answer|option|ending|sol)_?([0-9]|[a-e])", re.IGNORECASE)
SEPARATORS = "\t,;|"
MOST_LABELS = 40
SAMPLE = 200  # records that are looked at for a table's shape

Columns = Mapping[str, Sequence[Any]]
Found = tuple[dict[str, Any], dict[str, str]]  # keys of a record, and questions by key


def guess_format(paths: Sequence[Path], task: str = "") -> Found:
    """(keys of a record, questions by key) for files of one format; `task` is what the user says, "" if nothing."""
    path = paths[0]
    if path.suffix == ".parquet":
        records = [cells for _, cells in read_parquet([(str(path), str(path)) for path in paths])]
        return _guess_columns({name: [cells.get(name) for cells in records] for name in records[0]}, {}, task)
    texts = [read_text(path) for path in paths]
    if task == "text" and (found := _text_reader(texts[0])):
        return {"task": "text", "reader": found}, {}
    if format_of_name(str(path)) == "json" or texts[0].lstrip().startswith(("{", "[")):
        return _guess_json(path, texts, task)
    if _is_conllu(texts[0]):
        return _guess_conllu(texts)
    if task in ("", "tagging") and (found := _guess_token_lines(texts)):
        return found
    return _guess_separated(paths, texts, task)


# ------------------------------------------------------------------------------------------------- formats of their own


def _text_reader(text: str) -> str:
    if _is_conllu(text):
        return "conllu-text"
    return "" if text.lstrip().startswith(("{", "[")) else "lines"


def _guess_json(path: Path, texts: Sequence[str], task: str) -> Found:
    try:
        document = json.loads(texts[0])
    except ValueError:
        document = None
    table: dict[str, Any] = {} if format_of_name(str(path)) == "json" else {"format": "json"}
    if isinstance(document, dict):
        articles = document.get("data")
        if isinstance(articles, list) and articles and isinstance(articles[0], dict) and "paragraphs" in articles[0]:
            sentences = any("sentence_breaks" in p for article in articles for p in article.get("paragraphs", ()))
            readers = {"text": "squad-text", "retrieval": "lareqa" if sentences else "squad-sentences"}
            return {"task": task or "qa", "reader": readers.get(task, "squad")}, {}
        lists = [
            key for key, value in document.items() if isinstance(value, list) and value and isinstance(value[0], dict)
        ]
        if lists:
            table["rows"] = lists[0]
    records = [record for text in texts for record in read_table(str(path), text, table, [])]
    if not records:
        raise UserError("the file holds no rows", str(path))
    names = dict.fromkeys(name for record in records for name in record.cells)
    columns = {name: [record.cells.get(name) for record in records] for name in names}
    return _guess_columns(columns, table, task)


def _is_conllu(text: str) -> bool:
    lines = [line for line in text.split("\n")[:SAMPLE] if line.strip() and not line.startswith("#")]
    return bool(lines) and all(len(line.split("\t")) == 10 and line[0].isdigit() for line in lines)


def _guess_conllu(texts: Sequence[str]) -> Found:
    words = [line.split("\t") for text in texts for line in text.split("\n") if re.match("[0-9]+\t", line)]
    record: dict[str, Any] = {"task": "tagging", "reader": "conllu"}
    if all(word[3] in UPOS for word in words):
        return record, {"reader": "the tags are column upos; another: columns: {tags: xpos}"}
    filled = [
        (name, index) for name, index in (("xpos", 4), ("deprel", 7)) if all(word[index] != "_" for word in words)
    ]
    name, index = filled[0] if filled else ("upos", 3)
    return record | {"columns": {"tags": name}, "tags": _in_order(word[index] for word in words)}, {
        "columns": "column upos holds other tags than the universal ones"
    }


def _guess_token_lines(texts: Sequence[str]) -> Found | None:
    """A token and its tags per line: lines in blocks, with the same few columns and few different tags in one."""
    separator = "\t" if "\t" in texts[0] else " "
    cells = re.compile("\t" if separator == "\t" else "[ \t]+")
    blocks = [[line for _, line in block] for text in texts for block in line_blocks(text)]
    comment = _comment(blocks, cells)
    lines = [line for block in blocks for line in block if not (comment and line.startswith(comment))]
    rows = [cells.split(line.strip(" ")) for line in lines if "-DOCSTART-" not in line]
    width = len(rows[0]) if rows else 0
    if len(list(line_blocks(texts[0]))) < 2 or not 2 <= width <= 12 or any(len(row) != width for row in rows):
        return None
    columns = list(zip(*rows, strict=True))
    tags = [index for index in range(1, width) if _are_tags(columns[index])]
    tokens = next((index for index in range(width) if _are_tokens(columns[index])), width)
    if not tags or tokens == width:
        return None
    # Named entities are the usual aim; else the last column.
    column = next((index for index in reversed(tags) if any(tag[:2] == "B-" for tag in columns[index])), tags[-1])
    record: dict[str, Any] = {"task": "tagging", "reader": "columns"}
    if (width, tokens, column, separator) != (2, 0, 1, "\t"):
        record["columns"] = {"tokens": tokens + 1, "tags": column + 1}
    table = ({"separator": separator} if separator != "\t" else {}) | ({"comment": comment} if comment else {})
    record |= {"table": table} if table else {}
    record |= {"tags": _in_order(columns[column])} if not set(columns[column]) <= set(UPOS) else {}
    several = f"columns {', '.join(str(index + 1) for index in tags)} hold tags"
    return _with_scheme(record, columns[column]), {"columns": several} if len(tags) > 1 else {}


def _comment(blocks: Sequence[Sequence[str]], cells: re.Pattern) -> str:
    """How comments begin: the first line of every block, or lines with other columns than most; "" if none do."""
    first = [block[0] for block in blocks]
    if not all(line.startswith("#") for line in first):
        widths = [len(cells.split(line.strip())) for block in blocks for line in block]
        usual = max(set(widths), key=widths.count)
        lines = [line for block in blocks for line in block]
        first = [line for line in lines if line.startswith("#") and len(cells.split(line.strip())) != usual]
    starts = {re.match(r"#\s*\w*", line)[0] for line in first}
    return "" if not starts else starts.pop() if len(starts) == 1 else "#"


def _are_tags(values: Sequence[str]) -> bool:
    kinds = set(values)
    return (
        len(kinds) <= MOST_LABELS and (len(kinds) * 2 <= len(values) or len(kinds & {"O", *UPOS}) > 0) and all(values)
    )


def _are_tokens(values: Sequence[str]) -> bool:
    words = [value for value in values if value and " " not in value]
    return len(words) == len(values) and not all(map(str.isdigit, words)) and not set(words) <= {"_", "-"}


def _with_scheme(record: dict[str, Any], tags: Sequence[str]) -> dict[str, Any]:
    """The record with the scheme of its tags and the tags that they then are, if they are not IOB2."""
    marks = {tag[:2] for tag in tags if tag[1:2] == "-"}
    scheme = "IOBES" if marks & {"E-", "S-"} else "BILOU" if marks & {"L-", "U-"} else ""
    pairs = zip(["O", *tags], tags, strict=False)
    if not scheme and any(tag[:2] == "I-" and before[2:] != tag[2:] for before, tag in pairs):
        scheme = "IOB1"
    if not scheme:
        return record
    kinds = dict.fromkeys(tag[2:] for tag in sorted(set(tags)) if tag != "O")
    return record | {"tag_scheme": scheme, "tags": ["O", *(f"{mark}-{kind}" for kind in kinds for mark in "BI")]}


# --------------------------------------------------------------------------------------------------------------- tables


def _guess_separated(paths: Sequence[Path], texts: Sequence[str], task: str) -> Found:
    """A table of separated cells or, if its lines do not have the same number of cells, lines of text."""
    name = str(paths[0])
    form = format_of_name(name)
    separator, quote = SEPARATED.get(form, ("", ""))
    comment = "#" if re.match(r"#[ !]", texts[0]) else ""
    body = "\n".join(line for line in texts[0].split("\n") if not (comment and line.startswith(comment)))
    found = _shape(body, [separator] if separator else [], [quote])
    found = found or _shape(body, list(SEPARATORS), [quote, '"' if not quote else ""])
    if not found:
        return {"task": "text", "reader": "lines"}, {"task": "the lines have no columns in common"}
    table = {} if form else {"format": "tsv" if found[0] == "\t" else "csv"}
    usual = SEPARATED[form or table["format"]]
    table |= {
        key: value for key, value, default in zip(("separator", "quote"), found, usual, strict=True) if value != default
    }
    table |= {"comment": comment} if comment else {}
    first = next(cells for cells in _cells(body, *found) if cells)
    known = {known for names in NAMES.values() for known in names.split()}
    header = len(set(first)) == len(first) and any(
        cell.strip().lower() in known or CHOICE.fullmatch(cell) for cell in first
    )
    keys: Sequence[Any] = first if header else range(1, len(first) + 1)
    names = list(keys)
    records = [
        record for path, text in zip(paths, texts, strict=True)
        for record in read_table(str(path), text, table | {"header": header}, names)
    ]  # fmt: skip
    columns = {key: [record.cells[key] for record in records] for key in keys}
    record, questions = _guess_columns(columns, table, task)
    if not header:
        questions["columns"] = "columns are counted from 1; if the first line names them: table: {header: true}"
    return record, questions


def _shape(text: str, separators: Sequence[str], quotes: Sequence[str]) -> tuple[str, str] | None:
    """The first separator and quote with which all of the first records have the same number of cells, two or more."""
    for separator in separators:
        for quote in quotes:
            try:
                widths = {len(cells) for cells in _cells(text, separator, quote) if cells}
            except csv.Error:
                continue
            if len(widths) == 1 and widths != {1}:
                return separator, quote
    return None


def _cells(text: str, separator: str, quote: str) -> list[list[str]]:
    quoting: dict[str, Any] = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    table = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, **quoting)
    return [cells for _, cells in zip(range(SAMPLE), table, strict=False)]


def _guess_columns(columns: Columns, table: dict[str, Any], task: str) -> Found:
    """The record of a table with some columns, from the first task type that they fit."""
    makers = {
        "tagging": _tagging, "choice": _choice, "qa": _qa, "classification": _classification, "retrieval": _retrieval,
        "bitext": _bitext, "text": _text,
    }  # fmt: skip
    for name in [task] if task else makers:
        found = makers[name](columns)
        if found:
            record, questions = found
            for role in ("id", "language"):
                names = _named(columns, role)
                if names and (role == "language" or len(set(map(str, columns[names]))) == len(columns[names])):
                    record["columns"] = {role: names, **record["columns"]}
            return {"task": name, **record} | ({"table": table} if table else {}), questions
    shown = ", ".join(map(str, columns))
    raise UserError(f"the columns {shown} do not tell what they hold" + (f" for the task {task}" if task else ""), fix=(
        "Write the record yourself; docs/your-data.md has examples of every task."
    ))  # fmt: skip


def _named(columns: Columns, role: str) -> Any:
    """The column with the most usual name for a role; None without one."""
    by_name = {str(name).strip().lower(): name for name in columns}
    return next((by_name[name] for name in NAMES[role].split() if name in by_name), None)


def _choose(columns: Columns, **roles: str) -> dict[str, Any] | None:
    """The columns of some roles by their names, each taken once; None if one is missing."""
    found: dict[str, Any] = {}
    for role, names in roles.items():
        left = {name: values for name, values in columns.items() if name not in found.values()}
        name = _named(left, names)
        if name is None:
            return None
        found[role] = name
    return found


def _tagging(columns: Columns) -> Found | None:
    chosen = _choose(columns, tokens="tokens", tags="tags")
    if not chosen:
        return None
    lists = [structure(value) for value in columns[chosen["tags"]]]
    tags = [str(tag) for value in lists for tag in (value.split() if isinstance(value, str) else value or [])]
    found = _in_order(tags)
    if all(tag.isdecimal() for tag in found):
        numbered = {tag: f"tag{tag}" for tag in sorted(found, key=int)}
        return {"columns": chosen, "tags": numbered}, {"tags": "what do the numbers stand for?"}
    record = {"columns": chosen} | ({"tags": found} if not set(found) <= set(UPOS) else {})
    return _with_scheme(record, tags), {}


def _choice(columns: Columns) -> Found | None:
    numbered = [name for name in columns if CHOICE.fullmatch(str(name).strip())]
    several = numbered if len(numbered) > 1 else _named(columns, "choices")
    rest = {name: values for name, values in columns.items() if name not in numbered}
    chosen = _choose(rest, premise="premise", label="right")
    if not several or not chosen:
        return None
    question = _named({name: v for name, v in rest.items() if name not in chosen.values()}, "question")
    count = len(numbered) if len(numbered) > 1 else max(len(structure(v)) for v in columns[several])
    record: dict[str, Any] = {"columns": {**chosen, "choices": several}}
    if question and set(map(str, columns[question])) <= COPA_QUESTIONS.keys():
        question = {"column": question, "values": dict(COPA_QUESTIONS)}
    record["columns"] |= {"question": question} if question else {}
    found = {str(value).strip() for value in columns[chosen["label"]]}
    names = {str(name) for name in numbered}
    for labels in (range(count), range(1, count + 1), "ABCDEFGH"[:count], "abcdefgh"[:count]):
        if found <= set(map(str, labels)) and not found <= names:
            record["labels"] = list(map(str, labels))
            break
    return record, {"labels": "the labels of the choices, in their order"} if "labels" in record else {}


def _qa(columns: Columns) -> Found | None:
    chosen = _choose(columns, context="context", question="question", answers="answers")
    if not chosen:
        return None
    start = _named(columns, "answer_start")
    return {"columns": chosen | ({"answer_start": start} if start else {})}, {}


def _classification(columns: Columns) -> Found | None:
    chosen = _choose(columns, text="text", label="label") or _by_content(columns)
    if not chosen:
        return None
    pair = _named({name: v for name, v in columns.items() if name not in chosen.values()}, "pair")
    chosen |= {"pair": pair} if pair and "pair" not in chosen else {}
    labels = _in_order(str(value).strip() for value in columns[chosen["label"]] if value is not None)
    order = {role: chosen[role] for role in ("text", "pair", "label") if role in chosen}
    if len(labels) < 2 or len(labels) > MOST_LABELS:
        return None
    if all(label.isdecimal() for label in labels):
        numbers = {label: f"label{label}" for label in sorted(labels, key=int)}
        return {"columns": order, "labels": numbers}, {"labels": "what do the numbers stand for?"}
    return {"columns": order, "labels": labels}, {
        "labels": "all that occur; to leave some out and count them: drop: [...]"
    }


def _by_content(columns: Columns) -> dict[str, Any] | None:
    """One or two columns of texts and one of labels, in a table without usual names."""
    texts = [name for name, values in columns.items() if _are_texts(values)]
    labels = [
        name for name, values in columns.items()
        if name not in texts and 1 < len(set(map(str, values))) <= min(MOST_LABELS, max(len(values) // 2, 2))
    ]  # fmt: skip
    if len(labels) != 1 or not 1 <= len(texts) <= 2:
        return None
    return dict(zip(("text", "pair"), texts, strict=False)) | {"label": labels[0]}


def _are_texts(values: Sequence[Any]) -> bool:
    strings = [value for value in values if isinstance(value, str)]
    return len(strings) == len(values) and sum(map(len, strings)) > 12 * len(strings)


def _retrieval(columns: Columns) -> Found | None:
    chosen = _choose(columns, query="query", candidate="candidate")
    return ({"columns": chosen}, {"task": "each candidate answers the query in its row"}) if chosen else None


def _bitext(columns: Columns) -> Found | None:
    chosen = _choose(columns, text="source", pair="translation")
    if not chosen:
        texts = [name for name, values in columns.items() if all(isinstance(v, str) and v.strip() for v in values)]
        if len(columns) != 2 or len(texts) != 2:
            return None
        chosen = dict(zip(("text", "pair"), texts, strict=True))
    return {"columns": chosen}, {"columns": "pair is the English side", "task": "or text, to pretrain on pairs"}


def _text(columns: Columns) -> Found | None:
    name = _named(columns, "text") or next((name for name, values in columns.items() if _are_texts(values)), None)
    return ({"columns": {"text": name}}, {}) if name else None


def _in_order(values: Any) -> list[str]:
    """Distinct values: O first, then in the order of the alphabet."""
    return sorted(set(values), key=lambda value: (value != "O", value))
