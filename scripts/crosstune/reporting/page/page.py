"""The report of a study: the answer to its question, then the evidence.

Its text, style and script are in templates/. The report is one HTML page without external resources. It is complete
without its script, which sorts and filters tables and chooses what tables and figures show.
"""

import base64
import hashlib
import json
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count as numbers_from
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from crosstune.analysis.names import source_label
from crosstune.analysis.results import Panel, StudyResults, read_json_object
from crosstune.artifacts.correction_record import CorrectionRecord
from crosstune.core.files import write_text
from crosstune.core.text import decimal
from crosstune.machine.job_usage import read_job_usage, usage_table
from crosstune.reporting.figures import panel_figures
from crosstune.reporting.figures.axes import minus
from crosstune.reporting.figures.declared import declared_figures
from crosstune.reporting.figures.drawing import mark_definitions
from crosstune.reporting.figures.figure import legend_drawing
from crosstune.reporting.figures.forest import forest_figure
from crosstune.reporting.figures.style import DARK, LIGHT, page_style, variables
from crosstune.reporting.figures.subjects import short_codes
from crosstune.reporting.page.answer import (
    baseline_margins,
    has_declared_contrast,
    headline,
    limitations,
    relatedness_rows,
    schedule_meanings,
    seed_differences,
    setting,
    target_name,
    verdict_lines,
)
from crosstune.reporting.page.buckets import bucket_answers
from crosstune.reporting.page.provenance import provenance_rows
from crosstune.reporting.page.record import record_section
from crosstune.reporting.page.terms import TERMS
from crosstune.reporting.page.texts import (
    difference_texts,
    exposure_texts,
    leak_texts,
    margin_texts,
    relatedness_texts,
)
from crosstune.reporting.tables.claims import claims_section
from crosstune.reporting.tables.contrasts import (
    component_rows,
    contrast_results,
    language_rows,
    question_rows,
    summary_caption,
    summary_rows,
)
from crosstune.reporting.tables.cost import cost_table
from crosstune.reporting.tables.custom import custom_tables
from crosstune.reporting.tables.distance import distance_sentences, distance_table
from crosstune.reporting.tables.encoding import encoding_table
from crosstune.reporting.tables.few_shot import few_shot_table
from crosstune.reporting.tables.formats import MOST_COLUMNS, PILOT_MARK, csv_lines, csv_text, mark_pilot
from crosstune.reporting.tables.published import (
    comparison_rows,
    difference_rows,
    examples_line,
    published_comparisons,
)
from crosstune.reporting.tables.ranking import rankings
from crosstune.reporting.tables.scores import average_table, best_cells, schedule_table, transfer_table
from crosstune.reporting.tables.sweeps import chosen_sentences, sweep_tables
from crosstune.reporting.tables.table import Heading, Table
from crosstune.reporting.tables.transfer import gains_table, measures_text_table

TEMPLATE = "report.html.j2"

SCRIPTS = ("page.js", "choice.js")

FUNCTIONS = (
    average_table, baseline_margins, comparison_rows, component_rows, contrast_results, custom_tables,
    difference_rows, distance_sentences, distance_table, encoding_table, examples_line, few_shot_table,
    forest_figure, gains_table, has_declared_contrast, headline, language_rows, limitations, measures_text_table,
    provenance_rows, published_comparisons, question_rows, rankings, relatedness_rows, schedule_meanings,
    schedule_table, seed_differences, setting, summary_caption, summary_rows, target_name, transfer_table, usage_table,
    verdict_lines,
)  # fmt: skip

"""The functions that the templates call, besides those of this module."""

# Those that read files of the results.
READERS = (bucket_answers, chosen_sentences, cost_table, declared_figures, panel_figures, sweep_tables)

# Characters that an address may have as they are.
UNQUOTED = " ,;:/()[]+*'!=@.-_"

# The attributes by which the script finds the rows and columns of a choice.
CHOSEN = ("language", "schedule", "dataset")


def write_report(study: StudyResults, results: Path, out: Path, record: CorrectionRecord | None = None) -> None:
    """Write the report of a study to `out`; `record`: that of its kept results."""
    write_text(out, render_page(study, results, record))


def render_page(study: StudyResults, results: Path, record: CorrectionRecord | None = None) -> str:
    """The report as HTML. Reads the JSON files of `results`, as far as they exist."""
    loader = PackageLoader("crosstune.reporting.page")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    own = (bibtex, citation_rows, fitted_parts, heading_attributes, track_panels)
    functions = {function.__name__: function for function in (*FUNCTIONS, *own)}
    readers = {function.__name__: partial(function, results=results) for function in (*READERS, exposure)}
    environment.globals.update(functions | readers, next_number=numbers_from(1).__next__)
    filters = (
        decimal, signed, minus_signs, indented_json, with_name, legend_drawing,
        difference_texts, exposure_texts, leak_texts, margin_texts, relatedness_texts,
    )  # fmt: skip
    environment.filters.update({function.__name__: function for function in filters})
    environment.filters["language_name"] = study.names.language
    environment.filters["csv_address"] = partial(csv_address, pilot=study.pilot)
    script = "\n".join(loader.get_source(environment, name)[0] for name in SCRIPTS)
    chosen = choices(study)
    codes = short_codes({kind: [value for value, *_ in found] for kind, found in chosen.items()})
    values = {
        "study": study,
        "plan": study.plan,
        "provenance": read_json_object(results / "provenance.json"),
        "leakage": read_json_object(results / "leakage.json"),
        "encoding": read_json_object(results / "encoding.json"),
        "claims": claims_section(study, results),
        "computations": computations(study, results),
        "record": record and record_section(record, results),
        "used": read_job_usage(results),
        "terms": TERMS,
        "chosen": chosen,
        "codes": codes,
        "pilot_mark": PILOT_MARK,
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "figure_style": Markup(page_style()),
        "light": Markup(variables(LIGHT)),
        "dark": Markup(variables(DARK)),
        "marks": mark_definitions(),
    }
    return environment.get_template(TEMPLATE).render(values).lstrip()


def fitted_parts(table: Table) -> list[tuple[Table, set[tuple[int, int]]]]:
    """A table in parts that fit the width of a page, each with the row and column of its best cells."""
    best, fitted = best_cells(table) if not table.marks else set(), table.fitted(MOST_COLUMNS)
    if fitted is not table:
        best = {(column, row) for row, column in best}
    parts, start = [], 0
    for part in fitted.parts(MOST_COLUMNS):
        width = len(part.columns)
        marked = {(row, column) for row, marks in enumerate(part.marks) for column, m in enumerate(marks) if m.bold}
        found = {(row, column - start) for row, column in best if start <= column < start + width}
        parts.append((part, found | marked))
        start += width
    return parts


def heading_attributes(heading: Heading, study: StudyResults) -> Markup:
    """The attributes by which the script finds a row or column: its language, schedule or data set."""
    selected = {axis: value for axis, value in heading.select.items() if axis in CHOSEN}
    if not selected and heading.key in study.plan["languages"]:
        selected["language"] = heading.key
    schedules = {name for track in study.plan["tracks"].values() for name in track["schedules"]}
    names = [name for name in (heading.key, heading.group) if name in schedules]
    if not heading.select and names:
        selected["schedule"] = names[0]
    return Markup("").join(Markup(' data-{}="{}"').format(axis, value) for axis, value in selected.items())


def choices(study: StudyResults) -> dict[str, list[tuple[str, str, list[str]]]]:
    """What a reader can choose, by kind: (value, label, groups), the groups of a language by which it is chosen too."""
    evaluated = dict.fromkeys(lang for panel in study.panels() for lang in panel.languages)
    panels = {panel.key: panel.title for panel in study.panels()}
    languages = []
    for lang in evaluated:
        about = study.plan["languages"].get(lang, {})
        groups = [f"{axis}: {about[axis]}" for axis in ("family", "script", "resource") if about.get(axis)]
        languages.append((lang, next(iter(study.panels())).language_title(lang), groups))
    schedules = dict.fromkeys(name for panel in study.panels() for name in panel.schedules)
    return {
        "language": languages,
        "schedule": [(name, study.names.schedule(name), []) for name in schedules],
        "panel": [(name, title, []) for name, title in panels.items()],
    }


def csv_address(table: object, pilot: bool = False) -> str:
    """A data: address with a table as CSV: of a Table as in its file, or of (head, rows)."""
    lines = csv_lines(table) if isinstance(table, Table) else [table[0], *table[1]]
    text = mark_pilot(".csv", csv_text(lines)) if pilot else csv_text(lines)
    return "data:text/csv;charset=utf-8," + quote(text, safe=UNQUOTED)


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
    sources = list(dict.fromkeys(source for runs in recorded.values() for run in runs for source in run))
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
    shown = {"model": study.names.model, "data set": study.names.dataset}
    return [
        [entry["what"], shown[entry["what"]](entry["name"]), entry["title"], entry["licence"]]
        for entry in study.plan.get("cited", [])
    ]


def bibtex(study: StudyResults, provenance: dict | None) -> str:
    """A BibTeX entry for the study and its code."""
    code = dict(provenance_rows(provenance or {})).get("Code", "of unknown commit")
    name = study.plan["study"]
    lines = [f"title = {{Study {name}, made with crosstune}},", f"note = {{crosstune {code}}},"]
    if ended := (provenance or {}).get("ended"):
        lines.append(f"year = {{{ended[:4]}}},")
    return "\n".join([f"@misc{{crosstune-{name},", *(f"  {line}" for line in lines), "}"])


def with_name(label: str, heading: Heading, panel: Panel | None) -> str | Markup:
    """The label of a language with its name before the code; other labels, and display names, unchanged."""
    if panel and panel.study.names.is_named("languages", heading.key):
        return label
    name = panel and panel.language_info(heading.key).get("name")
    return Markup("{} <small>{}</small>").format(name, label) if name else label


def minus_signs(text: object) -> str:
    """The text with a minus sign in place of every hyphen before a number."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", str(text))


def signed(number: float) -> str:
    """`+1.2` or `−1.2`; a number that rounds to 0 has no sign."""
    text = minus(decimal(number, 1))
    return text if number < 0 or float(decimal(number, 1)) == 0 else f"+{text}"


def indented_json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
