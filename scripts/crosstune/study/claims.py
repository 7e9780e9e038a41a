"""Statements of papers, from the files of claims/, matched with the numbers of a study.

A mistake in a file is an error before any job. A statement about schedules, models or data that a study lacks is
recorded as not run.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crosstune.artifacts.claim import COUNT, DIRECTION, NUMBER, Statement
from crosstune.core.errors import UserError
from crosstune.core.schema import check_known, read_yaml, validate
from crosstune.data.registry import Registry
from crosstune.evaluation.metrics import metric_named
from crosstune.study.graph import Study
from crosstune.study.paths import Source
from crosstune.study.published_tables import load_published, points
from crosstune.study.targets import evaluated_sets

SECTIONS = ("tables", "numbers", "directions", "counts")

HEADLINE = "headline"

ROLES = ("single", "joint", "sequential")

# The means of an average over tasks: that of its table, and the one with F1 alone.
MEANS = ("mean", "mean_f1")


@dataclass(frozen=True)
class ClaimsFile:
    """A checked file of claims; `tables` are the published tables that it names."""

    name: str
    path: Path
    content: dict[str, Any]
    tables: Mapping[str, dict]

    def statement(self, kind: str, name: str, claim: Mapping[str, Any]) -> Statement:
        """The statement without the fields that depend on a study."""
        paper, url = (claim.get(key, self.content.get(key, "")) for key in ("paper", "url"))
        verified, verified_by = claim.get("verified", False), claim.get("how", "")
        source = f"{paper}, {claim['where']}"
        return Statement(f"{self.name}/{name}", kind, claim["says"], source, url, verified, verified_by)


def resolve_claims(study: Study, number: int, root: Path) -> list[dict]:
    """The statements of the study's `claims[number]`, as plan.json has them. UserError for a mistake in the file."""
    file = load_claims(root, study.config["claims"][number], f"claims[{number}]", study.registry)
    matchers = (match_table, match_number, match_direction, match_count)
    return [
        statement.entry()
        for section, match in zip(SECTIONS, matchers, strict=True)
        for name, claim in file.content[section].items()
        for statement in match(study, file, name, claim)
    ]


# --- the files -------------------------------------------------------------------------------------------------------


def load_claims(root: Path, name: str, where: str, registry: Registry) -> ClaimsFile:
    """The file claims/`name`.yaml under `root`, checked. UserError at `where` if there is none, else in the file."""
    path = root / "claims" / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml")))
        raise UserError(f"no claims {name!r}", where, f"There are: {known or 'none'}")
    shown = path.relative_to(root)
    try:
        content = validate(read_yaml(path), root / "schemas/claims.schema.yaml")
    except UserError as error:
        # read_yaml names the file itself.
        named = error.where if error.where.startswith(str(path)) else f"{shown}: {error.where}"
        raise UserError(error.message, named, error.fix) from None
    ids = [claim for section in SECTIONS for claim in content[section]]
    if repeated := [claim for claim in ids if ids.count(claim) > 1]:
        raise UserError(f"two claims have the id {repeated[0]!r}", str(shown), "Give one of them another.")
    tables = {}
    for section in ("tables", "directions"):
        for claim, entry in content[section].items():
            if "numbers" in entry:
                here = f"{shown}: {section}.{claim}.numbers"
                tables[entry["numbers"]] = load_published(root / "published", entry["numbers"], here)
    checks = (_check_table, _check_number, _check_direction, _check_count)
    for section, check in zip(SECTIONS, checks, strict=True):
        for claim, entry in content[section].items():
            here = f"{shown}: {section}.{claim}"
            _check_datasets(entry.get("datasets", []), f"{here}.datasets", registry)
            check(entry, here, tables, registry)
    return ClaimsFile(name, path, content, tables)


def _check_datasets(names: list[str], where: str, registry: Registry) -> None:
    for name in names:
        if name not in registry:
            raise UserError(f"unknown data set {name!r}", where, "It must be a record of registry/.")


def _check_table(claim: Mapping, where: str, tables: Mapping[str, dict], registry: Registry) -> None:
    for column in claim["tolerance"]:
        check_known(column, tables[claim["numbers"]]["columns"], "published column", f"{where}.tolerance")


def _check_number(claim: Mapping, where: str, tables: Mapping[str, dict], registry: Registry) -> None:
    if "average" in claim:
        if claim["languages"] != "all":
            raise UserError("an average over tasks has all languages", f"{where}.languages", "Leave it out.")
        check_known(claim["metric"], MEANS, "mean", f"{where}.metric")
        return
    _check_panel(claim, where, registry)


def _check_direction(claim: Mapping, where: str, tables: Mapping[str, dict], registry: Registry) -> None:
    if claim["better"] == claim["than"]:
        raise UserError(f"{claim['better']!r} cannot be better than itself", f"{where}.than")
    sides = ("better", "than")
    if "numbers" in claim:
        table = tables[claim["numbers"]]
        check_known(claim["column"], table["columns"], "published column", f"{where}.column")
        for side in sides:
            check_known(claim[side], table["rows"], "published row", f"{where}.{side}")
    elif claim["panel"] == HEADLINE:
        for side in sides:
            check_known(claim[side], ROLES, "role", f"{where}.{side}")
    else:
        _check_panel(claim, where, registry)


def _check_panel(claim: Mapping, where: str, registry: Registry) -> None:
    """UserError if the panel's data set lacks the metric or a language of the claim."""
    dataset = claim["panel"].partition("/")[2]
    _check_datasets([dataset], f"{where}.panel", registry)
    if "metric" in claim:
        check_known(claim["metric"], metric_named(registry[dataset].metric).labels, "metric", f"{where}.metric")
    if isinstance(claim["languages"], list):
        for lang in claim["languages"]:
            check_known(lang, evaluable_languages(registry, dataset), "language", f"{where}.languages")


def _check_count(claim: Mapping, where: str, tables: Mapping[str, dict], registry: Registry) -> None:
    for dataset in claim["datasets"]:
        for lang in claim["rows"]:
            registry[dataset].require(lang, claim["split"], f"{where}.rows")


def evaluable_languages(registry: Registry, dataset: str) -> tuple[str, ...]:
    """The languages of a data set's test split; all languages of a data set that is split in several ways."""
    record = registry[dataset]
    return record.splits["test"].languages if "test" in record.splits else record.languages


# --- the numbers of a study ------------------------------------------------------------------------------------------


def models_of(study: Study, claim: Mapping) -> list[str]:
    """The study's models that are the claim's model."""
    return [name for name, model in study.config["models"].items() if model.get("hub") == claim["model"]]


def differences_from_paper(study: Study, claim: Mapping, model: str, dataset: str) -> list[str]:
    """The data set and the model, if they are not the paper's."""
    differences = [] if dataset in claim["datasets"] else [f"data set {dataset}"]
    if "model" in claim and model not in models_of(study, claim):
        differences.append(f"model {model}")
    return differences


def published_entries(study: Study, table: str) -> list[dict]:
    """The entries of the study's key `published` for a published table."""
    return [entry for entry in study.published if study.config["published"][entry["name"]]["table"] == table]


def match_table(study: Study, file: ClaimsFile, name: str, claim: Mapping) -> Iterator[Statement]:
    """One statement for every number of the table, if the study has runs of the paper's data and model."""
    table = file.tables[claim["numbers"]]
    verified_by = f"see published/{claim['numbers'].partition('.')[0]}.yaml"
    blank = replace(file.statement(NUMBER, name, claim), verified=table["verified"], verified_by=verified_by)
    models, entries = models_of(study, claim), published_entries(study, claim["numbers"])
    if not entries or not models:
        yield replace(blank, not_run=no_model(claim) if entries else no_table(claim))
        return
    for entry in entries:
        if entry["dataset"] not in claim["datasets"]:
            problem = f"{entry['dataset']} is not the paper's data set"
            yield replace(blank, published=entry["name"], not_run=problem)
            continue
        columns = [column for column, _ in entry["columns"] if column in claim["tolerance"]]
        rows = ordered_rows(study, entry, table)
        for (row, schedule), column, model in itertools.product(rows.items(), columns, models):
            yield replace(
                blank,
                text=f"{claim['says']} Row {row}, column {column}.",
                about=f"{schedule}, {column}, {entry['track']}/{entry['dataset']}",
                value=points(table, row)[column],
                tolerance=claim["tolerance"][column],
                **comparison_fields(entry, model, schedule, column),
            )


def no_model(claim: Mapping) -> str:
    return f"no model of the study is {claim['model']}"


def no_table(claim: Mapping) -> str:
    return f"the study has no table of {claim['numbers']} under `published`"


def ordered_rows(study: Study, entry: Mapping, table: Mapping) -> dict[str, str]:
    """The study's schedule for each compared row of a published table, in the paper's order."""
    rows = study.config["published"][entry["name"]]["rows"]
    return {row: rows[row] for row in table["rows"] if row in rows}


def comparison_fields(entry: Mapping, model: str, schedule: str, column: str) -> dict[str, str]:
    """The fields of a statement about a number in a published comparison."""
    panel = {"track": entry["track"], "dataset": entry["dataset"]}
    return {"model": model, "published": entry["name"], "schedule": schedule, "column": column} | panel


def match_number(study: Study, file: ClaimsFile, name: str, claim: Mapping) -> Iterator[Statement]:
    """One statement for every model of the study that is the claim's model."""
    copied = {key: claim[key] for key in ("value", "tolerance", "schedule", "metric")}
    blank = replace(file.statement(NUMBER, name, claim), **copied, relative_to=claim.get("less", ""))
    pair = f"{claim['schedule']} − {claim['less']}" if "less" in claim else claim["schedule"]
    if "average" in claim:
        blank = replace(blank, average=claim["average"], about=f"{pair}, average {claim['average']}")
        problem = _average_problem(study, claim)
    else:
        track, _, dataset = claim["panel"].partition("/")
        languages = claim["languages"]
        if languages == "all":
            languages = list(evaluable_languages(study.registry, dataset))
        about = f"{pair}, {claim['panel']}, {claim['metric']}, {len(languages)} languages"
        blank = replace(blank, track=track, dataset=dataset, languages=languages, about=about)
        schedules = [claim[key] for key in ("schedule", "less") if key in claim]
        problem = _schedule_problem(study, track, dataset, schedules)
        problem = problem or _language_problem(study, track, dataset, languages)
    models = models_of(study, claim)
    if problem := problem or ("" if models else no_model(claim)):
        yield replace(blank, not_run=problem)
        return
    for model in models:
        yield replace(blank, model=model)


def match_direction(study: Study, file: ClaimsFile, name: str, claim: Mapping) -> Iterator[Statement]:
    """One statement for every model, and for every table of the study that has both rows."""
    blank = replace(file.statement(DIRECTION, name, claim), min_difference=claim["least"])
    if "numbers" in claim:
        yield from _match_rows(study, blank, file, claim)
        return
    if claim["panel"] == HEADLINE:
        headline = study.config.get("headline") or {}
        track, dataset, metric = (headline.get(key, "") for key in ("track", "dataset", "metric"))
        sides = [headline.get(claim[side], "") for side in ("better", "than")]
        absent = [claim[side] for side in ("better", "than") if claim[side] not in headline]
        problem = f"the study's headline names no schedule as {' or '.join(absent)}" if absent else ""
    else:
        track, _, dataset = claim["panel"].partition("/")
        metric = metric_named(study.registry[dataset].metric).primary
        sides = [claim["better"], claim["than"]]
        problem = _schedule_problem(study, track, dataset, sides)
        # The panel's data set is the claim's own.
        claim = {**claim, "datasets": [*claim["datasets"], dataset]}
    metric = claim.get("metric", metric)
    languages = claim["languages"]
    if not problem and isinstance(languages, list):
        problem = _language_problem(study, track, dataset, languages)
    if problem:
        yield replace(blank, about=f"{claim['better']} − {claim['than']}", not_run=problem)
        return
    group = languages if isinstance(languages, str) else ", ".join(languages)
    about = f"{sides[0]} − {sides[1]}, {track}/{dataset}, {metric}, {group}"
    for model in study.config["models"]:
        yield replace(
            blank,
            about=about,
            model=model,
            track=track,
            dataset=dataset,
            schedule=sides[0],
            relative_to=sides[1],
            languages=languages,
            metric=metric,
            differs_in=differences_from_paper(study, claim, model, dataset),
        )


def _match_rows(study: Study, blank: Statement, file: ClaimsFile, claim: Mapping) -> Iterator[Statement]:
    """A direction between two rows of a published table, for every comparison with that table."""
    table, column = file.tables[claim["numbers"]], claim["column"]
    entries = published_entries(study, claim["numbers"])
    if not entries:
        yield replace(blank, not_run=no_table(claim))
    for entry in entries:
        rows = ordered_rows(study, entry, table)
        absent = [f"row {claim[side]}" for side in ("better", "than") if claim[side] not in rows]
        absent += [] if column in dict(entry["columns"]) else [f"column {column}"]
        if absent:
            about = f"{claim['better']} − {claim['than']}, {column}"
            problem = f"published.{entry['name']} has no {' and no '.join(absent)}"
            yield replace(blank, about=about, published=entry["name"], not_run=problem)
            continue
        a, b = rows[claim["better"]], rows[claim["than"]]
        about = f"{a} − {b}, {dict(entry['columns'])[column]}, {entry['track']}/{entry['dataset']}"
        for model in study.config["models"]:
            differs = differences_from_paper(study, claim, model, entry["dataset"])
            yield replace(
                blank, about=about, relative_to=b, differs_in=differs, **comparison_fields(entry, model, a, column)
            )


def match_count(study: Study, file: ClaimsFile, name: str, claim: Mapping) -> Iterator[Statement]:
    """One statement for every copy of the data set that the study uses."""
    total = sum(claim["rows"].values())
    blank = replace(file.statement(COUNT, name, claim), value=total, rows=claim["rows"], split=claim["split"])
    if not (used := [dataset for dataset in claim["datasets"] if dataset in datasets_of(study)]):
        yield replace(blank, not_run=f"the study does not use {' or '.join(claim['datasets'])}")
    for dataset in used:
        record = study.registry[dataset]
        stated = record.splits[claim["split"]].rows
        known = {lang: stated[lang] for lang in claim["rows"] if lang in stated}
        about = f"{dataset} {claim['split']}"
        yield replace(blank, about=about, dataset=dataset, known=known, record_file=record.record_file)


def datasets_of(study: Study) -> set[str]:
    """The data sets that the study trains on or evaluates; for a fold, the data set that is split."""
    sources = {source for node in study.checkpoints.values() for source in node.spec.get("sources", [])}
    names = {Source.parse(source).dataset for source in sources} | {name for name, _ in evaluated_sets(study)}
    return {study.registry[name].base_dataset or name for name in names}


def _schedule_problem(study: Study, track: str, dataset: str, schedules: list[str]) -> str:
    """The reason why a study has no runs of these schedules on a data set; empty if it has."""
    if track not in study.config["tracks"]:
        return f"the study has no track {track}"
    if dataset not in study.tracks[track].evaluate:
        return f"the track {track} does not evaluate {dataset}"
    names = study.tracks[track].schedule_names
    absent = [name for name in schedules if name not in names]
    return f"the track {track} has no schedule {' or '.join(absent)}, only {', '.join(names)}" if absent else ""


def _language_problem(study: Study, track: str, dataset: str, languages: list[str]) -> str:
    """The languages that are not evaluated; empty if all are."""
    absent = [lang for lang in languages if lang not in study.tracks[track].evaluate[dataset]]
    return f"{dataset} is not evaluated in {', '.join(absent)}" if absent else ""


def _average_problem(study: Study, claim: Mapping) -> str:
    """The reason why a study has no such average; empty if it has."""
    if claim["average"] not in study.averages:
        return f"the study has no average {claim['average']}"
    entries = study.averages[claim["average"]]
    tracks = [entry["track"] for entry in entries if "schedule" not in entry]
    names = {schedule.name for track in tracks for schedule in study.tracks[track].schedules}
    absent = [name for name in (claim["schedule"], claim.get("less")) if name and name not in names]
    return f"the average {claim['average']} has no schedule {' or '.join(absent)}" if absent else ""
