"""Translation of a prepared split: rows, manifest, resumption, the program."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from crosstune.core.errors import UserError
from crosstune.core.files import read_json, read_jsonl, sha256_file, write_json, write_jsonl
from crosstune.data.translation import translate_split
from crosstune.data.translation.translate_split import TRANSLATE_VERSION, translate_rows
from crosstune.data.translation.translators import Translator

ROOT = Path(__file__).parents[2]
SPEC = {"version": TRANSLATE_VERSION, "from": "en", "to": "es", "translator": {"command": "x"}}


def row_of(name: str, context: str, answer: str) -> dict:
    answers = {"text": [answer], "answer_start": [context.index(answer)]}
    return {"id": name, "context": context, "question": f"What is {name}?", "answers": answers}


ROWS = [
    row_of("a", "The house was built in 1887.", "1887"),
    row_of("b", "The house was built in 1887.", "house"),
    row_of("c", "A river.\nIt flows.", "It") | {"origin": "base.xx/c0"},
    row_of("d", "Lost marks, lost answer.", "answer"),
]


class Capitals(Translator):
    """Translates into capitals, loses the marks of contexts that begin with `Lost`, and fails after `calls` calls."""

    def __init__(self, calls: int = 10**9):
        self.calls, self.seen = calls, []

    def check(self, source, target):
        if target != "es":
            raise UserError(f"no pair {source}-{target}", "translator.pairs", "Add it.")

    def translate(self, lines, source, target):
        self.calls -= 1
        if self.calls < 0:
            raise UserError("the translator died", "translator.command", "Mend it.")
        self.truncated += 1
        self.seen += lines
        return [re.sub(r"\[\[.*\]\]", "-", line) if line.startswith("Lost") else line.upper() for line in lines]


@pytest.fixture
def prepared(tmp_path):
    """A function that writes rows as a prepared split and returns the path of its manifest."""

    def write(rows=ROWS, **changes) -> Path:
        path = tmp_path / "data/toy/train.en.json"
        write_jsonl(path.with_suffix(".jsonl"), rows)
        digest = sha256_file(path.with_suffix(".jsonl"))
        manifest = {"dataset": "toy", "split": "train", "lang": "en", "task": "qa", "rows": len(rows), "sha256": digest}
        write_json(path, manifest | changes)
        return path

    return write


@pytest.fixture
def out(tmp_path):
    return tmp_path / "data/translated/toy_mt/train.en-es.jsonl"


@pytest.fixture
def a_row_each(monkeypatch):
    monkeypatch.setattr(translate_split, "BATCH_CHARACTERS", 1)


def test_translation_writes_rows_and_a_manifest(prepared, out):
    translator = Capitals()
    manifest = translate_rows(SPEC, prepared(), out, translator)
    assert manifest.pop("rows_per_second") > 0
    assert manifest == read_json(out.with_suffix(".json"))
    assert manifest == {
        "dataset": "toy",
        "split": "train",
        "from": "en",
        "to": "es",
        "task": "qa",
        "rows": 4,
        "kept": 3,
        "dropped": {"not found": 1},
        "by": {"markers": 3},
        "truncated": 1,
        "sha256": sha256_file(out),
        "data": read_json(prepared())["sha256"],
        "content_key": "",
        "spec": SPEC,
    }
    context = "THE HOUSE WAS BUILT IN 1887."
    assert read_jsonl(out) == [
        {
            "id": "en-es:a",
            "origin": "toy.en/a",
            "context": context,
            "question": "WHAT IS A?",
            "answers": {"text": ["1887"], "answer_start": [23]},
        },
        {
            "id": "en-es:b",
            "origin": "toy.en/b",
            "context": context,
            "question": "WHAT IS B?",
            "answers": {"text": ["HOUSE"], "answer_start": [4]},
        },
        {
            "id": "en-es:c",
            "origin": "base.xx/c0",
            "context": "A RIVER. IT FLOWS.",
            "question": "WHAT IS C?",
            "answers": {"text": ["IT"], "answer_start": [9]},
        },
    ]
    assert len(translator.seen) == len(set(translator.seen)), "equal lines are translated once"
    assert sorted(os.listdir(out.parent)) == ["train.en-es.json", "train.en-es.jsonl"]


def test_an_interrupted_translation_resumes_without_loss(prepared, out, a_row_each):
    with pytest.raises(UserError) as caught:
        translate_rows(SPEC, prepared(), out, Capitals(calls=2))
    assert str(caught.value) == (
        "translator.command: the translator died\n"
        "  Mend it.\n"
        "  2 of 4 rows are translated and kept: rerun the same command to resume."
    )
    assert not out.exists() and not out.with_suffix(".json").exists()
    second = Capitals()
    resumed = translate_rows(SPEC, prepared(), out, second)
    assert not any("1887" in line for line in second.seen), "finished batches are not translated again"
    rows = out.read_bytes()
    whole = translate_rows(SPEC, prepared(), out, Capitals())
    assert rows == out.read_bytes()
    assert resumed | {"rows_per_second": 0} == whole | {"rows_per_second": 0}
    assert whole["truncated"] == 4, "one of each call, over both processes"


def test_the_half_written_batch_of_a_killed_process_is_translated_again(prepared, out, a_row_each):
    with pytest.raises(UserError):
        translate_rows(SPEC, prepared(), out, Capitals(calls=2))
    part = out.with_name(out.name + ".part")
    part.write_bytes(part.read_bytes()[:-5])
    second = Capitals(calls=1)
    with pytest.raises(UserError, match="2 of 4 rows"):
        translate_rows(SPEC, prepared(), out, second)
    assert "What is b?" in second.seen and "What is a?" not in second.seen
    assert translate_rows(SPEC, prepared(), out, Capitals())["kept"] == 3


def test_the_partial_file_of_another_translation_is_refused(prepared, out, a_row_each):
    with pytest.raises(UserError):
        translate_rows(SPEC, prepared(), out, Capitals(calls=2))
    for spec, rows in ((SPEC | {"version": 99}, ROWS), (SPEC, ROWS[1:])):
        with pytest.raises(UserError, match=r"belongs to another translator(.|\n)*rm .*en-es.jsonl.part"):
            translate_rows(spec, prepared(rows), out, Capitals())
    out.with_name(out.name + ".part").write_text("{\n")
    with pytest.raises(UserError, match="cannot be read"):
        translate_rows(SPEC, prepared(), out, Capitals())


def test_two_processes_do_not_translate_into_one_file(prepared, out):
    class Second(Capitals):
        def translate(self, lines, source, target):
            translate_rows(SPEC, prepared(), out, Capitals())

    with pytest.raises(UserError, match="another process is translating here"):
        translate_rows(SPEC, prepared(), out, Second())


def test_untranslatable_rows_are_refused_before_any_work(prepared, out):
    refused = Capitals(calls=0)
    with pytest.raises(UserError, match="rows of the task 'tagging' cannot be translated, only those of 'qa'"):
        translate_rows(SPEC, prepared(task="tagging"), out, refused)
    with pytest.raises(UserError, match="the rows are in hi, and en is to be translated"):
        translate_rows(SPEC, prepared(lang="hi"), out, refused)
    with pytest.raises(UserError, match="no pair en-ca"):
        translate_rows(SPEC | {"to": "ca"}, prepared(), out, refused)
    assert not out.parent.exists()


def test_an_empty_translation_leaves_no_file(prepared, out):
    class Silent(Capitals):
        def translate(self, lines, source, target):
            return [""] * len(lines)

    with pytest.raises(UserError, match=r"no row is left of 4 \(empty 4\)"):
        translate_rows(SPEC, prepared(), out, Silent())
    assert not out.exists()


def run_program(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, ROOT / "scripts/translate.py", *arguments], capture_output=True, text=True)


def test_the_program_reports_in_one_line(prepared, out, tmp_path):
    (tmp_path / "upper.py").write_text("import sys\nfor line in sys.stdin: sys.stdout.write(line.upper())\n")
    command = {"command": f"{sys.executable} {tmp_path / 'upper.py'}", "pairs": {"en-es": "eng-spa"}}
    log = tmp_path / "log"
    options = ["--rows", str(prepared()), "--out", str(out), "--log", str(log), "--spec"]
    found = run_program(*options, json.dumps(SPEC | {"translator": command}))
    assert found.returncode == 0, found.stderr
    assert re.search(r"^toy en-es: kept 4 of 4 rows \(markers 4\), given up: nothing; [\d,.]+ rows/s\n$", found.stderr)
    assert "rows/s" in log.read_text()
    absent = command | {"command": "no-such-program"}
    found = run_program(*options, json.dumps(SPEC | {"translator": absent}))
    assert found.returncode == 1
    assert "Traceback" not in found.stderr and "no-such-program is not installed" in found.stderr
    found = run_program(*options, json.dumps(SPEC | {"version": 0, "translator": command}))
    assert "expected version 1, found 0" in found.stderr
