"""Published statements compared with a study's numbers: one verdict for every statement, with the files behind it.

A number is reproduced if the interval of ours lies inside its tolerance, and contradicted if it lies entirely outside.
A direction is reproduced if the whole interval of the paired difference is above the smallest difference claimed, and
contradicted if it is entirely below. Everything between is inconclusive, and so is a number without an interval. A
statement that nobody has verified at its source is shown without a verdict.
"""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from crosstune.analysis.cells import Cell
from crosstune.analysis.intervals import CONFIDENCE, Interval, interval
from crosstune.analysis.results import Panel, StudyResults, TaskAverage, read_json_object
from crosstune.artifacts.claim import COUNT, DIRECTION, NUMBER, Statement
from crosstune.core.files import write_json
from crosstune.core.text import count, decimal
from crosstune.reporting.tables.formats import (
    csv_text,
    escape,
    latex_float,
    latex_row,
    markdown_text,
    pipe_table,
    style,
    write_files,
)
from crosstune.reporting.tables.published import published_comparisons
from crosstune.reporting.tables.table import NO_RUNS, numbers_text

VERDICTS = ("reproduced", "contradicted", "inconclusive", "unverified", "not run")

REPRODUCED, CONTRADICTED, INCONCLUSIVE, UNVERIFIED, NOT_RUN = VERDICTS

RULES = (
    f"A number is reproduced where the {CONFIDENCE:.0%} CI of ours lies within its tolerance, and contradicted "
    "where it lies wholly outside; a direction, where the interval of the difference run by run is wholly above the "
    "smallest one claimed, or wholly below it. Between the two they are inconclusive. What nobody has verified at its "
    "source decides nothing. On other data or with another model than the paper's, a number is not decided, and a "
    "direction is decided with different data or model."
)

LATEX_ROWS = 14

# Widths of the columns of HEAD, as shares of a line.
LATEX_WIDTHS = (0.17, 0.12, 0.09, 0.12, 0.04, 0.06, 0.18, 0.15)


@dataclass(frozen=True)
class OurNumber:
    """Our number for a statement, by run, with its score files, or the problem for which there is none."""

    cell: Cell
    files: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class ClaimResult:
    """A statement, our number and the verdict; `remark` qualifies the verdict."""

    statement: Statement
    verdict: str
    remark: str
    our_value: float | None = None
    interval: Interval | None = None
    runs: int = 0
    missing: int = 0
    files: tuple[str, ...] = ()


def claim_results(study: StudyResults, results: Path) -> list[ClaimResult]:
    """One result for every statement of a study's plan, in the plan's order.

    Reads prepared manifests next to `results`, if they exist, for the rows of data sets.
    """
    statements = [Statement(**entry) for entry in study.plan.get("claims", [])]
    return [judge_rows(s, results) if s.kind == COUNT else judge(study, s, results) for s in statements]


# --- numbers and directions ------------------------------------------------------------------------------------------


def judge(study: StudyResults, statement: Statement, results: Path) -> ClaimResult:
    """The verdict on a number or a direction."""
    if statement.not_run:
        number = OurNumber(NO_RUNS, problem=statement.not_run)
    else:
        number = our_number(study, statement, results)
    cell = number.cell
    if cell.mean is None:
        return ClaimResult(statement, NOT_RUN, number.problem or "no run has a score yet", missing=cell.missing_runs)
    ends = interval(cell.values, resolution=cell.resolution)
    problem = "a pilot decides nothing" if study.pilot else "one run has no interval" if ends is None else ""
    remark, runs = remark_of(statement, problem if statement.verified else ""), len(cell.values)
    verdict = verdict_of(statement, None if study.pilot else ends)
    return ClaimResult(statement, verdict, remark, cell.mean, ends, runs, cell.missing_runs, number.files)


def verdict_of(statement: Statement, ours: Interval | None) -> str:
    """The verdict by the rules at the head of this file."""
    if not statement.verified:
        return UNVERIFIED
    if ours is None:
        return INCONCLUSIVE
    if statement.kind == DIRECTION:
        smallest = statement.min_difference
        return REPRODUCED if ours.low > smallest else CONTRADICTED if ours.high < smallest else INCONCLUSIVE
    low, high = statement.value - statement.tolerance, statement.value + statement.tolerance
    if ours.high < low or ours.low > high:
        return CONTRADICTED
    return REPRODUCED if low <= ours.low and ours.high <= high else INCONCLUSIVE


def our_number(study: StudyResults, statement: Statement, results: Path) -> OurNumber:
    """Our number for a statement, and the files of its terms.

    With `relative_to` the number is the difference from that schedule, run by run.
    """
    cells = [schedule_cell(study, statement, name) for name in (statement.schedule, statement.relative_to) if name]
    if None in cells:
        return OurNumber(NO_RUNS, problem=f"no evaluated language is {statement.languages}")
    number = cells[0].difference(cells[1]) if len(cells) > 1 else cells[0]
    files = []
    for cell in cells:
        by_run = [dict.fromkeys(term.file for term in cell.values[run].terms) for run in number.values]
        files += [file for task in zip_longest(*by_run) for file in task if file]
    return OurNumber(number, tuple(str(results / file) for file in dict.fromkeys(files)))


def schedule_cell(study: StudyResults, statement: Statement, schedule: str) -> Cell | None:
    """The number of a schedule: from a published comparison by its protocol, an average over tasks, or a panel.

    None if no evaluated language is in the statement's group.
    """
    if statement.published:
        (comparison,) = (
            candidate
            for candidate in published_comparisons(study)
            if (candidate.entry["name"], candidate.panel.model) == (statement.published, statement.model)
        )
        return comparison.cell(schedule, statement.column)
    if statement.average:
        return TaskAverage(study, statement.average).mean(statement.model, schedule, statement.metric == "mean_f1")
    panel, languages = Panel(study, statement.model, statement.track, statement.dataset), statement.languages
    if isinstance(languages, str):
        languages = panel.language_groups.get(languages)
    return panel.cell(schedule, languages, statement.metric) if languages else None


def remark_of(statement: Statement, *notes: str) -> str:
    """Notes on a verdict, with the differences from the paper's own data and model, and the lack of verification."""
    differs = f"different data or model: {', '.join(statement.differs_in)}" if statement.differs_in else ""
    unverified = "" if statement.verified else f"not verified: {statement.verified_by}"
    return "; ".join(filter(None, [differs, *notes, unverified]))


# --- counts ----------------------------------------------------------------------------------------------------------


def judge_rows(statement: Statement, results: Path) -> ClaimResult:
    """The verdict on the rows of a data set: those of its prepared files, else those that its record demands."""
    if statement.not_run:
        return ClaimResult(statement, NOT_RUN, statement.not_run)
    rows, files = {}, []
    for lang, known in {**dict.fromkeys(statement.rows), **statement.known}.items():
        manifest = results.parent.parent / f"data/{statement.dataset}/{statement.split}.{lang}.json"
        prepared = read_json_object(manifest)
        if prepared is not None:
            rows[lang], file = prepared["rows"], str(manifest)
        elif known is not None:
            rows[lang], file = known, statement.record_file
        else:
            continue
        files.append(file)
    unknown = [lang for lang in statement.rows if lang not in rows]
    compared = [(lang, rows[lang], claimed) for lang, claimed in statement.rows.items() if lang in rows]
    others = [f"{lang} {own}, not {claimed}" for lang, own, claimed in compared if own != claimed]
    verdict = CONTRADICTED if others else INCONCLUSIVE if unknown else REPRODUCED
    remarks = [", ".join(others), f"rows of {', '.join(unknown)} are not known yet" if unknown else ""]
    verdict = verdict if statement.verified else UNVERIFIED
    if not rows:
        return ClaimResult(statement, NOT_RUN, remarks[1])
    files = tuple(dict.fromkeys(files))
    return ClaimResult(statement, verdict, remark_of(statement, *remarks), sum(rows.values()), files=files)


# --- texts -----------------------------------------------------------------------------------------------------------


def published_text(statement: Statement) -> str:
    """The published value: `65.4 ± 1.0`, `> 0`, `7500 rows`."""
    if statement.kind == COUNT:
        return f"{statement.value:.0f} rows"
    if statement.kind == DIRECTION:
        return f"> {decimal(statement.min_difference, 1)}" if statement.min_difference else "> 0"
    if statement.value is None:
        return ""
    value = f"{statement.value:+.1f}" if statement.relative_to else decimal(statement.value, 1)
    return f"{value} ± {decimal(statement.tolerance, 1)}"


def our_text(result: ClaimResult) -> str:
    """Our value: `66.1 [65.2, 67.0]`, `7500 rows`; empty without one."""
    if result.our_value is None:
        return ""
    if result.statement.kind == COUNT:
        return f"{result.our_value} rows"
    ends = [result.interval.low, result.interval.high] if result.interval else []
    return numbers_text([result.our_value, *ends], "+.1f" if result.statement.relative_to else ".1f")


def runs_text(result: ClaimResult) -> str:
    """The number of runs behind our value, as `4 of 5` if some are missing."""
    if not result.runs:
        return ""
    return f"{result.runs} of {result.runs + result.missing}" if result.missing else str(result.runs)


def counts_sentence(results: list[ClaimResult]) -> str:
    """The number of statements by verdict, and the rules of the verdicts."""
    numbers = Counter(result.verdict for result in results)
    listing = ", ".join(f"{numbers[verdict]} {verdict}" for verdict in VERDICTS if numbers[verdict])
    return f"{count(len(results), 'statement')}: {listing}. {RULES}"


# --- formats ---------------------------------------------------------------------------------------------------------


HEAD = ["claim", "verdict", "published", "ours", "runs", "model", "of ours", "remark"]


def claim_rows(results: list[ClaimResult]) -> list[list[str]]:
    """The rows of the tables, under HEAD."""
    return [
        [statement.claim, result.verdict, published_text(statement), our_text(result), runs_text(result),
         statement.model, statement.about, result.remark]
        for result in results
        for statement in [result.statement]
    ]  # fmt: skip


def claim_texts(results: list[ClaimResult]) -> dict[str, str]:
    """The text and source of each claim, by its id, in the order of the results."""
    texts = {}
    for statement in (result.statement for result in results):
        # The numbers of one table are one claim.
        text = statement.text.partition(" Row ")[0] if statement.published else statement.text
        texts.setdefault(statement.claim, f"{text} ({statement.source})")
    return texts


def claims_section(study: StudyResults, results: Path) -> dict | None:
    """The section of the report: summary, head and rows of the table, texts of the claims; None without claims."""
    judged = claim_results(study, results)
    if not judged:
        return None
    return {"summary": counts_sentence(judged), "head": HEAD, "rows": claim_rows(judged), "texts": claim_texts(judged)}


def write_claim_results(study: StudyResults, results: Path, out: Path) -> None:
    """Write claims.json to `out`, with an empty list for a study without claims."""
    records = [claim_record(result) for result in claim_results(study, results)]
    write_json(out, {"study": study.plan["study"], "claims": records})


def claim_record(result: ClaimResult) -> dict:
    """A result as plain data; numbers to 4 digits."""
    statement, ends = result.statement, result.interval
    return {
        "claim": statement.claim,
        "kind": statement.kind,
        "says": statement.text,
        "source": statement.source,
        "url": statement.url,
        "verified": statement.verified,
        "verified_by": statement.verified_by,
        "about": statement.about,
        "model": statement.model,
        "differs_in": statement.differs_in,
        "published": statement.value,
        "tolerance": statement.tolerance if statement.kind == NUMBER else None,
        "min_difference": statement.min_difference if statement.kind == DIRECTION else None,
        "our_value": None if result.our_value is None else round(result.our_value, 4),
        "interval": [round(ends.low, 4), round(ends.high, 4)] if ends else None,
        "runs": result.runs,
        "missing": result.missing,
        "verdict": result.verdict,
        "remark": result.remark,
        "files": list(result.files),
    }


def write_claim_tables(study: StudyResults, results: Path, out: Path) -> None:
    """Write claims.csv, .md and .tex into the folder `out`; nothing for a study without claims."""
    formats = {"csv": claims_csv, "md": claims_markdown, "tex": claims_latex}
    if judged := claim_results(study, results):
        write_files({f"claims.{suffix}": text(judged) for suffix, text in formats.items()}, out, study.pilot)


def claims_csv(results: list[ClaimResult]) -> str:
    """One line a result; lists are joined by semicolons."""
    lines = [claim_record(result) for result in results]
    ends = [line.pop("interval") or ["", ""] for line in lines]
    rows = [
        [*("; ".join(value) if isinstance(value, list) else value for value in line.values()), *pair]
        for line, pair in zip(lines, ends, strict=True)
    ]
    return csv_text([[*lines[0], "low", "high"], *rows])


def claims_markdown(results: list[ClaimResult]) -> str:
    table = pipe_table(HEAD, claim_rows(results), len(HEAD))
    texts = "\n".join(f"- `{claim}`: {markdown_text(text)}" for claim, text in claim_texts(results).items())
    return f"{counts_sentence(results)}\n\n{table}\n\nWhat is said:\n\n{texts}\n"


def claims_latex(results: list[ClaimResult]) -> str:
    r"""As many `table` floats as the statements need, for a document with \usepackage{booktabs}."""
    rows = claim_rows(results)
    columns = "".join(rf"p{{{width}\linewidth}}" for width in LATEX_WIDTHS)
    floats = []
    for number, start in enumerate(range(0, len(rows), LATEX_ROWS), start=1):
        name = "claims" if number == 1 else f"claims.{number}"
        caption = escape(counts_sentence(results)) if number == 1 else f"Part {number} of Table~\\ref{{tab:claims}}."
        lines = [latex_row(HEAD[0], HEAD[1:]), r"\midrule", *map(ragged_row, rows[start : start + LATEX_ROWS])]
        floats.append(latex_float(name, caption, style("tiny", 1.5, stretched=True), rf"@{{}}{columns}@{{}}", lines))
    return "\n".join(floats)


def ragged_row(cells: list[str]) -> str:
    r"""A row of paragraphs set ragged right, which redefines `\\`."""
    return " & ".join(rf"\raggedright {breakable(cell)}" for cell in cells) + r" \tabularnewline"


def breakable(text: str) -> str:
    """Text that LaTeX may break after every slash, underscore and dash, but not after the minus of a number."""
    escaped = re.sub(r"(?<![\w])-(?=\d)", r"\\mbox{-}", escape(text))
    for mark in ("/", r"\_"):
        escaped = escaped.replace(mark, mark + r"\allowbreak{}")
    return escaped
