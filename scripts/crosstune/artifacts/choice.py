"""The choice of a sweep: which values of recipe keys score best on validation rows.

A key is swept if its value is `{sweep: [...]}`. Keys are dotted, as in `contrastive.weight`.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crosstune.core.files import read_json

CHOICE = "choice.json"

SWEEP = "sweep"


def swept_keys(recipe: Mapping) -> dict[str, list]:
    """The values of every swept key of a recipe."""
    found: dict[str, list] = {}
    for key, value in recipe.items():
        if isinstance(value, Mapping):
            inner = {f"{key}.{name}": values for name, values in swept_keys(value).items()}
            found |= {key: value[SWEEP]} if SWEEP in value else inner
    return found


def resolve_recipe(recipe: Mapping, values: Mapping[str, Any], prefix: str = "") -> dict:
    """The recipe with the chosen values in place of its sweeps."""
    resolved = {}
    for key, value in recipe.items():
        if isinstance(value, Mapping):
            dotted = f"{prefix}{key}"
            value = values[dotted] if SWEEP in value else resolve_recipe(value, values, f"{dotted}.")
        resolved[key] = value
    return resolved


def chosen_values(choice: Path | None) -> dict[str, Any]:
    """The values in the file of a choice; none without a file."""
    return read_json(choice)["values"] if choice else {}


def choose(grid: Sequence[Mapping[str, Any]], manifests: Sequence[Sequence[Path]], seeds: Sequence[int]) -> dict:
    """The best values of `grid` by the validation scores in `manifests`: of each values those of all seeds.

    A candidate's score is that of the update whose weights it keeps. The highest mean over seeds wins, the first of
    equals.
    """
    candidates = []
    for values, paths in zip(grid, manifests, strict=True):
        scores = [best_score(read_json(path)) for path in paths]
        by_seed = dict(zip(map(str, seeds), scores, strict=True))
        candidates.append({"values": dict(values), "score": statistics.fmean(scores), "scores": by_seed})
    number = max(range(len(grid)), key=lambda n: (candidates[n]["score"], -n))
    select = read_json(manifests[0][0])["spec"]["select"]
    rows = {key: select[key] for key in ("dataset", "languages", "metric")}
    return {"values": dict(grid[number]), "number": number, "candidates": candidates, "validation": rows}


def best_score(manifest: Mapping) -> float:
    """The validation score of a checkpoint: the best of its evaluations, whose weights it keeps."""
    return max(evaluation["score"] for evaluation in manifest["selection"]["looks"])
