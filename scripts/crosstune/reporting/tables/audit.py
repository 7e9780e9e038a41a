"""Cells of a table back to their runs, and worked out again from the scores of these.

Owns: reading a table's sidecar, a second way from plan and scores to its numbers. Must never know: the code that makes
tables, on purpose. Whatever that does wrong (a wrong seed, a language left out, schedules exchanged) must show here.

Only the plan says which runs and languages a row and a column mean; of the sidecar the numbers are believed as little
as those of the table.
"""

import csv
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from crosstune.core.errors import UserError
from crosstune.core.files import canonical_json, read_json, sha256_file
from crosstune.evaluation.metrics import Metric, metric_named

KINDS = {"family": None, "script": "unknown", "resource": "neither"}

"""What languages are set apart by, and what one is that the table of languages knows nothing of; None: its own."""

Numbers = dict[str, float]

"""By run: the seed, or seed and fold as in 1/2."""


@dataclass(frozen=True)
class Numbered:
    """What the scores say of a cell: a number for every run that has one, and how many runs were planned."""

    values: Numbers
    planned: int


class Trace:
    """One table of a study with what is known of its cells. `table` is any file of it, or their common name."""

    def __init__(self, table: Path):
        name = table.name.removesuffix(table.suffix) if table.suffix in (".csv", ".md", ".tex", ".json") else table.name
        self.path = table.with_name(f"{name}.json")
        if not self.path.exists():
            known = ", ".join(sorted(path.stem for path in table.parent.glob("*.json")))
            raise UserError("no table with a sidecar", str(table), f"There are: {known or 'none in this folder'}")
        self.results = self.path.parent.parent
        self.sidecar = read_json(self.path)
        self.plan = read_json(self.results / "plan.json")
        self._scores: dict[Path, dict] = {}

    # ---- what is asked for ----

    def cell(self, row: str, column: str) -> dict:
        """The cell of a row and a column by their key or label. UserError where there is none, or several."""
        places = [self._place("rows", row), self._place("columns", column)]
        return next(cell for cell in self.sidecar["cells"] if [cell["row"], cell["column"]] == places)

    def _place(self, side: str, wanted: str) -> int:
        entries = self.sidecar[side]
        names = [f"{entry['group']}: {entry['key']}" for entry in entries]
        found = [
            number
            for number, (entry, name) in enumerate(zip(entries, names, strict=True))
            if wanted in (name, entry["key"], entry["label"])
        ]
        if len(found) != 1:
            what = f"several {side} are" if found else f"no {side.removesuffix('s')} is"
            listed = [names[number] for number in found] or [entry["key"] for entry in entries]
            raise UserError(f"{what} called {wanted!r}", str(self.path), f"There are: {', '.join(listed)}")
        return found[0]

    def name(self, cell: Mapping) -> str:
        row, column = self.sidecar["rows"][cell["row"]], self.sidecar["columns"][cell["column"]]
        return f"{row['group']}: {row['key']}, {column['key']}"

    def select(self, cell: Mapping) -> dict[str, Any]:
        """What a cell is of."""
        row, column = self.sidecar["rows"][cell["row"]], self.sidecar["columns"][cell["column"]]
        return {**self.sidecar["select"], **row["select"], **column["select"]}

    # ---- telling ----

    def lines(self, cell: Mapping) -> Iterator[str]:
        """What a person wants to know of a cell."""
        counted = f", {len(cell['values'])} of {cell['expected']} runs" if cell["expected"] else ""
        numbers = "n/a" if cell["mean"] is None else f"{cell['mean']:.4f}"
        spread = "" if cell["sd"] is None else f" (SD {cell['sd']:.4f})"
        yield f"{self.sidecar['table']}: {self.name(cell)}: {numbers}{spread}{counted}"
        yield from (f"plan: {key} {value}" for key, value in self.sidecar["plan"].items())
        for what, sign in (("runs", ""), ("minus", "less ")):
            for place in cell.get(what, []):
                yield from self._run_lines(cell, self.sidecar["runs"][place], sign)

    def _run_lines(self, cell: Mapping, run: Mapping, sign: str) -> Iterator[str]:
        select = self.select(cell)
        name = run_name(run)
        value = "" if sign else f": {cell['values'].get(name, cell['values'].get(str(run['seed']), 'missing'))}"
        if not sign and name in cell.get("diverged", []):
            value = ": diverged"
        yield f"{sign}{run['schedule']}, {run['model']}, seed {name}, {run['dataset']}{value}"
        number = select.get("minus_stage", 0) if sign else select.get("stage", 0)
        stages = run["stages"][:number] if number else run["stages"]
        for place in stages:
            stage = self.sidecar["stages"][place]
            yield f"  checkpoint {self.results / stage['stage']}"
            yield from (f"    {key} {value}" for key, value in self._code(stage).items())
            trained = self.sidecar["data"][stage["trained_on"]]["sha256"] if "trained_on" in stage else {}
            yield from (f"    trained on {source}  sha256 {digest}" for source, digest in trained.items())
        last = self.sidecar["stages"][stages[-1]]
        folder, dataset = self.results / last["stage"], run["dataset"]
        yield f"  scores {folder / 'scores' / dataset}.json  sha256 {last.get('scores', 'missing')}"
        manifest = self._read(folder / "predictions" / f"{dataset}.json")
        track = self.plan["tracks"][run["track"]]
        own = next(name for name in track["evaluate"] if scored(track, name, run) == dataset)
        for lang in self.languages(run["track"], own, select | self._compared(select, run["track"], own)):
            found = manifest.get("languages", {}).get(lang)
            digests = f"  sha256 {found['sha256']}\n    of data {found['data']}" if found else "  missing"
            yield f"  predictions {folder / 'predictions' / dataset / lang}.jsonl{digests}"

    def _code(self, stage: Mapping) -> Mapping[str, Any]:
        return self.sidecar["code"][stage["code"]] if "code" in stage else {}

    # ---- checking ----

    def check(self, cell: Mapping) -> Iterator[str]:
        """Where a cell differs from what the scores give, and from what the table's CSV has."""
        found = self.recomputed(self.select(cell))
        if found is not None:
            for run in sorted({*found.values, *cell["values"]}):
                ours, table = found.values.get(run), cell["values"].get(run)
                if ours is None or table is None or not near(ours, table):
                    yield f"{self.name(cell)}: run {run}: the table has {table}, the scores give {ours}"
            if cell["expected"] != found.planned:
                yield f"{self.name(cell)}: of {cell['expected']} runs, the plan has {found.planned}"
        values = list((found.values if found is not None else cell["values"]).values())
        over = {"mean": statistics.fmean(values) if values else None}
        over["sd"] = statistics.stdev(values) if len(values) > 1 else None
        for key, ours in over.items():
            if (ours is None) != (cell[key] is None) or (ours is not None and not near(ours, cell[key])):
                yield f"{self.name(cell)}: {key}: the table has {cell[key]}, the scores give {ours}"
        yield from self._check_csv(cell, over | {name: of(values) for name, of in STATISTICS.items() if values})

    def _check_csv(self, cell: Mapping, numbers: Mapping[str, float | None]) -> Iterator[str]:
        """Where the line of the CSV says something else; tables in other forms have no such columns."""
        row, column = self.sidecar["rows"][cell["row"]], self.sidecar["columns"][cell["column"]]
        if "rows" not in self.sidecar["select"] and "average" not in self.sidecar["select"]:
            return
        line = self._csv.get((row["group"], row["key"]))
        if line is None:
            yield f"{self.name(cell)}: {self.path.with_suffix('.csv').name} has no such row"
            return
        for part, number in numbers.items():
            shown = line.get(f"{column['key']}_{part}")
            wanted = "" if number is None else f"{round(number, 4) + 0.0:.4f}"
            if shown is None and part == self._first:
                yield f"{self.name(cell)}: {self.path.with_suffix('.csv').name} has no such column"
            elif shown is not None and shown != wanted:
                yield f"{self.name(cell)}: {part}: the CSV has {shown or 'nothing'}, the scores give {wanted}"

    @cached_property
    def _csv(self) -> dict[tuple[str, str], dict[str, str]]:
        with self.path.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
            return {(line["group"], line["row"]): line for line in csv.DictReader(file)}

    @property
    def _first(self) -> str:
        """The number that the table shows."""
        shown = self.sidecar["select"].get("show", "sd")
        return "mean" if shown in ("sd", "interval") else shown

    def check_table(self) -> Iterator[str]:
        """Rows and columns that the plan wants and the table lacks, or has besides; a declaration of another plan."""
        select = self.sidecar["select"]
        if "rows" not in select:
            return
        declared = {entry["name"]: entry for entry in self.plan.get("tables", [])}.get(self.sidecar["table"])
        if declared and {key: select.get(key) for key in declared} != declared:
            yield "the table is of another declaration than the plan's: make it again"
            return
        for side in ("rows", "columns"):
            wanted = {canonical_json(entry) for axis in select[side] for entry in self._headings(axis)}
            if side == "rows" and declared and "model" not in [*select["rows"], *select["columns"]]:
                models = self._models()
                several = [json.loads(entry) | {"model": model} for entry, model in product(wanted, models)]
                wanted = set(map(canonical_json, several)) if len(models) > 1 else wanted
            found = {canonical_json(entry["select"]) for entry in self.sidecar[side]}
            yield from (f"the {side} lack {entry}" for entry in sorted(wanted - found))
            yield from (f"the {side} have {entry}, which the plan does not" for entry in sorted(found - wanted))
        cells = sorted((cell["row"], cell["column"]) for cell in self.sidecar["cells"])
        if cells != sorted(product(*(range(len(self.sidecar[side])) for side in ("rows", "columns")))):
            yield "the sidecar lacks cells, or has some twice"

    def check_files(self, cells: Sequence[Mapping]) -> Iterator[str]:
        """Scores and predictions behind cells whose hash is another than the table's or than their manifest says."""
        runs = sorted({place for cell in cells for what in ("runs", "minus") for place in cell.get(what, [])})
        for place in sorted({stage for run in runs for stage in self.sidecar["runs"][run]["stages"]}):
            stage = self.sidecar["stages"][place]
            folder, dataset = self.results / stage["stage"], stage["dataset"]
            manifest = folder / "predictions" / f"{dataset}.json"
            for what, path in (("scores", folder / "scores" / f"{dataset}.json"), ("predictions", manifest)):
                if stage.get(what) != (sha256_file(path) if path.exists() else None):
                    yield f"{path}: another than the table was made of, or gone"
            for lang, entry in self._read(manifest).get("languages", {}).items():
                path = folder / "predictions" / dataset / f"{lang}.jsonl"
                if not path.exists() or sha256_file(path) != entry["sha256"]:
                    yield f"{path}: another than its manifest says, or gone"

    # ---- a second way from the scores to the numbers ----

    def recomputed(self, select: Mapping[str, Any]) -> Numbered | None:
        """What the scores give for a cell; None for one that is more than a mean of scores."""
        if "measure" in select or "protocol" in select:
            return None
        if "published_row" in select:
            return self._published(select)
        if "baseline" in select:
            return self._floor(select)
        found = self._mean(select, select.get("schedule"), select.get("stage", 0))
        if "minus" not in select:
            return found
        # Of a published table's rows only differences are taken off, which say so themselves.
        other = self._mean(select, select["minus"], select.get("minus_stage", 0))
        common = found.values.keys() & other.values.keys()
        return Numbered({run: found.values[run] - other.values[run] for run in common}, found.planned)

    def _mean(self, select: Mapping[str, Any], schedule: str | None, stage: int) -> Numbered:
        """The mean over panels (the tasks of an average, or those without an axis of their own), run by run."""
        parts, several = [], "average" in select
        for track, dataset, own, metrics in self._panels(select):
            codes = self.languages(track, dataset, select | self._compared(select, track, dataset))
            if not codes:
                continue
            found = self._panel(select, track, dataset, own or schedule, stage, metrics, codes)
            parts.append((found, dataset in self.plan["tracks"][track].get("folded", [])))
        if not parts:
            return Numbered({}, 0)
        if len(parts) == 1 and not several:
            return parts[0][0]
        if not several and not all(part.planned for part, _ in parts):
            return Numbered({}, 0)
        by_seed = [over_folds(part.values) if folded else part.values for part, folded in parts]
        common = set.intersection(*(set(values) for values in by_seed))
        means = {run: sum(values[run] for values in by_seed) / len(by_seed) for run in common}
        seeds = len(self._seeds(select))
        planned = seeds if len(parts) > 1 or len(select.get("task", [])) > 1 else parts[0][0].planned
        # A task whose data are split in several ways counts the seeds that have any fold.
        folded = several and len(parts) == 1 and parts[0][1]
        return Numbered(means, len(means) if folded else planned)

    def _panel(
        self,
        select: Mapping[str, Any],
        track: str,
        dataset: str,
        schedule: str | None,
        stage: int,
        metrics: Sequence[str],
        codes: Sequence[str],
    ) -> Numbered:
        """One panel's mean over languages, and over several metrics, run by run."""
        values, planned = {}, 0
        for run in self.plan["runs"]:
            wanted = (select["model"], track, schedule)
            if (run["model"], run["track"], run["schedule"]) != wanted or run["seed"] not in self._seeds(select):
                continue
            index = stage - 1 if stage else len(run["stages"]) - 1
            if index >= len(run["stages"]) or dataset not in run["evaluated"][index]:
                continue
            planned += 1
            name = scored(self.plan["tracks"][track], dataset, run)
            scores = self._read(self.results / run["stages"][index] / "scores" / f"{name}.json").get("languages", {})
            if set(codes) <= set(scores):
                values[run_name(run)] = self._over(select, [scores[code] for code in codes], metrics)
        return Numbered(values, planned)

    @staticmethod
    def _over(select: Mapping[str, Any], scores: Sequence[Mapping], metrics: Sequence[str]) -> float:
        weights = [entry["n"] if select.get("aggregate") == "pooled" else 1 for entry in scores]
        sums = [sum(w * entry[metric] for w, entry in zip(weights, scores, strict=True)) for metric in metrics]
        return sum(sums) / sum(weights) / len(metrics)

    def _floor(self, select: Mapping[str, Any]) -> Numbered:
        """A trivial answer, which stands under seed 0 and needs no run."""
        ((track, dataset, _, metrics),) = self._panels(select)
        content, values = self.plan["tracks"][track], {}
        for fold in content["folds"] if dataset in content.get("folded", []) else [0]:
            name = scored(content, dataset, {"fold": fold})
            found = self._read(self.results / "baselines" / f"{name}.json").get("baselines", {})
            scores, codes = found.get(select["baseline"], {}), self.languages(track, dataset, select)
            if set(codes) <= set(scores):
                values[f"0/{fold}" if fold else "0"] = self._over(select, [scores[code] for code in codes], metrics)
        return Numbered(values, 0)

    def _published(self, select: Mapping[str, Any]) -> Numbered:
        """The published number beside ours."""
        (entry,) = [entry for entry in self.plan["published"] if entry["name"] == select["published"]]
        everything = "pooled" if select.get("aggregate") == "pooled" else "all"
        ours = select.get("language") or (everything if select.get("group") == "all" else None)
        columns = [column for column, beside in entry["columns"] if beside == ours]
        published = entry["rows"][select["published_row"]]["published"]
        return Numbered({"0": published[columns[0]]} if columns else {}, 0)

    # ---- what the plan says ----

    def languages(self, track: str, dataset: str, select: Mapping[str, Any]) -> list[str]:
        """The languages of a panel that a cell is a mean over."""
        content = self.plan["tracks"][track]
        wanted, group = select.get("languages", "all"), select.get("group", "all")

        def chosen(code: str) -> bool:
            low = self.plan["languages"].get(code, {}).get("resource") == "low"
            in_group = {"all": True, "seen": code in content["trained"], "low": low}
            in_group["unseen"] = not in_group["seen"]
            counted = low if wanted == "low" else wanted == "all" or code in wanted
            kinds = all(self._kind(kind, code) == select[kind] for kind in KINDS if kind in select)
            return in_group[group] and counted and kinds and select.get("language", code) == code

        return [code for code in content["evaluate"][dataset] if chosen(code)]

    def _kind(self, kind: str, code: str) -> str:
        return self.plan["languages"].get(code, {}).get(kind) or KINDS[kind] or code

    def _panels(self, select: Mapping[str, Any]) -> list[tuple[str, str, str | None, Sequence[str]]]:
        """Track, data set, the schedule that always stands for it, and metrics of each panel of a cell."""
        if "average" in select:
            entries = [entry for entry in self.plan["averages"][select["average"]] if entry["task"] in select["task"]]
            return [
                (
                    entry["track"],
                    entry["dataset"],
                    entry.get("schedule"),
                    (metric.primary,) if first else metric.averaged_keys,
                )
                for entry in entries
                for metric, first in [(self._metric(entry["track"], entry["dataset"]), select.get("primary"))]
            ]
        if "contrast" in select:
            return [(own["track"], own["dataset"], None, [own["metric"]]) for own in self._contrast(select)["panels"]]
        panels = [select["dataset"]] if "dataset" in select else select["over"]
        split = [tuple(over.split("/")) for over in panels]
        return [(*panel, None, [select.get("metric") or self._shown_metric(*panel)]) for panel in split]

    def _contrast(self, select: Mapping[str, Any]) -> Mapping[str, Any]:
        return next(entry for entry in self.plan["contrasts"] if entry["name"] == select["contrast"])

    def _compared(self, select: Mapping[str, Any], track: str, dataset: str) -> Mapping[str, Any]:
        """The languages that a contrast compares in a panel; nothing for other cells."""
        panels = self._contrast(select)["panels"] if "contrast" in select else []
        found = [own["languages"] for own in panels if (own["track"], own["dataset"]) == (track, dataset)]
        return {"languages": found[0]} if found else {}

    def _metric(self, track: str, dataset: str) -> Metric:
        return metric_named(self.plan["tracks"][track]["metrics"][dataset])

    def _shown_metric(self, track: str, dataset: str) -> str:
        """The headline's for the headline's data set, else the first."""
        metric, primary = self._metric(track, dataset), self.plan["primary"]
        asked = (track, dataset) == (primary["track"], primary["dataset"]) and primary["metric"] in metric.labels
        return primary["metric"] if asked else metric.primary

    def _seeds(self, select: Mapping[str, Any]) -> list[int]:
        return [select["seed"]] if "seed" in select else select.get("seeds", self.plan["seeds"])

    def _models(self) -> list[str]:
        wanted = self.sidecar["select"].get("models", self.plan["models"])
        return [model for model in self.plan["models"] if model in wanted]

    def _headings(self, axis: str) -> Iterator[dict[str, Any]]:
        """What the headings of an axis select, as the plan wants it."""
        select = self.sidecar["select"]
        panels = [(track, dataset) for track, dataset, *_ in self._panels({"over": select["over"]})]
        codes = {
            code for panel in panels for code in self.languages(*panel, {"languages": select.get("languages", "all")})
        }
        if axis == "language":
            yield from ({axis: code} for code in codes)
        elif axis in KINDS:
            yield from ({axis: kind} for kind in {self._kind(axis, code) for code in codes})
        elif axis == "group":
            filtered = {"languages": select.get("languages", "all")}
            for group in ("all", "seen", "unseen", "low"):
                if any(self.languages(*panel, filtered | {"group": group}) for panel in panels):
                    yield {axis: group}
        elif axis == "pooled":
            yield {"group": "all", "aggregate": "pooled"}
        elif axis == "baseline":
            ((track, dataset),) = panels
            content = self.plan["tracks"][track]
            folds = content["folds"] if dataset in content.get("folded", []) else [0]
            name = scored(content, dataset, {"fold": folds[0]})
            yield from (
                {axis: name} for name in self._read(self.results / f"baselines/{name}.json").get("baselines", {})
            )
        elif axis in ("schedule", "stage"):
            yield from self._scheduled(axis, panels)
        else:
            known = {"dataset": select["over"], "model": self._models(), "seed": self._seeds(select)}
            known["metric"] = list(self._metric(*panels[0]).labels)
            yield from ({axis: value} for value in known[axis])

    def _scheduled(self, axis: str, panels: Sequence[tuple[str, str]]) -> Iterator[dict[str, Any]]:
        """Schedules, their stages by number, or both together, of which a data set of the table is scored."""
        select = self.sidecar["select"]
        models = [select["model"]] if "model" in select else self._models()
        found: dict[str, tuple[tuple[str, str], set[int]]] = {}
        for panel, run in product(panels, self.plan["runs"]):
            name, (track, dataset) = run["schedule"], panel
            asked = name in select.get("schedules", [name]) and name != select.get("minus")
            if run["track"] == track and run["model"] in models and asked and dataset in run["evaluated"][-1]:
                first, numbers = found.setdefault(name, (panel, set()))
                if first == panel:
                    numbers.update(n for n, datasets in enumerate(run["evaluated"], start=1) if dataset in datasets)
        if axis == "stage" and "name" not in select:  # the transfer matrix has no rows of what has no stages
            trained = {run["schedule"] for run in self.plan["runs"] if run["mixtures"]}
            found = {name: entry for name, entry in found.items() if name in trained}
        other = [*select["rows"], *select["columns"]]
        if axis == "schedule":
            yield from ({"schedule": name} for name in found)
            published = [e for e in self.plan.get("published", []) if e["name"] == select.get("published")]
            rows = [(n, row["schedule"]) for entry in published for n, row in enumerate(entry["rows"])]
            yield from ({"schedule": name, "published_row": n} for n, name in rows if name in found)
        elif "schedule" in other:
            yield from ({"stage": number} for number in set().union(*(numbers for _, numbers in found.values())))
        else:
            yield from ({"schedule": name, "stage": n} for name, (_, numbers) in found.items() for n in numbers)

    def _read(self, path: Path) -> dict:
        if path not in self._scores:
            self._scores[path] = read_json(path) if path.exists() else {}
        return self._scores[path]


STATISTICS = {"median": statistics.median, "min": min, "max": max}


def scored(track: Mapping, dataset: str, run: Mapping) -> str:
    """The name under which a run is scored on a data set: that of its fold where there are several."""
    return f"{dataset}-fold{run['fold']}" if dataset in track.get("folded", []) and run.get("fold") else dataset


def run_name(run: Mapping) -> str:
    return f"{run['seed']}/{run['fold']}" if "fold" in run else str(run["seed"])


def over_folds(values: Numbers) -> Numbers:
    """The means by seed of numbers by seed and fold."""
    seeds: dict[str, list[float]] = {}
    for run, value in values.items():
        seeds.setdefault(run.split("/")[0], []).append(value)
    return {seed: sum(numbers) / len(numbers) for seed, numbers in seeds.items()}


def near(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
