"""The numbers that a custom table covers, and its cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

from crosstune.analysis.cells import Cell, Replicate, mean_cell
from crosstune.analysis.results import FINAL, Panel, StudyResults
from crosstune.analysis.terms import ScoreSum, Term
from crosstune.reporting.tables.scores import LANGUAGE_ATTRIBUTES, language_attribute, untrained_first
from crosstune.reporting.tables.table import NO_RUNS


def restrict_seeds(study: StudyResults, seeds: Sequence[int]) -> StudyResults:
    """The study with only the runs of these seeds."""
    runs = [run for run in study.plan["runs"] if run["seed"] in seeds]
    return replace(study, plan=study.plan | {"runs": runs, "seeds": list(seeds)})


@dataclass(frozen=True)
class TableScope:
    """The numbers that one table covers, by an entry of the plan's `tables`: panels, models, schedules, languages."""

    whole: StudyResults
    entry: Mapping[str, Any]

    @cached_property
    def study(self) -> StudyResults:
        """The study with the seeds that the table covers."""
        return restrict_seeds(self.whole, self.entry.get("seeds", self.whole.plan["seeds"]))

    @property
    def axes(self) -> list[str]:
        return [*self.entry["rows"], *self.entry["columns"]]

    @cached_property
    def models(self) -> list[str]:
        wanted = self.entry.get("models", self.study.plan["models"])
        return [model for model in self.study.plan["models"] if model in wanted]

    @cached_property
    def panels(self) -> list[Panel]:
        """The panels of the first model; languages, metrics and schedules are the same for all models."""
        return self.model_panels(self.models[0])

    def model_panels(self, model: str, seed: int | None = None) -> list[Panel]:
        """The panels of a model, with the runs of one seed or of all."""
        return self._panels[model, seed]

    @cached_property
    def _panels(self) -> dict[tuple[str, int | None], list[Panel]]:
        studies: dict[int | None, StudyResults] = {None: self.study}
        if "seed" in self.axes:
            studies |= {seed: restrict_seeds(self.study, [seed]) for seed in self.study.plan["seeds"]}
        return {
            (model, seed): [Panel(study, model, *over.split("/")) for over in self.entry["panels"]]
            for model, (seed, study) in product(self.models, studies.items())
        }

    @cached_property
    def schedules(self) -> list[str]:
        """The schedules of the table, the untrained model first."""
        every = dict.fromkeys(name for panel in self.panels for name in panel.schedules)
        wanted = self.entry.get("schedules", every)
        return untrained_first(name for name in every if name in wanted and name != self.entry.get("relative_to"))

    @cached_property
    def languages(self) -> list[str]:
        """The languages of the table, the languages first that some schedule trains on."""
        every = [lang for panel in self.panels for lang in panel.seen_languages]
        every += [lang for panel in self.panels for lang in panel.unseen_languages]
        return [lang for lang in dict.fromkeys(every) if self.covers(lang)]

    @cached_property
    def published(self) -> Mapping[str, Any]:
        """The plan's entry of the published table that is compared."""
        return self.study.plan["published"][self._published_number]

    @cached_property
    def _published_number(self) -> int:
        names = [entry["name"] for entry in self.study.plan["published"]]
        return names.index(self.entry["published"])

    def covers(self, lang: str) -> bool:
        """Whether the table covers a language."""
        wanted = self.entry["languages"]
        if wanted == "low":
            return language_attribute(self.study, "resource", lang) == "low"
        return wanted == "all" or lang in wanted

    def selected(self, panel: Panel, select: Mapping[str, Any]) -> list[str]:
        """The languages of a panel that a row and a column select together."""
        group = panel.language_groups.get(select["group"], []) if "group" in select else panel.languages
        return [
            lang
            for lang in group
            if self.covers(lang)
            and select.get("language", lang) == lang
            and all(
                language_attribute(self.study, axis, lang) == select[axis]
                for axis in LANGUAGE_ATTRIBUTES
                if axis in select
            )
        ]

    # ---- cells ----

    def cell(self, select: Mapping[str, Any]) -> Cell:
        """The numbers that a row and a column select together. No run is expected if there are no such numbers."""
        panels = self.model_panels(select.get("model", self.models[0]), select.get("seed"))
        panels = [panel for panel in panels if select.get("dataset", panel.key) == panel.key]
        panels = [panel for panel in panels if self.selected(panel, select)]
        schedule = select.get("schedule", self.schedules[0])
        if not panels:
            return NO_RUNS
        if "published_row" in select:
            return self._published_cell(select)
        cells = [self._panel_cell(panel, schedule, select) for panel in panels]
        if "relative_to" in self.entry:
            last = {key: value for key, value in select.items() if key != "stage"}
            bases = [self._panel_cell(panel, self.entry["relative_to"], last) for panel in panels]
            cells = [cell.difference(base) for cell, base in zip(cells, bases, strict=True)]
        if len(cells) == 1:
            return cells[0]
        if not all(cell.planned_runs for cell in cells):
            return NO_RUNS
        # Panels are paired by seed; one whose data are split in several ways gives the mean over its folds.
        cells = [panel.over_folds(cell) for panel, cell in zip(panels, cells, strict=True)]
        return mean_cell(cells, len(panels[0].study.plan["seeds"]))

    def _panel_cell(self, panel: Panel, schedule: str, select: Mapping[str, Any]) -> Cell:
        """The number of one panel."""
        stages = panel.stages(schedule) if panel.runs(schedule) else []
        number = select.get("stage", 0)
        if schedule not in panel.schedules or number > max(1, len(stages)):
            return NO_RUNS
        stage = number - 1 if number else FINAL
        metric = select.get("metric", self.entry.get("metric", panel.metric))
        pooled = self.entry["aggregate"] == "pooled"
        return panel.cell(schedule, self.selected(panel, select), metric, stage, pooled)

    def _published_cell(self, select: Mapping[str, Any]) -> Cell:
        """The published number for a row and a column, which has no run."""
        everything = "pooled" if self.entry["aggregate"] == "pooled" else "all"
        ours = select.get("language") or (everything if select.get("group") == "all" else None)
        columns = [column for column, own in self.published["columns"] if own == ours]
        if not columns:
            return NO_RUNS
        row = select["published_row"]
        path = ("published", self._published_number, "rows", row, "published", columns[0])
        number = self.published["rows"][row]["published"][columns[0]]
        return Cell({Replicate(0): ScoreSum(number, [Term("plan.json", path)])}, 0)
