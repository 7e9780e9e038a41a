"""What stands behind the cells of a table: tables/<name>.json, from which every number can be traced (docs/tables.md).

Owns: the form of these files. Must never know: how a number is worked out, how a table looks.

What cells have in common is told once: runs, stages, prepared data and the code that made the stages are lists, and a
cell refers to its runs by their places in them. Files follow from a run's stages by the patterns in `files`. Nothing
of it depends on the machine or the time: the same results of the same commit give the same bytes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from crosstune.analysis.cells import Cell, mean_cell
from crosstune.analysis.results import Panel, StudyResults, dataset_folds, read_json_object, scored_dataset
from crosstune.core.files import canonical_json, sha256_file, write_text
from crosstune.reporting.tables.custom import declared_tables
from crosstune.reporting.tables.published import Companion, companions
from crosstune.reporting.tables.scores import tables
from crosstune.reporting.tables.table import Heading, Table
from crosstune.reporting.tables.transfer import MEASURES, gains_table, lacks, measured, sequences

FILES = {
    "checkpoint": "{stage}/stage.json",
    "scores": "{stage}/scores/{dataset}.json",
    "predictions": "{stage}/predictions/{dataset}.json",
    "predicted": "{stage}/predictions/{dataset}/{language}.jsonl",
    "floor": "baselines/{dataset}.json",
    "data": "data/{dataset}/{split}.{language}.jsonl",
}

"""Where things lie: in the study's folder of results; prepared data in the project's."""


def write_sidecars(study: StudyResults, results: Path, out: Path) -> None:
    """Write tables/<name>.json for every table of numbers, into the folder `out`.

    Those are the tables by schedule and stage, averages, gains, measures of transfer, published tables, contrasts and
    declared ones. Reads the manifests under `results` of what the runs have trained and predicted, as far as they are
    there.
    """
    origins = Origins(study, results)
    for table in traced_tables(study):
        write_text(out / f"{table.name}.json", sidecar(table, origins))


def traced_tables(study: StudyResults) -> Iterator[Table]:
    """Every table of a study whose cells have runs behind them."""
    yield from tables(study)
    yield from declared_tables(study)
    for panel in study.panels():
        yield from filter(None, (gains_table(panel), measures_table(panel)))
    yield from map(companion_table, companions(study))
    if study.plan.get("contrasts"):
        yield contrasts_table(study)


def sidecar(table: Table, origins: "Origins") -> str:
    """The file's text: what all cells share, then one cell a line."""
    listed = Listed(origins)
    cells = [
        {"row": i, "column": j, **told(cell), **listed.runs_of({**table.select, **row.select, **column.select})}
        for i, (row, cells) in enumerate(zip(table.rows, table.cells, strict=True))
        for j, (column, cell) in enumerate(zip(table.columns, cells, strict=True))
    ]
    return lines_of(
        {
            "table": table.name,
            "study": origins.study.plan["study"],
            "select": dict(table.select),
            "files": FILES,
            "plan": origins.provenance,
            "code": listed.code,
            "data": listed.data,
            "stages": listed.stages,
            "runs": listed.runs,
            "rows": list(map(heading, table.rows)),
            "columns": list(map(heading, table.columns)),
            "cells": cells,
        }
    )


def heading(heading: Heading) -> dict[str, Any]:
    return {"key": heading.key, "group": heading.group, "label": heading.label, "select": dict(heading.select)}


def told(cell: Cell) -> dict[str, Any]:
    """The numbers of a cell: by run, and over them; how many runs should have given one, and which diverged."""
    found: dict[str, Any] = {"values": {str(run): value for run, value in cell.values.items()}}
    found |= {"mean": cell.mean, "sd": cell.sd, "expected": cell.planned_runs}
    return found | ({"diverged": sorted(map(str, cell.diverged))} if cell.diverged else {})


def lines_of(content: Mapping[str, Any]) -> str:
    """JSON with a line for every entry of a list, so that one can read it and it stays small."""
    parts = []
    for key, value in content.items():
        text = canonical_json(value)
        if isinstance(value, list) and value:
            text = "[\n" + ",\n".join(map(canonical_json, value)) + "\n]"
        parts.append(f"{json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


class Origins:
    """Where the numbers of a study come from; what is known of a stage is read once."""

    def __init__(self, study: StudyResults, results: Path):
        self.study, self.results = study, results
        self._stages: dict[tuple[str, str], dict[str, Any]] = {}

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """The code and the config that the study was expanded with."""
        found = read_json_object(self.results / "provenance.json") or {}
        config = {"config_sha256": found["config_sha256"]} if "config_sha256" in found else {}
        return code_of(found) | config

    def stage(self, stage: str, dataset: str) -> dict[str, Any]:
        """What is known of a stage and the data set that it is scored on: hashes, and data and code with their own."""
        if (stage, dataset) not in self._stages:
            self._stages[stage, dataset] = self._read(self.results / stage, dataset)
        return self._stages[stage, dataset]

    @staticmethod
    def _read(folder: Path, dataset: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if made := read_json_object(folder / "stage.json"):
            found |= {"weights": made["weights"], "trained_on": {"split": "train", "sha256": made.get("data", {})}}
        manifest, scores = folder / "predictions" / f"{dataset}.json", folder / "scores" / f"{dataset}.json"
        if predicted := read_json_object(manifest):
            hashes = {f"{dataset}.{lang}": entry["data"] for lang, entry in predicted["languages"].items()}
            found |= {"predictions": sha256_file(manifest), "tested_on": {"split": "test", "sha256": hashes}}
        if scores.exists():
            found["scores"] = sha256_file(scores)
        if code := code_of(read_json_object(folder / "cost.json") or {}):
            found["code"] = code
        return found


class Listed:
    """Runs, stages, prepared data and code, each listed once for one table, in the order in which they come up."""

    def __init__(self, origins: Origins):
        self._origins = origins
        self.runs: list[dict] = []
        self.stages: list[dict] = []
        self.data: list[dict] = []
        self.code: list[dict] = []
        self._places: dict[tuple, int] = {}

    def runs_of(self, select: Mapping[str, Any]) -> dict[str, list[int]]:
        """The places of a cell's runs, and of those that are taken off them; those of missing runs too."""
        if "baseline" in select or "published_row" in select:
            return {"runs": []}
        found = {"runs": self._runs(select, select.get("schedule"))}
        return found | ({"minus": self._runs(select, select["minus"])} if "minus" in select else {})

    def _runs(self, select: Mapping[str, Any], schedule: str | None) -> list[int]:
        study = self._origins.study
        seeds = [select["seed"]] if "seed" in select else select.get("seeds", study.plan["seeds"])
        return [
            self._run(run, over.split("/")[1])
            for over, own in panels_of(study, select)
            for run in study.runs.get((select["model"], over.split("/")[0], own or schedule), [])
            if run["seed"] in seeds
        ]

    def _run(self, run: Mapping[str, Any], dataset: str) -> int:
        told = {key: run[key] for key in ("model", "track", "schedule", "seed", "fold") if key in run}
        key = (*told.values(), dataset)
        if key not in self._places:
            content = self._origins.study.plan["tracks"][run["track"]]
            fold = run.get("fold", 0) if dataset_folds(content, dataset) != [0] else 0
            name = scored_dataset(dataset, fold)
            stages = [self._stage(stage, name) for stage in run["stages"]]
            self._places[key] = len(self.runs)
            self.runs.append(told | {"dataset": name, "stages": stages})
        return self._places[key]

    def _stage(self, stage: str, dataset: str) -> int:
        """A stage with the data set that it is scored on: its weights and training data, predictions and scores."""
        key = (stage, dataset)
        if key not in self._places:
            found = dict(self._origins.stage(stage, dataset))
            for what in ("trained_on", "tested_on"):
                if what in found:
                    found[what] = place_of(self.data, found[what])
            if "code" in found:
                found["code"] = place_of(self.code, found["code"])
            self._places[key] = len(self.stages)
            self.stages.append({"stage": stage, "dataset": dataset, **found})
        return self._places[key]


def place_of(entries: list[dict], entry: dict) -> int:
    """The place of an entry in a list, which it is added to if it is new."""
    if entry not in entries:
        entries.append(entry)
    return entries.index(entry)


def panels_of(study: StudyResults, select: Mapping[str, Any]) -> Iterable[tuple[str, str | None]]:
    """The panels of a cell, each with the schedule that stands for it in an average whatever the row's own is."""
    if "average" in select:
        entries = {entry["task"]: entry for entry in study.plan["averages"][select["average"]]}
        chosen = [entries[task] for task in select["task"]]
        return [(f"{entry['track']}/{entry['dataset']}", entry.get("schedule")) for entry in chosen]
    if "contrast" in select:
        (entry,) = [entry for entry in study.plan["contrasts"] if entry["name"] == select["contrast"]]
        return [(f"{panel['track']}/{panel['dataset']}", None) for panel in entry["panels"]]
    return [(over, None) for over in ([select["dataset"]] if "dataset" in select else select["over"])]


def code_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Commit and lock, as far as a record has them; that there were changes only where there were."""
    code = record.get("code", {})
    found = {"commit": code["commit"]} if code.get("commit") else {}
    found |= {"changed": True} if code.get("changed") else {}
    return found | ({"lock_sha256": record["lock_sha256"]} if record.get("lock_sha256") else {})


# --- tables of text, as tables of cells ------------------------------------------------------------------------------


def measures_table(panel: Panel) -> Table | None:
    """The measures of transfer and forgetting with their numbers by run; None without a sequence."""
    found = sequences(panel)
    if not found:
        return None
    rows = tuple(Heading(measure.label, "measure", measure.key, {"measure": measure.key}) for measure in MEASURES)
    columns = tuple(
        Heading(sequence.schedule, "schedule", sequence.schedule, {"schedule": sequence.schedule}) for sequence in found
    )
    cells = tuple(
        tuple(
            Cell({}, 0) if lacks(sequence, measure) else measured(sequence, measure) for sequence in found
        )
        for measure in MEASURES
    )  # fmt: skip
    select = {"over": [f"{panel.track}/{panel.dataset}"], "model": panel.model, "metric": panel.metric}
    return Table(f"{panel.name}.{panel.metric}.measures", "", "measure", rows, columns, cells, select=select)


def contrasts_table(study: StudyResults) -> Table:
    """The difference of every contrast, seed by seed: over several panels the mean, in which each counts alike."""
    rows, cells = [], []
    for entry, model in product(study.plan["contrasts"], study.plan["models"]):
        differences = [
            panel.cell(entry["a"], own["languages"], own["metric"]).difference(
                panel.cell(entry["b"], own["languages"], own["metric"])
            )
            for own in entry["panels"]
            for panel in [Panel(study, model, own["track"], own["dataset"])]
        ]
        select = {"contrast": entry["name"], "model": model, "schedule": entry["a"], "minus": entry["b"]}
        rows.append(Heading(entry["name"], model, entry["name"], select))
        cells.append((mean_cell(differences, differences[0].planned_runs),))
    return Table("contrasts", "", "contrast", tuple(rows), (Heading("difference", "", "difference"),), tuple(cells))


def companion_table(companion: Companion) -> Table:
    """Our numbers beside a published table, and the differences between ours."""
    panel, everything = companion.panel, {"all": {"group": "all"}, "pooled": {"group": "all", "aggregate": "pooled"}}
    columns = tuple(
        Heading(column, "column", column, everything.get(ours, {"language": ours}))
        for column, ours in companion.columns.items()
    )
    rows, cells = [], []
    for row in companion.entry["rows"]:
        schedule = row["schedule"]
        rows.append(Heading(", ".join([schedule, *row["labels"]]), "schedule", schedule, {"schedule": schedule}))
        cells.append(tuple(companion.cell(schedule, column.key) for column in columns))
    for a, b in companion.entry["differences"]:
        rows.append(Heading(f"{a} - {b}", "difference", f"{a} - {b}", {"schedule": a, "minus": b}))
        cells.append(tuple(companion.difference(a, b, column.key) for column in columns))
    select = {"over": [f"{panel.track}/{panel.dataset}"], "model": panel.model, "metric": panel.metric}
    if companion.entry["protocol"] != "checkpoint":
        select["protocol"] = companion.entry["protocol"]
    return Table(companion.name, "", "schedule", tuple(rows), columns, tuple(cells), select=select)
