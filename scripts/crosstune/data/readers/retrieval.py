"""Readers of retrieval from a pool of candidates: LAReQA, Mewsli-X, and pairs from SQuAD."""

import re
import unicodedata
from collections.abc import Iterator, Mapping

from crosstune.core.characters import SENTENCE_END
from crosstune.core.errors import UserError
from crosstune.data.readers.pieces import ReaderOptions, id_field, json_field, numbered_lines, parse_json, text_field
from crosstune.data.readers.qa import check_answers, paragraphs, squad

# Characters that end sentences, with closing quotes and brackets.
SENTENCE_ENDS = ".!?…。！？।۔؟\"'”’»)]』」"  # noqa: RUF001

BRACED = re.compile(r"\{(.*?)\}")


def lareqa(content: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """XQuAD-R: every sentence of every paragraph is a candidate. Ids are those of LAReQA's loader.

    The answer to a question is the sentence in which its answer begins, and every equal sentence of the paragraph. The
    key is the question's id in the file, which is the same in all languages.
    """
    for number, (paragraph, where) in enumerate(paragraphs(content, file), 1):
        context = text_field(paragraph, "context", where)
        spans = [_bounds(span, context, where) for span in json_field(paragraph, "sentence_breaks", list, where)]
        keys: list[list[str]] = [[] for _ in spans]
        for question in json_field(paragraph, "qas", list, where):
            name = id_field(question, where)
            spot = f"{file}, question {name}"
            answer = next(iter(json_field(question, "answers", list, spot)), None)
            start, text = json_field(answer, "answer_start", int, spot), json_field(answer, "text", str, spot)
            check_answers({"context": context, "answers": {"text": [text], "answer_start": [start]}}, spot)
            found = next((context[first:last] for first, last in spans if first <= start < last), None)
            if found is None:
                raise UserError("the answer begins in no sentence", spot, "Look at the paragraph's sentence_breaks.")
            for index, (first, last) in enumerate(spans):
                if context[first:last] == found:
                    keys[index].append(name)
            yield {"id": f"{name}_{options.lang}", "query": text_field(question, "question", spot), "key": name}
        for index, (first, last) in enumerate(spans):
            sentence = {"id": f"{options.lang}_{number}_{index}", "candidate": context[first:last]}
            yield {**sentence, "context": context, "keys": keys[index]}


def squad_sentences(content: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """SQuAD as training pairs: a question with the sentence of its answer, and the paragraph."""
    yield from map(sentence_pair, squad(content, file, options))


def sentence_pair(row: Mapping) -> dict:
    """A question with the sentence of its first answer, from a row of question answering; one left out stays so."""
    if "dropped" in row:
        return dict(row)
    notes = {"noted": row["noted"]} if "noted" in row else {}
    text, start = row["answers"]["text"][0], row["answers"]["answer_start"][0]
    first, last = sentence_around(row["context"], start, start + len(text))
    pair = {"candidate": row["context"][first:last], "context": row["context"], "keys": [row["id"]]}
    return {"id": row["id"], "query": row["question"], "key": row["id"], **pair, **notes}


def sentence_around(text: str, start: int, end: int) -> tuple[int, int]:
    """Bounds of the sentences that contain `text[start:end]`, without surrounding spaces."""
    bounds = [0, *(match.end() for match in SENTENCE_END.finditer(text)), len(text)]
    first = max(bound for bound in bounds if bound <= start)
    last = min(bound for bound in bounds if bound >= end)
    inside = text[first:last]
    return first + len(inside) - len(inside.lstrip()), last - len(inside) + len(inside.rstrip())


def mewslix(content: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """Mewsli-X's JSON lines: mentions in articles, entities, or training pairs of both.

    Gives the mentions in the language, and the entities described in it. The record's first language also gets the
    entities described in languages outside the record, so that all languages together have the whole pool.
    """
    for number, line in numbered_lines(content):
        if not line.strip():
            continue
        record, where = parse_json(line, file, number), f"{file}:{number}"
        if "contextual_mention" in record:
            mention = json_field(record, "contextual_mention", dict, where)
            context = json_field(mention, "context", dict, where)
            if json_field(context, "language", str, where) == options.lang:
                entity = _entity(json_field(record, "entity", dict, where), where)
                yield {**entity, **_mention(context, json_field(mention, "mention", dict, where), where)}
        elif "mentions" in record:
            context = json_field(record, "context", dict, where)
            if json_field(context, "language", str, where) == options.lang:
                yield from (
                    _mention(context, mention, where) for mention in json_field(record, "mentions", list, where)
                )
        else:
            language = json_field(record, "description_language", str, where)
            foreign = language not in options.languages and options.lang == next(iter(options.languages), "")
            if language == options.lang or foreign:
                yield _entity(record, where)


def _mention(context: Mapping, mention: Mapping, where: str) -> dict:
    """A query of XTREME-R: the mention, then its sentence with the mention in braces; other braces become brackets.

    The mention comes first, so that truncation of a long sentence does not remove it.
    """
    text, span = text_field(context, "text", where), json_field(mention, "mention_span", dict, where)
    start, end = (json_field(span, key, int, where) for key in ("start", "end"))
    if text[start:end] != text_field(span, "text", where):
        raise UserError(f"the mention {span['text']!r} is not at its offset {start}", where)
    sentences = [_bounds(bounds, text, where) for bounds in json_field(context, "sentence_spans", list, where)]
    first, last = next(((a, b) for a, b in sentences if a <= start and end <= b), (0, len(text)))
    left, right = (BRACED.sub(r"(\1)", part) for part in (text[first:start], text[end:last]))
    name = text[start:end]
    query = _one_line(f"{name}: {left} {{ {name} }} {right}")
    return {
        "id": text_field(mention, "example_id", where),
        "query": query,
        "key": text_field(mention, "entity_id", where),
    }


def _entity(record: Mapping, where: str) -> dict:
    """A candidate: the sentences of the description, joined as in XTREME-R."""
    name, text = text_field(record, "entity_id", where), text_field(record, "description", where)
    spans = record.get("sentence_spans") or [[0, len(text)]]
    bounds = (_bounds(span, text, where) for span in spans)
    description = _one_line(" ".join(text[first:last] for first, last in bounds))
    return {"id": name, "candidate": description, "context": "", "keys": [name]}


def _one_line(text: str) -> str:
    return " ".join(text.splitlines()).replace("  ", " ").strip()


def _bounds(span: object, text: str, where: str) -> tuple[int, int]:
    """The half-open range of characters that a pair, or an object with start and end, states."""
    pair = (span.get("start"), span.get("end")) if isinstance(span, Mapping) else span
    try:
        first, last = pair
        fits = 0 <= first < last <= len(text)
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise UserError(f"expected a range of characters of the text, found {span!r}", where)
    ends = last == len(text) or text[last].isspace() or text[last - 1] in SENTENCE_ENDS
    if not ends and len(unicodedata.normalize("NFC", text)) < len(text):
        message = (
            f"offsets count composed letters, but the text is decomposed: a sentence would end at {last}, in another"
        )
        raise UserError(message, where, "Compose the file's text (Unicode's NFC), for example: uconv -x any-nfc FILE")
    return first, last
