"""Studies with samples of training and test rows, few-shot curves, held-out rows, and pilots."""

import pytest
from helpers.study_config import study

from crosstune.analysis.results import StudyResults
from crosstune.core.errors import UserError
from crosstune.study.content_keys import ContentKeys
from crosstune.study.data_requirements import DataRequirements
from crosstune.study.plan import plan_of
from crosstune.study.resources import JobResources
from crosstune.study.retention import RetentionPolicy
from crosstune.study.run_data import largest_samples
from crosstune.study.specs import leakage_spec
from crosstune.study.summary import summary
from crosstune.study.targets import contrast_example_files, majority_sources, score_files, submission_predictions

FEW = [{"train": "qen", "updates": 50}, {"train": "qes", "sample": [0, 10, 100]}]
HELD = {"dataset": "worldqa", "every": 5, "validation": {"from": "train", "sample": 20}}
XQUAD = {
    "task": "qa", "title": "Toy", "reader": "squad", "licence": "none", "source": {"files": "{lang}.{split}.json"},
    "languages": ["qen", "qes"], "xtreme": "xquad",
    "splits": {"train": {"rows": {"qen": 50}}, "test": {"rows": {"qen": 40, "qes": 40}}},
}  # fmt: skip


def scheduled(*, evaluate=None, select=None, **schedules):
    changes = {"tracks__qa__schedules": schedules or {"few": FEW}}
    changes |= {"tracks__qa__evaluate": evaluate} if evaluate else {}
    return study(**changes | ({"tracks__qa__select": select} if select else {}))


def folders(found, name: str, seed: int = 1) -> list[str]:
    (run,) = (run for run in found.runs if (run.schedule.name, run.seed) == (name, seed))
    return list(run.schedule.folders)


def final(found, name: str, seed: int = 1):
    (run,) = (run for run in found.runs if (run.schedule.name, run.seed) == (name, seed))
    return found.checkpoints[run.stages[-1]]


def summary_text(found) -> str:
    return "\n".join(summary(found, RetentionPolicy(found)))


class TestSchedules:
    def test_a_list_of_samples_makes_one_schedule_for_each_size(self):
        found = scheduled()
        assert found.tracks["qa"].schedule_names == ["untrained", "few-0", "few-10", "few-100"]
        assert folders(found, "few-10") == ["worldqa.qen@50", "worldqa.qes~10@10"]
        assert folders(found, "few-100") == ["worldqa.qen@50", "worldqa.qes~100@10"]

    def test_a_sample_of_0_ends_with_the_stage_before(self):
        found = scheduled()
        assert folders(found, "few-0") == ["worldqa.qen@50"]
        assert "few-0 costs 50 updates: a sample of 0 trains nothing" in summary_text(found)

    def test_shares_of_the_budget_do_not_depend_on_the_size(self):
        found = scheduled(few=["qen", {"train": "qes", "sample": [0, 10]}])
        assert folders(found, "few-0") == ["worldqa.qen@30"]
        assert folders(found, "few-10") == ["worldqa.qen@30", "worldqa.qes~10@30"]

    def test_without_another_stage_a_sample_of_0_is_the_untrained_model(self):
        found = scheduled(few=[{"train": "qes", "sample": [0, 10]}])
        assert folders(found, "few-0") == ["untrained"] and folders(found, "few-10") == ["worldqa.qes~10@60"]
        assert plan_of(found)["tracks"]["qa"]["schedules"] == ["untrained", "few-0", "few-10"]

    def test_one_source_of_a_mixture_can_be_sampled(self):
        found = scheduled(mixed=[{"train": "qen + qes", "sample": {"qes": [0, 10]}}], half=[
            {"train": "qen + qes", "sample": 10}
        ])  # fmt: skip
        assert folders(found, "mixed-0") == ["worldqa.qen@60"]
        assert folders(found, "mixed-10") == ["worldqa.qen+qes~10@60"]
        assert folders(found, "half") == ["worldqa.qen~10+qes~10@60"]

    def test_samples_stand_in_names_of_schedules_and_averages(self):
        found = scheduled(
            each={"each": [{"train": "qes", "sample": 10}, {"train": "qes", "sample": 20}]},
            soup={"average": [[{"train": "qes", "sample": 10}], [{"train": "qes", "sample": 20}]]},
        )
        assert {"each-qes~10", "each-qes~20"} <= set(found.tracks["qa"].schedule_names)
        assert folders(found, "soup") == ["average.qes~10+qes~20"]

    def test_every_seed_has_a_draw_of_its_own_and_all_schedules_share_it(self):
        found = scheduled(few=FEW, alone=[{"train": "qes", "sample": 10}])
        for seed in (1, 2):
            for name in ("few-10", "alone"):
                assert final(found, name, seed).data == (f"data/worldqa~10d{seed}/train.qes.json",)
                assert final(found, name, seed).spec["sources"] == [f"worldqa~10d{seed}.qes"]

    def test_samples_need_the_rows_of_their_data_set(self):
        needs = DataRequirements(scheduled())
        assert {("worldqa", "train", "qes"), ("worldqa~10d1", "train", "qes")} <= needs.needed
        assert needs.source_files("worldqa~10d1", "train", "qes") == ["data/worldqa/train.qes.json"]

    def test_the_largest_samples_stand_for_the_smaller_ones(self):
        found = scheduled()
        (group, _) = leakage_spec(found)["groups"]
        assert group["train"] == ["worldqa.qen", "worldqa~100d1.qes", "worldqa~100d2.qes"]
        assert majority_sources(found, "worldqa") == [
            f"data/{name.replace('.', '/train.')}.json" for name in group["train"]
        ]
        assert largest_samples(["a~5d1.x", "a~7d1.x", "a~9d1.y", "a.y"]) == {"a~7d1.x", "a.y"}

    def test_a_study_without_samples_has_no_new_keys(self):
        plan = plan_of(study())
        assert "pilot" not in plan and not {"parts", "curves"} & set(plan["tracks"]["qa"])

    @pytest.mark.parametrize(
        ("stages", "message"),
        [
            ([{"train": "qes", "sample": {"qfr": 5}}], "a sample of 'qfr', which the mixture does not name"),
            (["qen", {"train": "qes", "sample": [0, 5]}, {"train": "qfr", "sample": [0, 9]}], "two lists of samples"),
            ([{"train": "qes", "sample": 0}, {"train": "qen", "replay": 0.1}], "nothing to replay"),
            ([{"train": "qes", "sample": -1}], "-1"),
            ([{"train": "qes", "sample": []}], "must not be empty"),
            ([{"train": "qes", "sample": [5, 5]}], "5 is given twice"),
        ],
    )
    def test_mistakes_in_a_schedule(self, stages, message):
        with pytest.raises(UserError, match=message) as caught:
            scheduled(few=stages)
        assert caught.value.where.startswith("tracks.qa.schedules.few")

    @pytest.mark.parametrize(
        ("members", "message"),
        [
            ([["qen"], [{"train": "qes", "sample": [5, 10]}]], "has one size of its sample"),
            ([["qen"], [{"train": "qes", "sample": 0}]], "a member of the average trains nothing"),
            (["few", "joint"], "average of an unknown schedule 'few'"),
        ],
    )
    def test_mistakes_in_an_average(self, members, message):
        with pytest.raises(UserError, match=message):
            scheduled(few=FEW, joint=["qen + qes"], soup={"average": members})

    def test_a_part_is_no_source(self):
        with pytest.raises(UserError, match="'worldqa~5' names a part of a data set") as caught:
            scheduled(few=["worldqa~5.qen"])
        assert caught.value.fix == "{train: worldqa.qen, sample: 5}"

    def test_two_schedules_cannot_share_a_name(self):
        with pytest.raises(UserError, match="two schedules are called 'few-10'"):
            scheduled(**{"few": FEW, "few-10": ["qen"]})

    def test_a_sample_larger_than_the_split_is_refused_with_the_number(self):
        with pytest.raises(UserError, match="a sample of 51 is larger than toy, which has 50 training ex") as caught:
            study(datasets={"toy": XQUAD}, tracks__qa__schedules={"a": [{"train": "toy.qen", "sample": 51}]})
        assert caught.value.where == "tracks.qa.schedules.a" and caught.value.fix == "sample: 50"

    def test_epochs_over_samples_are_matched_only_if_the_schedule_says_so(self):
        budget = {"epochs": 1, "tokens": 512}
        with pytest.raises(UserError, match="do not see the same number of rows"):
            study(tracks__qa__budget=budget, tracks__qa__schedules={"few": FEW[1:]})
        budget["matched"] = False
        found = study(tracks__qa__budget=budget, tracks__qa__schedules={"few": FEW[1:]})
        assert folders(found, "few-10") == ["worldqa.qes~10@1ep"]


class TestEvaluation:
    def test_all_schedules_are_scored_on_the_same_sample(self):
        found = scheduled(evaluate={"worldqa": {"languages": ["qes", "qka"], "sample": 30}})
        trained = [node for node in found.checkpoints.values() if node.parents]
        assert {tuple(node.evaluate.items()) for node in trained} == {(("worldqa~30", ("qes", "qka")),)}
        assert all(path.endswith("scores/worldqa~30.json") for path in score_files(found))
        plan = plan_of(found)
        assert plan["tracks"]["qa"]["parts"] == {"worldqa": "~30"} and plan["primary"]["dataset"] == "worldqa"
        (panel,) = StudyResults(plan, {}, {}).panels()
        assert panel.fold_dataset(0) == "worldqa~30"
        assert panel.dataset_title == "worldqa (a sample of 30 examples in each language)"

    def test_all_languages_are_the_default(self):
        found = scheduled(evaluate={"worldqa": {"sample": 30}})
        assert len(found.tracks["qa"].evaluate["worldqa"]) == 10

    def test_contrasts_compare_the_sample(self):
        contrast = {"a": "few-10", "b": "few-100", "over": ["qa"], "smallest_effect": 1.0}
        found = study(
            tracks__qa__schedules={"few": FEW},
            tracks__qa__evaluate={"worldqa": {"sample": 30}},
            contrasts=[contrast],
        )
        names = {path.rpartition("/")[2] for path in contrast_example_files(found)}
        assert names == {"worldqa~30.examples.jsonl"}

    def test_a_sample_of_a_task_is_no_submission(self):
        changes = {"datasets": {"toy": XQUAD}, "tracks__qa__schedules": {"a": ["toy.qen"]}}
        whole = study(**changes, tracks__qa__evaluate={"toy": "all"})
        part = study(**changes, tracks__qa__evaluate={"toy": {"sample": 5}})
        assert submission_predictions(whole) and not submission_predictions(part)
        assert plan_of(whole)["tracks"]["qa"]["xtreme"] and not plan_of(part)["tracks"]["qa"]["xtreme"]

    def test_a_sample_larger_than_the_test_set_is_refused_with_the_number(self):
        with pytest.raises(UserError, match="a sample of 41 is larger than toy, which has 40 test examples") as caught:
            study(
                datasets={"toy": XQUAD},
                tracks__qa__schedules={"a": ["toy.qen"]},
                tracks__qa__evaluate={"toy": {"sample": 41}},
            )
        assert caught.value.where == "tracks.qa.evaluate.toy.sample"


class TestHeldOutRows:
    def test_no_schedule_trains_on_them(self):
        found = scheduled(select=HELD, few=FEW, joint=["qen + qes"])
        trained = {data for node in found.checkpoints.values() for data in node.data if "worldqa" in data}
        assert trained and all("/worldqa~held20" in path for path in trained)
        last = final(found, "few-10")
        assert last.data == ("data/worldqa~held20~10d1/train.qes.json",)
        assert last.held_out == tuple(f"data/worldqa~held20/validation.{lang}.json" for lang in ("qen", "qes"))
        assert last.spec["select"]["dataset"] == "worldqa~held20"

    def test_they_change_no_folder(self):
        assert folders(scheduled(select=HELD), "few-10") == folders(scheduled(), "few-10")

    def test_the_study_can_name_their_languages(self):
        select = {**HELD, "validation": {**HELD["validation"], "languages": ["qen"]}}
        assert final(scheduled(select=select), "few-10").spec["select"]["languages"] == ["qen"]

    def test_the_leakage_check_compares_them_with_training_and_test_rows(self):
        groups = [group for group in leakage_spec(scheduled(select=HELD))["groups"] if group["stop"]]
        held = ["validation/worldqa~held20.qen", "validation/worldqa~held20.qes"]
        assert "worldqa~held20.qen" in groups[0]["train"] and groups[0]["evaluate"][-2:] == held
        assert groups[1]["train"] == held

    def test_a_sample_is_selected_on_the_whole_validation_split(self):
        last = final(scheduled(select={"dataset": "worldqa", "every": 5}), "few-10")
        assert last.spec["select"]["dataset"] == "worldqa"
        assert last.held_out[0] == "data/worldqa/validation.qen.json"

    @pytest.mark.parametrize(
        ("changes", "message", "where"),
        [
            ({"dataset": "worldpos"}, "no schedule trains on 'worldpos'", "dataset"),
            ({"dataset": "nothing"}, "unknown data set", "dataset"),
            (
                {"validation": {"from": "train", "sample": 5, "languages": ["qka"]}},
                "no language",
                "validation.languages",
            ),
            ({"validation": {"from": "test", "sample": 5}}, "test", "validation.from"),
            ({"validation": {"from": "train"}}, "sample", "validation"),
        ],
    )
    def test_mistakes(self, changes, message, where):
        with pytest.raises(UserError, match=message) as caught:
            scheduled(select={**HELD, **changes})
        assert caught.value.where == f"tracks.qa.select.{where}"

    def test_more_rows_than_there_are_cannot_be_held_out(self):
        select = {"dataset": "toy", "every": 5, "validation": {"from": "train", "sample": 50}}
        with pytest.raises(UserError, match=r"leave nothing to train on: toy\.qen has 50"):
            study(datasets={"toy": XQUAD}, tracks__qa__schedules={"a": ["toy.qen"]}, tracks__qa__select=select)


class TestRows:
    def test_translations_of_held_out_rows_are_left_out(self):
        record = {
            "task": "qa", "title": "Toy", "licence": "none", "languages": ["qno"],
            "splits": {"train": {"source": {"translate": "worldqa", "from": ["qen"], "by": "words"}}},
        }  # fmt: skip
        found = study(
            datasets={"toy_mt": record},
            translators={"words": {"lexicon": True}},
            tracks__qa__schedules={"joint": ["qen + toy_mt.qno"]},
            tracks__qa__select=HELD,
        )
        assert final(found, "joint").data == (
            "data/toy_mt~held20/train.qno.json", "data/worldqa~held20/train.qen.json"
        )  # fmt: skip
        assert DataRequirements(found).source_files("toy_mt~held20", "train", "qno") == [
            "data/toy_mt/train.qno.json",
            *(f"data/worldqa~held20/train.{language}.json" for language in ("qen", "qes", "qfr")),
        ]

    def test_equal_content_keys_mean_equal_rows(self):
        found = scheduled(select=HELD)
        keys = ContentKeys(DataRequirements(found))
        needed = [key for key in DataRequirements(found).needed if "~" in key[0]]
        assert len({keys.key(*key) for key in needed}) == len(needed) > 6
        again = ContentKeys(DataRequirements(scheduled(select=HELD, few=FEW, other=["qen + qes"])))
        assert all(keys.key(*key) == again.key(*key) for key in needed)

    def test_jobs_know_the_most_rows_of_a_part(self):
        found = scheduled(select=HELD, evaluate={"worldqa": {"sample": 30}})
        rows = JobResources(found, RetentionPolicy(found)).rows_at
        assert rows("data/worldqa~30/test.qka.json", 2000) == 30
        assert rows("data/worldqa~pilot7/test.qka.json", 2000) == 7
        assert rows("data/worldqa~held20/train.qes.json", 500) == 500
        assert rows("data/worldqa~held20/validation.qes.json", 500) == 20
        assert rows("data/worldqa~held20~10d1/train.qes.json", 500) == 10


class TestPilots:
    def test_a_pilot_has_results_of_its_own(self):
        found, whole = study(pilot=7), study()
        assert found.results == "results/test~pilot"
        assert not set(found.checkpoints) & set(whole.checkpoints)
        assert all(path.startswith("results/test~pilot/") for path in found.checkpoints)

    def test_it_trains_a_tenth_and_scores_a_part(self):
        found = study(pilot=7)
        assert folders(found, "sequential") == ["worldqa.qen@2", "worldqa.qes@2", "worldqa.qfr@2"]
        assert found.checkpoints["results/test~pilot/tiny/base"].spec["budget"]["updates"] == 1
        assert final(found, "joint").spec["updates"] == 6
        assert set(final(found, "joint").evaluate) == {"worldqa~pilot7"}
        plan = plan_of(found)
        assert (plan["pilot"], plan["tracks"]["qa"]["budget"]["updates"]) == (7, 6)
        (panel,) = StudyResults(plan, {}, {}).panels()
        assert panel.dataset_title == "worldqa (at most 7 examples in each language)"

    def test_its_sample_is_part_of_the_studys(self):
        found = study(pilot=7, tracks__qa__evaluate={"worldqa": {"sample": 30}})
        assert set(final(found, "joint").evaluate) == {"worldqa~30~pilot7"}

    def test_the_user_is_told(self):
        text = summary_text(study(pilot=7))
        assert text.startswith("PILOT of the study test, in results/test~pilot: at most 7 examples")
        assert "each 6 updates" in text and "costs" not in text

    def test_no_study_can_have_its_name(self):
        with pytest.raises(UserError, match="test~pilot"):
            study(study="test~pilot")

    @pytest.mark.parametrize("size", [0, -5, "many", 1.5])
    def test_mistakes(self, size):
        with pytest.raises(UserError) as caught:
            study(pilot=size)
        assert caught.value.where == "pilot"
