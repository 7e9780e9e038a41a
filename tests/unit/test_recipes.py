"""Recipes of tracks, models and stages: what reaches the specs, the folders and the plan."""

import pytest
from helpers.study_config import STUDY, study

from crosstune.core.errors import UserError
from crosstune.study.plan import plan_of
from crosstune.study.retention import RetentionPolicy
from crosstune.study.summary import summary

SEQUENCE = {"lr": 1e-3, "lr_schedule_over": "sequence"}


def specs_of(found, schedule="sequential", model="tiny", seed=1):
    """The specs of the stages of a schedule."""
    (run,) = (r for r in found.runs if (r.schedule.name, r.model, r.seed) == (schedule, model, seed))
    return [found.checkpoints[path].spec for path in run.stages]


def test_a_stage_knows_its_place_in_the_learning_rate_schedule_of_its_sequence():
    found = study(tracks__qa__recipe=SEQUENCE)
    assert [spec["lr_span"] for spec in specs_of(found)] == [{"updates": 60, "before": n} for n in (0, 20, 40)]
    assert not any("lr_schedule_over" in node.spec.get("recipe", {}) for node in found.checkpoints.values())


def test_schedules_of_one_stage_and_a_learning_rate_schedule_a_stage_change_no_spec():
    plain, stated = study(), study(tracks__qa__recipe={"lr": 1e-3, "lr_schedule_over": "stage"})
    assert plain.checkpoints == stated.checkpoints
    assert specs_of(study(tracks__qa__recipe=SEQUENCE), "joint") == specs_of(plain, "joint")


def test_the_key_belongs_to_a_track():
    with pytest.raises(UserError, match="unknown key 'lr_schedule_over'"):
        study(tracks__qa__schedules={"a": [{"train": "qen", "lr_schedule_over": "sequence"}]})
    with pytest.raises(UserError, match="unknown key 'lr_schedule_over'"):
        study(models__tiny__pretrain__recipe=SEQUENCE)


def two_models(recipe, **changes):
    """The test study with a second model that has a recipe of its own."""
    return study(models__large={**STUDY["models"]["tiny"], "recipe": recipe}, **changes)


def test_a_key_comes_from_the_stage_then_from_the_model_then_from_the_track():
    stages = ["qen", {"train": "qes", "lr": 5e-6}]
    changes = {"tracks__qa__schedules": {"a": stages}, "tracks__qa__recipe": {"lr": 3e-5, "warmup": 0.2}}
    found = two_models({"lr": 1e-5}, **changes)
    recipes = {model: [spec["recipe"] for spec in specs_of(found, "a", model)] for model in ("tiny", "large")}
    assert [recipe["lr"] for recipe in recipes["tiny"]] == [3e-5, 5e-6]
    assert [recipe["lr"] for recipe in recipes["large"]] == [1e-5, 5e-6]
    assert {recipe["warmup"] for recipe in recipes["large"]} == {0.2}, "the model's recipe has no defaults"


def test_a_models_recipe_changes_no_other_model_and_no_pretraining():
    plain, changed = two_models({}), two_models({"lr": 1e-5})
    same = {path for path, node in plain.checkpoints.items() if changed.checkpoints[path] == node}
    assert same == {path for path in plain.checkpoints if "/large/" not in path or path.endswith("/base")}


def test_a_model_can_have_one_learning_rate_schedule_over_a_sequence():
    found = two_models({"lr_schedule_over": "sequence"})
    assert "lr_span" not in specs_of(found)[0] and "lr_span" in specs_of(found, model="large")[0]


def test_the_plan_names_the_recipes_of_models():
    found = two_models({"lr": 1e-5, "contrastive": {"weight": 0.5}}, tracks__qa__schedules={"joint": ["qen + qes"]})
    assert plan_of(found)["recipes"] == {"large": "lr 1e-05, contrastive.weight 0.5"}
    assert any(line.startswith("model large: its recipe") for line in summary(found, RetentionPolicy(found)))
    assert "recipes" not in plan_of(study())


@pytest.mark.parametrize(
    ("recipe", "where", "message"),
    [
        ({"lr": -1}, "models.large.recipe.lr", "does not fit"),
        ({"learning_rate": 1}, "models.large.recipe", "unknown key 'learning_rate'"),
        ({"decay": "linear"}, "models.large.recipe.decay", "is now lr_schedule"),
        ({"contrastive": {"temperature": 0.1}}, "models.large.recipe.contrastive", "no effect without a weight"),
    ],
)
def test_mistakes_in_the_recipe_of_a_model(recipe, where, message):
    with pytest.raises(UserError, match=message) as caught:
        two_models(recipe)
    assert caught.value.where == where
