"""Scores files from prediction files, the floor, and every way a prediction file can be broken."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from crosstune.errors import UserError
from crosstune.files import read_json, read_jsonl, write_jsonl
from crosstune.floor import floor
from crosstune.metrics import tagging
from crosstune.scoring import SCORE_VERSION, score

SCRIPTS = Path(__file__).parents[2] / "scripts"
ANSWER = {"id": "1", "prediction": "red car", "gold": ["the red car"]}


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, SCRIPTS / script, *arguments], capture_output=True, text=True, check=False)


def test_scores_and_examples(tmp_path):
    write_jsonl(tmp_path / "qen.jsonl", [ANSWER, {"id": "2", "prediction": "", "gold": ["blue"]}])
    write_jsonl(tmp_path / "qes.jsonl", [{"id": "1", "prediction": "x y", "gold": ["y"]}])
    scores, examples = score(tmp_path, "qa", "worldqa", ["qes", "qen"])
    assert scores == {
        "dataset": "worldqa",
        "task": "qa",
        "score_version": SCORE_VERSION,
        "languages": {
            "qes": {"f1": pytest.approx(200 / 3), "exact_match": 0, "n": 1},
            "qen": {"f1": 50, "exact_match": 50, "n": 2},
        },
    }
    assert [(example["lang"], example["id"]) for example in examples] == [("qes", "1"), ("qen", "1"), ("qen", "2")]


def test_corpus_scores_follow_from_the_examples(tmp_path):
    rows = [
        {"id": "1", "prediction": ["NOUN", "VERB", "X"], "gold": ["NOUN", "NOUN", "X"]},
        {"id": "2", "prediction": ["X", "ADJ"], "gold": ["X", "ADJ"]},
    ]
    write_jsonl(tmp_path / "qen.jsonl", rows)
    scores, examples = score(tmp_path, "tagging", "worldpos", ["qen"])
    assert tagging.summarise(examples) == scores["languages"]["qen"]


def test_program(tmp_path):
    write_jsonl(tmp_path / "predictions/qen.jsonl", [ANSWER])
    out = tmp_path / "scores/worldqa.json"
    done = run("score.py", "--task", "qa", "--dataset", "worldqa", "--predictions", tmp_path / "predictions",
               "--languages", "qen", "--out", out)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert read_json(out)["languages"] == {"qen": {"f1": 100, "exact_match": 100, "n": 1}}
    assert read_jsonl(tmp_path / "scores/worldqa.examples.jsonl") == [
        {"lang": "qen", "id": "1", "f1": 100, "exact_match": 100}
    ]


def test_program_names_the_missing_language(tmp_path):
    write_jsonl(tmp_path / "qen.jsonl", [ANSWER])
    done = run("score.py", "--task", "qa", "--dataset", "d", "--predictions", tmp_path,
               "--languages", "qen", "qes", "qfr", "--out", tmp_path / "out.json")  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path}: no predictions for qes, qfr")
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ":1: an empty line"),
        (json.dumps(ANSWER) + "\n\n", ":2: an empty line"),
        (json.dumps(ANSWER) + "\n" + json.dumps(ANSWER)[:20], ":2: not a line of JSON"),
        ("[]\n", ":1: a line must be a mapping"),
        ('{"id": 1, "prediction": "a", "gold": ["a"]}\n', ':1: a line must be a mapping with a text "id"'),
        ('{"id": "1", "prediction": null, "gold": ["a"]}\n', ':1: "prediction" must be a text'),
        ('{"id": "1", "prediction": "a", "gold": []}\n', ':1: "gold" must be a list'),
        (2 * (json.dumps(ANSWER) + "\n"), ":2: the id '1' is also on line 1"),
        (b"\xff\n", "not UTF-8"),
    ],
)
def test_broken_files(tmp_path, content, message):
    path = tmp_path / "qen.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        score(tmp_path, "qa", "d", ["qen"])
    assert message in str(caught.value)
    assert str(path) in caught.value.place


def test_tags_and_tokens_must_be_as_many(tmp_path):
    write_jsonl(tmp_path / "qen.jsonl", [{"id": "1", "prediction": ["NOUN"], "gold": ["NOUN", "VERB"]}])
    with pytest.raises(UserError, match="1 predicted tags for 2 tokens"):
        score(tmp_path, "tagging", "d", ["qen"])


def test_unicode_line_separators_do_not_end_a_line(tmp_path):
    write_jsonl(tmp_path / "qen.jsonl", [ANSWER | {"prediction": "red\u2028car\x85"}])
    scores, _ = score(tmp_path, "qa", "d", ["qen"])
    assert scores["languages"]["qen"]["exact_match"] == 100


def test_floor_of_answers(tmp_path):
    answers = {"text": ["two"], "answer_start": [4]}
    path = tmp_path / "test.qen.jsonl"
    write_jsonl(path, [{"id": "1", "context": "one two three", "question": "?", "answers": answers}])
    baselines = floor("qa", "worldqa", [path])["baselines"]
    assert baselines["empty"]["qen"] == {"f1": 0, "exact_match": 0, "n": 1}
    assert baselines["context"]["qen"] == {"f1": pytest.approx(50), "exact_match": 0, "n": 1}


def test_floor_of_tags(tmp_path):
    test, train = tmp_path / "test.qen.jsonl", tmp_path / "train.qes.jsonl"
    write_jsonl(test, [{"id": "1", "tokens": ["a", "b", "c"], "tags": ["NOUN", "NOUN", "VERB"]}])
    write_jsonl(train, [{"id": "1", "tokens": ["a", "b"], "tags": ["VERB", "ADJ"]}])
    trained = floor("tagging", "worldpos", [test], [train])["baselines"]["majority"]["qen"]
    untrained = floor("tagging", "worldpos", [test])["baselines"]["majority"]["qen"]
    assert trained["accuracy"] == 0  # ADJ and VERB are as frequent: the first in the alphabet
    assert untrained["accuracy"] == pytest.approx(200 / 3)


def test_floor_program(tmp_path):
    write_jsonl(tmp_path / "test.qen.jsonl", [{"id": "1", "tokens": ["a"], "tags": ["NOUN"]}])
    out = tmp_path / "floor/worldpos.json"
    done = run("floor.py", "--task", "tagging", "--dataset", "worldpos", "--data", tmp_path / "test.qen.jsonl",
               "--out", out)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert read_json(out)["baselines"]["majority"]["qen"]["accuracy"] == 100


def test_floor_needs_a_language_in_the_name(tmp_path):
    write_jsonl(tmp_path / "qen.jsonl", [{"id": "1", "tokens": ["a"], "tags": ["NOUN"]}])
    with pytest.raises(UserError, match="the name tells no language"):
        floor("tagging", "d", [tmp_path / "qen.jsonl"])


def test_scoring_imports_nothing_heavy():
    code = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import crosstune.scoring; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "pandas", "torch", "transformers", "altair"} & set(loaded)
