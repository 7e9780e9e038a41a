"""A study's plan and scores, gathered into one place and asked by name.

Owns: finding the scores of every run, averaging over languages, keeping seeds apart and missing runs in view.
Must never know: how numbers are printed.
"""

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.data.record import fold_name
from crosstune.evaluation.metrics import Metric, metric_named

UNTRAINED = "untrained"

"""The schedule that trains nothing: the base model with a new head."""

FINAL = -1

"""The stage that a schedule ends with."""

DIVERGED = "resume/diverged.json"

"""What a training leaves in its stage's folder when its loss is no number any more."""

Replicate = int | tuple[int, int]

"""What tells the runs of one schedule apart: the seed, or where its data are split in several ways seed and fold."""


def replicate(run: dict) -> Replicate:
    return (run["seed"], run["fold"]) if "fold" in run else run["seed"]


@dataclass(frozen=True)
class Cell:
    """One number per run. `expected` counts the runs that should have given one; 0 means that no run was needed.

    `diverged`: the runs that gave none because the loss of their training was no number any more.
    """

    values: dict[Replicate, float]
    expected: int
    diverged: frozenset[Replicate] = frozenset()

    @cached_property
    def mean(self) -> float | None:
        return statistics.fmean(self.values.values()) if self.values else None

    @cached_property
    def sd(self) -> float | None:
        """Sample standard deviation over runs (n - 1), None below two."""
        return statistics.stdev(self.values.values()) if len(self.values) > 1 else None

    @property
    def missing(self) -> int:
        return self.expected - len(self.values) if self.expected else 0

    def minus(self, other: "Cell") -> "Cell":
        """The differences run by run, over the seeds (and folds) that both have."""
        runs = [run for run in self.values if run in other.values]
        differences = {run: self.values[run] - other.values[run] for run in runs}
        return Cell(differences, self.expected, self.diverged | other.diverged)

    def by_seed(self) -> "Cell":
        """The means over folds: one number per seed."""
        found: dict[int, list[float]] = {}
        for run, value in self.values.items():
            found.setdefault(run[0] if isinstance(run, tuple) else run, []).append(value)
        diverged = frozenset(run[0] if isinstance(run, tuple) else run for run in self.diverged) - found.keys()
        return Cell({seed: statistics.fmean(values) for seed, values in found.items()}, len(found), diverged)


@dataclass(frozen=True)
class Stage:
    """One stage of a schedule: `number` from 1, its mixture of sources `dataset.lang` and its updates."""

    number: int
    sources: tuple[str, ...]
    updates: int

    @property
    def languages(self) -> list[str]:
        """The languages of its sources, each once; what is replayed from earlier stages is no source of its own."""
        return list(dict.fromkeys(source.split(".", 1)[1] for source in self.sources))


@dataclass(frozen=True)
class Study:
    """A plan and the scores that exist, by language: `scores[stage folder, dataset]`, `floors[dataset][baseline]`.

    `looks[stage folder]`: scores along a training, where a published table is made of them. `contrasts`: the results of
    the plan's contrasts, as contrasts.py wrote them, as far as they are there. `distances`: those between languages
    (crosstune.data.language_distances), where the study has them and they exist. `diverged`: folders of stages whose
    training ended because its loss was no number any more.
    """

    plan: dict
    scores: dict[tuple[str, str], dict[str, dict]]
    floors: dict[str, dict[str, dict[str, dict]]]
    looks: dict[str, list[dict]] = field(default_factory=dict)
    contrasts: list[dict] = field(default_factory=list)
    distances: dict | None = None
    diverged: frozenset[str] = frozenset()

    @cached_property
    def runs(self) -> dict[tuple[str, str, str], list[dict]]:
        """The planned runs by model, track and schedule."""
        runs: dict[tuple[str, str, str], list[dict]] = {}
        for run in self.plan["runs"]:
            runs.setdefault((run["model"], run["track"], run["schedule"]), []).append(run)
        return runs

    @cached_property
    def cells(self) -> dict[tuple, Cell]:
        """The cells that its panels have worked out."""
        return {}

    def panels(self) -> list["Panel"]:
        """Every model x track x data set that has runs, the primary track and data set first."""
        planned = {(model, track) for model, track, _ in self.runs}
        panels = [
            Panel(self, model, track, dataset)
            for track, content in self.plan["tracks"].items()
            for dataset in content["evaluate"]
            for model in self.plan["models"]
            if (model, track) in planned
        ]
        return sorted(panels, key=lambda panel: not panel.primary)

    def averages(self) -> list["Average"]:
        """Every average over tasks that the plan names."""
        return [Average(self, name) for name in self.plan.get("averages", {})]

    def primary_panels(self) -> list["Panel"]:
        """The primary track and data set, one panel per model."""
        return [panel for panel in self.panels() if panel.primary]


@dataclass(frozen=True)
class Panel:
    """One model, track and data set of a study: what one table shows."""

    study: Study
    model: str
    track: str
    dataset: str

    @property
    def name(self) -> str:
        return f"{self.track}.{self.dataset}.{self.model}"

    @property
    def primary(self) -> bool:
        """Whether the study's question is answered here."""
        primary = self.study.plan["primary"]
        return (self.track, self.dataset) == (primary["track"], primary["dataset"])

    @property
    def content(self) -> dict:
        """The track as the plan has it."""
        return self.study.plan["tracks"][self.track]

    @property
    def measured(self) -> Metric:
        """How the data set is scored."""
        return metric_named(self.content["metrics"][self.dataset])

    @property
    def labels(self) -> dict[str, str]:
        """The numbers of the data set's metric and their names, the primary one first."""
        return self.measured.labels

    @property
    def metric(self) -> str:
        wanted = self.study.plan["primary"]["metric"]
        return wanted if self.primary and wanted in self.labels else self.measured.primary

    @property
    def schedules(self) -> list[str]:
        """The schedules that end with a head for the data set."""
        return [
            schedule
            for schedule in self.content["schedules"]
            if any(self.dataset in run["evaluated"][FINAL] for run in self.runs(schedule))
        ]

    @property
    def baselines(self) -> list[str]:
        """The trivial answers that were scored on this data set."""
        return list(self.study.floors.get(self.scored(self.folds[0]), {}))

    @cached_property
    def seen(self) -> list[str]:
        """Evaluated languages that some schedule of the track trains on."""
        return [lang for lang in self.content["evaluate"][self.dataset] if lang in self.content["trained"]]

    @cached_property
    def unseen(self) -> list[str]:
        return [lang for lang in self.content["evaluate"][self.dataset] if lang not in self.content["trained"]]

    @property
    def languages(self) -> list[str]:
        return self.seen + self.unseen

    @cached_property
    def low(self) -> list[str]:
        """Evaluated languages with few resources."""
        return [lang for lang in self.languages if self.about(lang).get("resource") == "low"]

    @cached_property
    def related(self) -> list[str]:
        """Unseen languages of a family that some trained language belongs to."""
        return [lang for lang in self.unseen if self.family(lang) in self.trained_families]

    @cached_property
    def unrelated(self) -> list[str]:
        return [lang for lang in self.unseen if self.family(lang) not in self.trained_families]

    @cached_property
    def trained_families(self) -> set[str]:
        return {self.family(lang) for lang in self.content["trained"]}

    @property
    def averages(self) -> dict[str, list[str]]:
        """The macro-averages of the tables: name and languages; empty ones are left out."""
        groups = {"all": self.languages, "seen": self.seen, "unseen": self.unseen, "low": self.low}
        return {name: languages for name, languages in groups.items() if languages}

    @property
    def folds(self) -> list[int]:
        """The folds of the data set; [0] where it is not split in several ways."""
        return folds_of(self.content, self.dataset)

    def scored(self, fold: int) -> str:
        """The name under which the data set is scored in a fold."""
        return scored_name(self.dataset, fold)

    def scores_of(self, run: dict, stage: int) -> dict[str, dict]:
        """The scores of a stage of a run, by language."""
        return self.study.scores.get((run["stages"][stage], self.scored(run.get("fold", 0))), {})

    def about(self, lang: str) -> dict:
        return self.study.plan["languages"].get(lang, {})

    def title(self, lang: str) -> str:
        """`Name (code)`, or the code of a language without a name."""
        name = self.about(lang).get("name")
        return f"{name} ({lang})" if name else lang

    def family(self, lang: str) -> str:
        """The family of a language; one of unknown family is its own."""
        return self.about(lang).get("family") or lang

    def runs(self, schedule: str) -> list[dict]:
        """The planned runs of a schedule, one per seed and fold."""
        return self.study.runs.get((self.model, self.track, schedule), [])

    def stages(self, schedule: str) -> list[Stage]:
        run = self.runs(schedule)[0]
        described = zip(run["mixtures"], run["updates"], strict=True)
        return [Stage(number, tuple(sources), updates) for number, (sources, updates) in enumerate(described, start=1)]

    def trained(self, schedule: str) -> list[str]:
        """The languages that a schedule trains on, in the order of its stages; none for an average of schedules."""
        return list(dict.fromkeys(language for stage in self.stages(schedule) for language in stage.languages))

    def is_scored(self, schedule: str, stage: Stage) -> bool:
        """Whether a stage is scored on the data set: not without a head for it, or where only ends are scored."""
        return any(self.dataset in run["evaluated"][stage.number - 1] for run in self.runs(schedule))

    def short(self, sources: Sequence[str]) -> str:
        """`qen + qes`, or `worldqa.qen + worldpos.qes` where the track trains on several data sets."""
        datasets = {
            source.split(".")[0] for name in self.schedules for stage in self.stages(name) for source in stage.sources
        }
        return " + ".join(source.split(".", 1)[1] if len(datasets) == 1 else source for source in sources)

    def cell(self, schedule: str, languages: Sequence[str], metric: str, stage: int = FINAL) -> Cell:
        """The mean score over `languages` of every run; a run that lacks one of them is missing, not averaged.

        A stage without a head for the data set is not expected to have any.
        """
        return self._cell(schedule, tuple(languages), metric, stage, pooled=False)

    def pooled_cell(self, schedule: str, languages: Sequence[str], metric: str, stage: int = FINAL) -> Cell:
        """The same over all examples of the languages, each of which counts alike."""
        return self._cell(schedule, tuple(languages), metric, stage, pooled=True)

    def _cell(self, schedule: str, languages: tuple[str, ...], metric: str, stage: int, pooled: bool) -> Cell:
        """A cell is worked out once: the same stands in several tables and beside its sidecar."""
        key = (self.model, self.track, self.dataset, schedule, languages, metric, stage, pooled)
        if key not in self.study.cells:
            self.study.cells[key] = self._new_cell(schedule, languages, metric, stage, pooled)
        return self.study.cells[key]

    def _new_cell(self, schedule: str, languages: Sequence[str], metric: str, stage: int, pooled: bool) -> Cell:
        def weight(scores: dict) -> float:
            return scores["n"] if pooled else 1

        runs = [run for run in self.runs(schedule) if self.dataset in run["evaluated"][stage]]
        found = {replicate(run): self.scores_of(run, stage) for run in runs}
        values = {
            key: weighted_mean([scores[lang] for lang in languages], metric, weight)
            for key, scores in found.items()
            if all(lang in scores for lang in languages)
        }
        diverged = {replicate(run) for run in runs if self.study.diverged.intersection(upto(run, stage))}
        return Cell(values, len(runs), frozenset(diverged - set(values)))

    @cached_property
    def examples(self) -> dict[str, int]:
        """How many examples of each language are scored, in all folds together; those that nothing has scored lack."""
        known = {
            (self.scored(run.get("fold", 0)), lang): numbers["n"]
            for schedule in self.schedules
            for run in self.runs(schedule)
            for lang, numbers in self.scores_of(run, FINAL).items()
        }
        total: dict[str, int] = {}
        for (_, lang), number in known.items():
            total[lang] = total.get(lang, 0) + number
        return total

    @property
    def can_pool(self) -> bool:
        """Whether a mean over all examples says anything else than the mean over languages."""
        return self.measured.pooled and len({self.examples.get(lang) for lang in self.languages}) > 1

    def floor_cell(self, baseline: str, languages: Sequence[str], metric: str) -> Cell:
        """The same for a trivial answer, which has no seed (it stands under seed 0)."""
        return self._floor_cell(baseline, languages, metric, lambda scores: 1)

    def pooled_floor_cell(self, baseline: str, languages: Sequence[str], metric: str) -> Cell:
        """A trivial answer over all examples of the languages."""
        return self._floor_cell(baseline, languages, metric, lambda scores: scores["n"])

    def _floor_cell(
        self, baseline: str, languages: Sequence[str], metric: str, weight: Callable[[dict], float]
    ) -> Cell:
        found = {fold: self.study.floors.get(self.scored(fold), {}).get(baseline, {}) for fold in self.folds}
        return Cell(
            {
                (0, fold) if fold else 0: weighted_mean([scores[lang] for lang in languages], metric, weight)
                for fold, scores in found.items()
                if all(lang in scores for lang in languages)
            },
            expected=0,
        )

    def best_floor(self, languages: Sequence[str], metric: str) -> float | None:
        """The mean over `languages` of the best that a trivial answer or the untrained model gets in each of them."""
        floors = [self.floors_of(lang, metric) for lang in languages]
        return statistics.fmean(map(max, floors)) if floors and all(floors) else None

    def floors_of(self, lang: str, metric: str) -> list[float]:
        """What every baseline and the untrained model get in one language."""
        cells = [self.floor_cell(baseline, [lang], metric) for baseline in self.baselines]
        if UNTRAINED in self.schedules:
            cells.append(self.cell(UNTRAINED, [lang], metric))
        return [cell.mean for cell in cells if cell.mean is not None]

    def missing_runs(self) -> tuple[int, int]:
        """How many runs lack a final score of some language, and how many were planned."""
        cells = [self.cell(schedule, self.languages, self.metric) for schedule in self.schedules]
        return sum(cell.missing for cell in cells), sum(cell.expected for cell in cells)

    def diverged_runs(self) -> int:
        """How many of the missing runs diverged."""
        return sum(len(self.cell(name, self.languages, self.metric).diverged) for name in self.schedules)


@dataclass(frozen=True)
class Average:
    """An average over tasks: rows of model x schedule, a number for every task, and their mean.

    A task's number is the mean over the languages its track evaluates; for question answering that of (F1 + exact
    match) / 2, as in XTREME, or with `primary` of F1 alone. A task may name a schedule; else the row's own counts.
    """

    study: Study
    name: str

    @property
    def tasks(self) -> dict[str, dict[str, str]]:
        """Track, data set and perhaps schedule of every task."""
        return {entry["task"]: entry for entry in self.study.plan["averages"][self.name]}

    @property
    def schedules(self) -> list[str]:
        """The schedules of the rows: those of every track of which no schedule is named. Without any, one row."""
        tracks = [entry["track"] for entry in self.tasks.values() if "schedule" not in entry]
        names = [schedule for track in tracks for schedule in self.study.plan["tracks"][track]["schedules"]]
        return list(dict.fromkeys(names)) or [self.name]

    def panel(self, model: str, task: str) -> Panel:
        return Panel(self.study, model, self.tasks[task]["track"], self.tasks[task]["dataset"])

    def cell(self, model: str, schedule: str, task: str, primary: bool = False) -> Cell:
        """A task's number by seed; nothing is expected where the schedule has no run that could give it."""
        panel = self.panel(model, task)
        keys = (panel.measured.primary,) if primary else panel.measured.averaged
        cells = [panel.cell(self.tasks[task].get("schedule", schedule), panel.languages, key) for key in keys]
        # Tasks meet seed by seed; one whose data are split in several ways gives the mean over its folds.
        found = mean_of(cells, cells[0].expected)
        return found.by_seed() if panel.folds != [0] else found

    def mean(self, model: str, schedule: str, primary: bool = False) -> Cell:
        """The mean over the tasks by seed, of the seeds that have all of them; the seeds of the study are expected."""
        cells = [self.cell(model, schedule, task, primary) for task in self.tasks]
        return mean_of(cells, len(self.study.plan["seeds"]))

    def lacking(self, model: str, schedule: str) -> list[str]:
        """What a row lacks of its mean: `xcopa (not evaluated)`, `xnli (1 of 3 seeds)`."""
        cells = {task: self.cell(model, schedule, task) for task in self.tasks}
        return [
            f"{task} ({len(cell.values)} of {cell.expected} seeds)" if cell.expected else f"{task} (not evaluated)"
            for task, cell in cells.items()
            if cell.missing or not cell.expected
        ]


def folds_of(track: dict, dataset: str) -> list[int]:
    """The folds of a data set of a planned track; [0] where it is not split in several ways."""
    return track["folds"] if dataset in track.get("folded", []) else [0]


def scored_name(dataset: str, fold: int) -> str:
    return fold_name(dataset, fold) if fold else dataset


def upto(run: dict, stage: int) -> list[str]:
    """The folders of a run's stages up to one of them, which stands on all of these."""
    return run["stages"] if stage == FINAL else run["stages"][: stage + 1]


def weighted_mean(scores: Sequence[dict], metric: str, weight: Callable[[dict], float]) -> float:
    """The mean of a number over the scores of several languages."""
    return statistics.fmean([entry[metric] for entry in scores], [weight(entry) for entry in scores])


def mean_of(cells: Sequence[Cell], expected: int) -> Cell:
    """The means run by run over several numbers, of the runs that have all of them."""
    runs = [run for run in cells[0].values if all(run in cell.values for cell in cells)]
    means = {run: statistics.fmean(cell.values[run] for cell in cells) for run in runs}
    return Cell(means, expected, frozenset().union(*(cell.diverged for cell in cells)))


def read_study(plan_path: Path, results: Path) -> Study:
    """Read plan.json, every scores file it leads to under `results`, and contrasts.json.

    Scores that do not exist are missing runs.
    """
    plan = read_object(plan_path)
    if plan is None:
        raise UserError("no such plan", str(plan_path), "The study's plan is made by its first rule.")
    stages = sorted({(stage, run["track"]) for run in plan["runs"] for stage in run["stages"]})
    datasets = {
        track: [
            name
            for dataset in content["evaluate"]
            for name in [scored_name(dataset, fold) for fold in folds_of(content, dataset)]
        ]
        for track, content in plan["tracks"].items()
    }
    scores = {
        (stage, dataset): read_object(results / stage / "scores" / f"{dataset}.json")
        for stage, track in stages
        for dataset in datasets[track]
    }
    floors = {
        dataset: read_object(results / "baselines" / f"{dataset}.json")
        for dataset in sorted({dataset for names in datasets.values() for dataset in names})
    }
    traced = {entry["track"] for entry in plan.get("published", []) if entry["protocol"] == "mucot"}
    manifests = {stage: read_object(results / stage / "stage.json") or {} for stage, track in stages if track in traced}
    diverged = {stage for stage, _ in stages if (results / stage / DIVERGED).exists()}
    worked = read_object(results / "contrasts.json") or {"contrasts": []}
    return Study(
        plan,
        {key: content["languages"] for key, content in scores.items() if content},
        {dataset: content["baselines"] for dataset, content in floors.items() if content},
        {stage: content["selection"]["looks"] for stage, content in manifests.items() if "selection" in content},
        # What was computed of another plan is left alone.
        [result for result in worked["contrasts"] if result["contrast"] in plan.get("contrasts", [])],
        read_object(results / "distances.json") if "distances" in plan else None,
        frozenset(diverged),
    )


def read_object(path: Path) -> dict | None:
    """The JSON mapping in a file, None where there is no file, UserError where it holds anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"not valid JSON ({error})", str(path), "Delete the file and make it again.") from None
    if not isinstance(content, dict):
        raise UserError("not a mapping", str(path), "Delete the file and make it again.")
    return content
