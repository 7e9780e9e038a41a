"""The tables of a study: schedule x language, the transfer matrix after every stage, averages, and the long forms.

Owns: which rows and columns a table has, its caption, and writing it as CSV, Markdown and LaTeX. Must never know: where
scores are stored, how the page looks.

Every number is a mean over runs (seeds, and folds where data are split in several ways) with its sample standard
deviation (n - 1). A row that lacks runs says so, and so does the caption. The bytes depend on the scores and the plan
alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from crosstune.analysis.results import UNTRAINED, Panel, StageInfo, StudyResults, TaskAverage
from crosstune.core.files import write_text
from crosstune.core.text import count, decimal
from crosstune.evaluation.metrics import XTREME_R
from crosstune.reporting.tables.formats import csv_text, latex, markdown, wide_csv
from crosstune.reporting.tables.table import Heading, Table, build, numbers, presence

SEEN_MARK = "†"


def write_tables(study: StudyResults, out: Path) -> list[Path]:
    """Write every table of the study into the folder `out` and return the paths.

    scores.csv: one line per run, stage, language and metric. summary.csv: mean and deviation of every final number.
    For each panel and metric `<track>.<dataset>.<model>.<metric>.{csv,md,tex}`, and for the primary metric the same
    with `.transfer` before the suffix. For each average over tasks `average.<name>.{csv,md,tex}`.
    """
    contents = {"scores.csv": scores_csv(study), "summary.csv": summary_csv(study)}
    for table in tables(study):
        contents[f"{table.name}.csv"] = wide_csv(table)
        contents[f"{table.name}.md"] = markdown(table)
        contents[f"{table.name}.tex"] = latex(table)
    for name, content in contents.items():
        write_text(out / name, content)
    return [out / name for name in contents]


def tables(study: StudyResults) -> Iterator[Table]:
    """Every table of a study, in the order of its panels."""
    for panel in study.panels():
        for metric in panel.labels:
            yield schedule_table(panel, metric)
        yield transfer_table(panel)
    yield from map(average_table, study.task_averages())


def schedule_table(panel: Panel, metric: str) -> Table:
    """Schedules (floors first) x languages (seen, unseen) and macro-averages, after the last stage."""
    columns = column_languages(panel)
    every = {"group": "all", "aggregate": "pooled"}
    pooled = [Heading("pooled", "average", "average_pooled", every)] if panel.can_pool else []
    floors = [
        (
            Heading(name, "floor", name, {"baseline": name}),
            [panel.baseline_cell(name, languages, metric) for languages in columns.values()]
            + [panel.baseline_cell(name, panel.languages, metric, pooled=True) for _ in pooled],
        )
        for name in panel.baselines
    ]
    trained = [
        (
            Heading(schedule, "floor" if schedule == UNTRAINED else "schedule", schedule, {"schedule": schedule}),
            [panel.cell(schedule, languages, metric) for languages in columns.values()]
            + [panel.cell(schedule, panel.languages, metric, pooled=True) for _ in pooled],
        )
        for schedule in floor_first(panel.schedules)
    ]
    caption = f"{panel.labels[metric]} after the last stage. {describe(panel)}"
    table = build(f"{panel.name}.{metric}", caption, "schedule", floors + trained, [*columns, *pooled])
    axes = {"rows": ["baseline", "schedule"], "columns": ["language", "group", *(["pooled"] if pooled else [])]}
    return replace(table, select=panel_select(panel, metric) | axes)


def transfer_table(panel: Panel) -> Table:
    """Every stage of every schedule x languages: what a stage gave to, and took from, each language."""
    columns = column_languages(panel)
    rows = [
        (
            Heading(
                stage_label(panel, stage),
                schedule,
                f"{stage.number} {'+'.join(stage.sources) or UNTRAINED}",
                {"schedule": schedule, "stage": stage.number},
            ),
            [panel.cell(schedule, languages, panel.metric, stage.number - 1) for languages in columns.values()],
        )
        for schedule in floor_first(panel.schedules)
        for stage in panel.stages(schedule)
        if panel.is_scored(schedule, stage)
    ]
    caption = f"{panel.labels[panel.metric]} after every stage (transfer matrix). {describe(panel)}"
    table = build(f"{panel.name}.{panel.metric}.transfer", caption, "after stage", rows, columns)
    return replace(
        table, select=panel_select(panel, panel.metric) | {"rows": ["stage"], "columns": ["language", "group"]}
    )


def panel_select(panel: Panel, metric: str) -> dict[str, Any]:
    """What all cells of a panel's table have in common."""
    return {"over": [f"{panel.track}/{panel.dataset}"], "model": panel.model, "metric": metric}


def average_table(average: TaskAverage) -> Table:
    """Models x schedules x tasks, and the mean over the tasks; a row that cannot have it says what it lacks."""
    tasks = [Heading(task, "task", task, {"task": [task]}) for task in average.tasks]
    means = [
        Heading("mean", "average", "average", {"task": list(average.tasks)}),
        Heading("mean, F1 only", "average", "average_f1", {"task": list(average.tasks), "primary": True}),
    ]
    rows, cells = [], []
    for model in average.study.plan["models"]:
        for schedule in floor_first(average.schedules):
            lacks = "; ".join(average.missing_tasks(model, schedule))
            label = schedule + (f" [lacks {lacks}]" if lacks else "")
            rows.append(Heading(label, model, schedule, {"model": model, "schedule": schedule}))
            numbers = [average.cell(model, schedule, task) for task in average.tasks]
            over_tasks = [average.mean(model, schedule, primary) for primary in (False, True)]
            cells.append((*numbers, *over_tasks))
    name, caption = f"average.{average.name}", describe_average(average)
    select = {"average": average.name}
    return Table(name, caption, "schedule", tuple(rows), (*tasks, *means), tuple(cells), select=select)


def describe_average(average: TaskAverage) -> str:
    """What the caption must say: what a number is, where it comes from, which official tasks are not in it."""
    plan, model = average.study.plan, average.study.plan["models"][0]
    sources = []
    for task, entry in average.tasks.items():
        labels = average.panel(model, task).labels
        measure = " and ".join(labels[key] for key in average.panel(model, task).metric_spec.averaged_keys)
        always = f", always of schedule {entry['schedule']}" if "schedule" in entry else ""
        sources.append(f"{task}: {entry['track']}/{entry['dataset']}, {measure}{always}")
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
    seen = {Heading(lang + SEEN_MARK, "seen", lang, {"language": lang}): [lang] for lang in panel.seen_languages}
    unseen = {Heading(lang, "unseen", lang, {"language": lang}): [lang] for lang in panel.unseen_languages}
    averages = {
        Heading(name, "average", f"average_{name}", {"group": name}): langs
        for name, langs in panel.language_groups.items()
    }
    return seen | unseen | averages


def floor_first(schedules: Iterable[str]) -> list[str]:
    return sorted(schedules, key=lambda schedule: schedule != UNTRAINED)


def stage_label(panel: Panel, stage: StageInfo) -> str:
    """`qen + qes` for a first stage, `→ qfr` for one that goes on from the stage before it."""
    return ("→ " if stage.number > 1 else "") + (panel.short_sources(stage.sources) or UNTRAINED)


def describe(panel: Panel) -> str:
    """What a caption must say: model, seeds, budget, matching, groups of languages, missing runs."""
    content, seeds, low = panel.track_plan, panel.study.plan["seeds"], panel.low_resource_languages
    budget = content["budget"]
    missing, planned = panel.count_missing_runs()
    folded = f" and {len(panel.folds)} splits of the data" if panel.folds != [0] else ""
    matched = "compute-matched: the same for every schedule" if content["matched"] else "NOT compute-matched"
    sentences = [
        f"Model {panel.model}, track {panel.track}, data set {panel.dataset}; 0 to 100, mean ± sample standard "
        f"deviation over {count(len(seeds), 'seed')} ({', '.join(map(str, seeds))}){folded}.",
        f"Budget {budget['updates']} updates of {budget['tokens']} tokens ({matched}).",
        f"{SEEN_MARK} seen: some schedule of the track trains on it; unseen: none does.",
        f"Averages are macro-averages over languages; low: low-resource languages ({', '.join(low) or 'none'})"
        + ("; pooled: over all examples." if panel.can_pool else "."),
        presence(missing, panel.count_diverged_runs(), planned),
    ]
    return " ".join(sentences)


# --- formats ---------------------------------------------------------------------------------------------------------


def scores_csv(study: StudyResults) -> str:
    """One line for every score that exists: the long, tidy form of everything."""
    panel_head, stage_head = ["model", "track", "dataset"], ["schedule", "stage", "sources", "updates"]
    head = [*panel_head, *stage_head, "seed", "fold", "language", "metric", "value"]
    lines = (
        (*origin, run.seed, run.fold or "", lang, metric, decimal(value, 4))
        for panel in study.panels()
        for schedule in panel.schedules
        for stage in panel.stages(schedule)
        for origin in [(*panel_key(panel), schedule, stage.number, "+".join(stage.sources), stage.updates)]
        for lang in panel.languages
        for metric in panel.labels
        for run, value in panel.cell(schedule, [lang], metric, stage.number - 1).values.items()
    )
    return csv_text([head, *lines])


def summary_csv(study: StudyResults) -> str:
    """One line for every final number of the tables: mean, deviation, runs found and missing."""
    head = ["model", "track", "dataset", "metric", "schedule", "group", "language", "mean", "sd", "runs", "missing"]
    lines = (
        (*panel_key(panel), metric, row.key, column.group, column.key, *numbers(cell))
        for panel in study.panels()
        for metric in panel.labels
        for table in [schedule_table(panel, metric)]
        for row, cells in zip(table.rows, table.cells, strict=True)
        for column, cell in zip(table.columns, cells, strict=True)
    )
    return csv_text([head, *lines])


def panel_key(panel: Panel) -> tuple[str, str, str]:
    return panel.model, panel.track, panel.dataset
