"""A study's plan and scores, loaded once and looked up by model, track, data set and schedule."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from crosstune.analysis.cells import Cell, Replicate, example_resolution, language_means, mean_cell, replicate
from crosstune.analysis.names import DisplayNames
from crosstune.analysis.terms import with_terms
from crosstune.core.errors import UserError
from crosstune.core.text import named_first
from crosstune.data.part_names import PILOT, split_part
from crosstune.data.record import fold_name
from crosstune.evaluation.metrics import Metric, metric_named

# The schedule without training: the base model with a new head.
UNTRAINED = "untrained"

# The last stage of a schedule.
FINAL = -1

# The file in a stage's folder that a training writes if its loss becomes NaN or infinite.
DIVERGED = "resume/diverged.json"


@dataclass(frozen=True)
class StageInfo:
    """One stage of a schedule: its `number` from 1, the sources `dataset.lang` of its mixture, and its updates."""

    number: int
    sources: tuple[str, ...]
    updates: int

    @property
    def languages(self) -> list[str]:
        """The languages of its sources, each once. Rows replayed from earlier stages are no source of this one."""
        return list(dict.fromkeys(source.split(".", 1)[1] for source in self.sources))


@dataclass(frozen=True)
class FewShotCurve:
    """Schedules that differ in the size of a sample of some languages: schedule by number of examples, in order."""

    languages: tuple[str, ...]
    points: dict[int, str]

    @classmethod
    def from_plan(cls, entry: dict) -> "FewShotCurve":
        """The curve of an entry of a planned track's `curves`."""
        languages = dict.fromkeys(source.rpartition(".")[2] for source in entry["sources"])
        return cls(tuple(languages), dict(entry["points"]))


@dataclass(frozen=True)
class StudyResults:
    """A study's plan with the scores that exist.

    scores: by stage folder and data set, then by language.
    baseline_scores: by data set, then by trivial baseline, then by language.
    evaluations: by stage folder, the scores during a training; loaded for published tables of MuCoT's protocol.
    contrasts: entries of contrasts.json (crosstune.analysis.contrasts), as far as they exist.
    distances: between languages (crosstune.data.language_distances), None if the study has none.
    diverged: folders of stages whose training diverged.
    """

    plan: dict
    scores: dict[tuple[str, str], dict[str, dict]]
    baseline_scores: dict[str, dict[str, dict[str, dict]]]
    evaluations: dict[str, list[dict]] = field(default_factory=dict)
    contrasts: list[dict] = field(default_factory=list)
    distances: dict | None = None
    diverged: frozenset[str] = frozenset()

    @property
    def pilot(self) -> bool:
        """Whether the study is a pilot, whose numbers decide nothing."""
        return "pilot" in self.plan

    @cached_property
    def runs(self) -> dict[tuple[str, str, str], list[dict]]:
        """The planned runs by model, track and schedule."""
        runs: dict[tuple[str, str, str], list[dict]] = {}
        for run in self.plan["runs"]:
            runs.setdefault((run["model"], run["track"], run["schedule"]), []).append(run)
        return runs

    @cached_property
    def names(self) -> DisplayNames:
        """The names that readers see."""
        return DisplayNames(self.plan.get("names", {}))

    @cached_property
    def cells(self) -> dict[tuple, Cell]:
        """A cache of the cells that its panels have computed."""
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
        return sorted(panels, key=lambda panel: not panel.is_primary)

    def primary_panels(self) -> list["Panel"]:
        """The primary track and data set, one panel per model."""
        return [panel for panel in self.panels() if panel.is_primary]

    def task_averages(self) -> list["TaskAverage"]:
        """Every average over tasks that the plan names."""
        return [TaskAverage(self, name) for name in self.plan.get("averages", {})]


@dataclass(frozen=True)
class PanelTitles:
    """One model, track and data set of a study, and what readers call them."""

    study: StudyResults
    model: str
    track: str
    dataset: str

    @property
    def name(self) -> str:
        """The beginning of the names of its files."""
        return f"{self.track}.{self.dataset}.{self.model}"

    @property
    def track_plan(self) -> dict:
        """The entry of its track in the plan."""
        return self.study.plan["tracks"][self.track]

    @property
    def dataset_title(self) -> str:
        """The data set and the part that is scored: `XQuAD (a sample of 200 examples in each language)`."""
        name, sizes = self.track_plan.get("parts", {}).get(self.dataset, ""), []
        while (split := split_part(name))[1]:
            name, part = split
            sizes.append(f"at most {part.number}" if part.kind == PILOT else f"a sample of {part.number}")
        shown = self.study.names.dataset(self.dataset)
        return f"{shown} ({', of '.join(sizes)} examples in each language)" if sizes else shown

    @property
    def key(self) -> str:
        """`qa/xquad`: the track and data set, whatever the model."""
        return f"{self.track}/{self.dataset}"

    @property
    def title(self) -> str:
        """`qa/xquad`, or the data set's display name, after the track if several tracks evaluate the data set."""
        is_named = self.study.names.is_named("datasets", self.dataset)
        tracks = [track for track in self.study.plan["tracks"].values() if self.dataset in track["evaluate"]]
        return self.dataset_title if is_named and len(tracks) == 1 else f"{self.track}/{self.dataset_title}"

    @property
    def model_title(self) -> str:
        return self.study.names.model(self.model)

    def schedule_title(self, schedule: str) -> str:
        """The display name of a schedule, of a few-shot curve, or of a trivial baseline."""
        return self.study.names.schedule(schedule)

    def language_info(self, lang: str) -> dict:
        """Name, family, script and resource level of a language, as far as the plan has them."""
        return self.study.plan["languages"].get(lang, {})

    def language_title(self, lang: str) -> str:
        """Its display name, or `Name (code)`, or the code of a language without a name."""
        if self.study.names.is_named("languages", lang):
            return self.study.names.language(lang)
        name = self.language_info(lang).get("name")
        return f"{name} ({lang})" if name else lang


@dataclass(frozen=True)
class Panel(PanelTitles):
    """One model, track and data set of a study: the content of one table."""

    @property
    def is_primary(self) -> bool:
        """Whether this panel answers the study's question."""
        primary = self.study.plan["primary"]
        return (self.track, self.dataset) == (primary["track"], primary["dataset"])

    # --- metric and languages ---

    @property
    def metric_spec(self) -> Metric:
        """The definition of the data set's metric."""
        return metric_named(self.track_plan["metrics"][self.dataset])

    @property
    def labels(self) -> dict[str, str]:
        """Keys and names of all numbers of the metric, the primary one first."""
        return {key: self.study.names.metric(key, label) for key, label in self.metric_spec.all_labels.items()}

    @property
    def metrics(self) -> list[str]:
        """The keys of the numbers with tables of their own, those with a display name first."""
        return named_first(self.metric_spec.labels, self.study.names.by_kind.get("metrics", ()))

    @property
    def metric(self) -> str:
        """The key of the number to show: the plan's for the primary panel, else the metric's own primary one."""
        chosen = self.study.plan["primary"]["metric"]
        return chosen if self.is_primary and chosen in self.metric_spec.labels else self.metric_spec.primary

    @property
    def languages(self) -> list[str]:
        """The evaluated languages, seen ones first."""
        return self.seen_languages + self.unseen_languages

    @cached_property
    def seen_languages(self) -> list[str]:
        """Evaluated languages that some schedule of the track trains on."""
        return [lang for lang in self.track_plan["evaluate"][self.dataset] if lang in self.track_plan["trained"]]

    @cached_property
    def unseen_languages(self) -> list[str]:
        """Evaluated languages that no schedule of the track trains on."""
        return [lang for lang in self.track_plan["evaluate"][self.dataset] if lang not in self.track_plan["trained"]]

    @cached_property
    def low_resource_languages(self) -> list[str]:
        return [lang for lang in self.languages if self.language_info(lang).get("resource") == "low"]

    @cached_property
    def related_languages(self) -> list[str]:
        """Unseen languages that share a family with a trained language."""
        return [lang for lang in self.unseen_languages if self.family(lang) in self.trained_families]

    @cached_property
    def unrelated_languages(self) -> list[str]:
        return [lang for lang in self.unseen_languages if self.family(lang) not in self.trained_families]

    @cached_property
    def trained_families(self) -> set[str]:
        return {self.family(lang) for lang in self.track_plan["trained"]}

    @property
    def language_groups(self) -> dict[str, list[str]]:
        """The groups of the macro-averages: name and languages, without empty groups."""
        groups = {
            "all": self.languages,
            "seen": self.seen_languages,
            "unseen": self.unseen_languages,
            "low": self.low_resource_languages,
        }
        return {name: languages for name, languages in groups.items() if languages}

    def family(self, lang: str) -> str:
        """The family of a language; a language of unknown family is its own."""
        return self.language_info(lang).get("family") or lang

    # --- schedules and runs ---

    @property
    def schedules(self) -> list[str]:
        """The schedules that end with a head for the data set."""
        return [
            schedule
            for schedule in self.track_plan["schedules"]
            if any(self.dataset in run["evaluated"][FINAL] for run in self.runs(schedule))
        ]

    def runs(self, schedule: str) -> list[dict]:
        """The planned runs of a schedule, one per seed and fold."""
        return self.study.runs.get((self.model, self.track, schedule), [])

    def stages(self, schedule: str) -> list[StageInfo]:
        run = self.runs(schedule)[0]
        stages = zip(run["mixtures"], run["updates"], strict=True)
        return [StageInfo(number, tuple(sources), updates) for number, (sources, updates) in enumerate(stages, start=1)]

    def is_scored(self, schedule: str, stage: StageInfo) -> bool:
        """Whether a stage is scored on the data set: it needs a head for it.

        `score: final`, of a track or of a data set, scores last stages only.
        """
        return any(self.dataset in run["evaluated"][stage.number - 1] for run in self.runs(schedule))

    def training_languages(self, schedule: str) -> list[str]:
        """The languages that a schedule trains on, in the order of its stages; none for an average of schedules."""
        return list(dict.fromkeys(language for stage in self.stages(schedule) for language in stage.languages))

    def short_sources(self, sources: Sequence[str]) -> str:
        """`qen + qes~100`, or `worldqa.qen + worldpos.qes` if the track trains on several data sets."""
        names = self.study.names
        datasets = {
            names.source(source)[0]
            for name in self.schedules
            for stage in self.stages(name)
            for source in stage.sources
        }
        return " + ".join(
            language if len(datasets) == 1 else f"{dataset}.{language}"
            for dataset, language in map(names.source, sources)
        )

    @property
    def curves(self) -> dict[str, "FewShotCurve"]:
        """The few-shot curves of schedules that end with a head for the data set, by name."""
        curves = {name: FewShotCurve.from_plan(entry) for name, entry in self.track_plan.get("curves", {}).items()}
        return {name: curve for name, curve in curves.items() if set(curve.points.values()) <= set(self.schedules)}

    @property
    def folds(self) -> list[int]:
        """The folds of the data set; [0] if it has none."""
        return dataset_folds(self.track_plan, self.dataset)

    def over_folds(self, cell: Cell) -> Cell:
        """A cell by seed: itself, or the mean over the folds if the data are folded."""
        return cell if self.folds == [0] else cell.average_folds(len(self.folds))

    def fold_dataset(self, fold: int) -> str:
        """The name of the data set, or of its part, in a fold's score files."""
        return scored_dataset(self.track_plan, self.dataset, fold)

    def count_missing_runs(self) -> tuple[int, int]:
        """The number of runs without a final score in some language, and the number of planned runs."""
        cells = [self.cell(schedule, self.languages, self.metric) for schedule in self.schedules]
        return sum(cell.missing_runs for cell in cells), sum(cell.planned_runs for cell in cells)

    # --- scores ---

    def run_scores(self, run: dict, stage: int) -> dict[str, dict]:
        """The scores of a stage of a run, by language."""
        return self.study.scores.get((run["stages"][stage], self.fold_dataset(run.get("fold", 0))), {})

    @cached_property
    def example_counts(self) -> dict[str, int]:
        """The number of scored examples by language, summed over folds. Languages without scores are absent."""
        counts = {
            (self.fold_dataset(run.get("fold", 0)), lang): numbers["n"]
            for schedule in self.schedules
            for run in self.runs(schedule)
            for lang, numbers in self.run_scores(run, FINAL).items()
        }
        total: dict[str, int] = {}
        for (_, lang), number in counts.items():
            total[lang] = total.get(lang, 0) + number
        return total

    @property
    def can_pool(self) -> bool:
        """Whether the mean over all examples differs in meaning from the mean over languages."""
        return self.metric_spec.is_example_mean and len({self.example_counts.get(lang) for lang in self.languages}) > 1

    def cell(
        self, schedule: str, languages: Sequence[str], metric: str, stage: int = FINAL, pooled: bool = False
    ) -> Cell:
        """The mean score of every run over `languages`: their macro-average or, if `pooled`, over all their examples.

        A run that lacks one of the languages is missing. A stage without a head for the data set has no planned runs.
        """
        key = (self.model, self.track, self.dataset, schedule, tuple(languages), metric, stage, pooled)
        if key not in self.study.cells:
            self.study.cells[key] = self.compute_cell(schedule, languages, metric, stage, pooled)
        return self.study.cells[key]

    def compute_cell(self, schedule: str, languages: Sequence[str], metric: str, stage: int, pooled: bool) -> Cell:
        """The cell, computed from the scores without the cache."""
        runs = [run for run in self.runs(schedule) if self.dataset in run["evaluated"][stage]]
        scores = {replicate(run): self.run_scores(run, stage) for run in runs}
        if not (languages := languages_with(metric, languages, scores)):
            return Cell({}, 0)
        values = language_means(scores, languages, metric, pooled)
        diverged = {replicate(run) for run in runs if self.study.diverged.intersection(folders_through(run, stage))}
        # The folds of one seed are scored on examples of their own: equal numbers are no ties.
        sizes = [self.example_counts[lang] for lang in languages] if values and self.folds == [0] else []
        return Cell(values, len(runs), frozenset(diverged - set(values)), example_resolution(sizes) if sizes else 0.0)

    # --- baselines ---

    @property
    def baselines(self) -> list[str]:
        """The trivial baselines with score files, that is all but the untrained model."""
        return list(self.study.baseline_scores.get(self.fold_dataset(self.folds[0]), {}))

    def baseline_cell(self, baseline: str, languages: Sequence[str], metric: str, pooled: bool = False) -> Cell:
        """The mean score of a trivial baseline. It has no seed: its values stand under seed 0."""
        scores = {
            Replicate(0, fold): self.study.baseline_scores.get(self.fold_dataset(fold), {}).get(baseline, {})
            for fold in self.folds
        }
        return Cell(language_means(scores, languages_with(metric, languages, scores), metric, pooled), planned_runs=0)

    def best_baseline(self, languages: Sequence[str], metric: str) -> float | None:
        """The macro-average of the best trivial baseline in each of `languages`; None if one of them has none."""
        scores = [self._baseline_means(lang, metric) for lang in languages]
        return statistics.fmean(map(max, scores)) if scores and all(scores) else None

    def is_learned(self, schedules: Sequence[str], languages: Sequence[str], metric: str) -> bool:
        """Whether a schedule's mean over `languages` is above that of the best trivial baselines; true without one."""
        baseline = self.best_baseline(languages, metric)
        means = [self.cell(schedule, languages, metric).mean for schedule in schedules]
        scored = [mean for mean in means if mean is not None]
        return baseline is None or not scored or max(scored) > baseline

    def _baseline_means(self, lang: str, metric: str) -> list[float]:
        """The mean scores of all trivial baselines in one language, the untrained model included."""
        cells = [self.baseline_cell(baseline, [lang], metric) for baseline in self.baselines]
        if UNTRAINED in self.schedules:
            cells.append(self.cell(UNTRAINED, [lang], metric))
        return [cell.mean for cell in cells if cell.mean is not None]


@dataclass(frozen=True)
class TaskAverage:
    """An average over tasks: one row per model and schedule, one number per task, and their mean.

    A task's number is the macro-average over the languages that its track evaluates. For question answering it is
    (F1 + exact match) / 2, as in XTREME (Hu et al. 2020), or F1 with `primary`. A task may name a schedule, which
    replaces the row's.
    """

    study: StudyResults
    name: str

    @property
    def tasks(self) -> dict[str, dict[str, str]]:
        """Track, data set and, for some, schedule of every task."""
        return {entry["task"]: entry for entry in self.study.plan["averages"][self.name]}

    @property
    def schedules(self) -> list[str]:
        """The schedules of the rows: all schedules of the tracks whose tasks name none. Without any, one row."""
        tracks = [entry["track"] for entry in self.tasks.values() if "schedule" not in entry]
        names = [schedule for track in tracks for schedule in self.study.plan["tracks"][track]["schedules"]]
        return list(dict.fromkeys(names)) or [self.name]

    def panel(self, model: str, task: str) -> Panel:
        return Panel(self.study, model, self.tasks[task]["track"], self.tasks[task]["dataset"])

    def cell(self, model: str, schedule: str, task: str, primary: bool = False) -> Cell:
        """A task's number by seed, the mean over folds if its data are folded; no planned runs without a schedule."""
        panel = self.panel(model, task)
        keys = (panel.metric_spec.primary,) if primary else panel.metric_spec.averaged_keys
        cells = [panel.cell(self.tasks[task].get("schedule", schedule), panel.languages, key) for key in keys]
        mean = mean_cell(cells, cells[0].planned_runs)
        return panel.over_folds(mean)

    def mean(self, model: str, schedule: str, primary: bool = False) -> Cell:
        """The mean over the tasks by seed, over the seeds that have all tasks. Every seed of the study is planned."""
        cells = [self.cell(model, schedule, task, primary) for task in self.tasks]
        return mean_cell(cells, len(self.study.plan["seeds"]))

    def missing_tasks(self, model: str, schedule: str) -> list[str]:
        """The incomplete tasks of a row: `xcopa (not evaluated)`, `xnli (1 of 3 seeds)`."""
        cells = {task: self.cell(model, schedule, task) for task in self.tasks}
        counts = {task: f"{len(cell.values)} of {cell.planned_runs} seeds" for task, cell in cells.items()}
        return [
            f"{task} ({counts[task] if cell.planned_runs else 'not evaluated'})"
            for task, cell in cells.items()
            if cell.missing_runs or not cell.planned_runs
        ]


def languages_with(metric: str, languages: Sequence[str], scores: Mapping[Any, Mapping[str, dict]]) -> list[str]:
    """The languages that have a number of this key in every run's scores, and those that have no scores at all."""
    return [lang for lang in languages if all(metric in own[lang] for own in scores.values() if lang in own)]


def dataset_folds(track: dict, dataset: str) -> list[int]:
    """The folds of a data set of a planned track; [0] if it has none."""
    return track["folds"] if dataset in track.get("folded", []) else [0]


def scored_dataset(track: dict, dataset: str, fold: int) -> str:
    """The name of a data set of a planned track in its score files, with its fold and part if it has them."""
    return (fold_name(dataset, fold) if fold else dataset) + track.get("parts", {}).get(dataset, "")


def folders_through(run: dict, stage: int) -> list[str]:
    """The folders of a stage of a run and of its ancestors."""
    return run["stages"] if stage == FINAL else run["stages"][: stage + 1]


# --- files -----------------------------------------------------------------------------------------------------------


def load_results(plan_path: Path, results: Path) -> StudyResults:
    """Load plan.json and, from `results`, all its score files, contrasts.json and distances.json.

    Score files that do not exist are missing runs. Contrasts computed from another plan are ignored. Raises UserError
    for a missing plan or a broken file.
    """
    plan = read_json_object(plan_path)
    if plan is None:
        raise UserError("no such plan", str(plan_path), "Rule plan_file makes it.")
    stages = sorted({(stage, run["track"]) for run in plan["runs"] for stage in run["stages"]})
    datasets = {
        track: [
            scored_dataset(content, dataset, fold)
            for dataset in content["evaluate"]
            for fold in dataset_folds(content, dataset)
        ]
        for track, content in plan["tracks"].items()
    }
    scores = {
        (stage, dataset): load_scores(results, f"{stage}/scores/{dataset}.json")
        for stage, track in stages
        for dataset in datasets[track]
    }
    baselines = {
        dataset: load_scores(results, f"baselines/{dataset}.json")
        for dataset in sorted({dataset for names in datasets.values() for dataset in names})
    }
    contrasts = read_json_object(results / "contrasts.json") or {"contrasts": []}
    return StudyResults(
        plan,
        {key: content["languages"] for key, content in scores.items() if content},
        {dataset: content["baselines"] for dataset, content in baselines.items() if content},
        _load_evaluations(plan, stages, results),
        [result for result in contrasts["contrasts"] if result["contrast"] in plan.get("contrasts", [])],
        read_json_object(results / "distances.json") if "distances" in plan else None,
        frozenset(stage for stage, _ in stages if (results / stage / DIVERGED).exists()),
    )


def _load_evaluations(plan: dict, stages: Sequence[tuple[str, str]], results: Path) -> dict[str, list[dict]]:
    """The scores during the trainings of the tracks that have a published table of MuCoT's protocol, by stage."""
    tracks = {entry["track"] for entry in plan.get("published", []) if entry["from_evaluations"]}
    manifests = {stage: load_scores(results, f"{stage}/stage.json") or {} for stage, track in stages if track in tracks}
    return {stage: content["selection"]["looks"] for stage, content in manifests.items() if "selection" in content}


def load_scores(results: Path, file: str) -> dict | None:
    """The JSON object in a file of results, whose numbers know their terms; None without the file."""
    return with_terms(file, read_json_object(results / file))


def read_json_object(path: Path) -> dict | None:
    """The JSON object in a file, None without the file. Raises UserError for any other content."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"not valid JSON ({error})", str(path), "Delete the file and rerun the study.") from None
    if not isinstance(content, dict):
        raise UserError("not a JSON object", str(path), "Delete the file and rerun the study.")
    return content
