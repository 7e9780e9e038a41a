"""The figures that a study specifies under its key `figures`, drawn like those that every study has."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from crosstune.analysis.results import UNTRAINED, Panel, StudyResults
from crosstune.core.errors import UserError
from crosstune.core.files import atomic_open, write_text
from crosstune.reporting.figures.cost import cost_figure
from crosstune.reporting.figures.curves import curves_figure
from crosstune.reporting.figures.differences import differences_figure
from crosstune.reporting.figures.distance import distance_figure
from crosstune.reporting.figures.few_shot import few_shot_figure
from crosstune.reporting.figures.figure import Figure, LegendEntry
from crosstune.reporting.figures.forest import contrast_blocks, forest_figure
from crosstune.reporting.figures.heat import heat_figure
from crosstune.reporting.figures.languages import languages_figure
from crosstune.reporting.figures.subjects import ANY, Subject, about_data
from crosstune.reporting.figures.training import training_figure
from crosstune.reporting.tables.formats import PILOT_MARK

Drawing = Callable[[Panel, Path, Mapping[str, Any]], Figure | None]

KINDS: dict[str, Drawing] = {
    "differences": lambda panel, results, entry: differences_figure(panel, entry.get("relative_to", "")),
    "languages": lambda panel, results, entry: languages_figure(panel),
    "heat": lambda panel, results, entry: heat_figure(panel),
    "few-shot": lambda panel, results, entry: few_shot_figure(panel),
    "curves": lambda panel, results, entry: curves_figure(panel),
    "training": lambda panel, results, entry: training_figure(panel, results),
    "distance": lambda panel, results, entry: distance_figure(panel),
    "cost": lambda panel, results, entry: cost_figure(panel, results, even_if_equal=True),
}


def declared_figures(study: StudyResults, results: Path) -> Iterator[tuple[str, Figure]]:
    """The name and the figure of every entry for which there are results."""
    for entry in study.plan.get("figures", []):
        if figure := draw(study, entry, results):
            yield entry["name"], figure


def write_figure(study: StudyResults, name: str, results: Path, out: Path) -> None:
    """Write the figure `name` as `out`, an SVG file, and as PDF next to it. UserError if there is nothing to draw."""
    entries = {entry["name"]: entry for entry in study.plan.get("figures", [])}
    if name not in entries:
        raise UserError(f"unknown figure {name!r}", "figures", f"There are: {', '.join(entries) or 'none'}")
    figure = draw(study, entries[name], results)
    if figure is None:
        message = "there is nothing to draw: its schedules have no results of this kind"
        raise UserError(message, f"figures.{name}", "Leave the figure out, or run the study to its end.")
    write_text(out, figure.svg)
    with atomic_open(out.with_suffix(".pdf")) as file:
        file.write(figure.pdf)


def draw(study: StudyResults, entry: Mapping[str, Any], results: Path) -> Figure | None:
    """The figure of an entry of the plan's `figures`; None without results."""
    title, mark = entry.get("title", ""), PILOT_MARK if study.pilot else ""
    if "contrasts" in entry:
        figure = draw_forest(study, entry)
    else:
        drawn = [
            (panel, KINDS[entry["kind"]](panel, results, entry))
            for own, model in product(entry["panels"], entry["models"])
            for panel in [panel_view(study, model, own, entry["kind"])]
        ]
        figure = joined([(panel, own.with_subject(about_data(panel))) for panel, own in drawn if own and own.charts])
    return figure and replace(figure, title=title or figure.title, heading=title, mark=mark)


def draw_forest(study: StudyResults, entry: Mapping[str, Any]) -> Figure | None:
    """The forest plot of some contrasts and models."""
    chosen = [
        own
        for own in study.contrasts
        if own["contrast"]["name"] in entry["contrasts"] and own["model"] in entry["models"]
    ]
    view = replace(study, contrasts=chosen)
    return forest_figure(view) if contrast_blocks(view) else None


def panel_view(study: StudyResults, model: str, own: Mapping[str, Any], kind: str) -> Panel:
    """A panel with the metric, schedules and languages of an entry, in the order of the study.

    The untrained model stays, unless it would be a column of its own: other kinds compare with it.
    """
    track = study.plan["tracks"][own["track"]]
    kept = {*own["schedules"], *([] if kind == "heat" else [UNTRAINED])}
    languages = [code for code in track["evaluate"][own["dataset"]] if code in own["languages"]]
    track = track | {
        "schedules": [name for name in track["schedules"] if name in kept],
        "evaluate": track["evaluate"] | {own["dataset"]: languages},
    }
    primary = {key: own[key] for key in ("track", "dataset", "metric")}
    plan = study.plan | {"tracks": study.plan["tracks"] | {own["track"]: track}, "primary": primary}
    return Panel(replace(study, plan=plan), model, own["track"], own["dataset"])


def joined(parts: list[tuple[Panel, Figure]]) -> Figure | None:
    """One figure of the charts of several panels, each named after what the panels differ in; None without any."""
    if not parts:
        return None
    (first, figure), several = parts[0], len(parts) > 1
    data = len({panel.title for panel, _ in parts}) > 1
    models = len({panel.model for panel, _ in parts}) > 1
    charts = []
    for panel, own in parts:
        name = ", ".join([*([panel.title] if data else []), *([panel.model_title] if models else [])])
        charts += [
            replace(chart, title=": ".join(filter(None, (name, chart.title))) if several else chart.title)
            for chart in own.charts
        ]
    legend = merged_legend(entry for _, own in parts for entry in own.legend)
    setting = f" {first.labels[first.metric]}, {first.title}, {first.model_title}." if not several else ""
    return replace(figure, charts=tuple(charts), legend=legend, caption=figure.caption + setting)


def merged_legend(entries: Iterable[LegendEntry]) -> tuple[LegendEntry, ...]:
    """Entries that read and look alike once, shown while any of them would be."""
    merged: dict[LegendEntry, Subject] = {}
    for entry in entries:
        alike = replace(entry, subject=ANY)
        merged[alike] = merged[alike] | entry.subject if alike in merged else entry.subject
    return tuple(replace(entry, subject=subject) for entry, subject in merged.items())
