"""How often the intervals and verdicts of contrasts are right: simulated studies whose truth is known.

    python benchmarks/calibration.py --out docs/results/calibration.md
    python benchmarks/calibration.py --results results/mine --out calibration-mine.md

The variances are those below, or with --results the ones that a finished study has estimated. Every simulated study
goes through the same functions as a real one.
"""

import argparse
import json
import math
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
from tabulate import tabulate

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from crosstune.analysis.cells import collapsed_runs  # noqa: E402
from crosstune.analysis.estimates import (  # noqa: E402
    Estimate,
    Sample,
    count_effects,
    estimate_one_language,
    estimate_over_examples,
    estimate_over_families,
    variance_components,
)
from crosstune.analysis.resampling import (  # noqa: E402
    percentile_interval,
    resampled_group_means,
    resampled_ratios,
    resampled_seed_means,
    sign_flip_p,
)
from crosstune.reporting.tables.contrasts import COMPONENTS  # noqa: E402

CONFIDENCE = 0.95
RESAMPLES = 500
EXAMPLES = 40
SMALLEST = 0.5
SEEDS = (2, 3, 5, 8)
QUESTIONS = ("seeds", "examples", "languages")
# Standard deviations of one seed's difference in one language, in points; the last two of a mean over its examples.
ASSUMED = {"seed": 0.5, "family": 0.0, "language": 1.0, "seed x language": 0.8, "example": 0.2, "seed x example": 0.2}
# Families of 40 languages, about as in the test sets of universal dependencies.
MANY = (15, 6, 4, 4, 3, 2, 1, 1, 1, 1, 1, 1)


@dataclass(frozen=True)
class Design:
    """Seeds, the number of each language's family, and its test set.

    correlation: of an example's effects between languages; 0 for test sets of each language's own. shared: the share of
    a language's examples that are translations.
    """

    seeds: int
    families: tuple[int, ...]
    correlation: float = 0.0
    shared: float = 1.0

    @property
    def labels(self) -> list[str]:
        shared = "" if self.shared == 1 else f", {100 * self.shared:.0f}% shared"
        test_set = f"rho {self.correlation}{shared}" if self.correlation else "own"
        return [str(self.seeds), str(len(self.families)), str(max(self.families) + 1), test_set]

    @property
    def examples(self) -> list[np.ndarray]:
        """The numbers of every language's examples."""
        common = round(EXAMPLES * self.shared) if self.correlation else 0
        units = range(len(self.families))
        return [np.r_[:common, (unit + 1) * EXAMPLES + common : (unit + 2) * EXAMPLES] for unit in units]


def sized(*sizes: int) -> tuple[int, ...]:
    """Families of these sizes."""
    return tuple(number for number, size in enumerate(sizes) for _ in range(size))


@dataclass(frozen=True)
class Study:
    """A simulated study with the true difference of every question.

    cells: (units, seeds, examples), the differences of examples. scores: of both schedules, (2, seeds). fixed: the
    errors of a difference depend on its size, as those of accuracies do, so that no other truth can be tried.
    """

    sample: Sample
    truths: Mapping[str, float]
    cells: np.ndarray = field(default_factory=lambda: np.zeros(0))
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0))
    fixed: bool = False

    def estimates(self) -> dict[str, Estimate]:
        """The estimate of every question that has one."""
        languages = estimate_over_families(self.sample)
        # The same as estimate_over_examples and estimate_over_seeds, which it has computed.
        examples = languages.narrower.narrower if languages else estimate_over_examples(self.sample)
        found = {"seeds": examples.narrower, "examples": examples}
        return found | ({"languages": languages} if languages else {})


# --- worlds ----------------------------------------------------------------------------------------------------------


def normal_studies(design: Design, sds: Mapping[str, float], studies: int, rng: np.random.Generator) -> Iterator[Study]:
    """Studies with normal effects, whose true difference in general is 0."""
    families, examples = np.array(design.families), design.examples
    seeds, units = design.seeds, len(families)
    places = np.stack([numbers % EXAMPLES for numbers in examples])
    common = np.stack([numbers < EXAMPLES for numbers in examples])[:, None] * design.correlation

    def draw(name: str, *shape: int) -> np.ndarray:
        return sds[name] * rng.standard_normal(shape)

    for _ in range(studies):
        language = draw("family", families.max() + 1)[families] + draw("language", units)
        cells = np.zeros((units, seeds, EXAMPLES))
        for name, rows in (("example", 1), ("seed x example", seeds)):
            own, translated = draw(name, units, rows, EXAMPLES), draw(name, 1, rows, EXAMPLES)[0][:, places]
            part = np.sqrt(1 - common) * own + np.sqrt(common) * np.moveaxis(translated, 1, 0)
            cells = cells + EXAMPLES**0.5 * part
            if name == "example":
                fixed = cells.mean()
        cells += (language[:, None] + draw("seed", 1, seeds) + draw("seed x language", units, seeds))[..., None]
        # In general families count alike; of these languages, languages do.
        truths = {"seeds": language.mean() + fixed, "examples": language.mean(), "languages": 0.0}
        yield Study(sample_of(cells, design, examples), truths, cells)


def sample_of(cells: np.ndarray, design: Design, examples: list[np.ndarray], step: float = 0.0) -> Sample:
    """The sample of differences of examples (units, seeds, examples)."""
    differences, units = cells.mean(axis=2), len(cells)
    influences = (cells - differences[..., None]) / cells.shape[2]
    weights = np.full(units, 1 / units)
    return Sample(differences.T, list(influences), weights, design.families, examples, np.full(units, step))


@dataclass(frozen=True)
class Accuracies:
    """Right and wrong answers: the accuracies of both schedules in an average language, examples in a language.

    An answer is right if a standard normal variable is below a threshold. Parts of its variance are that of the
    example, and that of the seed in a language. Languages move the threshold of both schedules alike.
    """

    a: float
    b: float
    examples: int
    example: float = 0.5
    seed: float = 0.02
    language: float = 0.05

    def simulate(self, design: Design, studies: int, rng: np.random.Generator) -> Iterator[Study]:
        """Studies with test sets of each language's own."""
        seeds, units = design.seeds, len(design.families)
        numbers = [np.arange(unit * self.examples, (unit + 1) * self.examples) for unit in range(units)]
        thresholds = np.array([normal_quantile(self.a), normal_quantile(self.b)])
        general = np.diff(normal_cdf(thresholds / (1 + self.language) ** 0.5))[0] * -100
        for _ in range(studies):
            moved = thresholds[:, None] + self.language**0.5 * rng.standard_normal(units)
            hard = self.example**0.5 * rng.standard_normal((units, 1, self.examples))
            shared = self.seed**0.5 * rng.standard_normal((2, units, seeds, 1))
            rest = (1 - self.example - self.seed) ** 0.5 * rng.standard_normal((2, units, seeds, self.examples))
            right = 100.0 * (hard + shared + rest < moved[..., None, None])
            here = normal_cdf((moved[..., None] - hard[:, 0]) / (1 - self.example) ** 0.5).mean(axis=(1, 2))
            there = normal_cdf(moved).mean(axis=1)
            truths = {"seeds": 100 * (here[0] - here[1]), "examples": 100 * (there[0] - there[1]), "languages": general}
            sample = sample_of(right[0] - right[1], design, numbers, 100 / self.examples)
            yield Study(sample, truths, fixed=True)


GRID = np.linspace(-9, 9, 20001)
BELOW = np.array([math.erfc(-z / math.sqrt(2)) / 2 for z in GRID])


def normal_cdf(z: np.ndarray) -> np.ndarray:
    return np.interp(z, GRID, BELOW)


def normal_quantile(probability: float) -> float:
    return float(np.interp(probability, BELOW[:15000], GRID[:15000]))


def collapsing_studies(
    design: Design, sds: Mapping[str, float], chance: float, studies: int, rng: np.random.Generator
) -> Iterator[Study]:
    """Studies in which trainings of the second schedule fail with a probability: it then gains a tenth of 30 points."""
    drop = 27.0
    for study in normal_studies(design, sds, studies, rng):
        failed = rng.random(design.seeds) < chance
        sample = replace(study.sample, differences=study.sample.differences + drop * failed[:, None])
        truths = {name: truth + drop * chance for name, truth in study.truths.items()}
        noise = rng.standard_normal((2, design.seeds))
        scores = np.stack([np.full(design.seeds, 40.0), 40 - drop * failed]) + noise
        yield Study(sample, truths, scores=scores)


# --- rates -----------------------------------------------------------------------------------------------------------


@dataclass
class Rates:
    """What happened in the studies of one row, a list of booleans each; by question, if it has several.

    covered: the interval contains the truth. wrong: better or worse, where the difference is 0.
    low, high: equivalent, where the difference is just the smallest effect, below or above 0. The other limit is far
    off, which is the worst case, unless the truth is fixed.
    found: a difference as large as the study before said that its design finds. nested: each interval contains
    that of the narrower question.
    """

    covered: dict[str, list[bool]] = field(default_factory=dict)
    wrong: dict[str, list[bool]] = field(default_factory=dict)
    low: dict[str, list[bool]] = field(default_factory=dict)
    high: dict[str, list[bool]] = field(default_factory=dict)
    widths: dict[str, list[float]] = field(default_factory=dict)
    found: list[bool] = field(default_factory=list)
    nested: list[bool] = field(default_factory=list)
    flagged: list[bool] = field(default_factory=list)

    def percent(self, kind: str, question: str) -> float:
        return 100 * float(np.mean(getattr(self, kind)[question]))


def count_rates(studies: Iterable[Study]) -> Rates:
    """The rates of simulated studies, from their intervals: verdicts follow from them (docs/statistics.md)."""
    rates, detects = Rates(), None
    for study in studies:
        estimates, intervals = study.estimates(), []
        for name, estimate in estimates.items():
            truth, sure = study.truths[name], estimate.interval(CONFIDENCE)
            wide = estimate.interval(2 * CONFIDENCE - 1)
            intervals.append((sure, wide))
            covered = sure.low <= truth <= sure.high
            small = wide.low - truth > -SMALLEST and wide.high - truth < SMALLEST
            found = {"covered": covered, "wrong": not covered and not small, "widths": sure.high - sure.low}
            found |= {"low": truth < wide.low, "high": truth > wide.high}
            if study.fixed:
                found["low"] = found["high"] = -abs(truth) < wide.low and wide.high < abs(truth)
            for kind, value in found.items():
                getattr(rates, kind).setdefault(name, []).append(value)
        pairs = [pair for narrow, wider in pairwise(intervals) for pair in zip(narrow, wider, strict=True)]
        rates.nested.append(all(outer.low <= inner.low and inner.high <= outer.high for inner, outer in pairs))
        if len(study.scores):
            rates.flagged.append(any(collapsed_runs(dict(enumerate(row)), 10.0) for row in study.scores.tolist()))
        seeds = estimates["seeds"]
        if detects is not None:
            rates.found.append(seeds.interval(CONFIDENCE).low - study.truths["seeds"] + detects > 0)
        detects = seeds.detectable_difference(CONFIDENCE)
    return rates


def rate_row(labels: list[str], rates: Rates) -> list[str]:
    """Coverage, false better or worse, and false equivalent by question; power and nesting."""
    cells = []
    for kind in ("covered", "wrong", "equivalent"):
        for question in QUESTIONS:
            if question not in rates.covered:
                cells.append("")
            elif kind == "equivalent":
                cells.append(f"{max(rates.percent('low', question), rates.percent('high', question)):.1f}")
            else:
                cells.append(f"{rates.percent(kind, question):.1f}")
    width = np.median(rates.widths[next(reversed(rates.widths))]) / np.median(rates.widths["seeds"])
    return [*labels, *cells, f"{100 * np.mean(rates.found):.0f}", f"{width:.1f}", str(rates.nested.count(False))]


HEAD = ["S", "languages", "families", "test set"]
RATES = [f"{kind} {question}" for kind in ("covers", "≠", "=") for question in ("s", "e", "l")]
RATES += ["power", "width", "not nested"]


# --- other tests -----------------------------------------------------------------------------------------------------


def other_rates(design: Design, sds: Mapping[str, float], studies: int, rng: np.random.Generator) -> list[str]:
    """The crossed bootstrap in general, the sign-flip test, and the count of languages where none differs."""
    covered, flipped, counted = [], [], []
    for study in normal_studies(design, sds, studies, rng):
        low, high = bootstrap_in_general(study, design, rng)
        covered.append(low <= 0 <= high)
        flipped.append(sign_flip_p(study.sample.by_seed - study.truths["seeds"]) <= 1 - CONFIDENCE)
    for study in normal_studies(design, {**sds, "family": 0.0, "language": 0.0}, studies, rng):
        units = [estimate_one_language(study.sample, number) for number in range(study.sample.units)]
        counted.append(any(count_effects([unit.mean for unit in units], [unit.p for unit in units], 1 - CONFIDENCE)))
    return [*design.labels, *(f"{100 * np.mean(values):.1f}" for values in (covered, flipped, counted))]


def bootstrap_in_general(study: Study, design: Design, rng: np.random.Generator) -> tuple[float, float]:
    """The percentile interval of the crossed bootstrap, with test sets of each language's own."""
    scores = np.stack([resampled_ratios(cell, None, rng, RESAMPLES) for cell in study.cells], axis=1)
    means = resampled_seed_means(scores, rng)
    return percentile_interval(resampled_group_means(means, study.sample.weights, design.families, rng), CONFIDENCE)


def recovered(design: Design, sds: Mapping[str, float], studies: int, rng: np.random.Generator) -> list[list[str]]:
    """What the decomposition of the variance says of simulated studies: roots of mean variances."""
    found = [variance_components(study.sample) for study in normal_studies(design, sds, studies, rng)]
    return [[name, f"{sds[name]:.2f}", f"{np.mean([one[name] for one in found]) ** 0.5:.2f}"] for name in found[0]]


def estimated(results: Path) -> dict[str, float]:
    """The standard deviations that the first contrast of a study has estimated, from contrasts.json or contrasts.md."""
    path = results / "contrasts.json"
    if path.exists():
        worked = json.loads(path.read_text(encoding="utf-8"))["contrasts"]
        parts = next(result["components"] for result in worked if result.get("components"))
        return {name: parts.get(name, 0.0) ** 0.5 for name in ASSUMED}
    rows = [line.split("|") for line in (results / "contrasts.md").read_text(encoding="utf-8").splitlines()]
    shown = {row[1].strip(): row[2] for row in reversed(rows) if len(row) == 5}
    return {name: float(shown.get(COMPONENTS[name], 0)) for name in ASSUMED}


# --- the page --------------------------------------------------------------------------------------------------------


def related_families(sds: Mapping[str, float]) -> dict[str, float]:
    """The deviations with 64% of the variance between languages between their families."""
    language = math.hypot(sds["family"], sds["language"])
    return {**sds, "family": language * 0.8, "language": language * 0.6}


def normal_rows(sds: Mapping[str, float], studies: int, rng: np.random.Generator) -> Iterator[list[str]]:
    """The rows of studies with normal effects: seeds x languages and families x test sets."""
    related = related_families(sds)
    apart = {**sds, "family": 0.0, "language": math.hypot(sds["family"], sds["language"])}
    layouts = [sized(3), sized(1, 1, 1), sized(2, 2, 2, 1), sized(6, 6), sized(*[1] * 12), sized(40), sized(*MANY)]
    designs = [Design(seeds, families) for families in layouts for seeds in SEEDS]
    # Where examples matter more than in the rows of own test sets.
    translated = [(rho, 1.0) for rho in (0.1, 0.3, 0.5)] + [(0.3, 0.5)]
    designs += [
        Design(seeds, families, rho, shared)
        for families in (layouts[2], layouts[4], layouts[6])
        for rho, shared in translated
        for seeds in SEEDS
    ]
    for design in designs:
        grouped = len(set(design.families)) < len(design.families)
        own = related if grouped else apart
        if design.correlation:
            own = {**own, "example": 3 * own["example"], "seed x example": 3 * own["seed x example"]}
        yield rate_row(design.labels, count_rates(normal_studies(design, own, studies, rng)))


def discrete_rows(studies: int, rng: np.random.Generator) -> Iterator[list[str]]:
    """The rows of studies of accuracies near 0, near 100 and at a half."""
    for languages, examples in ((3, 60), (12, 60), (3, 500)):
        for a, b in ((0.01, 0.01), (0.015, 0.01), (0.99, 0.985), (0.5, 0.5)):
            for seeds in SEEDS:
                design = Design(seeds, sized(*[1] * languages))
                rates = count_rates(Accuracies(a, b, examples).simulate(design, studies, rng))
                labels = [str(seeds), str(languages), str(examples), f"{100 * a:g} and {100 * b:g}%"]
                yield rate_row(labels, rates)


def collapse_rows(sds: Mapping[str, float], studies: int, rng: np.random.Generator) -> Iterator[list[str]]:
    """The rows of studies in which trainings collapse."""
    for chance in (0.0, 0.1, 0.3):
        for seeds in SEEDS:
            design = Design(seeds, sized(2, 2, 2, 1))
            rates = count_rates(collapsing_studies(design, sds, chance, studies, rng))
            cells = [f"{rates.percent('covered', question):.1f}" for question in QUESTIONS]
            yield [str(seeds), f"{100 * chance:.0f}%", *cells, f"{100 * np.mean(rates.flagged):.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--results", type=Path, help="folder of a study's contrasts.json or contrasts.md, for its variances"
    )
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies per design (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the simulation (%(default)s)")
    parser.add_argument("--out", type=Path, help="file for the tables")
    args = parser.parse_args()

    began = time.process_time()
    sds = estimated(args.results) if args.results else ASSUMED
    rng = np.random.default_rng(args.seed)
    normal = list(normal_rows(sds, args.studies, rng))
    discrete = list(discrete_rows(args.studies, rng)) if not args.results else []
    collapsed = list(collapse_rows(sds, args.studies, rng))
    designs = [Design(seeds, sized(*sizes)) for sizes in ((2, 2, 2, 1), [1] * 12) for seeds in (3, 5, 8)]
    others = [other_rates(design, sds, args.studies // 4, rng) for design in designs]
    parts = recovered(Design(5, sized(*MANY)), related_families(sds), args.studies // 4, rng)
    text = PAGE.format(
        date=date.today(),
        command=shlex.join(["python", *sys.argv]),
        seed=args.seed,
        studies=args.studies,
        error=f"{100 * (0.95 * 0.05 / args.studies) ** 0.5:.1f}",
        seconds=time.process_time() - began,
        deviations=", ".join(f"{name} {sd:.2f}" for name, sd in sds.items()),
        normal=pipe(normal, HEAD + RATES),
        discrete=DISCRETE.format(rows=pipe(discrete, ["S", "languages", "examples", "accuracies", *RATES]))
        if discrete
        else "",
        collapsed=pipe(collapsed, ["S", "chance", *(f"covers {name[0]}" for name in QUESTIONS), "flagged"]),
        others=pipe(others, [*HEAD, "bootstrap covers l", "sign-flip", "any false language"]),
        recovered=pipe(parts, ["part", "true", "estimated"]),
    )
    print(text)
    if args.out:
        args.out.write_text(text, encoding="utf-8")


def pipe(rows: list[list[str]], head: list[str]) -> str:
    return tabulate(rows, head, tablefmt="pipe", disable_numparse=True, colalign=["left"] + ["right"] * (len(head) - 1))


PAGE = """# How often the intervals and verdicts are right

{date}, `{command}`, seed {seed}, {studies} simulated studies per row (a quarter of them for the last two tables),
{seconds:.0f} s of one core. A rate of 95% is known to {error} points.

Standard deviations, in points: {deviations}. Where languages share families, 64% of the variance between languages is
that of their families. [Statistics](../statistics.md) explains the questions: s is about these languages and examples,
and decides the verdict; e is about other examples; l is about languages in general.

- covers: the 95% interval contains the truth.
- ≠: “better” or “worse”, where the difference is 0.
- =: “equivalent”, where the difference is just the smallest effect; with normal effects, of any smallest effect.
- power: of studies whose true difference is what an equal study's report says that it finds in 80% of all cases.
- width: the median width of the widest question's interval, in those of s.
- not nested: studies in which a wider question has the narrower interval, or the surer verdict.

## Normal effects

Test sets: each language's own, or translations of one. rho is the correlation of an example's effects between
languages. There, examples vary three times as much.

{normal}
{discrete}
## Collapsed trainings

One schedule gains 3 instead of 30 points over the trivial baselines, in each seed with a chance. flagged: the report
names a collapsed seed.

{collapsed}

## Other tests

The percentile interval of the crossed bootstrap, for languages in general; the sign-flip test and the count of
languages, where there is no difference.

{others}

## Parts of the variance

5 seeds, 40 languages of 12 families: standard deviations, true and estimated (roots of mean variances).

{recovered}
"""

DISCRETE = """
## Right and wrong answers

Accuracies of the two schedules; half of an answer's variance is that of its example.

{rows}
"""


if __name__ == "__main__":
    main()
