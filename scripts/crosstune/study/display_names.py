"""The names that a study's key `names` gives to what readers see, checked, and the order that goes with them."""

from crosstune.core.errors import UserError
from crosstune.core.schema import check_known
from crosstune.data.part_names import whole_name
from crosstune.evaluation.metrics import metric_named
from crosstune.study.graph import Expansion
from crosstune.study.paths import Source
from crosstune.study.schedules import Schedule, schedule_sources
from crosstune.study.targets import used_languages

NOUNS = {
    "schedules": "schedule", "languages": "language", "datasets": "data set", "models": "model", "metrics": "metric",
}  # fmt: skip


def check_names(study: Expansion) -> None:
    """UserError for a name of something that the study does not have, and for one name of two things."""
    for kind, named in study.config.get("names", {}).items():
        known = named_things(study, kind)
        for key in named:
            check_known(key, known, NOUNS[kind], f"names.{kind}.{key}")
        shown: dict[str, str] = {}
        for key in known:
            other = shown.setdefault(named.get(key, key), key)
            if other != key:
                message = f"{other!r} and {key!r} are both called {named.get(key, key)!r}"
                where = f"names.{kind}.{key if key in named else other}"
                raise UserError(message, where, f"Give each {NOUNS[kind]} a name of its own.")


def named_things(study: Expansion, kind: str) -> list[str]:
    """The keys of one kind that a study can name."""
    tracks = study.tracks.values()
    if kind == "schedules":
        names = [name for track in tracks for schedule in track.schedules for name in curve_and_name(schedule)]
    elif kind == "languages":
        names = used_languages(study)
    elif kind == "datasets":
        trained = [Source.parse(s).dataset for run in study.runs for s in schedule_sources(run.schedule)]
        names = [*(dataset for track in tracks for dataset in track.evaluate), *map(whole_name, trained)]
    elif kind == "models":
        names = list(study.config["models"])
    else:
        metrics = [metric_named(study.registry[dataset].metric) for track in tracks for dataset in track.evaluate]
        names = [label for metric in metrics for label in metric.all_labels]
    return list(dict.fromkeys(names))


def curve_and_name(schedule: Schedule) -> list[str]:
    """The name of a schedule after that of the few-shot curve that it is a point of."""
    return [*([schedule.curve[0]] if schedule.curve else []), schedule.name]
