"""The answer to a study's question in words, and its limitations.

The question: does fine-tuning on several source languages help low-resource languages compared with one source, and is
training on one language after the other better than on all at once? The verdict of a declared contrast between the two
schedules answers it. Without one, schedules are compared seed by seed, and the answer claims a direction only if the
95% interval of the mean difference excludes 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crosstune.analysis.cells import Cell, collapsed_runs
from crosstune.analysis.estimates import UNJUDGED
from crosstune.analysis.intervals import Interval, interval
from crosstune.analysis.results import UNTRAINED, Panel
from crosstune.core.text import count, decimal
from crosstune.reporting.tables.contrasts import collapse_sentence, contrast_of_pair
from crosstune.reporting.tables.published import published_comparisons, summary_sentence

ROLES = ("single", "joint", "sequential")


@dataclass(frozen=True)
class SeedDifference:
    """The difference a - b between two schedules in their mean score over some languages, by seed.

    `judged`: whether one of them beats the trivial baselines there, in a study that is no pilot.
    """

    a: str
    b: str
    difference: Cell
    judged: bool = True

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
        """The interval of the mean difference over seeds; None for a single seed."""
        return interval(self.difference.values, resolution=self.difference.resolution)

    @property
    def verdict(self) -> str:
        """`higher` or `lower` if the interval excludes 0, else `unclear`; `missing` without a seed.

        UNJUDGED if neither schedule beats the trivial baselines, or in a pilot.
        """
        if not self.seeds:
            return "missing"
        if not self.judged:
            return UNJUDGED
        ends = self.interval
        return "higher" if ends and ends.low > 0 else "lower" if ends and ends.high < 0 else "unclear"


def answer(panel: Panel) -> str:
    """The answer in one sentence, with its numbers, for one model.

    For a study that reproduces a published table and names no headline schedules, these are the table's differences. A
    pilot answers nothing.
    """
    if panel.study.pilot:
        size = count(panel.study.plan["pilot"], "example")
        return f"This is a pilot. It scores at most {size} of each test set after a tenth of the training: no answer."
    published = [comparison for comparison in published_comparisons(panel.study) if comparison.panel == panel]
    if not headline(panel) and published and published[0].entry["differences"]:
        return summary_sentence(published[0])
    return f"{sources_clause(panel)}; {order_clause(panel)}."


def sources_clause(panel: Panel) -> str:
    """The answer for several sources against one."""
    schedules = headline(panel)
    if problem := unanswerable_reason(panel, "joint", "single"):
        return f"Whether several source languages help {target_name(panel)} cannot be answered ({problem})"
    contrast = compare(panel, schedules["joint"], schedules["single"], target_languages(panel))
    several = f"fine-tuning on several source languages at once ({contrast.a})"
    one, them = f"one source ({contrast.b})", target_name(panel)
    wording = {
        "higher": f"{several} helps {them} compared with {one}",
        "lower": f"{several} hurts {them} compared with {one}",
        "unclear": f"{several} makes no clear difference to {them} compared with {one}",
        "equivalent": f"{several} and on {one} are equivalent for {them}",
        "undecided": f"whether {several} helps {them} compared with {one} is undecided",
        UNJUDGED: f"whether {several} helps {them} compared with {one} is not judged, because neither beats the "
        "trivial baselines",
    }
    text = verdict_clause(panel, contrast, wording)
    return text[:1].upper() + text[1:]


def order_clause(panel: Panel) -> str:
    """The answer for one source after the other against all at once."""
    schedules = headline(panel)
    if problem := unanswerable_reason(panel, "sequential", "joint"):
        return f"whether to train on one after the other or on all at once cannot be answered ({problem})"
    contrast = compare(panel, schedules["sequential"], schedules["joint"], target_languages(panel))
    wording = {
        "higher": f"one language after the other ({contrast.a}) is better for them than all at once ({contrast.b})",
        "lower": f"one language after the other ({contrast.a}) is worse for them than all at once ({contrast.b})",
        "unclear": f"between one language after the other ({contrast.a}) and all at once ({contrast.b}) "
        "there is no clear difference for them",
        "equivalent": f"one language after the other ({contrast.a}) and all at once ({contrast.b}) are equivalent for "
        "them",
        "undecided": f"whether one language after the other ({contrast.a}) or all at once ({contrast.b}) is better for "
        "them is undecided",
        UNJUDGED: f"whether one language after the other ({contrast.a}) or all at once ({contrast.b}) is better for "
        "them is not judged, because neither beats the trivial baselines",
    }
    return verdict_clause(panel, contrast, wording)


def verdict_clause(panel: Panel, contrast: SeedDifference, wording: Mapping[str, str]) -> str:
    """The words for the verdict of the declared contrast between two schedules or, without one, of their seeds."""
    verdict, reversed_order = contrast_of_pair(panel, contrast.a, contrast.b, target_languages(panel)) or (None, False)
    if not verdict or not verdict.has_seeds:
        return f"{wording[contrast.verdict]}: {evidence(contrast)}"
    better, worse = ("lower", "higher") if reversed_order else ("higher", "lower")
    outcome = verdict.verdict("seeds")
    words = wording[{"better": better, "worse": worse}.get(outcome, outcome)]
    within = f", within {verdict.smallest_effect} points" if outcome == "equivalent" else ""
    return f"{words}{within}: {verdict.evidence(contrast.a)}"


def has_declared_contrast(panel: Panel) -> bool:
    """Whether a declared contrast answers part of the question."""
    schedules = headline(panel)
    pairs = [(schedules.get("joint"), schedules.get(other)) for other in ("single", "sequential")]
    return any(all(pair) and contrast_of_pair(panel, *pair, target_languages(panel)) for pair in pairs)


def unanswerable_reason(panel: Panel, *roles: str) -> str:
    """The reason why two schedules of the headline cannot be compared; empty if they can."""
    schedules = headline(panel)
    for role in roles:
        if role not in schedules:
            return f"the plan names no schedule of this track as “{role}”"
    names = [schedules[role] for role in roles]
    if compare(panel, *names, target_languages(panel)).verdict == "missing":
        return f"no seed has scores of both {' and '.join(names)}"
    return ""


def evidence(contrast: SeedDifference) -> str:
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
    """The schedules of the question by role, as far as the plan names them and the track has them."""
    named = panel.study.plan.get("headline") or {}
    return {role: named[role] for role in ROLES if named.get(role) in panel.schedules}


def target_languages(panel: Panel) -> list[str]:
    """The languages of the question: low-resource ones; if there are none, unseen ones; if none either, all."""
    return panel.low_resource_languages or panel.unseen_languages or panel.languages


def target_name(panel: Panel) -> str:
    kind = "low-resource" if panel.low_resource_languages else "unseen" if panel.unseen_languages else "evaluated"
    return f"the {count(len(target_languages(panel)), f'{kind} language')}"


def compare(panel: Panel, a: str, b: str, languages: Sequence[str]) -> SeedDifference:
    """The difference by seed; for folded data, of the means over folds."""
    difference = panel.cell(a, languages, panel.metric).difference(panel.cell(b, languages, panel.metric))
    difference = difference if panel.folds == [0] else difference.average_folds(len(panel.folds))
    judged = not panel.study.pilot and panel.is_learned([a, b], languages, panel.metric)
    return SeedDifference(a, b, difference, judged)


def seed_differences(panel: Panel) -> tuple[list[str], list[tuple[str, list[SeedDifference]]]]:
    """The names of the language groups, and every difference between headline schedules in every group."""
    groups = {
        "low-resource": panel.low_resource_languages,
        "unseen related": panel.related_languages,
        "unseen unrelated": panel.unrelated_languages,
        "unseen": panel.unseen_languages,
        "seen": panel.seen_languages,
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


# --- baselines, limitations, relatedness -----------------------------------------------------------------------------


@dataclass(frozen=True)
class BaselineMargin:
    """A schedule on its own training languages, against the best trivial baseline in each of them.

    If none of them is evaluated, on all evaluated languages.
    """

    schedule: str
    languages: list[str]
    score: Cell
    baseline: float
    margin: Cell

    @property
    def smallest(self) -> float:
        return min(self.margin.values.values())


def baseline_margins(panel: Panel) -> list[BaselineMargin]:
    """Every trained schedule with scores and trivial baselines in its languages."""
    margins = []
    for schedule in panel.schedules:
        trained = panel.training_languages(schedule)
        languages = [lang for lang in panel.seen_languages if lang in trained] or panel.languages
        baseline = panel.best_baseline(languages, panel.metric)
        if schedule == UNTRAINED or baseline is None:
            continue
        score = panel.cell(schedule, languages, panel.metric)
        margin = Cell({run: value - baseline for run, value in score.values.items()}, score.planned_runs)
        if margin.values:
            margins.append(BaselineMargin(schedule, languages, score, baseline, margin))
    return margins


def limitations(panel: Panel) -> list[str]:
    """Sentences on the limits of the answer: missing runs, schedules below trivial baselines, unequal budgets."""
    missing, planned = panel.count_missing_runs()
    weak = [row.schedule for row in baseline_margins(panel) if row.smallest <= 0]
    unlearned, collapsed = unlearned_languages(panel), collapsed_seeds(panel)
    sentences = [
        (missing, f"{missing} of {count(planned, 'run')} missing; every number uses the runs that exist."),
        (
            unlearned,
            f"In {len(unlearned)} of {target_name(panel)} ({', '.join(unlearned)}) no compared schedule beats the "
            "trivial baselines; they count in the means.",
        ),
        (collapsed, collapse_sentence(collapsed)),
        (weak, f"No better than trivial baselines with some seed: {', '.join(weak)}."),
        (not panel.track_plan["matched"], "The schedules are not compute-matched: differences may come from budgets."),
        (not panel.low_resource_languages, "No evaluated language is marked as low-resource."),
    ]
    return [text for applies, text in sentences if applies]


def compared_schedules(panel: Panel) -> list[str]:
    """The headline's schedules; without any, all trained ones."""
    return list(headline(panel).values()) or [name for name in panel.schedules if name != UNTRAINED]


def unlearned_languages(panel: Panel) -> list[str]:
    """The languages of the question in which no compared schedule beats the trivial baselines."""
    schedules = compared_schedules(panel)
    return [lang for lang in target_languages(panel) if not panel.is_learned(schedules, [lang], panel.metric)]


def collapsed_seeds(panel: Panel) -> list[str]:
    """`seed 2 of joint` for every collapsed run of the compared schedules, in the languages of the question."""
    languages = target_languages(panel)
    baseline = panel.best_baseline(languages, panel.metric) or 0.0
    return [
        f"seed {run} of {schedule}"
        for schedule in compared_schedules(panel)
        for run in collapsed_runs(panel.cell(schedule, languages, panel.metric).values, baseline)
    ]


@dataclass(frozen=True)
class RelatednessRow:
    """A schedule on related and unrelated unseen low-resource languages, by the families of the trained ones."""

    schedule: str
    related: Cell
    unrelated: Cell
    contrast: SeedDifference


def relatedness_rows(panel: Panel) -> list[RelatednessRow]:
    """A row per trained schedule; empty without unseen low-resource languages of both kinds."""
    low = panel.low_resource_languages
    related, unrelated = (
        [lang for lang in group if lang in low] for group in (panel.related_languages, panel.unrelated_languages)
    )
    if not (related and unrelated):
        return []
    rows = []
    for schedule in panel.schedules:
        if schedule != UNTRAINED:
            near, far = (panel.cell(schedule, languages, panel.metric) for languages in (related, unrelated))
            difference = SeedDifference("related", "unrelated", near.difference(far), not panel.study.pilot)
            rows.append(RelatednessRow(schedule, near, far, difference))
    return rows
