"""The answer to a study's question: a line per question, the setting, and what weakens the answer.

The question: does fine-tuning on several source languages help low-resource languages compared with one source, and is
training on one language after the other better than on all at once? The verdict of a declared contrast between the two
schedules answers it. Without one, schedules are compared seed by seed, and the answer claims a direction only if the
95% CI of the mean difference excludes 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from crosstune.analysis.cells import Cell, collapsed_runs
from crosstune.analysis.estimates import UNJUDGED
from crosstune.analysis.intervals import CONFIDENCE, Interval, interval
from crosstune.analysis.results import UNTRAINED, Panel, StageInfo
from crosstune.core.text import count, decimal
from crosstune.reporting.figures.forest import difference_text
from crosstune.reporting.tables.contrasts import collapse_sentence, contrast_of_pair, contrast_results, unreached
from crosstune.reporting.tables.published import published_comparisons, summary_sentence

ROLES = ("single", "joint", "sequential")

# The questions of the headline, with the roles of the two schedules.
QUESTIONS = (
    ("Several source languages at once, or one?", "joint", "single"),
    ("One language after the other, or all at once?", "sequential", "joint"),
)

# Below so many seeds, intervals are wide; as many names are listed at most.
FEW_SEEDS, MOST_NAMES = 5, 8

# Up to so many trained languages have their names besides their codes.
MOST_TITLES = 4


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
    def seeds(self) -> int:
        return len(self.difference.values)

    @property
    def interval(self) -> Interval | None:
        """The interval of the mean difference over seeds; None for a single seed."""
        return interval(self.difference.values, resolution=self.difference.resolution)

    @property
    def text(self) -> str:
        """`+6.0 [−0.2, 12.1]`."""
        ends = self.interval
        return difference_text(self.difference.mean, *((ends.low, ends.high) if ends else (None, None)))

    @property
    def verdict(self) -> str:
        """`better` or `worse` if the interval excludes 0, else `inconclusive`; `missing` without a seed.

        UNJUDGED if neither schedule beats the trivial baselines, or in a pilot.
        """
        if not self.seeds:
            return "missing"
        if not self.judged:
            return UNJUDGED
        ends = self.interval
        return "better" if ends and ends.low > 0 else "worse" if ends and ends.high < 0 else "inconclusive"


@dataclass(frozen=True)
class VerdictLine:
    """The answer to one question: the verdict in words, the difference with its interval, and what it is about."""

    question: str
    verdict: str
    number: str
    scope: str

    @property
    def text(self) -> str:
        """The line in one sentence."""
        parts = [f"{self.question} {self.verdict}.", self.number, f"({self.scope})." if self.scope else ""]
        return " ".join(filter(None, parts)).strip()


def verdict_lines(panel: Panel) -> list[VerdictLine]:
    """A line per question of the headline, for one model.

    For a study that reproduces a published table and names no headline schedules, one line with the table's
    differences. A pilot answers nothing.
    """
    if panel.study.pilot:
        size = count(panel.study.plan["pilot"], "example")
        text = f"This is a pilot. It scores at most {size} of each test set after a tenth of the training: no answer"
        return [VerdictLine("", text, "", "")]
    published = [comparison for comparison in published_comparisons(panel.study) if comparison.panel == panel]
    if not headline(panel) and published and published[0].entry["differences"]:
        return [VerdictLine("", summary_sentence(published[0]).rstrip("."), "", "")]
    return [verdict_line(panel, *question) for question in QUESTIONS]


def answer(panel: Panel) -> str:
    """The lines as text."""
    return " ".join(line.text.strip() for line in verdict_lines(panel))


def verdict_line(panel: Panel, question: str, one: str, other: str) -> VerdictLine:
    """The answer for two roles: that of the declared contrast or, without one, of the seeds."""
    if problem := unanswerable_reason(panel, one, other):
        return VerdictLine(question, f"Not answered: {problem}", "", "")
    schedules = headline(panel)
    found = compare(panel, schedules[one], schedules[other], target_languages(panel))
    declared, reversed_order = contrast_of_pair(panel, found.a, found.b, target_languages(panel)) or (None, False)
    verdict, text, confidence, smallest = found.verdict, found.text, f"{CONFIDENCE:.0%}", ""
    seeds, lacking = found.seeds, "beats the trivial baselines"
    if declared and declared.has_seeds:
        verdict, confidence, smallest = declared.verdict("seeds"), declared.confidence, declared.smallest_effect
        lacking = unreached(declared.entry)
        if reversed_order:
            verdict = {"better": "worse", "worse": "better"}.get(verdict, verdict)
        sign, estimate = -1 if reversed_order else 1, declared.estimate("seeds")
        ends = sorted(sign * end for end in estimate["interval"]) if estimate else (None, None)
        text, seeds = difference_text(sign * declared.entry["mean"], *ends), declared.seeds
    a, b = panel.schedule_title(found.a), panel.schedule_title(found.b)
    words = {
        "better": f"{a} is better than {b}",
        "worse": f"{a} is worse than {b}",
        "equivalent": f"{a} and {b} are equivalent within ±{smallest}",
        "inconclusive": "Inconclusive",
        UNJUDGED: f"Not judged: neither schedule {lacking}",
    }
    mean, _, ends = text.partition(" ")
    number = f"{a} − {b} = {mean} points, {f'{confidence} CI {ends}' if ends else 'no CI from one seed'}"
    scope = f"{panel.labels[panel.metric]} {means_of(panel, found.a, found.b)}: {target_name(panel)} of "
    scope += f"{panel.dataset_title}, {count(seeds, 'seed')}"
    return VerdictLine(question, words[verdict], number, scope)


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
        return f"no seed has scores of both {' and '.join(map(panel.schedule_title, names))}"
    return ""


def headline(panel: Panel) -> dict[str, str]:
    """The schedules of the question by role, as far as the plan names them and the track has them."""
    named = panel.study.plan.get("headline") or {}
    return {role: named[role] for role in ROLES if named.get(role) in panel.schedules}


def target_languages(panel: Panel) -> list[str]:
    """The languages of the question: low-resource ones; if there are none, unseen ones; if none either, all."""
    return panel.low_resource_languages or panel.unseen_languages or panel.languages


def target_name(panel: Panel) -> str:
    """`7 low-resource languages`, which may be invented."""
    kind = "low-resource" if panel.low_resource_languages else "unseen" if panel.unseen_languages else "evaluated"
    languages = target_languages(panel)
    invented = "invented " if all(panel.language_info(lang).get("synthetic") for lang in languages) else ""
    return count(len(languages), f"{invented}{kind} language")


def means_of(panel: Panel, a: str, b: str) -> str:
    """`39.2 against 28.1`, the mean scores in the languages of the question over the seeds that both schedules have."""
    cells = [panel.over_folds(panel.cell(name, target_languages(panel), panel.metric)) for name in (a, b)]
    shared = cells[0].values.keys() & cells[1].values.keys()
    return " against ".join(decimal(fmean(cell.values[seed] for seed in shared), 1) for cell in cells)


def compare(panel: Panel, a: str, b: str, languages: Sequence[str]) -> SeedDifference:
    """The difference by seed; for folded data, of the means over folds."""
    difference = panel.cell(a, languages, panel.metric).difference(panel.cell(b, languages, panel.metric))
    difference = panel.over_folds(difference)
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
    rows = [
        (panel.study.names.difference(a, b), [compare(panel, a, b, languages) for languages in groups.values()])
        for a, b in pairs
    ]
    return [f"{name} ({len(languages)})" for name, languages in groups.items()], rows


# --- the setting -----------------------------------------------------------------------------------------------------


def setting(panel: Panel) -> str:
    """One sentence on model, data, languages, budget and seeds."""
    plan = panel.study.plan
    titles = {(entry["what"], entry["name"]): entry["title"] for entry in plan.get("cited", [])}
    model = titles.get(("model", panel.model), "")
    made = " (pretrained by this study)" if model == "made here" else f" ({model})" if model else ""
    title = titles.get(("data set", panel.dataset), "")
    seeds, budget = ", ".join(map(str, plan["seeds"])), panel.track_plan["budget"]
    length = f"{budget['updates']:,} updates" if "updates" in budget else f"{budget.get('epochs', '?')} epochs"
    matched = "compute-matched" if panel.track_plan["matched"] else "not compute-matched"
    invented = [lang for lang in panel.languages if panel.language_info(lang).get("synthetic")]
    kinds = [f"{len(panel.low_resource_languages)} low-resource", f"{len(panel.seen_languages)} seen in training"]
    noun = "language"
    if invented:
        every = len(invented) == len(panel.languages)
        noun, kinds = ("invented language", kinds) if every else (noun, [*kinds, f"{len(invented)} invented"])
    return (
        f"Model {panel.model_title}{made}; test data {panel.dataset_title}{f' ({title})' if title else ''} in "
        f"{count(len(panel.languages), noun)}: {', '.join(kinds)}; {length} of up to {budget['tokens']:,} tokens "
        f"for every schedule ({matched}); {'seeds' if len(plan['seeds']) > 1 else 'seed'} {seeds}."
    )


def schedule_meanings(panel: Panel) -> list[tuple[str, str]]:
    """The schedules of the question with their stages: (`sequential`, `qen → qes`)."""
    names = list(dict.fromkeys(headline(panel).values()))
    named = len({language for name in names for language in panel.training_languages(name)}) <= MOST_TITLES

    def sources(stage: StageInfo) -> str:
        return " + ".join(map(panel.language_title, stage.languages)) if named else panel.short_sources(stage.sources)

    return [
        (panel.schedule_title(name), " → ".join(map(sources, panel.stages(name))) or "no training") for name in names
    ]


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
    """Sentences on the limits of the answer: missing runs, few seeds, schedules below baselines, unequal budgets."""
    missing, planned = panel.count_missing_runs()
    weak = [panel.schedule_title(row.schedule) for row in baseline_margins(panel) if row.smallest <= 0]
    unlearned, collapsed = unlearned_languages(panel), collapsed_seeds(panel)
    shown = list(map(panel.study.names.language, unlearned))
    sentences = [
        (missing, f"{missing} of {count(planned, 'run')} missing; every number uses the runs that exist."),
        (len(panel.study.plan["seeds"]) < FEW_SEEDS, few_seeds_sentence(panel)),
        (
            unlearned,
            f"In {len(unlearned)} of {target_name(panel)} ({listed(shown)}) no compared schedule beats the "
            "trivial baselines; they count in the means.",
        ),
        (collapsed, collapse_sentence(collapsed)),
        (weak, f"No better than trivial baselines with some seed: {listed(weak)}."),
        (not panel.track_plan["matched"], "The schedules are not compute-matched: differences may come from budgets."),
        (
            "patience" in panel.track_plan,
            "Stages stopped early, by validation scores: the cost tables show the updates that each schedule made.",
        ),
        (not panel.low_resource_languages, "No evaluated language is marked as low-resource."),
    ]
    return [text for applies, text in sentences if applies]


def few_seeds_sentence(panel: Panel) -> str:
    """What few seeds can show: the minimum detectable effects of the contrasts on this panel."""
    seeds = count(len(panel.study.plan["seeds"]), "seed")
    found = [result for result in contrast_results(panel.study) if panel in result.panels and result.estimate("seeds")]
    if not found or panel.study.pilot:
        return f"Few seeds: with {seeds} the CIs are wide."
    effects = [f"{result.name} {decimal(result.estimate('seeds')['detects'], 1)}" for result in found]
    smallest = ", ".join(dict.fromkeys(result.smallest_effect for result in found))
    return (
        f"Few seeds: with {seeds} the minimum detectable effect (80% power) is, in points, {'; '.join(effects)}. The "
        f"declared smallest effect is {smallest}."
    )


def listed(names: Sequence[str]) -> str:
    """The first names, and how many there are besides."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


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
        f"seed {run} of {panel.schedule_title(schedule)}"
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
