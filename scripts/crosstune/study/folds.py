"""The folds of a study: data sets that are split in several ways."""

from collections.abc import Iterable

from crosstune.core.errors import UserError
from crosstune.data.record import fold_name
from crosstune.data.registry import Registry


def fold_dataset(registry: Registry, dataset: str, fold: int) -> str:
    """The name of a data set in a fold; its own if it is not split in several ways."""
    return fold_name(dataset, fold) if fold and registry.folds(dataset) else dataset


def track_folds(registry: Registry, track: str, datasets: Iterable[str]) -> tuple[int, ...]:
    """The folds that a track's data sets are split into, from 1; (0,) if there are none."""
    numbers = {name: folds.number for name in sorted(datasets) if (folds := registry.folds(name))}
    if len(set(numbers.values())) > 1:
        listing = ", ".join(f"{name} {number}" for name, number in numbers.items())
        message = f"its data sets are split in different numbers of ways: {listing}"
        raise UserError(message, f"tracks.{track}", "Give them tracks of their own.")
    return tuple(range(1, max(numbers.values()) + 1)) if numbers else (0,)
