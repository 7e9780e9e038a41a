"""The summary of the schedules over data sets: mean scores, and ranks with their intervals."""

from collections.abc import Iterator
from dataclasses import dataclass

from crosstune.analysis.cells import Cell, mean_cell
from crosstune.analysis.intervals import CONFIDENCE
from crosstune.analysis.ranks import Rank, rank_schedules
from crosstune.analysis.results import UNTRAINED, Panel, StudyResults
from crosstune.core.text import count, decimal


@dataclass(frozen=True)
class Ranking:
    """The schedules of one model on the data sets of tracks with the same schedules.

    cells: by schedule, one per panel and, if there are several, their mean last. ranks: by the last cell.
    """

    model: str
    panels: tuple[Panel, ...]
    cells: dict[str, tuple[Cell, ...]]
    ranks: dict[str, Rank]

    @property
    def caption(self) -> str:
        languages = {group_name(panel) for panel in self.panels}
        seeds = self.panels[0].study.plan["seeds"]
        over = " Mean: over the data sets, each alike." if len(self.panels) > 1 else ""
        return (
            f"Schedules by mean score, {' and '.join(sorted(languages))} languages; model "
            f"{self.panels[0].model_title}; {count(len(seeds), 'seed')}.{over} Bold: the highest of a column. Rank: "
            f"simultaneous {CONFIDENCE:.0%} CI, from paired t tests of all pairs over seeds with Bonferroni's "
            "correction."
        )

    @property
    def title(self) -> str:
        """With the tracks, of which a study may have several."""
        tracks = ", ".join(dict.fromkeys(panel.track for panel in self.panels))
        model = f", {self.panels[0].model_title}" if len(self.panels[0].study.plan["models"]) > 1 else ""
        return f"Ranks of the schedules, {tracks}{model}"

    @property
    def head(self) -> list[str]:
        several = len({panel.track for panel in self.panels}) > 1
        names = [panel.title if several else panel.study.names.dataset(panel.dataset) for panel in self.panels]
        return [
            "schedule",
            *names,
            *(["mean"] if len(self.panels) > 1 else []),
            "rank",
            f"{CONFIDENCE:.0%} CI of the rank",
        ]

    @property
    def rows(self) -> list[list[str]]:
        """The texts of the rows, the schedules in the order of the config."""
        found = []
        for schedule, cells in self.cells.items():
            rank = self.ranks.get(schedule)
            ends = (
                [str(rank.rank), f"{rank.low} to {rank.high}" if rank.low < rank.high else str(rank.low)]
                if rank
                else ["n/a", ""]
            )
            shown = self.panels[0].schedule_title(schedule)
            found.append([shown, *(decimal(cell.mean, 1) or "n/a" for cell in cells), *ends])
        return found

    @property
    def best(self) -> set[tuple[int, int]]:
        """Row and column, without the column of names, of the highest number of every column and of the first rank."""
        rows, found = self.rows, set()
        for column in range(1, len(rows[0]) - 1):
            numbers = {n: float(row[column]) for n, row in enumerate(rows) if row[column] != "n/a"}
            wanted = (min if column == len(rows[0]) - 2 else max)(numbers.values(), default=None)
            found |= {(n, column - 1) for n, number in numbers.items() if number == wanted}
        return found


def rankings(study: StudyResults) -> Iterator[Ranking]:
    """The rankings with at least two scored schedules; none of a pilot, which decides nothing.

    A suite of diagnostics, whose tests have numbers of their own, is no task to rank schedules by.
    """
    if study.pilot:
        return
    groups: dict[tuple, list[Panel]] = {}
    for panel in study.panels():
        schedules = tuple(name for name in panel.schedules if name != UNTRAINED)
        if not panel.metric_spec.part_labels:
            groups.setdefault((panel.model, schedules), []).append(panel)
    for (model, schedules), panels in groups.items():
        cells = {schedule: ranked_cells(panels, schedule) for schedule in schedules}
        ranks = rank_schedules({schedule: own[-1] for schedule, own in cells.items()})
        if len(ranks) > 1:
            yield Ranking(model, tuple(panels), cells, ranks)


def ranked_cells(panels: list[Panel], schedule: str) -> tuple[Cell, ...]:
    """The scores of a schedule by seed on every panel and, if there are several, their mean."""
    cells = []
    for panel in panels:
        cell = panel.cell(schedule, group_languages(panel), panel.metric)
        cells.append(panel.over_folds(cell))
    return (*cells, *([mean_cell(cells, cells[0].planned_runs)] if len(cells) > 1 else []))


def group_languages(panel: Panel) -> list[str]:
    """The languages of the question: low-resource ones; if there are none, unseen ones; if none either, all."""
    return panel.low_resource_languages or panel.unseen_languages or panel.languages


def group_name(panel: Panel) -> str:
    """The name of these languages."""
    return "low-resource" if panel.low_resource_languages else "unseen" if panel.unseen_languages else "all evaluated"
