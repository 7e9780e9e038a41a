"""How often the intervals and tests of contrasts are right: simulated studies whose truth is known.

    python benchmarks/calibration.py --out docs/results/calibration.md
    python benchmarks/calibration.py --results results/default --out /tmp/calibration.md

The variances are those below, or with --results the ones that a finished study's contrasts.json has estimated. Every
simulated study goes through the same functions as a real one.
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from tabulate import tabulate

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from crosstune.analysis.estimates import (  # noqa: E402
    Sample,
    count_effects,
    estimate_one_language,
    estimate_over_examples,
    estimate_over_families,
    estimate_over_seeds,
    variance_components,
)
from crosstune.analysis.intervals import detectable_effect  # noqa: E402
from crosstune.analysis.resampling import (  # noqa: E402
    percentile_interval,
    resampled_group_means,
    resampled_ratios,
    resampled_seed_means,
    sign_flip_p,
)

CONFIDENCE = 0.95
RESAMPLES = 500
EXAMPLES = 40
# Standard deviations of one seed's difference in one language, in points; the last two of a mean over its examples.
ASSUMED = {"seed": 0.5, "family": 0.0, "language": 1.0, "seed x language": 0.8, "example": 0.2, "seed x example": 0.2}


@dataclass(frozen=True)
class Design:
    """Seeds, the number of each language's family, whether all languages have the same (translated) examples."""

    seeds: int
    families: tuple[int, ...]
    translated: bool = False

    @property
    def name(self) -> str:
        return f"{self.seeds} x {len(self.families)}"


def alone(languages: int) -> tuple[int, ...]:
    """Every language a family of its own."""
    return tuple(range(languages))


def sized(*sizes: int) -> tuple[int, ...]:
    """Families of these sizes."""
    return tuple(number for number, size in enumerate(sizes) for _ in range(size))


@dataclass(frozen=True)
class Truth:
    """A simulated study and what is true in it: of these languages and examples, of these languages, in general."""

    sample: Sample
    cells: np.ndarray
    seeds: float
    examples: float
    languages: float


def simulate(design: Design, deviations: dict[str, float], studies: int, rng: np.random.Generator) -> Iterator[Truth]:
    """Studies whose true difference in general is 0.

    Half of an example's effect is that of the example in all languages where the test set is a translated one.
    """
    families = np.array(design.families)
    seeds, units = design.seeds, len(families)
    for _ in range(studies):
        draw = {name: lambda *shape, sd=sd: sd * rng.standard_normal(shape) for name, sd in deviations.items()}
        language = draw["family"](families.max() + 1)[families] + draw["language"](units)
        example = draw["example"](units, 1, EXAMPLES) * EXAMPLES**0.5
        if design.translated:
            example = (example + draw["example"](1, 1, EXAMPLES) * EXAMPLES**0.5) / 2**0.5
        noise = draw["seed x example"](units, seeds, EXAMPLES) * EXAMPLES**0.5
        shared = draw["seed"](1, seeds, 1) + draw["seed x language"](units, seeds, 1)
        cells = language[:, None, None] + shared + example + noise
        differences = cells.mean(axis=2)
        influences = (cells - differences[..., None]) / EXAMPLES
        parts = [list(range(units))] if design.translated else [[unit] for unit in range(units)]
        sample = Sample(differences.T, list(influences), np.full(units, 1 / units), design.families, parts)
        # In general families count alike; of these languages, languages do.
        yield Truth(sample, cells, language.mean() + example.mean(), language.mean(), 0.0)


def covers(ends: tuple[float, float], truth: float) -> bool:
    return ends[0] <= truth <= ends[1]


def bootstrap_in_general(found: Truth, design: Design, rng: np.random.Generator) -> tuple[float, float]:
    """The percentile interval of the crossed bootstrap."""
    if design.translated:
        scores = resampled_ratios(found.cells, None, rng, RESAMPLES)
    else:
        scores = np.stack([resampled_ratios(cell, None, rng, RESAMPLES) for cell in found.cells], axis=1)
    means = resampled_seed_means(scores, rng)
    return percentile_interval(resampled_group_means(means, found.sample.weights, design.families, rng), CONFIDENCE)


def coverage(design: Design, deviations: dict[str, float], studies: int, rng: np.random.Generator) -> list[str]:
    """One row: how often each interval holds what it is about, and how wide the last two are."""
    hits: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}

    def count(name: str, ends: tuple[float, float], truth: float) -> None:
        hits.setdefault(name, []).append(covers(ends, truth))
        widths.setdefault(name, []).append(ends[1] - ends[0])

    for number, found in enumerate(simulate(design, deviations, studies, rng)):
        for name, estimate, truth in (
            ("seeds", estimate_over_seeds(found.sample), found.seeds),
            ("examples", estimate_over_examples(found.sample), found.examples),
            ("languages", estimate_over_families(found.sample), found.languages),
            ("seeds, misread", estimate_over_seeds(found.sample), found.languages),
        ):
            if estimate:
                ends = estimate.interval(CONFIDENCE)
                count(name, (ends.low, ends.high), truth)
        if number < studies // 4:
            count("bootstrap", bootstrap_in_general(found, design, rng), found.languages)
    columns = ("seeds", "examples", "languages", "bootstrap", "seeds, misread")
    shown = [f"{100 * np.mean(hits[name]):.1f}" if name in hits else "none" for name in columns]
    width = [f"{np.median(widths[name]):.1f}" for name in ("languages", "bootstrap")]
    return [design.name, str(max(design.families) + 1), "yes" if design.translated else "", *shown, *width]


def errors(design: Design, deviations: dict[str, float], studies: int, rng: np.random.Generator) -> list[str]:
    """One row: what the verdict of the first question, the sign-flip test and the count of languages get wrong."""
    smallest = 0.5
    wrong, missed, found_effect, flipped, family = [], [], [], [], []
    typical = (
        np.mean([estimate_over_seeds(truth.sample).error ** 2 for truth in simulate(design, deviations, 200, rng)])
        ** 0.5
    )
    effect = detectable_effect(design.seeds - 1, CONFIDENCE) * typical
    nowhere = deviations | {"family": 0.0, "language": 0.0}
    for truth in simulate(design, deviations, studies, rng):
        still = shifted(truth.sample, -truth.seeds)
        wrong.append(estimate_over_seeds(still).verdict(smallest, CONFIDENCE) in ("better", "worse"))
        missed.append(estimate_over_seeds(shifted(still, smallest)).verdict(smallest, CONFIDENCE) == "equivalent")
        found_effect.append(estimate_over_seeds(shifted(still, effect)).p <= 1 - CONFIDENCE)
        flipped.append(sign_flip_p(still.by_seed) <= 1 - CONFIDENCE)
    for truth in simulate(design, nowhere, studies // 2, rng):
        units = [estimate_one_language(truth.sample, number) for number in range(truth.sample.units)]
        family.append(any(count_effects([unit.mean for unit in units], [unit.p for unit in units], 1 - CONFIDENCE)))
    rates = [f"{100 * np.mean(values):.1f}" for values in (wrong, missed, flipped, family, found_effect)]
    return [design.name, *rates]


def shifted(sample: Sample, by: float) -> Sample:
    return Sample(sample.differences + by, sample.influences, sample.weights, sample.families, sample.example_groups)


def recovered(design: Design, deviations: dict[str, float], studies: int, rng: np.random.Generator) -> list[list[str]]:
    """What the decomposition of the variance says of simulated studies: roots of mean variances."""
    found = [variance_components(truth.sample) for truth in simulate(design, deviations, studies, rng)]
    return [
        [name, f"{deviations[name]:.2f}", f"{np.mean([one[name] for one in found]) ** 0.5:.2f}"] for name in found[0]
    ]


def estimated(results: Path) -> dict[str, float]:
    """The standard deviations that the first contrast of a finished study has estimated."""
    worked = json.loads((results / "contrasts.json").read_text(encoding="utf-8"))["contrasts"]
    parts = next(result["components"] for result in worked if result.get("components"))
    return {name: parts.get(name, 0.0) ** 0.5 for name in ASSUMED}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, help="folder of a finished study whose variances are taken")
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies per design (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the simulation (%(default)s)")
    parser.add_argument("--out", type=Path, help="file for the tables")
    args = parser.parse_args()

    began = time.perf_counter()
    deviations = estimated(args.results) if args.results else ASSUMED
    apart = {**deviations, "family": 0.0, "language": float(np.hypot(deviations["family"], deviations["language"]))}
    related = apart | {"family": apart["language"] * 0.8, "language": apart["language"] * 0.6}
    small = apart | {"example": 3 * apart["example"], "seed x example": 3 * apart["seed x example"]}
    rng = np.random.default_rng(args.seed)
    grid = [Design(seeds, alone(languages)) for languages in (2, 11, 50) for seeds in (3, 5, 10)]
    grouped = [
        Design(seeds, sizes) for sizes in (sized(5, 2, 2, 1, 1), sized(22, *[3] * 6, *[1] * 10)) for seeds in (3, 5, 10)
    ]
    translated = [Design(seeds, alone(11), translated=True) for seeds in (3, 5, 10)]

    head = ["seeds x languages", "families", "translated", "these languages and examples", "these languages"]
    head += ["in general", "in general, bootstrap", "in general, t over seeds", "width", "width, bootstrap"]
    rows = [coverage(design, apart, args.studies, rng) for design in grid]
    rows += [coverage(design, related, args.studies, rng) for design in grouped]
    rows += [coverage(design, small, args.studies, rng) for design in translated]
    wrong = ["seeds x languages", "false better or worse", "false equivalent", "sign-flip", "any false language"]
    wrong += ["found at the detectable effect"]
    mistakes = [errors(design, apart, args.studies, rng) for design in grid if len(design.families) == 11]
    parts = recovered(grouped[4], related, args.studies // 4, rng)

    text = PAGE.format(
        date=date.today(),
        command=shlex.join(["python", *sys.argv]),
        seed=args.seed,
        studies=args.studies,
        error=f"{100 * (0.95 * 0.05 / args.studies) ** 0.5:.1f}",
        seconds=time.perf_counter() - began,
        deviations=", ".join(f"{name} {sd:.2f}" for name, sd in apart.items()),
        coverage=pipe(rows, head),
        errors=pipe(mistakes, wrong),
        recovered=pipe(parts, ["part", "true", "estimated"]),
        design=f"{grouped[4].name}, families of 22, 3 x 6, 1 x 10",
    )
    print(text)
    if args.out:
        args.out.write_text(text, encoding="utf-8")


def pipe(rows: list[list[str]], head: list[str]) -> str:
    return tabulate(rows, head, tablefmt="pipe", disable_numparse=True, colalign=["left"] + ["right"] * (len(head) - 1))


PAGE = """# How often the intervals are right

{date}, `{command}`, seed {seed}, {studies} simulated studies per row (a quarter of them for the bootstrap, half for
"any false language"), {seconds:.0f} s. A rate of 95% is known to {error} points.

Standard deviations, in points: {deviations}. Where families are named, 64% of the variance between languages is that
of their families. In the rows of a translated test set the examples vary three times as much, half of it in all
languages alike.

## Coverage of 95% intervals, in percent

What each is about: [statistics](../statistics.md). The interval of the first column is the one behind the verdict. The
fourth column is the percentile interval of the crossed bootstrap, the fifth the first interval, misread as one of
languages in general.

{coverage}

## Errors of tests at the level of 5%, in percent

False better or worse: the verdict where the true difference is 0. False equivalent: where it is the smallest effect of
0.5. Any false language: one or more called better or worse where none is. The last column should be 80.

{errors}

## Parts of the variance

{design}: standard deviations, true and estimated (roots of mean variances).

{recovered}
"""


if __name__ == "__main__":
    main()
