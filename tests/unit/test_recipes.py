"""Recipes of tracks, models and stages: what reaches the specs, the folders and the plan. Sweeps and their choices."""

from itertools import product

import pytest
from helpers.study_config import STUDY, study

from crosstune.analysis.results import StudyResults
from crosstune.artifacts.choice import choose, resolve_recipe, swept_keys
from crosstune.core.errors import UserError
from crosstune.core.files import write_json
from crosstune.reporting.tables.sweeps import chosen_sentences, sweep_tables
from crosstune.study.plan import plan_of
from crosstune.study.recipe import recipe_text
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


# --- sweeps ----------------------------------------------------------------------------------------------------------

SELECT = {"dataset": "worldqa", "every": 20}
SWEEP = {"lr": {"sweep": [1e-3, 3e-3]}, "dropout": 0.0}


def swept(recipe=SWEEP, **changes):
    return study(tracks__qa__recipe=recipe, **{"tracks__qa__select": SELECT, **changes})


def test_candidates_train_with_the_first_seed_and_are_not_tested():
    found = swept()
    candidates = {path: node for path, node in found.checkpoints.items() if "~lr=" in path}
    assert len(candidates) == 2 * (1 + 1 + 3) and all("/seed1/" in path for path in candidates)
    assert not any(node.evaluate for node in candidates.values())
    for path, node in candidates.items():
        assert f"~lr={node.spec['recipe']['lr']:g}" in path and node.spec["recipe"]["dropout"] == 0.0
    finals = [found.checkpoints[run.stages[-1]] for run in found.runs if run.schedule.stages]
    assert all(node.evaluate and node.spec["recipe"]["lr"] == SWEEP["lr"] for node in finals)


def test_every_seed_of_a_schedule_has_the_choice_of_the_first():
    found = swept()
    for name in ("english", "joint", "sequential"):
        stages = [found.checkpoints[path] for run in found.runs if run.schedule.name == name for path in run.stages]
        assert len({node.choice for node in stages}) == 1
        assert (
            stages[0].choice
            == f"{found.runs[0].stages[0].partition('/qa/')[0]}/qa/"
            + "/".join(next(node.location.stages for node in stages if node.choice.startswith(f"{node.path}/choice")))
            + "/choice.json"
        )
    assert len(found.sweeps) == 3 and len(plan_of(found)["sweeps"]) == 3


def test_all_seeds_can_choose():
    found = swept(tracks__qa__select={**SELECT, "sweep_seeds": "all"})
    for choice, sweep in found.sweeps.items():
        assert sweep.seeds == (1, 2) and [len(paths) for paths in sweep.candidates] == [2, 2]
        assert all(path in found.checkpoints for paths in sweep.candidates for path in paths)
        assert "/seed1/" in choice
    specs = [node.spec for node in found.checkpoints.values() if node.choice]
    assert {tuple(spec["sweep_seeds"]) for spec in specs} == {(1, 2)}, "another seed is another search"


def test_several_sweeps_are_a_grid_and_a_stages_own_value_stays():
    recipe = {"lr": {"sweep": [1e-3, 3e-3]}, "contrastive": {"weight": {"sweep": [0.5, 1]}}}
    stages = ["qen + qes", {"train": "qfr", "lr": 1e-4}]
    found = swept(recipe, tracks__qa__schedules={"a": stages})
    (sweep,) = found.sweeps.values()
    assert [tuple(values.values()) for values in sweep.grid] == list(product([1e-3, 3e-3], [0.5, 1]))
    last = [found.checkpoints[path].spec["recipe"] for (path,) in sweep.candidates]
    assert [recipe["lr"] for recipe in last] == [1e-4] * 4
    assert [recipe["contrastive"]["weight"] for recipe in last] == [0.5, 1, 0.5, 1]
    assert swept_keys(recipe) == {"lr": [1e-3, 3e-3], "contrastive.weight": [0.5, 1]}
    assert resolve_recipe(recipe, sweep.grid[2]) == {"lr": 3e-3, "contrastive": {"weight": 0.5}}


def test_an_average_is_of_members_with_their_own_choices():
    schedules = {"a": ["qen"], "b": ["qes"], "merged": {"average": ["a", "b"]}}
    found = swept(tracks__qa__schedules=schedules)
    (merged,) = (run.stages[-1] for run in found.runs if (run.schedule.name, run.seed) == ("merged", 1))
    finals = {run.stages[-1] for run in found.runs if run.schedule.name in ("a", "b") and run.seed == 1}
    assert set(found.checkpoints[merged].parents) == finals and len(found.sweeps) == 2


def test_a_model_can_have_a_sweep_of_its_own():
    found = two_models(SWEEP, tracks__qa__select=SELECT)
    assert {sweep.model for sweep in found.sweeps.values()} == {"large"}
    lines = summary(found, RetentionPolicy(found))
    assert any("large sweeps lr 0.001, 0.003" in line for line in lines)
    # Two pretrainings; with two seeds five stages of tiny; ten candidates of large, and five chosen stages of seed 2.
    assert "16 runs share 27 trainings" in lines


def test_candidates_stay_until_their_schedule_is_trained():
    found = swept(keep_weights="final")
    policy = RetentionPolicy(found)
    chosen = {path: node for path, node in found.checkpoints.items() if node.candidates}
    for path, node in chosen.items():
        for candidate in node.candidates:
            assert candidate in policy.removable and f"{path}/stage.json" in policy.consumers(candidate)
            assert policy.training_priority[candidate] > policy.training_priority[path]


@pytest.mark.parametrize(
    ("changes", "where", "message"),
    [
        ({"recipe": {"lr": {"sweep": [1e-3, -1]}}}, "tracks.qa.recipe.lr.sweep", "-1 does not fit"),
        ({"recipe": {"lr": {"sweep": [1e-3]}}}, "tracks.qa.recipe.lr.sweep", "at least 2 entries"),
        ({"recipe": {"lr": {"sweep": [1, 1]}}}, "tracks.qa.recipe.lr.sweep", "given twice"),
        ({"recipe": {"lr": {"sweeps": [1, 2]}}}, "tracks.qa.recipe.lr", "does not fit"),
        ({"recipe": {"lr": [1e-3, 3e-3]}}, "tracks.qa.recipe.lr", "expected a number or a mapping"),
        ({"recipe": {"dropout": {"sweep": [0.1, 1]}}}, "tracks.qa.recipe.dropout.sweep", "1 does not fit"),
        ({"recipe": {"optimizer": {"sweep": ["reset", "carry"]}}}, "tracks.qa.recipe.optimizer", "does not fit"),
        ({"tracks__qa__select": None}, "tracks.qa.schedules.english", "needs scores on validation rows"),
        (
            {"tracks__qa__schedules": {"a": [{"train": "qen", "lr": 1e-4}]}},
            "tracks.qa.schedules.a",
            "every stage has its own lr",
        ),
        (
            {"tracks__qa__schedules": {"a": [{"train": "qen", "lr": {"sweep": [1, 2]}}]}},
            "tracks.qa.schedules.a[0].lr",
            "expected a number",
        ),
        (
            {"tracks__qa__select": {**SELECT, "log_test_scores": True}},
            "tracks.qa.select.log_test_scores",
            "only the chosen ones are tested",
        ),
        ({"tracks__qa__select": {**SELECT, "languages": ["qno"]}}, "tracks.qa.select.languages", "qno"),
    ],
)
def test_mistakes_in_a_sweep(changes, where, message):
    with pytest.raises(UserError, match=message) as caught:
        swept(**changes)
    assert caught.value.where == where


def test_the_languages_that_select_can_be_those_that_train():
    select = {**SELECT, "languages": "trained"}
    found = swept(tracks__qa__select=select, tracks__qa__schedules={"a": ["qen"]})
    assert {tuple(n.spec["select"]["languages"]) for n in found.checkpoints.values() if n.choice} == {("qen",)}


@pytest.fixture
def candidates(tmp_path):
    """Write manifests of candidates with a validation score, or one for each of their evaluations, and a test score."""

    def write(*scores):
        paths = []
        for number, looks in enumerate(scores):
            looks = looks if isinstance(looks, list) else [looks]
            scores = {"validation": {"qen": {"f1": 1}}, "test": {"qen": {"f1": 100 - number}}}
            select = {"dataset": "worldqa~held5", "languages": ["qen"], "metric": "qa"}
            found = [{"update": n, "score": score, "scores": scores} for n, score in enumerate(looks)]
            paths.append(tmp_path / f"{number}/stage.json")
            write_json(paths[-1], {"spec": {"select": select}, "selection": {"looks": found}})
        return paths

    return write


GRID = [{"lr": 1e-5}, {"lr": 3e-5}, {"lr": 5e-5}]


def test_the_best_mean_over_seeds_is_chosen_by_the_update_that_is_kept(candidates):
    paths = candidates(10, 20, [40, 0], 20, 9, 50)
    choice = choose(GRID, [paths[:2], paths[2:4], paths[4:]], [1, 2])
    assert choice["values"] == {"lr": 3e-5} and choice["number"] == 1
    assert [candidate["score"] for candidate in choice["candidates"]] == [15, 30, 29.5]
    assert choice["candidates"][1]["scores"] == {"1": 40, "2": 20}


def test_of_equal_candidates_the_first_is_chosen(candidates):
    assert choose(GRID, [[path] for path in candidates(10, 20, 20)], [1])["number"] == 1


def test_tables_and_the_report_name_the_chosen_values(candidates, tmp_path):
    write_json(tmp_path / "a/choice.json", choose(GRID, [[path] for path in candidates(10, 20.26, 30)], [1]))
    sweep = {"model": "tiny", "track": "qa", "schedule": "joint", "seeds": [1]}
    entries = [{**sweep, "choice": "a/choice.json"}, {**sweep, "schedule": "late", "choice": "b/choice.json"}]
    plan = {"models": ["tiny"], "tracks": {"qa": {"schedules": ["joint", "late"]}}}
    results = StudyResults(plan | {"sweeps": entries}, {}, {})
    (table,) = sweep_tables(results, tmp_path)
    assert table.head == ["schedule", "lr 1e-05", "lr 3e-05", "lr 5e-05"]
    assert table.rows == [["joint", "10.0", "20.3", "30.0*"]]
    (sentence,) = chosen_sentences(results, tmp_path)
    assert "joint: lr 5e-05 (SQuAD v1.1 F1 30.0 on validation rows, at the edge of the values" in sentence
    assert table.caption.endswith("At the edge of the values that were tried: joint.")
    assert sweep_tables(StudyResults({}, {}, {}), tmp_path) == []


def test_captions_name_the_values_of_a_sweep():
    assert recipe_text({"lr": {"sweep": [1e-3, 3e-3]}, "warmup": 0.1}) == "lr swept over 0.001, 0.003, warmup 0.1"


def test_tables_of_sweeps_show_display_names_in_their_order(candidates, tmp_path):
    plan = {
        "models": ["large", "tiny"],
        "tracks": {"qa": {"schedules": ["single", "joint"]}, "pos": {"schedules": ["joint", "single"]}},
    }
    entries = []
    for model, track, schedule in product(("tiny", "large"), ("pos", "qa"), ("joint", "single")):
        choice = f"{model}/{track}/{schedule}.json"
        write_json(tmp_path / choice, choose(GRID, [[path] for path in candidates(1, 3, 2)], [1]))
        entries.append({"model": model, "track": track, "schedule": schedule, "seeds": [1], "choice": choice})
    names = {
        "models": {"large": "Large model"}, "schedules": {"single": "English alone"}, "languages": {"qen": "English"},
        "datasets": {"worldqa": "Invented QA"},
    }  # fmt: skip
    results = StudyResults(plan | {"sweeps": entries, "names": names}, {}, {})
    tables = sweep_tables(results, tmp_path)
    assert [table.name for table in tables] == ["sweep.qa.large", "sweep.pos.large", "sweep.qa.tiny", "sweep.pos.tiny"]
    assert [[row[0] for row in table.rows] for table in tables[:2]] == [
        ["English alone", "joint"], ["joint", "English alone"]
    ]  # fmt: skip
    assert tables[0].title == "Sweep: qa, Large model"
    assert "Model Large model, track qa" in tables[0].caption
    assert "on validation rows of Invented QA (English)" in tables[0].caption
    assert "edge" not in tables[0].caption
    assert chosen_sentences(results, tmp_path)[0].startswith("qa, Large model, English alone: lr 3e-05 (")


# --- patience --------------------------------------------------------------------------------------------------------

UNMATCHED = {"updates": 60, "tokens": 512, "matched": False}


def test_patience_needs_a_budget_that_allows_different_costs_and_is_told():
    select = {**SELECT, "patience": 3}
    with pytest.raises(UserError, match="with patience stages stop at different updates") as caught:
        study(tracks__qa__select=select)
    assert caught.value.where == "tracks.qa.select.patience"
    assert "budget: {updates: 60, tokens: 512, matched: false}" in caught.value.fix
    found = study(tracks__qa__select=select, tracks__qa__budget=UNMATCHED)
    assert all(spec["select"]["patience"] == 3 for spec in specs_of(found))
    lines = summary(found, RetentionPolicy(found))
    assert "  a stage stops after 3 evaluations without a higher validation score: costs differ by schedule" in lines
    assert plan_of(found)["tracks"]["qa"]["patience"] == 3


def test_without_patience_no_spec_has_the_key():
    assert all("patience" not in spec["select"] for spec in specs_of(study(tracks__qa__select=SELECT)))
