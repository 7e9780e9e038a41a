"""Scores from prediction files, trivial baselines, and broken prediction files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from crosstune.core.errors import UserError
from crosstune.core.files import read_json, read_jsonl, write_jsonl
from crosstune.evaluation.baselines import score_baselines
from crosstune.evaluation.metrics import metric_named, tagging
from crosstune.evaluation.scoring import SCORE_VERSION, score_predictions

SCRIPTS = Path(__file__).parents[2] / "scripts"
ANSWER = {"id": "1", "prediction": "red car", "gold": ["the red car"]}


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, SCRIPTS / script, *arguments], capture_output=True, text=True, check=False)


def test_scores_come_with_their_examples(tmp_path):
    write_jsonl(tmp_path / "qen.jsonl", [ANSWER, {"id": "2", "prediction": "", "gold": ["blue"]}])
    write_jsonl(tmp_path / "qes.jsonl", [{"id": "1", "prediction": "x y", "gold": ["y"]}])
    scores, examples = score_predictions(tmp_path, "qa", "worldqa", ["qes", "qen"])
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
    scores, examples = score_predictions(tmp_path, "tagging", "worldpos", ["qen"])
    assert tagging.summarise(examples) == scores["languages"]["qen"]


def test_the_score_program_writes_scores_and_examples(tmp_path):
    write_jsonl(tmp_path / "predictions/qen.jsonl", [ANSWER])
    out = tmp_path / "scores/worldqa.json"
    done = run("score.py", "--task", "qa", "--dataset", "worldqa", "--predictions", tmp_path / "predictions",
               "--languages", "qen", "--out", out)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert read_json(out)["languages"] == {"qen": {"f1": 100, "exact_match": 100, "n": 1}}
    assert read_jsonl(tmp_path / "scores/worldqa.examples.jsonl") == [
        {"lang": "qen", "id": "1", "f1": 100, "exact_match": 100}
    ]


def test_the_score_program_names_missing_languages(tmp_path):
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
def test_broken_files_are_user_errors(tmp_path, content, message):
    path = tmp_path / "qen.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        score_predictions(tmp_path, "qa", "d", ["qen"])
    assert message in str(caught.value)
    assert str(path) in caught.value.where


def test_the_numbers_of_tags_and_tokens_must_be_equal(tmp_path):
    write_jsonl(tmp_path / "qen.jsonl", [{"id": "1", "prediction": ["NOUN"], "gold": ["NOUN", "VERB"]}])
    with pytest.raises(UserError, match="1 predicted tags for 2 tokens"):
        score_predictions(tmp_path, "tagging", "d", ["qen"])


def test_unicode_line_separators_do_not_end_a_line(tmp_path):
    write_jsonl(tmp_path / "qen.jsonl", [ANSWER | {"prediction": "red\u2028car\x85"}])
    scores, _ = score_predictions(tmp_path, "qa", "d", ["qen"])
    assert scores["languages"]["qen"]["exact_match"] == 100


def test_baselines_of_answers_are_empty_ones_and_contexts(tmp_path):
    answers = {"text": ["two"], "answer_start": [4]}
    path = tmp_path / "test.qen.jsonl"
    write_jsonl(path, [{"id": "1", "context": "one two three", "question": "?", "answers": answers}])
    baselines = score_baselines("qa", "worldqa", [path])["baselines"]
    assert baselines["empty"]["qen"] == {"f1": 0, "exact_match": 0, "n": 1}
    assert baselines["context"]["qen"] == {"f1": pytest.approx(50), "exact_match": 0, "n": 1}


def test_the_baseline_of_tags_is_the_most_frequent_one(tmp_path):
    test, train = tmp_path / "test.qen.jsonl", tmp_path / "train.qes.jsonl"
    write_jsonl(test, [{"id": "1", "tokens": ["a", "b", "c"], "tags": ["NOUN", "NOUN", "VERB"]}])
    write_jsonl(train, [{"id": "1", "tokens": ["a", "b"], "tags": ["VERB", "ADJ"]}])
    trained = score_baselines("tagging", "worldpos", [test], [train])["baselines"]["majority"]["qen"]
    untrained = score_baselines("tagging", "worldpos", [test])["baselines"]["majority"]["qen"]
    assert trained["accuracy"] == 0  # ADJ and VERB are as frequent: the first in the alphabet
    assert untrained["accuracy"] == pytest.approx(200 / 3)


def baseline_scores(folder: Path, task: str, rows: list[dict], training_rows: list[dict] | None = None) -> dict:
    """{baseline: primary number} of one language."""
    write_jsonl(folder / "test.th.jsonl", rows)
    write_jsonl(folder / "train.en.jsonl", training_rows or [])
    found = score_baselines(task, "d", [folder / "test.th.jsonl"], [folder / "train.en.jsonl"])["baselines"]
    return {name: languages["th"][metric_named(task).primary] for name, languages in found.items()}


def test_the_baseline_of_entities_finds_none(tmp_path):
    """The majority is O, which finds no entity; 3 of 4 tokens are right."""
    rows = [{"id": "1", "tokens": list("abcd"), "tags": ["O", "B-PER", "O", "O"]}]
    assert baseline_scores(tmp_path, "tagging", rows) == {"majority": 0}
    write_jsonl(tmp_path / "test.th.jsonl", rows)
    assert (
        score_baselines("tagging", "d", [tmp_path / "test.th.jsonl"])["baselines"]["majority"]["th"]["accuracy"] == 75
    )


def test_the_baseline_of_labels_is_the_most_frequent_one(tmp_path):
    rows = [{"id": str(n), "text": "ก", "pair": "ข", "label": label} for n, label in enumerate("nnec")]
    assert baseline_scores(tmp_path, "classification", rows) == {"majority": 50}
    trained = [{"id": "1", "text": "a", "pair": "b", "label": "e"}]
    assert baseline_scores(tmp_path, "classification", rows, trained) == {"majority": 25}


def test_the_baseline_of_choices_is_the_most_frequent_position(tmp_path):
    """A third choice, the most frequent in training, is none that the test rows have."""
    rows = [{"id": str(n), "choices": ["ก", "ข"], "label": label} for n, label in enumerate([0, 0, 0, 1])]
    assert baseline_scores(tmp_path, "choice", rows) == {"majority": 75}
    trained = [{"id": str(n), "choices": list("abc"), "label": label} for n, label in enumerate([2, 2, 1])]
    assert baseline_scores(tmp_path, "choice", rows, trained) == {"majority": 25}
    assert baseline_scores(tmp_path, "choice", rows, trained[:2]) == {"majority": 75}


def test_the_baseline_of_bitext_scores_as_chance_does(tmp_path):
    rows = [{"id": f"th:{n}", "text": "ก", "pair": "a"} for n in range(8)]
    assert baseline_scores(tmp_path, "bitext", rows) == {"first": 100 / 8}


def test_the_baseline_of_retrieval_ranks_the_first_candidates(tmp_path):
    """30 candidates; the answers are the 2nd and the 25th: 1/2, and 0 beyond 20."""
    candidates = [{"id": f"c{n}", "candidate": "ก", "context": "ข", "keys": [f"k{n}"]} for n in range(1, 31)]
    questions = [{"id": f"q{n}", "query": "?", "key": key} for n, key in enumerate(["k2", "k25"])]
    assert baseline_scores(tmp_path, "retrieval", [*questions[:1], *candidates, *questions[1:]]) == {"first": 25}
    with pytest.raises(UserError, match="2 questions have no answer among the candidates, such as that for 'k2'"):
        baseline_scores(tmp_path, "retrieval", questions)


def test_a_data_set_is_scored_by_its_own_metric(tmp_path):
    write_jsonl(tmp_path / "zh.jsonl", [{"id": "1", "prediction": "北京市", "gold": ["北京"]}])
    scores, _ = score_predictions(tmp_path, "qa", "mlqa", ["zh"], "mlqa")
    assert (scores["task"], scores["metric"]) == ("qa", "mlqa")
    assert scores["languages"]["zh"]["f1"] == pytest.approx(80)
    assert "metric" not in score_predictions(tmp_path, "qa", "xquad", ["zh"], "qa")[0]
    with pytest.raises(UserError, match="the metric MLQA F1 does not know 'th'"):
        score_predictions(tmp_path, "qa", "mlqa", ["th"], "mlqa")


def test_programs_take_the_metric(tmp_path):
    write_jsonl(tmp_path / "zh.jsonl", [{"id": "1", "prediction": "北京市", "gold": ["北京"]}])
    done = run("score.py", "--task", "qa", "--metric", "mlqa", "--dataset", "mlqa", "--predictions", tmp_path,
               "--languages", "zh", "--out", tmp_path / "scores.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert read_json(tmp_path / "scores.json")["languages"]["zh"]["f1"] == pytest.approx(80)
    row = {"id": "1", "context": "北京市", "question": "?", "answers": {"text": ["北京"], "answer_start": [0]}}
    write_jsonl(tmp_path / "test.zh.jsonl", [row])
    done = run("baselines.py", "--task", "qa", "--metric", "mlqa", "--dataset", "mlqa", "--data",
               tmp_path / "test.zh.jsonl", "--out", tmp_path / "baselines.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert read_json(tmp_path / "baselines.json")["baselines"]["context"]["zh"]["f1"] == pytest.approx(80)


def test_the_baselines_program_writes_scores(tmp_path):
    write_jsonl(tmp_path / "test.qen.jsonl", [{"id": "1", "tokens": ["a"], "tags": ["NOUN"]}])
    out = tmp_path / "baselines/worldpos.json"
    done = run("baselines.py", "--task", "tagging", "--dataset", "worldpos", "--data", tmp_path / "test.qen.jsonl",
               "--out", out)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert read_json(out)["baselines"]["majority"]["qen"]["accuracy"] == 100


def test_baselines_need_a_language_in_the_file_name(tmp_path):
    write_jsonl(tmp_path / "qen.jsonl", [{"id": "1", "tokens": ["a"], "tags": ["NOUN"]}])
    with pytest.raises(UserError, match="the name has no language"):
        score_baselines("tagging", "d", [tmp_path / "qen.jsonl"])


def test_scoring_imports_nothing_heavy():
    code = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import crosstune.evaluation.scoring; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "pandas", "torch", "transformers", "altair"} & set(loaded)
