"""Mistakes of an expanded study that no schema can see. Each check raises UserError for the first one it finds."""

from collections.abc import Mapping
from pathlib import Path

from crosstune.artifacts.checkpoint import MODEL, RESUME
from crosstune.artifacts.model_config import check_positions
from crosstune.core.errors import UserError
from crosstune.core.files import read_json
from crosstune.core.schema import check_known
from crosstune.core.text import count
from crosstune.data.leakage import covers
from crosstune.data.part_names import without_sample
from crosstune.data.record import Dataset
from crosstune.data.registry import Registry
from crosstune.evaluation.metrics import DIAGNOSTICS, XTREME_R, metric_named
from crosstune.study.folds import fold_dataset
from crosstune.study.graph import Expansion, Track
from crosstune.study.paths import Source, base_path
from crosstune.study.recipe import check_contrastive_recipe, contrastive_options, is_contrastive
from crosstune.study.run_data import validation_languages
from crosstune.study.schedules import schedule_sources
from crosstune.study.specs import leakage_spec
from crosstune.study.targets import used_languages

# In a pair of texts, RoBERTa's are the most.
MOST_SPECIAL_TOKENS = 4


def check_metric(record: Dataset, languages: tuple[str, ...], where: str) -> None:
    """The metric knows the languages, and is the official one if the data set is a task of XTREME-R."""
    metric_named(record.metric).check_languages(languages, where)
    official = (XTREME_R | DIAGNOSTICS).get(record.xtreme, record.metric)
    if record.metric != official:
        message = f"{record.name} is XTREME-R's {record.xtreme}, which is scored by {official}, not {record.metric}"
        raise UserError(message, where, f"Its record must say: metric: {official}")


def check_selection(registry: Registry, track: Track) -> None:
    """The data set that selects the best update has the splits for that, and a schedule trains on it."""
    if not (select := track.config.get("select")):
        return
    if "patience" in select and track.config["budget"]["matched"]:
        message = "with patience stages stop at different updates, so that schedules are not compute-matched"
        fix = f"Allow it: {budget_line(track.config['budget'])}"
        raise UserError(message, f"tracks.{track.name}.select.patience", fix)
    where = f"tracks.{track.name}.select.dataset"
    if select["dataset"] not in registry:
        raise UserError(f"unknown data set {select['dataset']!r}", where)
    if "validation" in select:
        if "languages" in select:
            message = "rows of `validation` name their languages themselves"
            raise UserError(message, f"tracks.{track.name}.select.languages", "validation: {..., languages: [en]}")
        check_held_out(registry, track)
        return
    record = registry[fold_dataset(registry, select["dataset"], 1)]
    for split in ("validation", "test") if select["log_test_scores"] else ("validation",):
        if split not in record.splits:
            have = ", ".join(record.splits)
            raise UserError(f"data set {select['dataset']!r} has no {split} split", where, f"It has: {have}.")
    if isinstance(languages := select.get("languages", "trained"), list):
        for language in languages:
            record.require(language, "validation", f"tracks.{track.name}.select.languages")
    elif not validation_languages(registry, track, record.name):
        message = f"no validation rows of {select['dataset']} in a language that the track trains on"
        raise UserError(message, f"tracks.{track.name}.select.languages", "languages: [en]")
    _check_trained(track, where)


def budget_line(budget: Mapping) -> str:
    """A line to paste with a budget that allows schedules of different costs."""
    kept = {key: value for key, value in budget.items() if key != "matched"}
    return f"budget: {{{', '.join(f'{key}: {value}' for key, value in kept.items())}, matched: false}}"


def _check_trained(track: Track, where: str) -> None:
    """A schedule trains on the data set that selects."""
    name, trained = track.config["select"]["dataset"], set(map(without_sample, _trained_datasets(track)))
    if name not in trained:
        raise UserError(f"no schedule trains on {name!r}", where, f"They train on: {', '.join(sorted(trained))}")


def check_held_out(registry: Registry, track: Track) -> None:
    """Training rows can be held out: of a data set without folds that is no translation, in languages that it has."""
    select, where = track.config["select"], f"tracks.{track.name}.select"
    name, held = select["dataset"], select["validation"]
    record = registry[name]
    _check_trained(track, f"{where}.dataset")
    if origin := registry.translation_source(name):
        message = f"data set {name!r} is a translation, and its originals would be trained on"
        raise UserError(message, f"{where}.dataset", f"dataset: {origin}")
    if registry.folds(name):
        message = f"data set {name!r} is split into folds, which have validation rows"
        raise UserError(message, f"{where}.validation", "Leave `validation` out.")
    if select["log_test_scores"] and "test" not in record.splits:
        raise UserError(f"data set {name!r} has no test split", f"{where}.log_test_scores", "log_test_scores: false")
    for language in held.get("languages", []):
        record.require(language, "train", f"{where}.validation.languages")
    for language, rows in record.splits["train"].rows.items():
        if held["sample"] >= rows and record.task != "retrieval":
            message = f"{held['sample']} held-out examples leave nothing to train on: {name}.{language} has {rows}"
            raise UserError(message, f"{where}.validation.sample", f"sample: {max(1, rows // 10)}")


def check_frozen(study: Expansion) -> None:
    """A model that the study pretrains has the layers that a recipe freezes; of others the training job knows.

    Adapters leave nothing to freeze.
    """
    for node in study.checkpoints.values():
        trains = bool(node.parents and node.spec.get("sources"))
        if trains and "lora" in node.spec and node.spec["recipe"].get("freeze"):
            message = f"{node.location.model} trains adapters alone (`lora`), and the recipe freezes parts of it"
            raise UserError(message, f"tracks.{node.location.track}", "Leave `freeze` out.")
        number = node.spec["recipe"].get("freeze", {}).get("layers", 0) if trains else 0
        model = study.config["models"][node.location.model] if number else {}
        if number > (have := model.get("pretrain", {}).get("layers", number)):
            message = f"the encoder has {count(have, 'layer')}, and {number} are frozen in {node.location.stages[-1]}"
            raise UserError(message, f"tracks.{node.location.track}", f"freeze: {{layers: {have}}}")


def check_layers(study: Expansion) -> None:
    """A track's layer by model names the models of the study."""
    for track in study.tracks.values():
        layer = track.config["encoding"].get("layer")
        if isinstance(layer, Mapping) and set(layer) != set(study.config["models"]):
            example = ", ".join(f"{model}: 8" for model in study.config["models"])
            message = f"expected a layer for each model of the study, found {', '.join(layer)}"
            raise UserError(message, f"tracks.{track.name}.encoding.layer", f"layer: {{{example}}}")


def check_windows(study: Expansion) -> None:
    """Windows of a question and its context have room for the context, and they overlap."""
    for name, track in study.tracks.items():
        if "qa" not in _task_types(study, track):
            continue
        where, encoding = f"tracks.{name}.encoding", track.config["encoding"]
        length, question = encoding["max_length"], encoding["max_question_length"]
        room = length - question - MOST_SPECIAL_TOKENS
        if room <= 0:
            fix = f"max_question_length: {(length - MOST_SPECIAL_TOKENS) // 2}"
            message = f"a question of {question} tokens leaves no room for context in {length}"
            raise UserError(message, f"{where}.max_question_length", fix)
        if room <= encoding["stride"]:
            message = (
                f"windows of {length} tokens, with questions of {question}, have"
                f" {room} of context: none would overlap, and answers at their ends would be cut"
            )
            raise UserError(message, f"{where}.stride", f"stride: {max(1, room // 2)}")


def check_lengths(study: Expansion, root: Path) -> None:
    """Every model has positions for the longest sequence of every track.

    A model of the hub is known once its folder is below `root`; before, the job that fetches it checks it. So does the
    job that copies a model from a folder of another machine.
    """
    for name, track in study.tracks.items():
        longest = longest_sequence(study, track)
        for model, config in study.config["models"].items():
            if "pretrain" in config and config["pretrain"]["max_length"] < longest:
                message = f"the track {name} has sequences of {longest} tokens"
                raise UserError(message, f"models.{model}.pretrain.max_length", f"max_length: {longest}")
            file = root / base_path(study.name, model, config) / MODEL / "config.json"
            files = [file] if "pretrain" not in config else []
            files += [Path(config["folder"], "config.json")] if "folder" in config else []
            if known := next((file for file in files if file.exists()), None):
                check_positions(read_json(known), longest, f"models.{model}")


def longest_sequence(study: Expansion, track: Track) -> int:
    """The tokens of the longest sequence that a track gives to a model."""
    keys = ("max_length", "max_question_length") if "retrieval" in _task_types(study, track) else ("max_length",)
    return max(track.config["encoding"][key] for key in keys)


def _task_types(study: Expansion, track: Track) -> set[str]:
    """The task types that a track trains or evaluates."""
    return {study.registry[dataset].task for dataset in _trained_datasets(track) | set(track.evaluate)}


def _trained_datasets(track: Track) -> set[str]:
    """The data sets that any schedule of a track trains on."""
    return {Source.parse(source).dataset for schedule in track.schedules for source in schedule_sources(schedule)}


def check_contrastive(study: Expansion) -> None:
    """The contrastive keys of every recipe fit each other and the task types, and have an effect."""
    trained = [node for node in study.checkpoints.values() if node.parents and node.spec.get("sources")]
    trained = [node for node in trained if not node.choice]  # its candidates are checked
    for name, track in study.tracks.items():
        shared = contrastive_options(track.config["recipe"])
        nodes = [node for node in trained if node.location.track == name]
        for node in nodes:
            given = contrastive_options(track.of_model(study.config["models"][node.location.model]).config["recipe"])
            tasks = {head.partition(".")[0] for head in node.spec["source_heads"].values()}
            where = f"tracks.{name}.schedules, {node.location.stages[-1]}"
            check_contrastive_recipe(node.spec["recipe"], given, tasks, where)
        if shared and not any(is_contrastive(node.spec["recipe"]) for node in nodes):
            fix = "contrastive: {weight: 1.0}"
            raise UserError(f"{shared[0]} has no effect without a weight", f"tracks.{name}.recipe.contrastive", fix)
    for name, model in study.config["models"].items():
        own = contrastive_options(model.get("recipe", {}))
        if own and not any(is_contrastive(node.spec["recipe"]) for node in trained if node.location.model == name):
            fix = "contrastive: {weight: 1.0}"
            raise UserError(f"{own[0]} has no effect without a weight", f"models.{name}.recipe.contrastive", fix)


def check_allowed_leakage(study: Expansion) -> None:
    """Every entry of allow_leakage names a source and an evaluated set of one track."""
    if not study.config["allow_leakage"]:
        return
    groups = [group for group in leakage_spec(study)["groups"] if group["stop"]]
    for number, entry in enumerate(study.config["allow_leakage"]):
        if not any(covers(entry, s, e) for group in groups for s in group["train"] for e in group["evaluate"]):
            message = f"no track trains or selects on the first and evaluates the second of {entry!r}"
            raise UserError(message, f"allow_leakage[{number}]", "Correct the names, or leave the entry out.")


def check_resume_states(study: Expansion) -> None:
    """No interrupted training has left a state of another spec in the folder of a checkpoint."""
    for path, node in study.checkpoints.items():
        spec = Path(path, RESUME, "spec.json")
        if spec.exists() and read_json(spec) != node.spec:
            fix = f"Go back to the config it was started with, or give it up: rm -r {spec.parent}"
            raise UserError("an interrupted training of another spec left its state here", str(spec.parent), fix)


def check_languages(study: Expansion) -> None:
    """Tables know the name, family and script of every language."""
    if unknown := [code for code in used_languages(study) if code not in study.languages]:
        lines = [f"  {code}: {{name: ..., family: ..., script: Latn, resource: low}}" for code in unknown]
        message = f"the language {unknown[0]!r} is neither here nor in the registry"
        raise UserError(message, "languages", "\n".join(["Describe it in the config:", "languages:", *lines]))


def shown_examples(study: Expansion) -> dict[str, int]:
    """The number of examples that are shown of every language, and the seed of the runs that answer them.

    Raises UserError for a seed that the study does not have.
    """
    seeds = study.config["seeds"]
    chosen = {"number": 5, "seed": seeds[0]} | study.config.get("examples", {})
    check_known(str(chosen["seed"]), list(map(str, seeds)), "seed", "examples.seed")
    return chosen
