"""Tables of transfer and forgetting: measures of every sequential schedule, and gains over one source.

A stage's language is that of its own sources, without those that it replays. A measure that needs one language a stage
is given only if every stage has one and none comes twice. A measure whose reference schedule the study does not have is
"not run"; nothing is guessed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from crosstune.analysis import transfer
from crosstune.analysis.cells import Cell, replicate
from crosstune.analysis.intervals import CONFIDENCE
from crosstune.analysis.results import FINAL, UNTRAINED, Panel, StageInfo, StudyResults
from crosstune.core.text import count
from crosstune.reporting.tables.distance import distance_table, lines_by_distance, points_csv
from crosstune.reporting.tables.formats import TextTable, table_files, write_files
from crosstune.reporting.tables.scores import SEEN_MARK, describe_panel, language_attribute
from crosstune.reporting.tables.table import (
    NO_RUNS,
    CsvLayout,
    Heading,
    Table,
    build_table,
    csv_numbers,
    mean_with_interval,
)

# --- one sequential schedule -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SequentialSchedule:
    """A schedule of two stages or more on one panel: its languages, and the schedules that it is compared with."""

    panel: Panel
    schedule: str

    @cached_property
    def stages(self) -> list[StageInfo]:
        return self.panel.stages(self.schedule)

    @cached_property
    def stream(self) -> list[str | None] | None:
        """The language of every stage (None if it is not evaluated); None if the stages are no stream of languages."""
        if any(len(stage.languages) != 1 for stage in self.stages) or len(self.trained) < len(self.stages):
            return None
        return [language if language in self.panel.languages else None for language in self.trained]

    @property
    def trained(self) -> list[str]:
        """All source languages, in the order of the stages."""
        return self.panel.training_languages(self.schedule)

    @property
    def sources(self) -> list[str]:
        """The source languages that are evaluated."""
        return [language for language in self.trained if language in self.panel.languages]

    @property
    def others(self) -> list[str]:
        """The evaluated languages that it does not train on."""
        return [language for language in self.panel.languages if language not in self.trained]

    @property
    def low(self) -> list[str]:
        """The low-resource ones among these."""
        return [language for language in self.others if language in self.panel.low_resource_languages]

    @property
    def first(self) -> list[str]:
        """The evaluated languages of the first stage."""
        return [language for language in self.stages[0].languages if language in self.panel.languages]

    @property
    def later(self) -> list[str]:
        """The evaluated languages of the later stages of a stream."""
        return [language for language in (self.stream or [])[1:] if language is not None]

    @cached_property
    def mono(self) -> dict[str, str]:
        """The schedule that trains on the sources of a later stage alone, by the language of the stage."""
        single = {stage.languages[0]: self._of_one_stage(set(stage.sources)) for stage in self.stages[1:]}
        return {language: names[0] for language, names in single.items() if names and language in self.later}

    @cached_property
    def joint(self) -> str | None:
        """The schedule that trains on the same sources at once; of several the headline's, or else the first."""
        sources = {source for stage in self.stages for source in stage.sources}
        names = self._of_one_stage(sources)
        preferred = (self.panel.study.plan.get("headline") or {}).get("joint")
        return preferred if preferred in names else next(iter(names), None)

    def _of_one_stage(self, sources: set[str]) -> list[str]:
        """The schedules of this panel whose only stage trains on exactly these sources."""
        stages = {name: self.panel.stages(name) for name in self.panel.schedules}
        return [name for name, own in stages.items() if [set(stage.sources) for stage in own] == [sources]]


@dataclass(frozen=True)
class RunScores:
    """The scores of one run of a sequential schedule, and of other schedules' runs with the same seed and fold."""

    sequential: SequentialSchedule
    run: dict

    @property
    def matrix(self) -> list[dict[str, float]]:
        """Scores by language after every stage, empty for a stage without scores."""
        return [self._numbers(self.run, stage) for stage in range(len(self.run["stages"]))]

    @property
    def final(self) -> dict[str, float]:
        return self._numbers(self.run, FINAL)

    @property
    def untrained(self) -> dict[str, float]:
        return self._of(UNTRAINED)

    @property
    def joint(self) -> dict[str, float]:
        return self._of(self.sequential.joint)

    @property
    def mono(self) -> dict[str, float]:
        """The score of every language after the schedule that trains on it alone."""
        scores = {language: self._of(schedule) for language, schedule in self.sequential.mono.items()}
        return {language: own[language] for language, own in scores.items() if language in own}

    def _of(self, schedule: str) -> dict[str, float]:
        """Final scores of the run of another schedule with the same seed and fold; empty without one."""
        paired = [run for run in self.sequential.panel.runs(schedule) if replicate(run) == replicate(self.run)]
        return self._numbers(paired[0], FINAL) if paired else {}

    def _numbers(self, run: dict, stage: int) -> dict[str, float]:
        panel = self.sequential.panel
        return {language: entry[panel.metric] for language, entry in panel.run_scores(run, stage).items()}


# --- measures --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measure:
    """One number of a run of a sequential schedule.

    value: raises KeyError if a score is missing; None without a language. needs: `stages` if it needs the scores after
    every stage, `stream` if also one language a stage. reference: the schedule that it is compared with. languages: the
    groups of languages, and each must have one.
    """

    key: str
    label: str
    value: Callable[[RunScores, SequentialSchedule], float | None]
    needs: str = ""
    reference: str = ""
    languages: tuple[str, ...] = ("sources",)


def _joint_gap(run: RunScores, own: SequentialSchedule) -> float | None:
    joint, final = (transfer.average_score(scores, own.sources) for scores in (run.joint, run.final))
    return None if joint is None or final is None else joint - final


MEASURES = (
    Measure("forgetting", "forgetting", lambda run, own: transfer.forgetting(run.matrix, own.stream), "stream"),
    Measure(
        "forgetting_since_trained", "forgetting since trained",
        lambda run, own: transfer.forgetting(run.matrix, own.stream, since_trained=True), "stream",
    ),
    Measure(
        "backward_transfer", "backward transfer",
        lambda run, own: transfer.backward_transfer(run.matrix, own.stream), "stream",
    ),
    Measure(
        "transfer", "transfer, against mono-lingual",
        lambda run, own: transfer.transfer(run.matrix, own.stream, run.mono), "stream", "mono", ("later",),
    ),
    Measure(
        "zero_shot", "zero-shot generalisation, against untrained",
        lambda run, own: transfer.zero_shot_transfer(run.matrix, own.stream, run.untrained),
        "stream", "untrained", ("later",),
    ),
    Measure(
        "retention", "retention of the first language",
        lambda run, own: transfer.retention(run.matrix, own.first), "stages", languages=("first",),
    ),
    Measure(
        "stream_average", "average over the stream",
        lambda run, own: transfer.stream_average(run.matrix, own.sources), "stages",
    ),
    Measure("final_performance", "final performance", lambda run, own: transfer.average_score(run.final, own.sources)),
    Measure("joint_gap", "joint − sequential", _joint_gap, reference="joint"),
    Measure(
        "transfer_gap", "transfer gap, sources − others",
        lambda run, own: transfer.transfer_gap(run.final, own.sources, own.others), languages=("sources", "others"),
    ),
    Measure(
        "low_resource", "low-resource languages",
        lambda run, own: transfer.average_score(run.final, own.low), languages=("low",),
    ),
)  # fmt: skip

# The statistics of the CSV file.
MEASURE_FIELDS = {"mean": "mean", "sd": "sd", "low": "low", "high": "high"}


def measure_cell(sequential: SequentialSchedule, measure: Measure) -> Cell:
    """A measure by run; no run is expected if the study cannot give it. A run that lacks a score is missing."""
    if missing_reason(sequential, measure):
        return NO_RUNS
    values, runs = {}, sequential.panel.runs(sequential.schedule)
    for run in runs:
        try:
            value = measure.value(RunScores(sequential, run), sequential)
        except KeyError:
            continue
        if value is not None:
            values[replicate(run)] = value
    return Cell(values, len(runs))


def missing_reason(sequential: SequentialSchedule, measure: Measure) -> str:
    """Why the study cannot give a measure, whatever runs it has; empty if it can."""
    if measure.needs == "stream" and sequential.stream is None:
        return "not defined"
    panel = sequential.panel
    if measure.needs and not all(panel.is_scored(sequential.schedule, stage) for stage in sequential.stages):
        return "not scored"
    known = {
        "": True,
        "mono": all(language in sequential.mono for language in sequential.later),
        "untrained": UNTRAINED in panel.schedules,
        "joint": sequential.joint is not None,
    }
    if not known[measure.reference]:
        return "not run"
    return "" if all(getattr(sequential, group) for group in measure.languages) else "no language"


def sequential_schedules(panel: Panel) -> list[SequentialSchedule]:
    """The schedules of two stages or more."""
    return [SequentialSchedule(panel, name) for name in panel.schedules if len(panel.stages(name)) > 1]


def measures_table(panel: Panel) -> Table | None:
    """Measures x sequential schedules; None without any such schedule."""
    schedules = sequential_schedules(panel)
    if not schedules:
        return None
    rows = tuple(Heading(measure.label, "measure", measure.key) for measure in MEASURES)
    columns = tuple(Heading(panel.schedule_title(own.schedule), "schedule", own.schedule) for own in schedules)
    cells = tuple(tuple(measure_cell(sequential, measure) for sequential in schedules) for measure in MEASURES)
    name, caption = f"{panel.name}.{panel.metric}.measures", describe_measures(panel, schedules)
    return Table(name, caption, "measure", rows, columns, cells, csv=CsvLayout(1, len(rows), MEASURE_FIELDS))


def measures_text_table(panel: Panel) -> TextTable | None:
    """The same in texts, each a mean with its interval or the reason why there is none."""
    table = measures_table(panel)
    if table is None:
        return None
    lines = [["schedule", "measure", *MEASURE_FIELDS.values(), "runs", "missing", "note"]]
    rows = [[measure.label] for measure in MEASURES]
    for number, sequential in enumerate(sequential_schedules(panel)):
        for measure, row, cells in zip(MEASURES, rows, table.cells, strict=True):
            reason, cell = missing_reason(sequential, measure), cells[number]
            row.append(reason or mean_with_interval(cell))
            counts = ["", ""] if reason else [len(cell.values), cell.missing_runs]
            lines.append([sequential.schedule, measure.key, *csv_numbers(cell, *MEASURE_FIELDS), *counts, reason])
    return TextTable(table.name, table.caption, ["measure", *(column.label for column in table.columns)], rows, lines)


def describe_measures(panel: Panel, schedules: Sequence[SequentialSchedule]) -> str:
    """The caption: runs, languages of stages, reasons for missing measures."""
    runs = count(len(panel.study.plan["seeds"]), "seed")
    if panel.folds != [0]:
        runs += f" x {len(panel.folds)} splits of the data"
    sentences = [
        f"Transfer and forgetting in points of {panel.labels[panel.metric]} (docs/transfer.md). Model "
        f"{panel.model_title}, track {panel.track}, data set {panel.dataset_title}: mean and "
        f"{CONFIDENCE:.0%} CI over {runs}.",
        "A stage's language is that of its own sources, without what it replays.",
    ]
    unscored = sorted({language for sequential in schedules for language in sequential.trained} - set(panel.languages))
    if unscored:
        sentences.append(
            f"Trained on but not evaluated here, and in no number: {panel.study.names.languages(unscored)}."
        )
    reasons = {missing_reason(sequential, measure) for sequential in schedules for measure in MEASURES}
    meanings = {
        "not defined": "not every stage has one language of its own",
        "not run": "the study does not have the schedule that it is set against",
        "not scored": "a stage has no scores here",
        "no language": "no evaluated language is of the kind",
    }
    sentences += [f"{reason.capitalize()}: {text}." for reason, text in meanings.items() if reason in reasons]
    return " ".join(sentences)


# --- gains by kind of language ---------------------------------------------------------------------------------------


def gains_table(panel: Panel) -> Table | None:
    """Final scores less those of one source, by language and by kind of language; None without a comparison.

    One source: the headline's `single` if this track has it, else the first stage of each sequential schedule. Kinds:
    family, script and resource level.
    """
    columns = gain_columns(panel)
    if not columns:
        return None

    def gains(languages: Sequence[str]) -> list[Cell]:
        return [
            panel.cell(name, languages, panel.metric).difference(panel.cell(base, languages, panel.metric, stage))
            for name, base, stage in columns
        ]

    shown = panel.study.names.language
    rows = [
        (
            Heading(shown(language) + SEEN_MARK * (language in panel.seen_languages), "language", language),
            gains([language]),
        )
        for language in panel.languages
    ]
    rows += [
        (Heading(f"{name} ({len(members)})", kind, name), gains(members))
        for kind, groups in language_groups(panel).items()
        for name, members in groups.items()
    ]
    headings = [
        Heading(
            panel.schedule_title(name),
            f"schedule − {panel.schedule_title(base)}" if stage == FINAL else "schedule − its first stage",
            name,
        )
        for name, base, stage in columns
    ]
    caption = (
        f"{panel.labels[panel.metric]} after the last stage − that of one source. By family, script and resource "
        f"level: unseen languages alone, in brackets how many. {describe_panel(panel)}"
    )
    return build_table(f"{panel.name}.{panel.metric}.gains", caption, "language", rows, headings)


def gain_columns(panel: Panel) -> list[tuple[str, str, int]]:
    """Schedule, reference schedule and stage of the reference, of every column."""
    single = (panel.study.plan.get("headline") or {}).get("single")
    if single in panel.schedules:
        return [(name, single, FINAL) for name in panel.schedules if name not in (single, UNTRAINED)]
    return [
        (sequential.schedule, sequential.schedule, 0)
        for sequential in sequential_schedules(panel)
        if panel.is_scored(sequential.schedule, sequential.stages[0])
    ]


def language_groups(panel: Panel) -> dict[str, dict[str, list[str]]]:
    """Unseen languages by family, script and resource level, for attributes with several values."""
    attributes = {}
    for kind, axis in (("family", "family"), ("script", "script"), ("resource level", "resource")):
        values = {language: language_attribute(panel.study, axis, language) for language in panel.unseen_languages}
        names = list(dict.fromkeys(values.values()))
        if len(names) > 1:
            attributes[kind] = {name: [language for language in values if values[language] == name] for name in names}
    return attributes


# --- files -----------------------------------------------------------------------------------------------------------


def write_transfer_tables(study: StudyResults, out: Path) -> list[Path]:
    """Write every such table into the folder `out` as CSV, Markdown and LaTeX, and return the paths.

    `<track>.<dataset>.<model>.<metric>.` and `measures` (if a schedule has several stages), `gains` (if there is one
    source to compare with), `distance` and `distance.languages` (if the study has distances).
    """
    contents = {}
    for panel in study.panels():
        for table in filter(None, (gains_table(panel), measures_text_table(panel), distance_table(panel))):
            contents |= table_files(table)
        if lines_by_distance(panel):
            contents[f"{panel.name}.{panel.metric}.distance.languages.csv"] = points_csv(panel)
    return write_files(contents, out, study.pilot)
