"""Cells: one number of a study with its value in every run."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

from crosstune.analysis.terms import mean

Run = TypeVar("Run")


class Replicate(NamedTuple):
    """The identity of a run within its schedule: its seed and, if the data are split in folds, its fold (from 1)."""

    seed: int
    fold: int = 0

    def __str__(self) -> str:
        """`1`, or `1/2` for the second fold of seed 1."""
        return f"{self.seed}/{self.fold}" if self.fold else str(self.seed)


def replicate(run: dict) -> Replicate:
    """The replicate of a planned run."""
    return Replicate(run["seed"], run.get("fold", 0))


@dataclass(frozen=True)
class Cell:
    """One number per run. `planned_runs`: how many runs should give one; 0 if the number needs no run.

    `diverged`: the runs without a number because the loss of their training became NaN or infinite.
    `resolution`: the standard deviation of a number whose scores each come out differently by one example in half of
    the runs. Equal numbers do not show a smaller one.
    """

    values: dict[Replicate, float]
    planned_runs: int
    diverged: frozenset[Replicate] = frozenset()
    resolution: float = 0.0

    @cached_property
    def mean(self) -> float | None:
        return statistics.fmean(self.values.values()) if self.values else None

    @cached_property
    def sd(self) -> float | None:
        """Sample standard deviation over runs (n - 1), None below two."""
        return statistics.stdev(self.values.values()) if len(self.values) > 1 else None

    @property
    def missing_runs(self) -> int:
        return self.planned_runs - len(self.values) if self.planned_runs else 0

    def difference(self, other: "Cell") -> "Cell":
        """The differences self - other, run by run, over the runs that both have."""
        differences = {run: value - other.values[run] for run, value in self.values.items() if run in other.values}
        resolution = max(self.resolution, other.resolution)
        return Cell(differences, self.planned_runs, self.diverged | other.diverged, resolution)

    def average_folds(self, folds: int) -> "Cell":
        """The means over `folds` folds: one number per seed that has a number in every fold."""
        by_seed: dict[Replicate, list[float]] = {}
        for run, value in self.values.items():
            by_seed.setdefault(Replicate(run.seed), []).append(value)
        means = {seed: mean(values) for seed, values in by_seed.items() if len(values) == folds}
        diverged = frozenset(Replicate(run.seed) for run in self.diverged) - means.keys()
        return Cell(means, self.planned_runs // folds, diverged, self.resolution / math.sqrt(folds))


def mean_cell(cells: Sequence[Cell], planned_runs: int) -> Cell:
    """The means of several cells, run by run, over the runs that all of them have."""
    runs = [run for run in cells[0].values if all(run in cell.values for cell in cells)]
    means = {run: mean(cell.values[run] for cell in cells) for run in runs}
    resolution = math.hypot(*(cell.resolution for cell in cells)) / len(cells)
    return Cell(means, planned_runs, frozenset().union(*(cell.diverged for cell in cells)), resolution)


def language_means(
    scores: Mapping[Replicate, Mapping[str, dict]], languages: Sequence[str], metric: str, pooled: bool
) -> dict[Replicate, float]:
    """The mean over `languages`, by their examples if `pooled`, of every run that has scores in all of them."""
    means = {}
    for run, by_language in scores.items():
        if languages and all(lang in by_language for lang in languages):
            entries = [by_language[lang] for lang in languages]
            weights = [entry["n"] if pooled else 1 for entry in entries]
            means[run] = mean([entry[metric] for entry in entries], weights)
    return means


def example_resolution(examples: Sequence[int]) -> float:
    """The `resolution` of a mean over languages with these numbers of examples, in points."""
    return math.hypot(*(100 / number for number in examples)) / len(examples) / 2


def collapsed_runs(scores: Mapping[Run, float], baseline: float) -> list[Run]:
    """The runs of a schedule that gained less than half of what its best run did, over a trivial baseline.

    A schedule that gains nothing on average has no collapsed runs: it has not learned.
    """
    gains = {run: score - baseline for run, score in scores.items()}
    if not gains or sum(gains.values()) <= 0:
        return []
    return [run for run, gain in gains.items() if gain < max(gains.values()) / 2]
