"""The folds of a study: data sets that are split in several ways, and schedules of one fold."""

from collections.abc import Iterable
from dataclasses import replace

from crosstune.core.errors import UserError
from crosstune.data.record import fold_name
from crosstune.data.registry import Registry
from crosstune.study.paths import Source
from crosstune.study.schedules import Schedule


def fold_dataset(registry: Registry, dataset: str, fold: int) -> str:
    """The name of a data set in a fold; its own if it is not split in several ways."""
    return fold_name(dataset, fold) if fold and registry.folds(dataset) else dataset


def fold_schedule(registry: Registry, schedule: Schedule, fold: int) -> Schedule:
    """The schedule with the sources of a fold."""

    def source(name: str) -> str:
        dataset, language = Source.parse(name)
        return str(Source(fold_dataset(registry, dataset, fold), language))

    stages = tuple(replace(stage, sources=tuple(map(source, stage.sources))) for stage in schedule.stages)
    members = tuple(fold_schedule(registry, member, fold) for member in schedule.members)
    return replace(schedule, stages=stages, members=members)


def track_folds(registry: Registry, track: str, datasets: Iterable[str]) -> tuple[int, ...]:
    """The folds that a track's data sets are split into, from 1; (0,) if there are none."""
    numbers = {name: folds.number for name in sorted(datasets) if (folds := registry.folds(name))}
    if len(set(numbers.values())) > 1:
        listing = ", ".join(f"{name} {number}" for name, number in numbers.items())
        message = f"its data sets are split in different numbers of ways: {listing}"
        raise UserError(message, f"tracks.{track}", "Give them tracks of their own.")
    return tuple(range(1, max(numbers.values()) + 1)) if numbers else (0,)
