"""Files of every format: the record that describe.py prints reads as it is."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from crosstune.core.errors import UserError
from crosstune.core.files import read_jsonl
from crosstune.data.describe import guess_record
from crosstune.data.prepare import prepare
from crosstune.data.registry import load_languages, load_registry
from describe import printed

ROOT = Path(__file__).parents[2]
LANGUAGES = load_languages(ROOT / "registry")


def parquet(**columns) -> bytes:
    import pyarrow
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


def squad(*questions: dict, **more) -> str:
    return json.dumps({"data": [{"paragraphs": [{"context": "Ada lives. Bo left.", "qas": list(questions), **more}]}]})


def question(name: str, *answers: tuple[str, int]) -> dict:
    found = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": name, "question": "?", "answers": found, "is_impossible": not answers}


def lines(*rows: dict) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


ADA = {"text": ["Ada"], "answer_start": [0]}
MANY_CHOICES = {f"mc_answer{number}": f"c{number}" for number in "1234"}
WORDS = ["1\tAda\t_\tPROPN\tNNP\t_\t2\tnsubj\t_\t_", "2\tleft\t_\tVERB\tVBD\t_\t0\troot\t_\t_", "", ""]
TAGGED = "Ada B-PER\nLee I-PER\nleft O\n\nBo B-PER\nleft O\n"
# For each format: the files, what the record says of them, and the first row without its id.
FORMATS = {
    "SQuAD": (
        {"train.sw.json": squad(question("1", ("Ada", 0)))},
        {"task": "qa", "reader": "squad", "languages": ["sw"]},
        {"context": "Ada lives. Bo left.", "question": "?", "answers": {"text": ["Ada"], "answer_start": [0]}},
    ),
    "SQuAD 2.0 with wrong offsets": (
        {"sw.json": squad(question("1", ("Bo", 12)), question("2"), question("3", ("Eve", 0)))},
        {"reader": "squad", "drop": ["unanswerable", "unlocated"], "answer_start": "find"},
        {"context": "Ada lives. Bo left.", "question": "?", "answers": {"text": ["Bo"], "answer_start": [11]}},
    ),
    "questions in JSON lines": (
        {"a.jsonl": lines({"id": 1, "context": "Ada", "question": "?", "answers": ADA})},
        {"task": "qa", "columns": {"id": "id", "context": "context", "question": "question", "answers": "answers"}},
        {"context": "Ada", "question": "?", "answers": ADA},
    ),
    "questions in CSV": (
        {"a.csv": 'passage,question,answer_text,answer_start\n"Ada, Bo",who?,Bo,5\n'},
        {
            "task": "qa",
            "columns": {
                "context": "passage", "question": "question", "answers": "answer_text", "answer_start": "answer_start",
            },
        },
        {"context": "Ada, Bo", "question": "who?", "answers": {"text": ["Bo"], "answer_start": [5]}},
    ),
    "labels in TSV": (
        {"sw/train.tsv": "tweet\tlabel\nhabari za leo\tgood\nmbaya sana\tbad\n"},
        {"columns": {"text": "tweet", "label": "label"}, "labels": ["bad", "good"], "languages": ["sw"]},
        {"text": "habari za leo", "label": "good"},
    ),
    "numbered labels": (
        {"a.csv": "text,label\na b,0\nc d,1\n"},
        {"labels": {"0": "label0", "1": "label1"}},
        {"text": "a b", "label": "label0"},
    ),
    "pairs without header": (
        {"a.tsv": "a long premise here\ta long hypothesis\tyes\nanother long premise\tanother long one\tno\n" * 2},
        {"task": "classification", "columns": {"text": 1, "pair": 2, "label": 3}, "labels": ["no", "yes"]},
        {"text": "a long premise here", "pair": "a long hypothesis", "label": "yes"},
    ),
    "semicolons": (
        {"a.csv": "sentence1;sentence2;gold_label\na, b;c;yes\nd;e;no\n"},
        {"table": {"separator": ";"}, "columns": {"text": "sentence1", "pair": "sentence2", "label": "gold_label"}},
        {"text": "a, b", "pair": "c", "label": "yes"},
    ),
    "choices": (
        {"a.jsonl": lines({"passage": "p", "question": "q", **MANY_CHOICES, "correct_answer_num": "4"})},
        {"task": "choice", "labels": ["1", "2", "3", "4"]},
        {"premise": "p", "question": "q", "choices": ["c1", "c2", "c3", "c4"], "label": 3},
    ),
    "COPA": (
        {"a.jsonl": lines({"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 0})},
        {"task": "choice", "labels": ["0", "1"]},
        {"premise": "p", "question": "What was the cause?", "choices": ["a", "b"], "label": 0},
    ),
    "CoNLL-U": (
        {"xx-ud-test.conllu": "\n".join(WORDS)},
        {"task": "tagging", "reader": "conllu", "splits": {"test": {"source": {"files": "{mine}/xx-ud-test.conllu"}}}},
        {"tokens": ["Ada", "left"], "tags": ["PROPN", "VERB"]},
    ),
    "CoNLL-U with other tags": (
        {"a.conllu": "\n".join(WORDS).replace("PROPN", "N").replace("VERB", "V")},
        {"columns": {"tags": "xpos"}, "tags": ["NNP", "VBD"]},
        {"tokens": ["Ada", "left"], "tags": ["NNP", "VBD"]},
    ),
    "two columns": (
        {"a.txt": TAGGED.replace(" ", "\t")},
        {"task": "tagging", "reader": "columns", "tags": ["O", "B-PER", "I-PER"]},
        {"tokens": ["Ada", "Lee", "left"], "tags": ["B-PER", "I-PER", "O"]},
    ),
    "WikiANN": (
        {"sw/train": "".join(f"sw:{line}\n" if line else "\n" for line in TAGGED.replace(" ", "\t").splitlines())},
        {"token_prefix": "sw:"},
        {"tokens": ["Ada", "Lee", "left"], "tags": ["B-PER", "I-PER", "O"]},
    ),
    "CoNLL-2003": (
        {"a.testb": "-DOCSTART- -X- O O\n\nAda N I-NP I-PER\nLee N I-NP I-PER\nleft V I-VP O\n\nBo N I-NP I-PER\n"},
        {"columns": {"tokens": 1, "tags": 4}, "table": {"separator": " "}, "tag_scheme": "IOB1"},
        {"tokens": ["Ada", "Lee", "left"], "tags": ["B-PER", "I-PER", "O"]},
    ),
    "token lines with comments": (
        {"a.conll": "# id 1 domain=en\nAda _ _ S-PER\nleft _ _ O\n\n# id 2 domain=en\nBo _ _ S-PER\n"},
        {"columns": {"tokens": 1, "tags": 4}, "table": {"separator": " ", "comment": "# id"}, "tag_scheme": "IOBES"},
        {"tokens": ["Ada", "left"], "tags": ["B-PER", "O"]},
    ),
    "tags in lists": (
        {"a.json": json.dumps([{"tokens": ["Ada", "left"], "ner_tags": [1, 0]}])},
        {"task": "tagging", "tags": {"0": "tag0", "1": "tag1"}},
        {"tokens": ["Ada", "left"], "tags": ["tag1", "tag0"]},
    ),
    "rows inside a document": (
        {"a.json": json.dumps({"version": 1, "data": [{"query": "who", "passage": "Ada"}]})},
        {"task": "retrieval", "table": {"rows": "data"}, "columns": {"query": "query", "candidate": "passage"}},
        {"query": "who", "key": "a:1", "candidate": "Ada", "context": "", "keys": ["a:1"]},
    ),
    "translations": (
        {"a.tsv": "Hujambo dunia\tHello world\nNdiyo\tYes\n"},
        {"task": "bitext", "columns": {"text": 1, "pair": 2}},
        {"text": "Hujambo dunia", "pair": "Hello world"},
    ),
    "lines": (
        {"a.txt": "Hujambo dunia.\nNdiyo, bwana.\n"},
        {"task": "text", "reader": "lines"},
        {"text": "Hujambo dunia."},
    ),
    "Parquet": (
        {"a.parquet": parquet(premise=["a", "c"], hypothesis=["b", "d"], label=["yes", "no"])},
        {"task": "classification", "columns": {"text": "premise", "pair": "hypothesis", "label": "label"}},
        {"text": "a", "pair": "b", "label": "yes"},
    ),
}  # fmt: skip


def described(folder: Path, files: dict[str, str | bytes], **given: str) -> str:
    """What describe.py prints for some files, which it writes."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return printed(guess_record([folder / name for name in files], "mine", LANGUAGES, **given), "mine")


def rows_of(folder: Path, study: dict) -> dict[tuple[str, str], list[dict]]:
    """The prepared rows of a printed record, by split and language."""
    dataset = load_registry(folder / "none", study["datasets"])["mine"]
    found = {}
    for split, entry in dataset.splits.items():
        for lang in entry.languages:
            out = folder / "rows.jsonl"
            prepare(dataset, split, lang, study["folders"], folder, out)
            found[split, lang] = read_jsonl(out)
    return found


@pytest.mark.parametrize(("files", "says", "row"), FORMATS.values(), ids=FORMATS.keys())
def test_the_printed_record_reads_its_file(tmp_path, files, says, row):
    text = described(tmp_path, files)
    study = yaml.safe_load(text)
    record = study["datasets"]["mine"]
    assert {key: record.get(key) for key in says} == says
    (rows,) = rows_of(tmp_path, study).values()
    assert {key: value for key, value in rows[0].items() if key != "id"} == row
    assert text.startswith(f"# rows: {len(rows)} (") and f'# first row: {{"id": "{rows[0]["id"]}"' in text


def test_languages_and_splits_come_from_the_names_of_files(tmp_path):
    content = "text\tlabel\na b\tgood\nc d\tbad\n"
    files = {f"{name}.tsv": content for name in ("sw-train", "yo-train", "yo-dev", "eng-test")}
    study = yaml.safe_load(described(tmp_path, files))
    record = study["datasets"]["mine"]
    assert (record["languages"], record["codes"]) == (["sw", "yo", "en"], {"en": "eng"})
    assert record["splits"] == {
        "train": {"source": {"files": "{mine}/{lang}-train.tsv"}, "languages": ["sw", "yo"]},
        "validation": {"source": {"files": "{mine}/{lang}-dev.tsv"}, "languages": ["yo"]},
        "test": {"source": {"files": "{mine}/{code}-test.tsv"}, "languages": ["en"]},
    }
    assert len(rows_of(tmp_path, study)) == 4


def test_files_whose_names_have_nothing_in_common_are_named_each(tmp_path):
    content = "text\tlabel\na b\tgood\nc d\tbad\n"
    files = {"sw/part1.tsv": content, "sw/part2.tsv": content.replace("a b", "e f"), "yo.tsv": content}
    study = yaml.safe_load(described(tmp_path, files))
    assert study["datasets"]["mine"]["splits"]["train"]["source"]["files"] == {
        "sw": ["{mine}/sw/part1.tsv", "{mine}/sw/part2.tsv"], "yo": "{mine}/yo.tsv",
    }  # fmt: skip
    assert [len(rows) for rows in rows_of(tmp_path, study).values()] == [4, 2]


def test_what_a_file_cannot_tell_is_asked_for(tmp_path):
    text = described(tmp_path, {"a.csv": "text,label\na b,0\nc d,1\n"})
    for line in (
        "languages: [xx]    # which language is it? its ISO 639 code",
        "licence: unknown    # what its publisher states",
        "labels: {'0': label0, '1': label1}    # what do the numbers stand for?",
        "  xx: {name: xx, family: xx, script: Latn, resource: low}    # its name, family, and script (ISO 15924)",
    ):
        assert line in text
    assert "which language" not in described(tmp_path, {"a.csv": "text,label\na b,0\nc d,1\n"}, language="sw")


def test_a_task_that_the_user_names_is_taken(tmp_path):
    files = {"a.tsv": "sentence1\tsentence2\tlabel\na\tb\tyes\nc\td\tno\n"}
    assert yaml.safe_load(described(tmp_path, files, task="bitext"))["datasets"]["mine"]["task"] == "bitext"
    with pytest.raises(UserError, match=r"the columns sentence1, sentence2, label do not tell .* for the task qa"):
        described(tmp_path, files, task="qa")


def test_the_program_prints_a_record_or_one_message(tmp_path):
    (tmp_path / "train.sw.tsv").write_text("text\tlabel\na b\tgood\nc d\tbad\n")
    command = [sys.executable, str(ROOT / "scripts/describe.py"), "--name", "tweets", str(tmp_path / "train.sw.tsv")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["datasets"]["tweets"]["splits"] == {
        "train": {"source": {"files": "{tweets}/train.{lang}.tsv"}}
    }
    done = subprocess.run([*command[:-1], str(tmp_path / "none")], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (1, f"error: {tmp_path}/none: no such file\n")
