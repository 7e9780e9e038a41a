"""The cells of a study's tables, derived a second time: from the plan, the scores and the names of rows and columns.

Nothing here comes from the code that makes tables, so that a wrong seed, a language left out or two schedules exchanged
show as terms that the plan does not demand. Measures of transfer are the one exception: other tests have them by hand.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import isclose
from pathlib import Path
from typing import Any

from crosstune.core.files import read_json
from crosstune.evaluation.metrics import Metric, metric_named
from crosstune.reporting.tables.audit import TableAudit

ATTRIBUTES = {"family": None, "script": "unknown", "resource": "neither"}
"""Attributes of languages, with the value of a language that lacks one; None: its code."""

GROUPS = ("all", "seen", "unseen", "low")

Select = Mapping[str, Any]
"""Values by axis, as headings have them."""

Derived = tuple[dict[str, float], int]
"""The number of every run by its name, and the number of planned runs."""


def derivation_problems(table: Path) -> list[str]:
    """The terms of a table that the plan does not demand, and the rows and columns that it lacks."""
    audit = TableAudit(table)
    derived = DerivedTable(audit.results, audit.content)
    problems = []
    for cell in audit.cells if derived.kind != "measures" else []:
        row, column = audit.content["rows"][cell["row"]], audit.content["columns"][cell["column"]]
        expected, planned = derived.cell(row, column)
        values = dict(zip(cell["runs"], audit.recompute(cell).values(), strict=True))
        for run in sorted({*values, *expected}):
            terms, plan = values.get(run), expected.get(run)
            if terms is None or plan is None or not isclose(terms, plan, rel_tol=1e-9, abs_tol=1e-9):
                problems.append(f"{audit.name(cell)}: run {run}: the terms give {terms}, the plan demands {plan}")
        if cell["planned"] != planned:
            problems.append(f"{audit.name(cell)}: of {cell['planned']} runs, the plan has {planned}")
    return [*problems, *derived.missing_headings()]


class PlannedNumbers:
    """The numbers that the plan demands for a selection."""

    def __init__(self, results: Path):
        self.results, self.plan = results, read_json(results / "plan.json")

    def derive(self, select: Select) -> Derived:
        """The numbers of a selection; with `minus` their differences from another schedule, run by run."""
        if "published_row" in select:
            return self._published(select), 0
        if "baseline" in select:
            return self._baseline(select), 0
        values, planned = self._mean(select, select["schedule"], select.get("stage", 0))
        if select.get("minus"):
            others, _ = self._mean(select, select["minus"], select.get("minus_stage", 0))
            values = {run: values[run] - others[run] for run in values.keys() & others.keys()}
        return values, planned

    def _mean(self, select: Select, schedule: str, stage: int) -> Derived:
        """The mean over panels (the tasks of an average, or data sets without an axis of their own), run by run."""
        parts = [
            (self._panel(select, *panel, own or schedule, stage, metrics, codes), self.folds(*panel) != [0])
            for *panel, own, metrics, languages in self._panels(select)
            for codes in [self.languages(*panel, {**select, **languages})]
            if codes
        ]
        average, several = "average" in select, len(parts) > 1 or len(select.get("task", [])) > 1
        if not parts or (several and not average and not all(planned for (_, planned), _ in parts)):
            return {}, 0
        if len(parts) == 1 and not average:
            return parts[0][0]
        by_seed = [over_folds(values) if folded else values for (values, _), folded in parts]
        both = set.intersection(*map(set, by_seed))
        means = {run: sum(values[run] for values in by_seed) / len(by_seed) for run in both}
        (_, planned), folded = parts[0]
        # A task whose data are split in several ways counts the seeds that have any fold.
        return means, len(self.seeds(select)) if several else len(means) if folded else planned

    def _panel(self, select: Select, track, dataset, schedule, stage, metrics, codes) -> Derived:
        """The mean of one panel over languages, and over several metrics, run by run."""
        values, planned = {}, 0
        for run in self.plan["runs"]:
            if (run["model"], run["track"], run["schedule"]) != (select["model"], track, schedule):
                continue
            number = stage or len(run["stages"])
            if run["seed"] not in self.seeds(select) or dataset not in [*run["evaluated"], *[[]] * stage][number - 1]:
                continue
            planned += 1
            folder, fold = self.results / run["stages"][number - 1], run.get("fold", 0)
            if select.get("comparison", {}).get("from_evaluations"):
                scores = self._best_scores(folder, select, codes, metrics)
            else:
                name = scored_name(dataset, fold if self.folds(track, dataset) != [0] else 0)
                scores = self.read(f"{folder}/scores/{name}.json").get("languages", {})
            if set(codes) <= set(scores):
                name = f"{run['seed']}/{fold}" if "fold" in run else str(run["seed"])
                values[name] = mean(select, [scores[code] for code in codes], metrics)
        return values, planned

    def _best_scores(self, folder: Path, select: Select, codes, metrics) -> Mapping[str, Mapping]:
        """Test scores at the last of the evaluations with the best validation score."""
        best, scores = float("-inf"), {}
        for look in self.read(f"{folder}/stage.json").get("selection", {}).get("looks", []):
            value = mean(select, [look["scores"]["validation"][code] for code in codes], metrics)
            if value >= best:
                best, scores = value, look["scores"]["test"]
        return scores

    def _baseline(self, select: Select) -> dict[str, float]:
        """A trivial answer, which has the seed 0."""
        ((track, dataset, _, metrics, _),) = self._panels(select)
        codes, values = self.languages(track, dataset, select), {}
        for fold in self.folds(track, dataset):
            scores = self.baselines(dataset, fold).get(select["baseline"], {})
            if set(codes) <= set(scores):
                values[f"0/{fold}" if fold else "0"] = mean(select, [scores[code] for code in codes], metrics)
        return values

    def _published(self, select: Select) -> dict[str, float]:
        (entry,) = [entry for entry in self.plan["published"] if entry["name"] == select["published"]]
        everything = "pooled" if select["aggregate"] == "pooled" else "all"
        ours = select.get("language") or (everything if select.get("group") == "all" else None)
        numbers = entry["rows"][select["published_row"]]["published"]
        columns = [column for column, own in entry["columns"] if own == ours]
        return {"0": numbers[columns[0]]} if columns else {}

    # ---- the plan ----

    def languages(self, track: str, dataset: str, select: Select) -> list[str]:
        """The languages of a panel that a selection is a mean over."""
        content, wanted = self.plan["tracks"][track], select.get("languages", "all")

        def chosen(code: str) -> bool:
            low, seen = self.attribute("resource", code) == "low", code in content["trained"]
            in_group = {"all": True, "seen": seen, "unseen": not seen, "low": low}[select.get("group", "all")]
            covered = low if wanted == "low" else wanted == "all" or code in wanted
            alike = all(self.attribute(axis, code) == select[axis] for axis in ATTRIBUTES if axis in select)
            return in_group and covered and alike and select.get("language", code) == code

        return [code for code in content["evaluate"][dataset] if chosen(code)]

    def attribute(self, axis: str, code: str) -> str:
        return self.plan["languages"].get(code, {}).get(axis) or ATTRIBUTES[axis] or code

    def _panels(self, select: Select) -> list[tuple]:
        """Track, data set, schedule if it is the same for all rows, metrics and languages of each panel of a cell."""
        if "contrast" in select:
            panels = select["contrast"]["panels"]
            return [(own["track"], own["dataset"], None, [own["metric"]], own) for own in panels]
        if "average" in select:
            tasks = [task for task in self.plan["averages"][select["average"]] if task["task"] in select["task"]]
            metrics = [self.metric(task["track"], task["dataset"]) for task in tasks]
            shown = [(metric.primary,) if select["primary"] else metric.averaged_keys for metric in metrics]
            pairs = zip(tasks, shown, strict=True)
            return [(task["track"], task["dataset"], task.get("schedule"), names, {}) for task, names in pairs]
        panels = [tuple(over.split("/")) for over in ([select["dataset"]] if "dataset" in select else select["over"])]
        return [(*panel, None, [select.get("metric") or self._shown_metric(*panel)], {}) for panel in panels]

    def metric(self, track: str, dataset: str) -> Metric:
        return metric_named(self.plan["tracks"][track]["metrics"][dataset])

    def _shown_metric(self, track: str, dataset: str) -> str:
        """The headline's for the headline's data set, else the first."""
        metric, primary = self.metric(track, dataset), self.plan["primary"]
        asked = (track, dataset) == (primary["track"], primary["dataset"]) and primary["metric"] in metric.labels
        return primary["metric"] if asked else metric.primary

    def seeds(self, select: Select) -> list[int]:
        return [select["seed"]] if "seed" in select else select.get("seeds", self.plan["seeds"])

    def models(self, entry: Select) -> list[str]:
        return [model for model in self.plan["models"] if model in entry.get("models", self.plan["models"])]

    def folds(self, track: str, dataset: str) -> list[int]:
        content = self.plan["tracks"][track]
        return content["folds"] if dataset in content.get("folded", []) else [0]

    def baselines(self, dataset: str, fold: int) -> dict[str, dict]:
        return self.read(f"{self.results}/baselines/{scored_name(dataset, fold)}.json").get("baselines", {})

    def read(self, path: str) -> dict:
        return read_json(path) if Path(path).exists() else {}


class DerivedTable:
    """One table of a study. `common` is the selection by its name, for all cells."""

    def __init__(self, results: Path, content: Mapping[str, Any]):
        self.content, self.numbers = content, PlannedNumbers(results)
        self.plan, self.name = self.numbers.plan, content["table"]
        self.common, self.kind = self._by_name()

    def cell(self, row: Mapping, column: Mapping) -> Derived:
        return self.numbers.derive(self.common | self._select("rows", row) | self._select("columns", column))

    # ---- names ----

    def _by_name(self) -> tuple[dict[str, Any], str]:
        """The selection by the table's name, and the kind of the table."""
        plan, name = self.plan, self.name
        for entry in plan.get("tables", []):
            if entry["name"] == name:
                schedules = entry.get("schedules") or plan["tracks"][entry["panels"][0].split("/")[0]]["schedules"]
                only = next(schedule for schedule in schedules if schedule != entry.get("relative_to"))
                names = {"panels": "over", "statistic": "show", "relative_to": "minus"}
                entry = {names.get(key, key): value for key, value in entry.items()}
                return entry | {"model": self.numbers.models(entry)[0], "schedule": only}, "custom"
        if name == "contrasts":
            return {}, name
        if name.startswith("average."):
            return {"average": name.removeprefix("average.")}, "average"
        for entry, model in product(plan.get("published", []), plan["models"]):
            if name == f"{entry['name']}.{model}":
                over = [f"{entry['track']}/{entry['dataset']}"]
                return {"model": model, "comparison": entry, "over": over}, "published"
        panels = [(track, dataset) for track, content in plan["tracks"].items() for dataset in content["evaluate"]]
        for (track, dataset), model in product(panels, plan["models"]):
            if name.startswith(f"{track}.{dataset}.{model}."):
                metric, _, kind = name.removeprefix(f"{track}.{dataset}.{model}.").partition(".")
                return {"over": [f"{track}/{dataset}"], "model": model, "metric": metric}, kind or "schedules"
        raise AssertionError(f"no table of the plan is called {name}")

    def _select(self, side: str, heading: Mapping) -> dict[str, Any]:
        """The selection by a heading."""
        key, group = heading["key"], heading["group"]
        if self.kind == "custom":
            return self._custom(side, key, group)
        return self._row(key, group) if side == "rows" else self._column(key, group)

    def _row(self, key: str, group: str) -> dict[str, Any]:
        if self.kind == "average":
            return {"model": group, "schedule": key}
        if self.kind == "contrasts":
            (entry,) = [entry for entry in self.plan["contrasts"] if entry["name"] == key]
            return {"contrast": entry, "model": group, "schedule": entry["a"], "minus": entry["b"]}
        if self.kind == "published":
            return dict(zip(("schedule", "minus"), key.split(" - "), strict=False))
        if self.kind == "transfer":
            return {"schedule": group, "stage": int(key.split()[0])}
        if self.kind == "gains":
            return {group.partition(" ")[0]: key} | ({} if group == "language" else {"group": "unseen"})
        schedules = {run["schedule"] for run in self.plan["runs"]}
        return {"schedule" if key in schedules else "baseline": key}

    def _column(self, key: str, group: str) -> dict[str, Any]:
        if self.kind == "average":
            tasks = [entry["task"] for entry in self.plan["averages"][self.common["average"]]]
            return {"task": [key] if key in tasks else tasks, "primary": key == "average_f1"}
        if self.kind == "contrasts":
            return {}
        if self.kind == "gains":
            base = group.removeprefix("schedule − ")
            first = base == "its first stage"
            return {"schedule": key, "minus": key if first else base, "minus_stage": int(first)}
        ours = dict(self.common["comparison"]["columns"])[key] if self.kind == "published" else key
        ours = ours.removeprefix("average_")
        everything = {"group": "all", "aggregate": "pooled"}
        return everything if ours == "pooled" else {"group": ours} if ours in GROUPS else {"language": ours}

    def _custom(self, side: str, key: str, group: str) -> dict[str, Any]:
        """Several axes of a side are groups of headings; several models without an axis have all rows each."""
        own = {}
        if side == "rows" and len(self.numbers.models(self.common)) > 1 and "model" not in self._axes():
            own["model"], _, group = group.partition(", ")
        axis = self.common[side][0] if len(self.common[side]) == 1 else group
        if axis == "language":
            return own | {axis: key}
        if axis == "schedule":
            name, published, number = key.partition("_published_")
            return own | {axis: name} | ({"published_row": int(number)} if published else {})
        if axis == "stage":
            name, _, number = key.rpartition("_")
            return own | {axis: int(number)} | ({} if "schedule" in self._axes() else {"schedule": name})
        value = key.removeprefix(f"{axis}_")
        return own | {axis: int(value) if axis == "seed" else value}

    def _axes(self) -> list[str]:
        return [*self.common["rows"], *self.common["columns"]]

    # ---- headings ----

    def missing_headings(self) -> Iterator[str]:
        """The rows and columns that the plan demands and the table lacks."""
        axes = {
            "schedules": {"rows": ["baseline", "schedule"], "columns": ["language", "group"]},
            "transfer": {"rows": ["stage"], "columns": ["language", "group"]},
            "gains": {"rows": ["language"]},
            "custom": self.common,
        }
        for side in ("rows", "columns"):
            present = [self._select(side, heading) for heading in self.content[side]]
            for axis in axes.get(self.kind, {}).get(side, []):
                for wanted in self._expected(axis):
                    if not any(wanted.items() <= select.items() for select in present):
                        yield f"the {side} lack {wanted}"

    def _expected(self, axis: str) -> list[dict[str, Any]]:
        """The selections by the headings of an axis."""
        common, numbers = self.common, self.numbers
        panels = [tuple(over.split("/")) for over in common["over"]]
        if axis in ("schedule", "stage"):
            return self._expected_schedules(axis, panels)
        covered = {"languages": common.get("languages", "all")}
        codes = {code for panel in panels for code in numbers.languages(*panel, covered)}
        groups = [
            name for name in GROUPS if any(numbers.languages(*panel, covered | {"group": name}) for panel in panels)
        ]
        values = {"language": codes, "group": groups, "dataset": common["over"], "model": numbers.models(common)}
        values |= {name: {numbers.attribute(name, code) for code in codes} for name in ATTRIBUTES}
        values |= {"seed": numbers.seeds(common), "metric": numbers.metric(*panels[0]).labels}
        values["baseline"] = numbers.baselines(panels[0][1], numbers.folds(*panels[0])[0])
        return [{axis: value} for value in values[axis]]

    def _expected_schedules(self, axis: str, panels: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        """Schedules, or their stages by number, or both together, with scores on a data set of the table."""
        common = self.common
        stages: dict[str, tuple[tuple[str, str], set[int]]] = {}
        for (track, dataset), run in product(panels, self.plan["runs"]):
            name = run["schedule"]
            shown = name in common.get("schedules", [name]) and name != common.get("minus")
            # The transfer matrix has no rows of schedules without stages.
            shown = shown and bool(self.kind == "custom" or axis == "schedule" or run["mixtures"])
            if shown and (run["model"], run["track"]) == (common["model"], track) and dataset in run["evaluated"][-1]:
                first, numbers = stages.setdefault(name, ((track, dataset), set()))
                if first == (track, dataset):
                    numbers.update(n for n, datasets in enumerate(run["evaluated"], start=1) if dataset in datasets)
        if axis == "schedule":
            published = [entry for entry in self.plan.get("published", []) if entry["name"] == common.get("published")]
            rows = [(n, row["schedule"]) for entry in published for n, row in enumerate(entry["rows"])]
            others = [{axis: name, "published_row": n} for n, name in rows if name in stages]
            return [{axis: name} for name in stages] + others
        if self.kind == "custom" and "schedule" in self._axes():
            return [{axis: number} for number in set().union(*(numbers for _, numbers in stages.values()))]
        return [{"schedule": name, axis: number} for name, (_, numbers) in stages.items() for number in numbers]


def scored_name(dataset: str, fold: int) -> str:
    return f"{dataset}-fold{fold}" if fold else dataset


def mean(select: Select, scores: Sequence[Mapping], metrics: Sequence[str]) -> float:
    """The mean over languages, or over their examples, and over metrics."""
    weights = [entry["n"] if select.get("aggregate") == "pooled" else 1 for entry in scores]
    sums = [sum(w * entry[metric] for w, entry in zip(weights, scores, strict=True)) for metric in metrics]
    return sum(sums) / sum(weights) / len(metrics)


def over_folds(values: Mapping[str, float]) -> dict[str, float]:
    """Means by seed of numbers by seed and fold."""
    seeds: dict[str, list[float]] = {}
    for run, value in values.items():
        seeds.setdefault(run.split("/")[0], []).append(value)
    return {seed: sum(numbers) / len(numbers) for seed, numbers in seeds.items()}
