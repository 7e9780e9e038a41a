"""The declared contrasts of a study, worked from the scores of its examples.

Owns: pairing two schedules by seed, language and example, what is computed of every contrast, the form of
contrasts.json. Must never know: formulas (estimates.py, resampling.py), how results are told.

Both schedules are scored on the same examples with the same seeds, and what is compared is the difference of one seed
in one language. A seed counts if both schedules have all languages of the contrast; the others are named as missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from crosstune.analysis.estimates import (
    Estimate,
    Sample,
    components,
    count_effects,
    holm,
    of_one_language,
    over_examples,
    over_families,
    over_seeds,
)
from crosstune.analysis.resampling import (
    over_groups,
    percentiles,
    resampled_ratios,
    resampled_seeds,
    sign_flip,
    smallest_sign_flip,
)
from crosstune.analysis.results import FINAL, Panel, Study
from crosstune.core.errors import UserError
from crosstune.core.random_streams import stream
from crosstune.evaluation.metrics import Metric
from crosstune.evaluation.scoring import parse_row

REPLICATES = 10_000

DIGITS = 6

"""Decimals of the numbers in contrasts.json."""

TOLERANCE = 1e-4

"""By which a score and the mean of its examples may differ."""


@dataclass(frozen=True)
class Examples:
    """One run's scores in one language: sorted ids, numerators and denominators (examples,) of a number's parts."""

    ids: tuple[str, ...]
    parts: np.ndarray

    @property
    def score(self) -> float:
        above, below = self.parts.sum(axis=1)
        return float(above / below) if below else 0.0


@dataclass(frozen=True)
class Unit:
    """One language of one panel, scored by both schedules with every seed.

    numerators, denominators: (2, seeds, examples), `a` first.
    """

    name: str
    language: str
    family: str
    weight: float
    ids: tuple[str, ...]
    numerators: np.ndarray
    denominators: np.ndarray

    @cached_property
    def scores(self) -> np.ndarray:
        """(2, seeds)."""
        below = self.denominators.sum(axis=-1)
        return np.divide(self.numerators.sum(axis=-1), below, out=np.zeros_like(below), where=below != 0)

    @property
    def differences(self) -> np.ndarray:
        return self.scores[0] - self.scores[1]

    @cached_property
    def influences(self) -> np.ndarray:
        """How far each example moves the difference, (seeds, examples): exact for means, to first order for ratios."""
        below = self.denominators.sum(axis=-1, keepdims=True)
        moved = self.numerators - self.scores[..., None] * self.denominators
        moved = np.divide(moved, below, out=np.zeros_like(moved), where=below != 0)
        return moved[0] - moved[1]


@dataclass(frozen=True)
class Pairing:
    """What a contrast compares for one model: the seeds and units that there are."""

    seeds: list[int]
    planned: list[int]
    units: list[Unit]
    lacking: list[str] = field(default_factory=list)

    @cached_property
    def families(self) -> list[int]:
        names = sorted({unit.family for unit in self.units})
        return [names.index(unit.family) for unit in self.units]

    @cached_property
    def parts(self) -> list[list[int]]:
        """The units that have the same examples, together."""
        found: dict[tuple[str, ...], list[int]] = {}
        for number, unit in enumerate(self.units):
            found.setdefault(unit.ids, []).append(number)
        return list(found.values())

    @cached_property
    def sample(self) -> Sample:
        return Sample(
            np.stack([unit.differences for unit in self.units], axis=1),
            [unit.influences for unit in self.units],
            np.array([unit.weight for unit in self.units]),
            self.families,
            self.parts,
        )


def work_contrasts(study: Study, results: Path) -> list[dict]:
    """Every contrast of the plan for every model, as contrasts.json holds it; reads the scores of examples."""
    reader = Reader(results)
    return [
        work(study, contrast, model, reader)
        for contrast in study.plan.get("contrasts", [])
        for model in study.plan["models"]
        if any((model, panel["track"], contrast["a"]) in study.runs for panel in contrast["panels"])
    ]


def work(study: Study, contrast: dict, model: str, reader: "Reader", replicates: int = REPLICATES) -> dict:
    """One contrast with one model: {"contrast", "model", "seeds", "planned", "lacking", ...} and, where any seed has
    both schedules, the numbers: see `numbers`."""
    paired = pair(study, contrast, model, reader)
    head = {
        "contrast": contrast,
        "model": model,
        "seeds": paired.seeds,
        "planned": paired.planned,
        "lacking": paired.lacking,
    }
    if not paired.seeds:
        return head
    return head | rounded(numbers(paired, contrast["smallest_effect"], contrast["confidence"], replicates))


# --- pairing ---------------------------------------------------------------------------------------------------------


class Reader:
    """Scores of examples under a folder of results, each file read once."""

    def __init__(self, results: Path):
        self.results = results
        self._found: dict[tuple[str, str, str], dict[str, Examples]] = {}

    def read(self, stage: str, dataset: str, metric: Metric, key: str) -> dict[str, Examples]:
        """The examples of a stage on a data set by language; empty where nothing was scored."""
        known = (stage, dataset, key)
        if known not in self._found:
            self._found[known] = read_examples(self.results / stage / f"scores/{dataset}.examples.jsonl", metric, key)
        return self._found[known]


def read_examples(path: Path, metric: Metric, key: str) -> dict[str, Examples]:
    """A file of score.py; empty where there is none. Raises UserError for a line that is no record of the metric."""
    found: dict[str, tuple[list[str], list[tuple[float, float]]]] = {}
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except FileNotFoundError:
        return {}
    for number, line in enumerate(lines, start=1):
        row = parse_row(line, f"{path}:{number}")
        try:
            ids, parts = found.setdefault(row["lang"], ([], []))
            parts.append(metric.parts(row, key))
        except KeyError as error:
            fix = "Delete the file and score again."
            raise UserError(f"an example without {error.args[0]!r}", f"{path}:{number}", fix) from None
        ids.append(row["id"])
    return {lang: sorted_examples(ids, parts) for lang, (ids, parts) in found.items()}


def sorted_examples(ids: Sequence[str], parts: Sequence[tuple[float, float]]) -> Examples:
    order = sorted(range(len(ids)), key=lambda place: ids[place])
    return Examples(tuple(ids[place] for place in order), np.array([parts[place] for place in order], dtype=float).T)


def pair(study: Study, contrast: dict, model: str, reader: Reader) -> Pairing:
    """The examples of both schedules, by seed and language."""
    found: dict[int, dict[tuple[int, str], dict[str, Examples]]] = {}
    planned, lacking = set(), set()
    panels = [Panel(study, model, entry["track"], entry["dataset"]) for entry in contrast["panels"]]
    for number, (panel, entry) in enumerate(zip(panels, contrast["panels"], strict=True)):
        for role in ("a", "b"):
            for run in panel.runs(contrast[role]):
                seed = run["seed"]
                planned.add(seed)
                scored = reader.read(run["stages"][FINAL], panel.dataset, panel.measured, entry["metric"])
                scores = panel.scores_of(run, FINAL)
                for lang in entry["languages"]:
                    if lang in scored and lang in scores:
                        check_score(scored[lang], scores[lang][entry["metric"]], f"{run['stages'][FINAL]}, {lang}")
                        found.setdefault(seed, {}).setdefault((number, lang), {})[role] = scored[lang]
                    else:
                        lacking.add(f"{contrast[role]}, seed {seed}")
    wanted = [(number, lang) for number, entry in enumerate(contrast["panels"]) for lang in entry["languages"]]
    seeds = [seed for seed in sorted(found) if all(len(found[seed].get(key, {})) == 2 for key in wanted)]
    units = []
    if seeds:
        for number, lang in wanted:
            runs = [found[seed][number, lang] for seed in seeds]
            entry = contrast["panels"][number]
            weight = 1 / len(panels) / len(entry["languages"])
            name = lang if len(panels) == 1 else f"{entry['dataset']}.{lang}"
            units.append(
                unit_of(name, panels[number], lang, weight, [[run[role] for run in runs] for role in ("a", "b")])
            )
    units.sort(key=lambda unit: unit.name)
    return Pairing(seeds, sorted(planned), units, sorted(lacking))


def check_score(examples: Examples, score: float, place: str) -> None:
    """UserError where the examples of a run do not give the score that its tables show."""
    if abs(examples.score - score) > TOLERANCE:
        message = f"the examples give {examples.score:.4f}, the score is {score:.4f}"
        raise UserError(message, place, "Delete the scores of this checkpoint, and run the study again.")


def unit_of(name: str, panel: Panel, lang: str, weight: float, runs: Sequence[Sequence[Examples]]) -> Unit:
    """Both schedules' runs in one language, by seed; UserError where they were scored on different examples."""
    ids = runs[0][0].ids
    if any(run.ids != ids for schedule in runs for run in schedule):
        fix = "Delete their predictions and scores of this data set, and run the study again."
        message = f"the runs to compare have scores of different examples of {panel.dataset}.{lang}"
        raise UserError(message, panel.name, fix)
    parts = np.array([[run.parts for run in schedule] for schedule in runs])
    return Unit(name, lang, panel.family(lang), weight, ids, parts[:, :, 0], parts[:, :, 1])


# --- numbers ---------------------------------------------------------------------------------------------------------


def numbers(paired: Pairing, smallest: float, confidence: float, replicates: int) -> dict:
    """What is computed of a contrast.

    "by_seed": the mean difference of every seed. "questions": for `seeds`, `examples` and `languages` an estimate (see
    `told`) with what such a design detects, or None; "families": how many there are. "bootstrap": percentile
    intervals. "sign_flip": p and the smallest p there could be. "languages": an estimate for each, with Holm's p.
    "better", "worse": in how many at least. "components": the parts of the variance.
    """
    sample = paired.sample
    estimates = {"seeds": over_seeds(sample), "examples": over_examples(sample), "languages": over_families(sample)}
    drawn = bootstrap(paired, confidence, replicates) if len(paired.seeds) > 1 else {}
    languages = [
        {
            "name": unit.name,
            "family": unit.family,
            "examples": len(unit.ids),
            "a": float(unit.scores[0].mean()),
            "b": float(unit.scores[1].mean()),
            "difference": float(unit.differences.mean()),
            "estimate": told(of_one_language(sample, number), smallest, confidence),
            "bootstrap": drawn.get("units", {}).get(unit.name),
        }
        for number, unit in enumerate(paired.units)
    ]
    return {
        "mean": float(sample.by_seed.mean()),
        "by_seed": {str(seed): float(value) for seed, value in zip(paired.seeds, sample.by_seed, strict=True)},
        "questions": {
            name: estimate and told(estimate, smallest, confidence) | {"detects": estimate.detects(confidence)}
            for name, estimate in estimates.items()
        },
        "families": len({unit.family for unit in paired.units}),
        "bootstrap": {name: ends for name, ends in drawn.items() if name != "units"},
        "sign_flip": {"p": sign_flip(sample.by_seed), "smallest": smallest_sign_flip(len(paired.seeds))},
        "languages": languages,
        **counted(languages, confidence),
        "components": components(sample),
    }


def told(estimate: Estimate | None, smallest: float, confidence: float) -> dict | None:
    """An estimate as plain data."""
    if estimate is None:
        return None
    ends, wide = estimate.interval(confidence), estimate.interval(2 * confidence - 1)
    return {
        "mean": estimate.mean,
        "error": estimate.error,
        "freedom": estimate.freedom,
        "interval": [ends.low, ends.high],
        "equivalence_interval": [wide.low, wide.high],
        "p": estimate.p,
        "equivalence_p": estimate.equivalence_p(smallest),
        "verdict": estimate.verdict(smallest, confidence),
    }


def counted(languages: Sequence[dict], confidence: float) -> dict:
    """In how many languages `a` is at least better, and worse, and every language's p after Holm; empty without any
    p."""
    known = [entry["estimate"] for entry in languages]
    if not all(known):
        return {}
    p = [estimate["p"] for estimate in known]
    better, worse = count_effects([estimate["mean"] for estimate in known], p, 1 - confidence)
    names = [entry["name"] for entry in languages]
    return {"better": better, "worse": worse, "holm": dict(zip(names, holm(p), strict=True))}


def bootstrap(paired: Pairing, confidence: float, replicates: int) -> dict:
    """Percentile intervals: of "examples" and, with two or more families, of "languages"; and of every unit in "units".

    The streams belong to what is drawn, and not to the schedules, so that every contrast meets the same draws.
    """
    sample = paired.sample
    scores = np.empty((replicates, len(paired.units), len(paired.seeds)))
    for part in paired.parts:
        rng = stream("contrasts", "examples", paired.units[part[0]].name)
        scores[:, part] = resampled_differences([paired.units[number] for number in part], rng, replicates)
    means = resampled_seeds(scores, stream("contrasts", "seeds"))
    found = {
        "units": {unit.name: percentiles(means[:, number], confidence) for number, unit in enumerate(paired.units)},
        "examples": percentiles(means @ sample.weights, confidence),
    }
    if max(paired.families):
        drawn = over_groups(means, sample.weights, paired.families, stream("contrasts", "families"))
        found["languages"] = percentiles(drawn, confidence)
    return found


def resampled_differences(units: Sequence[Unit], rng: np.random.Generator, replicates: int) -> np.ndarray:
    """Differences by seed of resampled examples, which all units share: (replicates, units, seeds)."""
    above = np.stack([unit.numerators for unit in units])
    below = np.stack([unit.denominators for unit in units])
    if (below == 1).all():
        return resampled_ratios(above[:, 0] - above[:, 1], None, rng, replicates)
    scores = resampled_ratios(above, below, rng, replicates)
    return scores[:, :, 0] - scores[:, :, 1]


def rounded(value: object) -> object:
    """Plain data whose numbers do not show the last bits, in which processors differ."""
    if isinstance(value, float):
        return round(value, DIGITS) + 0.0
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value
