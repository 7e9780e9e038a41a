"""Files in the formats of XTREME-R: scores, missing and unexpected examples, broken files."""

import json
import lzma
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.xtreme_rows import rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.core.errors import UserError
from crosstune.core.files import read_text
from crosstune.evaluation.metrics import METRICS, XTREME_R
from crosstune.evaluation.xtreme_files import FORMATS, query_order, score_files

SCRIPTS = Path(__file__).parents[2] / "scripts"


def write(path: Path, content: object) -> Path:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")
    return path


def scored(folder: Path, task: str, lang: str, gold: object, predictions: object) -> dict:
    return score_files(task, lang, write(folder / "gold", gold), write(folder / "predictions", predictions))


def squad(**answers: list[str]) -> dict:
    questions = [{"id": name, "answers": [{"text": text} for text in texts]} for name, texts in answers.items()]
    return {"version": "1.1", "data": [{"paragraphs": [{"context": "c", "qas": questions}]}]}


class TestAnswers:
    GOLD = squad(one=["مدينة كبيرة"], two=["the"], three=["نعم", "بلى"], four=["北京"])

    def test_unanswered_questions_count_as_0(self, tmp_path):
        found = scored(tmp_path, "xquad", "ar", self.GOLD, {"one": "مدينة", "three": "بلى", "five": "?"})
        # one: 1 of 1 predicted, 1 of 2 gold words, 2/3; three: 1; two and four 0. An empty answer to "two" would match.
        assert found == {
            "task": "xquad",
            "lang": "ar",
            "scores": {"f1": pytest.approx(100 * (2 / 3 + 1) / 4), "exact_match": 25, "n": 4},
            "missing": ["two", "four"],
            "unexpected": ["five"],
        }
        answered = scored(tmp_path, "xquad", "ar", self.GOLD, {"one": "مدينة", "two": "", "three": "بلى"})
        assert answered["scores"]["exact_match"] == 50

    def test_a_file_without_answers_scores_0(self, tmp_path):
        scores = scored(tmp_path, "tydiqa", "te", self.GOLD, {})["scores"]
        assert scores == {"f1": 0, "exact_match": 0, "n": 4}

    def test_mlqa_is_scored_by_its_own_script(self, tmp_path):
        gold, predictions = squad(one=["北京"]), {"one": "北京市"}
        assert scored(tmp_path, "mlqa", "zh", gold, predictions)["scores"]["f1"] == pytest.approx(80)
        assert scored(tmp_path, "xquad", "zh", gold, predictions)["scores"]["f1"] == 0
        with pytest.raises(UserError, match="--lang th: the metric MLQA F1 does not know 'th'"):
            scored(tmp_path, "mlqa", "th", gold, predictions)

    def test_data_alone_and_compressed_files_are_read(self, tmp_path):
        (tmp_path / "gold.json.xz").write_bytes(lzma.compress(json.dumps(squad(one=["தமிழ்"])["data"]).encode()))
        predictions = write(tmp_path / "test-ta.json", {"one": "தமிழ்"})
        assert score_files("xquad", "ta", tmp_path / "gold.json.xz", predictions)["scores"]["f1"] == 100

    @pytest.mark.parametrize(
        ("gold", "predictions", "place", "message"),
        [
            (GOLD, '{"one": "a",\n "two": 2}', "predictions:2", "of question ids to texts, found 2"),
            (GOLD, '{"one": "a",\n "two"}', "predictions:2", "not valid JSON"),
            (GOLD, "[]", "predictions:1", "expected a JSON mapping of question ids to texts"),
            ({"data": [{"qas": []}]}, "{}", "gold:1", "not in the shape of SQuAD"),
            ({"data": [{"paragraphs": [{"qas": [{"id": [], "answers": []}]}]}]}, "{}", "gold:1", "the shape of SQuAD"),
            (squad(one=[1]), "{}", "gold:1", "not in the shape of SQuAD"),
            (squad(one=[]), "{}", "gold:1", "the question 'one' has no answer"),
            ({"data": squad(one=["a"])["data"] * 2}, "{}", "gold:1", "the question 'one' occurs twice"),
            ({"data": []}, "{}", "gold", "the file holds no examples"),
        ],
    )
    def test_broken_files_are_user_errors(self, tmp_path, gold, predictions, place, message):
        with pytest.raises(UserError, match=message) as caught:
            scored(tmp_path, "xquad", "ar", gold, predictions)
        assert caught.value.where == str(tmp_path / place)


class TestLabels:
    PREDICTED = "neutral\nentailment\nneutral\n"
    TABLE = (
        "language\tgold_label\tsentence1\nsw\tneutral\ta\nth\tneutral\tb\nth\tcontradictory\tc\nth\tneutral\td\n"
        "ur\tentailment\te\n"
    )

    @pytest.mark.parametrize(
        "gold",
        [
            "neutral\ncontradiction\nneutral\n",
            "ข้อ\tสอง\tneutral\nก\tข\tcontradictory\nค\tง\tneutral\n",
            TABLE,
        ],
    )
    def test_xnli_is_read_in_all_its_formats(self, tmp_path, gold):
        found = scored(tmp_path, "xnli", "th", gold, self.PREDICTED)
        assert found["scores"] == {"accuracy": pytest.approx(200 / 3), "n": 3}
        assert (found["missing"], found["unexpected"]) == ([], [])

    def test_xcopa_is_scored_by_accuracy(self, tmp_path):
        gold = '{"premise": "ปลวกกินบ้าน", "label": 1}\n{"label": 0}\n{"label": 1}\n{"label": 1}\n'
        predictions = '{"label": 1}\n{"label": 1}\n{"label": 1}\n{"label": 0, "idx": 3}\n'
        assert scored(tmp_path, "xcopa", "th", gold, predictions)["scores"] == {"accuracy": 50, "n": 4}

    @pytest.mark.parametrize(
        ("task", "gold", "predictions", "place", "message"),
        [
            ("xnli", "neutral\nneutral\n", "neutral\n", "predictions:1", "1 predictions end here, .* has 2 examples"),
            ("xnli", "neutral\n", "neutral\nneutral\n", "predictions:2", "2 predictions end here, .* has 1 examples"),
            ("xnli", "neutral\n", "Neutral\n", "predictions:1", "unknown label 'Neutral'"),
            ("xnli", "neutral\nneutral\n", "neutral\n\nneutral\n", "predictions:2", "an empty line"),
            ("xnli", "neutral\n-\n", "neutral\nneutral\n", "gold:2", "unknown label '-'"),
            ("xnli", TABLE.replace("th\t", "bg\t"), "neutral\n", "gold", "the file holds no examples"),
            ("xnli", "language\tgold_label\nth\n", "neutral\n", "gold:2", "expected 2 columns or more, found 1"),
            ("xcopa", '{"label": 1}\n', '{"label": "1"}\n', "predictions:1", 'a whole number "label"'),
            ("xcopa", '{"label": 1}\n', '{"label": true}\n', "predictions:1", 'a whole number "label"'),
            ("xcopa", '{"label": 1}\n{"label"\n', '{"label": 1}\n', "gold:2", "not valid JSON"),
            ("xcopa", '{"label": 1}\n', "1\n", "predictions:1", 'a whole number "label"'),
        ],
    )
    def test_broken_files_are_user_errors(self, tmp_path, task, gold, predictions, place, message):
        with pytest.raises(UserError, match=message) as caught:
            scored(tmp_path, task, "th", gold, predictions)
        assert caught.value.where == str(tmp_path / place)


class TestTags:
    @pytest.mark.parametrize(
        "gold",
        ["B-PER\nI-PER\nO\n\nO\nB-LOC\n", "ta:அ\tB-PER\nta:ஆ\tI-PER\nta:இ\tO\n\nta:ஈ\tO\nta:உ\tB-LOC\n\n\n"],
    )
    def test_panx_is_scored_by_chunks(self, tmp_path, gold):
        found = scored(tmp_path, "panx", "ta", gold, "B-PER\nI-PER\nO\n\nB-LOC\nI-LOC\n")
        # 2 gold entities, 2 predicted, 1 correct: 2 * 1 / 4. 3 of 5 tags.
        assert found["scores"] == {"f1": 50, "accuracy": 60, "n": 2, "precision": 50, "recall": 50}

    def test_udpos_is_read_from_a_published_treebank(self, tmp_path):
        gold = tmp_path / "hi_hdtb-ud-test.conllu"
        word = "{0}\tशब्द\t_\t{1}\t_\t_\t{2}\tdep\t_\t_\n"
        write(gold, "# sent_id = 1\n" + word.format(1, "NOUN", 2) + word.format(2, "VERB", 0) + "\n")
        predictions = write(tmp_path / "test-hi.tsv", "NOUN\nADJ\n")
        assert score_files("udpos", "hi", gold, predictions)["scores"] == {
            "f1": 50, "accuracy": 50, "n": 1, "precision": 50, "recall": 50,
        }  # fmt: skip

    @pytest.mark.parametrize("gold", ["a B-PER\nb I-PER\n\nc  O\n", "a _ B-PER\nb _ I-PER\n\nc _ O\n"])
    def test_a_gold_file_with_spaces_is_read_as_one_with_tabs(self, tmp_path, gold):
        found = scored(tmp_path, "panx", "ta", gold, "B-PER\nI-PER\n\nB-LOC\n")
        # 1 gold entity, 2 predicted, 1 correct: precision 1 / 2, recall 1, F1 2 * 1 / 3. 2 of 3 tags.
        assert found["scores"] == pytest.approx(
            {"f1": 200 / 3, "accuracy": 200 / 3, "n": 2, "precision": 50, "recall": 100}
        )

    @pytest.mark.parametrize(
        ("gold", "line"),
        [("a B-PER\nI-PER\n", 2), ("a\tB-PER\nb I-PER\n", 2), ("a\tB PER\n", 1), ("a B-PER\n\nb\tO\n", 1)],
    )
    def test_a_gold_file_in_mixed_columns_is_refused_with_its_line(self, tmp_path, gold, line):
        with pytest.raises(UserError, match="expected a tag in the last of") as caught:
            scored(tmp_path, "panx", "ta", gold, "O\nO\n")
        assert caught.value.where == f"{tmp_path / 'gold'}:{line}"

    @pytest.mark.parametrize(
        ("predictions", "place", "message"),
        [
            ("NOUN\n\nNOUN\nNOUN\n", "predictions:3", "2 predicted tags for 1 tokens"),
            ("NOUN\n", "predictions:1", "1 predictions end here, .* has 2 examples"),
            ("\n", "predictions:1", "0 predictions end here"),
            ("word\tNOUN\n\nword\t\n", "predictions:3", "must be a list of one or more tags"),
        ],
    )
    def test_broken_files_are_user_errors(self, tmp_path, predictions, place, message):
        with pytest.raises(UserError, match=message) as caught:
            scored(tmp_path, "udpos", "th", "NOUN\n\nVERB\n", predictions)
        assert caught.value.where == str(tmp_path / place)


class TestTatoeba:
    def test_indices_are_compared_line_by_line(self, tmp_path):
        found = scored(tmp_path, "tatoeba", "ta", "2\n0\n1\n", "2\n1\n1\n")
        assert found["scores"] == {"accuracy": pytest.approx(200 / 3), "n": 3}

    def test_the_published_english_side_is_gold(self, tmp_path):
        """XTREME sorts the English sentences; the k-th of the sorted ones is found at its line, counted from 0."""
        english = "We go.\nAll fall.\nThey sit.\n"  # sorted: All (1), They (2), We (0)
        assert scored(tmp_path, "tatoeba", "ta", english, "1\n2\n0\n")["scores"]["accuracy"] == 100
        assert scored(tmp_path, "tatoeba", "ta", english, "0\n1\n2\n")["scores"]["accuracy"] == 0

    @given(st.lists(st.text()))
    def test_every_sentence_is_a_query_once(self, english):
        order = query_order(english)
        assert sorted(order) == list(range(len(english)))
        assert [english[index].strip() for index in order] == sorted(text.strip() for text in english)

    def test_broken_files_are_user_errors(self, tmp_path):
        with pytest.raises(UserError, match="expected the number of a sentence, found '-1'") as caught:
            scored(tmp_path, "tatoeba", "ta", "0\n1\n", "0\n-1\n")
        assert caught.value.where == str(tmp_path / "predictions:2")


class TestRankings:
    def test_mewslix_is_scored_by_its_ranking(self, tmp_path):
        gold = {"m1": ["Q1"], "m2": ["Q2"], "m3": ["Q3"], "m4": ["Q4"]}
        predictions = {"m1": ["Q1", "Q2"], "m2": ["Q1", "Q3", "Q5", "Q2"], "m3": [], "m9": ["Q9"]}
        found = scored(tmp_path, "mewslix", "ta", gold, predictions)
        assert found["scores"] == {"map20": pytest.approx(100 * (1 + 1 / 4) / 4), "n": 4}
        assert (found["missing"], found["unexpected"]) == (["m4"], ["m9"])

    def test_mewslix_is_read_as_published(self, tmp_path):
        contexts = [
            {"context": {"text": "அ"}, "mentions": [{"example_id": "m1", "entity_id": "Q1"}]},
            {"context": {}, "mentions": [{"example_id": name, "entity_id": "Q2"} for name in ("m2", "m3")]},
        ]
        gold = "".join(json.dumps(context) + "\n" for context in contexts)
        found = scored(tmp_path, "mewslix", "ta", gold, {"m1": ["Q1"], "m2": ["Q7", "Q2"], "m3": ["Q1"]})
        assert found["scores"] == {"map20": pytest.approx(100 * (1 + 1 / 2) / 3), "n": 3}

    def test_lareqa_is_scored_by_its_ranking(self, tmp_path):
        relevant = [f"c{number}" for number in range(11)]
        ranking = ["x", *relevant[:2]]  # precisions 1/2 and 2/3 of 11 possible
        found = scored(tmp_path, "lareqa", "ar", {"q1": relevant, "q2": ["c1"]}, {"q1": ranking, "q2": ["c1"]})
        assert found["scores"] == {"map20": pytest.approx(100 * ((1 / 2 + 2 / 3) / 11 + 1) / 2), "n": 2}

    def test_lareqa_is_read_as_published(self, tmp_path):
        """Two languages; the second sentence of the second paragraph answers q2, and English says it twice."""

        def paragraph(question: str, answer: int, sentences: list[str]) -> dict:
            ends = [len("".join(sentences[: number + 1])) for number in range(len(sentences))]
            begins = [0, *ends[:-1]]
            answers = [{"answer_start": begins[answer] + 1, "text": "x"}]
            return {
                "context": "".join(sentences),
                "sentence_breaks": list(zip(begins, ends, strict=True)),
                "qas": [{"id": question, "answers": answers}],
            }

        def published(*paragraphs: dict) -> str:
            return json.dumps({"data": [{"paragraphs": [paragraph]} for paragraph in paragraphs]})

        english = published(paragraph("q1", 0, ["One. "]), paragraph("q2", 1, ["Two. ", "Six. ", "Six. "]))
        thai = published(paragraph("q1", 0, ["หนึ่ง "]), paragraph("q2", 1, ["สอง ", "หก "]))
        folder = tmp_path / "xquad-r"
        folder.mkdir()
        write(folder / "en.json", english)
        (folder / "th.json.xz").write_bytes(lzma.compress(thai.encode()))
        predictions = write(
            tmp_path / "test-th.json",
            {"q1_th": ["th_1_0", "en_1_0"], "q2_th": ["en_2_2", "en_2_0", "en_2_1"], "q2_en": []},
        )
        found = score_files("lareqa", "th", folder, predictions)
        # q2: relevant en_2_1, en_2_2, th_2_1; found at ranks 1 and 3: (1/1 + 2/3) / 3.
        assert found["scores"] == {"map20": pytest.approx(100 * (1 + (1 + 2 / 3) / 3) / 2), "n": 2}
        assert (found["missing"], found["unexpected"]) == ([], ["q2_en"])

    @pytest.mark.parametrize(
        ("task", "gold", "predictions", "place", "message"),
        [
            ("mewslix", {"m1": ["Q1"]}, '{"m0": [],\n"m1": "Q1"}', "predictions:2", "lists of candidates' ids, found"),
            ("mewslix", '{\n"m1": ["Q1", "Q2"]}', {}, "gold:2", "a mention of Mewsli-X has one entity"),
            ("mewslix", '{"mentions": []}\n{"x": 1}\n', {}, "gold:2", "not a context of Mewsli-X"),
            (
                "mewslix",
                '{"mentions": [{"example_id": 1, "entity_id": "Q1"}]}',
                {},
                "gold:1",
                "not a context of Mewsli-X",
            ),
            ("lareqa", {"q1": []}, {}, "gold:1", "lists of relevant ids"),
            ("lareqa", {}, {}, "gold", "the file holds no examples"),
        ],
    )
    def test_broken_files_are_user_errors(self, tmp_path, task, gold, predictions, place, message):
        with pytest.raises(UserError, match=message) as caught:
            scored(tmp_path, task, "ta", gold, predictions)
        assert caught.value.where == str(tmp_path / place)


@pytest.mark.parametrize("task", XTREME_R)
def test_written_files_score_like_their_rows(tmp_path, task):
    form, metric, rows = FORMATS[task], METRICS[XTREME_R[task]], rows_of(task)
    gold = write(tmp_path / f"labels.{form.suffix}", form.write_labels(rows))
    predictions = write(tmp_path / f"predictions.{form.suffix}", form.write_predictions(rows))
    found = score_files(task, "zh", gold, predictions)
    examples = metric.measure(rows, "zh")
    expected = metric.summarise(examples) | metric.details(examples)
    assert found["scores"] == {key: pytest.approx(value) for key, value in expected.items()}
    assert 0 < expected[metric.primary] < 100
    assert (found["missing"], found["unexpected"]) == ([], [])


NAMES = st.text(min_size=1, max_size=8)
VALUES = {
    "xnli": st.sampled_from(["contradiction", "entailment", "neutral"]),
    "xcopa": st.integers(),
    "panx": st.lists(st.sampled_from(["O", "B-PER", "I-PER"]), min_size=1),
    "xquad": st.text(),
    "mewslix": st.lists(NAMES, min_size=1, max_size=1),
    "lareqa": st.lists(NAMES, min_size=1),
}


@pytest.mark.parametrize("task", VALUES)
@settings(max_examples=40)
@given(st.data())
def test_written_files_are_read_unchanged(tmp_path_factory, task, data):
    """Any text survives, with quotes, line separators and delimiters of the format."""
    form, folder = FORMATS[task], tmp_path_factory.getbasetemp()
    values = data.draw(st.dictionaries(NAMES, st.tuples(VALUES[task], VALUES[task]), min_size=1))
    rows = [{"id": name, "prediction": given, "gold": gold} for name, (given, gold) in values.items()]
    if task == "xquad":
        rows = [row | {"gold": [row["gold"], "x"]} for row in rows]
    predictions = form.predictions(write(folder / "predictions", form.write_predictions(rows)))
    gold = form.gold(write(folder / "gold", form.write_labels(rows)), "en")
    assert [entry.value for entry in predictions.values()] == [row["prediction"] for row in rows]
    assert [entry.value for entry in gold.values()] == [row["gold"] for row in rows]
    if not form.aligned:
        assert list(predictions) == list(gold) == list(values)


def read_in_every_format(path):
    for form in FORMATS.values():
        for parse in (form.predictions, lambda path, form=form: form.gold(path, "en")):
            try:
                parse(path)
            except UserError as error:
                assert error.where.startswith(str(path))


@settings(max_examples=40)
@given(st.text(max_size=60))
def test_any_text_is_a_file_or_one_message(tmp_path_factory, text):
    read_in_every_format(write(tmp_path_factory.getbasetemp() / "any", text))


KEYS = st.sampled_from(["data", "paragraphs", "qas", "id", "answers", "text", "mentions", "label"])
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(KEYS, part, max_size=3),
    max_leaves=12,
)


@settings(max_examples=40)
@given(JSON)
def test_any_json_is_a_file_or_one_message(tmp_path_factory, content):
    read_in_every_format(write(tmp_path_factory.getbasetemp() / "any", json.dumps(content)))


def test_submission_files_are_those_of_xtreme():
    """The files are like those in XTREME's folder mock_test_data, and for XCOPA as `read_xcopa` expects."""
    written = {task: FORMATS[task].write_predictions(rows_of(task)) for task in XTREME_R}
    assert written["xnli"] == "neutral\nentailment\n"
    assert written["xcopa"] == '{"label": 0}\n{"label": 1}\n'
    assert written["panx"] == "B-PER\nO\n\nB-LOC\n"
    # The queries are apple (line 1), mouse (2), zebra (0); their predictions ta:1, ta:2, ta:1 are the lines 0, 1, 0.
    assert written["tatoeba"] == "0\n1\n0\n"
    assert FORMATS["tatoeba"].write_labels(rows_of("tatoeba")) == "1\n2\n0\n"
    assert json.loads(written["mewslix"]) == {"m1": ["Q2", "Q1"], "m2": []}
    assert json.loads(written["mlqa"]) == {"1": "的北京", "2": ""}


def run(*arguments: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, SCRIPTS / "score.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_program_prints_scores(tmp_path):
    gold = write(tmp_path / "xquad.th.json", squad(one=["กรุงเทพ"], two=["ใช่"]))
    predictions = write(tmp_path / "test-th.json", {"one": "กรุงเทพ"})
    done = run("--task", "xquad", "--lang", "th", "--gold", gold, "--predictions", predictions)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "task": "xquad",
        "lang": "th",
        "scores": {"f1": 50, "exact_match": 50, "n": 2},
        "missing": ["two"],
        "unexpected": [],
    }


def test_the_program_reports_a_mistake_in_one_message(tmp_path):
    gold = write(tmp_path / "gold.tsv", "neutral\n")
    done = run("--task", "xnli", "--lang", "th", "--gold", gold, "--predictions", tmp_path / "nothing.tsv")
    assert (done.returncode, done.stderr) == (1, f"error: {tmp_path / 'nothing.tsv'}: no such file\n")
    done = run("--task", "xnli", "--gold", gold, "--predictions", gold)
    assert done.returncode == 2
    assert "the following arguments are required: --lang" in done.stderr
    done = run("--task", "qa", "--predictions", tmp_path)
    assert "the following arguments are required: --dataset, --languages, --out" in done.stderr
    done = run("--task", "qa", "--lang", "th", "--gold", gold, "--predictions", gold)
    assert "--gold is for the tasks xnli, xcopa" in done.stderr


def test_published_files_are_read(bundle, tmp_path):
    """Gold as its own prediction is right in everything; XQuAD-R has 11 relevant sentences a question or a few more."""
    path = bundle / "qa/mlqa_dev/dev-context-hi-question-hi.json.xz"
    questions = [
        question
        for article in json.loads(read_text(path))["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]
    answers = write(tmp_path / "hi.json", {question["id"]: question["answers"][0]["text"] for question in questions})
    found = score_files("mlqa", "hi", path, answers)
    assert found["scores"] == {"f1": 100, "exact_match": 100, "n": 507}
    tags = bundle / "ner_panx/dev-qu.tsv.xz"
    assert score_files("panx", "qu", tags, tags)["scores"]["f1"] == 100
    choices = bundle / "xcopa/test.ta.jsonl.xz"
    assert score_files("xcopa", "ta", choices, choices)["scores"] == {"accuracy": 100, "n": 500}
    pooled = FORMATS["lareqa"].gold(bundle / "lareqa_xquad_r", "th")
    assert len(pooled) == 1190
    assert all(len(entry.value) >= 11 for entry in pooled.values())
