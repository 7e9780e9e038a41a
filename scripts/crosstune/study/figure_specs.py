"""The figures that a study specifies under its key `figures`, checked, as plan.json has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from crosstune.core.errors import UserError
from crosstune.core.schema import check_known
from crosstune.evaluation.metrics import metric_named
from crosstune.study.comparisons import is_low, schedules_with_head
from crosstune.study.graph import Study, Track
from crosstune.study.schedules import UNTRAINED
from crosstune.study.table_specs import check_filters, listed_panels

# The kind that shows contrasts, and the keys that it cannot have.
FOREST = "forest"
OF_PANELS = ("panels", "schedules", "languages", "metric", "relative_to")

# Kinds whose charts share one legend of schedules.
WITH_LEGEND = ("languages", "few-shot")


def resolve_figures(study: Study) -> list[dict[str, Any]]:
    """The specified figures in the order of the study, with their panels. UserError for one that cannot be drawn."""
    return [FigureSpec(study, name).plan() for name in study.config.get("figures", {})]


@dataclass(frozen=True)
class FigureSpec:
    """An entry of the key `figures`."""

    study: Study
    name: str

    @property
    def entry(self) -> Mapping[str, Any]:
        return self.study.config["figures"][self.name]

    @property
    def where(self) -> str:
        return f"figures.{self.name}"

    @property
    def kind(self) -> str:
        return self.entry["kind"]

    def plan(self) -> dict[str, Any]:
        """The entry as plan.json has it: every panel with its metric, schedules and languages."""
        models = self.entry.get("models", list(self.study.config["models"]))
        own = {"name": self.name, "kind": self.kind, "models": models}
        own |= {key: self.entry[key] for key in ("title", "relative_to") if key in self.entry}
        if self.kind == FOREST:
            return own | {"contrasts": self._contrasts()}
        if "contrasts" in self.entry:
            raise UserError("only a forest plot shows contrasts", f"{self.where}.contrasts", "kind: forest")
        if "panels" not in self.entry:
            fix = f"panels: {next(iter(self.study.tracks))}"
            raise UserError(f"a figure of the kind {self.kind} is of panels", self.where, fix)
        check_filters(self.study, self.entry, self.panels, self.where)
        panels = [self._panel(track, dataset) for track, dataset in self.panels]
        if self.kind in WITH_LEGEND and any(panel["schedules"] != panels[0]["schedules"] for panel in panels):
            message = "the panels have different schedules, and one legend is for all"
            fix = f"panels: {panels[0]['track']}/{panels[0]['dataset']}"
            raise UserError(message, f"{self.where}.panels", fix)
        return own | {"panels": panels}

    @cached_property
    def panels(self) -> list[tuple[str, str]]:
        """Track and data set of every panel."""
        return listed_panels(self.study, self.entry["panels"], f"{self.where}.panels")

    def _contrasts(self) -> list[str]:
        """The names of the contrasts of a forest plot."""
        for key in OF_PANELS:
            if key in self.entry:
                message = f"a forest plot shows declared contrasts, and has no {key!r}"
                raise UserError(message, f"{self.where}.{key}", "Leave the key out.")
        check_filters(self.study, self.entry, [], self.where)
        declared = [contrast["name"] for contrast in self.study.contrasts]
        if not declared:
            fix = "contrasts: [{a: sequential, b: joint, over: [qa], smallest_effect: 1}]"
            raise UserError("the study declares no contrasts to draw", self.where, fix)
        for name in self.entry.get("contrasts", []):
            check_known(name, declared, "contrast", f"{self.where}.contrasts")
        return self.entry.get("contrasts", declared)

    def _panel(self, track: str, dataset: str) -> dict[str, Any]:
        """One panel; UserError for what it lacks."""
        metric = metric_named(self.study.registry[dataset].metric)
        headline = self.study.config.get("headline") or {}
        is_headline = (track, dataset) == (headline.get("track"), headline.get("dataset"))
        shown = self.entry.get("metric", headline["metric"] if is_headline else metric.primary)
        check_known(shown, metric.labels, f"metric of {dataset}", f"{self.where}.metric")
        schedules = self._schedules(track, dataset)
        self._check_drawable(self.study.tracks[track], dataset, schedules)
        evaluated, wanted = self.study.tracks[track].evaluate[dataset], self.entry.get("languages", "all")
        languages = [
            code
            for code in evaluated
            if wanted == "all" or (is_low(self.study, code) if wanted == "low" else code in wanted)
        ]
        if not languages:
            message = f"{track}/{dataset} evaluates none of these languages"
            raise UserError(message, f"{self.where}.languages", f"languages: [{', '.join(evaluated)}]")
        return {"track": track, "dataset": dataset, "metric": shown, "schedules": schedules, "languages": languages}

    def _schedules(self, track: str, dataset: str) -> list[str]:
        """The drawn schedules of a panel; the name of a few-shot curve stands for all of its points."""
        known = schedules_with_head(self.study, track, dataset)
        curves = curve_points(self.study.tracks[track])
        listed = self.entry.get("schedules", known)
        for name in listed:
            check_known(name, [*known, *curves], f"schedule of {track}/{dataset}", f"{self.where}.schedules")
        if "relative_to" in self.entry:
            where = f"{self.where}.relative_to"
            if self.kind != "differences":
                fix = "Leave the key out, or choose the kind differences."
                raise UserError(f"a figure of the kind {self.kind} shows no differences", where, fix)
            check_known(self.entry["relative_to"], known, f"schedule of {track}/{dataset}", where)
        points = [point for name in listed for point in curves.get(name, [])]
        return [name for name in known if name in listed or name in points]

    def _check_drawable(self, track: Track, dataset: str, schedules: list[str]) -> None:
        """UserError if the study has nothing of the kind on a panel, whatever its results."""
        trained = [name for name in schedules if name != UNTRAINED]
        several = [own.name for own in track.schedules if own.name in trained and len(own.stages) > 1]
        others = [name for name in trained if name != self.entry.get("relative_to")]
        pairs = [{entry["a"], entry["b"]} for entry in self.study.contrasts if over_panel(entry, track.name, dataset)]
        roles = self.study.config.get("headline") or {}
        pairs += [{roles.get(a), roles.get(b)} for a, b in (("joint", "single"), ("sequential", "joint"))]
        has_pair = others if "relative_to" in self.entry else any(pair <= set(trained) for pair in pairs)
        sampled = {name for points in curve_points(track).values() for name in points}
        every = track.scores_every_stage(dataset)
        needs = {
            "differences": (has_pair, "two schedules to compare", "relative_to: <schedule>"),
            "curves": (several and every, "a schedule of several scored stages", "score: all"),
            "few-shot": (sampled & set(schedules), "a few-shot curve", "{train: sw, sample: [0, 10, 100]}"),
            "distance": ("distances" in self.study.config, "distances between languages", "distances: {file: ...}"),
        }
        has, what, fix = needs.get(self.kind, (trained, "a schedule that trains", f"schedules: [{', '.join(trained)}]"))
        if not has:
            message = f"{track.name}/{dataset} has not what the kind {self.kind} draws: {what}"
            raise UserError(message, self.where, fix)


def curve_points(track: Track) -> dict[str, list[str]]:
    """The schedules of every few-shot curve of a track."""
    curves: dict[str, list[str]] = {}
    for schedule in track.schedules:
        if schedule.curve:
            curves.setdefault(schedule.curve[0], []).append(schedule.name)
    return curves


def over_panel(contrast: Mapping[str, Any], track: str, dataset: str) -> bool:
    """Whether a contrast is about a panel."""
    return any((panel["track"], panel["dataset"]) == (track, dataset) for panel in contrast["panels"])
