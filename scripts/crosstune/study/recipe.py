"""Recipes: merging a stage's recipe into its track's, and checking the contrastive keys."""

from collections.abc import Collection, Mapping

from crosstune.artifacts.choice import SWEEP
from crosstune.core.errors import UserError

CONTRASTIVE = "contrastive"
# Keys of a recipe with keys below.
NESTED = (CONTRASTIVE, "freeze")
# Keys of a recipe that act on the schedule tree: the specs of stages have what follows from them.
TREE_KEYS = ("lr_schedule_over",)


def merge_recipe(recipe: Mapping, changes: Mapping) -> dict:
    """The recipe of a stage: its changes replace keys of the track's recipe, one by one also below nested keys."""
    merged = {**recipe, **changes}
    return merged | {key: {**recipe[key], **changes[key]} for key in NESTED if key in recipe and key in changes}


def stage_recipe(recipe: Mapping, changes: Mapping) -> dict:
    """The recipe in the spec of a stage: that of its track with the stage's changes, without keys of the tree."""
    return {key: value for key, value in merge_recipe(recipe, changes).items() if key not in TREE_KEYS}


def recipe_text(recipe: Mapping) -> str:
    """Keys of a recipe for a person: `lr 1e-05, contrastive.weight 0.5`."""
    flat = {key: value for key, value in recipe.items() if key not in NESTED}
    flat |= {f"{outer}.{key}": value for outer in NESTED for key, value in recipe.get(outer, {}).items()}
    return ", ".join(f"{key} {_value_text(value)}" for key, value in flat.items())


def _value_text(value: object) -> str:
    """A value or, of a sweep, those that were tried: `swept over 1e-05, 3e-05`."""
    if isinstance(value, Mapping) and SWEEP in value:
        return f"swept over {', '.join(map(str, value[SWEEP]))}"
    return str(value)


def own_recipes(models: Mapping[str, Mapping]) -> dict[str, str]:
    """The recipes that models of a config have of their own, as text by model."""
    return {name: recipe_text(model["recipe"]) for name, model in models.items() if model.get("recipe")}


def spans_sequence(recipe: Mapping) -> bool:
    """Whether one learning-rate schedule spans all stages of a sequence."""
    return recipe.get("lr_schedule_over", "stage") == "sequence"


def is_contrastive(recipe: Mapping) -> bool:
    """Whether a training with this recipe has a contrastive loss."""
    return "weight" in recipe.get(CONTRASTIVE, {})


def contrastive_options(recipe: Mapping) -> list[str]:
    """The contrastive keys of a recipe that have no effect without a weight."""
    return [key for key in recipe.get(CONTRASTIVE, {}) if key != "weight"]


def learns_temperature(recipe: Mapping) -> bool:
    """Whether a stage with this recipe leaves a learned temperature among its weights."""
    return is_contrastive(recipe) and "temperature_lr" in recipe[CONTRASTIVE]


def check_contrastive_recipe(recipe: Mapping, shared: Collection[str], tasks: Collection[str], where: str) -> None:
    """UserError if a stage's contrastive keys have no effect, contradict each other or do not fit its task types.

    `shared` are keys that it has from its track, which may be for another stage.
    """
    if not is_contrastive(recipe):
        if own := [key for key in contrastive_options(recipe) if key not in shared]:
            raise UserError(f"{own[0]} has no effect without a weight", where, "contrastive: {weight: 1.0}")
        return
    if "retrieval" in tasks:
        message = "the loss of retrieval is contrastive already"
        raise UserError(message, where, "Leave contrastive out.")
    others = sorted(set(tasks) - {"qa"})
    if others and recipe[CONTRASTIVE].get("pooled_text", "both") != "both":
        raise UserError(f"rows of {others[0]} have no question and context", where, "contrastive: {pooled_text: both}")
    if recipe[CONTRASTIVE].get("mode") == "mucot":
        _check_mucot(recipe[CONTRASTIVE], recipe["lr"], others, where)


def _check_mucot(contrastive: Mapping, lr: float, others: Collection[str], where: str) -> None:
    if others:
        raise UserError(f"mode: mucot is for question answering, not for {others[0]}", where, "Leave mode out.")
    for key, why in (
        ("pooled_text", "averages over all positions"),
        ("self_pairs", "lets every row be its own partner"),
    ):
        if key in contrastive:
            raise UserError(f"mode: mucot {why}, so that {key} has no effect", where, f"Leave {key} out.")
    if "temperature_lr" in contrastive:
        if "temperature" in contrastive:
            message = "mode: mucot learns its temperature from 0.07 on, so that temperature has no effect"
            raise UserError(message, where, "Leave temperature out.")
        if contrastive["temperature_lr"] != lr:
            message = "mode: mucot learns its temperature at the learning rate of the model"
            raise UserError(message, where, f"contrastive: {{temperature_lr: {lr}}}")
