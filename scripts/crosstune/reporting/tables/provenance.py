"""Provenance of tables: `tables/<name>.json` lists the terms of every cell, from which `audit` recomputes it.

docs/tables.md describes the file. Files of scores, weighted sums over languages, stages, prepared data and code are
listed once, and a cell refers to them by their number. Nothing depends on the machine or the time: the same results of
the same commit give the same bytes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from crosstune.analysis.cells import Cell
from crosstune.analysis.results import StudyResults, read_json_object
from crosstune.analysis.terms import Term
from crosstune.core.files import canonical_json, sha256_file, write_text
from crosstune.reporting.tables.contrasts import contrasts_table
from crosstune.reporting.tables.custom import custom_tables
from crosstune.reporting.tables.few_shot import few_shot_table
from crosstune.reporting.tables.published import published_comparisons
from crosstune.reporting.tables.scores import score_tables
from crosstune.reporting.tables.table import Heading, Table
from crosstune.reporting.tables.transfer import gains_table, measures_table


def write_provenance(study: StudyResults, results: Path, out: Path) -> None:
    """Write `<name>.json` for every table of cells into the folder `out`.

    Reads the manifests under `results` of the checkpoints and predictions behind the scores, as far as they exist.
    """
    hashes = ResultHashes(results)
    for table in tables_of_cells(study):
        write_text(out / f"{table.name}.json", provenance_text(table, study.plan["study"], hashes))


def tables_of_cells(study: StudyResults) -> Iterator[Table]:
    """Every table of a study whose cells are numbers over runs."""
    yield from score_tables(study)
    yield from custom_tables(study)
    for panel in study.panels():
        yield from filter(None, (gains_table(panel), measures_table(panel), few_shot_table(panel)))
    for comparison in published_comparisons(study):
        yield comparison.table()
    yield from filter(None, [contrasts_table(study)])


def provenance_text(table: Table, study: str, hashes: "ResultHashes") -> str:
    """The file's text: the entries that cells share, then one cell a line."""
    entries = InternedEntries(hashes)
    entries.file("plan.json")
    cells = [
        {
            "row": i,
            "column": j,
            "line": 1 + i * table.csv.per_row + j * table.csv.per_column,
            **cell_entry(cell, entries),
        }
        for i, cells in enumerate(table.cells)
        for j, cell in enumerate(cells)
    ]
    content = {
        "table": table.name,
        "study": study,
        "plan": hashes.plan,
        **entries.lists,
        "rows": [heading_entry(row) for row in table.rows],
        "columns": [heading_entry(column) | {"fields": table.csv_fields(column)} for column in table.columns],
        "cells": cells,
    }
    return lines_of(content)


def heading_entry(heading: Heading) -> dict[str, Any]:
    return {"key": heading.key, "group": heading.group, "label": heading.label}


def cell_entry(cell: Cell, entries: "InternedEntries") -> dict[str, Any]:
    """The terms of a cell by run, the number of planned runs, and the runs that diverged."""
    runs = {str(run): entries.terms(getattr(value, "terms", ())) for run, value in cell.values.items()}
    entry = {"planned": cell.planned_runs, "runs": runs}
    return entry | ({"diverged": sorted(map(str, cell.diverged))} if cell.diverged else {})


def lines_of(content: Mapping[str, Any]) -> str:
    """JSON with a line for every entry of a list: readable, and still small."""
    parts = []
    for key, value in content.items():
        text = canonical_json(value)
        if isinstance(value, list) and value:
            text = "[\n" + ",\n".join(map(canonical_json, value)) + "\n]"
        parts.append(f"{json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


class ResultHashes:
    """Hashes, data and code of the files of results, each read once for all tables."""

    def __init__(self, results: Path):
        self._results = results
        self.file, self.stage = cache(self._file), cache(self._stage)

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The code and the config that the study was expanded with."""
        record = read_json_object(self._results / "provenance.json") or {}
        config = {"config_sha256": record["config_sha256"]} if "config_sha256" in record else {}
        return code_of(record) | config

    def lineage(self, path: str) -> list[str]:
        """The folders of the stages that led to a file of scores, the first stage first."""
        folder = Path(stage_of(path))
        return [str(p) for p in (*reversed(folder.parents), folder) if self.stage(str(p))]

    def _file(self, path: str) -> dict[str, Any]:
        """The hash of a file of results; for scores also the hashes of the predictions' manifest and of their data."""
        entry: dict[str, Any] = {"file": path, "sha256": sha256_file(self._results / path)}
        dataset = Path(path).stem
        manifest = self._results / stage_of(path) / "predictions" / f"{dataset}.json"
        if predicted := read_json_object(manifest):
            hashes = {f"{dataset}.{lang}": rows["data"] for lang, rows in predicted["languages"].items()}
            entry |= {"predictions": sha256_file(manifest), "tested_on": {"split": "test", "sha256": hashes}}
        return entry

    def _stage(self, folder: str) -> dict[str, Any]:
        """The weights, the training data and the code of a stage; empty for another folder."""
        manifest = read_json_object(self._results / folder / "stage.json")
        if not manifest:
            return {}
        trained = {"split": "train", "sha256": manifest.get("data", {})}
        code = code_of(read_json_object(self._results / folder / "cost.json") or {})
        entry = {"stage": folder, "weights": manifest["weights"], "trained_on": trained}
        return entry | ({"code": code} if code else {})


class InternedEntries:
    """The entries that the cells of one table share, each listed once, in the order of their first use."""

    def __init__(self, hashes: ResultHashes):
        self._hashes = hashes
        self.lists: dict[str, list[dict]] = {"code": [], "data": [], "stages": [], "files": [], "sums": []}
        self._numbers: dict[tuple[str, str], int] = {}
        self._files: dict[str, int] = {}

    def terms(self, terms: Sequence[Term]) -> list[list[int]]:
        """Terms as pairs of numbers: a file, and a weighted sum over languages of one of the file's metrics."""
        sums: dict[tuple, dict[str, float]] = {}
        for file, path, weight in terms:
            *above, lang, metric = path
            weights = sums.setdefault((file, tuple(above), metric), {})
            weights[lang] = weights.get(lang, 0.0) + weight
        return [
            [self.file(file), self._intern("sums", {"path": above, "metric": metric, "weights": weights})]
            for (file, above, metric), weights in sums.items()
        ]

    def file(self, path: str) -> int:
        """The number of a file, which is listed with the stages, data and code behind it."""
        if path not in self._files:
            stages = [self._intern("stages", self._hashes.stage(folder)) for folder in self._hashes.lineage(path)]
            entry = self._hashes.file(path) | ({"stages": stages} if stages else {})
            self._files[path] = self._intern("files", entry)
        return self._files[path]

    def _intern(self, kind: str, entry: dict) -> int:
        """The number of an entry in its list, to which a new one is added together with its data and code."""
        lists = {"trained_on": "data", "tested_on": "data", "code": "code"}
        entry = {key: self._intern(lists[key], value) if key in lists else value for key, value in entry.items()}
        key = (kind, canonical_json(entry))
        if key not in self._numbers:
            self._numbers[key] = len(self.lists[kind])
            self.lists[kind].append(entry)
        return self._numbers[key]


def stage_of(path: str) -> str:
    """The folder of a stage, from the path of its scores or of its manifest."""
    folder = Path(path).parent
    return str(folder.parent if folder.name == "scores" else folder)


def code_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The commit and the lock of a record, as far as it has them; `changed` only if files differed from the commit."""
    code = record.get("code", {})
    entry = {"commit": code["commit"]} if code.get("commit") else {}
    entry |= {"changed": True} if code.get("changed") else {}
    return entry | ({"lock_sha256": record["lock_sha256"]} if record.get("lock_sha256") else {})
