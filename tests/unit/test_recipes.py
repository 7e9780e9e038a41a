"""Recipes of tracks, models and stages: what reaches the specs, the folders and the plan."""

import pytest
from helpers.study_config import study

from crosstune.core.errors import UserError

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
