"""What stands out in a custom table: the best numbers in bold, and letters for significant differences.

A letter stands for one declared contrast, and marks the better one of its two schedules. Significance is that of the
contrast: of its verdict for a mean over its languages, of Holm's p for one of them. Nothing else is tested.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crosstune.analysis.results import Panel
from crosstune.core.text import count
from crosstune.reporting.tables.contrasts import ContrastResult, contrast_results
from crosstune.reporting.tables.formats import NOTE_LETTERS, raised
from crosstune.reporting.tables.scope import TableScope
from crosstune.reporting.tables.table import CellMark, Table

Place = tuple[int, int]

# The axes whose headings are compared, the first of a table's axes that it has.
COMPARED = ("schedule", "stage", "model")


def mark_cells(scope: TableScope, table: Table) -> Table:
    """The table with the marks that its entry asks for."""
    best = best_places(scope, table) if scope.entry.get("best") else set()
    contrasts = contrast_letters(scope) if scope.entry.get("significance") else {}
    marks = tuple(
        tuple(
            CellMark((i, j) in best, "".join(letters_of(scope, contrasts, {**row.select, **column.select})))
            for j, column in enumerate(table.columns)
        )
        for i, row in enumerate(table.rows)
    )
    note = note_of(contrasts, marks) if scope.entry.get("significance") else ""
    return replace(table, marks=marks, note=note) if scope.entry.keys() & {"best", "significance"} else table


# --- best numbers ----------------------------------------------------------------------------------------------------


def best_places(scope: TableScope, table: Table) -> set[Place]:
    """The places of the best numbers: of every column in each group of rows, or of every row in each group of columns.

    Compared are schedules or else stages or models. Numbers that print alike are all the best. An error rate is best if
    it is low. Published numbers do not take part.
    """
    axis = next(axis for axis in COMPARED if axis in scope.axes)
    along_rows = axis in scope.entry["rows"]
    groups: dict[tuple, dict[Place, float]] = defaultdict(dict)
    for i, row in enumerate(table.rows):
        for j, column in enumerate(table.columns):
            number = table.format.numbers(table.cells[i][j])[0]
            select = {**row.select, **column.select}
            if number is not None and "published_row" not in select:
                # A table with several models has the rows of each of them, which are not compared with each other's.
                model = select.get("model") if axis != "model" else None
                groups[j if along_rows else i, model][i, j] = round(
                    -number if is_error(scope, select) else number, table.format.digits
                )
    return {
        place
        for numbers in groups.values()
        for place, number in numbers.items()
        if number == max(numbers.values()) and len(numbers) > 1
    }


def is_error(scope: TableScope, select: Mapping[str, Any]) -> bool:
    """Whether the number of a cell is an error rate."""
    metric = select.get("metric", scope.entry.get("metric"))
    return metric in (scope.panels[0].metric_spec.error_labels or {})


# --- significant differences -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CellScope:
    """What a cell is about: a schedule, and languages of panels in a metric each."""

    schedule: str
    panels: Sequence[Panel]
    languages: Mapping[str, frozenset[str]]
    metrics: Mapping[str, str]


def contrast_letters(scope: TableScope) -> dict[str, list[ContrastResult]]:
    """The results, one per model, of every declared contrast that the table can show, by its letter."""
    names: dict[str, list[ContrastResult]] = {}
    for result in contrast_results(scope.whole):
        panels = {f"{panel['track']}/{panel['dataset']}" for panel in result.contrast["panels"]}
        shown = {result.a, result.b} & set(scope.schedules) and panels & set(scope.entry["panels"])
        if shown and result.has_seeds and result.entry["model"] in scope.models:
            names.setdefault(result.contrast["name"], []).append(result)
    return dict(zip(NOTE_LETTERS, names.values(), strict=False))


def letters_of(
    scope: TableScope, contrasts: Mapping[str, Sequence[ContrastResult]], select: Mapping[str, Any]
) -> list[str]:
    """The letters of a cell."""
    if not contrasts or "published_row" in select or scope.whole.pilot:
        return []
    model = select.get("model", scope.models[0])
    cell = cell_scope(scope, model, select)
    return [
        letter
        for letter, results in contrasts.items()
        if cell and any(result.entry["model"] == model and better_in(result, cell) for result in results)
    ]


def cell_scope(scope: TableScope, model: str, select: Mapping[str, Any]) -> CellScope | None:
    """What a cell is about; None of a mean over examples of several languages, and of a stage that is not the last."""
    wanted = select.get("dataset")
    panels = [panel for panel in scope.model_panels(model) if wanted in (None, panel.key)]
    languages = {panel.key: frozenset(scope.selected(panel, select)) for panel in panels}
    panels = [panel for panel in panels if languages[panel.key]]
    schedule = select.get("schedule", scope.schedules[0])
    stage = select.get("stage")
    if stage and any(stage < len(panel.stages(schedule)) for panel in panels if panel.runs(schedule)):
        return None
    if scope.entry["aggregate"] == "pooled" and any(len(own) > 1 for own in languages.values()):
        return None
    own = select.get("metric", scope.entry.get("metric"))
    metrics = {panel.key: own or panel.metric for panel in panels}
    return CellScope(schedule, panels, {name: own for name, own in languages.items() if own}, metrics)


def better_in(result: ContrastResult, cell: CellScope) -> bool:
    """Whether a contrast finds the cell's schedule significantly better than the other one in the cell's own scores."""
    if cell.schedule not in (result.a, result.b):
        return False
    panels = {f"{panel['track']}/{panel['dataset']}": panel for panel in result.contrast["panels"]}
    if any(name not in panels or panels[name]["metric"] != metric for name, metric in cell.metrics.items()):
        return False
    if cell.languages == {name: frozenset(panel["languages"]) for name, panel in panels.items()}:
        return result.verdict("seeds") == ("better" if cell.schedule == result.a else "worse")
    if [len(own) for own in cell.languages.values()] != [1]:
        return False
    (name,), ((language,),) = cell.languages, cell.languages.values()
    unit = unit_of(result, name, language)
    p = result.entry.get("holm", {}).get(unit["name"]) if unit else None
    if p is None or p > 1 - result.contrast["confidence"]:
        return False
    return (unit["difference"] > 0) == (cell.schedule == result.a)


def unit_of(result: ContrastResult, panel: str, language: str) -> Mapping[str, Any] | None:
    """The entry of a contrast about one language of a panel; None without one."""
    dataset = panel.partition("/")[2]
    names = [language] if len(result.contrast["panels"]) == 1 else [f"{dataset}.{language}", f"{panel}.{language}"]
    return next((unit for unit in result.units if unit["name"] in names), None)


def note_of(contrasts: Mapping[str, Sequence[ContrastResult]], marks: Sequence[Sequence[CellMark]]) -> str:
    """What every letter means, and that there is none."""
    if not contrasts:
        return "No declared contrast has results for this table."
    used = {letter for line in marks for mark in line for letter in mark.letters}
    sentences = []
    for letter, (result, *_) in contrasts.items():
        total = count(sum(len(panel["languages"]) for panel in result.contrast["panels"]), "language")
        without = "" if letter in used else " Nowhere here."
        sentences.append(
            f"{raised(letter)} significantly better than the other schedule of the contrast {result.name} "
            f"({result.difference}, {result.measures}, level {result.alpha}): a mean over all of its {total} by its "
            f"verdict, one language by Holm's p over the {total}.{without}"
        )
    return " ".join([*sentences, "Other differences are not tested."])
