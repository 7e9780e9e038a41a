"""Sweeps of recipe keys: their grids, and the schedules that try each of the values or train with the chosen ones."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from crosstune.artifacts.choice import swept_keys
from crosstune.core.errors import UserError
from crosstune.core.schema import check_part
from crosstune.study.graph import Sweep, Track
from crosstune.study.schedules import Schedule

# Values in a grid; each is a training of every schedule.
MOST_VALUES = 64


def grid_of(recipe: Mapping) -> tuple[dict[str, Any], ...]:
    """All combinations of the values of a recipe's swept keys; none if no key is swept."""
    keys = swept_keys(recipe)
    return tuple(dict(zip(keys, values, strict=True)) for values in itertools.product(*keys.values())) if keys else ()


def candidate_schedule(schedule: Schedule, values: Mapping[str, Any]) -> Schedule:
    """The schedule with some values in the recipe of every stage that has none of its own."""
    stages = (replace(s, recipe=tuple(sorted({**values, **dict(s.recipe)}.items()))) for s in schedule.stages)
    return replace(schedule, stages=tuple(stages))


def chosen_schedule(schedule: Schedule) -> Schedule:
    """The schedule with the values that are chosen for it."""
    return replace(schedule, stages=tuple(replace(stage, chosen_for=schedule.name) for stage in schedule.stages))


def search_seeds(config: Mapping, track: Track) -> tuple[int, ...]:
    """The seeds whose validation scores choose."""
    every = (track.config.get("select") or {}).get("sweep_seeds", "first") == "all"
    return tuple(config["seeds"] if every else config["seeds"][:1])


def check_sweeps(config: Mapping, schema: Path) -> None:
    """UserError for a value of a sweep that the swept key cannot have, or for a grid that is too large.

    Sweeps are in the recipes of tracks and models: the grid is the same for every schedule.
    """
    for where, recipe in _recipes(config):
        for key, values in swept_keys(recipe).items():
            outer, _, inner = key.rpartition(".")
            for value in values:
                part = {outer: {inner: value}} if outer else {key: value}
                check_part(part, "recipe", schema, f"{where}.{key}.sweep")
        if (size := len(grid_of(recipe))) > MOST_VALUES:
            fix = f"At most {MOST_VALUES} make sense."
            raise UserError(f"{size} combinations of values, and each is a training of every schedule", where, fix)


def _recipes(config: Mapping) -> Iterator[tuple[str, Mapping]]:
    for name, track in config["tracks"].items():
        yield f"tracks.{name}.recipe", track["recipe"]
    for name, model in config["models"].items():
        yield f"models.{name}.recipe", model.get("recipe", {})


def check_searched(track: Track, schedule: Schedule, candidates: list[Schedule], selects: bool) -> None:
    """UserError if a schedule has nothing that a sweep varies, or no validation scores at its end (not `selects`).

    Neither may test rows be scored during the search.
    """
    where = f"tracks.{track.name}.schedules.{schedule.name}"
    keys = ", ".join(swept_keys(track.config["recipe"]))
    if len({candidate.folders for candidate in candidates}) < len(candidates):
        message = f"every stage has its own {keys}, so that the sweep of the recipe changes nothing"
        raise UserError(message, where, f"Leave {keys} out of a stage, or take the schedule to another track.")
    if (track.config.get("select") or {}).get("log_test_scores"):
        message = f"log_test_scores would score test rows with every {keys}, and only the chosen ones are tested"
        raise UserError(message, f"tracks.{track.name}.select.log_test_scores", "log_test_scores: false")
    if not selects:
        message = f"a sweep of {keys} needs scores on validation rows after the last stage, and there are none"
        fix = "Let the last stage train on the data set of `select`, for example:\nselect: {dataset: squad, every: 100}"
        raise UserError(message, where, fix)


def sweep_lines(sweeps: Mapping[str, Sweep], track: str) -> Iterator[str]:
    """Lines for the user on the sweeps of a track: keys with values, seeds, trainings."""
    of_models: dict[str, list[Sweep]] = {}
    for sweep in sweeps.values():
        if sweep.track == track:
            of_models.setdefault(sweep.model, []).append(sweep)
    for model, own in of_models.items():
        keys = {key: dict.fromkeys(values[key] for values in own[0].grid) for key in own[0].grid[0]}
        text = "; ".join(f"{key} {', '.join(f'{value:g}' for value in values)}" for key, values in keys.items())
        seeds = ", ".join(map(str, own[0].seeds))
        yield f"  {model} sweeps {text}: each schedule takes the best on validation rows, of seed {seeds}"
