"""The files of drawn examples: for each panel a page without external resources and a CSV file."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from crosstune.analysis.results import Panel, StudyResults
from crosstune.core.files import write_text
from crosstune.core.text import decimal
from crosstune.reporting.examples.side_by_side import ExampleFiles, ShownExample, drawn_examples
from crosstune.reporting.figures.style import DARK, LIGHT, variables
from crosstune.reporting.tables.formats import PILOT_MARK, csv_text, mark_pilot


def write_examples(study: StudyResults, files: ExampleFiles, number: int, out: Path) -> list[Path]:
    """Write `<track>.<data set>.<model>.html` and `.csv` of every panel into the folder `out`; return the paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for panel in study.panels():
        if not panel.schedules:
            continue
        examples = drawn_examples(panel, files, number)
        table = examples_csv(panel, examples)
        page, csv = out / f"{panel.name}.html", out / f"{panel.name}.csv"
        write_text(page, examples_page(panel, examples, files.seed))
        write_text(csv, mark_pilot(csv.name, table) if study.pilot else table)
        paths += [page, csv]
    return paths


def examples_csv(panel: Panel, examples: list[ShownExample]) -> str:
    """A line per example: for every schedule, by its key, the answer and the score."""
    head = ["language", "id", "context", "question", "gold"]
    head += [column for schedule in panel.schedules for column in (schedule, f"{schedule}_{panel.metric}")]
    lines = [
        [own.language, own.id, own.context_text, own.question, own.gold]
        + [text for answer in own.answers.values() for text in (answer.text, decimal(answer.score, 4))]
        for own in examples
    ]
    return csv_text([head, *lines])


def examples_page(panel: Panel, examples: list[ShownExample], seed: int) -> str:
    """The page: a table per language."""
    loader = PackageLoader("crosstune.reporting.examples")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    languages = {own.language: None for own in examples}
    return environment.get_template("examples.html.j2").render(
        panel=panel,
        seed=seed,
        tables={language: [own for own in examples if own.language == language] for language in languages},
        has_wrong=any(part.kind for own in examples for answer in own.answers.values() for part in answer.parts),
        has_context=any(own.context_text for own in examples),
        pilot_mark=PILOT_MARK if panel.study.pilot else "",
        light=Markup(variables(LIGHT)),
        dark=Markup(variables(DARK)),
    )
