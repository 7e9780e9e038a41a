"""The declared contrasts of a study: estimates and tests of the difference between two schedules, for contrasts.json.

Both schedules are scored on the same examples with the same seeds. The unit of observation is the difference of one
seed in one language. A contrast uses the seeds for which both schedules have scores in all its languages, and lists
the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from crosstune.analysis.cells import collapsed_runs
from crosstune.analysis.estimates import (
    NO_VERDICT,
    UNJUDGED,
    Estimate,
    ExampleGroup,
    Sample,
    combined_freedom,
    count_effects,
    estimate_one_language,
    estimate_over_examples,
    estimate_over_families,
    estimate_over_seeds,
    holm_adjust,
    variance_components,
)
from crosstune.analysis.resampling import (
    percentile_interval,
    resampled_group_means,
    resampled_ratios,
    resampled_seed_means,
    sign_flip_p,
    smallest_sign_flip_p,
)
from crosstune.analysis.results import FINAL, Panel, StudyResults
from crosstune.core.errors import UserError
from crosstune.core.random_streams import stream
from crosstune.data.record import key_of_example
from crosstune.evaluation.metrics import Metric
from crosstune.evaluation.scoring import parse_row

RESAMPLES = 10_000

# Decimals of the numbers in contrasts.json.
DIGITS = 6

# The largest accepted difference between a score and the score computed from its examples.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class ExampleScores:
    """One run's examples in one language, sorted by id.

    positions: (examples,), their places in the file, from 0. parts: (2, examples), numerators and denominators.
    """

    ids: tuple[str, ...]
    positions: tuple[int, ...]
    parts: np.ndarray

    @property
    def score(self) -> float:
        above, below = self.parts.sum(axis=1)
        return float(above / below) if below else 0.0


@dataclass(frozen=True)
class LanguageScores:
    """One language of one panel, scored by both schedules with every seed.

    keys: (examples,), equal for translations of one example. numerators, denominators: (2, seeds, examples), schedule
    `a` first. baseline: the score of the best trivial baseline, None if there is none.
    """

    name: str
    language: str
    family: str
    weight: float
    keys: tuple[str, ...]
    numerators: np.ndarray
    denominators: np.ndarray
    baseline: float | None = None

    @cached_property
    def scores(self) -> np.ndarray:
        """(2, seeds)."""
        below = self.denominators.sum(axis=-1)
        return np.divide(self.numerators.sum(axis=-1), below, out=np.zeros_like(below), where=below != 0)

    @property
    def differences(self) -> np.ndarray:
        """(seeds,)."""
        return self.scores[0] - self.scores[1]

    @cached_property
    def influences(self) -> np.ndarray:
        """The influence of each example on the difference, (seeds, examples): exact for means, linear for ratios."""
        below = self.denominators.sum(axis=-1, keepdims=True)
        moved = self.numerators - self.scores[..., None] * self.denominators
        moved = np.divide(moved, below, out=np.zeros_like(moved), where=below != 0)
        return moved[0] - moved[1]

    @property
    def is_learned(self) -> bool:
        """Whether a schedule beats the trivial baselines; true without any."""
        return self.baseline is None or float(self.scores.mean(axis=1).max()) > self.baseline


@dataclass(frozen=True)
class PairedScores:
    """The complete seeds of a contrast with one model, and its units: the languages of its panels.

    not_reached: the declared scores that neither schedule reaches, as {"panel", "language", "needed", "reached"}.
    """

    seeds: list[int]
    planned_seeds: list[int]
    units: list[LanguageScores]
    missing_scores: list[str] = field(default_factory=list)
    not_reached: list[dict] = field(default_factory=list)

    @cached_property
    def families(self) -> list[int]:
        """The number of each unit's family, from 0 in alphabetical order."""
        names = sorted({unit.family for unit in self.units})
        return [names.index(unit.family) for unit in self.units]

    @property
    def is_learned(self) -> bool:
        """Whether a schedule reaches the declared scores and beats the trivial baselines in the mean over the units.

        A unit without a baseline is beaten by every schedule.
        """
        if self.not_reached:
            return False
        baselines = [unit.baseline for unit in self.units]
        if None in baselines:
            return True
        means = sum(unit.weight * unit.scores.mean(axis=1) for unit in self.units)
        return float(means.max()) > sum(unit.weight * unit.baseline for unit in self.units)

    @cached_property
    def sample(self) -> Sample:
        numbers: dict[str, int] = {}
        return Sample(
            np.stack([unit.differences for unit in self.units], axis=1),
            [unit.influences for unit in self.units],
            np.array([unit.weight for unit in self.units]),
            self.families,
            [np.array([numbers.setdefault(key, len(numbers)) for key in unit.keys]) for unit in self.units],
            np.array([100 / len(unit.keys) for unit in self.units]),
        )


def compute_contrasts(study: StudyResults, results: Path) -> list[dict]:
    """Every contrast of the plan with every model, as entries of contrasts.json; reads the scores of examples."""
    reader = ExampleReader(results)
    return [
        compute_contrast(study, contrast, model, reader)
        for contrast in study.plan.get("contrasts", [])
        for model in study.plan["models"]
        if any((model, panel["track"], contrast["a"]) in study.runs for panel in contrast["panels"])
    ]


def compute_contrast(
    study: StudyResults, contrast: dict, model: str, reader: "ExampleReader", resamples: int = RESAMPLES
) -> dict:
    """One contrast with one model: {"contrast", "model", "seeds", "planned", "lacking"} and, if any seed is complete,
    its `contrast_numbers`."""
    paired = pair_scores(study, contrast, model, reader)
    head = {
        "contrast": contrast,
        "model": model,
        "seeds": paired.seeds,
        "planned": paired.planned_seeds,
        "lacking": paired.missing_scores,
    }
    if not paired.seeds:
        return head
    numbers = contrast_numbers(paired, contrast["smallest_effect"], contrast["confidence"], resamples)
    if paired.not_reached:
        numbers["not_reached"] = paired.not_reached
    return head | round_floats(without_verdicts(numbers) if study.pilot else numbers)


# --- pairing ---------------------------------------------------------------------------------------------------------


class ExampleReader:
    """Reads the scores of examples under a folder of results, each file once."""

    def __init__(self, results: Path):
        self.results = results
        self._cache: dict[tuple[str, str, str], dict[str, ExampleScores]] = {}

    def read(self, stage: str, dataset: str, metric: Metric, key: str) -> dict[str, ExampleScores]:
        """The examples of a stage on a data set by language; empty without scores."""
        place = (stage, dataset, key)
        if place not in self._cache:
            self._cache[place] = read_examples(self.results / stage / f"scores/{dataset}.examples.jsonl", metric, key)
        return self._cache[place]


def read_examples(path: Path, metric: Metric, key: str) -> dict[str, ExampleScores]:
    """The examples in a file of score.py by language; empty without the file.

    Raises UserError for a line that is no record of the metric.
    """
    by_language: dict[str, tuple[list[str], list[tuple[float, float]]]] = {}
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except FileNotFoundError:
        return {}
    for number, line in enumerate(lines, start=1):
        row = parse_row(line, f"{path}:{number}")
        try:
            ids, parts = by_language.setdefault(row["lang"], ([], []))
            parts.append(metric.ratio_terms(row, key))
        except KeyError as error:
            fix = "Delete the file and score again."
            raise UserError(f"an example without {error.args[0]!r}", f"{path}:{number}", fix) from None
        ids.append(row["id"])
    return {lang: sort_examples(ids, parts) for lang, (ids, parts) in by_language.items()}


def sort_examples(ids: Sequence[str], parts: Sequence[tuple[float, float]]) -> ExampleScores:
    order = sorted(range(len(ids)), key=lambda i: ids[i])
    return ExampleScores(tuple(ids[i] for i in order), tuple(order), np.array([parts[i] for i in order], dtype=float).T)


def pair_scores(study: StudyResults, contrast: dict, model: str, reader: ExampleReader) -> PairedScores:
    """The examples of both schedules, paired by seed and language. Raises UserError if they do not match."""
    scored: dict[int, dict[tuple[int, str], dict[str, ExampleScores]]] = {}
    planned, missing = set(), set()
    panels = [Panel(study, model, entry["track"], entry["dataset"]) for entry in contrast["panels"]]
    for number, (panel, entry) in enumerate(zip(panels, contrast["panels"], strict=True)):
        for role in ("a", "b"):
            for run in panel.runs(contrast[role]):
                seed, stage = run["seed"], run["stages"][FINAL]
                planned.add(seed)
                examples = reader.read(stage, panel.fold_dataset(0), panel.metric_spec, entry["metric"])
                scores = panel.run_scores(run, FINAL)
                for lang in entry["languages"]:
                    if lang in examples and lang in scores:
                        check_number(entry, scores[lang], lang)
                        check_score(examples[lang], scores[lang][entry["metric"]], f"{stage}, {lang}")
                        scored.setdefault(seed, {}).setdefault((number, lang), {})[role] = examples[lang]
                    else:
                        missing.add(f"{contrast[role]}, seed {seed}")
    keys = [(number, lang) for number, entry in enumerate(contrast["panels"]) for lang in entry["languages"]]
    seeds = [seed for seed in sorted(scored) if all(len(scored[seed].get(key, {})) == 2 for key in keys)]
    units = []
    for number, lang in keys if seeds else []:
        entry, panel = contrast["panels"][number], panels[number]
        weight = 1 / len(panels) / len(entry["languages"])
        name = lang if len(panels) == 1 else f"{entry['dataset']}.{lang}"
        runs = [[scored[seed][number, lang][role] for seed in seeds] for role in ("a", "b")]
        units.append(language_scores(name, panel, lang, entry | {"weight": weight}, runs))
    units.sort(key=lambda unit: unit.name)
    return PairedScores(seeds, sorted(planned), units, sorted(missing), scores_not_reached(contrast, panels, seeds))


def scores_not_reached(contrast: Mapping, panels: Sequence[Panel], seeds: Sequence[int]) -> list[dict]:
    """The scores that a contrast declares as learned and that neither schedule reaches, on average over `seeds`."""
    found = []
    for panel, entry in zip(panels, contrast["panels"], strict=True):
        for lang, needed in contrast.get("learned", {}).items() if seeds else ():
            means = []
            for role in ("a", "b"):
                scores = [panel.run_scores(run, FINAL) for run in panel.runs(contrast[role]) if run["seed"] in seeds]
                known = [score[lang][entry["metric"]] for score in scores if lang in score]
                means += [float(np.mean(known))] if known else []
            if means and max(means) < needed:
                name = f"{entry['track']}/{entry['dataset']}"
                found.append({"panel": name, "language": lang, "needed": needed, "reached": max(means)})
    return found


def check_number(entry: Mapping, scores: Mapping, lang: str) -> None:
    """Raise UserError if a language has no example of the part of a data set that a contrast compares."""
    if entry["metric"] not in scores:
        fix = f"languages: [{', '.join(other for other in entry['languages'] if other != lang)}]"
        message = f"{entry['dataset']} has nothing in {lang!r} that {entry['metric']!r} counts"
        raise UserError(message, f"contrasts over {entry['track']}/{entry['dataset']}", fix)


def check_score(examples: ExampleScores, score: float, place: str) -> None:
    """Raise UserError if a run's examples do not give the score that its tables show."""
    if abs(examples.score - score) > TOLERANCE:
        message = f"the examples give {examples.score:.4f}, the score is {score:.4f}"
        raise UserError(message, place, "Delete the scores of this checkpoint, and run the study again.")


def language_scores(
    name: str, panel: Panel, lang: str, entry: dict, runs: Sequence[Sequence[ExampleScores]]
) -> LanguageScores:
    """Both schedules' runs in one language, by seed. Raises UserError if they were scored on different examples.

    `entry` is the contrast's panel with the `weight` of a language.
    """
    first = runs[0][0]
    if any(run.ids != first.ids for schedule in runs for run in schedule):
        fix = "Delete their predictions and scores of this data set, and run the study again."
        message = f"the runs to compare have scores of different examples of {panel.dataset}.{lang}"
        raise UserError(message, panel.name, fix)
    examples = zip(first.ids, first.positions, strict=True)
    keys = tuple(f"{panel.dataset}/{key_of_example(entry['parallel'], *example)}" for example in examples)
    parts = np.array([[run.parts for run in schedule] for schedule in runs])
    baseline = panel.best_baseline([lang], entry["metric"])
    return LanguageScores(
        name, lang, panel.family(lang), entry["weight"], keys, parts[:, :, 0], parts[:, :, 1], baseline
    )


# --- numbers ---------------------------------------------------------------------------------------------------------


def contrast_numbers(paired: PairedScores, smallest: float, confidence: float, resamples: int) -> dict:
    """The estimates and tests of a contrast.

    "by_seed": the mean difference of every seed. "questions": for `seeds`, `examples` and `languages` an estimate (see
    `estimate_as_dict`) with the detectable difference of the design, or None. "families": their number. "translated":
    the number of languages that share examples with another. "bootstrap": percentile intervals. "sign_flip": p and the
    smallest possible p. "languages": an estimate for each, with Holm's p. "better", "worse": lower bounds of the number
    of languages. "components": the variance components. "collapsed": see `collapsed_seeds`.
    """
    sample = paired.sample
    estimates = {
        "seeds": estimate_over_seeds(sample),
        "examples": estimate_over_examples(sample),
        "languages": estimate_over_families(sample),
    }
    intervals = bootstrap_intervals(paired, confidence, resamples) if len(paired.seeds) > 1 else {}
    languages = [
        language_numbers(unit, estimate_one_language(sample, number), smallest, confidence, not paired.not_reached)
        | {"bootstrap": intervals.get("units", {}).get(unit.name)}
        for number, unit in enumerate(paired.units)
    ]
    all_learned = all(unit.is_learned for unit in paired.units)
    return {
        "mean": float(sample.by_seed.mean()),
        "by_seed": {str(seed): float(value) for seed, value in zip(paired.seeds, sample.by_seed, strict=True)},
        "questions": {
            name: estimate
            and estimate_as_dict(estimate, smallest, confidence)
            | {
                "verdict": judge(estimate.verdict(smallest, confidence), paired.is_learned, all_learned),
                "detects": estimate.detectable_difference(confidence),
            }
            for name, estimate in estimates.items()
        },
        "families": len({unit.family for unit in paired.units}),
        "translated": sum(len(group.units) for group in sample.example_groups if len(group.units) > 1),
        "bootstrap": {name: ends for name, ends in intervals.items() if name != "units"},
        "sign_flip": {"p": sign_flip_p(sample.by_seed), "smallest": smallest_sign_flip_p(len(paired.seeds))},
        "languages": languages,
        **language_counts(languages, confidence),
        "components": variance_components(sample),
        "collapsed": collapsed_seeds(paired),
    }


def judge(verdict: str, is_learned: bool, all_learned: bool) -> str:
    """The verdict, if the schedules have learned something to compare.

    Two schedules that do not beat the trivial baselines, or reach the declared scores, are not judged. In single
    languages below the baselines both schedules are alike because neither has learned anything: equivalence is
    withheld.
    """
    if not is_learned:
        return UNJUDGED
    return "inconclusive" if verdict == "equivalent" and not all_learned else verdict


def without_verdicts(numbers: dict) -> dict:
    """The numbers of a contrast in a pilot, which decides nothing."""

    def withheld(estimate: dict | None) -> dict | None:
        return estimate and estimate | {"verdict": NO_VERDICT}

    kept = {key: value for key, value in numbers.items() if key not in ("better", "worse")}
    questions = {name: withheld(estimate) for name, estimate in numbers["questions"].items()}
    languages = [entry | {"estimate": withheld(entry["estimate"])} for entry in numbers["languages"]]
    return kept | {"questions": questions, "languages": languages}


def language_numbers(
    unit: LanguageScores, estimate: Estimate | None, smallest: float, confidence: float, is_reached: bool
) -> dict:
    """The numbers of one language, without the bootstrap; not judged unless the declared scores are reached."""
    found = estimate_as_dict(estimate, smallest, confidence)
    if found:
        found["verdict"] = judge(found["verdict"], unit.is_learned and is_reached, unit.is_learned)
    return {
        "name": unit.name,
        "family": unit.family,
        "examples": len(unit.keys),
        "a": float(unit.scores[0].mean()),
        "b": float(unit.scores[1].mean()),
        "baseline": unit.baseline,
        "learned": unit.is_learned,
        "difference": float(unit.differences.mean()),
        "estimate": found,
    }


def collapsed_seeds(paired: PairedScores) -> dict[str, list[int]]:
    """The seeds of schedules `a` and `b` whose runs have collapsed (`collapsed_runs`), in the mean over the units."""
    baseline = sum(unit.weight * (unit.baseline or 0.0) for unit in paired.units)
    means = sum(unit.weight * unit.scores for unit in paired.units)
    return {
        role: collapsed_runs(dict(zip(paired.seeds, row.tolist(), strict=True)), baseline)
        for role, row in zip("ab", means, strict=True)
    }


def estimate_as_dict(estimate: Estimate | None, smallest: float, confidence: float) -> dict | None:
    """An estimate as plain data."""
    if estimate is None:
        return None
    ends, wide = estimate.interval(confidence), estimate.interval(2 * confidence - 1)
    return {
        "mean": estimate.mean,
        "error": estimate.error,
        "freedom": combined_freedom(estimate.parts),
        "interval": [ends.low, ends.high],
        "equivalence_interval": [wide.low, wide.high],
        "p": estimate.p,
        "equivalence_p": estimate.equivalence_p(smallest),
        "verdict": estimate.verdict(smallest, confidence),
    }


def language_counts(languages: Sequence[dict], confidence: float) -> dict:
    """Lower bounds of the number of languages in which `a` is better and worse, and Holm's p of every language.

    Empty if a language has no p.
    """
    estimates = [entry["estimate"] for entry in languages]
    if not all(estimates):
        return {}
    p = [estimate["p"] for estimate in estimates]
    better, worse = count_effects([estimate["mean"] for estimate in estimates], p, 1 - confidence)
    names = [entry["name"] for entry in languages]
    return {"better": better, "worse": worse, "holm": dict(zip(names, holm_adjust(p), strict=True))}


def bootstrap_intervals(paired: PairedScores, confidence: float, resamples: int) -> dict:
    """Percentile intervals: "examples"; "languages", with two or more families; and "units", one for each unit.

    The random streams depend on the resampled examples and not on the schedules: every contrast uses the same draws.
    """
    sample = paired.sample
    scores = np.empty((resamples, len(paired.units), len(paired.seeds)))
    for group in sample.example_groups:
        units = [paired.units[number] for number in group.units]
        scores[:, list(group.units)] = resampled_differences(
            group, units, stream("contrasts", "examples", units[0].name), resamples
        )
    means = resampled_seed_means(scores, stream("contrasts", "seeds"))
    intervals = {
        "units": {unit.name: percentile_interval(means[:, i], confidence) for i, unit in enumerate(paired.units)},
        "examples": percentile_interval(means @ sample.weights, confidence),
    }
    if max(paired.families):
        by_family = resampled_group_means(means, sample.weights, paired.families, stream("contrasts", "families"))
        intervals["languages"] = percentile_interval(by_family, confidence)
    return intervals


def resampled_differences(
    group: ExampleGroup, units: Sequence[LanguageScores], rng: np.random.Generator, resamples: int
) -> np.ndarray:
    """Differences by seed on resampled examples, which all units share: (resamples, units, seeds)."""
    above = group.align([unit.numerators for unit in units])
    below = group.align([unit.denominators for unit in units])
    if (below == 1).all():
        return resampled_ratios(above[:, 0] - above[:, 1], None, rng, resamples)
    scores = resampled_ratios(above, below, rng, resamples)
    return scores[:, :, 0] - scores[:, :, 1]


def round_floats(value: object) -> object:
    """Plain data with rounded floats, whose last bits differ between processors."""
    if isinstance(value, float):
        return round(value, DIGITS) + 0.0
    if isinstance(value, Mapping):
        return {key: round_floats(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [round_floats(item) for item in value]
    return value
