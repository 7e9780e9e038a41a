"""The tables that a study declares, built from its scores.

Owns: which headings an axis has, which numbers a cell is of, what the caption of such a table says. Must never know:
where scores are stored, the config.

A heading's `select` says by axis which numbers its row or column is of; a cell is what both say together.
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
from crosstune.core.files import write_text
from crosstune.core.text import count
from crosstune.reporting.tables.formats import latex, markdown, wide_csv
from crosstune.reporting.tables.scores import SEEN_MARK, floor_first, stage_label
from crosstune.reporting.tables.table import Form, Heading, Table, lacking, presence

SHOWN = {
    "sd": "mean ± sample standard deviation",
    "interval": f"mean and its {CONFIDENCE:.0%} interval",
    "median": "median",
    "min": "lowest",
    "max": "highest",
}

MOST_LISTED = 12

"""Languages that a caption lists."""

OF_RUNS = frozenset({"schedule", "stage", "model"})

"""Axes whose headings have runs of their own, which may be missing."""

KINDS = ("family", "script", "resource")

"""Axes of languages that the language table sets apart."""


def declared_tables(study: StudyResults) -> Iterator[Table]:
    """Every table that the study declares, as far as there are runs."""
    for entry in study.plan.get("tables", []):
        yield Declared(study, entry).table()


def write_declared(study: StudyResults, out: Path) -> None:
    """Write every declared table into the folder `out` as `<name>.csv`, `.md` and `.tex`."""
    for table in declared_tables(study):
        write_text(out / f"{table.name}.csv", wide_csv(table))
        write_text(out / f"{table.name}.md", markdown(table))
        write_text(out / f"{table.name}.tex", latex(table))


def of_seeds(study: StudyResults, seeds: Sequence[int]) -> StudyResults:
    """The study with the runs of these seeds alone."""
    runs = [run for run in study.plan["runs"] if run["seed"] in seeds]
    return replace(study, plan=study.plan | {"runs": runs, "seeds": list(seeds)})


def noted(heading: Heading, cells: Sequence[Cell]) -> Heading:
    """The heading with a note of the runs that its cells lack."""
    return replace(heading, label=heading.label + lacking(cells))


@dataclass(frozen=True)
class Declared:
    """One declared table: an entry of the plan's `tables`, and the scores it is made of."""

    whole: StudyResults
    entry: Mapping[str, Any]

    @cached_property
    def study(self) -> StudyResults:
        """The study with the seeds that the table counts."""
        return of_seeds(self.whole, self.entry.get("seeds", self.whole.plan["seeds"]))

    @property
    def axes(self) -> list[str]:
        return [*self.entry["rows"], *self.entry["columns"]]

    @cached_property
    def models(self) -> list[str]:
        wanted = self.entry.get("models", self.study.plan["models"])
        return [model for model in self.study.plan["models"] if model in wanted]

    @cached_property
    def panels(self) -> list[Panel]:
        """Its panels, of the first model; what they are about is the same for all."""
        return self._panels[self.models[0], None]

    @cached_property
    def _panels(self) -> dict[tuple[str, int | None], list[Panel]]:
        """Its panels by model, with the runs of one seed or, under None, with those of all."""
        studies: dict[int | None, StudyResults] = {None: self.study}
        if "seed" in self.axes:
            studies |= {seed: of_seeds(self.study, [seed]) for seed in self.study.plan["seeds"]}
        return {
            (model, seed): [Panel(study, model, *over.split("/")) for over in self.entry["over"]]
            for model, (seed, study) in product(self.models, studies.items())
        }

    @cached_property
    def schedules(self) -> list[str]:
        """The schedules that it shows, the floor first."""
        every = dict.fromkeys(name for panel in self.panels for name in panel.schedules)
        wanted = self.entry.get("schedules", every)
        return floor_first(name for name in every if name in wanted and name != self.entry.get("minus"))

    @cached_property
    def languages(self) -> list[str]:
        """The languages that it counts, those first that some schedule trains on."""
        every = [lang for panel in self.panels for lang in panel.seen_languages]
        every += [lang for panel in self.panels for lang in panel.unseen_languages]
        return [lang for lang in dict.fromkeys(every) if self._counts(lang)]

    @property
    def form(self) -> Form:
        return Form(self.entry["show"], self.entry["digits"], "minus" in self.entry)

    def table(self) -> Table:
        """The table, whose rows, or whose columns where schedules are these, say which runs they lack."""
        rows, columns = self._rows(), self._headings_of("columns")
        cells = tuple(tuple(self.cell(row.select | column.select) for column in columns) for row in rows)
        if OF_RUNS.isdisjoint(self.entry["rows"]):
            columns = [noted(column, [line[place] for line in cells]) for place, column in enumerate(columns)]
        else:
            rows = [noted(row, line) for row, line in zip(rows, cells, strict=True)]
        corner = self.entry["rows"][0] if len(self.entry["rows"]) == 1 else ""
        name, select = self.entry["name"], dict(self.entry) | self._common()
        return Table(name, self.caption, corner, tuple(rows), tuple(columns), cells, self.form, select)

    def _headings_of(self, side: str) -> list[Heading]:
        return [heading for axis in self.entry[side] for heading in self._headings(axis)]

    def _common(self) -> dict[str, str]:
        """What no axis tells apart, because there is one of it."""
        found = {"model": self.models[0]} if "model" not in self.axes and len(self.models) == 1 else {}
        return found | ({"schedule": self.schedules[0]} if {"schedule", "stage"}.isdisjoint(self.axes) else {})

    def _rows(self) -> list[Heading]:
        """The headings of the rows, once for every model where there are several and no axis tells them apart."""
        rows = self._headings_of("rows")
        if "model" in self.axes or len(self.models) == 1:
            return rows
        several = len({row.group for row in rows}) > 1
        return [
            replace(
                row,
                group=f"{model}, {row.group}" if several else model,
                select=row.select | {"model": model},
            )
            for model, row in product(self.models, rows)
        ]

    # ---- headings ----

    def _headings(self, axis: str) -> list[Heading]:
        """The headings of an axis."""
        if axis == "schedule":
            return [heading for name in self.schedules for heading in self._schedule(name)]
        if axis == "stage":
            return self._stages()
        if axis == "language":
            seen = {lang for panel in self.panels for lang in panel.seen_languages}
            return [
                Heading(lang + (SEEN_MARK if lang in seen else ""), axis, lang, {axis: lang}) for lang in self.languages
            ]
        labels = self._labels(axis)
        return [Heading(label, axis, f"{axis}_{value}", {axis: value}) for value, label in labels.items()]

    def _labels(self, axis: str) -> dict[Any, str]:
        """Values and labels of an axis whose headings are made of these alone."""
        if axis in KINDS:
            kinds = sorted({self._kind(axis, lang) for lang in self.languages})
            sizes = {kind: sum(self._kind(axis, lang) == kind for lang in self.languages) for kind in kinds}
            return {kind: f"{kind} ({size})" for kind, size in sizes.items()}
        if axis == "group":
            names = dict.fromkeys(name for panel in self.panels for name in panel.language_groups)
            return {name: name for name in names if self._any(name)}
        if axis == "dataset":
            alone = len({panel.dataset for panel in self.panels}) == len(self.panels)
            return {over: over.split("/")[1] if alone else over for over in self.entry["over"]}
        if axis == "metric":
            return self.panels[0].labels
        if axis == "seed":
            return {seed: f"seed {seed}" for seed in self.study.plan["seeds"]}
        return {model: model for model in self.models}

    def _schedule(self, name: str) -> Iterator[Heading]:
        """A schedule, and beside it what was published of it."""
        yield Heading(name, "schedule", name, {"schedule": name})
        if "published" not in self.entry:
            return
        for number, row in enumerate(self._published["rows"]):
            if row["schedule"] == name:
                told = ", ".join(row["labels"])
                label = f"{name}, published" + (f" ({told})" if told else "")
                yield Heading(
                    label, "schedule", f"{name}_published_{number}", {"schedule": name, "published_row": number}
                )

    def _stages(self) -> list[Heading]:
        """Every stage of every schedule, or where these are an axis too the stages that any of them has, by number."""
        found = [
            (panel, schedule, stage)
            for schedule in self.schedules
            for panel in [next(panel for panel in self.panels if schedule in panel.schedules)]
            # An average of checkpoints, and the untrained model, have no stages, but are scored like one.
            for stage in panel.stages(schedule) or [StageInfo(1, (), 0)]
            if panel.is_scored(schedule, stage)
        ]
        if "schedule" in self.axes:
            numbers = sorted({stage.number for _, _, stage in found})
            return [Heading(f"stage {number}", "stage", f"stage_{number}", {"stage": number}) for number in numbers]
        return [
            Heading(
                stage_label(panel, stage) if stage.sources else schedule,
                schedule,
                f"{schedule}_{stage.number}",
                {"schedule": schedule, "stage": stage.number},
            )
            for panel, schedule, stage in found
        ]

    # ---- cells ----

    def cell(self, select: Mapping[str, Any]) -> Cell:
        """What rows and columns select together; nothing is expected where there is no such thing."""
        panels = self._panels[select.get("model", self.models[0]), select.get("seed")]
        panels = [panel for panel in panels if select.get("dataset", _name(panel)) == _name(panel)]
        panels = [panel for panel in panels if self._selected(panel, select)]
        schedule = select.get("schedule", self.schedules[0])
        if not panels:
            return Cell({}, 0)
        if "published_row" in select:
            return self._published_cell(select)
        cells = [self._panel_cell(panel, schedule, select) for panel in panels]
        if "minus" in self.entry:
            last = {key: value for key, value in select.items() if key != "stage"}
            bases = [self._panel_cell(panel, self.entry["minus"], last) for panel in panels]
            cells = [cell.difference(base) for cell, base in zip(cells, bases, strict=True)]
        if len(cells) == 1:
            return cells[0]
        if not all(cell.planned_runs for cell in cells):
            return Cell({}, 0)
        # Panels meet seed by seed; one whose data are split in several ways gives the mean over its folds.
        cells = [
            cell.average_folds() if panel.folds != [0] else cell for panel, cell in zip(panels, cells, strict=True)
        ]
        return mean_cell(cells, len(panels[0].study.plan["seeds"]))

    def _panel_cell(self, panel: Panel, schedule: str, select: Mapping[str, Any]) -> Cell:
        """The number of one panel."""
        stages = panel.stages(schedule) if panel.runs(schedule) else []
        number = select.get("stage", 0)
        if schedule not in panel.schedules or number > max(1, len(stages)):
            return Cell({}, 0)
        stage = number - 1 if number else FINAL
        metric = select.get("metric", self.entry.get("metric", panel.metric))
        pooled = self.entry["aggregate"] == "pooled"
        return panel.cell(schedule, self._selected(panel, select), metric, stage, pooled)

    def _selected(self, panel: Panel, select: Mapping[str, Any]) -> list[str]:
        """The languages of a panel that rows and columns select together."""
        group = panel.language_groups.get(select["group"], []) if "group" in select else panel.languages
        return [
            lang
            for lang in group
            if self._counts(lang)
            and select.get("language", lang) == lang
            and all(self._kind(kind, lang) == select[kind] for kind in KINDS if kind in select)
        ]

    def _counts(self, lang: str) -> bool:
        """Whether the table counts a language."""
        wanted = self.entry["languages"]
        if wanted == "low":
            return self._about(lang).get("resource") == "low"
        return wanted == "all" or lang in wanted

    def _any(self, group: str) -> bool:
        return any(self._selected(panel, {"group": group}) for panel in self.panels)

    def _about(self, lang: str) -> Mapping[str, str]:
        return self.study.plan["languages"].get(lang, {})

    def _kind(self, axis: str, lang: str) -> str:
        """Family (a language of unknown family is its own), script or resource level."""
        return self._about(lang).get(axis) or {"family": lang, "script": "unknown", "resource": "neither"}[axis]

    # ---- published numbers ----

    @cached_property
    def _published(self) -> Mapping[str, Any]:
        (entry,) = [entry for entry in self.study.plan["published"] if entry["name"] == self.entry["published"]]
        return entry

    def _published_cell(self, select: Mapping[str, Any]) -> Cell:
        """The published number that stands beside ours, as that of no run."""
        everything = "pooled" if self.entry["aggregate"] == "pooled" else "all"
        ours = select.get("language") or (everything if select.get("group") == "all" else None)
        columns = [column for column, beside in self._published["columns"] if beside == ours]
        published = self._published["rows"][select["published_row"]]["published"]
        return Cell({Replicate(0): published[columns[0]]} if columns else {}, 0)

    # ---- the caption ----

    @property
    def caption(self) -> str:
        """What a reader must know: whose numbers, means of what, over which runs, how many there are."""
        seeds, entry = self.study.plan["seeds"], self.entry
        folded = " and splits of the data" if any(panel.folds != [0] for panel in self.panels) else ""
        over = f" over {count(len(seeds), 'seed')} ({', '.join(map(str, seeds))}){folded}"
        shown = SHOWN[entry["show"]] + ("" if self._of_one_seed else over)
        sentences = [
            *([entry["caption"].rstrip(".") + "."] if "caption" in entry else []),
            f"{self._measured()}; model {', '.join(self.models)}; 0 to 100, {shown}.",
            self._languages_told(),
        ]
        if "minus" in entry:
            sentences.append(f"Differences from {entry['minus']}, seed by seed.")
        if len(self.panels) > 1 and ["dataset"] not in (entry["rows"], entry["columns"]):
            sentences.append("Over several data sets the mean of those that have the languages; each counts alike.")
        if "published" in entry:
            unverified = "" if self._published["verified"] else " They are not verified."
            sentences.append(f"Published: {self._published['title']}, {self._published['what']}.{unverified}")
        if "language" in self.axes and any(
            lang in panel.seen_languages for panel in self.panels for lang in self.languages
        ):
            sentences.append(f"{SEEN_MARK} seen: some schedule of the track trains on it.")
        if not all(panel.track_plan["matched"] for panel in self.panels):
            sentences.append("The schedules are NOT compute-matched.")
        return " ".join([*sentences, presence(*self._presence())])

    @property
    def _of_one_seed(self) -> bool:
        """Whether every cell is."""
        return ["seed"] in (self.entry["rows"], self.entry["columns"])

    def _measured(self) -> str:
        """`SQuAD v1.1 F1 on qa/worldqa`."""
        if "metric" in self.axes:
            return f"Scores on {', '.join(self.entry['over'])}"
        labels = [panel.labels[self.entry.get("metric", panel.metric)] for panel in self.panels]
        if len(set(labels)) == 1:
            return f"{labels[0]} on {', '.join(self.entry['over'])}"
        return ", ".join(f"{label} on {_name(panel)}" for label, panel in zip(labels, self.panels, strict=True))

    def _languages_told(self) -> str:
        wanted, number = self.entry["languages"], count(len(self.languages), "language")
        which = {"all": f"All {number} evaluated", "low": f"The {number} of few resources"}
        chosen = which[wanted] if isinstance(wanted, str) else f"{number} of those evaluated"
        listed = f" ({', '.join(self.languages)})" if len(self.languages) <= MOST_LISTED else ""
        over = "over all their examples" if self.entry["aggregate"] == "pooled" else "macro-averages"
        return f"{chosen}{listed}; means over languages are {over}."

    def _presence(self) -> tuple[int, int, int]:
        """How many of the table's runs are missing, how many of them diverged, and how many were planned."""
        names = [*self.schedules, *([self.entry["minus"]] if "minus" in self.entry else [])]
        cells = [
            panel.cell(name, self._selected(panel, {}), panel.metric)
            for model in self.models
            for panel in self._panels[model, None]
            if self._selected(panel, {})
            for name in names
        ]
        lacking = sum(cell.missing_runs for cell in cells)
        return lacking, sum(len(cell.diverged) for cell in cells), sum(cell.planned_runs for cell in cells)


def _name(panel: Panel) -> str:
    return f"{panel.track}/{panel.dataset}"
