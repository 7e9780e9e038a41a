"""Tables of transfer and forgetting: measures of every sequence, and gains over one source by kind of language.

Owns: which scores a measure is made of, what it is where the study lacks them, which files these tables are.
Must never know: the formulas, where scores are stored.

A stage's language is that of its own sources; what it replays from earlier stages is none of them. A measure that needs
one language a stage is given only where every stage has one and none comes twice. Nothing is guessed: a measure whose
reference schedule the study does not have is "not run".
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from crosstune.analysis import transfer
from crosstune.analysis.cells import Cell, replicate
from crosstune.analysis.intervals import CONFIDENCE
from crosstune.analysis.results import FINAL, UNTRAINED, Panel, StageInfo, StudyResults
from crosstune.core.files import write_text
from crosstune.core.text import count
from crosstune.reporting.tables.distance import distance_sheet, lines_by_distance, points_csv
from crosstune.reporting.tables.formats import Sheet, csv_text, latex, markdown, sheet_latex, sheet_markdown, wide_csv
from crosstune.reporting.tables.published import numbers, with_interval
from crosstune.reporting.tables.scores import SEEN_MARK, describe, panel_select
from crosstune.reporting.tables.table import Heading, Table, build

# --- one sequence ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sequential:
    """A schedule of two stages or more on one panel: its languages, and the schedules it is set against."""

    panel: Panel
    schedule: str

    @cached_property
    def stages(self) -> list[StageInfo]:
        return self.panel.stages(self.schedule)

    @cached_property
    def stream(self) -> list[str | None] | None:
        """The language of every stage, None for one that is not evaluated; None where it is no stream of languages."""
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
        """By language of a later stage the schedule that trains on the stage's sources alone, where there is one."""
        alone = {stage.languages[0]: self._of_one_stage(set(stage.sources)) for stage in self.stages[1:]}
        return {language: found[0] for language, found in alone.items() if found and language in self.later}

    @cached_property
    def joint(self) -> str | None:
        """The schedule that trains on the same sources at once: the headline's if it does, else the first that does."""
        sources = {source for stage in self.stages for source in stage.sources}
        alike = self._of_one_stage(sources)
        preferred = (self.panel.study.plan.get("headline") or {}).get("joint")
        return preferred if preferred in alike else next(iter(alike), None)

    def _of_one_stage(self, sources: set[str]) -> list[str]:
        """The schedules of this panel whose only stage trains on exactly these sources."""
        stages = {name: self.panel.stages(name) for name in self.panel.schedules}
        return [name for name, found in stages.items() if [set(stage.sources) for stage in found] == [sources]]

    def runs(self) -> Iterator["Scored"]:
        """The scores of every run of the schedule."""
        for run in self.panel.runs(self.schedule):
            yield Scored(self, run)


@dataclass(frozen=True)
class Scored:
    """The scores of one run of a sequence, and of the runs of other schedules with the same seed and fold."""

    sequence: Sequential
    run: dict

    @property
    def matrix(self) -> list[dict[str, float]]:
        """Scores by language after every stage; a stage that has none is empty."""
        return [self._numbers(self.run, stage) for stage in range(len(self.run["stages"]))]

    @property
    def final(self) -> dict[str, float]:
        return self._numbers(self.run, FINAL)

    @property
    def untrained(self) -> dict[str, float]:
        return self._of(UNTRAINED)

    @property
    def joint(self) -> dict[str, float]:
        return self._of(self.sequence.joint)

    @property
    def mono(self) -> dict[str, float]:
        """Of every language the score of the schedule that trains on it alone."""
        scores = {language: self._of(schedule) for language, schedule in self.sequence.mono.items()}
        return {language: found[language] for language, found in scores.items() if language in found}

    def _of(self, schedule: str) -> dict[str, float]:
        """Final scores of the paired run of another schedule; empty where there is none."""
        paired = [run for run in self.sequence.panel.runs(schedule) if replicate(run) == replicate(self.run)]
        return self._numbers(paired[0], FINAL) if paired else {}

    def _numbers(self, run: dict, stage: int) -> dict[str, float]:
        panel = self.sequence.panel
        return {language: entry[panel.metric] for language, entry in panel.run_scores(run, stage).items()}


# --- measures --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measure:
    """One number of a run of a sequence.

    value: raises KeyError where a score is missing, None where there is no language to speak of. streams: it needs one
    language a stage. stages: it needs the scores after every stage. reference: the schedule it is set against.
    languages: without any of these it does not exist.
    """

    key: str
    label: str
    value: Callable[[Scored], float | None]
    streams: bool = False
    stages: bool = False
    reference: str = ""
    languages: Callable[[Sequential], list[str]] = lambda sequence: sequence.sources


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


MEASURES = (
    Measure(
        "forgetting",
        "forgetting",
        lambda run: transfer.forgetting(run.matrix, run.sequence.stream),
        streams=True,
        stages=True,
    ),
    Measure(
        "forgetting_since_trained",
        "forgetting since trained",
        lambda run: transfer.forgetting(run.matrix, run.sequence.stream, since_trained=True),
        streams=True,
        stages=True,
    ),
    Measure(
        "backward_transfer",
        "backward transfer",
        lambda run: transfer.backward_transfer(run.matrix, run.sequence.stream),
        streams=True,
        stages=True,
    ),
    Measure(
        "transfer",
        "transfer, against mono-lingual",
        lambda run: transfer.transfer(run.matrix, run.sequence.stream, run.mono),
        streams=True,
        stages=True,
        reference="mono",
        languages=lambda sequence: sequence.later,
    ),
    Measure(
        "zero_shot",
        "zero-shot generalisation, against untrained",
        lambda run: transfer.zero_shot_transfer(run.matrix, run.sequence.stream, run.untrained),
        streams=True,
        stages=True,
        reference="untrained",
        languages=lambda sequence: sequence.later,
    ),
    Measure(
        "retention",
        "retention of the first language",
        lambda run: transfer.retention(run.matrix, run.sequence.first),
        stages=True,
        languages=lambda sequence: sequence.first,
    ),
    Measure(
        "stream_average",
        "average over the stream",
        lambda run: transfer.stream_average(run.matrix, run.sequence.sources),
        stages=True,
    ),
    Measure(
        "final_performance",
        "final performance",
        lambda run: transfer.average_score(run.final, run.sequence.sources),
    ),
    Measure(
        "joint_gap",
        "joint less sequential",
        lambda run: _less(
            transfer.average_score(run.joint, run.sequence.sources),
            transfer.average_score(run.final, run.sequence.sources),
        ),
        reference="joint",
    ),
    Measure(
        "transfer_gap",
        "transfer gap, sources less others",
        lambda run: transfer.transfer_gap(run.final, run.sequence.sources, run.sequence.others),
        languages=lambda sequence: sequence.sources and sequence.others,
    ),
    Measure(
        "low_resource",
        "low-resource languages",
        lambda run: transfer.average_score(run.final, run.sequence.low),
        languages=lambda sequence: sequence.low,
    ),
)


def measured(sequence: Sequential, measure: Measure) -> Cell:
    """A measure that is not lacking, by run; a run that lacks a score is missing."""
    found, runs = {}, list(sequence.runs())
    for run in runs:
        try:
            value = measure.value(run)
        except KeyError:
            continue
        if value is not None:
            found[replicate(run.run)] = value
    return Cell(found, len(runs))


def lacks(sequence: Sequential, measure: Measure) -> str:
    """Why the study cannot give a measure, whatever runs it has; empty where it can."""
    if measure.streams and sequence.stream is None:
        return "not defined"
    if measure.stages and not all(sequence.panel.is_scored(sequence.schedule, stage) for stage in sequence.stages):
        return "not scored"
    known = {
        "": True,
        "mono": all(language in sequence.mono for language in sequence.later),
        "untrained": UNTRAINED in sequence.panel.schedules,
        "joint": sequence.joint is not None,
    }
    if not known[measure.reference]:
        return "not run"
    return "" if measure.languages(sequence) else "no language"


def sequences(panel: Panel) -> list[Sequential]:
    """The schedules of two stages or more."""
    return [Sequential(panel, name) for name in panel.schedules if len(panel.stages(name)) > 1]


def measures_sheet(panel: Panel) -> Sheet | None:
    """Measures x sequences, each a mean with its interval; None without any sequence."""
    found = sequences(panel)
    if not found:
        return None
    lines = [["schedule", "measure", "mean", "sd", "low", "high", "runs", "missing", "note"]]
    rows = [[measure.label] for measure in MEASURES]
    for sequence in found:
        for measure, row in zip(MEASURES, rows, strict=True):
            lack = lacks(sequence, measure)
            cell = Cell({}, 0) if lack else measured(sequence, measure)
            row.append(lack or with_interval(cell))
            counts = ["", ""] if lack else [len(cell.values), cell.missing_runs]
            lines.append([sequence.schedule, measure.key, *numbers(cell), *counts, lack])
    head = ["measure", *(sequence.schedule for sequence in found)]
    return Sheet(f"{panel.name}.{panel.metric}.measures", describe_measures(panel, found), head, rows, lines)


def describe_measures(panel: Panel, found: Sequence[Sequential]) -> str:
    """What the caption must say: over which runs, which stages have which language, what could not be given."""
    runs = count(len(panel.study.plan["seeds"]), "seed")
    if panel.folds != [0]:
        runs += f" x {len(panel.folds)} splits of the data"
    sentences = [
        f"Transfer and forgetting in points of {panel.labels[panel.metric]} (docs/transfer.md). Model {panel.model}, "
        f"track {panel.track}, data set {panel.dataset}: mean and {CONFIDENCE:.0%} interval over {runs}.",
        "A stage's language is that of its own sources, without what it replays.",
    ]
    gone = sorted({language for sequence in found for language in sequence.trained} - set(panel.languages))
    if gone:
        sentences.append(f"Trained on but not evaluated here, and in no number: {', '.join(gone)}.")
    reasons = {lacks(sequence, measure) for sequence in found for measure in MEASURES}
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
    """Final scores less those of one source, by language, family, script and resource level; None without a comparison.

    One source: the headline's `single` where this track has it, else the first stage of each sequence.
    """
    columns = gain_columns(panel)
    if not columns:
        return None

    def gains(languages: Sequence[str]) -> list[Cell]:
        return [
            panel.cell(name, languages, panel.metric).difference(panel.cell(base, languages, panel.metric, stage))
            for name, base, stage in columns
        ]

    rows = [
        (
            Heading(
                language + (SEEN_MARK if language in panel.seen_languages else ""),
                "language",
                language,
                {"language": language},
            ),
            gains([language]),
        )
        for language in panel.languages
    ]
    for kind, groups in language_groups(panel).items():
        axis = "resource" if kind == "resource level" else kind
        rows += [
            (Heading(f"{name} ({len(members)})", kind, name, {axis: name, "group": "unseen"}), gains(members))
            for name, members in groups.items()
        ]
    headings = [
        Heading(name, _less_what(base, stage), name, {"schedule": name, "minus": base, "minus_stage": stage + 1})
        for name, base, stage in columns
    ]
    caption = (
        f"{panel.labels[panel.metric]} after the last stage less that of one source. By family, script and resource "
        f"level: unseen languages alone, in brackets how many. {describe(panel)}"
    )
    table = build(f"{panel.name}.{panel.metric}.gains", caption, "language", rows, headings)
    return replace(table, select=panel_select(panel, panel.metric))


def gain_columns(panel: Panel) -> list[tuple[str, str, int]]:
    """(schedule, schedule to compare with, its stage) of every column."""
    single = (panel.study.plan.get("headline") or {}).get("single")
    if single in panel.schedules:
        return [(name, single, FINAL) for name in panel.schedules if name not in (single, UNTRAINED)]
    return [
        (sequence.schedule, sequence.schedule, 0)
        for sequence in sequences(panel)
        if panel.is_scored(sequence.schedule, sequence.stages[0])
    ]


def _less_what(base: str, stage: int) -> str:
    return f"less {base}" if stage == FINAL else "less its first stage"


def language_groups(panel: Panel) -> dict[str, dict[str, list[str]]]:
    """Unseen languages by family, script and resource level, as far as there are several of the kind."""
    kinds = {
        "family": panel.family,
        "script": lambda language: panel.language_info(language).get("script") or "unknown",
        "resource level": lambda language: panel.language_info(language).get("resource") or "neither",
    }
    found: dict[str, dict[str, list[str]]] = {}
    for kind, of in kinds.items():
        groups: dict[str, list[str]] = {}
        for language in panel.unseen_languages:
            groups.setdefault(of(language), []).append(language)
        if len(groups) > 1:
            found[kind] = dict(sorted(groups.items()))
    return found


# --- files -----------------------------------------------------------------------------------------------------------


def write_transfer(study: StudyResults, out: Path) -> list[Path]:
    """Write every such table into the folder `out` as CSV, Markdown and LaTeX, and return the paths.

    `<track>.<dataset>.<model>.<metric>.` and `measures` (where a schedule has several stages), `gains` (where there is
    one source to compare with), `distance` and `distance.languages` (where the study has distances).
    """
    contents = {}
    for panel in study.panels():
        if table := gains_table(panel):
            contents |= {f"{table.name}.csv": wide_csv(table), f"{table.name}.md": markdown(table)}
            contents[f"{table.name}.tex"] = latex(table)
        for sheet in filter(None, (measures_sheet(panel), distance_sheet(panel))):
            contents |= {f"{sheet.name}.csv": csv_text(sheet.lines), f"{sheet.name}.md": sheet_markdown(sheet)}
            contents[f"{sheet.name}.tex"] = sheet_latex(sheet)
        if lines_by_distance(panel):
            contents[f"{panel.name}.{panel.metric}.distance.languages.csv"] = points_csv(panel)
    for name, content in contents.items():
        write_text(out / name, content)
    return [out / name for name in contents]
