"""An expanded study as data: its tracks, checkpoints and runs, and the comparisons that it declares."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from crosstune.data.registry import Language, Registry
from crosstune.study.paths import CheckpointPath, study_name
from crosstune.study.recipe import merge_recipe
from crosstune.study.schedules import Schedule


@dataclass(frozen=True)
class Checkpoint:
    """One folder with weights: a base model, a stage, or an average. `path` is relative to the project.

    `evaluate`: the languages of every data set to evaluate it on, by the name of the data set or fold.
    `heads`: the name of the head that predicts each of these data sets.
    `data`, `held_out`: manifests of its training rows and of the rows that it is evaluated on during training.
    `choice`: the file with the chosen values, if its recipe has sweeps. `candidates`: the same stage with each of the
    values, for a seed that the choice is made with.
    """

    path: str
    spec: dict
    parents: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    evaluate: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    threads: int = 1
    keep_optimizer: bool = False
    held_out: tuple[str, ...] = ()
    heads: Mapping[str, str] = field(default_factory=dict)
    choice: str = ""
    candidates: tuple[str, ...] = ()

    @property
    def is_given(self) -> bool:
        """Whether it is a finished model, of the hub or of a folder, which nothing here trains."""
        return self.is_fetched or "folder_sha256" in self.spec

    @property
    def is_fetched(self) -> bool:
        """Whether it is a model of the hub."""
        return "hub" in self.spec

    @property
    def location(self) -> CheckpointPath:
        """The parts of its path; it fails for a given model, which all studies share."""
        return CheckpointPath.parse(self.path)


@dataclass(frozen=True)
class Run:
    """One schedule of one track, with one model and one seed; `stages` are checkpoint paths, the last is final.

    `fold`: the fold that it trains and is evaluated on, if the track's data sets are split in several ways; else 0.
    """

    model: str
    seed: int
    track: str
    schedule: Schedule
    stages: tuple[str, ...]
    fold: int = 0


@dataclass(frozen=True)
class Sweep:
    """The search for values of recipe keys for one schedule, with one model, and in one fold if there are folds.

    `grid`: values by key. `candidates`: of each values the final checkpoints, one for each of `seeds`.
    """

    model: str
    track: str
    schedule: str
    fold: int
    seeds: tuple[int, ...]
    grid: tuple[dict, ...]
    candidates: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Track:
    """A family of schedules, and the data sets and languages of their evaluation.

    `folds`: the numbers of the folds that its data sets are split into, from 1; (0,) if there are none. `parts`: for
    evaluated data sets of which a part is evaluated, what the name of the part has behind theirs.
    """

    name: str
    config: Mapping
    schedules: tuple[Schedule, ...]
    evaluate: Mapping[str, tuple[str, ...]]
    folds: tuple[int, ...] = (0,)
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def schedule_names(self) -> list[str]:
        return [schedule.name for schedule in self.schedules]

    def scores_every_stage(self, dataset: str) -> bool:
        """Whether an evaluated data set is scored after every stage, instead of the last one of each schedule."""
        entry = self.config["evaluate"][dataset]
        own = entry.get("score") if isinstance(entry, Mapping) else None
        return (own or self.config["score"]) == "all"

    def of_model(self, model: Mapping) -> "Track":
        """The track as a model of the config trains it: keys of the model's recipe replace those of the track's."""
        recipe = merge_recipe(self.config["recipe"], model.get("recipe", {}))
        return replace(self, config={**self.config, "recipe": recipe})


@dataclass(frozen=True)
class Expansion:
    """A config with everything that follows from it: tracks, checkpoints by path, runs."""

    config: Mapping
    registry: Registry
    languages: Mapping[str, Language]
    tracks: Mapping[str, Track]
    checkpoints: Mapping[str, Checkpoint]
    runs: tuple[Run, ...]
    # By the file of the choice.
    sweeps: Mapping[str, Sweep] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of its folder of results: the study's, or that of its pilot."""
        return study_name(self.config)

    @property
    def results(self) -> str:
        """The study's folder of results."""
        return f"results/{self.name}"

    @cached_property
    def children(self) -> dict[str, list[str]]:
        """The checkpoints with each checkpoint as a parent or candidate."""
        children: dict[str, list[str]] = {}
        for path, node in self.checkpoints.items():
            for parent in (*node.parents, *node.candidates):
                children.setdefault(parent, []).append(path)
        return children

    def lineage(self, path: str) -> list[str]:
        """A checkpoint after its ancestors, without the base model; of an average all members with theirs."""
        lineage: dict[str, None] = {}
        for parent in self.checkpoints[path].parents:
            if self.checkpoints[parent].parents:
                lineage.update(dict.fromkeys(self.lineage(parent)))
        return [*lineage, path]


@dataclass(frozen=True)
class Study(Expansion):
    """An expansion with the comparisons that the config declares, as plan.json has them."""

    contrasts: tuple[dict, ...] = ()
    averages: Mapping[str, list[dict]] = field(default_factory=dict)
    published: tuple[dict, ...] = ()
    tables: tuple[dict, ...] = ()
    buckets: tuple[dict, ...] = ()
    figures: tuple[dict, ...] = ()
    claims: tuple[dict, ...] = ()
