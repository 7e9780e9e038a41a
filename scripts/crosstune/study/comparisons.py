"""What a study's numbers are set against: headline, contrasts, averages over tasks, published tables; checked at once.

Owns: the meaning of the keys `headline`, `contrasts`, `averages` and `published`. Must never know: scores, how a study
is expanded.
"""

from collections.abc import Mapping
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.schema import check_known
from crosstune.evaluation.metrics import XTREME_R, metric_named
from crosstune.study.folds import fold_dataset
from crosstune.study.graph import Study
from crosstune.study.published_tables import load_published

CONTRASTS_VERSION = 2

"""Of the formulas behind contrasts.json: raised when a change of them changes its numbers, which are then made anew."""


def check_headline(study: Study) -> None:
    """UserError where the study's key `headline` names what there is not."""
    headline = study.config.get("headline")
    if not headline:
        return
    if headline["track"] not in study.config["tracks"]:
        raise UserError(
            f"unknown track {headline['track']!r}", "headline.track", f"Tracks: {', '.join(study.config['tracks'])}"
        )
    names = study.tracks[headline["track"]].schedule_names
    for role in ("single", "joint", "sequential"):
        if headline.get(role, names[0]) not in names:
            raise UserError(
                f"unknown schedule {headline[role]!r}", f"headline.{role}", f"Schedules: {', '.join(names)}"
            )
    if headline["dataset"] not in study.config["tracks"][headline["track"]]["evaluate"]:
        raise UserError(f"{headline['dataset']!r} is not evaluated there", "headline.dataset")
    labels = metric_named(study.registry[headline["dataset"]].metric).labels
    if headline["metric"] not in labels:
        message = f"{headline['dataset']} has no metric {headline['metric']!r}"
        raise UserError(message, "headline.metric", f"It has: {', '.join(labels)}")


def resolve_contrasts(study: Study) -> list[dict]:
    """The declared contrasts, each with its panels and, for each of them, metric and languages."""
    found = [_contrast_of(study, entry, number) for number, entry in enumerate(study.config["contrasts"])]
    names = [contrast["name"] for contrast in found]
    for number, name in enumerate(names):
        if name in names[:number]:
            fix = f"name: {name}-{number + 1}"
            raise UserError(f"two contrasts are named {name!r}", f"contrasts[{number}].name", fix)
    return found


def _contrast_of(study: Study, entry: Mapping, number: int) -> dict:
    place = f"contrasts[{number}]"
    if entry["a"] == entry["b"]:
        raise UserError("a schedule is compared with itself", f"{place}.b", "Name two schedules.")
    panels = []
    for position, over in enumerate(entry["over"]):
        for track, dataset in panels_over(study, over, f"{place}.over[{position}]"):
            panels.append(_contrasted_panel(study, entry, track, dataset, place))
    keys = [(panel["track"], panel["dataset"]) for panel in panels]
    if twice := next((key for position, key in enumerate(keys) if key in keys[:position]), None):
        raise UserError(f"{'/'.join(twice)} is given twice", f"{place}.over", "Give each track or panel once.")
    if not any(panel["languages"] for panel in panels):
        raise UserError("none of the evaluated languages is marked as low-resource", f"{place}.languages", "all")
    return {
        "name": entry.get("name", f"{entry['a']}-vs-{entry['b']}"),
        **{key: entry[key] for key in ("a", "b", "smallest_effect", "confidence")},
        "panels": [panel for panel in panels if panel["languages"]],
    }


def panels_over(study: Study, over: str, place: str) -> list[tuple[str, str]]:
    """The panels that an entry of `over` means: one, or all of a track."""
    if "/" in over:
        return [panel_of(study, over, place)]
    check_known(over, study.config["tracks"], "track", place)
    return [(over, dataset) for dataset in study.tracks[over].evaluate]


def _contrasted_panel(study: Study, entry: Mapping, track: str, dataset: str, place: str) -> dict:
    """A panel of a contrast with its metric and languages; UserError where the contrast cannot be asked of it."""
    compared = schedules_with_head(study, track, dataset)
    for role in ("a", "b"):
        check_known(entry[role], compared, f"schedule of {track}/{dataset}", f"{place}.{role}")
    if study.registry.folds(dataset):
        message = f"{dataset} is split in several ways, and contrasts are of one test set"
        raise UserError(message, f"{place}.over", "Leave it out; differences of a published table are over splits too.")
    metric = metric_named(study.registry[dataset].metric)
    headline = study.config.get("headline") or {}
    shown = headline["metric"] if (track, dataset) == (headline.get("track"), headline.get("dataset")) else None
    wanted = entry.get("metric", shown or metric.primary)
    check_known(wanted, metric.labels, f"metric of {dataset}", f"{place}.metric")
    evaluated = study.tracks[track].evaluate[dataset]
    languages = entry["languages"]
    if languages == "low":
        chosen = [code for code in evaluated if is_low(study, code)]
    elif languages == "all":
        chosen = list(evaluated)
    else:
        for code in languages:
            check_known(code, evaluated, f"language of {track}/{dataset}", f"{place}.languages")
        chosen = list(languages)
    return {"track": track, "dataset": dataset, "metric": wanted, "languages": chosen}


def schedules_with_head(study: Study, track: str, dataset: str) -> list[str]:
    """The schedules of a track that end with a head for a data set, and so have scores of it."""
    names = {
        run.schedule.name: None
        for run in study.runs
        if run.track == track
        and fold_dataset(study.registry, dataset, run.fold) in study.checkpoints[run.stages[-1]].evaluate
    }
    return list(names)


def is_low(study: Study, code: str) -> bool:
    """Whether a language is low-resource: the study says which are, or else the language table."""
    listed = study.config.get("low_resource")
    if listed is not None:
        return code in listed
    return code in study.languages and study.languages[code].resource == "low"


def resolve_average(study: Study, name: str) -> list[dict[str, str]]:
    """Task, track, data set and perhaps schedule of every column: XTREME-R's tasks in its order, then others."""
    rank = {task: number for number, task in enumerate(XTREME_R)}
    tasks = study.config["averages"][name]
    found = []
    for task in sorted(tasks, key=lambda task: (rank.get(task, len(rank)), task)):
        place = f"averages.{name}.{task}"
        entry = {"panel": tasks[task]} if isinstance(tasks[task], str) else tasks[task]
        track, dataset = panel_of(study, entry["panel"], place)
        names = study.tracks[track].schedule_names
        if entry.get("schedule", names[0]) not in names:
            message = f"the track {track!r} has no schedule {entry['schedule']!r}"
            raise UserError(message, f"{place}.schedule", f"Schedules: {', '.join(names)}")
        schedule = {"schedule": entry["schedule"]} if "schedule" in entry else {}
        found.append({"task": task, "track": track, "dataset": dataset} | schedule)
    return found


def resolve_published(study: Study, name: str, folder: Path) -> dict:
    """A published table with the schedules and columns of ours that stand beside it."""
    entry, place = study.config["published"][name], f"published.{name}"
    table = load_published(folder, entry["table"], f"{place}.table")
    track, dataset = panel_of(study, entry["panel"], f"{place}.panel")
    languages = study.tracks[track].evaluate[dataset]
    for column, ours in entry["columns"].items():
        check_known(column, table["columns"], "published column", f"{place}.columns")
        check_known(ours, ["pooled", "all", *languages], "column", f"{place}.columns.{column}")
    names = study.tracks[track].schedule_names
    for row, schedule in entry["rows"].items():
        check_known(row, table["rows"], "published row", f"{place}.rows")
        check_known(schedule, names, "schedule", f"{place}.rows.{row}")
    for number, pair in enumerate(entry["differences"]):
        for schedule in pair:
            check_known(schedule, names, "schedule", f"{place}.differences[{number}]")
    if entry["protocol"] == "mucot" and not study.config["tracks"][track].get("select", {}).get("log_test_scores"):
        fix = f"tracks:\n  {track}:\n    select: {{dataset: {dataset}, every: 100, log_test_scores: true}}"
        raise UserError("MuCoT's protocol needs the test scores along a training", f"{place}.protocol", fix)
    # In the paper's order: a config that has become JSON has lost its own.
    columns = [[column, entry["columns"][column]] for column in table["columns"] if column in entry["columns"]]
    rows = [
        {
            "schedule": entry["rows"][row],
            "labels": [str(label) for label in content["labels"]],
            "published": {
                column: round(value * 100 / table["scale"], 6)
                for column, value in zip(table["columns"], content["values"], strict=True)
            },
        }
        for row, content in table["rows"].items()
        if row in entry["rows"]
    ]
    shown = {key: table[key] for key in ("title", "what", "verified", "labels")}
    own = {"name": name, "track": track, "dataset": dataset, "columns": columns, "rows": rows}
    return shown | own | {"differences": entry["differences"], "protocol": entry["protocol"]}


def panel_of(study: Study, panel: str, place: str) -> tuple[str, str]:
    """Track and data set of a panel `track/dataset`."""
    track, _, dataset = panel.partition("/")
    if track not in study.config["tracks"]:
        raise UserError(f"unknown track {track!r}", place, f"Tracks: {', '.join(study.config['tracks'])}")
    if dataset not in study.tracks[track].evaluate:
        known = ", ".join(f"{track}/{evaluated}" for evaluated in study.tracks[track].evaluate)
        raise UserError(f"the track {track!r} does not evaluate {dataset!r}", place, f"Panels: {known}")
    return track, dataset
