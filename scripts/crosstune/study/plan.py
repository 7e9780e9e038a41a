"""The content of plan.json: a study as plain data for tables, figures and the report, without specs and files."""

from crosstune.core.errors import UserError
from crosstune.data.registry import Language
from crosstune.evaluation.metrics import metric_named
from crosstune.study.folds import fold_dataset
from crosstune.study.graph import Run, Study
from crosstune.study.paths import Source
from crosstune.study.schedules import schedule_sources
from crosstune.study.targets import evaluated_sets


def plan_of(study: Study) -> dict:
    """The plan of a study, as plain data."""
    low = study.config.get("low_resource")
    track = next(iter(study.tracks))
    dataset = next(iter(study.tracks[track].evaluate))
    headline = study.config.get("headline") or {
        "track": track, "dataset": dataset, "metric": metric_named(study.registry[dataset].metric).primary
    }  # fmt: skip
    languages = {}
    for code in used_languages(study):
        known = language_of(study, code)
        resource = known.resource if low is None else ("low" if code in low else "high")
        languages[code] = {
            "name": known.name, "family": known.family, "script": known.script, "resource": resource
        }  # fmt: skip
    return {
        "study": study.name,
        "headline": headline,
        "primary": {key: headline[key] for key in ("track", "dataset", "metric")},
        "seeds": study.config["seeds"],
        "models": list(study.config["models"]),
        "languages": languages,
        "tracks": {name: track_plan(study, name) for name in study.config["tracks"]},
        "contrasts": list(study.contrasts),
        "averages": study.averages,
        "published": list(study.published),
        "tables": list(study.tables),
        **({"buckets": list(study.buckets)} if study.buckets else {}),
        **({"distances": study.config["distances"]} if "distances" in study.config else {}),
        "claims": list(study.claims),
        "cited": cited(study),
        "runs": [
            {
                "model": run.model,
                "seed": run.seed,
                **({"fold": run.fold} if run.fold else {}),
                "track": run.track,
                "schedule": run.schedule.name,
                "stages": [path.removeprefix(f"{study.results}/") for path in run.stages],
                "evaluated": [
                    [
                        name
                        for name in sorted(study.tracks[run.track].evaluate)
                        if fold_dataset(study.registry, name, run.fold) in study.checkpoints[path].evaluate
                    ]
                    for path in run.stages
                ],
                **({"members": members_of(study, run)} if run.schedule.members else {}),
                "mixtures": [list(stage.sources) for stage in run.schedule.stages],
                "updates": [stage.updates for stage in run.schedule.stages],
                "total_updates": run.schedule.total_updates,
            }
            for run in study.runs
        ],
    }


def members_of(study: Study, run: Run) -> list[str]:
    """The stages of an average's members and their ancestors, in order."""
    *ancestors, _ = study.lineage(run.stages[-1])
    return [path.removeprefix(f"{study.results}/") for path in ancestors]


def used_languages(study: Study) -> list[str]:
    """The codes of all languages that the study trains on or evaluates, sorted."""
    evaluated = {language for _, languages in evaluated_sets(study) for language in languages}
    return sorted(evaluated | {Source.parse(s).language for run in study.runs for s in schedule_sources(run.schedule)})


def cited(study: Study) -> list[dict[str, str]]:
    """The models and data sets that a publication must cite, with titles and licences."""
    models = [
        {
            "what": "model",
            "name": name,
            "title": "{hub} at {revision}".format(**model) if "hub" in model else "made here",
        }
        for name, model in study.config["models"].items()
    ]
    trained = {Source.parse(s).dataset for run in study.runs for s in schedule_sources(run.schedule)}
    names = trained | {dataset for track in study.tracks.values() for dataset in track.evaluate}
    records = [study.registry[name] for name in sorted(names)]
    return [{**model, "licence": ""} for model in models] + [
        {"what": "data set", "name": record.name, "title": record.title, "licence": record.licence}
        for record in records
    ]


def track_plan(study: Study, name: str) -> dict:
    """The part of the plan about one track."""
    track = study.config["tracks"][name]
    runs = [run for run in study.runs if run.track == name]
    evaluate = study.tracks[name].evaluate
    return {
        "metrics": {dataset: study.registry[dataset].metric for dataset in evaluate},
        "xtreme": {dataset: study.registry[dataset].xtreme for dataset in evaluate if study.registry[dataset].xtreme},
        "trained": sorted({Source.parse(s).language for run in runs for s in schedule_sources(run.schedule)}),
        "evaluate": {dataset: list(languages) for dataset, languages in evaluate.items()},
        "folded": [dataset for dataset in evaluate if study.registry.folds(dataset)],
        "folds": [fold for fold in study.tracks[name].folds if fold],
        "budget": {key: track["budget"][key] for key in ("updates", "epochs", "tokens") if key in track["budget"]},
        "matched": track["budget"]["matched"],
        "schedules": list(dict.fromkeys(run.schedule.name for run in runs)),
    }


def language_of(study: Study, code: str) -> Language:
    """A language of the registry. UserError, with a line to paste, for an unknown one."""
    if code not in study.languages:
        line = f"{code}: {{name: ..., family: ..., genus: ..., script: Latn, resource: low}}"
        raise UserError(f"the language {code!r} is not in the language table", "registry/languages.yaml", line)
    return study.languages[code]
