"""Specs of jobs: everything that affects a result and nothing else.

A spec reaches its job as canonical JSON, so that reordering the config reruns nothing. Its hash stamps the state that
an interrupted job leaves.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

from crosstune.artifacts.choice import resolve_recipe
from crosstune.core.files import sha256_json
from crosstune.data.leakage import LEAKAGE_VERSION
from crosstune.data.part_names import without_sample
from crosstune.data.registry import Registry
from crosstune.study.graph import Checkpoint, Expansion, Track
from crosstune.study.heads import Head, schedule_heads
from crosstune.study.paths import CheckpointPath, PreparedPath, Source
from crosstune.study.recipe import learns_temperature, merge_recipe, stage_recipe
from crosstune.study.run_data import evaluated_dataset, largest_samples, run_sources, validation_languages
from crosstune.study.schedules import Schedule
from crosstune.study.sweeps import grid_of, search_seeds

# Raise a version by hand when a change of the code changes results: the jobs and their dependents then rerun.
PRETRAIN_VERSION = 4
TRAIN_VERSION = 7
PREDICT_VERSION = 4
# Keys that only the command line may give: what they allow can harm whoever runs a study of somebody else's.
COMMAND_LINE_KEYS = ("allow_commands", "replace", "archive", "corrections")
# Keys of a config for targets of their own and for curves beside the results, of which no other result knows.
SHOWN = ("examples", "trackers")
# Keys of a config that decide what a run keeps and may do, and no result.
CONSENTS = ("keep_weights", *COMMAND_LINE_KEYS)
# Keys of a model that say how it is trained and change no result.
RUNTIME_KEYS = ("gpus", "sharded")


def config_affecting_results(config: Mapping) -> dict:
    """The config without what changes no result: kept weights, consents, GPUs, the places of models and of folders.

    It is published; places are the user's.
    """
    models = {
        name: {key: name if key == "folder" else value for key, value in model.items() if key not in RUNTIME_KEYS}
        for name, model in config["models"].items()
    }
    folders = {name: name for name in config["folders"]}
    # Without buckets the config is that of a study from before there were any.
    unused = {"buckets"} if not config["buckets"] else set()
    kept = {key: value for key, value in config.items() if key not in {*CONSENTS, *SHOWN, *unused}}
    return kept | {"models": models, "folders": folders}


def plan_config(config: Mapping) -> str:
    """The config that decides the plan, as JSON; sorted, except where tables and figures follow the order."""
    in_order = {"models", "tracks", "schedules", "evaluate"}

    def arranged(value: object, key: str = "") -> object:
        if isinstance(value, Mapping):
            keys = list(value) if key in in_order else sorted(value)
            return {name: arranged(value[name], name) for name in keys}
        return [arranged(entry) for entry in value] if isinstance(value, list) else value

    kept = config_affecting_results(config)
    # Names decide the order of rows and columns, figures their own order on the page.
    shown = {key: kept[key] for key in ("names", "figures") if key in kept}
    return json.dumps(arranged(kept) | shown, ensure_ascii=False, separators=(",", ":"))


def weight_names_key(registry: Registry, track: Track, schedule: Schedule) -> tuple:
    """The facts that decide the names of the saved weights: heads, the last stage's head, a learned temperature."""
    last = schedule.stages[-1].sources[:1] if schedule.stages else ()
    shared = track.config["recipe"]
    learned = any(learns_temperature(merge_recipe(shared, stage.changes)) for stage in schedule.stages)
    heads = schedule_heads(registry, track, schedule)
    names = sorted({head.name for head in heads.values()})
    return names, [heads[Source.parse(source).dataset].name for source in last], learned


# --- trainings -------------------------------------------------------------------------------------------------------


def pretrain_spec(config: Mapping, pretrain: Mapping, sources: Sequence[str]) -> dict:
    """The spec of a base model that is pretrained on the text of `sources`."""
    return {
        "version": PRETRAIN_VERSION,
        "sources": sorted(sources),
        **{key: pretrain[key] for key in ("vocabulary", "hidden", "layers", "heads", "max_length", "seed")},
        "budget": {key: value for key, value in pretrain["budget"].items() if key != "matched"},
        "recipe": pretrain["recipe"],
        "threads": pretrain["threads"],
        "precision": config["precision"],
        "packing": config["packing"],
    }


def stage_spec(config: Mapping, registry: Registry, track: Track, schedule: Schedule, seed: int, parent: dict) -> dict:
    """The spec of a schedule's last stage, from the spec of its parent; of an untrained head if it has no stage."""
    stage = schedule.stages[-1] if schedule.stages else None
    earlier = sorted({source for before in schedule.stages[:-1] for source in before.sources})
    replayed = earlier if stage and stage.replay else []
    sources = [*(stage.sources if stage else ()), *replayed]
    recipe = stage_recipe(track.config["recipe"], stage.changes if stage else {})
    if not stage and (grid := grid_of(recipe)):
        recipe = resolve_recipe(recipe, grid[0])  # without training no value matters
    heads = schedule_heads(registry, track, schedule)
    return {
        "version": TRAIN_VERSION,
        "parent": sha256_json(parent),
        "after": [list(before.sources) for before in schedule.stages[:-1]],
        "seed": seed,
        "sources": list(stage.sources) if stage else [],
        "replayed": replayed,
        "replay": stage.replay if stage else 0.0,
        "updates": stage.updates if stage else 0,
        "epochs": stage.epochs if stage else None,
        "tokens": track.config["budget"]["tokens"],
        "heads": [head.spec for head in sorted(set(heads.values()), key=lambda head: head.name)],
        "source_heads": {source: heads[Source.parse(source).dataset].name for source in sources},
        "recipe": recipe,
        # The layer says which states predictions compare; training does not use it.
        "encoding": {key: value for key, value in track.config["encoding"].items() if key != "layer"},
        "threads": config["threads"],
        "precision": config["precision"],
        "packing": config["packing"],
        **_selection_spec(config, registry, track, stage.sources if stage else (), heads),
        **_lr_span_spec(schedule),
        **({"sweep_seeds": list(search_seeds(config, track))} if stage and stage.chosen_for else {}),
    }


def _lr_span_spec(schedule: Schedule) -> dict:
    """The place of a schedule's last stage in a learning-rate schedule over several stages, if that is its own."""
    if not (schedule.stages and schedule.stages[-1].lr_updates):
        return {}
    before = sum(stage.updates for stage in schedule.stages[:-1])
    return {"lr_span": {"updates": schedule.stages[-1].lr_updates, "before": before}}


def adapter_spec(model: Mapping) -> dict:
    """What the spec of a stage says of its model's adapter; nothing if it has none."""
    lora = model.get("lora")
    if not lora:
        return {}
    targets = lora["targets"] if isinstance(lora["targets"], str) else sorted(lora["targets"])
    return {"lora": {**lora, "targets": targets}}


def average_spec(parents: Sequence[dict]) -> dict:
    """The spec of the average of checkpoints with these specs."""
    return {"version": TRAIN_VERSION, "average": [sha256_json(parent) for parent in parents]}


def _selection_spec(
    config: Mapping, registry: Registry, track: Track, sources: Sequence[str], heads: Mapping[str, Head]
) -> dict:
    """How a stage's best update is selected: on the validation split of a data set that it trains on, if declared."""
    select = track.config.get("select")
    trained = sorted({Source.parse(source).dataset for source in sources})
    chosen = [name for name in trained if select and select["dataset"] in (name, registry[name].base_dataset)]
    if not chosen:
        return {}
    # A sample of the training rows is selected on the whole validation split.
    record = registry[without_sample(chosen[0])]
    return {
        "select": {
            "dataset": record.name,
            "languages": validation_languages(registry, track, record.name),
            "metric": record.metric,
            "head": heads[chosen[0]].name,
            "precision": config["predict_precision"],
            "every": select["every"],
            "log_test_scores": select["log_test_scores"],
            **({"patience": select["patience"]} if "patience" in select else {}),
        }
    }


def held_out_manifests(spec: Mapping) -> tuple[str, ...]:
    """Prepared rows that a training is evaluated on; test rows only to be logged."""
    if not (select := spec.get("select")):
        return ()
    splits = ("validation", "test") if select["log_test_scores"] else ("validation",)
    return tuple(str(PreparedPath(select["dataset"], split, lang)) for split in splits for lang in select["languages"])


def retrain_job(node: Checkpoint) -> dict:
    """A checkpoint as the programs take one that they retrain."""
    keys = ("spec", "parents", "data", "held_out", "keep_optimizer")
    chosen = {"choice": node.choice} if node.choice else {}
    return {"out": node.path} | {key: getattr(node, key) for key in keys} | chosen


def model_parallelism(config: Mapping, path: str) -> str:
    """Whether each of several GPUs holds the whole model (`replicated`) or a part of it (`sharded`)."""
    model = config["models"][CheckpointPath.parse(path).model]
    return "sharded" if model.get("sharded") else "replicated"


# --- predictions -----------------------------------------------------------------------------------------------------


def predict_spec(study: Expansion, path: str, dataset: str) -> dict:
    """The spec of a checkpoint's predictions on a data set, which also depend on weights and rows."""
    location, config = CheckpointPath.parse(path), study.config
    encoding = study.tracks[location.track].config["encoding"]
    layer = encoding.get("layer")
    return {
        "version": PREDICT_VERSION,
        "dataset": dataset,
        "head": study.checkpoints[path].heads[dataset],
        "encoding": {**encoding, "layer": layer[location.model]} if isinstance(layer, Mapping) else encoding,
        "threads": config["threads"],
        "precision": config["predict_precision"],
        "packing": config["packing"],
    }


def predictions_after_training(study: Expansion, path: str) -> list[dict]:
    """All predictions of a checkpoint, each with its spec and the manifests of its rows."""
    return [
        {
            "spec": predict_spec(study, path, dataset),
            "data": [str(PreparedPath(dataset, "test", language)) for language in languages],
        }
        for dataset, languages in study.checkpoints[path].evaluate.items()
    ]


# --- leakage ---------------------------------------------------------------------------------------------------------


def leakage_spec(study: Expansion) -> dict:
    """The comparisons of leakage.py, by track: its sources with its evaluation sets and with the validation sets that
    select its checkpoints, and these with its evaluation sets. Unlabelled text is compared with all evaluation sets: it
    teaches no answers, so its leaks are reported and stop nothing.
    """
    registry = study.registry
    evaluated: dict[tuple[str, int], list[str]] = {}
    for track in study.tracks.values():
        for fold in track.folds:
            evaluated[track.name, fold] = sorted(
                str(Source(evaluated_dataset(registry, track, dataset, fold), language))
                for dataset, languages in track.evaluate.items()
                for language in languages
            )
    text = {source for node in study.checkpoints.values() for source in node.spec.get("sources", [])}
    text = {source for source in text if registry[Source.parse(source).dataset].task == "text"}
    groups = []
    for track, fold in evaluated:
        runs = [run for run in study.runs if (run.track, run.fold) == (track, fold)]
        trained = largest_samples(source for run in runs for source in run_sources(study, run))
        selecting = selecting_sets(study, {stage for run in runs for stage in run.stages})
        tested = evaluated[track, fold]
        groups.append({"train": sorted(trained - text), "evaluate": tested + selecting, "stop": True})
        if selecting:
            groups.append({"train": selecting, "evaluate": tested, "stop": True})
    if text:
        everything = sorted({name for names in evaluated.values() for name in names})
        groups.append({"train": sorted(text), "evaluate": everything, "stop": False})
    return {"version": LEAKAGE_VERSION, "groups": groups, "allow": sorted(study.config["allow_leakage"])}


def selecting_sets(study: Expansion, paths: Iterable[str]) -> list[str]:
    """The sets `validation/DATASET.LANGUAGE` that select the checkpoints at `paths` and their ancestors."""
    nodes = {node for path in paths for node in study.lineage(path)}
    held_out = {PreparedPath.parse(manifest) for node in nodes for manifest in study.checkpoints[node].held_out}
    # Test rows are held out only to log their scores.
    return sorted(f"validation/{rows.dataset}.{rows.language}" for rows in held_out if rows.split == "validation")
