"""Attributes of examples, and the difference between two schedules by bucket of examples."""

from pathlib import Path

import numpy as np
import pytest
from helpers.planted_buckets import ENTRY, bucketed_language, draw_languages, planted_buckets, write_buckets
from helpers.planted_scores import write_examples
from helpers.study_config import study as planned
from helpers.study_results import PLAN, STAGES, plan, read, run_entries, write_study
from hypothesis import given
from hypothesis import strategies as st

from crosstune.analysis.buckets import Bucket, BucketedLanguage, bucket_names, compute_buckets, find_buckets, with_holm
from crosstune.analysis.contrasts import ExampleReader
from crosstune.analysis.results import Panel, StudyResults
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, write_json, write_jsonl
from crosstune.data.attributes import attribute_names, entities, question_word, row_attributes, scripts, words
from crosstune.reporting.figures.buckets import bucket_row, buckets_figure
from crosstune.reporting.page.page import render_page
from crosstune.reporting.tables.buckets import FIELDS, bucket_table
from crosstune.study.plan import plan_of
from crosstune.study.targets import bucket_files


def panel(**keys) -> Panel:
    """The panel of ENTRY, in a study with these keys in its plan."""
    return Panel(StudyResults(PLAN | keys, {}, {}), "tiny", "qa", "worldqa")


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


class TestBuckets:
    def test_by_hand(self):
        """20 examples, of which 10 are long; a is right in all long ones, b in none, and both in no short one."""
        long = np.repeat([True, False], 10)
        scores = np.stack([np.tile(100.0 * long, (2, 1)), np.zeros((2, 20))])
        names = ["long" if is_long else "short" for is_long in long]
        buckets = find_buckets([bucketed_language("p", scores, {"size": names})], ["size"])
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
        assert find_buckets([bucketed_language("p", scores, {"size": names})], ["size"]) == []

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
        buckets = planted_buckets(0.4)
        sure = {(b.attribute, b.name) for b in buckets if b.holm <= 0.05}
        assert ("one", "x") in sure and not any(attribute == "two" for attribute, _ in sure)
        table = bucket_table(ENTRY, panel(), buckets)
        assert "sequential less joint differs from the other examples: one x (" in table.caption
        assert table.caption.endswith(", after Holm's correction over 6 buckets.")
        assert table.lines[0] == FIELDS and len(table.lines) == 7
        rows = [bucket_row(bucket, 0.95) for bucket in buckets]
        assert ("one", "x") in [(row.attribute, row.name) for row in rows if row.sure]
        assert all(row.low < row.mean < row.high for row in rows)
        drawn = buckets_figure(ENTRY, panel(), buckets)
        assert drawn.svg.count("differs from the other examples") == 1 and rows[0].text in drawn.svg

    def test_a_pilot_finds_nothing(self):
        buckets = planted_buckets(0.4)
        assert "A pilot decides nothing." in bucket_table(ENTRY, panel(pilot=10), buckets).caption
        assert "differs from the other" not in buckets_figure(ENTRY, panel(pilot=10), buckets).svg

    def test_without_an_effect_hardly_any_study_finds_one(self):
        rng = np.random.default_rng(3)
        found = 0
        for _ in range(200):
            buckets = with_holm(find_buckets(draw_languages(rng, 0.0, seeds=3), ["one", "two"]))
            found += any(bucket.holm <= 0.05 for bucket in buckets)
        assert found / 200 <= 0.06


class TestStudy:
    """A study with rows: two schedules, four seeds, two languages of 160 questions."""

    def found(self, folder: Path, effect: float) -> list[Bucket]:
        """The buckets of a study whose schedule `sequential` is better by `effect` (0 to 1) on long answers only."""
        rng = np.random.default_rng(5)
        paths, scores = {}, {}
        for lang in ("qna", "qix"):
            rows = [self.row(f"{lang}-{number}", rng) for number in range(160)]
            paths[lang] = str(folder / f"data/test.{lang}.jsonl")
            write_jsonl(paths[lang], rows)
            lengths = np.array([len(row["answers"]["text"][0]) for row in rows])
            is_long = lengths >= np.quantile(lengths, 0.75)
            chance = np.stack([0.4 + effect * is_long, np.full(160, 0.4)])
            scores[lang] = 100.0 * (rng.random((4, 2, 160)) < chance)
        for seed in (1, 2, 3, 4):
            for side, schedule in enumerate(("sequential", "joint")):
                examples = {
                    lang: [{"lang": lang, "id": f"{lang}-{n}", "f1": f1, "exact_match": f1} for n, f1 in enumerate(own)]
                    for lang, found in scores.items()
                    for own in [found[seed - 1, side].tolist()]
                }
                write_examples(folder / f"tiny/seed{seed}/qa/{STAGES[schedule][-1]}", examples)
        write_json(folder / "plan.json", plan() | {"seeds": [1, 2, 3, 4], "runs": run_entries([1, 2, 3, 4])})
        panel = {"track": "qa", "dataset": "worldqa", "metric": "f1", "parallel": "id", "languages": ["qna", "qix"]}
        keys = {"panels": [panel], "task": "qa", "attributes": attribute_names("qa"), "test": paths, "train": []}
        return compute_buckets(read(folder), ENTRY | keys, "tiny", ExampleReader(folder))

    def row(self, name: str, rng: np.random.Generator) -> dict:
        """A question with lengths and a place of the answer that do not depend on each other."""
        before, answer, after, asked = ("ab" * int(length) for length in rng.integers(1, 60, 4))
        answers = {"text": [answer], "answer_start": [len(before) + 1]}
        return {"id": name, "context": f"{before} {answer} {after}", "question": f"Who {asked}?", "answers": answers}

    def test_a_schedule_that_is_better_on_long_answers_only_is_found_there(self, tmp_path):
        buckets = self.found(tmp_path, 0.5)
        by_name = {(bucket.attribute, bucket.name): bucket for bucket in buckets}
        best = min(buckets, key=lambda bucket: bucket.holm)
        assert (best.attribute, best.name) == ("answer_length", "4 of 4") and best.holm <= 0.05
        assert best.against_rest.mean == pytest.approx(50, abs=10)
        for part in ("1 of 4", "2 of 4", "3 of 4"):
            assert by_name["answer_length", part].difference.mean == pytest.approx(0, abs=10)
        assert "answer_length 4 of 4 (" in bucket_table(ENTRY, panel(), buckets).caption
        whole = sum(by_name["answer_length", f"{part} of 4"].examples for part in (1, 2, 3, 4))
        assert whole == 320

    def test_nothing_is_found_where_nothing_was_planted(self, tmp_path):
        buckets = self.found(tmp_path, 0.0)
        assert min(bucket.holm for bucket in buckets) > 0.05
        assert "none after Holm's correction over" in bucket_table(ENTRY, panel(), buckets).caption


class TestPage:
    def page(self, folder: Path, effect: float | None, **keys) -> str:
        """The page of a study with a comparison by bucket, computed if there is an effect."""
        if effect is not None:
            write_buckets(folder, planted_buckets(effect))
        return render_page(write_study(folder, plan() | {"buckets": [ENTRY]} | keys), folder)

    def test_the_strongest_buckets_are_named(self, tmp_path):
        page = self.page(tmp_path, 0.4)
        assert 'id="buckets">Where does it help?' in page and '<a href="#buckets">Buckets</a>' in page
        assert page.index('id="scores"') < page.index('id="buckets"') < page.index('id="baselines"')
        assert "differs from the other examples: one x (" in page and "buckets/where.tiny.svg" in page
        assert "sequential − joint by bucket of examples" in page and "differs from the other examples (Holm)" in page
        assert "p = 0.0" in page and 'download="buckets.where.tiny.csv"' in page

    def test_without_an_effect_none_is_named(self, tmp_path):
        page = self.page(tmp_path, 0.0)
        assert "differs from the other examples: none after Holm&#39;s correction over 6 buckets." in page
        assert "differs from the other examples (Holm)" not in page

    def test_a_pilot_names_none(self, tmp_path):
        page = self.page(tmp_path, 0.4, pilot=20)
        assert "A pilot decides nothing." in page and "one x (" not in page

    def test_missing_buckets_are_told_and_a_study_without_any_has_no_section(self, tmp_path):
        assert "The declared comparisons by bucket have not been computed." in self.page(tmp_path, None)
        assert "Where does it help?" not in render_page(write_study(tmp_path / "b"), tmp_path / "b")

    def test_the_page_has_the_numbers_of_the_tables_to_the_last_digit(self, tmp_path):
        buckets = planted_buckets(0.2)
        write_buckets(tmp_path, buckets)
        assert [Bucket.from_entry(entry) for entry in read_json(tmp_path / "buckets/where.tiny.json")] == buckets


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

    def test_attributes_of_the_tokenizer_need_the_base_models(self):
        asked = BUCKETS["where"] | {"attributes": ["unreadable_pieces"]}
        study = planned(buckets={"where": asked})
        (entry,) = plan_of(study)["buckets"]
        (folder,) = entry["tokenizers"].values()
        assert f"{Path(folder).parent}/stage.json" in bucket_files(study)
        (without,) = plan_of(planned(buckets=BUCKETS))["buckets"]
        assert "tokenizers" not in without and "unreadable_pieces" not in without["attributes"]

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
