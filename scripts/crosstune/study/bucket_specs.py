"""The comparisons by bucket of examples that a study declares under its key `buckets`."""

from collections.abc import Mapping

from crosstune.artifacts.checkpoint import MODEL
from crosstune.core.errors import UserError
from crosstune.core.schema import check_known
from crosstune.data.attributes import OF_TOKENIZERS, attribute_names
from crosstune.evaluation.metrics import metric_named
from crosstune.study.comparisons import contrasted_panel, panel_of
from crosstune.study.graph import Study
from crosstune.study.paths import PreparedPath, base_path
from crosstune.study.run_data import evaluated_dataset


def resolve_buckets(study: Study) -> list[dict]:
    """The declared comparisons by name, each with its panel, attributes and prepared rows. UserError for a mistake."""
    return [_resolve(study, name, entry) for name, entry in sorted(study.config["buckets"].items())]


def _resolve(study: Study, name: str, entry: Mapping) -> dict:
    where = f"buckets.{name}"
    if entry["a"] == entry["b"]:
        raise UserError("a schedule is compared with itself", f"{where}.b", "Name two schedules.")
    track, dataset = panel_of(study, entry["panel"], f"{where}.panel")
    record = study.registry[dataset]
    panel = contrasted_panel(study, entry, track, dataset, where)
    known = attribute_names(record.task)
    if metric_named(record.metric).part_labels or not known:
        message = f"the examples of {dataset} are no single rows with attributes"
        raise UserError(message, f"{where}.panel", "Choose another panel.")
    for number, attribute in enumerate(entry.get("attributes", [])):
        check_known(attribute, [*known, *OF_TOKENIZERS], f"attribute of {dataset}", f"{where}.attributes[{number}]")
    if not panel["languages"]:
        raise UserError("none of the evaluated languages is marked as low-resource", f"{where}.languages", "all")
    evaluated = evaluated_dataset(study.registry, study.tracks[track], dataset, 0)
    return {
        "name": name,
        **{key: entry[key] for key in ("a", "b", "bins", "confidence")},
        "panels": [panel],
        "task": record.task,
        "attributes": entry.get("attributes", known),
        **_tokenizers(study, entry),
        "test": {lang: _rows(PreparedPath(evaluated, "test", lang)) for lang in panel["languages"]},
        "train": _training_rows(study, track, (entry["a"], entry["b"])),
    }


def _tokenizers(study: Study, entry: Mapping) -> dict[str, dict[str, str]]:
    """Folders with the tokenizers of the base models, by model, if an attribute needs them."""
    if not set(entry.get("attributes", ())) & set(OF_TOKENIZERS):
        return {}
    models = study.config["models"].items()
    return {"tokenizers": {name: f"{base_path(study.name, name, model)}/{MODEL}" for name, model in models}}


def _training_rows(study: Study, track: str, schedules: tuple[str, str]) -> list[str]:
    """The prepared rows that any stage of the schedules trains on."""
    stages = {
        path
        for run in study.runs
        if run.track == track and run.schedule.name in schedules
        for path in study.lineage(run.stages[-1])
    }
    manifests = {manifest for path in stages for manifest in study.checkpoints[path].data}
    return sorted(_rows(manifest) for manifest in manifests)


def _rows(manifest: PreparedPath | str) -> str:
    """The file of rows next to a manifest."""
    return str(manifest).removesuffix(".json") + ".jsonl"
