"""The figures of a study, each in a file of its own: what it shows, as a Vega-Lite specification that holds its data.

Owns: which figures a panel has, and their files. Must never know: where scores are stored, which page shows a figure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import vl_convert

from crosstune.analysis.intervals import CONFIDENCE
from crosstune.analysis.results import Panel, Study
from crosstune.core.files import atomic_open, write_text
from crosstune.reporting.figures.cost import cost_figure, cost_records
from crosstune.reporting.figures.curves import MOST, curves_figure, staged
from crosstune.reporting.figures.differences import differences_figure, pairs
from crosstune.reporting.figures.distance import distance_figure, fitted
from crosstune.reporting.figures.heat import heat_figure
from crosstune.reporting.figures.languages import languages_figure
from crosstune.reporting.figures.rows import drawn_schedules


@dataclass(frozen=True)
class Figure:
    """A figure of a panel; `kind` is part of its files' names."""

    kind: str
    title: str
    caption: str
    spec: dict

    @property
    def alt(self) -> str:
        """What it tells those who do not see it."""
        return self.spec["description"]

    @property
    def svg(self) -> str:
        """Without any file or network."""
        return vl_convert.vegalite_to_svg(self.spec)


def figures_of(panel: Panel, results: Path) -> Iterator[Figure]:
    """The figures that a panel has something for; none where no schedule trains. Reads what stages took."""
    shown = drawn_schedules(panel)
    if not shown:
        return
    missing = len([name for name in panel.schedules if panel.trained(name)]) - len(shown)
    yield Figure(
        "languages",
        "Every language, every seed",
        "Large marks: mean over seeds; small marks: seeds; line: their range; grey bar: the best of the trivial "
        "answers and the untrained model in that language."
        + (f" {missing} further schedules are not drawn; the tables hold all of them." if missing > 0 else ""),
        languages_figure(panel),
    )
    yield Figure(
        "heat", "Every language with every schedule", "Means over seeds; the darker, the higher.", heat_figure(panel)
    )
    if pairs(panel):
        yield Figure(
            "differences",
            "Differences by language and family",
            f"Circles: languages; diamonds: families of several languages, their mean. Lines: {CONFIDENCE:.0%} "
            "intervals of the mean over seeds (Student's t), for one row at a time.",
            differences_figure(panel),
        )
    if staged(panel):
        yield Figure(
            "curves",
            "Learning and forgetting along a schedule",
            f"Scores after each stage: means over seeds, with their range. At most {MOST} schedules are drawn.",
            curves_figure(panel),
        )
    if fitted(panel):
        yield Figure(
            "distance",
            "Transfer by typological distance",
            "A mark is a language that the schedule does not train on, a line that of least squares through them.",
            distance_figure(panel),
        )
    if records := cost_records(panel, results):
        yield Figure(
            "cost",
            "What a schedule costs, and what it scores",
            "Time of all stages of a schedule, as if it had been trained alone. Marks: means over seeds; lines: their "
            "range.",
            cost_figure(panel, records),
        )


@cache
def drawing_program() -> str:
    """JavaScript that a page needs to draw the figures by itself: vegaEmbed and all that it stands on."""
    return vl_convert.javascript_bundle()


def write_figures(study: Study, results: Path, out: Path) -> list[Path]:
    """Draw every figure into the folder `out` as <track>.<dataset>.<model>.<kind>.svg and .pdf; returns the paths."""
    paths = []
    for panel in study.panels():
        for figure in figures_of(panel, results):
            svg, pdf = (out / f"{panel.name}.{figure.kind}.{suffix}" for suffix in ("svg", "pdf"))
            write_text(svg, figure.svg)
            with atomic_open(pdf) as file:
                file.write(vl_convert.vegalite_to_pdf(figure.spec))
            paths += [svg, pdf]
    return paths
