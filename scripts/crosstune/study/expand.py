"""A study: one config, expanded into checkpoints (the nodes of the schedule tree) and runs.

Owns: the meaning of a config, the paths of everything under results/ and data/, the spec of every job.
Must never know: how to train, predict, score or draw.

A spec is everything that affects a result and nothing else. It reaches a job as canonical JSON, so that reordering
the config reruns nothing, and its hash stamps what an interrupted job leaves behind.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import canonical_json, read_json, sha256_json
from crosstune.core.schema import validate
from crosstune.data.leakage import LEAKAGE_VERSION, covers
from crosstune.data.record import Dataset, fold_name
from crosstune.data.registry import Registry, load_languages, load_registry
from crosstune.evaluation.metrics import XTREME_R, metric_named
from crosstune.study.claims import statements_of
from crosstune.study.comparisons import average_of, check_headline, contrasts_of, published_of
from crosstune.study.graph import Checkpoint, Run
from crosstune.study.paths import HEADLESS, base_path, head_of, prepared_source, sources_of
from crosstune.study.recipe import check_contrast, contrast_keys, learns_temperature
from crosstune.study.schedules import UNTRAINED, Budget, Schedule, check_matched, parse_schedules
from crosstune.study.specs import PREDICT_VERSION, PRETRAIN_VERSION, TRAIN_VERSION
from crosstune.study.table_specs import tables_of

# Bytes of what a process is told to make besides its own. It is one argument, of which Linux takes 128 KiB.
MOST_TOLD = 65536

# Lineages that a process makes after its own. Of more the start of a process is no matter.
BESIDE = 8


class Study:
    """The expanded study. Building it raises UserError for every mistake that can be known before a job starts.

    `together` says whether the whole study is made on one machine, where a process makes several lineages of a small
    model. It is asked late, since Snakemake knows it only after the study is read.
    """

    def __init__(self, config: Mapping, root: Path | str = ".", together: Callable[[], bool] = lambda: False):
        root = Path(root)
        self._together = together
        self.config = validate(config, root / "schemas/study.schema.yaml")
        self.name = self.config["study"]
        self.registry: Registry = load_registry(root / "registry", self.config["datasets"])
        self.languages = load_languages(root / "registry")
        self.results = f"results/{self.name}"
        self.checkpoints: dict[str, Checkpoint] = {}
        self._sizes_told: dict[str, int] = {}
        self.runs: list[Run] = []
        for model in self.config["models"]:
            self._add_base(model)
        self.evaluate = {track: self._evaluate(track) for track in self.config["tracks"]}
        self.schedules = {track: self._schedules(track) for track in self.config["tracks"]}
        self.folds = {track: self._folds(track) for track in self.config["tracks"]}
        self._check_select()
        for model, track, seed in itertools.product(self.config["models"], self.config["tracks"], self.config["seeds"]):
            self._add_runs(model, track, seed)
        self._mark_carried()
        self._mark_scored()
        check_headline(self)
        self._check_layers()
        self._check_contrast()
        self._check_allowed_leakage()
        self.contrasts = contrasts_of(self)
        self.averages = {name: average_of(self, name) for name in self.config["averages"]}
        self.published = [published_of(self, name, root / "published") for name in self.config["published"]]
        self.tables = tables_of(self)
        self.claims = [entry for n in range(len(self.config["claims"])) for entry in statements_of(self, n, root)]

    # ---- what the rules ask for ----

    @property
    def scores(self) -> list[str]:
        """Scores of every checkpoint on every data set that it has a head for."""
        return [f"{node.path}/scores/{name}.json" for node in self.checkpoints.values() for name in node.evaluate]

    @property
    def predictions(self) -> list[str]:
        """Predictions of every checkpoint on every data set that it has a head for."""
        return [f"{node.path}/predictions/{name}.json" for node in self.checkpoints.values() for name in node.evaluate]

    @property
    def contrasted(self) -> list[str]:
        """Scores of the examples that the study's contrasts compare."""
        wanted = {
            (panel["track"], panel["dataset"], schedule)
            for contrast in self.contrasts
            for panel in contrast["panels"]
            for schedule in (contrast["a"], contrast["b"])
        }
        return sorted(
            {
                f"{run.stages[-1]}/scores/{dataset}.examples.jsonl"
                for run in self.runs
                for track, dataset, schedule in wanted
                if (run.track, run.schedule.name) == (track, schedule)
            }
        )

    @property
    def floors(self) -> list[str]:
        """Scores that need no model, of every evaluated data set."""
        return [f"{self.results}/floor/{name}.json" for name in sorted({name for name, _ in self.all_evaluated()})]

    @property
    def submitted_predictions(self) -> list[str]:
        """Final predictions of every run on the data sets that are tasks of XTREME-R."""
        return sorted(
            {
                f"{run.stages[-1]}/predictions/{dataset}.json"
                for run in self.runs
                for dataset in self.checkpoints[run.stages[-1]].evaluate
                if self.registry[dataset].xtreme
            }
        )

    @property
    def submitted_data(self) -> list[str]:
        """Prepared rows of the same data sets."""
        submitted = [(name, languages) for name, languages in self.all_evaluated() if self.registry[name].xtreme]
        return sorted({self.prepared(name, "test", lang) for name, languages in submitted for lang in languages})

    def all_evaluated(self) -> list[tuple[str, tuple[str, ...]]]:
        """The evaluated data sets of all tracks, with their languages; of one in folds, each fold."""
        return [
            (self.in_fold(dataset, fold), languages)
            for track, evaluate in self.evaluate.items()
            for dataset, languages in evaluate.items()
            for fold in (self.folds[track] if self.registry.folds(dataset) else (0,))
        ]

    def evaluated_languages(self, dataset: str) -> list[str]:
        """Languages of a data set that any track evaluates, in the registry's order."""
        wanted = {language for name, languages in self.all_evaluated() if name == dataset for language in languages}
        return [language for language in self.registry[dataset].languages if language in wanted]

    def predict_spec(self, path: str, dataset: str) -> dict:
        """What the predictions of a checkpoint on a data set depend on, beside the weights and the rows."""
        _, _, model, _, track = path.split("/")[:5]
        return {
            "version": PREDICT_VERSION,
            "dataset": dataset,
            "head": head_of(self.registry[dataset])["name"],
            "encoding": self._encoding(track, model),
            "threads": self.config["threads"],
            "precision": self.config["predict_precision"],
            "packing": self.config["packing"],
        }

    def _encoding(self, track: str, model: str) -> dict:
        """The track's encoding, with the layer of this model where each model has its own."""
        encoding = self.config["tracks"][track]["encoding"]
        layer = encoding.get("layer")
        return {**encoding, "layer": layer[model]} if isinstance(layer, Mapping) else encoding

    def ahead(self, path: str) -> dict:
        """What the process that makes a checkpoint makes at once, as train.py takes it: predictions, later stages."""
        return {"predictions": self._predictions(path), "stages": [self.node(stage) for stage in self.told_of(path)]}

    def told_of(self, path: str) -> list[str]:
        """Of the later stages as many as a process can be told of; the others are made by their own jobs."""
        found, size = [], self._size_told(path)
        for stage in self.later(path):
            size += self._size_told(stage)
            if size > MOST_TOLD:
                break
            found.append(stage)
        return found

    def _size_told(self, path: str) -> int:
        """Bytes in which a process is told to make a checkpoint."""
        if path not in self._sizes_told:
            self._sizes_told[path] = len(canonical_json(self.node(path)))
        return self._sizes_told[path]

    def _predictions(self, path: str) -> list[dict]:
        return [
            {
                "spec": self.predict_spec(path, dataset),
                "data": [self.prepared(dataset, "test", language) for language in languages],
            }
            for dataset, languages in self.checkpoints[path].evaluate.items()
        ]

    def node(self, path: str, predicted: bool = True) -> dict:
        """A checkpoint as train.py takes one that it makes besides its own, to be predicted from at once or not."""
        node = self.checkpoints[path]
        return {
            "spec": node.spec,
            "out": path,
            "parents": node.parents,
            "data": node.data,
            "held_out": node.held_out,
            "keep_optimizer": node.keep_optimizer,
            "predictions": self._predictions(path) if predicted else [],
        }

    def lineage(self, path: str) -> list[str]:
        """A checkpoint after all that it stands on, without the base model; of an average its members with theirs."""
        found: dict[str, None] = {}
        for parent in self.checkpoints[path].parents:
            if self.checkpoints[parent].parents:
                found.update(dict.fromkeys(self.lineage(parent)))
        return [*found, path]

    def later(self, path: str) -> list[str]:
        """Stages to make in the process that makes this one: of a small model, whose stages are soon made.

        Several GPUs, each with its process, make one checkpoint and no other.

        After a stage the first that stands on it, the first that stands on that, and so on: none of their jobs starts
        before this one's ends. `together`: then the same of the stages of the same seed that stand on what this one
        stands on and come after it. Their jobs may have started; what another process makes is left to it. After the
        base model those that train nothing; the others are made side by side.
        """
        if "hub" in self.checkpoints[path].spec:
            return []
        model = self.config["models"][name := path.split("/")[2]]
        if "hub" in model or model.get("gpus", 0) > 1:
            return []
        if path == base_path(self.results, name, model):
            return [child for child in self._children.get(path, []) if not self.checkpoints[child].data]
        beside = (later for own in self._beside(path) for later in (own, *self._lineage_on(own)))
        return [*self._lineage_on(path), *beside]

    def _lineage_on(self, path: str) -> list[str]:
        """The first stage that stands on this one, the first that stands on that, and so on."""
        return [later for child in self._children.get(path, [])[:1] for later in (child, *self._lineage_on(child))]

    def _beside(self, path: str) -> list[str]:
        """The trained stages that one process makes one after the other, from this one on, without it."""
        parents = self.checkpoints[path].parents
        if not self._together() or len(parents) != 1 or not self.checkpoints[path].data:
            return []
        seed = path.split("/")[3]
        found = self._trained_children[parents[0], seed]
        place = found.index(path)
        return found[place + 1 : place + 1 + BESIDE]

    @cached_property
    def _trained_children(self) -> dict[tuple[str, str], list[str]]:
        """The stages of each seed that are trained from each checkpoint."""
        found: dict[tuple[str, str], list[str]] = {}
        for parent, children in self._children.items():
            for child in children:
                if self.checkpoints[child].data:
                    found.setdefault((parent, child.split("/")[3]), []).append(child)
        return found

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        """The stages that stand on each checkpoint."""
        found: dict[str, list[str]] = {}
        for node in self.checkpoints.values():
            if len(node.parents) == 1:
                found.setdefault(node.parents[0], []).append(node.path)
        return found

    def held(self, path: str) -> str:
        """What of the network each of several GPUs has that train a checkpoint: `whole` or `sharded`."""
        return "sharded" if self.config["models"][path.split("/")[2]].get("sharded") else "whole"

    @property
    def told(self) -> dict:
        """The config without what changes no result: how long weights are kept, on which GPUs a model is trained."""
        models = self.config["models"].items()
        on = ("gpus", "sharded")
        models = {name: {key: value for key, value in model.items() if key not in on} for name, model in models}
        return {key: value for key, value in self.config.items() if key != "keep"} | {"models": models}

    def majority_sources(self, dataset: str) -> list[str]:
        """Prepared training data of the same labels, from which a data set's floor takes what is most frequent."""
        sources = {
            source
            for run in self.runs
            if dataset in {self.in_fold(name, run.fold) for name in self.evaluate[run.track]}
            for source in sources_of(self._schedule_in_fold(run.schedule, run.fold))
            if head_of(self.registry[source.rpartition(".")[0]]) == head_of(self.registry[dataset])
        }
        return [prepared_source(source) for source in sorted(sources)]

    def leakage_spec(self) -> dict:
        """What leakage.py compares: the sources of every track with what it evaluates, and unlabelled text with all.

        Unlabelled text teaches no answers, so that its leaks are reported and stop nothing.
        """
        evaluated = {
            (track, fold): sorted(
                f"{self.in_fold(dataset, fold)}.{language}"
                for dataset, languages in found.items()
                for language in languages
            )
            for track, found in self.evaluate.items()
            for fold in self.folds[track]
        }
        groups = []
        text = {source for node in self.checkpoints.values() for source in node.spec.get("sources", [])}
        text = {source for source in text if self.registry[source.rpartition(".")[0]].task == "text"}
        for track, fold in evaluated:
            runs = [run for run in self.runs if (run.track, run.fold) == (track, fold)]
            trained = {
                source for run in runs for source in sources_of(self._schedule_in_fold(run.schedule, fold))
            } - text
            groups.append({"train": sorted(trained), "evaluate": evaluated[track, fold], "stop": True})
        if text:
            everything = sorted({name for names in evaluated.values() for name in names})
            groups.append({"train": sorted(text), "evaluate": everything, "stop": False})
        return {"version": LEAKAGE_VERSION, "groups": groups, "allow": sorted(self.config["allow_leakage"])}

    def check_states(self) -> None:
        """UserError for the first interrupted training whose saved state belongs to another spec."""
        for node in self.checkpoints.values():
            spec = Path(node.path) / "state" / "spec.json"
            if spec.exists() and read_json(spec) != node.spec:
                fix = f"Go back to the config it was started with, or give it up: rm -r {spec.parent}"
                raise UserError("an interrupted training of another spec left its state here", str(spec.parent), fix)

    def prepared(self, dataset: str, split: str, language: str) -> str:
        """Path of a prepared split's manifest; its rows lie beside it as .jsonl."""
        self.registry[dataset].require(language, split)
        return f"data/{dataset}/{split}.{language}.json"

    # ---- expansion ----

    def _add_base(self, name: str) -> None:
        model = self.config["models"][name]
        if model.get("sharded") and model.get("gpus", 1) < 2:
            raise UserError("one GPU has nothing to share a model with", f"models.{name}.sharded", "gpus: 2")
        if "hub" in model:
            path = base_path(self.results, name, model)
            self.checkpoints[path] = Checkpoint(path, {"hub": model["hub"], "revision": model["revision"]})
            return
        pretrain = model["pretrain"]
        place = f"models.{name}.pretrain"
        if pretrain["hidden"] % pretrain["heads"]:
            raise UserError(
                f"{pretrain['heads']} heads do not divide a width of {pretrain['hidden']}", f"{place}.heads"
            )
        corpus = {
            dataset: self._languages(dataset, languages, "train", f"{place}.corpus.{dataset}")
            for dataset, languages in pretrain["corpus"].items()
        }
        for dataset in corpus:
            if self.registry[dataset].task != "text":
                raise UserError(f"{dataset} is a {self.registry[dataset].task} data set, not text", f"{place}.corpus")
        spec = {
            "version": PRETRAIN_VERSION,
            "sources": sorted(f"{dataset}.{lang}" for dataset, languages in corpus.items() for lang in languages),
            **{key: pretrain[key] for key in ("vocabulary", "hidden", "layers", "heads", "max_length", "seed")},
            "budget": {key: value for key, value in pretrain["budget"].items() if key != "matched"},
            "recipe": pretrain["recipe"],
            "threads": pretrain["threads"],
            "precision": self.config["precision"],
            "packing": self.config["packing"],
        }
        data = tuple(prepared_source(source) for source in spec["sources"])
        path = base_path(self.results, name, model)
        self.checkpoints[path] = Checkpoint(path, spec, data=data, threads=pretrain["threads"])

    def _schedules(self, track: str) -> list[Schedule]:
        config = self.config["tracks"][track]
        place = f"tracks.{track}"
        if UNTRAINED in config["schedules"]:
            raise UserError(f"{UNTRAINED!r} is the name of the floor", f"{place}.schedules", "Choose another name.")
        budget = Budget(**config["budget"])
        schedules = parse_schedules(
            config["schedules"], lambda name, here: self._source(track, name, here), budget, f"{place}.schedules"
        )
        check_matched(schedules, budget, self._rows, place)
        return [Schedule(UNTRAINED), *schedules]

    def _source(self, track: str, name: str, place: str) -> str:
        """`en` or `mnli.en` as `dataset.language`, checked against the registry."""
        default = self.config["tracks"][track].get("sources")
        dataset, _, language = name.rpartition(".")
        if not dataset and isinstance(default, Mapping):
            if name not in default:
                raise UserError(
                    f"unknown source {name!r}", place, f"tracks.{track}.sources has: {', '.join(sorted(default))}"
                )
            dataset, _, language = default[name].rpartition(".")
        elif not dataset:
            if default is None:
                raise UserError(
                    f"{name!r} names no data set", place, f"Write dataset.{name}, or set tracks.{track}.sources"
                )
            dataset = default
        if not dataset or dataset not in self.registry:
            known = ", ".join(sorted(self.registry))
            raise UserError(
                f"unknown source {name!r}: no data set {dataset!r} in the registry", place, f"Known: {known}"
            )
        try:
            self.registry[dataset].require(language, "train")
        except UserError as error:
            raise UserError(error.message, place, error.fix) from None
        if self.registry[dataset].task in HEADLESS:
            raise UserError(f"{dataset} is for evaluation: nothing can be trained on it", place)
        return f"{dataset}.{language}"

    def _rows(self, source: str) -> int | None:
        dataset, _, language = source.rpartition(".")
        return self.registry[dataset].require(language, "train").rows.get(language)

    def _languages(self, dataset: str, languages: str | list, split: str, place: str) -> tuple[str, ...]:
        try:
            record = self.registry[dataset]
            if languages == "all" and split in record.splits:
                return record.splits[split].languages
            for language in record.languages[:1] if languages == "all" else languages:
                record.require(language, split)
        except UserError as error:
            raise UserError(error.message, place, error.fix) from None
        return tuple(languages)

    def _evaluate(self, track: str) -> dict[str, tuple[str, ...]]:
        found = {}
        for dataset, languages in self.config["tracks"][track]["evaluate"].items():
            place = f"tracks.{track}.evaluate.{dataset}"
            any_fold = self.in_fold(dataset, 1) if dataset in self.registry else dataset
            found[dataset] = self._languages(any_fold, languages, "test", place)
            self._check_metric(self.registry[dataset], found[dataset], place)
        return found

    # ---- data sets that are split in several ways ----

    def _folds(self, track: str) -> tuple[int, ...]:
        """The folds that the track's data sets are split into, from 1; (0,) where none is."""
        sources = {s for schedule in self.schedules[track] for s in sources_of(schedule)}
        datasets = sorted({source.rpartition(".")[0] for source in sources} | set(self.evaluate[track]))
        numbers = {name: folds.number for name in datasets if (folds := self.registry.folds(name))}
        if len(set(numbers.values())) > 1:
            listing = ", ".join(f"{name} {number}" for name, number in numbers.items())
            message = f"its data sets are split in different numbers of ways: {listing}"
            raise UserError(message, f"tracks.{track}", "Give them tracks of their own.")
        return tuple(range(1, max(numbers.values()) + 1)) if numbers else (0,)

    def in_fold(self, dataset: str, fold: int) -> str:
        """The name of a data set in a fold; its own where it is not split in several ways."""
        return fold_name(dataset, fold) if fold and self.registry.folds(dataset) else dataset

    def _schedule_in_fold(self, schedule: Schedule, fold: int) -> Schedule:
        """The schedule with the sources of a fold."""

        def source(name: str) -> str:
            dataset, _, language = name.rpartition(".")
            return f"{self.in_fold(dataset, fold)}.{language}"

        stages = tuple(replace(stage, sources=tuple(map(source, stage.sources))) for stage in schedule.stages)
        members = tuple(self._schedule_in_fold(member, fold) for member in schedule.members)
        return replace(schedule, stages=stages, members=members)

    def _check_metric(self, record: Dataset, languages: Sequence[str], place: str) -> None:
        """UserError where the data set cannot be scored in a language, or not as the task of XTREME-R that it is."""
        metric_named(record.metric).check_languages(languages, place)
        official = XTREME_R.get(record.xtreme, record.metric)
        if record.metric != official:
            message = f"{record.name} is XTREME-R's {record.xtreme}, which is scored by {official}, not {record.metric}"
            raise UserError(message, place, f"Its record must say: metric: {official}")

    def _add_runs(self, model: str, track: str, seed: int) -> None:
        home = f"{self.results}/{model}/seed{seed}/{track}"
        base = base_path(self.results, model, self.config["models"][model])
        for schedule, fold in itertools.product(self.schedules[track], self.folds[track]):
            prefixes = self._schedule_in_fold(schedule, fold).prefixes
            paths = [self._add_checkpoint(prefix, home, base, track, seed) for prefix in prefixes]
            self.runs.append(Run(model, seed, track, schedule, tuple(paths), fold))

    def _add_checkpoint(self, schedule: Schedule, home: str, base: str, track: str, seed: int) -> str:
        """Add the final checkpoint of a lineage, and of what it stands on, unless another schedule already has."""
        path = f"{home}/{schedule.path}"
        if path in self.checkpoints:
            return path
        if schedule.members:
            for member in schedule.members:
                for prefix in member.prefixes:
                    self._add_checkpoint(prefix, home, base, track, seed)
            parents = tuple(f"{home}/{member.path}" for member in schedule.members)
            heads = [self._weights_of(member, track) for member in schedule.members]
            if any(found != heads[0] for found in heads):
                message = f"the members of {schedule.name!r} end with different heads, so that they have no mean"
                raise UserError(
                    message, f"tracks.{track}.schedules", "Let them train the same tasks, the last the same."
                )
            spec: dict = {"version": TRAIN_VERSION, "average": [self._stamp(parent) for parent in parents]}
        else:
            parents = (f"{home}/{schedule.prefixes[-2].path}" if len(schedule.stages) > 1 else base,)
            spec = self._stage_spec(schedule, track, seed, parents[0])
        data = tuple(prepared_source(source) for source in spec.get("sources", []) + spec.get("replayed", []))
        evaluate = self._evaluated(schedule, track)
        held_out = self._held_out(spec)
        threads = self.config["threads"]
        self.checkpoints[path] = Checkpoint(path, spec, parents, data, evaluate, threads, held_out=held_out)
        return path

    def _select(self, track: str, sources: Sequence[str]) -> dict:
        """How a stage's checkpoint is chosen: by the validation split of the data set that it trains on, if wanted."""
        wanted = self.config["tracks"][track].get("select")
        if not wanted:
            return {}
        trained = {source.rpartition(".")[0] for source in sources}
        chosen = [name for name in trained if wanted["dataset"] in (name, self.registry[name].whole)]
        if not chosen:
            return {}
        record = self.registry[chosen[0]]
        return {
            "select": {
                "dataset": record.name,
                "languages": list(record.splits["validation"].languages),
                "metric": record.metric,
                "head": head_of(record)["name"],
                "precision": self.config["predict_precision"],
                "every": wanted["every"],
                "trace": wanted["trace"],
            }
        }

    def _held_out(self, spec: Mapping) -> tuple[str, ...]:
        """Prepared rows that a stage is scored on while it is trained; test rows only to be told beside."""
        if not (select := spec.get("select")):
            return ()
        splits = ("validation", "test") if select["trace"] else ("validation",)
        return tuple(self.prepared(select["dataset"], split, lang) for split in splits for lang in select["languages"])

    def _check_select(self) -> None:
        """UserError for a data set to select by that has no validation split, or that no schedule trains on."""
        for track, config in self.config["tracks"].items():
            if not (wanted := config.get("select")):
                continue
            place = f"tracks.{track}.select.dataset"
            if wanted["dataset"] not in self.registry:
                raise UserError(f"unknown data set {wanted['dataset']!r}", place)
            record = self.registry[self.in_fold(wanted["dataset"], 1)]
            for split in ("validation", "test") if wanted["trace"] else ("validation",):
                if split not in record.splits:
                    have = ", ".join(record.splits)
                    raise UserError(f"data set {wanted['dataset']!r} has no {split} split", place, f"It has: {have}.")
            trained = {s.rpartition(".")[0] for schedule in self.schedules[track] for s in sources_of(schedule)}
            if wanted["dataset"] not in trained:
                known = ", ".join(sorted(trained))
                raise UserError(f"no schedule trains on {wanted['dataset']!r}", place, f"They train on: {known}")

    def _mark_carried(self) -> None:
        """A stage keeps its optimizer's state where a stage after it goes on with it."""
        for node in list(self.checkpoints.values()):
            if node.spec.get("recipe", {}).get("optimizer") == "carry" and "/seed" in node.parents[0]:
                parent = self.checkpoints[node.parents[0]]
                self.checkpoints[parent.path] = replace(parent, keep_optimizer=True)

    def _mark_scored(self) -> None:
        """A track that scores what its schedules end with leaves the stages on the way unscored."""
        final = {run.stages[-1] for run in self.runs}
        for run in self.runs:
            if self.config["tracks"][run.track]["score"] == "final":
                for path in set(run.stages) - final:
                    self.checkpoints[path] = replace(self.checkpoints[path], evaluate={})

    def _stage_spec(self, schedule: Schedule, track: str, seed: int, parent: str) -> dict:
        config = self.config["tracks"][track]
        stage = schedule.stages[-1] if schedule.stages else None
        earlier = sorted({source for before in schedule.stages[:-1] for source in before.sources})
        replayed = earlier if stage and stage.replay else []
        sources = [*(stage.sources if stage else ()), *replayed]
        heads = self._heads(schedule, track)
        return {
            "version": TRAIN_VERSION,
            "parent": self._stamp(parent),
            "after": [list(before.sources) for before in schedule.stages[:-1]],
            "seed": seed,
            "sources": list(stage.sources) if stage else [],
            "replayed": replayed,
            "replay": stage.replay if stage else 0.0,
            "updates": stage.updates if stage else 0,
            "epochs": stage.epochs if stage else None,
            "tokens": config["budget"]["tokens"],
            "heads": [heads[name] for name in sorted(heads)],
            "source_heads": {source: head_of(self.registry[source.rpartition(".")[0]])["name"] for source in sources},
            "recipe": {**config["recipe"], **(stage.changes if stage else {})},
            # The layer says which states predictions compare; training has no use for it.
            "encoding": {key: value for key, value in config["encoding"].items() if key != "layer"},
            "threads": self.config["threads"],
            "precision": self.config["precision"],
            "packing": self.config["packing"],
            **self._select(track, stage.sources if stage else ()),
        }

    def _heads(self, schedule: Schedule, track: str) -> dict[str, dict]:
        """Heads that the checkpoint has: of every source so far; of all evaluated data where nothing was trained."""
        sources = {source.rpartition(".")[0] for stage in schedule.stages for source in stage.sources}
        heads: dict[str, dict] = {}
        for dataset in sorted(sources) or self.evaluate[track]:
            head = head_of(self.registry[dataset])
            if head["name"] not in HEADLESS and heads.setdefault(head["name"], head) != head:
                message = f"two data sets share the head {head['name']!r} and differ in their labels"
                raise UserError(message, f"{self.registry[dataset].place}: {dataset}", "Give one another `head`.")
        return heads

    def _weights_of(self, schedule: Schedule, track: str) -> tuple:
        """What decides which final weights are saved, and under which names: heads, the last stage's, a temperature."""
        last = schedule.stages[-1].sources[:1] if schedule.stages else ()
        heads = [head_of(self.registry[source.rpartition(".")[0]])["name"] for source in last]
        shared = self.config["tracks"][track]["recipe"]
        learned = any(learns_temperature({**shared, **stage.changes}) for stage in schedule.stages)
        return sorted(self._heads(schedule, track)), heads, learned

    def _evaluated(self, schedule: Schedule, track: str) -> dict[str, tuple[str, ...]]:
        """Data sets for which the checkpoint has a head, in the fold that it is trained in, or in all."""
        heads = set.intersection(*(set(self._heads(s, track)) for s in schedule.members or [schedule]))
        # What was trained in no fold yet is the beginning of all.
        own = {self.registry[source.rpartition(".")[0]].fold for source in sources_of(schedule)} - {0}
        return {
            self.in_fold(dataset, fold): languages
            for dataset, languages in self.evaluate[track].items()
            for fold in sorted(own) or self.folds[track]
            if head_of(self.registry[dataset])["name"] in {*heads, *HEADLESS}
        }

    def _stamp(self, path: str) -> str:
        return sha256_json(self.checkpoints[path].spec)

    def _check_layers(self) -> None:
        """UserError where a track's layer by model lacks a model, or names one that the study has not."""
        for name, track in self.config["tracks"].items():
            layer = track["encoding"].get("layer")
            if isinstance(layer, Mapping) and set(layer) != set(self.config["models"]):
                example = ", ".join(f"{model}: 8" for model in self.config["models"])
                message = f"expected a layer for each model of the study, found {', '.join(layer)}"
                raise UserError(message, f"tracks.{name}.encoding.layer", f"layer: {{{example}}}")

    def _check_contrast(self) -> None:
        """UserError where a recipe's keys of contrast contradict each other, or do nothing."""
        for name, track in self.config["tracks"].items():
            shared = contrast_keys(track["recipe"])
            nodes = [node for node in self.checkpoints.values() if node.path.split("/")[4:5] == [name]]
            trained = [node for node in nodes if node.spec.get("sources")]
            for node in trained:
                tasks = {head.partition(".")[0] for head in node.spec["source_heads"].values()}
                place = f"tracks.{name}.schedules, {node.path.rpartition('/')[2]}"
                check_contrast(node.spec["recipe"], shared, tasks, place)
            if shared and not any("contrast" in node.spec["recipe"] for node in trained):
                raise UserError(f"{shared[0]} does nothing without contrast", f"tracks.{name}.recipe", "contrast: 1.0")

    def _check_allowed_leakage(self) -> None:
        """UserError for an entry of allow_leakage that means no pair of a source and an evaluated set of one track."""
        if not self.config["allow_leakage"]:
            return
        groups = [group for group in self.leakage_spec()["groups"] if group["stop"]]
        for number, entry in enumerate(self.config["allow_leakage"]):
            if not any(covers(entry, s, e) for group in groups for s in group["train"] for e in group["evaluate"]):
                message = f"no track trains on the first and evaluates the second of {entry!r}"
                raise UserError(message, f"allow_leakage[{number}]", "Correct the names, or leave the entry out.")
