"""Declared contrasts: declaration, pairing, numbers, and their words in tables and on the page."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.planted_scores import CONTRAST, SHAPE, by_difference, compute, planned, plant, write_examples
from helpers.study_config import study
from helpers.study_results import STAGES, csv_rows, read
from hypothesis import given
from hypothesis import strategies as st

from crosstune.analysis.contrasts import (
    ExampleReader,
    LanguageScores,
    PairedScores,
    bootstrap_intervals,
    contrast_numbers,
    pair_scores,
)
from crosstune.analysis.estimates import UNJUDGED, VERDICTS
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, read_jsonl, write_json, write_jsonl
from crosstune.evaluation.metrics import METRICS
from crosstune.reporting.page.answer import answer, has_declared_contrast
from crosstune.reporting.page.page import render_page
from crosstune.reporting.tables.contrasts import (
    contrast_latex,
    contrast_results,
    contrast_summary,
    language_rows,
    question_rows,
    summary_rows,
    write_contrast_tables,
)
from crosstune.study.comparisons import CONTRASTS_VERSION
from crosstune.study.plan import plan_of
from crosstune.study.targets import contrast_example_files

ROOT = Path(__file__).parents[2]
PAIR = {"a": "sequential", "b": "joint", "over": ["qa"], "smallest_effect": 0.5}
POS = {
    "sources": "worldpos",
    "budget": {"updates": 60, "tokens": 512},
    "schedules": {"joint": ["qen + qes"], "sequential": ["qen", "qes"]},
    "evaluate": {"worldpos": ["qen", "qno"]},
}
STEADY = [3.0, 3.4, 2.8, 3.2, 3.1, 2.9]
NOISY = [3.0, -2.0, 1.0, -1.0, 2.0, -3.0]
CLOSE = [0.1, -0.1, 0.05, -0.05, 0.0, 0.02]


def planned_contrast(**keys) -> dict:
    (found,) = plan_of(study(contrasts=[PAIR | keys]))["contrasts"]
    return found


class TestDeclared:
    def test_defaults(self):
        languages = ["qen", "qno", "qis", "qes", "qit", "qfr", "qro", "qka", "qge", "qeu"]
        panel = {"track": "qa", "dataset": "worldqa", "metric": "f1", "parallel": "id", "languages": languages}
        expected = {"name": "sequential-vs-joint", "a": "sequential", "b": "joint", "panels": [panel]}
        assert planned_contrast() == expected | {"smallest_effect": 0.5, "confidence": 0.95}
        assert plan_of(study())["contrasts"] == []

    def test_languages(self):
        low = planned_contrast(languages="low")["panels"][0]["languages"]
        assert low == ["qno", "qis", "qit", "qro", "qka", "qge", "qeu"]
        assert planned_contrast(languages=["qka"])["panels"][0]["languages"] == ["qka"]
        found = plan_of(study(contrasts=[PAIR | {"languages": "low"}], low_resource=["qes"]))
        assert found["contrasts"][0]["panels"][0]["languages"] == ["qes"]

    def test_metric(self):
        assert planned_contrast(metric="exact_match")["panels"][0]["metric"] == "exact_match"
        headline = {"track": "qa", "dataset": "worldqa", "metric": "exact_match", "single": "english"}
        found = plan_of(study(contrasts=[PAIR], headline=headline))
        assert found["contrasts"][0]["panels"][0]["metric"] == "exact_match"

    def test_a_track_stands_for_all_its_data_sets(self):
        found = study(contrasts=[PAIR | {"over": ["qa", "pos/worldpos"]}], tracks__pos=POS)
        assert [panel["dataset"] for panel in found.contrasts[0]["panels"]] == ["worldqa", "worldpos"]

    def test_the_workflow_needs_the_examples_of_both_schedules(self):
        home = "results/test/tiny"
        last = {
            "joint": "worldqa.qen+qes+qfr@60", "sequential": "worldqa.qen@20/worldqa.qes@20/worldqa.qfr@20",
            "untrained": "untrained",
        }  # fmt: skip
        assert contrast_example_files(study(contrasts=[PAIR])) == sorted(
            f"{home}/seed{seed}/qa/{stage}/scores/worldqa.examples.jsonl" for seed in (1, 2) for stage in last.values()
        )
        assert contrast_example_files(study()) == []

    @pytest.mark.parametrize(
        ("keys", "place", "says"),
        [
            ({"a": "sequentail"}, "contrasts[0].a", "'sequentail'.*\n.*english, joint, sequential"),
            ({"b": "joined"}, "contrasts[0].b", "'joined'.*\n.*joint"),
            ({"b": "sequential"}, "contrasts[0].b", "compared with itself"),
            ({"over": ["qb"]}, "contrasts[0].over[0]", "unknown track 'qb'\n.*qa"),
            ({"over": ["qb/worldqa"]}, "contrasts[0].over[0]", "unknown track 'qb'"),
            ({"over": ["qa/xquad"]}, "contrasts[0].over[0]", "does not evaluate 'xquad'\n.*qa/worldqa"),
            ({"over": ["qa", "qa/worldqa"]}, "contrasts[0].over", "qa/worldqa is given twice"),
            ({"learned": {"xx": 50}}, "contrasts[0].learned", "'xx'.*\n.*qen"),
            ({"languages": ["xx"]}, "contrasts[0].languages", "'xx'.*\n.*qen"),
            ({"languages": "hgih"}, "contrasts[0].languages", "does not fit|not"),
            ({"metric": "f2"}, "contrasts[0].metric", "'f2'.*\n.*f1, exact_match"),
            ({"smallest_effect": 0}, "contrasts[0].smallest_effect", "does not fit"),
            ({"confidence": 95}, "contrasts[0].confidence", "does not fit"),
            ({"smalest_effect": 1}, "contrasts[0]", "unknown key"),
        ],
    )
    def test_a_mistake_gets_one_clear_message(self, keys, place, says):
        with pytest.raises(UserError) as caught:
            study(contrasts=[PAIR | keys])
        assert caught.value.where == place, str(caught.value)
        assert re.search(says, str(caught.value)), str(caught.value)

    def test_a_smallest_effect_must_be_declared(self):
        with pytest.raises(UserError, match="the key 'smallest_effect' is missing"):
            study(contrasts=[{key: PAIR[key] for key in ("a", "b", "over")}])

    def test_names_are_unique(self):
        with pytest.raises(UserError, match="two contrasts are named 'sequential-vs-joint'"):
            study(contrasts=[PAIR, PAIR | {"languages": "low"}])
        study(contrasts=[PAIR, PAIR | {"languages": "low", "name": "low"}])

    def test_no_low_resource_language(self):
        with pytest.raises(UserError, match="none of the evaluated languages"):
            study(contrasts=[PAIR | {"languages": "low"}], low_resource=[])

    def test_data_in_folds_are_refused(self):
        toy = {
            "task": "qa", "title": "toy", "licence": "mine", "reader": "squad", "languages": ["qen"],
            "source": {"files": "{lang}.{split}.json"}, "folds": {"number": 3}, "splits": {"train": {}},
        }  # fmt: skip
        track = {
            "sources": "toy", "budget": {"updates": 4, "tokens": 64}, "evaluate": {"toy": ["qen"]},
            "schedules": {"joint": ["qen"], "sequential": ["qen", "qen"]},
        }  # fmt: skip
        with pytest.raises(UserError, match="toy is split in several ways") as caught:
            study(datasets={"toy": toy}, tracks__toy=track, contrasts=[PAIR | {"over": ["toy"]}])
        assert caught.value.where == "contrasts[0].over"


class TestPairing:
    def test_seeds_are_paired(self, tmp_path):
        """Seeds lie 5 points apart; a seed set against another would give differences of 5 and more."""
        (result,) = plant(tmp_path, by_difference(STEADY)).contrasts
        assert result["by_seed"] == {str(seed): value for seed, value in enumerate(STEADY, start=1)}
        assert result["seeds"] == result["planned"] == [1, 2, 3, 4, 5, 6]

    def test_the_difference_is_that_of_the_tables(self, tmp_path):
        scores = by_difference(NOISY, ["qen", "qna", "qix"])
        scores["joint"][2]["qix"] += 7
        found = plant(tmp_path, scores)
        (panel,), (result,) = found.panels(), found.contrasts
        cell = panel.cell("sequential", ["qna", "qix"], "f1").difference(panel.cell("joint", ["qna", "qix"], "f1"))
        assert result["by_seed"] == pytest.approx({str(run): value for run, value in cell.values.items()})
        assert result["mean"] == pytest.approx(cell.mean)

    def test_languages_have_equal_weight(self, tmp_path):
        scores = by_difference([2.0, 2.0, 2.0])
        for found in scores["sequential"].values():
            found["qix"] += 4
        result = plant(tmp_path, scores).contrasts[0]
        assert result["mean"] == 4
        assert {entry["name"]: entry["difference"] for entry in result["languages"]} == {"qna": 2, "qix": 6}

    def test_a_seed_that_lacks_a_language_is_missing(self, tmp_path):
        scores = by_difference(STEADY)
        del scores["joint"][2]["qix"]
        found = plant(tmp_path, scores)
        (result,) = contrast_results(found)
        assert result.entry["seeds"] == [1, 3, 4, 5, 6]
        assert result.missing_sentence == "1 of 6 seeds missing, for want of scores of joint, seed 2."
        assert result.missing_sentence in result.caption and "5 of 6 seeds (1, 3, 4, 5, 6)" in result.caption
        assert result.missing_sentence in render_page(found, tmp_path)

    def test_failed_runs_are_missing(self, tmp_path):
        plant(tmp_path, by_difference(STEADY[:3]))
        for seed in (1, 2, 3):
            shutil.rmtree(tmp_path / f"tiny/seed{seed}/qa/worldqa.qen+worldqa.qes@200")
        found = compute(tmp_path)
        (result,) = contrast_results(found)
        assert (result.has_seeds, result.verdict("seeds")) == (False, "inconclusive")
        assert result.main_sentence == "Nothing can be said of sequential and joint: no seed has scores of both."
        write_contrast_tables(found, tmp_path / "tables")
        assert "3 of 3 seeds missing" in (tmp_path / "tables/contrasts.md").read_text()
        assert "no seed has scores of both" in render_page(found, tmp_path)

    def test_unmatched_examples_raise_an_error(self, tmp_path):
        plant(tmp_path, by_difference(STEADY))
        path = tmp_path / "tiny/seed2/qa/worldqa.qen+worldqa.qes@200/scores/worldqa.examples.jsonl"
        rows = read_jsonl(path)
        write_jsonl(path, [row | {"id": row["id"] + "x"} for row in rows])
        with pytest.raises(UserError, match=r"different examples of worldqa\.qna"):
            compute(tmp_path)
        # Another seed's file: its examples do not give this seed's score.
        shutil.copy(tmp_path / "tiny/seed1/qa/worldqa.qen+worldqa.qes@200/scores/worldqa.examples.jsonl", path)
        with pytest.raises(UserError, match=r"the examples give 35.0000, the score is 40.0000") as caught:
            compute(tmp_path)
        assert "seed2" in caught.value.where

    def test_the_order_of_examples_does_not_matter(self, tmp_path):
        before = plant(tmp_path, by_difference(NOISY)).contrasts
        path = tmp_path / "tiny/seed2/qa/worldqa.qen+worldqa.qes@200/scores/worldqa.examples.jsonl"
        write_jsonl(path, read_jsonl(path)[::-1])
        assert compute(tmp_path).contrasts == before

    def test_a_broken_line_raises_an_error(self, tmp_path):
        plant(tmp_path, by_difference(STEADY))
        path = tmp_path / "tiny/seed2/qa/worldqa.qen+worldqa.qes@200/scores/worldqa.examples.jsonl"
        path.write_text(path.read_text().replace('"f1"', '"g1"', 1))
        with pytest.raises(UserError, match="an example without 'f1'") as caught:
            compute(tmp_path)
        assert caught.value.where == f"{path}:1"


def result_of(folder: Path, **changes) -> dict:
    """The numbers of the planted contrast with other keys, of few resamples."""
    paired = pair_scores(read(folder), CONTRAST | changes, "tiny", ExampleReader(folder))
    return contrast_numbers(paired, 0.5, 0.95, 200)


class TestInvariance:
    def test_swapped_schedules_change_the_sign(self, tmp_path):
        plant(tmp_path, by_difference(NOISY))
        here, there = (result_of(tmp_path, a=a, b=b) for a, b in (("sequential", "joint"), ("joint", "sequential")))
        assert there["mean"] == -here["mean"]
        for question, found in here["questions"].items():
            low, high = found["interval"]
            assert there["questions"][question]["interval"] == pytest.approx([-high, -low])
            assert there["questions"][question]["p"] == pytest.approx(found["p"])
        for name, (low, high) in here["bootstrap"].items():
            assert there["bootstrap"][name] == pytest.approx((-high, -low))
        assert (there["better"], there["worse"]) == (here["worse"], here["better"])
        assert there["sign_flip"] == here["sign_flip"]

    def test_the_order_of_languages_does_not_matter(self, tmp_path):
        plant(tmp_path, by_difference(NOISY, ["qen", "qes", "qna", "qix"]))
        panel = CONTRAST["panels"][0]
        here, there = (
            result_of(tmp_path, panels=[panel | {"languages": list(languages)}])
            for languages in (("qen", "qes", "qna", "qix"), ("qix", "qna", "qes", "qen"))
        )
        assert here == there

    def test_families_of_the_language_table_are_the_units(self, tmp_path):
        plant(tmp_path, by_difference(NOISY, ["qen", "qes", "qna", "qix"]))
        found = result_of(tmp_path, panels=[CONTRAST["panels"][0] | {"languages": ["qen", "qna", "qix"]}])
        # qen and qna are of the family north.
        assert found["families"] == 2
        assert result_of(tmp_path, panels=[CONTRAST["panels"][0] | {"languages": ["qen", "qna"]}])["questions"][
            "languages"
        ] is None  # fmt: skip


class TestExamples:
    def test_both_schedules_share_the_draw_of_examples(self, tmp_path):
        """All examples have the same difference: only the seeds vary between resamples."""
        plant(tmp_path, by_difference([2.0, 2.0, 2.0]))
        found = result_of(tmp_path)
        assert found["bootstrap"] == {"examples": (2.0, 2.0), "languages": (2.0, 2.0)}
        assert found["languages"][0]["bootstrap"] == (2.0, 2.0)

    def test_translated_examples_are_drawn_together(self):
        """The two languages have opposite deviations in every example."""

        def unit(name: str, ids: str, sign: int) -> LanguageScores:
            moved = np.tile(sign * np.array(SHAPE[:4]), (2, 1))
            return LanguageScores(
                name, name, name, 0.5, tuple(ids), np.stack([50 + moved, np.full((2, 4), 50.0)]), np.ones((2, 2, 4))
            )

        same = PairedScores([1, 2], [1, 2], [unit("x", "1234", 1), unit("y", "1234", -1)])
        other = PairedScores([1, 2], [1, 2], [unit("x", "1234", 1), unit("y", "5678", -1)])
        found = [[group.units for group in paired.sample.example_groups] for paired in (same, other)]
        assert found == [[(0, 1)], [(0,), (1,)]]
        assert bootstrap_intervals(same, 0.95, 300)["examples"] == pytest.approx((0, 0), abs=1e-9)
        low, high = bootstrap_intervals(other, 0.95, 300)["examples"]
        assert high - low > 3

    @pytest.mark.parametrize(
        ("parallel", "ids", "shared"),
        [
            ("id", {"qna": ["1", "2"], "qix": ["1", "2"]}, 2),
            ("id", {"qna": ["test-na:1", "test-na:2"], "qix": ["test-ix:1", "test-ix:2"]}, 0),
            ("id-without-prefix", {"qna": ["test-na:1", "test-na:2"], "qix": ["test-ix:1", "test-ix:2"]}, 2),
            # A part of the examples is shared, and ids sort in another order than the files.
            ("id", {"qna": ["1", "2"], "qix": ["0", "2"]}, 1),
            ("position", {"qna": ["na:1", "na:10"], "qix": ["ix:9", "ix:19"]}, 2),
            ("position", {"qna": ["na:9", "na:10"], "qix": ["ix:9", "ix:19"]}, 2),
        ],
    )
    def test_translations_are_found_by_what_the_record_says(self, tmp_path, parallel, ids, shared):
        panel = CONTRAST["panels"][0] | {"parallel": parallel}
        write_json(tmp_path / "plan.json", planned([1, 2], [], ["qna", "qix"]))
        for stage in ("tiny/seed{}/qa/" + STAGES[name][-1] for name in ("joint", "sequential")):
            for seed in (1, 2):
                rows = {
                    lang: [{"lang": lang, "id": name, "f1": 50.0 + n, "exact_match": 0.0} for n, name in enumerate(own)]
                    for lang, own in ids.items()
                }
                write_examples(tmp_path / stage.format(seed), rows)
        paired = pair_scores(read(tmp_path), CONTRAST | {"panels": [panel]}, "tiny", ExampleReader(tmp_path))
        (first, second) = paired.sample.examples
        assert len({*first.tolist()} & {*second.tolist()}) == shared
        if parallel == "position":
            # The first rows belong together, wherever their ids sort.
            rank = {unit.language: dict(zip(unit.numerators[0, 0], unit.keys, strict=True)) for unit in paired.units}
            assert rank["qna"] == rank["qix"]

    @pytest.mark.parametrize("name", sorted(METRICS))
    def test_parts_add_up_to_every_metrics_numbers(self, name):
        metric = METRICS[name]
        tags = [["B-PER", "I-PER", "O"], ["O", "B-LOC"], ["B-LOC", "O", "O"]]
        rows = {
            "tagging": [{"id": str(n), "prediction": tags[n][::-1], "gold": tags[n]} for n in range(3)],
            "choice": [{"id": "1", "prediction": 0, "gold": 0}, {"id": "2", "prediction": 1, "gold": 0}],
            "retrieval": [
                {"id": "1", "prediction": ["x", "y"], "gold": ["y"]},
                {"id": "2", "prediction": [], "gold": ["y"]},
            ],
        }
        rows |= {key: [{"id": "1", "prediction": "x", "gold": "x"}] for key in ("classification", "bitext")}
        answers = [("a b", ["b c"]), ("d", ["d"]), ("", ["e"])]
        default = [{"id": str(n), "prediction": given, "gold": gold} for n, (given, gold) in enumerate(answers)]
        case = {"test": "comp", "capability": "Vocabulary", "of": 3, "faults": []}
        rows["multichecklist"] = [row | {"case": case | {"number": n}} for n, row in enumerate(default)]
        examples = metric.measure(rows.get(name, default), "en")
        numbers = metric.summarise(examples)
        for key in metric.labels:
            above, below = np.array([metric.ratio_terms(example, key) for example in examples]).sum(axis=0)
            assert above / below == pytest.approx(numbers[key])

    @given(st.integers(0, 4))
    def test_influences_are_derivatives(self, place):
        """A little more of an example moves a ratio by its influence."""
        rng = np.random.default_rng(3)
        above, below = rng.random((2, 1, 5)) * 10, rng.random((2, 1, 5)) + 0.5
        unit = LanguageScores("x", "x", "x", 1.0, tuple("abcde"), above, below)
        weights = np.ones(5)
        weights[place] += 1e-6
        moved = (above @ weights / (below @ weights))[0] - (above @ weights / (below @ weights))[1]
        assert (moved - unit.differences)[0] / 1e-6 == pytest.approx(unit.influences[0, place], rel=1e-4, abs=1e-6)
        assert unit.influences.sum() == pytest.approx(0, abs=1e-12)


class TestWords:
    @pytest.mark.parametrize(
        ("differences", "outcome", "words"),
        [
            # Mean 3.0667, s^2 = 0.0466667: standard error 0.08819, t = 2.5706.
            (STEADY, "better", "sequential is better than joint. sequential − joint = +3.1 points, 95% CI [2.8, 3.3]"),
            ([-d for d in STEADY], "worse",
             "sequential is worse than joint. sequential − joint = −3.1 points, 95% CI [−3.3, −2.8]"),
            (CLOSE, "equivalent",
             "sequential and joint are equivalent within ±0.5. sequential − joint = 0.0 points, 95% CI [−0.1, 0.1]"),
            (NOISY, "inconclusive", "Inconclusive. sequential − joint = 0.0 points, 95% CI [−2.5, 2.5]"),
        ],
    )  # fmt: skip
    def test_the_answer_follows_the_verdict(self, tmp_path, differences, outcome, words):
        found = plant(tmp_path, by_difference(differences))
        (result,), (panel,) = contrast_results(found), found.panels()
        assert result.verdict("seeds") == outcome and outcome in VERDICTS
        asked = "One language after the other, or all at once?"
        # Joint has 35 and 36 in the first seed, 60 and 61 in the last.
        means = f"{48 + np.mean(differences):.1f} against 48.0"
        about = f"(SQuAD v1.1 F1 {means}: 2 low-resource languages of worldqa, 6 seeds)."
        assert answer(panel).endswith(f"{asked} {words} {about}")
        page = render_page(found, tmp_path)
        assert all(part in page for part in words.split(". ", 1)) and "The verdict of a declared contrast" in page

    def test_a_contrast_the_other_way_round(self, tmp_path):
        found = plant(tmp_path, by_difference(STEADY), [CONTRAST | {"a": "joint", "b": "sequential"}])
        assert contrast_results(found)[0].verdict("seeds") == "worse"
        words = "sequential is better than joint. sequential − joint = +3.1 points, 95% CI [2.8, 3.3]"
        assert words in answer(found.panels()[0])

    def test_several_sources_against_one(self, tmp_path):
        scores = by_difference(NOISY)
        scores["english"] = {
            seed: {lang: score + 3 + seed / 9 for lang, score in scores["joint"][seed].items()} for seed in range(1, 7)
        }
        found = plant(tmp_path, scores, [CONTRAST | {"a": "joint", "b": "english"}])
        assert answer(found.panels()[0]).startswith(
            "Several source languages at once, or one? joint is worse than english. joint − english = −3.4 points, "
            "95% CI [−3.6, −3.2]"
        )

    def test_a_contrast_over_other_languages_is_not_the_headlines(self, tmp_path):
        panel = CONTRAST["panels"][0] | {"languages": ["qna"]}
        found = plant(tmp_path, by_difference(STEADY), [CONTRAST | {"panels": [panel]}])
        assert has_declared_contrast(found.panels()[0]) is False

    def test_sentences_name_the_numbers(self, tmp_path):
        (result,) = contrast_results(plant(tmp_path, by_difference(STEADY)))
        assert result.main_sentence == (
            "sequential is better than joint in 2 languages: 3.1 points higher on average (95% CI 2.8 to 3.3, 6 seeds)."
        )
        examples, languages, counted, signs = result.further_sentences
        assert examples.startswith("With items random too, sequential is better (3.1, 95% CI")
        assert languages.startswith("With languages as random effect, sequential is better (3.1, 95% CI")
        assert "2 families, which count alike and are too few for more than a rough guide" in languages
        assert counted.startswith(
            "Language by language, sequential is better in at least 2 and worse in at least 0 of 2"
        )
        assert signs == "The exact sign-flip test over 6 seeds gives p = 0.031."
        (unsure,) = contrast_results(plant(tmp_path / "noisy", by_difference(NOISY)))
        _, _, counted, _ = unsure.further_sentences
        assert counted == "Language by language, no difference holds after Holm's correction for all 2."
        # t(5) with 80% power, the error itself being uncertain: 4.2 standard errors of 0.08819.
        assert "at 80% power, with 6 seeds and fixed languages: 0.4 points" in result.power_sentence
        # The standard deviation between seeds is 0.216: ((3.182 + 0.978) 0.216 / 0.5)^2 = 3.2.
        assert result.power_sentence.endswith("declared smallest effect of interest: 0.5, which 4 seeds would detect.")

    def test_a_table_sums_up_several_contrasts(self, tmp_path):
        both = [CONTRAST, CONTRAST | {"name": "close", "a": "joint", "b": "sequential", "smallest_effect": 0.1}]
        results = contrast_results(plant(tmp_path, by_difference(STEADY), both))
        head, rows = summary_rows(results)
        assert [row[0] for row in rows] == [result.name for result in results]
        first, second = (dict(zip(head, row, strict=True)) for row in rows)
        assert (first["difference"], first["points"], first["CI"], first["verdict"]) == (
            "sequential − joint", "3.1", "[2.8, 3.3]", "better")  # fmt: skip
        assert (second["points"], second["verdict"], second["smallest effect"]) == ("-3.1", "worse", "0.1")
        assert int(second["seeds needed"]) > int(first["seeds needed"]) == 4
        assert contrast_summary(results)[0].count("\n|") == 4
        assert contrast_summary(results[:1]) == []

    def test_the_difference_of_a_single_seed_has_no_interval(self, tmp_path):
        head, (row,) = summary_rows(contrast_results(plant(tmp_path, by_difference(STEADY[:1]))))
        own = dict(zip(head, row, strict=True))
        assert (own["points"], own["CI"], own["seeds needed"]) == ("3.0", "", "")

    def test_schedules_below_trivial_baselines_are_not_judged(self, tmp_path):
        """Joint scores are 35 and 36 in seed 1, 40 and 41 in seed 2, and so on."""
        found = plant(tmp_path, by_difference(CLOSE), baselines={"context": {"qna": 60.0, "qix": 60.0}})
        (result,), (panel,) = contrast_results(found), found.panels()
        assert {result.verdict(question) for question in result.entry["questions"]} == {UNJUDGED}
        assert {unit["estimate"]["verdict"] for unit in result.entry["languages"]} == {UNJUDGED}
        assert "are not judged: neither beats the trivial baselines" in result.main_sentence
        assert "Not judged: neither schedule beats the trivial baselines. sequential −" in answer(panel)
        assert "In 2 of 2 low-resource languages (qna, qix) no compared" in render_page(found, tmp_path)
        # Without a contrast, as with one.
        found.contrasts.clear()
        assert "Not judged: neither schedule beats the trivial baselines. sequential −" in answer(panel)

    def test_schedules_below_declared_scores_are_not_judged(self, tmp_path):
        """In qix joint scores 36, 41, 46 and so on; sequential is no more than 0.4 points from it."""
        needed = {"learned": {"qix": 70}}
        found = plant(tmp_path / "below", by_difference(CLOSE), [CONTRAST | needed])
        (result,), (panel,) = contrast_results(found), found.panels()
        assert {result.verdict(question) for question in result.entry["questions"]} == {UNJUDGED}
        assert {unit["estimate"]["verdict"] for unit in result.entry["languages"]} == {UNJUDGED}
        (lacking,) = result.entry["not_reached"]
        mean = max(unit[role] for unit in result.units if unit["name"] == "qix" for role in "ab")
        assert lacking == {"panel": "qa/worldqa", "language": "qix", "needed": 70, "reached": pytest.approx(mean)}
        assert f"not judged: neither reaches 70 in qix of qa/worldqa ({mean:.1f})" in result.main_sentence
        assert "Not judged: neither schedule reaches 70 in qix" in answer(panel)
        reached = plant(tmp_path / "above", by_difference(CLOSE), [CONTRAST | {"learned": {"qix": 30}}])
        assert contrast_results(reached)[0].verdict("seeds") == "equivalent"

    def test_equivalence_is_withheld_if_a_language_is_below_trivial_baselines(self, tmp_path):
        found = plant(tmp_path, by_difference(CLOSE), baselines={"context": {"qna": 60.0, "qix": 7.0}})
        (result,) = contrast_results(found)
        assert result.verdict("seeds") == "inconclusive"
        assert result.entry["questions"]["seeds"]["equivalence_p"] < 0.05
        verdicts = {unit["name"]: unit["estimate"]["verdict"] for unit in result.entry["languages"]}
        assert verdicts == {"qna": UNJUDGED, "qix": "equivalent"}
        caution = result.cautions[0]
        assert caution.startswith("In 1 of 2 languages neither sequential nor joint beats the trivial baselines (qna)")
        assert caution in render_page(found, tmp_path)
        write_contrast_tables(found, tmp_path / "tables")
        assert caution in (tmp_path / "tables/contrasts.md").read_text()
        rows = csv_rows(tmp_path / "tables/contrasts.languages.csv")
        assert [row["baseline"] for row in rows] == ["60.0000", "7.0000"]

    def test_equal_seeds_are_no_proof(self, tmp_path):
        found = plant(tmp_path, by_difference([2.0, 2.0]), [CONTRAST | {"smallest_effect": 5.0}], examples=20)
        (result,) = contrast_results(found)
        assert result.verdict("seeds") == "inconclusive" and result.entry["questions"]["seeds"]["p"] > 0.05
        found.contrasts.clear()
        assert "Inconclusive. sequential − joint = +2.0 points" in answer(found.panels()[0])

    def test_a_collapsed_seed_is_named(self, tmp_path):
        scores = by_difference(STEADY)
        scores["joint"][2] = {"qna": 8.0, "qix": 9.0}
        found = plant(tmp_path, scores, baselines={"context": {"qna": 7.0, "qix": 7.0}})
        (result,) = contrast_results(found)
        assert result.entry["collapsed"] == {"a": [], "b": [2]}
        (caution,) = result.cautions
        assert caution.startswith("Outlying: seed 2 of joint gained less than half")
        assert render_page(found, tmp_path).count(caution) == 2

    def test_languages_have_their_names(self, tmp_path):
        found = plant(tmp_path, by_difference(STEADY))
        del found.plan["languages"]["qna"]["name"]
        (result,) = contrast_results(found)
        assert [row[0] for row in language_rows(result)[1]] == ["qna", "Ixish (qix)"]
        # Of several panels.
        assert result.unit_title("worldqa.qix") == "worldqa: Ixish (qix)"

    def test_few_seeds(self, tmp_path):
        (result,) = contrast_results(plant(tmp_path, by_difference(STEADY[:5])))
        assert result.further_sentences[-1] == "A sign-flip test is not possible with 5 seeds: its smallest p is 0.062."
        (result,) = contrast_results(plant(tmp_path / "one", by_difference(STEADY[:1])))
        assert result.main_sentence.endswith(
            "3.0 points higher in the only seed, which cannot tell an effect from chance."
        )
        assert result.verdict("seeds") == "inconclusive" and result.power_sentence == ""
        assert "needs two seeds" in question_rows(result)[1][0][1]

    def test_tables(self, tmp_path):
        found = plant(tmp_path, by_difference(NOISY))
        write_contrast_tables(found, tmp_path / "tables")
        rows = {row["question"]: row for row in csv_rows(tmp_path / "tables/contrasts.csv")}
        assert list(rows) == ["seeds", "examples", "languages"]
        assert (rows["seeds"]["mean"], rows["seeds"]["verdict"], rows["seeds"]["seeds"]) == (
            "0.0000",
            "inconclusive",
            "6",
        )
        # s^2 = 28 / 5, standard error 0.96609, t(5) = 2.570582.
        assert (rows["seeds"]["low"], rows["seeds"]["freedom"]) == ("-2.4834", "5.0000")
        assert rows["seeds"]["sign_flip_p"] == "1.000000"
        assert [row["language"] for row in csv_rows(tmp_path / "tables/contrasts.languages.csv")] == ["qna", "qix"]
        page = (tmp_path / "tables/contrasts.md").read_text()
        assert page.startswith("**order, tiny.** The data are inconclusive on sequential against joint in 2 languages")
        assert "6 of 6 seeds (1, 2, 3, 4, 5, 6)" in page and "| languages as random effect" in page
        assert r"\begin{table}" in (tmp_path / "tables/contrasts.tex").read_text()

    def test_latex_compiles(self, tmp_path, typeset):
        found = plant(tmp_path, by_difference([-11.1, -22.2, -33.3]))
        typeset("\n".join(map(contrast_latex, contrast_results(found))))

    def test_contrasts_of_another_plan_are_ignored(self, tmp_path):
        plant(tmp_path, by_difference(STEADY))
        plan = read_json(tmp_path / "plan.json")
        plan["contrasts"][0]["smallest_effect"] = 1.0
        write_json(tmp_path / "plan.json", plan)
        found = read(tmp_path)
        assert found.contrasts == []
        assert "The declared contrasts have not been computed." in render_page(found, tmp_path)
        assert has_declared_contrast(found.panels()[0]) is False

    def test_several_panels_have_equal_weight(self, tmp_path):
        panel = CONTRAST["panels"][0]
        contrast = CONTRAST | {"panels": [panel, panel | {"dataset": "other", "languages": ["qna"]}]}
        plan = planned([1, 2], [contrast], ["qna", "qix"])
        plan["tracks"]["qa"]["evaluate"]["other"] = ["qna"]
        plan["tracks"]["qa"]["metrics"]["other"] = "qa"
        for run in plan["runs"]:
            run["evaluated"] = [["other", "worldqa"] for _ in run["evaluated"]]
            add = {"joint": 0, "sequential": 1}.get(run["schedule"], 0)
            for dataset, languages in (("worldqa", {"qna": 2, "qix": 4}), ("other", {"qna": 7})):
                rows = {
                    lang: [{"lang": lang, "id": str(n), "f1": 30 + add * move, "exact_match": 0} for n in range(3)]
                    for lang, move in languages.items()
                }
                write_examples(tmp_path / run["stages"][-1], rows, dataset)
        write_json(tmp_path / "plan.json", plan)
        (result,) = compute(tmp_path).contrasts
        assert result["mean"] == (3 + 7) / 2
        assert [entry["name"] for entry in result["languages"]] == ["other.qna", "worldqa.qix", "worldqa.qna"]

    def test_the_program_writes_the_same_contrasts(self, tmp_path):
        plant(tmp_path, by_difference(STEADY))
        before = read_json(tmp_path / "contrasts.json")
        command = [sys.executable, "scripts/contrasts.py", "--plan", str(tmp_path / "plan.json")]
        command += ["--results", str(tmp_path), "--out", str(tmp_path / "program.json")]
        subprocess.run(command, cwd=ROOT, check=True)
        assert json.loads((tmp_path / "program.json").read_text()) == {"version": CONTRASTS_VERSION, **before}
