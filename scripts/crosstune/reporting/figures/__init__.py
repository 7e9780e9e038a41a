"""The figures of a study, for its page and as SVG and PDF files."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from crosstune.analysis.results import Panel, StudyResults
from crosstune.core.files import atomic_open, write_text
from crosstune.reporting.figures.cost import cost_figure
from crosstune.reporting.figures.curves import curves_figure
from crosstune.reporting.figures.differences import differences_figure
from crosstune.reporting.figures.distance import distance_figure
from crosstune.reporting.figures.few_shot import few_shot_figure
from crosstune.reporting.figures.figure import Figure
from crosstune.reporting.figures.forest import forest_figure
from crosstune.reporting.figures.heat import heat_figure
from crosstune.reporting.figures.languages import languages_figure
from crosstune.reporting.figures.rows import trained_schedules
from crosstune.reporting.figures.subjects import about_data
from crosstune.reporting.figures.training import training_figure
from crosstune.reporting.tables.formats import PILOT_MARK

# The name of the figures that are not about one panel.
CONTRASTS = "contrasts"


def panel_figures(panel: Panel, results: Path) -> Iterator[Figure]:
    """The figures for which a panel has data; none if no schedule trains. Reads records of its stages in `results`."""
    if not trained_schedules(panel):
        return
    figures = (
        differences_figure(panel),
        languages_figure(panel),
        heat_figure(panel),
        few_shot_figure(panel),
        curves_figure(panel),
        training_figure(panel, results),
        distance_figure(panel),
        cost_figure(panel, results),
    )
    subject = about_data(panel)
    yield from (marked(figure.with_subject(subject), panel.study) for figure in figures if figure)


def marked(figure: Figure, study: StudyResults) -> Figure:
    """The figure, which says in its picture if the study is a pilot."""
    return replace(figure, mark=PILOT_MARK) if study.pilot else figure


def study_figures(study: StudyResults, results: Path) -> Iterator[tuple[str, Figure]]:
    """Every figure of a study with the first part of its files' names."""
    if forest := forest_figure(study):
        yield CONTRASTS, marked(forest, study)
    for panel in study.panels():
        for figure in panel_figures(panel, results):
            yield panel.name, figure


def write_figures(study: StudyResults, results: Path, out: Path) -> list[Path]:
    """Write every figure into the folder `out` as <track>.<dataset>.<model>.<kind>.svg and .pdf; return the paths.

    The forest plot is contrasts.forest.
    """
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in study_figures(study, results):
        svg, pdf = (out / f"{name}.{figure.kind}.{suffix}" for suffix in ("svg", "pdf"))
        write_text(svg, figure.svg)
        with atomic_open(pdf) as file:
            file.write(figure.pdf)
        paths += [svg, pdf]
    return paths
