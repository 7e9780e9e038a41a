"""Readers of classification and multiple choice: XNLI's TSV, COPA's and SocialIQa's JSON lines."""

from collections.abc import Iterator, Sequence

from crosstune.core.errors import UserError
from crosstune.data.readers.pieces import (
    ReaderOptions,
    check_label,
    file_stem,
    json_field,
    numbered_lines,
    parse_json,
    text_field,
)

# XNLI's machine-translated training sets spell one label differently.
SPELLINGS = {"contradictory": "contradiction"}

COPA_QUESTIONS = {"cause": "What was the cause?", "effect": "What was the effect?"}


def classified(files: Sequence[tuple[str, str]], options: ReaderOptions) -> Iterator[dict]:
    """TSV of a text, its pair and its label; a second file, if given, has the labels, one per line."""
    (file, content), *others = files
    if len(others) > 1:
        raise UserError(f"expected a file of texts and perhaps one of labels, found {len(files)}", file)
    lines = [(number, line) for number, line in numbered_lines(content) if line.strip()]
    labels = [line.strip() for _, line in numbered_lines(others[0][1]) if line.strip()] if others else None
    if labels is not None and len(labels) != len(lines):
        message = f"{len(labels)} labels for {len(lines)} lines"
        raise UserError(message, others[0][0], f"Line n labels line n of {file}.")
    for index, (number, line) in enumerate(lines):
        cells, where = line.split("\t"), f"{file}:{number}"
        expected = 2 if labels is not None else 3
        if len(cells) != expected or not all(cell.strip() for cell in cells):
            what = "a text, a tab and its pair" + ("" if labels is not None else ", a tab and the label")
            raise UserError(f"expected {what}, found {len(cells)} columns: {line[:60]!r}", where)
        label = labels[index] if labels is not None else cells[2].strip()
        label = SPELLINGS.get(label, label)
        check_label(label, options.labels, where)
        yield {"id": f"{file_stem(file)}:{number}", "text": cells[0], "pair": cells[1], "label": label}


def copa(content: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """COPA and XCOPA, with XTREME's English template as the question in every language."""
    for number, record, where in _records(content, file):
        question = text_field(record, "question", where)
        if question not in COPA_QUESTIONS:
            raise UserError(f"expected cause or effect in 'question', found {question!r}", where)
        choices = [text_field(record, name, where) for name in ("choice1", "choice2")]
        yield {
            "id": f"{file_stem(file)}:{number}",
            "premise": text_field(record, "premise", where),
            "question": COPA_QUESTIONS[question],
            "choices": choices,
            "label": _choice_index(json_field(record, "label", int, where), len(choices), where),
        }


def siqa(files: Sequence[tuple[str, str]], options: ReaderOptions) -> Iterator[dict]:
    """SocialIQa: JSON lines, and a second file with the number of the right answer (from 1) per line."""
    if len(files) != 2:
        raise UserError(f"expected a file of questions and one of labels, found {len(files)}", files[0][0])
    (file, content), (other, labels) = files
    records = list(_records(content, file))
    answers = [(number, line.strip()) for number, line in numbered_lines(labels) if line.strip()]
    if len(answers) != len(records):
        message = f"{len(answers)} labels for {len(records)} questions"
        raise UserError(message, other, f"Line n labels line n of {file}.")
    for (number, record, where), (line, answer) in zip(records, answers, strict=True):
        choices = [text_field(record, name, where) for name in ("answerA", "answerB", "answerC")]
        if not answer.isdecimal():
            raise UserError(f"expected the number of an answer, found {answer!r}", f"{other}:{line}")
        yield {
            "id": f"{file_stem(file)}:{number}",
            "premise": text_field(record, "context", where),
            "question": text_field(record, "question", where),
            "choices": choices,
            "label": _choice_index(int(answer) - 1, len(choices), f"{other}:{line}"),
        }


def _records(content: str, file: str) -> Iterator[tuple[int, dict, str]]:
    """(line number, record, location) of JSON lines."""
    for number, line in numbered_lines(content):
        if line.strip():
            yield number, parse_json(line, file, number), f"{file}:{number}"


def _choice_index(label: int, count: int, where: str) -> int:
    if not 0 <= label < count:
        raise UserError(f"the label names choice {label + 1} of {count}", where, "Secret test labels are often -1.")
    return label
