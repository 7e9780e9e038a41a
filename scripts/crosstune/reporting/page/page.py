"""The page of a study: its question answered in words, then everything behind the answer.

Owns: the page, and what it says of how the numbers came about. Must never know: how they are worded (answer.py), drawn
(figures) or made.

The page's text, look and behaviour are the files of the folder page. It is one file that asks for nothing from outside:
the program that draws the figures stands in it.
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from crosstune.analysis.results import Panel, Study, read_object
from crosstune.core.files import write_text
from crosstune.core.text import decimal
from crosstune.machine.job_usage import usage_table, used_by_jobs
from crosstune.reporting.figures import drawing_program, figures_of
from crosstune.reporting.page.answer import answer, cautions, contrasts, declares, floor_rows, headline, relation_rows
from crosstune.reporting.page.provenance import provenance_rows
from crosstune.reporting.tables.claims import ledger_section
from crosstune.reporting.tables.contrasts import verdicts
from crosstune.reporting.tables.cost import cost_sheet
from crosstune.reporting.tables.custom import declared_tables
from crosstune.reporting.tables.distance import distance_sheet, distance_told
from crosstune.reporting.tables.formats import MOST_COLUMNS
from crosstune.reporting.tables.published import companion_rows, companions, difference_rows, examples_line
from crosstune.reporting.tables.scores import average_table, schedule_table, transfer_table
from crosstune.reporting.tables.table import Heading
from crosstune.reporting.tables.transfer import gains_table, measures_sheet

TEMPLATE = "report.html.j2"


def write_report(study: Study, results: Path, out: Path) -> None:
    """Write the page of a study to `out`: one file that asks for nothing from outside."""
    write_text(out, render(study, results))


def render(study: Study, results: Path) -> str:
    """The page as HTML. Reads stage.json, provenance.json and leakage.json under `results` where they exist."""
    environment = Environment(
        loader=PackageLoader("crosstune.reporting.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    functions = [answer, cautions, contrasts, declares, first_panels, floor_rows, headline]
    functions += [relation_rows, usage_table, verdicts, bibtex, cited, declared_tables, provenance_rows]
    functions += [measures_sheet, gains_table, distance_sheet, distance_told]
    functions += [
        average_table,
        schedule_table,
        transfer_table,
        companions,
        companion_rows,
        difference_rows,
        examples_line,
    ]
    environment.globals.update({function.__name__: function for function in functions})
    environment.globals.update(exposure=lambda panel: exposure(panel, results), most_columns=MOST_COLUMNS)
    environment.globals.update(figures_of=lambda panel: figures_of(panel, results))
    environment.globals.update(cost_sheet=lambda panel: cost_sheet(panel, results))
    environment.globals.update(computed=computed(study, results), used=used_by_jobs(results))
    environment.globals.update(ledger=ledger_section(study, results))
    environment.globals.update(vega=drawing_program())
    environment.filters.update(decimal=decimal, signed=signed, pretty=pretty, named=named)
    provenance = read_object(results / "provenance.json")
    leakage = read_object(results / "leakage.json")
    values = {"study": study, "plan": study.plan, "provenance": provenance, "leakage": leakage}
    return environment.get_template(TEMPLATE).render(values).lstrip()


def first_panels(study: Study) -> list[Panel]:
    """One panel for every model and track, whatever data sets it is evaluated on."""
    return list({(panel.model, panel.track): panel for panel in reversed(study.panels())}.values())[::-1]


@dataclass(frozen=True)
class Exposure:
    """What a schedule trained on, as means over seeds: (examples, tokens) by source, None for a source it never saw."""

    schedule: str
    by_source: list[tuple[float, float] | None]
    total: tuple[float, float]


def exposure(panel: Panel, results: Path) -> tuple[list[str], list[Exposure]]:
    """The sources of a track and what every schedule saw of each, from the `exposure` of its runs' stage.json."""
    seen = {schedule: [run_exposure(run, results) for run in panel.runs(schedule)] for schedule in panel.schedules}
    recorded = {schedule: [run for run in runs if run] for schedule, runs in seen.items()}
    sources = sorted({source for runs in recorded.values() for run in runs for source in run})
    rows = []
    for schedule, runs in recorded.items():
        if not runs:
            continue
        means = [mean_exposure([run[source] for run in runs if source in run]) for source in sources]
        total = mean_exposure([tuple(map(sum, zip(*run.values(), strict=True))) for run in runs])
        rows.append(Exposure(schedule, means, total))
    return sources, rows


def computed(study: Study, results: Path) -> list[str]:
    """How the checkpoints of the plan were computed, each way once: the arithmetic, and whether rows were packed."""
    stages = sorted({stage for run in study.plan["runs"] for stage in run["stages"]})
    found = set()
    for stage in stages:
        manifest = read_object(results / stage / "stage.json") or {}
        if "precision" in manifest:
            rows = "packed end to end" if manifest["packed"] else "padded to the longest"
            found.add(f"trained in {manifest['precision']}, rows {rows}")
    return sorted(found)


def run_exposure(run: dict, results: Path) -> dict[str, tuple[int, int]]:
    """(examples, tokens) by source, summed over the stages of a run; empty where a stage did not record them."""
    total: dict[str, tuple[int, int]] = {}
    for stage in run["stages"]:
        recorded = (read_object(results / stage / "stage.json") or {}).get("exposure")
        if recorded is None:
            return {}
        for source, counts in recorded.items():
            examples, tokens = total.get(source, (0, 0))
            total[source] = (examples + counts["examples"], tokens + counts["tokens"])
    return total


def mean_exposure(pairs: Sequence[tuple[int, int]]) -> tuple[float, float] | None:
    if not pairs:
        return None
    examples, tokens = zip(*pairs, strict=True)
    return statistics.fmean(examples), statistics.fmean(tokens)


def cited(study: Study) -> list[list[str]]:
    """What a publication names of the plan, a line each: what it is, its name, its title, its licence."""
    return [[own["what"], own["name"], own["title"], own["licence"]] for own in study.plan.get("cited", [])]


def bibtex(study: Study, provenance: dict | None) -> str:
    """An entry for the study and the code that made it."""
    state = dict(provenance_rows(provenance or {})).get("Code", "of unknown commit")
    name = study.plan["study"]
    lines = [f"title = {{Study {name}, made with crosstune}},", f"note = {{crosstune {state}}},"]
    if ended := (provenance or {}).get("ended"):
        lines.append(f"year = {{{ended[:4]}}},")
    return "\n".join([f"@misc{{crosstune-{name},", *(f"  {line}" for line in lines), "}"])


def named(label: str, heading: Heading, panel: Panel | None) -> str | Markup:
    """The label of a language with its name before the code; other labels as they are."""
    name = panel and panel.about(heading.key).get("name")
    return Markup("{} <small>{}</small>").format(name, label) if name else label


def signed(number: float) -> str:
    """`+1.2` or `-1.2`; what rounds to nothing has no sign."""
    text = decimal(number, 1)
    return text if text.startswith("-") or float(text) == 0 else f"+{text}"


def pretty(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
