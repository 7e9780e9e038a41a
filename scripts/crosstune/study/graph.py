"""The nodes of a study: checkpoints and runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from crosstune.study.schedules import Schedule


@dataclass(frozen=True)
class Checkpoint:
    """One folder with weights: a base model, a stage, or an average. `path` is relative to the project."""

    path: str
    spec: dict
    parents: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    evaluate: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    threads: int = 1
    keep_optimizer: bool = False
    held_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One schedule of one track, with one model and one seed; `stages` are checkpoint paths, the last is final.

    `fold`: of the track's data sets that are split in several ways, which it trains and is scored on; 0 without any.
    """

    model: str
    seed: int
    track: str
    schedule: Schedule
    stages: tuple[str, ...]
    fold: int = 0
