"""The report of a study: the answer to its question, then the evidence.

Its text, style and script are in templates/. The report is one HTML page without external resources: it contains the
program that draws the figures.
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from crosstune.analysis.results import Panel, StudyResults, read_json_object, source_label
from crosstune.core.files import write_text
from crosstune.core.text import decimal
from crosstune.machine.job_usage import read_job_usage, usage_table
from crosstune.reporting.figures import drawing_program, panel_figures
from crosstune.reporting.page.answer import (
    answer,
    baseline_margins,
    has_declared_contrast,
    headline,
    limitations,
    relatedness_rows,
    seed_differences,
)
from crosstune.reporting.page.provenance import provenance_rows
from crosstune.reporting.tables.claims import claims_section
from crosstune.reporting.tables.contrasts import contrast_results
from crosstune.reporting.tables.cost import cost_table
from crosstune.reporting.tables.custom import custom_tables
from crosstune.reporting.tables.distance import distance_sentences, distance_table
from crosstune.reporting.tables.encoding import encoding_table
from crosstune.reporting.tables.few_shot import few_shot_table
from crosstune.reporting.tables.formats import MOST_COLUMNS, PILOT_MARK
from crosstune.reporting.tables.published import comparison_rows, difference_rows, examples_line, published_comparisons
from crosstune.reporting.tables.scores import average_table, schedule_table, transfer_table
from crosstune.reporting.tables.table import Heading
from crosstune.reporting.tables.transfer import gains_table, measures_text_table

TEMPLATE = "report.html.j2"

FUNCTIONS = (
    answer, average_table, baseline_margins, comparison_rows, contrast_results, custom_tables, difference_rows,
    distance_sentences, distance_table, encoding_table, examples_line, few_shot_table, gains_table,
    has_declared_contrast, headline, limitations, measures_text_table, provenance_rows, published_comparisons,
    relatedness_rows, schedule_table, seed_differences, transfer_table, usage_table,
)  # fmt: skip

"""The functions that the templates call, besides those of this module."""


def write_report(study: StudyResults, results: Path, out: Path) -> None:
    """Write the report of a study to `out`."""
    write_text(out, render_page(study, results))


def render_page(study: StudyResults, results: Path) -> str:
    """The report as HTML. Reads the JSON files of `results`, as far as they exist."""
    environment = Environment(
        loader=PackageLoader("crosstune.reporting.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    functions = {function.__name__: function for function in (*FUNCTIONS, bibtex, citation_rows, track_panels)}
    readers = {
        function.__name__: partial(function, results=results) for function in (cost_table, exposure, panel_figures)
    }
    environment.globals.update(functions | readers)
    environment.filters.update(decimal=decimal, signed=signed, indented_json=indented_json, with_name=with_name)
    values = {
        "study": study,
        "plan": study.plan,
        "provenance": read_json_object(results / "provenance.json"),
        "leakage": read_json_object(results / "leakage.json"),
        "encoding": read_json_object(results / "encoding.json"),
        "claims": claims_section(study, results),
        "computations": computations(study, results),
        "used": read_job_usage(results),
        "most_columns": MOST_COLUMNS,
        "pilot_mark": PILOT_MARK,
        "vega": drawing_program(),
    }
    return environment.get_template(TEMPLATE).render(values).lstrip()


def track_panels(study: StudyResults) -> list[Panel]:
    """The first panel of every model and track."""
    return list({(panel.model, panel.track): panel for panel in reversed(study.panels())}.values())[::-1]


@dataclass(frozen=True)
class Exposure:
    """The training data of a schedule: (examples, tokens) by source, as means over seeds; None for an unused source."""

    schedule: str
    by_source: list[tuple[float, float] | None]
    total: tuple[float, float]


def exposure(panel: Panel, results: Path) -> tuple[list[str], list[Exposure]]:
    """The sources of a track and the exposure of every schedule, from `exposure` in its runs' stage.json."""
    by_run = {schedule: [run_exposure(run, results) for run in panel.runs(schedule)] for schedule in panel.schedules}
    recorded = {schedule: [run for run in runs if run] for schedule, runs in by_run.items()}
    sources = sorted({source for runs in recorded.values() for run in runs for source in run})
    rows = []
    for schedule, runs in recorded.items():
        if not runs:
            continue
        means = [mean_exposure([run[source] for run in runs if source in run]) for source in sources]
        total = mean_exposure([tuple(map(sum, zip(*run.values(), strict=True))) for run in runs])
        rows.append(Exposure(schedule, means, total))
    return sources, rows


def computations(study: StudyResults, results: Path) -> list[str]:
    """The ways in which the plan's checkpoints were computed: precision, and packed or padded rows."""
    stages = sorted({stage for run in study.plan["runs"] for stage in run["stages"]})
    ways = set()
    for stage in stages:
        manifest = read_json_object(results / stage / "stage.json") or {}
        if "precision" in manifest:
            rows = "packed end to end" if manifest["packed"] else "padded to the longest"
            ways.add(f"trained in {manifest['precision']}, rows {rows}")
    return sorted(ways)


def run_exposure(run: dict, results: Path) -> dict[str, tuple[int, int]]:
    """(examples, tokens) by source, summed over the stages of a run; empty if a stage has no record."""
    total: dict[str, tuple[int, int]] = {}
    for stage in run["stages"]:
        recorded = (read_json_object(results / stage / "stage.json") or {}).get("exposure")
        if recorded is None:
            return {}
        for source, counts in recorded.items():
            # Draws of one sample, by seed, are one column.
            label = source_label(source)
            examples, tokens = total.get(label, (0, 0))
            total[label] = (examples + counts["examples"], tokens + counts["tokens"])
    return total


def mean_exposure(pairs: Sequence[tuple[int, int]]) -> tuple[float, float] | None:
    if not pairs:
        return None
    examples, tokens = zip(*pairs, strict=True)
    return statistics.fmean(examples), statistics.fmean(tokens)


def citation_rows(study: StudyResults) -> list[list[str]]:
    """The models and data sets to cite, a row each: kind, name, title, licence."""
    return [[entry[key] for key in ("what", "name", "title", "licence")] for entry in study.plan.get("cited", [])]


def bibtex(study: StudyResults, provenance: dict | None) -> str:
    """A BibTeX entry for the study and its code."""
    code = dict(provenance_rows(provenance or {})).get("Code", "of unknown commit")
    name = study.plan["study"]
    lines = [f"title = {{Study {name}, made with crosstune}},", f"note = {{crosstune {code}}},"]
    if ended := (provenance or {}).get("ended"):
        lines.append(f"year = {{{ended[:4]}}},")
    return "\n".join([f"@misc{{crosstune-{name},", *(f"  {line}" for line in lines), "}"])


def with_name(label: str, heading: Heading, panel: Panel | None) -> str | Markup:
    """The label of a language with its name before the code; other labels unchanged."""
    name = panel and panel.language_info(heading.key).get("name")
    return Markup("{} <small>{}</small>").format(name, label) if name else label


def signed(number: float) -> str:
    """`+1.2` or `-1.2`; a number that rounds to 0 has no sign."""
    text = decimal(number, 1)
    return text if text.startswith("-") or float(text) == 0 else f"+{text}"


def indented_json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
