"""The ten tasks of XTREME-R as files: published gold files, XTREME's label files, and submissions.

Owns: their formats, and pairing predictions with gold. Must never know: studies, models, how a score is computed.

The formats are those that `evaluate.py` of google-research/xtreme (commit 838c13b) reads; docs/metrics.md lists them.
Question answering and ranking files name their examples: what a prediction file lacks counts as 0, what only it has is
left out, and both are told. The others go line by line, so that both files must have as many examples.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstune.core.errors import UserError
from crosstune.core.files import read_text
from crosstune.data.readers import read_rows
from crosstune.data.readers.pieces import ReaderOptions
from crosstune.evaluation.metrics import METRICS, XTREME_R

NLI_LABELS = ("contradiction", "entailment", "neutral")


@dataclass(frozen=True)
class FileEntry:
    """What a file says of one example, and the line that says it; 0 where an id tells it instead."""

    value: Any
    line: int = 0


@dataclass(frozen=True)
class TaskFormat:
    """How the files of a task are written.

    `gold(path, lang)` and `predictions(path)` give the entries by id, which is the example's number where the format
    goes line by line (`aligned`). `write_predictions` and `write_labels` turn prediction rows (id, prediction, gold) of
    one language into the text of a submission's file and of a label file.
    """

    suffix: str
    aligned: bool
    gold: Callable[[Path, str], dict[str, FileEntry]]
    predictions: Callable[[Path], dict[str, FileEntry]]
    write_predictions: Callable[[Sequence[dict]], str]
    write_labels: Callable[[Sequence[dict]], str]


def score_files(task: str, lang: str, gold: Path, predictions: Path) -> dict:
    """The scores of a prediction file against a gold file, and the ids that only one of them has.

    Returns {"task", "lang", "scores": {number: 0..100, "n": examples}, "missing": [id], "unexpected": [id]}. Raises
    UserError with file and line for a file that is not in its format, and for a language the metric does not know.
    """
    metric = METRICS[XTREME_R[task]]
    metric.check_languages([lang], f"--lang {lang}")
    rows, missing, unexpected = pair_rows(task, lang, gold, predictions)
    # Not an empty answer, which can be right where nothing is left of the gold one either.
    unanswered = [{"id": name} | dict.fromkeys(metric.labels, 0.0) for name in missing]
    scores = metric.summarise(metric.measure(rows, lang) + unanswered)
    return {"task": task, "lang": lang, "scores": scores, "missing": missing, "unexpected": unexpected}


def pair_rows(task: str, lang: str, gold: Path, predictions: Path) -> tuple[list[dict], list[str], list[str]]:
    """Prediction rows (id, prediction, gold), the ids without a prediction, and the ids without a gold answer."""
    form, metric = FORMATS[task], METRICS[XTREME_R[task]]
    wanted, given = form.gold(gold, lang), form.predictions(predictions)
    if not wanted:
        raise UserError("the file holds no examples", str(gold), f"Is it a file of {task} in {lang!r}?")
    if form.aligned and len(wanted) != len(given):
        place = f"{predictions}:{max((entry.line for entry in given.values()), default=1)}"
        fix = "Examples are paired by their order alone, so that the two files must have as many."
        raise UserError(f"{len(given)} predictions end here, {gold} has {len(wanted)} examples", place, fix)
    rows = []
    for name in wanted:
        if name in given:
            row = {"id": name, "prediction": given[name].value, "gold": wanted[name].value}
            if problem := metric.problem(row):
                fix = f"The gold is at {entry_location(gold, name, wanted[name])}."
                raise UserError(problem, entry_location(predictions, name, given[name]), fix)
            rows.append(row)
    missing = [name for name in wanted if name not in given]
    return rows, missing, [name for name in given if name not in wanted]


# --- line by line ----------------------------------------------------------------------------------------------------


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a file, numbered from 1 and stripped, without empty ones at the end; others are a UserError."""
    found = [(number, line.strip()) for number, line in enumerate(read_text(path).rstrip().split("\n"), start=1)]
    for number, line in found:
        if not line:
            raise UserError("an empty line", f"{path}:{number}", "Expected one example a line.")
    return found


def number_entries(entries: Sequence[FileEntry]) -> dict[str, FileEntry]:
    return {str(number): entry for number, entry in enumerate(entries, start=1)}


def check_nli_label(text: str, place: str) -> str:
    if text not in NLI_LABELS:
        raise UserError(f"unknown label {text!r}", place, f"Expected one of: {', '.join(NLI_LABELS)}.")
    return text


def read_nli_predictions(path: Path) -> dict[str, FileEntry]:
    return number_entries(
        [FileEntry(check_nli_label(line, f"{path}:{number}"), number) for number, line in numbered_lines(path)]
    )


def read_nli_gold(path: Path, lang: str) -> dict[str, FileEntry]:
    """A label a line, or after two sentences and tabs, or XNLI's own table, of which the rows of `lang` are taken."""
    table = [(number, line.split("\t")) for number, line in numbered_lines(path)]
    head = table[0][1]
    column = -1
    if "language" in head and "gold_label" in head:
        column, spoken = head.index("gold_label"), head.index("language")
        if short := [(number, cells) for number, cells in table if len(cells) <= max(column, spoken)]:
            number, cells = short[0]
            message = f"expected {max(column, spoken) + 1} columns or more, found {len(cells)}"
            raise UserError(message, f"{path}:{number}")
        table = [(number, cells) for number, cells in table[1:] if cells[spoken] == lang]
    mended = [(number, cells[column].strip().replace("contradictory", "contradiction")) for number, cells in table]
    return number_entries([FileEntry(check_nli_label(label, f"{path}:{number}"), number) for number, label in mended])


def read_choices(path: Path, lang: str = "") -> dict[str, FileEntry]:
    """JSON lines with a `label`, the number of the choice: XCOPA's own files, and predictions for it."""
    entries = []
    for number, line in numbered_lines(path):
        record = parse_json(line, path, number)
        if not (isinstance(record, dict) and type(record.get("label")) is int):
            raise UserError('expected a mapping with a whole number "label"', f"{path}:{number}", '{"label": 0}')
        entries.append(FileEntry(record["label"], number))
    return number_entries(entries)


def read_tags(path: Path, lang: str = "") -> dict[str, FileEntry]:
    """A tag a line, alone or after the token and a tab, and an empty line after a sentence; or CoNLL-U (.conllu)."""
    if ".conllu" in path.suffixes:
        rows = read_rows("conllu", [(str(path), read_text(path))], ReaderOptions(lang=lang))
        return number_entries([FileEntry(row["tags"], 1) for row in rows])
    sentences: list[FileEntry] = []
    begin, tags = 1, []
    for number, line in enumerate([*read_text(path).split("\n"), ""], start=1):
        if line.strip():
            tags.append(line.split("\t")[-1].strip())
            continue
        if tags:
            sentences.append(FileEntry(tags, begin))
        begin, tags = number + 1, []
    return number_entries(sentences)


def read_indices(path: Path) -> dict[str, FileEntry]:
    """The number of a sentence a line, counted from 0."""
    for number, line in numbered_lines(path):
        if not line.isdecimal():
            raise UserError(f"expected the number of a sentence, found {line[:60]!r}", f"{path}:{number}")
    return number_entries([FileEntry(str(int(line)), number) for number, line in numbered_lines(path)])


def read_bitext_gold(path: Path, lang: str) -> dict[str, FileEntry]:
    """Numbers of sentences, or Tatoeba's English sentences, which XTREME asks for in alphabetical order."""
    if all(line.isdecimal() for _, line in numbered_lines(path)):
        return read_indices(path)
    texts = [line for _, line in numbered_lines(path)]
    return number_entries([FileEntry(str(index), index + 1) for index in query_order(texts)])


def query_order(english: Sequence[str]) -> list[int]:
    """The order in which XTREME's `utils_preprocess.py` asks for the English sentences of Tatoeba: sorted."""
    return sorted(range(len(english)), key=lambda index: english[index].strip())


# --- by id -----------------------------------------------------------------------------------------------------------


def parse_json(text: str, path: Path, line: int = 1) -> Any:
    """The JSON in a text that begins at a line of the file."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"not valid JSON ({error.msg})", f"{path}:{line + error.lineno - 1}") from None


def entry_location(path: Path, name: str, entry: FileEntry) -> str:
    """`file:line` of an entry."""
    return f"{path}:{entry.line or line_of(path, name)}"


def line_of(path: Path, name: str) -> int:
    """The line of a JSON file on which an id first stands, written plainly or escaped."""
    if path.is_dir():
        return 1
    text = read_text(path)
    begin = max(text.find(json.dumps(name, ensure_ascii=escaped)) for escaped in (False, True))
    return text.count("\n", 0, max(0, begin)) + 1


def read_mapping(path: Path, valid: Callable[[Any], bool], expected: str) -> dict[str, FileEntry]:
    """A JSON mapping by id whose values are `valid`."""
    content = parse_json(read_text(path), path)
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
    """The value, TypeError if it is no text."""
    if not isinstance(value, str):
        raise TypeError
    return value


def read_questions(path: Path, lang: str) -> dict[str, FileEntry]:
    """The gold answers in a file of SQuAD's shape, or in its `data` alone."""
    content = parse_json(read_text(path), path)
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
    """The entity of every mention: XTREME's mapping to lists of one, or Mewsli-X's JSON lines of contexts."""
    if '"mentions"' not in read_text(path).partition("\n")[0]:
        entries = read_relevant(path)
        for name, entry in entries.items():
            if len(entry.value) > 1:
                raise UserError("a mention of Mewsli-X has one entity", f"{path}:{line_of(path, name)}")
        return entries
    entries = {}
    for number, line in numbered_lines(path):
        try:
            for mention in parse_json(line, path, number)["mentions"]:
                entries[require_text(mention["example_id"])] = FileEntry([require_text(mention["entity_id"])], number)
        except (KeyError, TypeError):
            fix = "Expected mentions > example_id, entity_id."
            raise UserError("not a context of Mewsli-X", f"{path}:{number}", fix) from None
    return entries


def read_lareqa_gold(path: Path, lang: str) -> dict[str, FileEntry]:
    """The relevant sentences of every question of LAReQA: a mapping as for predictions, or XQuAD-R's folder.

    The folder holds `<language>.json` (or .json.xz, .json.gz) of every language, as the candidates of all languages are
    one pool. Ids are those of LAReQA's code: `<question>_<language>`, and `<language>_<paragraph from 1>_<sentence from
    0>`. Relevant are the sentences, in any language, in which the answer to the question begins.
    """
    if not path.is_dir():
        return read_relevant(path)
    relevant: dict[str, list[str]] = {}
    asked = []
    for file in sorted(path.glob("*.json*")):
        language = file.name.partition(".")[0]
        for question, sentences in answer_sentences(file, language):
            relevant.setdefault(question, []).extend(sentences)
            asked += [question] * (language == lang)
    return {f"{question}_{lang}": FileEntry(relevant[question]) for question in asked}


def answer_sentences(path: Path, lang: str) -> Iterator[tuple[str, list[str]]]:
    """Every question of a file of XQuAD-R, with the ids of the sentences that equal the one its answer begins in."""
    try:
        articles = parse_json(read_text(path), path)["data"]
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
    """The numbers of the sentences, in the order in which XTREME asks: rows need the key `english` for it."""

    def write(rows: Sequence[dict]) -> str:
        number = {row["id"]: index for index, row in enumerate(rows)}
        return "".join(f"{number[rows[index][key]]}\n" for index in query_order([row["english"] for row in rows]))

    return write


def mapping_writer(key: str) -> Callable[[Sequence[dict]], str]:
    return lambda rows: json.dumps({row["id"]: row[key] for row in rows}, indent=0, ensure_ascii=False) + "\n"


def write_questions(rows: Sequence[dict]) -> str:
    """Gold answers in SQuAD's shape, without the texts that no scorer reads."""
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
