"""The question of a study, answered in words, and what weakens the answer.

Owns: the comparisons that answer the question, and how they are worded. Must never know: pages, how scores are made.

The question: does fine-tuning on several source languages help low-resource languages against one source, and is one
language after the other better than all at once? Where the study declares a contrast between the two schedules, its
verdict is the answer. Elsewhere schedules are compared seed by seed, and a direction is claimed only where the 95%
interval of the mean difference leaves out 0; everything else is called no clear difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crosstune.analysis.intervals import Interval, interval
from crosstune.analysis.results import UNTRAINED, Cell, Panel
from crosstune.core.text import count, decimal
from crosstune.reporting.tables.contrasts import declared
from crosstune.reporting.tables.published import companions, told

ROLES = ("single", "joint", "sequential")


@dataclass(frozen=True)
class Contrast:
    """Schedule `a` against schedule `b`: the difference a - b of the mean score over some languages, by seed."""

    a: str
    b: str
    difference: Cell

    @property
    def higher(self) -> int:
        """The number of seeds in which `a` is higher."""
        return sum(value > 0 for value in self.difference.values.values())

    @property
    def lower(self) -> int:
        return sum(value < 0 for value in self.difference.values.values())

    @property
    def seeds(self) -> int:
        return len(self.difference.values)

    @property
    def interval(self) -> Interval | None:
        """Of the mean difference over seeds; None for a single one."""
        return interval(self.difference.values)

    @property
    def verdict(self) -> str:
        """`higher` or `lower` where the interval leaves out 0, else `unclear`; `missing` without any seed."""
        if not self.seeds:
            return "missing"
        ends = self.interval
        return "higher" if ends and ends.low > 0 else "lower" if ends and ends.high < 0 else "unclear"


def answer(panel: Panel) -> str:
    """The question answered in one sentence, with its numbers, for one model.

    A study that regenerates a published table, and names no schedules for the question, asks for its differences.
    """
    asked = [companion for companion in companions(panel.study) if companion.panel == panel]
    if not headline(panel) and asked and asked[0].entry["differences"]:
        return told(asked[0])
    return f"{sources_clause(panel)}; {order_clause(panel)}."


def sources_clause(panel: Panel) -> str:
    """Several sources against one."""
    schedules = headline(panel)
    if problem := unanswerable(panel, "joint", "single"):
        return f"Whether several source languages help {target_name(panel)} cannot be answered ({problem})"
    contrast = compare(panel, schedules["joint"], schedules["single"], targets(panel))
    several = f"fine-tuning on several source languages at once ({contrast.a})"
    one, them = f"one source ({contrast.b})", target_name(panel)
    wording = {
        "higher": f"{several} helps {them} compared with {one}",
        "lower": f"{several} hurts {them} compared with {one}",
        "unclear": f"{several} makes no clear difference to {them} against {one}",
        "equivalent": f"{several} and on {one} are equivalent for {them}",
        "undecided": f"whether {several} helps {them} compared with {one} is undecided",
    }
    text = concluded(panel, contrast, wording)
    return text[:1].upper() + text[1:]


def order_clause(panel: Panel) -> str:
    """One source after the other against all at once."""
    schedules = headline(panel)
    if problem := unanswerable(panel, "sequential", "joint"):
        return f"whether to train on one after the other or on all at once cannot be answered ({problem})"
    contrast = compare(panel, schedules["sequential"], schedules["joint"], targets(panel))
    wording = {
        "higher": f"one language after the other ({contrast.a}) is better for them than all at once ({contrast.b})",
        "lower": f"one language after the other ({contrast.a}) is worse for them than all at once ({contrast.b})",
        "unclear": f"between one language after the other ({contrast.a}) and all at once ({contrast.b}) "
        "there is no clear difference for them",
        "equivalent": f"one language after the other ({contrast.a}) and all at once ({contrast.b}) are equivalent for "
        "them",
        "undecided": f"whether one language after the other ({contrast.a}) or all at once ({contrast.b}) is better for "
        "them is undecided",
    }
    return concluded(panel, contrast, wording)


def concluded(panel: Panel, contrast: Contrast, wording: Mapping[str, str]) -> str:
    """The words for the verdict of the declared contrast between two schedules; without one for that of the seeds."""
    found = declared(panel, contrast.a, contrast.b, targets(panel))
    if not found or not found[0].worked:
        return f"{wording[contrast.verdict]}: {evidence(contrast)}"
    verdict, turned = found
    better, worse = ("lower", "higher") if turned else ("higher", "lower")
    words = wording[{"better": better, "worse": worse}.get(verdict.verdict("seeds"), verdict.verdict("seeds"))]
    within = f", within {verdict.smallest} points" if verdict.verdict("seeds") == "equivalent" else ""
    return f"{words}{within}: {verdict.evidence_of(contrast.a)}"


def declares(panel: Panel) -> bool:
    """Whether a declared contrast answers any part of the question."""
    schedules = headline(panel)
    pairs = [(schedules.get("joint"), schedules.get(other)) for other in ("single", "sequential")]
    return any(all(pair) and declared(panel, *pair, targets(panel)) for pair in pairs)


def unanswerable(panel: Panel, *roles: str) -> str:
    """Why two schedules of the headline cannot be compared, empty where they can."""
    schedules = headline(panel)
    for role in roles:
        if role not in schedules:
            return f"the plan names no schedule of this track as “{role}”"
    names = [schedules[role] for role in roles]
    if compare(panel, *names, targets(panel)).verdict == "missing":
        return f"no seed has scores of both {' and '.join(names)}"
    return ""


def evidence(contrast: Contrast) -> str:
    """`11.7 points higher on average (95% interval 10.4 to 13.0; higher in 3 of 3 seeds)`."""
    mean = contrast.difference.mean
    direction = "higher" if mean >= 0 else "lower"
    size = f"{decimal(abs(mean), 1)} points {direction}"
    if not contrast.interval:
        return f"{size} in the only seed, which cannot tell an effect from chance"
    times = contrast.higher if direction == "higher" else contrast.lower
    low, high = (decimal(end, 1) for end in (contrast.interval.low, contrast.interval.high))
    return f"{size} on average (95% interval {low} to {high}; {direction} in {times} of {contrast.seeds} seeds)"


def headline(panel: Panel) -> dict[str, str]:
    """The schedules that the question is about, by role, as far as the plan names them and the track has them."""
    named = panel.study.plan.get("headline") or {}
    return {role: named[role] for role in ROLES if named.get(role) in panel.schedules}


def targets(panel: Panel) -> list[str]:
    """The languages that the question is about: low-resource ones; where none is marked so, unseen ones; else all."""
    return panel.low or panel.unseen or panel.languages


def target_name(panel: Panel) -> str:
    kind = "low-resource" if panel.low else "unseen" if panel.unseen else "evaluated"
    return f"the {count(len(targets(panel)), f'{kind} language')}"


def compare(panel: Panel, a: str, b: str, languages: Sequence[str]) -> Contrast:
    """The difference by seed; where the data are split in several ways, of the means over the splits."""
    difference = panel.cell(a, languages, panel.metric).minus(panel.cell(b, languages, panel.metric))
    return Contrast(a, b, difference if panel.folds == [0] else difference.by_seed())


def contrasts(panel: Panel) -> tuple[list[str], list[tuple[str, list[Contrast]]]]:
    """The numbers behind the answer: names of the groups of languages, and every contrast in every group."""
    groups = {
        "low-resource": panel.low,
        "unseen related": panel.related,
        "unseen unrelated": panel.unrelated,
        "unseen": panel.unseen,
        "seen": panel.seen,
        "all": panel.languages,
    }
    groups = {name: languages for name, languages in groups.items() if languages}
    schedules = headline(panel)
    pairs = [
        (schedules[a], schedules[b])
        for a, b in (("joint", "single"), ("sequential", "joint"), ("sequential", "single"))
        if a in schedules and b in schedules
    ]
    rows = [(f"{a} - {b}", [compare(panel, a, b, languages) for languages in groups.values()]) for a, b in pairs]
    return [f"{name} ({len(languages)})" for name, languages in groups.items()], rows


# --- the floor and relatedness ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Margin:
    """A schedule on the languages it trained on itself, against the best floor of these languages."""

    schedule: str
    languages: list[str]
    score: Cell
    floor: float
    margin: Cell

    @property
    def smallest(self) -> float:
        return min(self.margin.values.values())


def floor_rows(panel: Panel) -> list[Margin]:
    """Every trained schedule that has scores against the floor, on its own source languages."""
    rows = []
    for schedule in panel.schedules:
        trained = {source.split(".", 1)[1] for stage in panel.stages(schedule) for source in stage.sources}
        languages = [lang for lang in panel.languages if lang in trained]
        floor = panel.best_floor(languages, panel.metric)
        if schedule == UNTRAINED or floor is None:
            continue
        score = panel.cell(schedule, languages, panel.metric)
        margin = Cell({seed: value - floor for seed, value in score.values.items()}, score.expected)
        if margin.values:
            rows.append(Margin(schedule, languages, score, floor, margin))
    return rows


def cautions(panel: Panel) -> list[str]:
    """What weakens the answer: missing runs, schedules at the floor, budgets that differ."""
    missing, planned = panel.missing_runs()
    sunk = [row.schedule for row in floor_rows(panel) if row.smallest <= 0]
    found = [
        (missing, f"{missing} of {count(planned, 'run')} missing; every number rests on the runs that exist."),
        (sunk, f"No better than the floor on its own source languages in some seed: {', '.join(sunk)}."),
        (not panel.content["matched"], "The schedules are not compute-matched: a difference may come from the budget."),
        (not panel.low, "No evaluated language is marked as low-resource."),
    ]
    return [text for holds, text in found if holds]


@dataclass(frozen=True)
class Relation:
    """A schedule on unseen low-resource languages: those of a trained family against the others."""

    schedule: str
    related: Cell
    unrelated: Cell
    contrast: Contrast


def relation_rows(panel: Panel) -> list[Relation]:
    """Every trained schedule on related and unrelated unseen low-resource languages; empty where a kind is absent."""
    related, unrelated = ([lang for lang in group if lang in panel.low] for group in (panel.related, panel.unrelated))
    if not (related and unrelated):
        return []
    rows = []
    for schedule in panel.schedules:
        near, far = (panel.cell(schedule, languages, panel.metric) for languages in (related, unrelated))
        if schedule != UNTRAINED:
            rows.append(Relation(schedule, near, far, Contrast("related", "unrelated", near.minus(far))))
    return rows
