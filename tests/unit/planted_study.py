"""Studies whose scores of examples are planted, so that what their contrasts must find is known."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

from small_study import MIXTURES, PLAN, STAGES, UPDATES, read

from crosstune.analysis.contrasts import work_contrasts
from crosstune.analysis.results import Study
from crosstune.core.files import write_json, write_jsonl
from crosstune.evaluation.metrics import metric_named

CONTRAST = {
    "name": "order",
    "a": "sequential",
    "b": "joint",
    "smallest_effect": 0.5,
    "confidence": 0.95,
    "panels": [{"track": "qa", "dataset": "worldqa", "metric": "f1", "languages": ["qna", "qix"]}],
}
SHAPE = (-10.0, 10.0, -4.0, 4.0)
"""How the examples of a language lie about its score, in every run alike."""

Scores = Mapping[str, Mapping[int, Mapping[str, float]]]
"""F1 by schedule, seed and language."""


def by_difference(differences: Sequence[float], languages: Sequence[str] = ("qna", "qix")) -> Scores:
    """Sequential less joint, seed by seed, the same in every language; seeds differ much, and in both alike."""
    seeds = range(1, len(differences) + 1)
    joint = {seed: {lang: 30.0 + 5 * seed + place for place, lang in enumerate(languages)} for seed in seeds}
    moved = {
        seed: {lang: score + differences[seed - 1] for lang, score in scores.items()} for seed, scores in joint.items()
    }
    return {"joint": joint, "sequential": moved}


def planned(seeds: Sequence[int], contrasts: Sequence[dict], languages: Sequence[str]) -> dict:
    """The small study's plan with other seeds, and its contrasts."""
    plan = copy.deepcopy(PLAN) | {"seeds": list(seeds), "contrasts": list(contrasts)}
    plan["tracks"]["qa"]["evaluate"] = {"worldqa": list(languages)}
    plan["runs"] = [
        {
            "model": "tiny",
            "seed": seed,
            "track": "qa",
            "schedule": schedule,
            "stages": [f"tiny/seed{seed}/qa/{stage}" for stage in STAGES[schedule]],
            "evaluated": [["worldqa"] for _ in STAGES[schedule]],
            "mixtures": MIXTURES[schedule],
            "updates": UPDATES[schedule],
        }
        for schedule in STAGES
        for seed in seeds
    ]
    return plan


def plant(folder: Path, scores: Scores, contrasts: Sequence[dict] = (CONTRAST,)) -> Study:
    """Write the study and its scores, work its contrasts, and read all of it."""
    seeds = sorted({seed for runs in scores.values() for seed in runs})
    languages = list(dict.fromkeys(lang for runs in scores.values() for found in runs.values() for lang in found))
    write_json(folder / "plan.json", planned(seeds, contrasts, languages))
    for schedule, runs in scores.items():
        for seed, found in runs.items():
            examples = {
                lang: [
                    {"lang": lang, "id": f"{lang}-{n}", "f1": score + move, "exact_match": 0.0}
                    for n, move in enumerate(SHAPE)
                ]
                for lang, score in found.items()
            }
            write_examples(folder / f"tiny/seed{seed}/qa/{STAGES[schedule][-1]}", examples)
    return worked(folder)


def write_examples(stage: Path, examples: Mapping[str, list[dict]], dataset: str = "worldqa", task: str = "qa") -> None:
    """The two files of score.py."""
    write_jsonl(stage / f"scores/{dataset}.examples.jsonl", [row for rows in examples.values() for row in rows])
    languages = {lang: metric_named(task).summarise(rows) for lang, rows in examples.items()}
    write_json(stage / f"scores/{dataset}.json", {"dataset": dataset, "languages": languages})


def worked(folder: Path) -> Study:
    """The study with its contrasts worked anew."""
    write_json(folder / "contrasts.json", {"contrasts": work_contrasts(read(folder), folder)})
    return read(folder)
