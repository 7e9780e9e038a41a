"""Studies on a data set that is split in several ways, with translated rows and published numbers."""

import copy
import json

import pytest
from helpers.study_config import study

from crosstune.analysis.results import StudyResults as Collected
from crosstune.artifacts.checkpoint import CheckpointJob
from crosstune.core.errors import UserError
from crosstune.core.files import write_json, write_jsonl
from crosstune.data.prepare import prepare
from crosstune.data.registry import load_registry
from crosstune.data.sources import FoldSource, TranslatedSource
from crosstune.study.data_requirements import DataRequirements
from crosstune.study.plan import plan_of
from crosstune.study.specs import leakage_spec, retrain_job

RECORDS = {
    "toy": {
        "task": "qa",
        "title": "Toy",
        "reader": "chaii",
        "licence": "none",
        "source": {"files": "toy.csv"},
        "languages": ["qno", "qro"],
        "codes": {"qno": "hindi", "qro": "tamil"},
        "metric": "chaii",
        "splits": {"train": {}},
        "folds": {"number": 3},
    },
    "toy_mt": {
        "task": "qa",
        "title": "Toy, translated",
        "licence": "none",
        "languages": ["qis", "qit"],
        "splits": {"train": {"source": {"translate": "toy", "from": ["qno", "qro"], "by": "words"}}},
    },
}
TRACK = {
    "sources": "toy",
    "budget": {"updates": 40, "tokens": 512, "matched": False},
    "schedules": {
        "nothing": [{"train": "qno + qro", "updates": 20}],
        "plain": ["worldqa.qen", "qno + qro"],
        "more": ["worldqa.qen", "qno + qro + toy_mt.qis"],
    },
    "evaluate": {"toy": "all"},
}
PAPER = {
    "table": "mucot.table2",
    "panel": "qa/toy",
    "columns": {"overall": "pooled", "hi": "qno"},
    "rows": {"squad": "plain", "all": "more"},
    "differences": [["more", "plain"]],
}
CHANGES = {
    "datasets": RECORDS,
    "tracks__qa": TRACK,
    "translators": {"words": {"command": "tr a b", "pairs": {"qno-qis": "x", "qro-qis": "y"}}},
}


HELD = {"from": "train", "sample": 2}


def source_of(**changes):
    """The record's key `splits`, with changes of its translated source; None leaves a key out."""
    source = {"translate": "toy", "from": ["qno"], "by": "words", **changes}
    return {"splits": {"train": {"source": {key: value for key, value in source.items() if value is not None}}}}


def folded(**changes):
    return study(**{**copy.deepcopy(CHANGES), **changes})


@pytest.fixture
def toy_csv(tmp_path, monkeypatch):
    """Rows of the toy data set: 12 of one language and 6 of the other, two to a paragraph."""
    lines = ["id,context,question,answer_text,answer_start,language"]
    for lang, count in (("hindi", 12), ("tamil", 6)):
        lines += [f"{lang[0]}{n},{lang} {n // 2} has ans{n},q,ans{n},{len(lang) + 7},{lang}" for n in range(count)]
    (tmp_path / "toy.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestPlan:
    def test_the_first_stage_is_trained_once_a_seed_for_all_rows_and_folds(self):
        paths = [path for path in folded().checkpoints if path.endswith("/worldqa.qen@20")]
        assert paths == [f"results/test/tiny/seed{seed}/qa/worldqa.qen@20" for seed in (1, 2)]

    def test_every_schedule_is_a_run_of_every_seed_and_fold(self):
        found = folded()
        runs = [(run.seed, run.fold) for run in found.runs if run.schedule.name == "more"]
        assert sorted(runs) == [(seed, fold) for seed in (1, 2) for fold in (1, 2, 3)]
        run = next(run for run in found.runs if (run.schedule.name, run.fold) == ("more", 2))
        assert run.stages[-1].endswith("/worldqa.qen@20/toy-fold2.qno+qro+toy_mt-fold2.qis@20")
        node = found.checkpoints[run.stages[-1]]
        assert set(node.data) == {
            "data/toy-fold2/train.qno.json", "data/toy-fold2/train.qro.json", "data/toy_mt-fold2/train.qis.json"
        }  # fmt: skip

    def test_a_checkpoint_is_scored_on_the_fold_that_it_was_not_trained_on(self):
        found = folded()
        for run in found.runs:
            last = found.checkpoints[run.stages[-1]]
            if run.schedule.name == "untrained":
                assert set(last.evaluate) == {"toy-fold1", "toy-fold2", "toy-fold3"}
            else:
                assert set(last.evaluate) == {f"toy-fold{run.fold}"}
        prefix = found.checkpoints["results/test/tiny/seed1/qa/worldqa.qen@20"]
        assert set(prefix.evaluate) == {"toy-fold1", "toy-fold2", "toy-fold3"}

    def test_folds_are_compared_with_themselves_for_leakage(self):
        groups = [group for group in leakage_spec(folded())["groups"] if group["stop"]]
        for number, group in enumerate(groups, start=1):
            names = [name for name in group["train"] + group["evaluate"] if name.startswith("toy")]
            assert names and all(f"-fold{number}." in name for name in names)

    def test_what_has_to_be_prepared_reaches_down_to_the_source(self):
        needs = DataRequirements(folded())
        assert {("toy", "train", "qno"), ("toy-fold3", "test", "qro"), ("toy_mt", "train", "qis")} <= needs.needed
        assert needs.source_files("toy_mt-fold2", "train", "qis") == [
            "data/toy_mt/train.qis.json", "data/toy-fold2/train.qno.json", "data/toy-fold2/train.qro.json"
        ]  # fmt: skip
        assert needs.source_files("toy_mt", "train", "qis") == [
            "data/translated/toy_mt/train.qno-qis.json", "data/translated/toy_mt/train.qro-qis.json"
        ]  # fmt: skip
        assert needs.translated_rows("toy_mt", "train", "qro-qis") == "data/toy/train.qro.json"
        job = needs.translation("toy_mt", "train", "qro-qis")
        spec = needs.translate_spec(job.translator, job.source, job.target)
        assert (spec["from"], spec["to"], spec["translator"]["command"]) == ("qro", "qis", "tr a b")
        json.dumps([needs.prepare_spec(*key) for key in sorted(needs.needed)])

    def test_a_job_knows_no_more_of_the_study_than_the_records_it_reads(self):
        needs = DataRequirements(folded())
        assert set(needs.records("toy_mt-fold2")) == {"toy", "toy_mt"} and set(needs.records("toy-fold1")) == {"toy"}
        assert needs.records("worldqa") == {}

    def test_the_plan_names_data_sets_and_not_folds(self):
        plan = plan_of(folded())
        run = next(run for run in plan["runs"] if run["schedule"] == "more" and run["fold"] == 3)
        assert run["evaluated"] == [["toy"], ["toy"]]
        assert run["mixtures"][1] == ["toy.qno", "toy.qro", "toy_mt.qis"]
        assert plan["tracks"]["qa"]["folds"] == [1, 2, 3] and plan["tracks"]["qa"]["folded"] == ["toy"]
        (panel,) = Collected(plan, {}, {}).panels()
        assert panel.fold_dataset(2) == "toy-fold2"

    def test_a_fold_can_be_sampled(self):
        schedules = {"few": ["worldqa.qen", {"train": "qno", "sample": [0, 5]}], "plain": ["worldqa.qen", "qno + qro"]}
        found = folded(tracks__qa={**TRACK, "schedules": schedules, "evaluate": {"toy": {"sample": 3}}})
        run = next(run for run in found.runs if (run.schedule.name, run.fold, run.seed) == ("few-5", 2, 1))
        assert run.stages[-1].endswith("/worldqa.qen@20/toy-fold2.qno~5@20")
        node = found.checkpoints[run.stages[-1]]
        assert node.data == ("data/toy-fold2~5d1/train.qno.json",) and set(node.evaluate) == {"toy-fold2~3"}
        needs = DataRequirements(found)
        assert needs.source_files("toy-fold2~5d1", "train", "qno") == ["data/toy-fold2/train.qno.json"]
        assert set(needs.records("toy-fold2~5d1")) == {"toy"}
        (panel,) = Collected(plan_of(found), {}, {}).panels()
        assert panel.fold_dataset(2) == "toy-fold2~3"

    def test_a_track_without_folds_is_planned_as_before(self):
        found = study()
        assert {run.fold for run in found.runs} == {0}
        assert "fold" not in plan_of(found)["runs"][0]


class TestSelection:
    def test_the_stage_that_trains_on_the_data_set_looks_at_its_validation_rows(self):
        found = folded(tracks__qa__select={"dataset": "toy", "every": 5})
        run = next(run for run in found.runs if (run.schedule.name, run.fold) == ("plain", 2))
        first, last = (found.checkpoints[path] for path in run.stages)
        assert "select" not in first.spec and not first.held_out
        assert last.spec["select"]["dataset"] == "toy-fold2" and last.spec["select"]["metric"] == "chaii"
        assert last.held_out == ("data/toy-fold2/validation.qno.json", "data/toy-fold2/validation.qro.json")
        assert ("toy-fold2", "validation", "qno") in DataRequirements(found).needed
        node = CheckpointJob.from_json(retrain_job(last))
        assert [str(path) for path in node.held_out] == list(last.held_out)

    def test_the_test_rows_are_told_where_that_is_wanted(self):
        found = folded(tracks__qa__select={"dataset": "toy", "every": 5, "log_test_scores": True})
        run = next(run for run in found.runs if (run.schedule.name, run.fold) == ("plain", 1))
        splits = [path.split("/")[2].split(".")[0] for path in found.checkpoints[run.stages[-1]].held_out]
        assert splits == ["validation", "validation", "test", "test"]

    def test_folds_have_validation_rows(self):
        with pytest.raises(UserError, match="is split into folds, which have validation rows") as caught:
            folded(tracks__qa__select={"dataset": "toy", "every": 5, "validation": HELD})
        assert caught.value.where == "tracks.qa.select.validation"

    @pytest.mark.parametrize(
        ("select", "message"),
        [
            ({"dataset": "no", "every": 5}, "unknown data set 'no'"),
            ({"dataset": "toy_mt", "every": 5}, "has no validation split"),
            ({"dataset": "worldpos", "every": 5}, "no schedule trains on 'worldpos'"),
            ({"dataset": "toy_mt", "every": 5, "validation": HELD}, "is a translation, and its originals would be"),
        ],
    )
    def test_mistakes(self, select, message):
        with pytest.raises(UserError, match=message) as caught:
            folded(tracks__qa__select=select)
        assert caught.value.where == "tracks.qa.select.dataset"


class TestRecords:
    def test_folds_of_a_record(self, tmp_path):
        registry = load_registry(tmp_path, RECORDS)
        assert set(registry["toy-fold3"].splits) == {"train", "validation", "test"}
        assert set(registry["toy_mt-fold3"].splits) == {"train"}
        assert "toy-fold4" not in registry and "toy-fold0" not in registry and "worldqa-fold1" not in registry
        found = registry["toy_mt-fold1"].pinned_source("qis", "train", {})
        assert found == FoldSource("toy_mt", ("qno", "qro"), 1, "toy-fold1")
        assert registry["toy_mt"].pinned_source("qis", "train", {}) == TranslatedSource(
            "toy", "train", ("qno", "qro"), "words"
        )
        with pytest.raises(UserError, match=r"unknown data set 'toy-fold9'"):
            registry["toy-fold9"]

    @pytest.mark.parametrize(
        ("name", "changes", "message"),
        [
            ("toy", {"folds": {"number": 3, "by": "draw"}}, "a draw needs the numbers of its test and validation rows"),
            ("toy", {"folds": {"number": 3, "test": 5}}, "tests and validates on one part each"),
            ("toy", {"splits": {"train": {}, "test": {}}}, "folds are of a data set whose one split is `train`"),
            ("toy_mt", {"languages": ["qno"]}, "'qno' would be translated into itself"),
            ("toy_mt", {"task": "text"}, "is of the task qa, not text"),
            ("toy_mt", source_of(translate="toi"), "unknown data set 'toi'"),
            ("toy_mt", source_of(translate="toy_mt"), "is a translation itself"),
            ("toy_mt", source_of(**{"from": ["qeu"]}), "no language 'qeu'"),
            ("toy_mt", source_of(**{"from": None}), "missing key 'from'"),
        ],
    )  # fmt: skip
    def test_mistakes(self, tmp_path, name, changes, message):
        records = {**RECORDS, name: {**RECORDS[name], **changes}}
        with pytest.raises(UserError, match=message):
            load_registry(tmp_path, records)

    def test_translators_are_checked_before_anything_runs(self):
        DataRequirements(
            folded(translators={"words": {"command": "cat", "pairs": {"qno-qis": "x", "qro-qis": "y"}}})
        ).check_translators()
        with pytest.raises(UserError, match="unknown translator 'words'") as caught:
            DataRequirements(folded(translators={"word": CHANGES["translators"]["words"]})).check_translators()
        assert "Did you mean 'word'?" in caught.value.fix
        with pytest.raises(UserError, match="no pair qro-qis") as caught:
            DataRequirements(
                folded(translators={"words": {"command": "cat", "pairs": {"qno-qis": "x"}}})
            ).check_translators()
        assert caught.value.where == "translators.words"


class TestRows:
    def test_prepared_folds_and_the_translations_that_go_with_them(self, toy_csv):
        registry, data = load_registry(toy_csv / "none", RECORDS), toy_csv / "data"

        def make(dataset, split, lang):
            out = data / dataset / f"{split}.{lang}.jsonl"
            prepare(registry[dataset], split, lang, {}, data / "raw", out)
            return [json.loads(line) for line in out.read_text().splitlines()]

        whole = {lang: make("toy", "train", lang) for lang in ("qno", "qro")}
        for lang, rows in whole.items():
            moved = [{**row, "id": f"{lang}-qis:{row['id']}", "origin": f"toy.{lang}/{row['id']}"} for row in rows[:-1]]
            path = data / f"translated/toy_mt/train.{lang}-qis.jsonl"
            write_jsonl(path, moved)
            write_json(path.with_suffix(".json"), {"sha256": "x"})
        assert len(make("toy_mt", "train", "qis")) == 16
        for fold in (1, 2, 3):
            parts = {
                (split, lang): make(f"toy-fold{fold}", split, lang)
                for split in ("train", "validation", "test")
                for lang in ("qno", "qro")
            }
            assert [len(rows) for rows in parts.values()] == [4, 2, 4, 2, 4, 2]
            known = {row["origin"] for lang in ("qno", "qro") for row in parts["train", lang]}
            translated = make(f"toy_mt-fold{fold}", "train", "qis")
            assert {row["origin"] for row in translated} == known - {"toy.qno/h11", "toy.qro/t5"}
        with pytest.raises(UserError, match="no rows are left"):
            write_jsonl(data / "toy_mt/train.qis.jsonl", [])
            make("toy_mt-fold1", "train", "qis")


class TestPublished:
    def test_it_is_in_the_order_of_the_paper(self):
        turned = {key: dict(reversed(PAPER[key].items())) for key in ("rows", "columns")}
        (entry,) = plan_of(folded(published={"table2": {**PAPER, **turned}}))["published"]
        assert [row["schedule"] for row in entry["rows"]] == ["plain", "more"]
        assert entry["columns"] == [["overall", "pooled"], ["hi", "qno"]]

    def test_it_is_in_the_plan(self):
        (entry,) = plan_of(folded(published={"table2": PAPER}))["published"]
        row = entry["rows"][1]
        assert (row["schedule"], row["labels"]) == ("more", ["yes", "all four", "no"])
        assert row["published"] == {"overall": 49.0, "hi": 54.0, "ta": 39.0}

    @pytest.mark.parametrize(
        ("changes", "message", "place"),
        [
            ({"table": "mucot.table3"}, "has no table 'table3'", "table"),
            ({"panel": "qa/worldqa"}, "does not evaluate 'worldqa'", "panel"),
            ({"columns": {"all": "qno"}}, "unknown published column 'all'", "columns"),
            ({"columns": {"hi": "hi"}}, "unknown column 'hi'", "columns.hi"),
            ({"rows": {"squads": "plain"}}, "unknown published row 'squads'", "rows"),
            ({"rows": {"squad": "plan"}}, "unknown schedule 'plan'", "rows.squad"),
            ({"differences": [["more", "plan"]]}, "unknown schedule 'plan'", "differences[0]"),
            ({"protocol": "mucot"}, "needs the test scores along a training", "protocol"),
        ],
    )
    def test_mistakes(self, changes, message, place):
        with pytest.raises(UserError, match=message) as caught:
            folded(published={"table2": {**PAPER, **changes}})
        assert caught.value.where == f"published.table2.{place}"
