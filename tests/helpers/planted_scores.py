"""Studies with planted scores of examples, and so with known contrasts."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

from crosstune.analysis.contrasts import compute_contrasts
from crosstune.analysis.results import StudyResults
from crosstune.core.files import write_json, write_jsonl
from crosstune.evaluation.metrics import metric_named
from helpers.study_results import PLAN, STAGES, read, run_entries

CONTRAST = {
    "name": "order",
    "a": "sequential",
    "b": "joint",
    "smallest_effect": 0.5,
    "confidence": 0.95,
    "panels": [{"track": "qa", "dataset": "worldqa", "metric": "f1", "parallel": "id", "languages": ["qna", "qix"]}],
}
SHAPE = (-10.0, 10.0, -4.0, 4.0) * 100
"""The deviations of a language's examples from its score, the same in every run."""

Scores = Mapping[str, Mapping[int, Mapping[str, float]]]
"""F1 by schedule, seed and language."""


def by_difference(differences: Sequence[float], languages: Sequence[str] = ("qna", "qix")) -> Scores:
    """Scores with these differences sequential - joint by seed, in all languages; seeds have large common effects."""
    seeds = range(1, len(differences) + 1)
    joint = {seed: {lang: 30.0 + 5 * seed + place for place, lang in enumerate(languages)} for seed in seeds}
    moved = {
        seed: {lang: score + differences[seed - 1] for lang, score in scores.items()} for seed, scores in joint.items()
    }
    return {"joint": joint, "sequential": moved}


def planned(seeds: Sequence[int], contrasts: Sequence[dict], languages: Sequence[str]) -> dict:
    """The plan of the example study with other seeds, and contrasts."""
    plan = copy.deepcopy(PLAN) | {"seeds": list(seeds), "contrasts": list(contrasts), "runs": run_entries(seeds)}
    plan["tracks"]["qa"]["evaluate"] = {"worldqa": list(languages)}
    return plan


def plant(
    folder: Path,
    scores: Scores,
    contrasts: Sequence[dict] = (CONTRAST,),
    baselines: Mapping[str, Mapping[str, float]] | None = None,
    examples: int = len(SHAPE),
) -> StudyResults:
    """Write the study with its scores, compute its contrasts, and load it.

    `baselines`: F1 of trivial baselines by language. `examples`: their number in a language, a multiple of 4.
    """
    seeds = sorted({seed for runs in scores.values() for seed in runs})
    languages = list(dict.fromkeys(lang for runs in scores.values() for found in runs.values() for lang in found))
    write_json(folder / "plan.json", planned(seeds, contrasts, languages))
    for schedule, runs in scores.items():
        for seed, found in runs.items():
            rows = {
                lang: [
                    {"lang": lang, "id": f"{lang}-{n}", "f1": score + move, "exact_match": 0.0}
                    for n, move in enumerate(SHAPE[:examples])
                ]
                for lang, score in found.items()
            }
            write_examples(folder / f"tiny/seed{seed}/qa/{STAGES[schedule][-1]}", rows)
    if baselines:
        floors = {
            name: {lang: {"f1": value, "exact_match": 0.0, "n": examples} for lang, value in own.items()}
            for name, own in baselines.items()
        }
        write_json(folder / "baselines/worldqa.json", {"dataset": "worldqa", "baselines": floors})
    return compute(folder)


def write_examples(stage: Path, examples: Mapping[str, list[dict]], dataset: str = "worldqa", task: str = "qa") -> None:
    """The two files of score.py for a data set."""
    write_jsonl(stage / f"scores/{dataset}.examples.jsonl", [row for rows in examples.values() for row in rows])
    languages = {lang: metric_named(task).summarise(rows) for lang, rows in examples.items()}
    write_json(stage / f"scores/{dataset}.json", {"dataset": dataset, "languages": languages})


def compute(folder: Path) -> StudyResults:
    """The study with recomputed contrasts."""
    write_json(folder / "contrasts.json", {"contrasts": compute_contrasts(read(folder), folder)})
    return read(folder)
