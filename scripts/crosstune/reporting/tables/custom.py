"""The tables that a study specifies under its key `tables`, built from its scores.

The `select` of a heading says by axis which numbers its row or column holds; a cell holds those that satisfy both.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from crosstune.analysis.cells import Cell, Replicate, mean_cell
from crosstune.analysis.intervals import CONFIDENCE
from crosstune.analysis.results import FINAL, Panel, StageInfo, StudyResults
from crosstune.analysis.terms import ScoreSum, Term
from crosstune.core.text import count
from crosstune.reporting.tables.formats import table_files, write_files
from crosstune.reporting.tables.scores import (
    LANGUAGE_ATTRIBUTES,
    SEEN_MARK,
    language_attribute,
    stage_label,
    untrained_first,
)
from crosstune.reporting.tables.table import NO_RUNS, CellFormat, Heading, Table, presence_sentence, with_missing_note

STATISTIC_NAMES = {
    "sd": "mean ± sample standard deviation",
    "interval": f"mean and its {CONFIDENCE:.0%} CI",
    "median": "median",
    "min": "lowest",
    "max": "highest",
}

# The most languages that a caption lists.
MOST_LISTED = 12

# Axes whose headings have runs of their own, which may be missing.
RUN_AXES = frozenset({"schedule", "stage", "model"})


def custom_tables(study: StudyResults) -> Iterator[Table]:
    """Every table that the study specifies, as far as there are runs, and the error rates of metrics that have them."""
    for entry in [*error_entries(study), *study.plan.get("tables", [])]:
        yield TableBuilder(TableScope(study, entry)).table()


def error_entries(study: StudyResults) -> list[dict[str, Any]]:
    """For each panel whose metric has error rates, the entry of a table of all of them, as a study would specify it."""
    return [
        {
            "name": f"{panel.name}.errors",
            "panels": [panel_name(panel)],
            "models": [panel.model],
            "rows": ["metric"],
            "columns": ["schedule"],
            "metrics": list(panel.metric_spec.error_labels),
            "languages": "all",
            "aggregate": "macro",
            "statistic": "sd",
            "digits": 1,
        }
        for panel in study.panels()
        if panel.metric_spec.error_labels and panel.schedules
    ]


def write_custom_tables(study: StudyResults, out: Path) -> None:
    """Write every specified table into the folder `out` as `<name>.csv`, `.md` and `.tex`."""
    for table in custom_tables(study):
        write_files(table_files(table), out, study.pilot)


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
        panels = [panel for panel in panels if select.get("dataset", panel_name(panel)) == panel_name(panel)]
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
        pairs = zip(panels, cells, strict=True)
        cells = [cell.average_folds(len(panel.folds)) if panel.folds != [0] else cell for panel, cell in pairs]
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


@dataclass(frozen=True)
class TableBuilder:
    """The headings and the caption of one table, from its scope."""

    scope: TableScope

    @property
    def entry(self) -> Mapping[str, Any]:
        return self.scope.entry

    def table(self) -> Table:
        """The table. Its rows, or its columns if these are by schedule, say which runs they lack."""
        rows, columns = self._rows(), self._side("columns")
        cells = tuple(tuple(self.scope.cell({**row.select, **column.select}) for column in columns) for row in rows)
        if RUN_AXES.isdisjoint(self.entry["rows"]):
            columns = [
                with_missing_note(column, [line[number] for line in cells]) for number, column in enumerate(columns)
            ]
        else:
            rows = [with_missing_note(row, line) for row, line in zip(rows, cells, strict=True)]
        corner = self.entry["rows"][0] if len(self.entry["rows"]) == 1 else ""
        form = CellFormat(self.entry["statistic"], self.entry["digits"], "relative_to" in self.entry)
        return Table(self.entry["name"], self.caption, corner, tuple(rows), tuple(columns), cells, form)

    # ---- headings ----

    def _side(self, side: str) -> list[Heading]:
        """The headings of the rows or of the columns, axis by axis."""
        return [heading for axis in self.entry[side] for heading in self._headings(axis)]

    def _rows(self) -> list[Heading]:
        """The headings of the rows, once for every model if there are several and no axis separates them."""
        rows = self._side("rows")
        if "model" in self.scope.axes or len(self.scope.models) == 1:
            return rows
        several, shown = len({row.group for row in rows}) > 1, self.scope.study.names.model
        return [
            replace(
                row,
                group=f"{model}, {row.group}" if several else model,
                select={**row.select, "model": model},
                group_label=f"{shown(model)}, {row.shown_group}" if several else shown(model),
            )
            for model, row in product(self.scope.models, rows)
        ]

    def _headings(self, axis: str) -> list[Heading]:
        if axis == "schedule":
            return [*self._schedules()]
        if axis == "stage":
            return self._stages()
        if axis == "language":
            seen = {lang for panel in self.scope.panels for lang in panel.seen_languages}
            shown = self.scope.study.names.language
            return [
                Heading(shown(lang) + (SEEN_MARK if lang in seen else ""), axis, lang, {axis: lang})
                for lang in self.scope.languages
            ]
        labels = self._labels(axis)
        return [Heading(label, axis, f"{axis}_{value}", {axis: value}) for value, label in labels.items()]

    def _labels(self, axis: str) -> dict[Any, str]:
        """Values and labels of an axis whose headings need no other information."""
        scope = self.scope
        if axis in LANGUAGE_ATTRIBUTES:
            values = [language_attribute(scope.study, axis, lang) for lang in scope.languages]
            return {value: f"{value} ({values.count(value)})" for value in dict.fromkeys(values)}
        if axis == "group":
            names = dict.fromkeys(name for panel in scope.panels for name in panel.language_groups)
            return {
                name: name for name in names if any(scope.selected(panel, {"group": name}) for panel in scope.panels)
            }
        if axis == "dataset":
            unique = len({panel.dataset for panel in scope.panels}) == len(scope.panels)
            return {panel_name(panel): panel_label(panel, unique) for panel in scope.panels}
        if axis == "metric":
            return {name: scope.panels[0].labels[name] for name in self.entry.get("metrics", scope.panels[0].metrics)}
        if axis == "seed":
            return {seed: f"seed {seed}" for seed in scope.study.plan["seeds"]}
        return {model: scope.study.names.model(model) for model in scope.models}

    def _schedules(self) -> Iterator[Heading]:
        """Every schedule, followed by its published numbers."""
        published = self.scope.published["rows"] if "published" in self.entry else []
        for name in self.scope.schedules:
            shown = self.scope.study.names.schedule(name)
            yield Heading(shown, "schedule", name, {"schedule": name})
            for number, row in enumerate(published):
                if row["schedule"] == name:
                    label = f"{shown}, published" + (f" ({', '.join(row['labels'])})" if row["labels"] else "")
                    select = {"schedule": name, "published_row": number}
                    yield Heading(label, "schedule", f"{name}_published_{number}", select)

    def _stages(self) -> list[Heading]:
        """Every stage of every schedule; if schedules are an axis too, the numbers of stages that any of them has."""
        stages = [
            (panel, schedule, stage)
            for schedule in self.scope.schedules
            for panel in [next(panel for panel in self.scope.panels if schedule in panel.schedules)]
            # An average of checkpoints, and the untrained model, have no stages, but are scored as if they had one.
            for stage in panel.stages(schedule) or [StageInfo(1, (), 0)]
            if panel.is_scored(schedule, stage)
        ]
        if "schedule" in self.scope.axes:
            numbers = sorted({stage.number for _, _, stage in stages})
            return [Heading(f"stage {number}", "stage", f"stage_{number}", {"stage": number}) for number in numbers]
        return [
            Heading(
                stage_label(panel, stage) if stage.sources else panel.schedule_title(schedule),
                schedule,
                f"{schedule}_{stage.number}",
                {"schedule": schedule, "stage": stage.number},
                panel.schedule_title(schedule),
            )
            for panel, schedule, stage in stages
        ]

    # ---- the caption ----

    @property
    def caption(self) -> str:
        """The caption: metric and data sets, models, statistic, runs, languages, missing runs."""
        scope, entry, seeds = self.scope, self.entry, self.scope.study.plan["seeds"]
        folded = " and splits of the data" if any(panel.folds != [0] for panel in scope.panels) else ""
        over = f" over {count(len(seeds), 'seed')} ({', '.join(map(str, seeds))}){folded}"
        single = ["seed"] in (entry["rows"], entry["columns"])
        statistic = STATISTIC_NAMES[entry["statistic"]] + ("" if single else over)
        sentences = [
            *([entry["caption"].rstrip(".") + "."] if "caption" in entry else []),
            f"{self._metrics()}; model {', '.join(map(scope.study.names.model, scope.models))}; 0 to 100, {statistic}.",
            self._languages_sentence(),
        ]
        if "relative_to" in entry:
            sentences.append(f"Differences from {scope.study.names.schedule(entry['relative_to'])}, seed by seed.")
        if len(scope.panels) > 1 and ["dataset"] not in (entry["rows"], entry["columns"]):
            sentences.append("Over several data sets the mean of those that have the languages; each counts alike.")
        if "published" in entry:
            unverified = "" if scope.published["verified"] else " They are not verified."
            sentences.append(f"Published: {scope.published['title']}, {scope.published['what']}.{unverified}")
        seen = {lang for panel in scope.panels for lang in panel.seen_languages}
        if "language" in scope.axes and seen.intersection(scope.languages):
            sentences.append(f"{SEEN_MARK} seen: some schedule of the track trains on it.")
        if not all(panel.track_plan["matched"] for panel in scope.panels):
            sentences.append("The schedules are NOT compute-matched.")
        return " ".join([*sentences, self._presence_sentence()])

    def _metrics(self) -> str:
        """`SQuAD v1.1 F1 on qa/worldqa`."""
        over = ", ".join(dict.fromkeys(panel.title for panel in self.scope.panels))
        if "metric" in self.scope.axes:
            return f"Scores on {over}"
        panels = self.scope.panels
        labels = [panel.labels[self.entry.get("metric", panel.metric)] for panel in panels]
        if len(set(labels)) == 1:
            return f"{labels[0]} on {over}"
        return ", ".join(f"{label} on {panel.title}" for label, panel in zip(labels, panels, strict=True))

    def _languages_sentence(self) -> str:
        wanted, languages = self.entry["languages"], self.scope.languages
        number = count(len(languages), "language")
        which = {"all": f"All {number} evaluated", "low": f"The {number} of few resources"}
        chosen = which[wanted] if isinstance(wanted, str) else f"{number} of those evaluated"
        listed = f" ({self.scope.study.names.languages(languages)})" if len(languages) <= MOST_LISTED else ""
        over = "over all their examples" if self.entry["aggregate"] == "pooled" else "macro-averages"
        return f"{chosen}{listed}; means over languages are {over}."

    def _presence_sentence(self) -> str:
        scope = self.scope
        names = [*scope.schedules, *([self.entry["relative_to"]] if "relative_to" in self.entry else [])]
        panels = [panel for model in scope.models for panel in scope.model_panels(model) if scope.selected(panel, {})]
        return presence_sentence(
            [panel.cell(name, scope.selected(panel, {}), panel.metric) for panel in panels for name in names]
        )


def panel_name(panel: Panel) -> str:
    return f"{panel.track}/{panel.dataset}"


def panel_label(panel: Panel, is_unique: bool) -> str:
    """The panel in a heading: its display name, or the data set alone if no other panel has it."""
    named = panel.study.names.is_named("datasets", panel.dataset)
    if named:
        return panel.study.names.dataset(panel.dataset) if is_unique else panel.title
    return panel.dataset if is_unique else panel_name(panel)
