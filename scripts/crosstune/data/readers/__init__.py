"""Readers: from the text of a published file to rows of one schema per task.

Row schemas
    qa              {"id", "context", "question", "answers": {"text": [...], "answer_start": [...]}}, offsets in code
                    points
    classification  {"id", "text", "label"}, and "pair" for a pair of texts
    choice          {"id", "premise", "question", "choices": [...], "label"}, the label is the index of the right choice
    tagging         {"id", "tokens": [...], "tags": [...]}
    bitext          {"id", "text", "pair"}: a sentence and its English translation
    retrieval       queries {"id", "query", "key"} and candidates {"id", "candidate", "context", "keys"}; those with the
                    key answer the query
    text            {"id", "text"}, and "pair" (the translation) for parallel text

Formats
    squad         qa: JSON of SQuAD v1.1 and 2.0, which XQuAD, MLQA, TyDiQA-GoldP, PIAF and others share
    multichecklist    qa: MultiCheckList's templates and names, or a suite made of them; rows have a "case" too
    conllu        tagging: CoNLL-U, words with universal part-of-speech tags or another column, multiword tokens fused
    columns       tagging: a token and its tags per line, an empty line between sentences
    lareqa        retrieval: XQuAD-R, which is SQuAD's JSON with sentence_breaks
    mewslix       retrieval: JSON lines of Mewsli-X: mentions, entities, or pairs of both
    squad-sentences   retrieval: SQuAD's JSON as pairs of a question and the sentence of its answer
    lines         text: one text per line
    pairs         text, bitext: TSV with a text and its translation per line
    aligned       text, bitext: two files of texts, line by line translations
    squad-text, conllu-text, columns-text   text: the distinct contexts, or the sentences, of the formats above
    table         any task: CSV, TSV, JSON or JSON lines, by the columns that a record names

Tables that were published under these names (formats.py)
    chaii         qa: CSV with the columns id, context, question, answer_text, answer_start, language
    classified    classification: TSV with a text, its pair and its label, or the labels in a second file (XNLI)
    copa          choice: JSON lines of COPA and XCOPA
    siqa          choice: JSON lines of SocialIQa, with the labels in a second file

Every fault of a file raises UserError with the file and the line or question.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from crosstune.core.errors import UserError
from crosstune.data.readers import qa, retrieval, tagging, text
from crosstune.data.readers.declared import declared
from crosstune.data.readers.formats import FORMATS, published_options
from crosstune.data.readers.pieces import DEFAULT_OPTIONS, ReaderOptions, check_ids, rows_of_parts, take_notes
from crosstune.data.record import ROLES


def read_rows(reader: str, files: Sequence[tuple[str, str]], options: ReaderOptions = DEFAULT_OPTIONS) -> list[dict]:
    """The rows of some files, each given as (name, text), in order.

    Raises UserError if a file is not in the reader's format, no file holds rows, or an id occurs twice.
    """
    for file, content in files:
        if not content.strip():
            raise UserError("the file is empty", file, "Copy or download it again.")
    rows = take_notes(READERS[reader].parse(files, options), options.notes)
    where = " and ".join(file for file, _ in files)
    if not rows:
        raise UserError("the file holds no rows", where, "Look at the record's reader and languages.")
    check_ids(rows, where)
    return rows


@dataclass(frozen=True)
class RowReader:
    """The task types of a reader's rows, and its function from files (name, text) and options to rows.

    `all_languages`: whether the rows of one language depend on the record's other languages.
    """

    tasks: tuple[str, ...]
    parse: Callable[[Sequence[tuple[str, str]], ReaderOptions], Iterator[dict]]
    all_languages: bool = False


def _per_file(parse: Callable[[str, str, ReaderOptions], Iterator[dict]]) -> Callable:
    """A reader of single files, applied to each file in turn."""
    return lambda files, options: (row for file, content in files for row in parse(content, file, options))


def _per_part(parse: Callable[[str, str, ReaderOptions], Iterator[dict]]) -> Callable:
    """The same for formats whose ids are unique within a file alone: numbers of lines or sentences."""
    return lambda files, options: rows_of_parts(files, lambda content, file: parse(content, file, options))


def _multichecklist(files: Sequence[tuple[str, str]], options: ReaderOptions) -> Iterator[dict]:
    # Late, because its modules use those of this package.
    from crosstune.data.multichecklist.reader import read_suite

    return read_suite(files, options)


def _published(reader: str) -> RowReader:
    """A table that a declaration describes."""
    given = FORMATS[reader]
    task = (given if isinstance(given, dict) else given[0])["task"]
    return RowReader((task,), lambda files, options: declared(files, published_options(reader, files, options)))


TABLE = "table"  # the reader of records that name columns

READERS = {
    TABLE: RowReader(tuple(ROLES), declared),
    **{reader: _published(reader) for reader in FORMATS},
    "squad": RowReader(("qa",), _per_file(qa.squad)),
    "multichecklist": RowReader(("qa",), _multichecklist),
    "conllu": RowReader(("tagging",), _per_part(tagging.conllu)),
    "columns": RowReader(("tagging",), _per_part(tagging.columns)),
    "lareqa": RowReader(("retrieval",), _per_file(retrieval.lareqa)),
    "mewslix": RowReader(("retrieval",), _per_file(retrieval.mewslix), all_languages=True),
    "squad-sentences": RowReader(("retrieval",), _per_file(retrieval.squad_sentences)),
    "lines": RowReader(("text",), _per_part(text.lines)),
    "pairs": RowReader(("text", "bitext"), _per_part(text.pairs)),
    "aligned": RowReader(("text", "bitext"), text.aligned),
    "squad-text": RowReader(("text",), _per_part(qa.squad_text)),
    "conllu-text": RowReader(("text",), _per_part(tagging.conllu_text)),
    "columns-text": RowReader(("text",), _per_part(tagging.columns_text)),
}


def reads_all_languages(reader: str | None) -> bool:
    """Whether a reader's rows of one language depend on the record's other languages; no reader means Parquet."""
    return reader is not None and READERS[reader].all_languages
