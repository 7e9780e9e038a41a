"""Expanding a config: tracks with their schedules, then checkpoints (the nodes of the schedule tree) and runs."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from crosstune.artifacts.choice import CHOICE
from crosstune.core.errors import UserError
from crosstune.data.part_names import PILOT, SAMPLE, Part, split_part
from crosstune.data.registry import Language, Registry
from crosstune.evaluation.metrics import metric_named
from crosstune.study.checks import check_metric, check_selection
from crosstune.study.folds import fold_dataset, track_folds
from crosstune.study.graph import Checkpoint, Expansion, Run, Sweep, Track
from crosstune.study.heads import HEADLESS, check_heads, evaluation_heads, final_heads
from crosstune.study.paths import CheckpointPath, Source, base_path, study_name
from crosstune.study.recipe import spans_sequence
from crosstune.study.run_data import evaluated_dataset, run_schedule
from crosstune.study.schedules import (
    UNTRAINED,
    Budget,
    Schedule,
    check_matched,
    parse_schedules,
    schedule_sources,
    shorten,
    shortened,
    with_one_lr_schedule,
)
from crosstune.study.specs import (
    adapter_spec,
    average_spec,
    held_out_manifests,
    pretrain_spec,
    stage_spec,
    weight_names_key,
)
from crosstune.study.sweeps import candidate_schedule, check_searched, chosen_schedule, grid_of, search_seeds


def expand(config: Mapping, registry: Registry, languages: Mapping[str, Language]) -> Expansion:
    """The expansion of a validated config. Raises UserError for the first mistake, with the key at fault."""
    checkpoints: dict[str, Checkpoint] = {}
    for name in config["models"]:
        base = expand_model(config, registry, name)
        checkpoints[base.path] = base
    tracks = {name: expand_track(config, registry, name) for name in config["tracks"]}
    for track in tracks.values():
        check_selection(registry, track)
        check_heads(registry, track)
    runs: list[Run] = []
    sweeps: dict[str, Sweep] = {}
    for model, track, seed in itertools.product(config["models"], tracks.values(), config["seeds"]):
        own = track.of_model(config["models"][model])
        runs += RunExpander(config, registry, own, model, seed, checkpoints, sweeps).runs()
    _keep_carried_optimizers(checkpoints)
    _score_final_only(checkpoints, runs, tracks, registry)
    return Expansion(config, registry, languages, tracks, checkpoints, tuple(runs), sweeps)


# --- models ----------------------------------------------------------------------------------------------------------


def expand_model(config: Mapping, registry: Registry, name: str) -> Checkpoint:
    """The checkpoint of a base model."""
    model = config["models"][name]
    if model.get("sharded") and model.get("gpus", 1) < 2:
        raise UserError("a sharded model needs two GPUs or more", f"models.{name}.sharded", "gpus: 2")
    path = base_path(study_name(config), name, model)
    if "hub" in model:
        return Checkpoint(path, {"hub": model["hub"], "revision": model["revision"]})
    if "folder" in model:
        return Checkpoint(path, {"folder_sha256": model["sha256"]})
    pretrain, where = model["pretrain"], f"models.{name}.pretrain"
    if pretrain["hidden"] % pretrain["heads"]:
        raise UserError(f"{pretrain['heads']} heads do not divide a width of {pretrain['hidden']}", f"{where}.heads")
    sources = [
        Source(dataset, language)
        for dataset, languages in pretrain["corpus"].items()
        for language in known_languages(registry, dataset, languages, "train", f"{where}.corpus.{dataset}")
    ]
    for dataset in pretrain["corpus"]:
        if registry[dataset].task != "text":
            raise UserError(f"{dataset} is a {registry[dataset].task} data set, not text", f"{where}.corpus")
    if config.get("pilot"):
        pretrain = {**pretrain, "budget": shortened(pretrain["budget"])}
    spec = pretrain_spec(config, pretrain, list(map(str, sources)))
    data = tuple(Source.parse(source).manifest for source in spec["sources"])
    return Checkpoint(path, spec, data=data, threads=pretrain["threads"])


# --- tracks ----------------------------------------------------------------------------------------------------------


def expand_track(config: Mapping, registry: Registry, name: str) -> Track:
    """A track with its schedules, the languages of its evaluation sets, and its folds."""
    track, where = config["tracks"][name], f"tracks.{name}"
    evaluate, parts = {}, {}
    for dataset, entry in track["evaluate"].items():
        entry = entry if isinstance(entry, Mapping) else {"languages": entry}
        here = f"{where}.evaluate.{dataset}"
        evaluate[dataset] = _evaluated_languages(registry, dataset, entry.get("languages", "all"), here)
        parts[dataset] = _evaluated_part(config, registry, dataset, evaluate[dataset], entry.get("sample"), here)
    if UNTRAINED in track["schedules"]:
        message = f"{UNTRAINED!r} is the name of the untrained baseline"
        raise UserError(message, f"{where}.schedules", "Choose another name.")
    budget = Budget(**track["budget"])
    schedules = parse_schedules(
        track["schedules"], lambda text, at: resolve_source(config, registry, name, text, at), budget,
        f"{where}.schedules",
    )  # fmt: skip
    for schedule in schedules:
        for source in schedule_sources(schedule):
            _check_sample(registry, source, f"{where}.schedules.{schedule.name}")

    def rows(name: str) -> int | None:
        source = Source.parse(name)
        return registry[source.dataset].require(source.language, "train").rows.get(source.language)

    check_matched(schedules, budget, rows, where)
    if config.get("pilot"):
        schedules = [shorten(schedule) for schedule in schedules]
    trained = {split_part(Source.parse(name).dataset)[0] for own in schedules for name in schedule_sources(own)}
    folds = track_folds(registry, name, trained | set(evaluate))
    parts = {dataset: part for dataset, part in parts.items() if part}
    return Track(name, track, (Schedule(UNTRAINED), *schedules), evaluate, folds, parts)


def _evaluated_languages(registry: Registry, dataset: str, languages: str | list, where: str) -> tuple[str, ...]:
    any_fold = fold_dataset(registry, dataset, 1) if dataset in registry else dataset
    evaluated = known_languages(registry, any_fold, languages, "test", where)
    check_metric(registry[dataset], evaluated, where)
    return evaluated


def _evaluated_part(
    config: Mapping, registry: Registry, dataset: str, languages: Sequence[str], sample: int | None, where: str
) -> str:
    """What the name of the evaluated part has behind that of its data set; empty if the whole is evaluated."""
    name = ""
    if sample is not None:
        _refuse_cases(registry, dataset, f"{where}.sample")
        name = Part(SAMPLE, sample).of("")
        stated = registry[fold_dataset(registry, dataset, 1)].splits["test"].rows
        rows = {language: stated.get(language) for language in languages}
        # A language with fewer examples is evaluated whole; if all are, the sample is none.
        if None not in rows.values():
            language = max(rows, key=rows.get)
            what = f"test examples at most, in {language!r}"
            _refuse_larger(registry, dataset, sample, rows[language], what, f"{where}.sample")
    return Part(PILOT, config["pilot"]).of(name) if config.get("pilot") else name


def _refuse_cases(registry: Registry, dataset: str, where: str) -> None:
    """UserError if the rows of a data set are examples of test cases, which a sample of rows would break."""
    if metric_named(registry[dataset].metric).part_labels:
        message = f"the examples of {dataset} are no single rows: cases have several"
        raise UserError(message, where, f"For a smaller suite, say in the record of {dataset}:\nsuite: {{cases: 20}}")


def _check_sample(registry: Registry, source: str, where: str) -> None:
    """UserError for a sample that is larger than the training rows, if their record states the number."""
    dataset, language = Source.parse(source)
    whole, part = split_part(dataset)
    if part:
        rows = registry[whole].splits["train"].rows.get(language)
        _refuse_larger(registry, whole, part.number, rows, f"training examples in {language!r}", where)


def _refuse_larger(registry: Registry, dataset: str, sample: int, rows: int | None, what: str, where: str) -> None:
    # Rows of retrieval are candidates, too.
    if rows is not None and sample > rows and registry[dataset].task != "retrieval":
        message = f"a sample of {sample} is larger than {dataset}, which has {rows} {what}"
        raise UserError(message, where, f"sample: {rows}")


def resolve_source(config: Mapping, registry: Registry, track: str, name: str, where: str) -> str:
    """`en` or `mnli.en` as `dataset.language`, checked against the registry."""
    default = config["tracks"][track].get("sources")
    dataset, language = Source.parse(name)
    if not dataset and isinstance(default, Mapping):
        if name not in default:
            known = ", ".join(sorted(default))
            raise UserError(f"unknown source {name!r}", where, f"tracks.{track}.sources has: {known}")
        dataset, language = Source.parse(default[name])
    elif not dataset:
        if default is None:
            fix = f"Write dataset.{name}, or set tracks.{track}.sources"
            raise UserError(f"{name!r} names no data set", where, fix)
        dataset = default
    whole, part = split_part(dataset)
    if part:
        fix = f"{{train: {Source(whole, language)}, sample: {part.number}}}"
        raise UserError(f"{dataset!r} names a part of a data set", where, fix)
    if not dataset or dataset not in registry:
        message = f"unknown source {name!r}: no data set {dataset!r} in the registry"
        raise UserError(message, where, f"Known: {', '.join(sorted(registry))}")
    try:
        registry[dataset].require(language, "train")
    except UserError as error:
        raise UserError(error.message, where, error.fix) from None
    if registry[dataset].task in HEADLESS:
        raise UserError(f"{dataset} is for evaluation: nothing can be trained on it", where)
    return str(Source(dataset, language))


def known_languages(registry: Registry, dataset: str, languages: str | list, split: str, where: str) -> tuple[str, ...]:
    """The listed languages of a split, or all; UserError for one that it lacks."""
    try:
        record = registry[dataset]
        if languages == "all" and split in record.splits:
            return record.splits[split].languages
        for language in record.languages[:1] if languages == "all" else languages:
            record.require(language, split)
    except UserError as error:
        raise UserError(error.message, where, error.fix) from None
    return tuple(languages)


# --- checkpoints and runs --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunExpander:
    """The runs of one track with one model and one seed; it adds to `checkpoints`, and to `sweeps` by their choices."""

    config: Mapping
    registry: Registry
    track: Track
    model: str
    seed: int
    checkpoints: dict[str, Checkpoint]
    sweeps: dict[str, Sweep]

    def runs(self) -> list[Run]:
        runs = []
        for schedule, fold in itertools.product(self.track.schedules, self.track.folds):
            prepared = run_schedule(self.registry, self.track, schedule, self.seed, fold)
            if spans_sequence(self.track.config["recipe"]):
                prepared = with_one_lr_schedule(prepared, f"tracks.{self.track.name}.schedules")
            if grid := grid_of(self.track.config["recipe"]):
                prepared = self._swept(prepared, grid, fold)
            stages = tuple(map(self._add, prepared.prefixes))
            runs.append(Run(self.model, self.seed, self.track.name, schedule, stages, fold))
        return runs

    def _swept(self, schedule: Schedule, grid: Sequence[dict], fold: int) -> Schedule:
        """The schedule with chosen values; adds its stages and, for a seed that chooses, the candidates."""
        if schedule.members:
            return replace(schedule, members=tuple(self._swept(member, grid, fold) for member in schedule.members))
        if not schedule.stages:
            return schedule
        seeds, chosen = search_seeds(self.config, self.track), chosen_schedule(schedule)
        tried = [candidate_schedule(schedule, values) for values in grid]
        choice = f"{self._path(chosen, seeds[0])}/{CHOICE}"
        if self.seed in seeds:
            for candidate in tried:
                for prefix in candidate.prefixes:
                    self._add(prefix, evaluated=False)
            final = self.checkpoints[self._path(tried[0])]
            check_searched(self.track, schedule, tried, "select" in final.spec)
        for number, prefix in enumerate(chosen.prefixes):
            path = self._add(prefix)
            if self.checkpoints[path].choice not in ("", choice):
                message = f"two schedules {schedule.name!r}, one of them in an average, begin with the same stage"
                fix = "Rename the schedule, or average schedules by their names."
                raise UserError(message, f"tracks.{self.track.name}.schedules", fix)
            own = tuple(self._path(c.prefixes[number]) for c in tried) if self.seed in seeds else ()
            self.checkpoints[path] = replace(self.checkpoints[path], choice=choice, candidates=own)
        candidates = tuple(tuple(self._path(candidate, seed) for seed in seeds) for candidate in tried)
        found = Sweep(self.model, self.track.name, schedule.name, fold, seeds, tuple(grid), candidates)
        self.sweeps.setdefault(choice, found)
        return chosen

    def _path(self, schedule: Schedule, seed: int | None = None) -> str:
        seed = self.seed if seed is None else seed
        return str(CheckpointPath(study_name(self.config), self.model, seed, self.track.name, schedule.folders))

    def _add(self, schedule: Schedule, evaluated: bool = True) -> str:
        """Add a lineage's final checkpoint, and of an average its members', unless another schedule has."""
        path, parents = self._path(schedule), self._parents(schedule)
        if path not in self.checkpoints:
            for member in schedule.members:
                for prefix in member.prefixes:
                    self._add(prefix)
            specs = [self.checkpoints[parent].spec for parent in parents]
            if schedule.members:
                self._check_members(schedule)
                spec = average_spec(specs)
            else:
                spec = stage_spec(self.config, self.registry, self.track, schedule, self.seed, specs[0])
                spec |= adapter_spec(self.config["models"][self.model])
            data = tuple(Source.parse(name).manifest for name in spec.get("sources", []) + spec.get("replayed", []))
            self.checkpoints[path] = Checkpoint(
                path, spec, parents, data, threads=self.config["threads"], held_out=held_out_manifests(spec),
                **(self._evaluation(schedule) if evaluated else {}),
            )  # fmt: skip
        elif self.checkpoints[path].parents != parents:
            message = f"{schedule.name!r} and another average have the same member names, and so the same folder"
            fix = "Give the members schedules of their own, with other names, and average these."
            raise UserError(message, f"tracks.{self.track.name}.schedules.{schedule.name}", fix)
        return path

    def _parents(self, schedule: Schedule) -> tuple[str, ...]:
        if schedule.members:
            return tuple(map(self._path, schedule.members))
        if len(schedule.stages) > 1:
            return (self._path(schedule.prefixes[-2]),)
        return (base_path(study_name(self.config), self.model, self.config["models"][self.model]),)

    def _check_members(self, schedule: Schedule) -> None:
        """UserError if members end with different weights, which have no mean."""
        keys = [weight_names_key(self.registry, self.track, member) for member in schedule.members]
        if any(key != keys[0] for key in keys):
            message = f"the members of {schedule.name!r} end with different heads, so that they have no mean"
            fix = "Let them train the same tasks, the last the same."
            raise UserError(message, f"tracks.{self.track.name}.schedules", fix)

    def _evaluation(self, schedule: Schedule) -> dict[str, Mapping]:
        """Data sets for which the checkpoint has a head, in the fold that it is trained in or in all, with the head."""
        # A lineage that is trained in no fold yet begins all folds.
        folds = {self.registry[Source.parse(source).dataset].fold for source in schedule_sources(schedule)} - {0}
        heads = evaluation_heads(final_heads(self.registry, self.track, schedule), self.registry, self.track.evaluate)
        names = {
            evaluated_dataset(self.registry, self.track, dataset, fold): dataset
            for dataset in heads
            for fold in sorted(folds) or self.track.folds
        }
        return {
            "evaluate": {name: self.track.evaluate[dataset] for name, dataset in names.items()},
            "heads": {name: heads[dataset] for name, dataset in names.items()},
        }


def _keep_carried_optimizers(checkpoints: dict[str, Checkpoint]) -> None:
    """A stage keeps its optimizer's state if a later stage carries it on."""
    for node in list(checkpoints.values()):
        if node.spec.get("recipe", {}).get("optimizer") == "carry" and node.parents:
            parent = checkpoints[node.parents[0]]
            if parent.parents:
                checkpoints[parent.path] = replace(parent, keep_optimizer=True)


def _score_final_only(
    checkpoints: dict[str, Checkpoint], runs: list[Run], tracks: Mapping[str, Track], registry: Registry
) -> None:
    """Intermediate stages are not scored on data sets that only final checkpoints are."""
    final = {run.stages[-1] for run in runs}
    for run in runs:
        track = tracks[run.track]
        left = {
            evaluated_dataset(registry, track, dataset, run.fold)
            for dataset in track.evaluate
            if not track.scores_every_stage(dataset)
        }
        for path in set(run.stages) - final if left else ():
            kept = {name: own for name, own in checkpoints[path].evaluate.items() if name not in left}
            checkpoints[path] = replace(checkpoints[path], evaluate=kept)
