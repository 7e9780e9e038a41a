"""Which keys of a recipe go together.

Owns: mistakes that the schema cannot see, key by key. Must never know: what the keys do to a training.
"""

from collections.abc import Collection, Mapping

from crosstune.core.errors import UserError


def contrast_keys(recipe: Mapping) -> list[str]:
    """The keys of a recipe that say how `contrast` is done."""
    return [key for key in recipe if key.startswith("contrast_") or key == "compat"]


def learns_temperature(recipe: Mapping) -> bool:
    """Whether a stage with this recipe leaves a learned temperature among its weights."""
    return "contrast" in recipe and "contrast_temperature_lr" in recipe


def check_contrast(recipe: Mapping, shared: Collection[str], tasks: Collection[str], place: str) -> None:
    """UserError where a stage's keys of contrast do nothing, contradict each other or do not fit its task types.

    `shared` are keys that it has of its track, where they may be for another stage.
    """
    if "contrast" not in recipe:
        if own := [key for key in contrast_keys(recipe) if key not in shared]:
            raise UserError(f"{own[0]} does nothing without contrast", place, "contrast: 1.0")
        return
    if "retrieval" in tasks:
        message = "contrast is not for retrieval, whose pairs are contrasted anyway"
        raise UserError(message, place, "Leave contrast out.")
    others = sorted(set(tasks) - {"qa"})
    if others and recipe.get("contrast_parts", "both") != "both":
        raise UserError(f"rows of {others[0]} have no question and context", place, "contrast_parts: both")
    if recipe.get("compat") == "mucot":
        _check_mucot(recipe, others, place)


def _check_mucot(recipe: Mapping, others: Collection[str], place: str) -> None:
    if others:
        raise UserError(f"compat: mucot is for question answering, not for {others[0]}", place, "Leave compat out.")
    for key, why in (
        ("contrast_parts", "averages over all positions"),
        ("contrast_self", "lets every row be its own partner"),
    ):
        if key in recipe:
            raise UserError(f"compat: mucot {why}, so that {key} means nothing", place, f"Leave {key} out.")
    if "contrast_temperature_lr" in recipe:
        if "contrast_temperature" in recipe:
            message = "compat: mucot learns its temperature from 0.07 on, so that contrast_temperature means nothing"
            raise UserError(message, place, "Leave contrast_temperature out.")
        if recipe["contrast_temperature_lr"] != recipe["lr"]:
            message = "compat: mucot learns its temperature at the learning rate of the model"
            raise UserError(message, place, f"contrast_temperature_lr: {recipe['lr']}")
