"""The tables that a study specifies under its key `tables`, built from its scores.

The `select` of a heading says by axis which numbers its row or column holds; a cell holds those that satisfy both.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from crosstune.analysis.intervals import CONFIDENCE
from crosstune.analysis.results import Panel, StageInfo, StudyResults
from crosstune.core.text import count
from crosstune.reporting.tables.formats import table_files, write_files
from crosstune.reporting.tables.marks import mark_cells
from crosstune.reporting.tables.scope import TableScope
from crosstune.reporting.tables.scores import (
    LANGUAGE_ATTRIBUTES,
    SEEN_MARK,
    language_attribute,
    stage_label,
)
from crosstune.reporting.tables.table import CellFormat, Heading, Table, presence_sentence, with_missing_note

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
            "panels": [panel.key],
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
        table = Table(self.entry["name"], self.caption, corner, tuple(rows), tuple(columns), cells, form)
        return mark_cells(self.scope, table)

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
            return {panel.key: panel_label(panel, unique) for panel in scope.panels}
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


def panel_label(panel: Panel, is_unique: bool) -> str:
    """The panel in a heading: its display name, or the data set alone if no other panel has it."""
    named = panel.study.names.is_named("datasets", panel.dataset)
    if named:
        return panel.study.names.dataset(panel.dataset) if is_unique else panel.title
    return panel.dataset if is_unique else panel.key
