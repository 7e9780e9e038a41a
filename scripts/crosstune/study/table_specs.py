"""The tables that a study specifies under its key `tables`, checked, as plan.json has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from crosstune.core.errors import UserError
from crosstune.core.schema import check_known
from crosstune.evaluation.metrics import Metric, metric_named
from crosstune.study.comparisons import is_low, panel_of, panels_over, resolve_contrasts, schedules_with_head
from crosstune.study.graph import Study
from crosstune.study.schedules import UNTRAINED

# Names of other files among a study's tables.
RESERVED = ("claims", "contrasts", "scores", "summary")

FILTERS = ("languages", "schedules", "models", "seeds", "metrics")

# Axes over which there is no mean: every cell needs exactly one of their values.
EXCLUSIVE_AXES = ("schedule", "stage", "model")

# Keys that plan.json copies from the study.
PLAN_KEYS = (
    *FILTERS,
    "metric",
    "aggregate",
    "statistic",
    "relative_to",
    "published",
    "caption",
    "digits",
    "best",
    "significance",
)


def resolve_tables(study: Study) -> list[dict[str, Any]]:
    """The specified tables by name, with all of their panels, and their axes as lists. UserError for a mistake."""
    specs = [TableSpec(study, name) for name in sorted(study.config["tables"])]
    for spec in specs:
        spec.check()
    return [spec.plan() for spec in specs]


@dataclass(frozen=True)
class TableSpec:
    """An entry of the key `tables`."""

    study: Study
    name: str

    @property
    def entry(self) -> Mapping[str, Any]:
        return self.study.config["tables"][self.name]

    @property
    def where(self) -> str:
        return f"tables.{self.name}"

    @property
    def rows(self) -> list[str]:
        return _as_list(self.entry["rows"])

    @property
    def columns(self) -> list[str]:
        return _as_list(self.entry["columns"])

    @cached_property
    def panels(self) -> list[tuple[str, str]]:
        """Track and data set of every panel. UserError for an unknown panel, and for a repeated one."""
        return listed_panels(self.study, self.entry["panels"], f"{self.where}.panels")

    @property
    def schedules(self) -> list[str]:
        """The schedules of the table: those of any panel, or the listed ones among them."""
        every = [name for panel in self.panels for name in schedules_with_head(self.study, *panel)]
        listed = self.entry.get("schedules", every)
        return [name for name in dict.fromkeys(every) if name in listed and name != self.entry.get("relative_to")]

    @property
    def metrics(self) -> list[Metric]:
        return [metric_named(self.study.registry[dataset].metric) for _, dataset in self.panels]

    def plan(self) -> dict[str, Any]:
        """The entry as plan.json has it."""
        copied = {key: self.entry[key] for key in PLAN_KEYS if key in self.entry}
        over = [f"{track}/{dataset}" for track, dataset in self.panels]
        return {"name": self.name, "panels": over, "rows": self.rows, "columns": self.columns} | copied

    def check(self) -> None:
        """UserError for the first mistake of the entry."""
        if self.name in RESERVED:
            message = f"{self.name!r} is the name of another table"
            raise UserError(message, self.where, f"Choose another name than {', '.join(RESERVED)}.")
        if shared := next((axis for axis in self.rows if axis in self.columns), None):
            axis = "language" if shared == "schedule" else "schedule"
            raise UserError(f"rows and columns are both by {shared}", f"{self.where}.columns", f"columns: {axis}")
        for side, axes in (("rows", self.rows), ("columns", self.columns)):
            if len(axes) > 1 and (exclusive := [axis for axis in EXCLUSIVE_AXES if axis in axes]):
                axis = exclusive[0]
                message = f"no other axis is possible next to {axis}: its headings would have no one {axis}"
                raise UserError(message, f"{self.where}.{side}", f"{side}: {axis}")
        check_filters(self.study, self.entry, self.panels, self.where)
        self._check_schedules()
        self._check_metric()
        if "published" in self.entry:
            self._check_published()
        if self.entry.get("best"):
            self._check_best()
        if self.entry.get("significance"):
            self._check_significance()

    def _check_schedules(self) -> None:
        """UserError for unknown schedules, and for several without an axis that separates them."""
        every = [name for panel in self.panels for name in schedules_with_head(self.study, *panel)]
        for name in self.entry.get("schedules", []):
            check_known(name, list(dict.fromkeys(every)), "schedule", f"{self.where}.schedules")
        for track, dataset in self.panels if "relative_to" in self.entry else []:
            known = schedules_with_head(self.study, track, dataset)
            check_known(self.entry["relative_to"], known, f"schedule of {track}/{dataset}", f"{self.where}.relative_to")
        if not self.schedules:
            raise UserError("no schedule is left to show", f"{self.where}.schedules", "Leave the key out.")
        if {"schedule", "stage"}.isdisjoint([*self.rows, *self.columns]) and len(self.schedules) > 1:
            message = f"a cell would be of several schedules: {', '.join(self.schedules)}"
            raise UserError(message, self.where, f"schedules: [{self.schedules[-1]}]")

    def _check_metric(self) -> None:
        """UserError for a metric that a data set lacks, and for pooling one that is no mean over examples."""
        for (_, dataset), metric in zip(self.panels, self.metrics, strict=True):
            if "metric" in self.entry:
                check_known(self.entry["metric"], metric.all_labels, f"metric of {dataset}", f"{self.where}.metric")
            for name in self.entry.get("metrics", []):
                check_known(name, metric.all_labels, f"metric of {dataset}", f"{self.where}.metrics")
        if "metrics" in self.entry and "metric" not in [*self.rows, *self.columns]:
            raise UserError("no axis is by metric", f"{self.where}.metrics", "columns: metric")
        if "metric" in [*self.rows, *self.columns]:
            if "metric" in self.entry:
                fix = f"metrics: [{self.entry['metric']}]"
                raise UserError("an axis has several metrics", f"{self.where}.metric", fix)
            if any(metric.labels != self.metrics[0].labels for metric in self.metrics):
                message = "the data sets are not scored by the same metrics"
                raise UserError(message, f"{self.where}.panels", f"panels: {'/'.join(self.panels[0])}")
        if self.entry["aggregate"] == "pooled":
            for (_, dataset), metric in zip(self.panels, self.metrics, strict=True):
                if not metric.is_example_mean:
                    message = f"the metric of {dataset} is no mean over examples"
                    raise UserError(message, f"{self.where}.aggregate", "aggregate: macro")

    def _check_best(self) -> None:
        """UserError without an axis whose headings can be compared."""
        if {"schedule", "stage", "model"}.isdisjoint([*self.rows, *self.columns]):
            message = "no axis has anything to compare: schedule, stage or model"
            raise UserError(message, f"{self.where}.best", "Leave the key out.")

    def _check_significance(self) -> None:
        """UserError unless declared contrasts are about the table's means over all seeds."""
        where = f"{self.where}.significance"
        if self.entry["statistic"] not in ("sd", "interval"):
            raise UserError("contrasts are about means", where, "statistic: sd")
        if "seeds" in self.entry or "seed" in [*self.rows, *self.columns]:
            raise UserError("contrasts are over all seeds together", where, "Leave the key out.")
        shown = [
            entry
            for entry in resolve_contrasts(self.study)
            if {entry["a"], entry["b"]} & set(self.schedules)
            and {(panel["track"], panel["dataset"]) for panel in entry["panels"]} & set(self.panels)
        ]
        if not shown:
            track, dataset = self.panels[0]
            over = f"over: [{track}/{dataset}], smallest_effect: 1"
            pair = [name for name in self.schedules if name != UNTRAINED][-2:]
            names = ", ".join(f"{role}: {name}" for role, name in zip("ab", pair, strict=False))
            message = "no declared contrast is about these schedules on these panels"
            raise UserError(message, where, f"contrasts: [{{{names}, {over}}}]")

    def _check_published(self) -> None:
        """UserError unless the axes are schedule, and language or group, as in published tables."""
        where, name = f"{self.where}.published", self.entry["published"]
        check_known(name, self.study.config["published"], "published table of this study", where)
        panel = self.study.config["published"][name]["panel"]
        if self.panels != [panel_of(self.study, panel, where)]:
            raise UserError(f"{name!r} is of {panel} alone", f"{self.where}.panels", f"panels: {panel}")
        sides = sorted([self.rows, self.columns], key=lambda axes: axes != ["schedule"])
        if sides[0] != ["schedule"] or not {"language", "group"}.issuperset(sides[1]):
            message = "published numbers are by schedule, and by language or group of languages"
            raise UserError(message, self.where, "rows: schedule\ncolumns: [language, group]")
        if self.entry["languages"] != "all" and "group" in sides[1]:
            message = "published means are over all languages"
            raise UserError(message, f"{self.where}.languages", "languages: all")
        for key in ("relative_to", "metric"):
            if key in self.entry:
                raise UserError(f"published numbers know no {key!r}", f"{self.where}.{key}", "Leave the key out.")


def listed_panels(study: Study, listed: str | Sequence[str], where: str) -> list[tuple[str, str]]:
    """Track and data set of every listed panel; those of a track in the order of the data sets' names.

    UserError for an unknown panel, and for a repeated one.
    """
    panels: list[tuple[str, str]] = []
    place = {dataset: number for number, dataset in enumerate(study.config.get("names", {}).get("datasets", ()))}
    for over in _as_list(listed):
        for panel in sorted(panels_over(study, over, where), key=lambda panel: place.get(panel[1], len(place))):
            if panel in panels:
                raise UserError(f"{'/'.join(panel)} is given twice", where, "Give each track or panel once.")
            panels.append(panel)
    return panels


def check_filters(study: Study, entry: Mapping[str, Any], panels: Sequence[tuple[str, str]], where: str) -> None:
    """UserError for unknown languages, models and seeds of a table or figure, and for no language at all."""
    languages = entry.get("languages", "all")
    evaluated = [code for track, dataset in panels for code in study.tracks[track].evaluate[dataset]]
    if languages == "low" and not any(is_low(study, code) for code in evaluated):
        message = "none of the evaluated languages is marked as low-resource"
        raise UserError(message, f"{where}.languages", "languages: all")
    known = {"languages": list(dict.fromkeys(evaluated)), "models": list(study.config["models"])}
    known["seeds"] = list(map(str, study.config["seeds"]))
    for key, names in known.items():
        listed = entry.get(key, [])
        for name in [] if isinstance(listed, str) else listed:
            check_known(str(name), names, key.removesuffix("s"), f"{where}.{key}")


def _as_list(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
