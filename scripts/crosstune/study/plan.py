"""The content of plan.json: a study as plain data for tables, figures and the report, without specs and files."""

from collections.abc import Mapping
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import read_json_or_empty, sha256_json
from crosstune.core.text import named_first
from crosstune.data.part_names import whole_name
from crosstune.data.synthetic.languages import LANGUAGES as INVENTED
from crosstune.evaluation.metrics import metric_named
from crosstune.study.graph import Run, Study, Track
from crosstune.study.paths import Source
from crosstune.study.recipe import own_recipes
from crosstune.study.run_data import evaluated_dataset
from crosstune.study.schedules import schedule_sources, shortened
from crosstune.study.targets import used_languages


def plan_of(study: Study) -> dict:
    """The plan of a study, as plain data."""
    names = study.config.get("names", {})
    track = next(iter(study.tracks))
    dataset = next(iter(study.tracks[track].evaluate))
    headline = study.config.get("headline") or {
        "track": track, "dataset": dataset, "metric": metric_named(study.registry[dataset].metric).primary
    }  # fmt: skip
    return {
        "study": study.name,
        **({"pilot": study.config["pilot"]} if "pilot" in study.config else {}),
        "headline": headline,
        "primary": {key: headline[key] for key in ("track", "dataset", "metric")},
        "seeds": study.config["seeds"],
        "models": named_first(study.config["models"], names.get("models", ())),
        **({"recipes": recipes} if (recipes := own_recipes(study.config["models"])) else {}),
        "languages": planned_languages(study),
        "tracks": {name: track_plan(study, name) for name in study.config["tracks"]},
        "contrasts": list(study.contrasts),
        "averages": study.averages,
        "published": list(study.published),
        "tables": list(study.tables),
        **({"buckets": list(study.buckets)} if study.buckets else {}),
        **({"figures": list(study.figures)} if study.figures else {}),
        **({"names": names} if names else {}),
        **({"model_cards": planned_cards(study)} if "model_cards" in study.config else {}),
        **({"distances": study.config["distances"]} if "distances" in study.config else {}),
        **({"sweeps": [sweep_plan(study, choice) for choice in study.sweeps]} if study.sweeps else {}),
        "claims": list(study.claims),
        "cited": cited(study),
        "runs": [run_plan(study, run) for run in study.runs],
    }


def is_of_another_plan(results: str, digest: str) -> bool:
    """Whether a folder of results has a plan whose hash is another than that of the study's plan."""
    written = read_json_or_empty(Path(results, "plan.json"))
    return bool(written) and sha256_json(written) != digest


def run_plan(study: Study, run: Run) -> dict:
    """A run with its stages, and with what is evaluated after each."""
    track = study.tracks[run.track]
    names = {name: evaluated_dataset(study.registry, track, name, run.fold) for name in sorted(track.evaluate)}
    return {
        "model": run.model,
        "seed": run.seed,
        **({"fold": run.fold} if run.fold else {}),
        "track": run.track,
        "schedule": run.schedule.name,
        "stages": [path.removeprefix(f"{study.results}/") for path in run.stages],
        "evaluated": [
            [name for name, own in names.items() if own in study.checkpoints[path].evaluate] for path in run.stages
        ],
        **({"members": members_of(study, run)} if run.schedule.members else {}),
        "mixtures": [list(stage.sources) for stage in run.schedule.stages],
        "updates": [stage.updates for stage in run.schedule.stages],
        "total_updates": run.schedule.total_updates,
    }


def sweep_plan(study: Study, choice: str) -> dict:
    """A sweep with the file of its choice, relative to the results."""
    sweep = study.sweeps[choice]
    fold = {"fold": sweep.fold} if sweep.fold else {}
    place = {"model": sweep.model, "track": sweep.track, "schedule": sweep.schedule, **fold}
    return place | {"seeds": list(sweep.seeds), "choice": choice.removeprefix(f"{study.results}/")}


def planned_cards(study: Study) -> dict:
    """What model cards need besides the results: owner and licence, the hub's places and the licences of base models.

    Raises UserError if the study keeps no weights.
    """
    if study.config["keep_weights"] == "none":
        raise UserError("there are no weights to write cards for", "model_cards", "keep_weights: final")
    models = {
        name: {key: model[key] for key in ("hub", "revision", "licence") if key in model}
        for name, model in study.config["models"].items()
    }
    return study.config["model_cards"] | {"models": {name: known for name, known in models.items() if known}}


def planned_languages(study: Study) -> dict[str, dict]:
    """What the study and the registry know of its languages, by code."""
    low, languages = study.config.get("low_resource"), {}
    for code in named_first(used_languages(study), study.config.get("names", {}).get("languages", ())):
        known = study.languages[code]
        resource = known.resource if low is None else ("low" if code in low else "high")
        languages[code] = {
            "name": known.name, "family": known.family, "script": known.script, "resource": resource
        }  # fmt: skip
        if code in INVENTED and INVENTED[code].name == known.name:
            languages[code]["synthetic"] = True
    return languages


def members_of(study: Study, run: Run) -> list[str]:
    """The stages of an average's members and their ancestors, in order."""
    *ancestors, _ = study.lineage(run.stages[-1])
    return [path.removeprefix(f"{study.results}/") for path in ancestors]


def cited(study: Study) -> list[dict[str, str]]:
    """The models and data sets that a publication must cite, with titles and licences."""
    models = [
        {
            "what": "model",
            "name": name,
            "title": _origin_of(model),
        }
        for name, model in study.config["models"].items()
    ]
    trained = {whole_name(Source.parse(s).dataset) for run in study.runs for s in schedule_sources(run.schedule)}
    names = trained | {dataset for track in study.tracks.values() for dataset in track.evaluate}
    records = [study.registry[name] for name in sorted(names)]
    return [{**model, "licence": ""} for model in models] + [
        {"what": "data set", "name": record.name, "title": record.title, "licence": record.licence}
        for record in records
    ]


def _origin_of(model: Mapping) -> str:
    """Where a base model comes from."""
    if "hub" in model:
        return f"{model['hub']} at {model['revision']}"
    return f"a folder with the SHA-256 {model['sha256'][:12]}" if "folder" in model else "made here"


def track_plan(study: Study, name: str) -> dict:
    """The part of the plan about one track."""
    track = study.config["tracks"][name]
    budget = shortened(track["budget"]) if "pilot" in study.config else track["budget"]
    runs = [run for run in study.runs if run.track == name]
    names, evaluated, parts = study.config.get("names", {}), study.tracks[name].evaluate, study.tracks[name].parts
    evaluate = {
        dataset: named_first(evaluated[dataset], names.get("languages", ()))
        for dataset in named_first(evaluated, names.get("datasets", ()))
    }
    # A part of a task of XTREME-R is no submission.
    tasks = {dataset: study.registry[dataset].xtreme for dataset in evaluate if dataset not in parts}
    return {
        "metrics": {dataset: study.registry[dataset].metric for dataset in evaluate},
        "xtreme": {dataset: task for dataset, task in tasks.items() if task},
        "trained": sorted({Source.parse(s).language for run in runs for s in schedule_sources(run.schedule)}),
        "evaluate": evaluate,
        "folded": [dataset for dataset in evaluate if study.registry.folds(dataset)],
        "folds": [fold for fold in study.tracks[name].folds if fold],
        "budget": {key: budget[key] for key in ("updates", "epochs", "tokens") if key in budget},
        "matched": track["budget"]["matched"],
        **({"patience": track["select"]["patience"]} if "patience" in track.get("select", {}) else {}),
        "schedules": named_first(dict.fromkeys(run.schedule.name for run in runs), names.get("schedules", ())),
        **({"parts": dict(parts)} if parts else {}),
        **({"curves": curves} if (curves := few_shot_curves(study.tracks[name])) else {}),
    }


def few_shot_curves(track: Track) -> dict[str, dict]:
    """The few-shot curves of a track by name: the sampled sources, and [size of the sample, schedule] of each point."""
    curves: dict[str, dict] = {}
    for schedule in track.schedules:
        if schedule.curve:
            name, sources = schedule.curve
            curve = curves.setdefault(name, {"sources": list(sources), "points": []})
            curve["points"].append([schedule.sample, schedule.name])
    return {name: curve | {"points": sorted(curve["points"])} for name, curve in curves.items()}
