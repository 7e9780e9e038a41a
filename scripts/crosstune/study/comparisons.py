"""The comparisons that a study declares: headline, contrasts, averages over tasks, published tables."""

from collections.abc import Mapping
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.schema import check_known
from crosstune.evaluation.metrics import XTREME_R, metric_named
from crosstune.study.graph import Study
from crosstune.study.published_tables import load_published, points
from crosstune.study.run_data import evaluated_dataset

# The version of the formulas behind contrasts.json. Raise it when a change of them changes its numbers.
CONTRASTS_VERSION = 4


def check_headline(study: Study) -> None:
    """UserError if the study's key `headline` names an unknown track, schedule, data set or metric."""
    if not (headline := study.config.get("headline")):
        return
    if (track := headline["track"]) not in study.config["tracks"]:
        raise UserError(f"unknown track {track!r}", "headline.track", f"Tracks: {', '.join(study.config['tracks'])}")
    names = study.tracks[track].schedule_names
    for role in ("single", "joint", "sequential"):
        if (name := headline.get(role, names[0])) not in names:
            raise UserError(f"unknown schedule {name!r}", f"headline.{role}", f"Schedules: {', '.join(names)}")
    if headline["dataset"] not in study.tracks[track].evaluate:
        raise UserError(f"{headline['dataset']!r} is not evaluated there", "headline.dataset")
    labels = metric_named(study.registry[headline["dataset"]].metric).labels
    if headline["metric"] not in labels:
        message = f"{headline['dataset']} has no metric {headline['metric']!r}"
        raise UserError(message, "headline.metric", f"It has: {', '.join(labels)}")


def resolve_contrasts(study: Study) -> list[dict]:
    """The declared contrasts, each with its panels and their metrics and languages."""
    contrasts = [_contrast_of(study, entry, number) for number, entry in enumerate(study.config["contrasts"])]
    names = [contrast["name"] for contrast in contrasts]
    for number, name in enumerate(names):
        if name in names[:number]:
            fix = f"name: {name}-{number + 1}"
            raise UserError(f"two contrasts are named {name!r}", f"contrasts[{number}].name", fix)
    return contrasts


def _contrast_of(study: Study, entry: Mapping, number: int) -> dict:
    where = f"contrasts[{number}]"
    if entry["a"] == entry["b"]:
        raise UserError("a schedule is compared with itself", f"{where}.b", "Name two schedules.")
    panels = []
    for position, over in enumerate(entry["over"]):
        for track, dataset in panels_over(study, over, f"{where}.over[{position}]"):
            panels.append(contrasted_panel(study, entry, track, dataset, where))
            for code in entry.get("learned", ()):
                evaluated = study.tracks[track].evaluate[dataset]
                check_known(code, evaluated, f"language of {track}/{dataset}", f"{where}.learned")
    keys = [(panel["track"], panel["dataset"]) for panel in panels]
    if repeated := next((key for position, key in enumerate(keys) if key in keys[:position]), None):
        raise UserError(f"{'/'.join(repeated)} is given twice", f"{where}.over", "Give each track or panel once.")
    if not any(panel["languages"] for panel in panels):
        raise UserError("none of the evaluated languages is marked as low-resource", f"{where}.languages", "all")
    return {
        "name": entry.get("name", f"{entry['a']}-vs-{entry['b']}"),
        **{key: entry[key] for key in ("a", "b", "smallest_effect", "confidence")},
        **({"learned": dict(entry["learned"])} if "learned" in entry else {}),
        "panels": [panel for panel in panels if panel["languages"]],
    }


def panels_over(study: Study, over: str, where: str) -> list[tuple[str, str]]:
    """The panels of an entry of `over`: one panel, or all of a track."""
    if "/" in over:
        return [panel_of(study, over, where)]
    check_known(over, study.config["tracks"], "track", where)
    return [(over, dataset) for dataset in study.tracks[over].evaluate]


def contrasted_panel(study: Study, entry: Mapping, track: str, dataset: str, where: str) -> dict:
    """A panel of a contrast, or of buckets, with its metric and languages; UserError if it does not fit."""
    compared = schedules_with_head(study, track, dataset)
    for role in ("a", "b"):
        check_known(entry[role], compared, f"schedule of {track}/{dataset}", f"{where}.{role}")
    if study.registry.folds(dataset):
        message = f"{dataset} is split in several ways, and contrasts are of one test set"
        raise UserError(message, f"{where}.over", "Leave it out; differences of a published table are over splits too.")
    metric = metric_named(study.registry[dataset].metric)
    headline = study.config.get("headline") or {}
    is_headline = (track, dataset) == (headline.get("track"), headline.get("dataset"))
    name = entry.get("metric", headline["metric"] if is_headline else metric.primary)
    check_known(name, metric.comparable_labels, f"metric of {dataset}", f"{where}.metric")
    evaluated = study.tracks[track].evaluate[dataset]
    languages = entry["languages"]
    if languages == "low":
        chosen = [code for code in evaluated if is_low(study, code)]
    elif languages == "all":
        chosen = list(evaluated)
    else:
        for code in languages:
            check_known(code, evaluated, f"language of {track}/{dataset}", f"{where}.languages")
        chosen = list(languages)
    parallel = study.registry[dataset].parallel
    return {"track": track, "dataset": dataset, "metric": name, "parallel": parallel, "languages": chosen}


def schedules_with_head(study: Study, track: str, dataset: str) -> list[str]:
    """The schedules of a track whose final checkpoints have a head for a data set."""
    names = {
        run.schedule.name: None
        for run in study.runs
        if run.track == track
        and evaluated_dataset(study.registry, study.tracks[track], dataset, run.fold)
        in study.checkpoints[run.stages[-1]].evaluate
    }
    return list(names)


def is_low(study: Study, code: str) -> bool:
    """Whether a language is low-resource according to the study or else to the registry."""
    listed = study.config.get("low_resource")
    if listed is not None:
        return code in listed
    return code in study.languages and study.languages[code].resource == "low"


def resolve_average(study: Study, name: str) -> list[dict[str, str]]:
    """Task, track, data set and optional schedule of every column: XTREME-R's tasks in its order, then others."""
    rank = {task: number for number, task in enumerate(XTREME_R)}
    tasks = study.config["averages"][name]
    columns = []
    for task in sorted(tasks, key=lambda task: (rank.get(task, len(rank)), task)):
        where = f"averages.{name}.{task}"
        entry = {"panel": tasks[task]} if isinstance(tasks[task], str) else tasks[task]
        track, dataset = panel_of(study, entry["panel"], where)
        names = study.tracks[track].schedule_names
        if entry.get("schedule", names[0]) not in names:
            message = f"the track {track!r} has no schedule {entry['schedule']!r}"
            raise UserError(message, f"{where}.schedule", f"Schedules: {', '.join(names)}")
        schedule = {"schedule": entry["schedule"]} if "schedule" in entry else {}
        columns.append({"task": task, "track": track, "dataset": dataset} | schedule)
    return columns


def resolve_published(study: Study, name: str, folder: Path) -> dict:
    """A published table with the study's schedules and columns that are compared with it.

    `from_evaluations`: each number is the test score of the evaluation during training that is best on validation rows.
    """
    entry, where = study.config["published"][name], f"published.{name}"
    table = load_published(folder, entry["table"], f"{where}.table")
    track, dataset = panel_of(study, entry["panel"], f"{where}.panel")
    languages = study.tracks[track].evaluate[dataset]
    for column, ours in entry["columns"].items():
        check_known(column, table["columns"], "published column", f"{where}.columns")
        check_known(ours, ["pooled", "all", *languages], "column", f"{where}.columns.{column}")
    names = study.tracks[track].schedule_names
    for row, schedule in entry["rows"].items():
        check_known(row, table["rows"], "published row", f"{where}.rows")
        check_known(schedule, names, "schedule", f"{where}.rows.{row}")
    for number, pair in enumerate(entry["differences"]):
        for schedule in pair:
            check_known(schedule, names, "schedule", f"{where}.differences[{number}]")
    from_evaluations = entry["protocol"] == "mucot"
    if from_evaluations and not study.config["tracks"][track].get("select", {}).get("log_test_scores"):
        fix = f"tracks:\n  {track}:\n    select: {{dataset: {dataset}, every: 100, log_test_scores: true}}"
        raise UserError("MuCoT's protocol needs the test scores along a training", f"{where}.protocol", fix)
    # In the paper's order, because the config's own order is lost in canonical JSON.
    columns = [[column, entry["columns"][column]] for column in table["columns"] if column in entry["columns"]]
    rows = [
        {
            "schedule": entry["rows"][row],
            "labels": [str(label) for label in content["labels"]],
            "published": points(table, row),
        }
        for row, content in table["rows"].items()
        if row in entry["rows"]
    ]
    own = {"name": name, "track": track, "dataset": dataset, "columns": columns, "rows": rows}
    own |= {"differences": entry["differences"], "from_evaluations": from_evaluations}
    return {key: table[key] for key in ("title", "what", "verified", "labels")} | own


def panel_of(study: Study, panel: str, where: str) -> tuple[str, str]:
    """Track and data set of a panel `track/dataset`."""
    track, _, dataset = panel.partition("/")
    if track not in study.config["tracks"]:
        raise UserError(f"unknown track {track!r}", where, f"Tracks: {', '.join(study.config['tracks'])}")
    if dataset not in study.tracks[track].evaluate:
        known = ", ".join(f"{track}/{evaluated}" for evaluated in study.tracks[track].evaluate)
        raise UserError(f"the track {track!r} does not evaluate {dataset!r}", where, f"Panels: {known}")
    return track, dataset
