"""Few-shot curves: the scores of schedules that differ in the size of a sample."""

from dataclasses import replace
from pathlib import Path

from crosstune.analysis.intervals import CONFIDENCE
from crosstune.analysis.results import FewShotCurve, Panel, StudyResults
from crosstune.core.text import count
from crosstune.reporting.tables.formats import table_files, write_files
from crosstune.reporting.tables.table import CellFormat, Heading, Table, build_table, presence_sentence


def drawn_curves(panel: Panel) -> dict[str, FewShotCurve]:
    """The few-shot curves of a panel that evaluates a sampled language."""
    return {name: curve for name, curve in panel.curves.items() if set(curve.languages) & set(panel.languages)}


def sampled_languages(panel: Panel) -> list[str]:
    """The evaluated languages that a curve samples, in the order of the panel."""
    sampled = {language for curve in drawn_curves(panel).values() for language in curve.languages}
    return [language for language in panel.languages if language in sampled]


def few_shot_table(panel: Panel) -> Table | None:
    """Every point of every curve x sampled languages, their mean, and the mean of all others; None without curves."""
    curves, sampled = drawn_curves(panel), sampled_languages(panel)
    if not curves:
        return None
    columns = {Heading(panel.study.names.language(language), "sampled", language): [language] for language in sampled}
    if len(sampled) > 1:
        columns[Heading("mean", "sampled", "average_sampled")] = sampled
    if others := [language for language in panel.languages if language not in sampled]:
        columns[Heading(f"mean of {len(others)}", "other languages", "average_others")] = others
    rows = [
        (
            Heading(str(size), name, schedule, group_label=panel.schedule_title(name)),
            [panel.cell(schedule, languages, panel.metric) for languages in columns.values()],
        )
        for name, curve in curves.items()
        for size, schedule in curve.points.items()
    ]
    schedules = [schedule for curve in curves.values() for schedule in curve.points.values()]
    caption = (
        f"Few-shot curves: {panel.labels[panel.metric]} (0 to 100) after the last stage, by {describe_curves(panel)}; "
        f"mean and {CONFIDENCE:.0%} CI over {count(len(panel.study.plan['seeds']), 'seed')}, each with a draw of "
        f"its own. Model {panel.model_title}, track {panel.track}, data set {panel.dataset_title}. "
        + presence_sentence([panel.cell(schedule, sampled, panel.metric) for schedule in schedules])
    )
    table = build_table(f"{panel.name}.{panel.metric}.few-shot", caption, "examples", rows, columns)
    return replace(table, format=CellFormat("interval"))


def write_few_shot_tables(study: StudyResults, out: Path) -> list[Path]:
    """Write `<panel>.<metric>.few-shot.{csv,md,tex}` of every panel with curves into the folder `out`."""
    contents = {}
    for table in filter(None, map(few_shot_table, study.panels())):
        contents |= table_files(table)
    return write_files(contents, out, study.pilot)


def describe_curves(panel: Panel) -> str:
    """`the number of training examples of qes`: what the points of the curves differ in."""
    shown = panel.study.names
    samples = {
        shown.schedule(name): ", ".join(map(shown.language, curve.languages))
        for name, curve in drawn_curves(panel).items()
    }
    if len(set(samples.values())) == 1:
        return f"the number of training examples of {next(iter(samples.values()))}"
    listing = "; ".join(f"{languages} ({name})" for name, languages in samples.items())
    return f"the number of training examples of each of the sampled languages: {listing}"
