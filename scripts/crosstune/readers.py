"""Readers: from the text of a published file to rows of one schema per task.

Owns: the file formats, and what is wrong with a file that is not in its format.
Must never know: where files lie, which data sets exist, what rows are used for.

Row schemas
    qa       {"id", "context", "question", "answers": {"text": [...], "answer_start": [...]}}, offsets in code points
    tagging  {"id", "tokens": [...], "tags": [...]}
    text     {"id", "text"}, and "pair" (the translation) for parallel text
    classification  {"id", "text", "label"}, and "pair" for pairs of texts; labels by their names
    choice   {"id", "premise", "question", "choices": [...], "label"}, the label as the index of the right choice

Formats
    squad         JSON in the shape of SQuAD v1.1, which XQuAD, MLQA, TyDiQA-GoldP, PIAF and others share      qa
    chaii         CSV with the columns id, context, question, answer_text, answer_start, language              qa
    conllu        CoNLL-U: words with universal part-of-speech tags, multiword tokens fused                    tagging
    columns       TSV with a token and a tag per line, an empty line between sentences                         tagging
    lines         one text per line                                                                            text
    pairs         TSV with a text and its translation per line                                                 text
    aligned       two files of texts, line by line translations                                                text
    fields        the distinct texts of some columns of a TSV or keys of a JSON lines file                     text
    squad-text, conllu-text, columns-text   the distinct contexts, or the sentences, of the formats above      text

Every fault of a file is a UserError that names the file and the line or question.
"""

import csv
import difflib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from crosstune.errors import UserError

# fmt: off
UPOS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM",
    "VERB", "X",
)
# fmt: on

# The order of preference among equally high words of a multiword token: conllu_to_conll.py of
# github.com/bplank/ud-conversion-tools, which XTREME ran with the language's code.
FUSED_TAG_ORDER = {
    "": "VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT",
    "es": "VERB AUX PRON ADP DET",
    "fr": "VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ",
    "it": "VERB AUX ADV PRON ADP DET INTJ",
}

LOST_ANSWER = ("", -1)
UNSPACED = ("ja", "km", "lo", "my", "th", "zh")  # written without spaces between words
CHAII_LANGUAGES = {"hi": "hindi", "ta": "tamil"}
KINDS = {str: "a string", int: "a whole number", list: "a list", dict: "an object"}
HUB_TAG_COLUMNS = ("upos", "pos_tags", "ner_tags", "tags")
HUB_TEXT_COLUMNS = (("premise", "hypothesis"), ("sentence1", "sentence2"), ("text",))
# The column of the premise with those of the choices: XCOPA and COPA, then SIQA.
HUB_CHOICE_COLUMNS = (("premise", ("choice1", "choice2")), ("context", ("answerA", "answerB", "answerC")))


@dataclass(frozen=True)
class Options:
    """What a record says about its files beyond their format."""

    lang: str = ""
    tags: tuple[str, ...] = UPOS
    fields: tuple[str | int, ...] = ()
    token_prefix: str = ""


def read(reader: str, files: Sequence[tuple[str, str]], options: Options = Options()) -> list[dict]:
    """The rows of some files, each given as (place, text), one file after the other.

    Raises UserError where a file is not in the reader's format, holds no rows, or where an id occurs twice.
    """
    for place, text in files:
        if not text.strip():
            raise UserError("the file is empty", place, "Copy or download it again.")
    rows = list(READERS[reader].parse(files, options))
    place = " and ".join(place for place, _ in files)
    if not rows:
        raise UserError("the file holds no rows", place, "Look at the record's reader and languages.")
    check_ids(rows, place)
    return rows


def from_records(
    records: Iterable[tuple[str, Mapping]], task: str, place: str, options: Options = Options(), id_prefix: str = ""
) -> list[dict]:
    """The rows of a table with the columns of the hub's data sets, given as (place, record), labels by their names.

    qa              id, context, question, answers (as SQuAD has them)
    tagging         tokens, and upos, pos_tags, ner_tags or tags
    text            text
    classification  premise and hypothesis, sentence1 and sentence2, or text; and label
    choice          premise, choice1, choice2, question, label (COPA); context, question, answerA to C, label (SIQA)

    Only rows whose id begins with `id_prefix` are taken. Raises UserError where a record has not what its task needs.
    """
    make = HUB_ROWS[task]
    rows, seen = [], 0
    for number, (where, record) in enumerate(records):
        seen += 1
        if str(record.get("id", "")).startswith(id_prefix):
            rows.append(make(record, where, number, options))
    if not rows:
        raise UserError(f"no rows with an id that begins with {id_prefix!r}" if seen else "no rows", place)
    check_ids(rows, place)
    return rows


# ---------------------------------------------------------------------------------------------- question answering


def squad(text: str, place: str, options: Options) -> Iterator[dict]:
    """Questions in SQuAD's shape. Answers that a translation has lost are left out (SQuAD-es marks them so)."""
    for paragraph, where in _paragraphs(text, place):
        context = _text(paragraph, "context", where)
        for index, question in enumerate(_member(paragraph, "qas", list, where)):
            spot = f"{where}.qas[{index}]"
            name = _identifier(question, spot)
            spot = f"{place}, question {name}"
            answers = [
                (_member(answer, "text", str, spot), _member(answer, "answer_start", int, spot))
                for answer in _member(question, "answers", list, spot)
            ]
            kept = [answer for answer in answers if answer != LOST_ANSWER]
            row = {
                "id": name,
                "context": context,
                "question": _text(question, "question", spot),
                "answers": {"text": [text for text, _ in kept], "answer_start": [start for _, start in kept]},
            }
            check_answers(row, spot)
            yield row


def squad_text(text: str, place: str, options: Options) -> Iterator[dict]:
    contexts = dict.fromkeys(_text(paragraph, "context", where) for paragraph, where in _paragraphs(text, place))
    yield from ({"id": f"{_stem(place)}:{number}", "text": context} for number, context in enumerate(contexts, 1))


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


def check_ids(rows: Sequence[Mapping], place: str) -> None:
    """No id occurs twice."""
    seen = set()
    for row in rows:
        if row["id"] in seen:
            raise UserError(f"the id {row['id']!r} occurs twice", place, "Ids name predictions: make them unique.")
        seen.add(row["id"])


def _paragraphs(text: str, place: str) -> Iterator[tuple[Any, str]]:
    document = _json(text, place)
    for i, article in enumerate(_member(document, "data", list, place)):
        for j, paragraph in enumerate(_member(article, "paragraphs", list, f"{place}: data[{i}]")):
            yield paragraph, f"{place}: data[{i}].paragraphs[{j}]"


# ------------------------------------------------------------------------------------------------------- tagging


def conllu(text: str, place: str, options: Options) -> Iterator[dict]:
    """Sentences of CoNLL-U. Empty nodes are skipped; a multiword token stands for its words, with one tag.

    The tag is that of the word highest in the tree, and among equally high words the one first in FUSED_TAG_ORDER:
    what XTREME's `conllu_to_conll.py --replace_subtokens_with_fused_forms --print_fused_forms` gives, except that
    heights are counted in the basic tree only, where the script also follows the enhanced dependencies.
    """
    for name, _, tokens, tags in _conllu_sentences(text, place, options):
        yield {"id": name, "tokens": tokens, "tags": tags}


def conllu_text(text: str, place: str, options: Options) -> Iterator[dict]:
    for name, sentence, tokens, _ in _conllu_sentences(text, place, options):
        yield {"id": name, "text": sentence or _join(tokens, options.lang)}


def columns(text: str, place: str, options: Options) -> Iterator[dict]:
    for block in _blocks(text):
        pairs = [_token_and_tag(line, f"{place}:{number}", options) for number, line in block]
        tokens, tags = zip(*pairs, strict=True)
        yield {"id": f"{_stem(place)}:{block[0][0]}", "tokens": list(tokens), "tags": list(tags)}


def columns_text(text: str, place: str, options: Options) -> Iterator[dict]:
    for row in columns(text, place, options):
        yield {"id": row["id"], "text": _join(row["tokens"], options.lang)}


def check_tag(tag: str, allowed: Sequence[str], place: str) -> None:
    if tag not in allowed:
        near = difflib.get_close_matches(tag, allowed, 1)
        cure = f"Did you mean {near[0]!r}?" if near else "The record's key `tags` lists what may occur."
        raise UserError(f"the tag {tag!r} is outside the set {' '.join(allowed)}", place, cure)


@dataclass(frozen=True)
class _Word:
    form: str
    tag: str
    head: int


def _conllu_sentences(text: str, place: str, options: Options) -> Iterator[tuple[str, str, list[str], list[str]]]:
    """(id, text of the comment or "", tokens, tags) of every sentence."""
    for block in _blocks(text):
        comments: dict[str, str] = {}
        words: list[_Word] = []
        spans: list[tuple[int, int, str, str]] = []
        for number, line in block:
            where = f"{place}:{number}"
            if line.startswith("#"):
                key, _, value = line[1:].partition("=")
                comments[key.strip()] = value.strip()
                continue
            cells = line.split("\t")
            if len(cells) != 10:
                raise UserError(f"expected the 10 columns of CoNLL-U, found {len(cells)}: {line[:60]!r}", where)
            if re.fullmatch(r"[0-9]+\.[0-9]+", cells[0]):
                continue
            if not cells[1].strip():
                raise UserError("the word is empty", where)
            if span := re.fullmatch(r"([0-9]{1,6})-([0-9]{1,6})", cells[0]):
                spans.append((int(span[1]), int(span[2]), cells[1], where))
                continue
            words.append(_word(cells, len(words) + 1, where, options))
        if not words:
            raise UserError("a sentence without words", f"{place}:{block[0][0]}")
        name = comments.get("sent_id") or f"{_stem(place)}:{block[0][0]}"
        yield name, comments.get("text", ""), *_fuse(words, spans, options.lang)


def _word(cells: Sequence[str], position: int, where: str, options: Options) -> _Word:
    if cells[0] != str(position):
        raise UserError(f"expected the word's number {position}, found {cells[0]!r}", where)
    if not re.fullmatch(r"_|[0-9]{1,6}", cells[6]):
        raise UserError(f"expected the number of the word's head, found {cells[6]!r}", where)
    check_tag(cells[3], options.tags, where)
    return _Word(cells[1], cells[3], 0 if cells[6] == "_" else int(cells[6]))


def _fuse(words: Sequence[_Word], spans: Sequence[tuple[int, int, str, str]], lang: str) -> tuple[list[str], list[str]]:
    tokens, tags, after = [], [], 0
    for first, last, form, where in spans:
        if not after < first <= last <= len(words):
            raise UserError(f"the multiword token {first}-{last} does not lie among words of its sentence", where)
        tokens += [word.form for word in words[after : first - 1]] + [form]
        tags += [word.tag for word in words[after : first - 1]] + [_fused_tag(words, first, last, lang, where)]
        after = last
    return tokens + [word.form for word in words[after:]], tags + [word.tag for word in words[after:]]


def _fused_tag(words: Sequence[_Word], first: int, last: int, lang: str, where: str) -> str:
    depths = {position: _depth(words, position, where) for position in range(first, last + 1)}
    highest = [words[position - 1].tag for position in depths if depths[position] == min(depths.values())]
    order = FUSED_TAG_ORDER.get(lang, FUSED_TAG_ORDER[""]).split()
    return min(highest, key=lambda tag: order.index(tag) if tag in order else len(order))


def _depth(words: Sequence[_Word], position: int, where: str) -> int:
    depth = 0
    while position:
        depth += 1
        if position > len(words) or depth > len(words):
            raise UserError("the heads of the words do not form a tree", where)
        position = words[position - 1].head
    return depth


def _token_and_tag(line: str, where: str, options: Options) -> tuple[str, str]:
    cells = line.split("\t")
    if len(cells) != 2:
        raise UserError(f"expected a token, a tab and a tag, found {len(cells)} columns: {line[:60]!r}", where)
    token, tag = cells
    if not token.startswith(options.token_prefix):
        raise UserError(f"expected a token that begins with {options.token_prefix!r}, found {token!r}", where)
    token = token.removeprefix(options.token_prefix)
    if not token:
        raise UserError("the token is empty", where)
    check_tag(tag, options.tags, where)
    return token, tag


# ---------------------------------------------------------------------------------------------------------- text


def lines(text: str, place: str, options: Options) -> Iterator[dict]:
    yield from ({"id": f"{_stem(place)}:{number}", "text": line} for number, line in _lines(text) if line.strip())


def pairs(text: str, place: str, options: Options) -> Iterator[dict]:
    for number, line in _lines(text):
        cells = line.split("\t")
        if not line.strip():
            continue
        if len(cells) != 2 or not all(cell.strip() for cell in cells):
            message = f"expected a text, a tab and its translation, found {len(cells)} columns: {line[:60]!r}"
            raise UserError(message, f"{place}:{number}")
        yield {"id": f"{_stem(place)}:{number}", "text": cells[0], "pair": cells[1]}


def aligned(files: Sequence[tuple[str, str]], options: Options) -> Iterator[dict]:
    if len(files) != 2:
        places = " and ".join(place for place, _ in files)
        raise UserError(f"aligned text needs two files, found {len(files)}", places)
    (place, text), (other, translation) = files
    left, right = ([line for _, line in _lines(side)] for side in (text.rstrip("\r\n"), translation.rstrip("\r\n")))
    if len(left) != len(right):
        raise UserError(f"{len(left)} lines against {len(right)} in {other}", place, "Line n translates line n.")
    for number, (line, pair) in enumerate(zip(left, right, strict=True), 1):
        if bool(line.strip()) != bool(pair.strip()):
            raise UserError(f"one side of the pair is empty (the other is {other})", f"{place}:{number}")
        if line.strip():
            yield {"id": f"{_stem(place)}:{number}", "text": line, "pair": pair}


def fields(text: str, place: str, options: Options) -> Iterator[dict]:
    """The distinct texts of the fields: column numbers from 1 (TSV) or keys (JSON lines)."""
    take = _cells if isinstance(options.fields[0], int) else _values
    texts: dict[str, int] = {}
    for number, line in _lines(text):
        if line.strip():
            for value in take(line, place, number, options.fields):
                texts.setdefault(value, number)
    marks: dict[int, int] = {}
    for value, number in texts.items():
        marks[number] = marks.get(number, 0) + 1
        yield {"id": f"{_stem(place)}:{number}.{marks[number]}", "text": value}


def _cells(line: str, place: str, number: int, wanted: Sequence[int]) -> list[str]:
    cells, where = line.split("\t"), f"{place}:{number}"
    if len(cells) < max(wanted):
        raise UserError(f"expected at least {max(wanted)} columns, found {len(cells)}: {line[:60]!r}", where)
    values = [cells[column - 1] for column in wanted]
    if not all(value.strip() for value in values):
        raise UserError("a column that should hold text is empty", where)
    return values


def _values(line: str, place: str, number: int, wanted: Sequence[str]) -> list[str]:
    record = _json(line, place, number)
    return [_text(record, key, f"{place}:{number}") for key in wanted]


# ----------------------------------------------------------------------------------------------------------- hub


def _hub_question(record: Mapping, where: str, number: int, options: Options) -> dict:
    answers = _member(record, "answers", dict, where)
    row = {
        "id": _identifier(record, where),
        "context": _text(record, "context", where),
        "question": _text(record, "question", where),
        "answers": {key: list(_member(answers, key, list, where)) for key in ("text", "answer_start")},
    }
    check_answers(row, f"{where}, question {row['id']}")
    return row


def _hub_sentence(record: Mapping, where: str, number: int, options: Options) -> dict:
    column = next((name for name in HUB_TAG_COLUMNS if name in record), None)
    if column is None:
        raise UserError(f"expected a column of tags ({', '.join(HUB_TAG_COLUMNS)}), found {', '.join(record)}", where)
    tokens, tags = _member(record, "tokens", list, where), _member(record, column, list, where)
    if len(tokens) != len(tags) or not tokens:
        raise UserError(f"{len(tokens)} tokens with {len(tags)} tags", where)
    tokens = [token.removeprefix(options.token_prefix) for token in tokens]
    for tag in tags:
        check_tag(_label(tag, column, where), options.tags, where)
    return {"id": _hub_id(record, number), "tokens": tokens, "tags": tags}


def _hub_text(record: Mapping, where: str, number: int, options: Options) -> dict:
    return {"id": _hub_id(record, number), "text": _text(record, "text", where)}


def _hub_classified(record: Mapping, where: str, number: int, options: Options) -> dict:
    sides = next((names for names in HUB_TEXT_COLUMNS if all(name in record for name in names)), None)
    if sides is None:
        known = "; ".join(" and ".join(names) for names in HUB_TEXT_COLUMNS)
        raise UserError(f"expected columns of texts ({known}), found {', '.join(record)}", where)
    texts = [_text(record, name, where) for name in sides]
    label = _label(record.get("label"), "label", where)
    return {"id": _hub_id(record, number), **dict(zip(("text", "pair"), texts, strict=False)), "label": label}


def _hub_choice(record: Mapping, where: str, number: int, options: Options) -> dict:
    premise, choices = next(
        (names for names in HUB_CHOICE_COLUMNS if all(name in record for name in names[1])), ("", ())
    )
    if not choices:
        known = "; ".join(" and ".join(names) for _, names in HUB_CHOICE_COLUMNS)
        raise UserError(f"expected columns of choices ({known}), found {', '.join(record)}", where)
    # COPA counts from 0 or names the column, SIQA counts from "1" in text.
    places = {**{name: index for index, name in enumerate(choices)}, **{str(n + 1): n for n in range(len(choices))}}
    label = record.get("label")
    index = places.get(label) if isinstance(label, str) else label
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(choices):
        raise UserError(f"expected the number of one of {len(choices)} choices in 'label', found {label!r}", where)
    return {
        "id": _hub_id(record, number),
        "premise": _text(record, premise, where),
        "question": _text(record, "question", where),
        "choices": [_text(record, name, where) for name in choices],
        "label": index,
    }


def _label(value: Any, column: str, where: str) -> str:
    if isinstance(value, str) and value:
        return value
    cure = (
        "Where the file does not name its labels, the one of the branch refs/convert/parquet may.\n"
        "-1 says that the label is kept secret: use a split that has labels."
    )
    raise UserError(f"expected the name of a label in {column!r}, found {value!r}", where, cure)


def _hub_id(record: Mapping, number: int) -> str:
    """The record's `id` or `idx`, else its number, counted from 0."""
    found = (record.get(key) for key in ("id", "idx"))
    return str(next((value for value in found if isinstance(value, str | int) and value != ""), number))


HUB_ROWS = {
    "qa": _hub_question,
    "tagging": _hub_sentence,
    "text": _hub_text,
    "classification": _hub_classified,
    "choice": _hub_choice,
}


# --------------------------------------------------------------------------------------------------------- pieces


def _json(text: str, place: str, first_line: int = 1) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        message = f"not valid JSON ({error.msg}): the file is truncated or of another format"
        raise UserError(message, f"{place}:{first_line + error.lineno - 1}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"not valid JSON ({error})", f"{place}:{first_line}") from None


def _member(mapping: Any, key: str, kind: type, where: str) -> Any:
    if not isinstance(mapping, Mapping):
        raise UserError(f"expected an object with the field {key!r}, found {_short(mapping)}", where)
    if key not in mapping:
        raise UserError(f"the field {key!r} is missing; there are {', '.join(map(repr, mapping)) or 'none'}", where)
    value = mapping[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UserError(f"expected {KINDS[kind]} in {key!r}, found {_short(value)}", where)
    if kind is str and re.search("[\ud800-\udfff]", value):
        raise UserError(f"half of a surrogate pair in {key!r}, which is no character", where)
    return value


def _text(mapping: Any, key: str, where: str) -> str:
    value = _member(mapping, key, str, where)
    if not value.strip():
        raise UserError(f"the field {key!r} is empty", where)
    return value


def _identifier(mapping: Any, where: str) -> str:
    if isinstance(mapping, Mapping) and type(mapping.get("id")) is int:
        return str(mapping["id"])
    return _text(mapping, "id", where)


def _short(value: Any) -> str:
    kind = KINDS.get(type(value), type(value).__name__)
    return kind if isinstance(value, list | dict) else f"{kind}, {str(value)[:40]!r}"


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines. Only line feeds end them: str.splitlines also splits at characters that occur inside texts."""
    return ((number, line.removesuffix("\r")) for number, line in enumerate(text.split("\n"), 1))


def _blocks(text: str) -> Iterator[list[tuple[int, str]]]:
    """Runs of non-empty numbered lines."""
    block: list[tuple[int, str]] = []
    for number, line in _lines(text + "\n"):
        if line.strip(" "):
            block.append((number, line))
        elif block:
            yield block
            block = []


def _join(tokens: Sequence[str], lang: str) -> str:
    return ("" if lang in UNSPACED else " ").join(tokens)


def _stem(place: str) -> str:
    """The file's name without its format and compression: ids of rows that have none begin with it."""
    return re.sub(r"(\.(json|jsonl|csv|tsv|txt|conllu|gz|xz))+$", "", PurePath(place).name)


@dataclass(frozen=True)
class Reader:
    """The task whose rows a reader gives, and the function from files (place, text) and options to these rows."""

    task: str
    parse: Callable[[Sequence[tuple[str, str]], Options], Iterator[dict]]


def _each(parse: Callable[[str, str, Options], Iterator[dict]]) -> Callable:
    """A reader of single files, applied to one file after the other."""
    return lambda files, options: (row for place, text in files for row in parse(text, place, options))


READERS = {
    "squad": Reader("qa", _each(squad)),
    "chaii": Reader("qa", _each(chaii)),
    "conllu": Reader("tagging", _each(conllu)),
    "columns": Reader("tagging", _each(columns)),
    "lines": Reader("text", _each(lines)),
    "pairs": Reader("text", _each(pairs)),
    "aligned": Reader("text", aligned),
    "fields": Reader("text", _each(fields)),
    "squad-text": Reader("text", _each(squad_text)),
    "conllu-text": Reader("text", _each(conllu_text)),
    "columns-text": Reader("text", _each(columns_text)),
}
