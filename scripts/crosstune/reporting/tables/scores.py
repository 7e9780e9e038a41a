"""The standard tables of a study: schedule x language, the transfer matrix, averages over tasks, and the long forms.

Every number is a mean over runs (seeds, and folds if data are split in several ways) with its sample standard deviation
(n - 1). A row that lacks runs says so, and so does the caption. The bytes depend on the scores and the plan alone.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from crosstune.analysis.results import UNTRAINED, Panel, StageInfo, StudyResults, TaskAverage
from crosstune.core.text import count, decimal
from crosstune.evaluation.metrics import XTREME_R
from crosstune.reporting.tables.formats import csv_text, table_files, write_files
from crosstune.reporting.tables.table import Heading, Table, build_table, csv_numbers, presence_sentence

SEEN_MARK = "†"

# The group of the rows without training.
BASELINE = "trivial baseline"

# Attributes that group languages, with the value for an unknown one. None: the code of the language.
LANGUAGE_ATTRIBUTES = {"family": None, "script": "unknown", "resource": "neither"}


def write_score_tables(study: StudyResults, out: Path) -> list[Path]:
    """Write the standard tables of the study into the folder `out` and return the paths.

    scores.csv: one line per run, stage, language and metric. summary.csv: mean and deviation of every final number.
    For each panel and metric `<track>.<dataset>.<model>.<metric>.{csv,md,tex}`, and for the primary metric the same
    with `.transfer` before the suffix. For each average over tasks `average.<name>.{csv,md,tex}`.
    """
    contents = {"scores.csv": scores_csv(study), "summary.csv": summary_csv(study)}
    for table in score_tables(study):
        contents |= table_files(table)
    return write_files(contents, out, study.pilot)


def score_tables(study: StudyResults) -> Iterator[Table]:
    """The standard tables of a study, in the order of its panels."""
    for panel in study.panels():
        for metric in panel.metrics:
            yield schedule_table(panel, metric)
        yield transfer_table(panel)
    yield from map(average_table, study.task_averages())


def schedule_table(panel: Panel, metric: str) -> Table:
    """Schedules (baselines first) x languages (seen, unseen) and macro-averages, after the last stage."""
    columns = column_languages(panel)
    pooled = [Heading("pooled", "average", "average_pooled")] if panel.can_pool else []
    headings = [(Heading(name, BASELINE, name), panel.baseline_cell) for name in panel.baselines]
    headings += [
        (Heading(panel.schedule_title(name), BASELINE if name == UNTRAINED else "schedule", name), panel.cell)
        for name in untrained_first(panel.schedules)
    ]
    rows = [
        (
            heading,
            [cell(heading.key, languages, metric) for languages in columns.values()]
            + [cell(heading.key, panel.languages, metric, pooled=True) for _ in pooled],
        )
        for heading, cell in headings
    ]
    caption = f"{panel.labels[metric]} after the last stage. {describe_panel(panel)}"
    return build_table(f"{panel.name}.{metric}", caption, "schedule", rows, [*columns, *pooled])


def transfer_table(panel: Panel) -> Table:
    """Every stage of every schedule x languages: the effect of a stage on each language."""
    columns = column_languages(panel)
    rows = [
        (
            Heading(
                stage_label(panel, stage),
                schedule,
                f"{stage.number} {'+'.join(stage.sources) or UNTRAINED}",
                group_label=panel.schedule_title(schedule),
            ),
            [panel.cell(schedule, languages, panel.metric, stage.number - 1) for languages in columns.values()],
        )
        for schedule in untrained_first(panel.schedules)
        for stage in panel.stages(schedule)
        if panel.is_scored(schedule, stage)
    ]
    caption = f"{panel.labels[panel.metric]} after every stage (transfer matrix). {describe_panel(panel)}"
    return build_table(f"{panel.name}.{panel.metric}.transfer", caption, "after stage", rows, columns)


def average_table(average: TaskAverage) -> Table:
    """Models x schedules x tasks, and the mean over the tasks. A row without a mean names the tasks it lacks."""
    tasks = [Heading(task, "task", task) for task in average.tasks]
    means = [Heading("mean", "average", "average"), Heading("mean, F1 only", "average", "average_f1")]
    rows, cells, names = [], [], average.study.names
    for model in average.study.plan["models"]:
        for schedule in untrained_first(average.schedules):
            lacks = "; ".join(average.missing_tasks(model, schedule))
            label = names.schedule(schedule) + (f" [lacks {lacks}]" if lacks else "")
            rows.append(Heading(label, model, schedule, group_label=names.model(model)))
            numbers = [average.cell(model, schedule, task) for task in average.tasks]
            over_tasks = [average.mean(model, schedule, primary) for primary in (False, True)]
            cells.append((*numbers, *over_tasks))
    columns = (*tasks, *means)
    return Table(f"average.{average.name}", describe_average(average), "schedule", tuple(rows), columns, tuple(cells))


def describe_average(average: TaskAverage) -> str:
    """The caption: the meaning of a number, its data and metrics, the official tasks that it leaves out."""
    plan, model = average.study.plan, average.study.plan["models"][0]
    sources = []
    for task, entry in average.tasks.items():
        labels = average.panel(model, task).labels
        measure = " and ".join(labels[key] for key in average.panel(model, task).metric_spec.averaged_keys)
        fixed = average.study.names.schedule(entry.get("schedule", ""))
        always = f", always of schedule {fixed}" if "schedule" in entry else ""
        sources.append(f"{task}: {average.panel(model, task).title}, {measure}{always}")
    absent = [task for task in XTREME_R if task not in average.tasks]
    sentences = [
        f"Average {average.name} over {count(len(average.tasks), 'task')}; 0 to 100, mean ± sample standard deviation "
        f"over {count(len(plan['seeds']), 'seed')} ({', '.join(map(str, plan['seeds']))}).",
        "A task is the macro-average over its evaluated languages, English included; question answering is "
        "(F1 + exact match) / 2, and F1 alone in “mean, F1 only”.",
        "A mean takes the seeds that have every task.",
        f"{'; '.join(sources)}.",
    ]
    if absent and len(absent) < len(XTREME_R):
        sentences.append(f"Of XTREME-R's ten tasks it is without {', '.join(absent)}.")
    return " ".join(sentences)


def column_languages(panel: Panel) -> dict[Heading, list[str]]:
    """The columns of a panel's tables and the languages that each averages over."""
    shown = panel.study.names.language
    seen = {Heading(shown(lang) + SEEN_MARK, "seen", lang): [lang] for lang in panel.seen_languages}
    unseen = {Heading(shown(lang), "unseen", lang): [lang] for lang in panel.unseen_languages}
    averages = {Heading(name, "average", f"average_{name}"): langs for name, langs in panel.language_groups.items()}
    return seen | unseen | averages


def language_attribute(study: StudyResults, axis: str, lang: str) -> str:
    """Family, script or resource level of a language."""
    return study.plan["languages"].get(lang, {}).get(axis) or LANGUAGE_ATTRIBUTES[axis] or lang


def best_cells(table: Table) -> set[tuple[int, int]]:
    """Row and column of the highest mean of every column, over the rows that are schedules; empty for other tables.

    Equal means, as the table prints them, are all the highest.
    """
    if table.corner != "schedule":
        return set()
    best = set()
    for column in range(len(table.columns)):
        means = {
            row: round(cells[column].mean, table.format.digits)
            for row, cells in enumerate(table.cells)
            if table.rows[row].group != BASELINE and cells[column].mean is not None
        }
        best |= {(row, column) for row, mean in means.items() if mean == max(means.values()) and len(means) > 1}
    return best


def untrained_first(schedules: Iterable[str]) -> list[str]:
    return sorted(schedules, key=lambda schedule: schedule != UNTRAINED)


def stage_label(panel: Panel, stage: StageInfo) -> str:
    """`qen + qes` for a first stage, `→ qfr` for one that continues the stage before it."""
    sources = panel.short_sources(stage.sources) or panel.schedule_title(UNTRAINED)
    return ("→ " if stage.number > 1 else "") + sources


def describe_panel(panel: Panel) -> str:
    """What a caption must say: model, seeds, budget, matching, groups of languages, missing runs."""
    content, seeds = panel.track_plan, panel.study.plan["seeds"]
    low = panel.study.names.languages(panel.low_resource_languages)
    budget, own = content["budget"], panel.study.plan.get("recipes", {}).get(panel.model)
    folded = f" and {len(panel.folds)} splits of the data" if panel.folds != [0] else ""
    matched = "compute-matched: the same for every schedule" if content["matched"] else "NOT compute-matched"
    length = f"{budget['updates']} updates" if "updates" in budget else f"{budget['epochs']:g} epochs a stage"
    if "patience" in content:
        length = f"at most {length}"
        matched += f": a stage stops after {count(content['patience'], 'evaluation')} without a higher validation score"
    if content["matched"] and any(0 in curve.points for curve in panel.curves.values()):
        matched += ", but for few-shot points of 0 examples, which spend less"
    sentences = [
        f"Model {panel.model_title}, track {panel.track}, data set {panel.dataset_title}; 0 to 100, mean ± sample "
        f"standard deviation over {count(len(seeds), 'seed')} ({', '.join(map(str, seeds))}){folded}.",
        f"Budget {length} of up to {budget['tokens']} tokens ({matched}).",
        *([f"Recipe of this model, in place of the track's: {own}."] if own else []),
        f"{SEEN_MARK} seen: some schedule of the track trains on it; unseen: none does.",
        f"Averages are macro-averages over languages; low: low-resource languages ({low or 'none'})"
        + ("; pooled: over all examples." if panel.can_pool else "."),
        presence_sentence([panel.cell(name, panel.languages, panel.metric) for name in panel.schedules]),
    ]
    return " ".join(sentences)


# --- long forms ------------------------------------------------------------------------------------------------------


def scores_csv(study: StudyResults) -> str:
    """One line per score: run, stage, language, metric and value."""
    panel_head, stage_head = ["model", "track", "dataset"], ["schedule", "stage", "sources", "updates"]
    head = [*panel_head, *stage_head, "seed", "fold", "language", "metric", "value"]
    lines = (
        (*origin, run.seed, run.fold or "", lang, metric, decimal(value, 4))
        for panel in study.panels()
        for schedule in panel.schedules
        for stage in panel.stages(schedule)
        for origin in [(*panel_key(panel), schedule, stage.number, "+".join(stage.sources), stage.updates)]
        for lang in panel.languages
        for metric in panel.metrics
        for run, value in panel.cell(schedule, [lang], metric, stage.number - 1).values.items()
    )
    return csv_text([head, *lines])


def summary_csv(study: StudyResults) -> str:
    """One line for every final number of the tables: mean, deviation, numbers of runs present and missing."""
    head = ["model", "track", "dataset", "metric", "schedule", "group", "language", "mean", "sd", "runs", "missing"]
    lines = (
        (
            *(*panel_key(panel), metric, row.key, column.group, column.key),
            *(*csv_numbers(cell, "mean", "sd"), len(cell.values) if cell.planned_runs else "", cell.missing_runs),
        )
        for panel in study.panels()
        for metric in panel.metrics
        for table in [schedule_table(panel, metric)]
        for row, cells in zip(table.rows, table.cells, strict=True)
        for column, cell in zip(table.columns, cells, strict=True)
    )
    return csv_text([head, *lines])


def panel_key(panel: Panel) -> tuple[str, str, str]:
    return panel.model, panel.track, panel.dataset
