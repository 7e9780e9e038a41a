"""The figures of a study: Vega-Lite specifications with their data, written as SVG and PDF."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import vl_convert

from crosstune.analysis.intervals import CONFIDENCE
from crosstune.analysis.results import Panel, StudyResults
from crosstune.core.files import atomic_open, write_text
from crosstune.reporting.figures.cost import cost_figure, cost_records
from crosstune.reporting.figures.curves import MAX_CURVES, curves_figure, multi_stage_schedules
from crosstune.reporting.figures.differences import compared_schedules, differences_figure
from crosstune.reporting.figures.distance import distance_figure, schedules_with_line
from crosstune.reporting.figures.few_shot import MAX_FEW_SHOT, few_shot_figure
from crosstune.reporting.figures.heat import heat_figure
from crosstune.reporting.figures.languages import languages_figure
from crosstune.reporting.figures.rows import drawn_schedules
from crosstune.reporting.tables.few_shot import describe_curves, drawn_curves
from crosstune.reporting.tables.formats import PILOT_MARK


@dataclass(frozen=True)
class Figure:
    """A figure of a panel. `kind` is part of its file names."""

    kind: str
    title: str
    caption: str
    spec: dict

    @property
    def alt(self) -> str:
        """The alternative text for readers who cannot see it."""
        return self.spec["description"]

    @property
    def pilot(self) -> "Figure":
        """The figure of a pilot, which says so in the picture."""
        return replace(self, spec={**self.spec, "title": {"text": PILOT_MARK, "anchor": "start", "fontSize": 13}})

    @property
    def svg(self) -> str:
        """The picture, drawn without files or network."""
        return vl_convert.vegalite_to_svg(self.spec)


def panel_figures(panel: Panel, results: Path) -> Iterator[Figure]:
    """The figures for which a panel has data; none if no schedule trains. Reads the cost records of its stages."""
    figures = all_figures(panel, results)
    return (figure.pilot for figure in figures) if panel.study.pilot else figures


def all_figures(panel: Panel, results: Path) -> Iterator[Figure]:
    """The figures of a panel, without the mark of a pilot."""
    drawn = drawn_schedules(panel)
    if not drawn:
        return
    omitted = len([name for name in panel.schedules if panel.training_languages(name)]) - len(drawn)
    yield Figure(
        "languages",
        "Every language, every seed",
        "Large marks: mean over seeds. Small marks: seeds. Line: their range. Grey bar: the best trivial "
        "baseline in that language."
        + (f" {omitted} further schedules are not drawn; the tables have all of them." if omitted > 0 else ""),
        languages_figure(panel),
    )
    yield Figure(
        "heat", "Every language with every schedule", "Means over seeds; darker is higher.", heat_figure(panel)
    )
    if curves := drawn_curves(panel):
        more = len(curves) - MAX_FEW_SHOT
        yield Figure(
            "few-shot",
            "Few-shot curves",
            f"Scores by {describe_curves(panel)}, on a logarithmic scale with a place for 0. Marks: means over seeds, "
            f"each with a draw of its own. Lines: their {CONFIDENCE:.0%} confidence intervals (Student's t)."
            + (f" {more} further curves are not drawn; the table has all of them." if more > 0 else ""),
            few_shot_figure(panel),
        )
    if compared_schedules(panel):
        yield Figure(
            "differences",
            "Differences by language and family",
            f"Circles: languages. Diamonds: means over the languages of a family. Lines: {CONFIDENCE:.0%} confidence "
            "intervals of the mean over seeds (Student's t), without correction for the number of rows.",
            differences_figure(panel),
        )
    if multi_stage_schedules(panel):
        yield Figure(
            "curves",
            "Learning and forgetting along a schedule",
            f"Scores after each stage: means over seeds, with their range. At most {MAX_CURVES} schedules are drawn.",
            curves_figure(panel),
        )
    if schedules_with_line(panel):
        yield Figure(
            "distance",
            "Transfer by typological distance",
            "Marks: languages on which the schedule does not train. Lines: least squares through the marks.",
            distance_figure(panel),
        )
    if records := cost_records(panel, results):
        yield Figure(
            "cost",
            "Cost and score of each schedule",
            "Training time of all stages of a schedule without sharing stages. Marks: means over seeds. Lines: their "
            "range.",
            cost_figure(panel, records),
        )


@cache
def drawing_program() -> str:
    """The JavaScript of vegaEmbed and its dependencies, with which a page draws the figures."""
    return vl_convert.javascript_bundle()


def write_figures(study: StudyResults, results: Path, out: Path) -> list[Path]:
    """Write every figure into the folder `out` as <track>.<dataset>.<model>.<kind>.svg and .pdf; return the paths."""
    paths = []
    for panel in study.panels():
        for figure in panel_figures(panel, results):
            svg, pdf = (out / f"{panel.name}.{figure.kind}.{suffix}" for suffix in ("svg", "pdf"))
            write_text(svg, figure.svg)
            with atomic_open(pdf) as file:
                file.write(vl_convert.vegalite_to_pdf(figure.spec))
            paths += [svg, pdf]
    return paths
