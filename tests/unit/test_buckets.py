"""Attributes of examples, and the difference between two schedules by bucket of examples."""

from pathlib import Path

import numpy as np
import pytest
from helpers.study_config import study as planned
from helpers.study_results import PLAN
from hypothesis import given
from hypothesis import strategies as st

from crosstune.analysis.buckets import BucketedLanguage, bucket_names, find_buckets, with_holm
from crosstune.analysis.contrasts import LanguageScores
from crosstune.analysis.results import Panel, StudyResults
from crosstune.core.errors import UserError
from crosstune.data.attributes import attribute_names, entities, question_word, row_attributes, scripts, words
from crosstune.reporting.figures.buckets import bucket_row, buckets_figure
from crosstune.reporting.tables.buckets import FIELDS, bucket_table
from crosstune.study.plan import plan_of
from crosstune.study.targets import bucket_files

ENTRY = {
    "name": "where", "a": "sequential", "b": "joint", "bins": 4, "confidence": 0.95,
    "panels": [{"track": "qa", "dataset": "worldqa", "metric": "f1"}],
}  # fmt: skip


def panel(**plan) -> Panel:
    """The panel of ENTRY, in a study with these keys in its plan."""
    return Panel(StudyResults(PLAN | plan, {}, {}), "tiny", "qa", "worldqa")


def question(text: str, context: str, answer: str) -> dict:
    answers = {"text": [answer], "answer_start": [context.index(answer)]}
    return {"id": "1", "context": context, "question": text, "answers": answers}


class TestAttributes:
    def test_of_a_question_by_hand(self):
        row = question("Who saw the red house?", "A dog saw the house.", "dog")
        found = {name: value["1"] for name, value in row_attributes("qa", [row], "en").items()}
        assert found == {
            "context_length": 20, "question_length": 22, "answer_length": 3, "answer_place": 0.1,
            "shared_words": pytest.approx(3 / 5), "question_word": "who", "answer_seen": "new", "scripts": "one script",
        }  # fmt: skip
        seen = row_attributes("qa", [row], "en", [question("?", "The Dog", "Dog")])
        assert seen["answer_seen"] == {"1": "seen"}

    def test_of_a_tagged_sentence_by_hand(self):
        row = {"id": "1", "tokens": ["St.", "Ives", "met", "Bo"], "tags": ["B-LOC", "I-LOC", "O", "B-PER"]}
        values = row_attributes("tagging", [row], "en", [row | {"id": "2"}])
        assert {name: value["1"] for name, value in values.items()} == {
            "sentence_length": 4, "entities": "2", "longest_entity": "2", "entity_types": "LOC+PER",
            "entities_seen": "all seen", "scripts": "one script",
        }  # fmt: skip
        assert row_attributes("tagging", [row], "en")["entities_seen"] == {"1": "some new"}
        parts_of_speech = {"id": "1", "tokens": ["a"], "tags": ["NOUN"]}
        assert list(row_attributes("tagging", [parts_of_speech], "en")) == ["sentence_length", "scripts"]

    def test_of_a_pair_by_hand(self):
        row = {"id": "1", "text": "a dog ran", "pair": "a cat ran", "label": "neutral"}
        found = {name: value["1"] for name, value in row_attributes("classification", [row], "en").items()}
        assert found["shared_words"] == pytest.approx(2 / 3) and found["label"] == "neutral"

    @pytest.mark.parametrize(
        ("lang", "text", "asks"),
        [
            ("en", "In which year, and how many?", "how many"),
            ("en", "Name the river.", "other"),
            ("en", "Whatever is left?", "other"),
            ("es", "¿A quién vio?", "who"),
            ("fr", "De quelle couleur est-il ?", "which"),
            ("de", "Wie viele sind es?", "how many"),
        ],
    )
    def test_question_words(self, lang, text, asks):
        assert question_word(text, lang) == asks

    def test_a_language_without_a_list_has_no_question_words(self):
        row = question("कौन?", "राम", "राम")
        assert "question_word" not in row_attributes("qa", [row], "hi")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [("ab1", "one script"), ("ab где", "several scripts"), ("12", "no letters"), ("東京タワーの", "one script")],
    )
    def test_scripts(self, text, expected):
        assert scripts(text) == expected

    @pytest.mark.parametrize(
        ("tags", "expected"),
        [
            ("B-A I-A O", [("A", 0, 2)]),
            ("I-A I-B", [("A", 0, 1), ("B", 1, 2)]),
            ("B-A B-A", [("A", 0, 1), ("A", 1, 2)]),
            ("O O", []),
        ],
    )
    def test_entities(self, tags, expected):
        assert entities(tags.split()) == expected

    def test_words_of_scripts_without_spaces_are_characters(self):
        assert words("It's 東京!") == ["it", "s", "東", "京"]

    @given(st.text(max_size=40), st.text(min_size=1, max_size=40))
    def test_any_text_has_all_attributes(self, text, context):
        row = {"id": "1", "context": context, "question": text, "answers": {"text": [context[:1]], "answer_start": [0]}}
        assert list(row_attributes("qa", [row], "en")) == attribute_names("qa")


class TestNames:
    def test_numbers_fall_into_equal_parts_of_the_language(self):
        names = bucket_names({str(n): float(n) for n in range(8)}, list("76543210"), 4)
        assert names == ["4 of 4", "4 of 4", "3 of 4", "3 of 4", "2 of 4", "2 of 4", "1 of 4", "1 of 4"]

    def test_equal_numbers_share_a_part(self):
        assert bucket_names(dict.fromkeys("abcd", 1.0), list("abcd"), 4) == ["1 of 4"] * 4

    def test_an_example_without_a_row_is_a_fault(self):
        with pytest.raises(UserError, match="the scored example 'b' has no prepared row"):
            bucket_names({"a": 1.0}, ["b"], 4)


def language(name: str, scores: np.ndarray, buckets: dict) -> BucketedLanguage:
    """A language with scores (2, seeds, examples)."""
    keys = tuple(f"{name}{n}" for n in range(scores.shape[-1]))
    return BucketedLanguage(LanguageScores(name, name, name, 1.0, keys, scores, np.ones_like(scores)), buckets)


def draw_languages(rng, effect: float, seeds: int = 4, examples: int = 120) -> list[BucketedLanguage]:
    """Three languages with right and wrong answers, and two attributes of random buckets. `effect`: how much more often
    (0 to 1) schedule a is right in the bucket `x` of the first one."""
    languages = []
    for name in "pqr":
        first, second = (rng.choice(list(letters), examples) for letters in ("xyz", "uvw"))
        ease = rng.normal(0, 0.2, examples) + 0.5
        chance = np.stack([ease + effect * (first == "x"), ease])[:, None] + rng.normal(0, 0.03, (2, seeds, 1))
        scores = 100.0 * (rng.random((2, seeds, examples)) < chance)
        languages.append(language(name, scores, {"one": first.tolist(), "two": second.tolist()}))
    return languages


class TestBuckets:
    def test_by_hand(self):
        """20 examples, of which 10 are long; a is right in all long ones, b in none, and both in no short one."""
        long = np.repeat([True, False], 10)
        scores = np.stack([np.tile(100.0 * long, (2, 1)), np.zeros((2, 20))])
        names = ["long" if is_long else "short" for is_long in long]
        buckets = find_buckets([language("p", scores, {"size": names})], ["size"])
        assert [(b.name, b.examples, b.scores, b.difference.mean, b.against_rest.mean) for b in buckets] == [
            ("long", 10, (100, 0), 100, 100),
            ("short", 10, (0, 0), 0, -100),
        ]

    def test_the_sum_over_buckets_is_the_whole(self):
        (one, *_) = draw_languages(np.random.default_rng(0), 0.2)
        for attribute in ("one", "two"):
            buckets = find_buckets([one], [attribute])
            assert sum(bucket.examples for bucket in buckets) == len(one.scores.keys)
            for schedule in (0, 1):
                total = sum(bucket.examples * bucket.scores[schedule] for bucket in buckets)
                assert total / len(one.scores.keys) == pytest.approx(one.scores.scores[schedule].mean())
            difference = sum(bucket.examples * bucket.difference.mean for bucket in buckets)
            assert difference / len(one.scores.keys) == pytest.approx(one.scores.differences.mean())

    def test_a_small_bucket_is_left_out(self):
        names = ["rare"] * 9 + ["common"] * 31
        scores = np.zeros((2, 2, 40))
        assert find_buckets([language("p", scores, {"size": names})], ["size"]) == []

    def test_a_language_without_the_attribute_is_left_out(self):
        first, second, _ = draw_languages(np.random.default_rng(1), 0.0)
        second = BucketedLanguage(second.scores, {"two": second.names["two"]})
        assert {b.languages for b in find_buckets([first, second], ["one", "two"])} == {("p",), ("p", "q")}

    def test_one_seed_has_numbers_but_no_test(self):
        languages = draw_languages(np.random.default_rng(1), 0.3, seeds=1)
        buckets = with_holm(find_buckets(languages, ["one"]))
        assert [b.holm for b in buckets] == [None] * 3
        assert "nothing is tested" in bucket_table(ENTRY, panel(), buckets).caption

    def test_a_planted_effect_is_found_and_named(self):
        languages = draw_languages(np.random.default_rng(2), 0.4)
        buckets = with_holm(find_buckets(languages, ["one", "two"]))
        sure = {(b.attribute, b.name) for b in buckets if b.holm <= 0.05}
        assert ("one", "x") in sure and not any(attribute == "two" for attribute, _ in sure)
        table = bucket_table(ENTRY, panel(), buckets)
        assert "Surely another than elsewhere (Holm over 6 buckets): one x (" in table.caption
        assert table.lines[0] == FIELDS and len(table.lines) == 7
        rows = [bucket_row(bucket, 0.95) for bucket in buckets]
        assert ("one", "x") in [(row.attribute, row.name) for row in rows if row.sure]
        assert all(row.low < row.mean < row.high for row in rows)
        drawn = buckets_figure(ENTRY, panel(), buckets)
        assert drawn.svg.count("differs from the other examples") == 1 and rows[0].text in drawn.svg

    def test_a_pilot_finds_nothing(self):
        buckets = with_holm(find_buckets(draw_languages(np.random.default_rng(2), 0.4), ["one", "two"]))
        assert "A pilot decides nothing." in bucket_table(ENTRY, panel(pilot=10), buckets).caption
        assert "differs from the other" not in buckets_figure(ENTRY, panel(pilot=10), buckets).svg

    def test_without_an_effect_hardly_any_study_finds_one(self):
        rng = np.random.default_rng(3)
        found = 0
        for _ in range(200):
            buckets = with_holm(find_buckets(draw_languages(rng, 0.0, seeds=3), ["one", "two"]))
            found += any(bucket.holm <= 0.05 for bucket in buckets)
        assert found / 200 <= 0.06


BUCKETS = {"where": {"panel": "qa/worldqa", "a": "sequential", "b": "joint"}}


class TestDeclared:
    def test_the_plan_names_attributes_and_rows(self):
        study = planned(buckets={"where": BUCKETS["where"] | {"languages": ["qen", "qno"]}})
        (entry,) = plan_of(study)["buckets"]
        assert entry["attributes"] == attribute_names("qa") and entry["bins"] == 4
        assert entry["test"] == {lang: f"data/worldqa/test.{lang}.jsonl" for lang in ("qen", "qno")}
        assert entry["train"] == [f"data/worldqa/train.{lang}.jsonl" for lang in ("qen", "qes", "qfr")]
        files = bucket_files(study)
        assert "data/worldqa/test.qno.json" in files and "data/worldqa/train.qen.json" in files
        assert sum(file.endswith("examples.jsonl") for file in files) == 4  # two schedules with two seeds

    def test_a_pilot_reads_the_rows_and_scores_of_its_part(self):
        study = planned(buckets=BUCKETS, pilot=20)
        (entry,) = plan_of(study)["buckets"]
        assert set(entry["test"].values()) > {"data/worldqa~pilot20/test.qno.jsonl"}
        scores = [file for file in bucket_files(study) if file.endswith("examples.jsonl")]
        assert scores and all(file.endswith("/scores/worldqa~pilot20.examples.jsonl") for file in scores)

    def test_a_study_without_the_key_has_the_plan_of_before(self):
        assert "buckets" not in plan_of(planned())

    @pytest.mark.parametrize(
        ("change", "message", "where"),
        [
            ({"b": "sequential"}, "compared with itself", "buckets.where.b"),
            ({"a": "other"}, "unknown schedule of qa/worldqa", "buckets.where.a"),
            ({"attributes": ["answer_lenght"]}, "unknown attribute of worldqa", r"buckets.where.attributes\[0\]"),
            ({"panel": "qa/none"}, "none", "buckets.where.panel"),
            ({"metric": "accuracy"}, "unknown metric of worldqa", "buckets.where.metric"),
        ],
    )
    def test_a_mistake_has_a_place(self, change, message, where):
        with pytest.raises(UserError, match=message) as caught:
            planned(buckets={"where": BUCKETS["where"] | change})
        assert Path(caught.value.where) == Path(where.replace("\\", ""))
