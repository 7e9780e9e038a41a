"""File formats of XTREME-R's ten tasks: published gold files, XTREME's label files, and submissions.

The formats are those that `evaluate.py` of google-research/xtreme (commit 838c13b) reads; docs/metrics.md lists them.
Question answering and ranking files identify their examples: a missing prediction scores 0, an unexpected one is
ignored, and both are reported. The other formats have one example per line, so both files need the same number.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstune.core.errors import UserError
from crosstune.core.files import read_text
from crosstune.data.readers import read_rows
from crosstune.data.readers.pieces import ReaderOptions, parse_json
from crosstune.evaluation.metrics import METRICS, XTREME_R

NLI_LABELS = ("contradiction", "entailment", "neutral")


@dataclass(frozen=True)
class FileEntry:
    """One example of a file: its value and its line, 0 if it is identified by an id instead."""

    value: Any
    line: int = 0


@dataclass(frozen=True)
class TaskFormat:
    """The file formats of a task.

    `gold(path, lang)` and `predictions(path)` read the entries by id, which is the example's number if the format has
    one example per line (`aligned`). `write_predictions` and `write_labels` format prediction rows (id, prediction,
    gold) of one language as a submission's file and as a label file.
    """

    suffix: str
    aligned: bool
    gold: Callable[[Path, str], dict[str, FileEntry]]
    predictions: Callable[[Path], dict[str, FileEntry]]
    write_predictions: Callable[[Sequence[dict]], str]
    write_labels: Callable[[Sequence[dict]], str]


def score_files(task: str, lang: str, gold: Path, predictions: Path) -> dict:
    """The scores of a prediction file, and the ids that only it or only the gold file has.

    Returns {"task", "lang", "scores": {number: 0..100, "n": examples}, "missing": [id], "unexpected": [id]}. Raises
    UserError with file and line for a file in another format, and for a language without rules of the metric.
    """
    metric = METRICS[XTREME_R[task]]
    metric.check_languages([lang], f"--lang {lang}")
    rows, missing, unexpected = pair_rows(task, lang, gold, predictions)
    # Not scored as empty answers, which are right if nothing is left of the gold one after normalisation.
    unanswered = [{"id": name} | dict.fromkeys(metric.labels, 0.0) for name in missing]
    examples = metric.measure(rows, lang) + unanswered
    scores = {**metric.summarise(examples), **metric.details(examples)}
    return {"task": task, "lang": lang, "scores": scores, "missing": missing, "unexpected": unexpected}


def pair_rows(task: str, lang: str, gold: Path, predictions: Path) -> tuple[list[dict], list[str], list[str]]:
    """(prediction rows (id, prediction, gold), ids without a prediction, ids without a gold answer)."""
    form, metric = FORMATS[task], METRICS[XTREME_R[task]]
    expected, given = form.gold(gold, lang), form.predictions(predictions)
    if not expected:
        raise UserError("the file holds no examples", str(gold), f"Is it a file of {task} in {lang!r}?")
    if form.aligned and len(expected) != len(given):
        where = f"{predictions}:{max((entry.line for entry in given.values()), default=1)}"
        fix = "Examples are paired by their order alone, so that the two files must have as many."
        raise UserError(f"{len(given)} predictions end here, {gold} has {len(expected)} examples", where, fix)
    rows = []
    for name in expected:
        if name in given:
            row = {"id": name, "prediction": given[name].value, "gold": expected[name].value}
            if problem := metric.problem(row):
                fix = f"The gold is at {entry_location(gold, name, expected[name])}."
                raise UserError(problem, entry_location(predictions, name, given[name]), fix)
            rows.append(row)
    missing = [name for name in expected if name not in given]
    return rows, missing, [name for name in given if name not in expected]


# --- line by line ----------------------------------------------------------------------------------------------------


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    """(number from 1, stripped line) of a file, without empty lines at its end. Raises UserError for others."""
    lines = [(number, line.strip()) for number, line in enumerate(read_text(path).rstrip().split("\n"), start=1)]
    for number, line in lines:
        if not line:
            raise UserError("an empty line", f"{path}:{number}", "Expected one example a line.")
    return lines


def number_entries(entries: Sequence[FileEntry]) -> dict[str, FileEntry]:
    return {str(number): entry for number, entry in enumerate(entries, start=1)}


def nli_entries(labels: Sequence[tuple[int, str]], path: Path) -> dict[str, FileEntry]:
    """Entries of (line, label). Raises UserError for an unknown label."""
    for number, label in labels:
        if label not in NLI_LABELS:
            fix = f"Expected one of: {', '.join(NLI_LABELS)}."
            raise UserError(f"unknown label {label!r}", f"{path}:{number}", fix)
    return number_entries([FileEntry(label, number) for number, label in labels])


def read_nli_predictions(path: Path) -> dict[str, FileEntry]:
    return nli_entries(numbered_lines(path), path)


def read_nli_gold(path: Path, lang: str) -> dict[str, FileEntry]:
    """A label per line, alone or after two sentences and tabs; or the rows of `lang` in XNLI's table."""
    table = [(number, line.split("\t")) for number, line in numbered_lines(path)]
    head = table[0][1]
    column = -1
    if "language" in head and "gold_label" in head:
        column, language = head.index("gold_label"), head.index("language")
        if short := [(number, cells) for number, cells in table if len(cells) <= max(column, language)]:
            number, cells = short[0]
            message = f"expected {max(column, language) + 1} columns or more, found {len(cells)}"
            raise UserError(message, f"{path}:{number}")
        table = [(number, cells) for number, cells in table[1:] if cells[language] == lang]
    labels = [(number, cells[column].strip().replace("contradictory", "contradiction")) for number, cells in table]
    return nli_entries(labels, path)


def read_choices(path: Path, lang: str = "") -> dict[str, FileEntry]:
    """JSON lines with a `label`, the number of the choice: XCOPA's files and predictions."""
    entries = []
    for number, line in numbered_lines(path):
        record = parse_json(line, str(path), number)
        if not (isinstance(record, dict) and type(record.get("label")) is int):
            raise UserError('expected a mapping with a whole number "label"', f"{path}:{number}", '{"label": 0}')
        entries.append(FileEntry(record["label"], number))
    return number_entries(entries)


def read_tags(path: Path, lang: str = "") -> dict[str, FileEntry]:
    """A tag per line, alone or in the last of several columns, with an empty line after a sentence; or CoNLL-U.

    Tabs separate columns or, in a file without tabs, spaces. Raises UserError for a line with other columns than the
    first, and for a tag with a space.
    """
    if ".conllu" in path.suffixes:
        rows = read_rows("conllu", [(str(path), read_text(path))], ReaderOptions(lang=lang))
        return number_entries([FileEntry(row["tags"], 1) for row in rows])
    text = read_text(path)
    separator = "\t" if "\t" in text else None
    sentences: list[FileEntry] = []
    begin, tags, columns = 1, [], 0
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        if line.strip():
            cells = line.split(separator)
            columns = columns or len(cells)
            tag = cells[-1].strip()
            if len(cells) != columns or len(tag.split()) > 1:
                message = f"expected a tag in the last of {columns} columns, as in the first line, found {line[:60]!r}"
                raise UserError(message, f"{path}:{number}", "A line is a tag, or a token, a tab and its tag.")
            tags.append(tag)
            continue
        if tags:
            sentences.append(FileEntry(tags, begin))
        begin, tags = number + 1, []
    return number_entries(sentences)


def read_indices(path: Path) -> dict[str, FileEntry]:
    """The number of a sentence, counted from 0, per line."""
    for number, line in numbered_lines(path):
        if not line.isdecimal():
            raise UserError(f"expected the number of a sentence, found {line[:60]!r}", f"{path}:{number}")
    return number_entries([FileEntry(str(int(line)), number) for number, line in numbered_lines(path)])


def read_bitext_gold(path: Path, lang: str) -> dict[str, FileEntry]:
    """Numbers of sentences, or Tatoeba's English sentences, which are XTREME's queries in sorted order."""
    if all(line.isdecimal() for _, line in numbered_lines(path)):
        return read_indices(path)
    texts = [line for _, line in numbered_lines(path)]
    return number_entries([FileEntry(str(index), index + 1) for index in query_order(texts)])


def query_order(english: Sequence[str]) -> list[int]:
    """The order of Tatoeba's English sentences as queries in XTREME's `utils_preprocess.py`: sorted."""
    return sorted(range(len(english)), key=lambda index: english[index].strip())


# --- by id -----------------------------------------------------------------------------------------------------------


def entry_location(path: Path, name: str, entry: FileEntry) -> str:
    """`file:line` of an entry."""
    return f"{path}:{entry.line or line_of(path, name)}"


def line_of(path: Path, name: str) -> int:
    """The line of a JSON file with the first occurrence of an id, plain or escaped."""
    if path.is_dir():
        return 1
    text = read_text(path)
    begin = max(text.find(json.dumps(name, ensure_ascii=escaped)) for escaped in (False, True))
    return text.count("\n", 0, max(0, begin)) + 1


def read_mapping(path: Path, valid: Callable[[Any], bool], expected: str) -> dict[str, FileEntry]:
    """A JSON mapping by id. Raises UserError if a value is not `valid`."""
    content = parse_json(read_text(path), str(path))
    if not isinstance(content, dict):
        raise UserError(f"expected a JSON mapping {expected}", f"{path}:1")
    for name, value in content.items():
        if not valid(value):
            found = json.dumps(value, ensure_ascii=False)[:60]
            raise UserError(f"expected a JSON mapping {expected}, found {found}", f"{path}:{line_of(path, name)}")
    return {name: FileEntry(value) for name, value in content.items()}


def read_answers(path: Path) -> dict[str, FileEntry]:
    return read_mapping(path, lambda value: isinstance(value, str), "of question ids to texts")


def require_text(value: Any) -> str:
    """The value. Raises TypeError if it is no text."""
    if not isinstance(value, str):
        raise TypeError
    return value


def read_questions(path: Path, lang: str) -> dict[str, FileEntry]:
    """The gold answers in a file of SQuAD's format, or in its `data` alone."""
    content = parse_json(read_text(path), str(path))
    try:
        found = [
            (require_text(question["id"]), [require_text(answer["text"]) for answer in question["answers"]])
            for article in (content["data"] if isinstance(content, dict) else content)
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]
    except (KeyError, TypeError):
        fix = "Expected data > paragraphs > qas > id, answers > text."
        raise UserError("not in the shape of SQuAD v1.1", f"{path}:1", fix) from None
    entries: dict[str, FileEntry] = {}
    for name, answers in found:
        if name in entries or not answers:
            fault = "occurs twice" if name in entries else "has no answer"
            raise UserError(f"the question {name!r} {fault}", f"{path}:{line_of(path, name)}")
        entries[name] = FileEntry(answers)
    return entries


def read_rankings(path: Path) -> dict[str, FileEntry]:
    return read_mapping(path, is_id_list, "of question ids to lists of candidates' ids")


def is_id_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def read_relevant(path: Path, lang: str = "") -> dict[str, FileEntry]:
    """A JSON mapping of question ids to lists of one or more relevant candidates."""
    return read_mapping(
        path, lambda value: bool(value) and is_id_list(value), "of question ids to lists of relevant ids"
    )


def read_mentions(path: Path, lang: str) -> dict[str, FileEntry]:
    """The entity of every mention: XTREME's mapping to lists of one, or Mewsli-X's JSON lines."""
    if '"mentions"' not in read_text(path).partition("\n")[0]:
        entries = read_relevant(path)
        for name, entry in entries.items():
            if len(entry.value) > 1:
                raise UserError("a mention of Mewsli-X has one entity", f"{path}:{line_of(path, name)}")
        return entries
    entries = {}
    for number, line in numbered_lines(path):
        try:
            for mention in parse_json(line, str(path), number)["mentions"]:
                entries[require_text(mention["example_id"])] = FileEntry([require_text(mention["entity_id"])], number)
        except (KeyError, TypeError):
            fix = "Expected mentions > example_id, entity_id."
            raise UserError("not a context of Mewsli-X", f"{path}:{number}", fix) from None
    return entries


def read_lareqa_gold(path: Path, lang: str) -> dict[str, FileEntry]:
    """The relevant sentences of every question of LAReQA: a mapping as for predictions, or XQuAD-R's folder.

    The folder has `<language>.json` (or .json.xz, .json.gz) of every language, because the candidates of all languages
    are one pool. Ids are those of LAReQA's code: `<question>_<language>`, and `<language>_<paragraph from 1>_<sentence
    from 0>`. Relevant are the sentences, in any language, in which the answer to the question begins.
    """
    if not path.is_dir():
        return read_relevant(path)
    relevant: dict[str, list[str]] = {}
    questions = []
    for file in sorted(path.glob("*.json*")):
        language = file.name.partition(".")[0]
        for question, sentences in answer_sentences(file, language):
            relevant.setdefault(question, []).extend(sentences)
            questions += [question] * (language == lang)
    return {f"{question}_{lang}": FileEntry(relevant[question]) for question in questions}


def answer_sentences(path: Path, lang: str) -> Iterator[tuple[str, list[str]]]:
    """(question id, ids of all sentences that equal the one in which its answer begins) of a file of XQuAD-R."""
    try:
        articles = parse_json(read_text(path), str(path))["data"]
        paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
        for number, paragraph in enumerate(paragraphs, start=1):
            sentences = [paragraph["context"][begin:end] for begin, end in paragraph["sentence_breaks"]]
            for question in paragraph["qas"]:
                start = question["answers"][0]["answer_start"]
                breaks = enumerate(paragraph["sentence_breaks"])
                home = next((index for index, (begin, end) in breaks if begin <= start < end), None)
                if home is not None:
                    same = [index for index, sentence in enumerate(sentences) if sentence == sentences[home]]
                    yield question["id"], [f"{lang}_{number}_{index}" for index in same]
    except (KeyError, TypeError, ValueError, IndexError):
        fix = "Expected data > paragraphs > context, sentence_breaks, qas."
        raise UserError("not a file of XQuAD-R", f"{path}:1", fix) from None


# --- writing ---------------------------------------------------------------------------------------------------------


def line_writer(key: str) -> Callable[[Sequence[dict]], str]:
    return lambda rows: "".join(f"{row[key]}\n" for row in rows)


def choice_writer(key: str) -> Callable[[Sequence[dict]], str]:
    return lambda rows: "".join(json.dumps({"label": row[key]}) + "\n" for row in rows)


def tag_writer(key: str) -> Callable[[Sequence[dict]], str]:
    return lambda rows: "\n".join("".join(f"{tag}\n" for tag in row[key]) for row in rows)


def index_writer(key: str) -> Callable[[Sequence[dict]], str]:
    """A writer of the numbers of sentences in XTREME's order of queries, for which rows need the key `english`."""

    def write(rows: Sequence[dict]) -> str:
        number = {row["id"]: index for index, row in enumerate(rows)}
        return "".join(f"{number[rows[index][key]]}\n" for index in query_order([row["english"] for row in rows]))

    return write


def mapping_writer(key: str) -> Callable[[Sequence[dict]], str]:
    return lambda rows: json.dumps({row["id"]: row[key] for row in rows}, indent=0, ensure_ascii=False) + "\n"


def write_questions(rows: Sequence[dict]) -> str:
    """Gold answers in SQuAD's format, without the texts that scorers do not read."""
    questions = [{"id": row["id"], "answers": [{"text": answer} for answer in row["gold"]]} for row in rows]
    return json.dumps({"data": [{"paragraphs": [{"qas": questions}]}]}, indent=0, ensure_ascii=False) + "\n"


NLI = TaskFormat("tsv", True, read_nli_gold, read_nli_predictions, line_writer("prediction"), line_writer("gold"))

CHOICES = TaskFormat("jsonl", True, read_choices, read_choices, choice_writer("prediction"), choice_writer("gold"))

TAGS = TaskFormat("tsv", True, read_tags, read_tags, tag_writer("prediction"), tag_writer("gold"))

BITEXT = TaskFormat("tsv", True, read_bitext_gold, read_indices, index_writer("prediction"), index_writer("gold"))

ANSWERS = TaskFormat("json", False, read_questions, read_answers, mapping_writer("prediction"), write_questions)

MEWSLIX = TaskFormat("json", False, read_mentions, read_rankings, mapping_writer("prediction"), mapping_writer("gold"))

LAREQA = TaskFormat(
    "json", False, read_lareqa_gold, read_rankings, mapping_writer("prediction"), mapping_writer("gold")
)

FORMATS: Mapping[str, TaskFormat] = {
    "xnli": NLI,
    "xcopa": CHOICES,
    "udpos": TAGS,
    "panx": TAGS,
    "xquad": ANSWERS,
    "mlqa": ANSWERS,
    "tydiqa": ANSWERS,
    "tatoeba": BITEXT,
    "mewslix": MEWSLIX,
    "lareqa": LAREQA,
}
