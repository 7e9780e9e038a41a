"""Readers of tagged sentences: CoNLL-U and columns of tokens and tags."""

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


def conllu(text: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """Sentences of CoNLL-U, without empty nodes. A multiword token replaces its words and has one tag.

    The tag is that of the word highest in the tree; among equally high words, of the first in FUSED_TAG_ORDER. XTREME's
    `conllu_to_conll.py --replace_subtokens_with_fused_forms --print_fused_forms` gives the same, except that it also
    follows enhanced dependencies, while heights here are those of the basic tree.
    """
    for name, _, tokens, tags in _conllu_sentences(text, file, options):
        yield {"id": name, "tokens": tokens, "tags": tags}


def conllu_text(text: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """The texts of the sentences of CoNLL-U, without tags."""
    for name, sentence, tokens, _ in _conllu_sentences(text, file, options):
        yield {"id": name, "text": sentence or join_tokens(tokens, options.lang)}


DOCUMENT_MARK = "-DOCSTART-"  # CoNLL-2003 begins a document with it


def columns(text: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """Sentences with a token and a tag per line, separated by empty lines; without CoNLL's marks of documents."""
    rows = []
    for block in line_blocks(text):
        if len(block) == 1 and block[0][1].split()[:1] == [DOCUMENT_MARK]:
            continue
        pairs = [_token_and_tag(line, f"{file}:{number}", options) for number, line in block]
        tokens, tags = zip(*pairs, strict=True)
        check_forms(tokens, f"{file}:{block[0][0]}")
        rows.append({"id": f"{file_stem(file)}:{block[0][0]}", "tokens": list(tokens), "tags": list(tags)})
    check_prefix([token for row in rows for token in row["tokens"]], file)
    yield from rows


def columns_text(text: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """The joined tokens of the sentences of `columns`, without tags."""
    for row in columns(text, file, options):
        yield {"id": row["id"], "text": join_tokens(row["tokens"], options.lang)}


@dataclass(frozen=True)
class _Word:
    form: str
    tag: str
    head: int


def _conllu_sentences(text: str, file: str, options: ReaderOptions) -> Iterator[tuple[str, str, list[str], list[str]]]:
    """(id, text from the comments or "", tokens, tags) of every sentence."""
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
        yield name, comments.get("text", ""), tokens, tags


def _word(cells: Sequence[str], position: int, where: str, options: ReaderOptions) -> _Word:
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


def _token_and_tag(line: str, where: str, options: ReaderOptions) -> tuple[str, str]:
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
