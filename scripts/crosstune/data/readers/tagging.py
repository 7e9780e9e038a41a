"""Readers of tagged sentences: CoNLL-U and columns of tokens and tags.

A record's key `columns` chooses the columns. Tags are kept as they are, unless the record maps them (`tags`) or names
the scheme of a file that is not IOB2 (`tag_scheme`), which is then converted to IOB2.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crosstune.core.errors import UserError
from crosstune.data.readers.pieces import (
    ReaderOptions,
    check_forms,
    check_prefix,
    check_tag,
    file_stem,
    join_tokens,
    line_blocks,
)

# Order of preference among equally high words of a multiword token, of conllu_to_conll.py in
# github.com/bplank/ud-conversion-tools, which XTREME ran with the language's code.
FUSED_TAG_ORDER = {
    "": "VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT",
    "es": "VERB AUX PRON ADP DET",
    "fr": "VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ",
    "it": "VERB AUX ADV PRON ADP DET INTJ",
}


# Columns of CoNLL-U that may hold tags, by number from 0; `feats.Case` and `misc.NER` are single keys of two more.
CONLLU_TAGS = {"lemma": 2, "upos": 3, "xpos": 4, "deprel": 7}
CONLLU_KEYS = {"feats": 5, "misc": 9}
NO_VALUE = "_"

# Letters of a tag scheme that begin a chunk, or continue one.
TAG_SCHEMES = {"IOBES": ("BS", "IE"), "BILOU": ("BU", "IL"), "IOB1": ("B", "I")}


def conllu(text: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """Sentences of CoNLL-U, without empty nodes. A multiword token replaces its words and has one tag.

    The tag is that of the word highest in the tree; among equally high words, of the first in FUSED_TAG_ORDER. XTREME's
    `conllu_to_conll.py --replace_subtokens_with_fused_forms --print_fused_forms` gives the same, except that it also
    follows enhanced dependencies, while heights here are those of the basic tree.
    """
    for name, _, tokens, tags, where in _conllu_sentences(text, file, options):
        yield tagged_row(name, tokens, tags, [where] * len(tags), options)


def conllu_text(text: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """The texts of the sentences of CoNLL-U, without tags."""
    for name, sentence, tokens, _, _ in _conllu_sentences(text, file, options):
        yield {"id": name, "text": sentence or join_tokens(tokens, options.lang)}


def tagged_row(
    name: str, tokens: Sequence[str], tags: Sequence[str], places: Sequence[str], options: ReaderOptions
) -> dict:
    """A row of tagging from a file's own tags, or why it is left out. Raises UserError at the place of a wrong tag."""
    if dropped := next((tag for tag in tags if tag in options.drop), None):
        return {"id": name, "dropped": f"the tag {dropped!r}"}
    if options.tag_scheme:
        tags = iob2(tags, options.tag_scheme, places)
    tags = [options.values.get(tag, tag) for tag in tags]
    for tag, where in zip(tags, places, strict=True):
        check_tag(tag, options.tags, where)
    return {"id": name, "tokens": list(tokens), "tags": tags}


def iob2(tags: Sequence[str], scheme: str, places: Sequence[str]) -> list[str]:
    """Tags of another scheme as IOB2, where every chunk begins with B. Raises UserError for a tag of no such scheme."""
    begins, continues = TAG_SCHEMES[scheme]
    found, before = [], ""  # the type of the chunk that the token before is in
    for tag, where in zip(tags, places, strict=True):
        mark, _, kind = tag.partition("-")
        if tag != "O" and not (kind and mark in (*begins, *continues)):
            raise UserError(f"the tag {tag!r} is not of the scheme {scheme}", where, "Correct the record's tag_scheme.")
        starts = mark in begins or kind != before
        found.append(tag if tag == "O" else f"{'B' if starts else 'I'}-{kind}")
        before = kind
    return found


DOCUMENT_MARK = "-DOCSTART-"  # CoNLL-2003 begins a document with it


def columns(text: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """Sentences with a token per line, separated by empty lines; without comments and CoNLL's marks of documents.

    Columns are separated by tabs, and there are two, the token and its tag, unless the record says otherwise.
    """
    rows, width = [], 0
    comment = options.table.get("comment")
    for block in line_blocks(text):
        lines = [(number, line) for number, line in block if not (comment and line.startswith(comment))]
        if not lines or (len(lines) == 1 and lines[0][1].split()[:1] == [DOCUMENT_MARK]):
            continue
        places = [f"{file}:{number}" for number, _ in lines]
        pairs = []
        for (_, line), where in zip(lines, places, strict=True):
            cells = _cells(line, where, width, options)
            width = len(cells)
            pairs.append(_token_and_tag(cells, where, options))
        tokens, tags = zip(*pairs, strict=True)
        check_forms(tokens, places[0])
        rows.append(tagged_row(f"{file_stem(file)}:{lines[0][0]}", tokens, tags, places, options))
    check_prefix([token for row in rows for token in row.get("tokens", ())], file)
    yield from rows


def columns_text(text: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """The joined tokens of the sentences of `columns`, without tags."""
    for row in columns(text, file, options):
        yield row if "dropped" in row else {"id": row["id"], "text": join_tokens(row["tokens"], options.lang)}


@dataclass(frozen=True)
class _Word:
    form: str
    tag: str
    head: int


def _conllu_sentences(
    text: str, file: str, options: ReaderOptions
) -> Iterator[tuple[str, str, list[str], list[str], str]]:
    """(id, text from the comments or "", tokens, tags, place) of every sentence."""
    for block in line_blocks(text):
        comments: dict[str, str] = {}
        words: list[_Word] = []
        spans: list[tuple[int, int, str, str]] = []
        for number, line in block:
            where = f"{file}:{number}"
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
            raise UserError("a sentence without words", f"{file}:{block[0][0]}")
        name = comments.get("sent_id") or f"{file_stem(file)}:{block[0][0]}"
        tokens, tags = _fuse(words, spans, options.lang)
        check_forms(tokens, f"{file}:{block[0][0]}")
        yield name, comments.get("text", ""), tokens, tags, f"{file}:{block[0][0]}"


def _word(cells: Sequence[str], position: int, where: str, options: ReaderOptions) -> _Word:
    if cells[0] != str(position):
        raise UserError(f"expected the word's number {position}, found {cells[0]!r}", where)
    if not re.fullmatch(r"_|[0-9]{1,6}", cells[6]):
        raise UserError(f"expected the number of the word's head, found {cells[6]!r}", where)
    tag = conllu_tag(cells, str(options.columns.get("tags", "upos")))
    if not options.tag_scheme and tag not in options.drop:
        check_tag(options.values.get(tag, tag), options.tags, where)
    return _Word(cells[1], tag, 0 if cells[6] == "_" else int(cells[6]))


def conllu_tag(cells: Sequence[str], column: str) -> str:
    """The tag of a word in a column of CoNLL-U, or the value of one key of `feats` or `misc`; `_` if it has none."""
    if column in CONLLU_TAGS:
        return cells[CONLLU_TAGS[column]]
    part, _, key = column.partition(".")
    pairs = (pair.partition("=") for pair in cells[CONLLU_KEYS[part]].split("|"))
    return next((value for name, _, value in pairs if name == key), NO_VALUE)


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


def _cells(line: str, where: str, width: int, options: ReaderOptions) -> list[str]:
    """The cells of a line, as many as the line before has (`width`; 0 for the first)."""
    separator = options.table.get("separator", "\t")
    # Files whose columns are separated by spaces align them with several, or mix them with tabs.
    cells = re.split("[ \t]+", line.strip(" \t")) if separator == " " else line.split(separator)
    if not options.columns and len(cells) != 2:
        fix = 'Other columns need their numbers in the record:\ncolumns: {tokens: 1, tags: 4}\ntable: {separator: " "}'
        raise UserError(f"expected a token, a tab and a tag, found {len(cells)} columns: {line[:60]!r}", where, fix)
    if width and len(cells) != width:
        message = f"expected {width} columns, as in the line before, found {len(cells)}: {line[:60]!r}"
        raise UserError(message, where, f"Columns are separated by {separator!r}: `table` can say otherwise.")
    if (most := max(_numbers(options))) > len(cells):
        raise UserError(f"expected at least {most} columns, found {len(cells)}: {line[:60]!r}", where)
    return cells


def _numbers(options: ReaderOptions) -> tuple[int, int]:
    """The numbers, from 1, of the columns of tokens and tags."""
    return options.columns.get("tokens", 1), options.columns.get("tags", 2)


def _token_and_tag(cells: Sequence[str], where: str, options: ReaderOptions) -> tuple[str, str]:
    token, tag = (cells[number - 1] for number in _numbers(options))
    if not token.startswith(options.token_prefix):
        raise UserError(f"expected a token that begins with {options.token_prefix!r}, found {token!r}", where)
    token = token.removeprefix(options.token_prefix)
    if not token:
        raise UserError("the token is empty", where)
    return token, tag
