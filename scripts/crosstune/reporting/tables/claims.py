"""What others have said, held against a study's numbers: a verdict for every statement, and what it stands on.

Owns: the rules of the verdicts, how the ledger is written. Must never know: files of claims, where scores are stored.

A number is reproduced where the interval of ours lies within its tolerance, contradicted where it lies wholly outside.
A direction is reproduced where the whole interval of the paired difference is above the smallest one claimed,
contradicted where it is wholly below. Anything between is undecided, and so is what has no interval. What nobody has
verified at its source is shown and never decided.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from crosstune.analysis.cells import Cell, Replicate, replicate
from crosstune.analysis.intervals import CONFIDENCE, Interval, interval
from crosstune.analysis.results import FINAL, Panel, StudyResults, TaskAverage, read_json_object
from crosstune.artifacts.claim import COUNT, DIRECTION, NUMBER, Statement
from crosstune.core.files import write_json, write_text
from crosstune.core.text import count, decimal
from crosstune.reporting.tables.formats import csv_text, escape, framed, latex_row
from crosstune.reporting.tables.published import companions

REPRODUCED, CONTRADICTED, UNDECIDED = "reproduced", "contradicted", "undecided"

UNVERIFIED, NOT_RUN = "unverified", "not run"

VERDICTS = (REPRODUCED, CONTRADICTED, UNDECIDED, UNVERIFIED, NOT_RUN)

RULES = (
    f"A number is reproduced where the {CONFIDENCE:.0%} interval of ours lies within its tolerance, and contradicted "
    "where it lies wholly outside; a direction, where the interval of the difference run by run is wholly above the "
    "smallest one claimed, or wholly below it. Between the two they are undecided. What nobody has verified at its "
    "source decides nothing. On other data or with another model than the paper's, a number is not decided, and a "
    "direction is decided on another ground."
)

LATEX_ROWS = 14

LATEX_WIDTHS = (0.17, 0.12, 0.09, 0.12, 0.04, 0.06, 0.18, 0.15)

"""Of the columns of HEAD, as shares of a line."""

NO_RUNS = Cell({}, 0)


@dataclass(frozen=True)
class Ours:
    """Our number of a statement by run, the files that it stands on, and why there is none."""

    cell: Cell
    files: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Finding:
    """A statement, what is ours, and the verdict; `remark` says what a reader must know of it."""

    statement: Statement
    verdict: str
    remark: str
    ours: float | None = None
    interval: Interval | None = None
    runs: int = 0
    missing: int = 0
    files: tuple[str, ...] = ()


def findings(study: StudyResults, results: Path) -> list[Finding]:
    """The ledger of a study: one finding for every statement of its plan, in the plan's order.

    Reads prepared manifests beside `results`, where they exist, for the rows of data sets.
    """
    statements = [Statement(**entry) for entry in study.plan.get("claims", [])]
    return [found_rows(s, results) if s.kind == COUNT else found(study, s, results) for s in statements]


# --- numbers and directions ------------------------------------------------------------------------------------------


def found(study: StudyResults, statement: Statement, results: Path) -> Finding:
    """The verdict on a number or a direction."""
    ours = Ours(NO_RUNS, problem=statement.not_run) if statement.not_run else ours_of(study, statement, results)
    if ours.cell.mean is None:
        return Finding(statement, NOT_RUN, ours.problem or "no run has a score yet", missing=ours.cell.missing_runs)
    within = interval(ours.cell.values)
    verdict = verdict_of(statement, within)
    alone = "one run has no interval" if within is None and statement.verified else ""
    remark = "; ".join(filter(None, [another_ground(statement), alone, unverified(statement)]))
    runs, missing = len(ours.cell.values), ours.cell.missing_runs
    return Finding(statement, verdict, remark, ours.cell.mean, within, runs, missing, ours.files)


def verdict_of(statement: Statement, ours: Interval | None) -> str:
    """By the rules at the head of this file."""
    if not statement.verified:
        return UNVERIFIED
    if ours is None:
        return UNDECIDED
    if statement.kind == DIRECTION:
        return REPRODUCED if ours.low > statement.least else CONTRADICTED if ours.high < statement.least else UNDECIDED
    low, high = statement.value - statement.tolerance, statement.value + statement.tolerance
    if ours.high < low or ours.low > high:
        return CONTRADICTED
    return REPRODUCED if low <= ours.low and ours.high <= high else UNDECIDED


def ours_of(study: StudyResults, statement: Statement, results: Path) -> Ours:
    """Our number of a statement: from a published table's companion, an average over tasks, or a panel."""
    if statement.published:
        return _beside_published(study, statement, results)
    if statement.average:
        return _of_average(study, statement, results)
    panel = Panel(study, statement.model, statement.track, statement.dataset)
    languages = statement.languages
    if isinstance(languages, str):
        languages = panel.language_groups.get(languages)
        if not languages:
            return Ours(NO_RUNS, problem=f"no evaluated language is {statement.languages}")

    def cell(schedule: str) -> Cell:
        return panel.cell(schedule, languages, statement.metric)

    return _paired(statement, cell, lambda schedule, runs: _scores(panel, schedule, results, runs))


def _beside_published(study: StudyResults, statement: Statement, results: Path) -> Ours:
    """What stands beside a number of a published table, by the table's own protocol."""
    beside = (c for c in companions(study) if c.entry["name"] == statement.published)
    companion = next(c for c in beside if c.panel.model == statement.model)
    # MuCoT's protocol takes its numbers from the record of a training.
    traced = companion.entry["protocol"] == "mucot"

    def files(schedule: str, runs: Iterable) -> list[str]:
        if not traced:
            return _scores(companion.panel, schedule, results, runs)
        chosen = [run for run in companion.panel.runs(schedule) if replicate(run) in runs]
        return [str(results / run["stages"][FINAL] / "stage.json") for run in chosen]

    return _paired(statement, lambda schedule: companion.cell(schedule, statement.column), files)


def _of_average(study: StudyResults, statement: Statement, results: Path) -> Ours:
    """The mean over the tasks of an average."""
    average = TaskAverage(study, statement.average)

    def files(schedule: str, seeds: Iterable) -> list[str]:
        found = []
        for task, entry in average.tasks.items():
            panel, named = average.panel(statement.model, task), entry.get("schedule", schedule)
            runs = {replicate(run) for run in panel.runs(named) if Replicate(run["seed"]) in seeds}
            found += _scores(panel, named, results, runs)
        return found

    def cell(schedule: str) -> Cell:
        return average.mean(statement.model, schedule, statement.metric == "mean_f1")

    return _paired(statement, cell, files)


def _paired(statement: Statement, cell: Callable[[str], Cell], files: Callable[[str, Iterable], list[str]]) -> Ours:
    """The number of a schedule, or its difference from another run by run."""
    schedules = [name for name in (statement.schedule, statement.than) if name]
    first, *others = map(cell, schedules)
    number = first.difference(others[0]) if others else first
    paths = [path for name in schedules for path in files(name, number.values)]
    return Ours(number, tuple(dict.fromkeys(paths)))


def _scores(panel: Panel, schedule: str, results: Path, runs: Iterable) -> list[str]:
    """The scores files of some runs of a schedule."""
    chosen = [run for run in panel.runs(schedule) if replicate(run) in runs]
    return [
        str(results / run["stages"][FINAL] / f"scores/{panel.scored_dataset(run.get('fold', 0))}.json")
        for run in chosen
    ]


def another_ground(statement: Statement) -> str:
    return f"another ground: {', '.join(statement.ground)}" if statement.ground else ""


def unverified(statement: Statement) -> str:
    return "" if statement.verified else f"not verified: {statement.how}"


# --- counts ----------------------------------------------------------------------------------------------------------


def found_rows(statement: Statement, results: Path) -> Finding:
    """The verdict on the rows of a data set: those of its prepared files, else those that its record demands."""
    if statement.not_run:
        return Finding(statement, NOT_RUN, statement.not_run)
    rows, files = {}, []
    for lang, known in {**dict.fromkeys(statement.rows), **statement.known}.items():
        manifest = results.parent.parent / f"data/{statement.dataset}/{statement.split}.{lang}.json"
        prepared = read_json_object(manifest)
        if prepared is not None:
            rows[lang], place = prepared["rows"], str(manifest)
        elif known is not None:
            rows[lang], place = known, statement.place
        else:
            continue
        files.append(place)
    unknown = [lang for lang in statement.rows if lang not in rows]
    compared = [(lang, rows[lang], said) for lang, said in statement.rows.items() if lang in rows]
    others = [f"{lang} {own}, not {said}" for lang, own, said in compared if own != said]
    verdict = CONTRADICTED if others else UNDECIDED if unknown else REPRODUCED
    remarks = [", ".join(others), f"rows of {', '.join(unknown)} are not known yet" if unknown else ""]
    verdict = verdict if statement.verified else UNVERIFIED
    if not rows:
        return Finding(statement, NOT_RUN, remarks[1])
    remark = "; ".join(filter(None, [*remarks, unverified(statement)]))
    return Finding(statement, verdict, remark, sum(rows.values()), files=tuple(dict.fromkeys(files)))


# --- in words --------------------------------------------------------------------------------------------------------


def published_text(statement: Statement) -> str:
    """What is claimed: `65.4 ± 1.0`, `> 0`, `7500 rows`."""
    if statement.kind == COUNT:
        return f"{statement.value:.0f} rows"
    if statement.kind == DIRECTION:
        return f"> {decimal(statement.least, 1)}" if statement.least else "> 0"
    if statement.value is None:
        return ""
    value = f"{statement.value:+.1f}" if statement.than else decimal(statement.value, 1)
    return f"{value} ± {decimal(statement.tolerance, 1)}"


def ours_text(finding: Finding) -> str:
    """`66.1 [65.2, 67.0]`, `7500 rows`; nothing where there is none."""
    if finding.ours is None:
        return ""
    if finding.statement.kind == COUNT:
        return f"{finding.ours} rows"
    form = "+.1f" if finding.statement.than else ".1f"
    ends = [finding.interval.low, finding.interval.high] if finding.interval else []
    mean, *ends = (f"{round(number, 1) + 0.0:{form}}" for number in (finding.ours, *ends))
    return mean + (f" [{', '.join(ends)}]" if ends else "")


def runs_text(finding: Finding) -> str:
    """The runs that gave our number, as `4 of 5` where some are missing."""
    if not finding.runs:
        return ""
    return f"{finding.runs} of {finding.runs + finding.missing}" if finding.missing else str(finding.runs)


def told(ledger: list[Finding]) -> str:
    """How many statements got which verdict, and by which rules."""
    numbers = Counter(finding.verdict for finding in ledger)
    listing = ", ".join(f"{numbers[verdict]} {verdict}" for verdict in VERDICTS if numbers[verdict])
    return f"{count(len(ledger), 'statement')}: {listing}. {RULES}"


# --- formats ---------------------------------------------------------------------------------------------------------


HEAD = ["claim", "verdict", "published", "ours", "runs", "model", "of ours", "remark"]


def ledger_rows(ledger: list[Finding]) -> list[list[str]]:
    """The lines of the tables, under HEAD."""
    return [
        [
            finding.statement.claim,
            finding.verdict,
            published_text(finding.statement),
            ours_text(finding),
            runs_text(finding),
            finding.statement.model,
            finding.statement.about,
            finding.remark,
        ]
        for finding in ledger
    ]


def sources(ledger: list[Finding]) -> dict[str, str]:
    """What each claim says and where, by its id, in the order of the ledger."""
    found = {}
    for finding in ledger:
        statement = finding.statement
        # The numbers of one table are one claim.
        says = statement.says.partition(" Row ")[0] if statement.published else statement.says
        found.setdefault(statement.claim, f"{says} ({statement.source})")
    return found


def ledger_section(study: StudyResults, results: Path) -> dict | None:
    """What the report shows: the summary, head and rows of the table, and what is said; None without claims."""
    ledger = findings(study, results)
    return (
        {"told": told(ledger), "head": HEAD, "rows": ledger_rows(ledger), "says": sources(ledger)} if ledger else None
    )


def write_ledger(study: StudyResults, results: Path, out: Path) -> None:
    """Write claims.json to `out`. A study without claims has an empty one."""
    write_json(out, {"study": study.plan["study"], "claims": [record(f) for f in findings(study, results)]})


def record(finding: Finding) -> dict:
    """A finding as plain data; numbers to 4 digits."""
    statement, ends = finding.statement, finding.interval
    return {
        "claim": statement.claim,
        "kind": statement.kind,
        "says": statement.says,
        "source": statement.source,
        "url": statement.url,
        "verified": statement.verified,
        "how": statement.how,
        "about": statement.about,
        "model": statement.model,
        "ground": statement.ground,
        "published": statement.value,
        "tolerance": statement.tolerance if statement.kind == NUMBER else None,
        "least": statement.least if statement.kind == DIRECTION else None,
        "ours": None if finding.ours is None else round(finding.ours, 4),
        "interval": [round(ends.low, 4), round(ends.high, 4)] if ends else None,
        "runs": finding.runs,
        "missing": finding.missing,
        "verdict": finding.verdict,
        "remark": finding.remark,
        "files": list(finding.files),
    }


def write_ledger_tables(study: StudyResults, results: Path, out: Path) -> None:
    """Write claims.csv, .md and .tex into the folder `out`; nothing for a study without claims."""
    ledger = findings(study, results)
    if ledger:
        write_text(out / "claims.csv", ledger_csv(ledger))
        write_text(out / "claims.md", ledger_markdown(ledger))
        write_text(out / "claims.tex", ledger_latex(ledger))


def ledger_csv(ledger: list[Finding]) -> str:
    """One line a finding; lists are joined by semicolons."""
    lines = [record(finding) for finding in ledger]
    ends = [line.pop("interval") or ["", ""] for line in lines]
    rows = [
        [*("; ".join(value) if isinstance(value, list) else value for value in line.values()), *pair]
        for line, pair in zip(lines, ends, strict=True)
    ]
    return csv_text([[*lines[0], "low", "high"], *rows])


def ledger_markdown(ledger: list[Finding]) -> str:
    table = tabulate(ledger_rows(ledger), HEAD, tablefmt="pipe", disable_numparse=True)
    said = "\n".join(f"- `{claim}`: {text}" for claim, text in sources(ledger).items())
    return f"{told(ledger)}\n\n{table}\n\nWhat is said:\n\n{said}\n"


def ledger_latex(ledger: list[Finding]) -> str:
    r"""As many `table` floats as the statements need, for a document with \usepackage{booktabs}."""
    rows = ledger_rows(ledger)
    parts = [rows[start : start + LATEX_ROWS] for start in range(0, len(rows), LATEX_ROWS)]
    captions = [told(ledger), *(f"Part {number} of Table~\\ref{{tab:claims}}." for number in range(2, len(parts) + 1))]
    floats = []
    for number, part in enumerate(parts, start=1):
        caption = escape(captions[0]) if number == 1 else captions[number - 1]
        floats.append(_float("claims" if number == 1 else f"claims.{number}", caption, part))
    return "\n".join(floats)


def _float(name: str, caption: str, rows: list[list[str]]) -> str:
    """One float, as wide as a line; every cell is broken into lines."""
    columns = "".join(rf"p{{{width}\linewidth}}" for width in LATEX_WIDTHS)
    style = r"\tiny\setlength{\tabcolsep}{1.5pt}\renewcommand{\arraystretch}{1.2}"
    lines = [latex_row(HEAD[0], HEAD[1:]), r"\midrule", *map(ragged_row, rows)]
    return framed(name, caption, style, rf"@{{}}{columns}@{{}}", lines)


def ragged_row(cells: list[str]) -> str:
    r"""A row of paragraphs that are not spaced out, which redefines `\\`."""
    return " & ".join(rf"\raggedright {breakable(cell)}" for cell in cells) + r" \tabularnewline"


def breakable(text: str) -> str:
    """Text that LaTeX may break after every slash, underscore and dash, but not after the minus of a number."""
    escaped = re.sub(r"(?<![\w])-(?=\d)", r"\\mbox{-}", escape(text))
    for mark in ("/", r"\_"):
        escaped = escaped.replace(mark, mark + r"\allowbreak{}")
    return escaped
