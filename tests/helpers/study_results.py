"""The results of a study of four languages and two seeds, small enough to check its tables by hand."""

import copy
import csv
from collections.abc import Sequence
from pathlib import Path

from crosstune.analysis.cells import Replicate
from crosstune.analysis.results import StudyResults, TaskAverage, load_results
from crosstune.core.files import write_json

LANGUAGES = ("qen", "qes", "qna", "qix")

# Scores after every stage, by seed, in the order of LANGUAGES. qna and qix are low-resource; qix is the isolate.
SCORES = {
    "untrained": {1: [[4, 4, 4, 4]], 2: [[6, 6, 6, 6]]},
    "english": {1: [[50, 10, 20, 6]], 2: [[54, 12, 22, 6]]},
    "joint": {1: [[45, 44, 30, 8]], 2: [[47, 46, 34, 6]]},
    "sequential": {1: [[50, 10, 20, 6], [30, 52, 18, 5]], 2: [[54, 12, 22, 6], [34, 50, 20, 7]]},
}
STAGES = {
    "untrained": ["untrained"],
    "english": ["worldqa.qen@200"],
    "joint": ["worldqa.qen+worldqa.qes@200"],
    "sequential": ["worldqa.qen@100", "worldqa.qen@100/worldqa.qes@100"],
}
MIXTURES = {
    "untrained": [[]],
    "english": [["worldqa.qen"]],
    "joint": [["worldqa.qen", "worldqa.qes"]],
    "sequential": [["worldqa.qen"], ["worldqa.qes"]],
}
UPDATES = {"untrained": [0], "english": [200], "joint": [200], "sequential": [100, 100]}


def run_entries(seeds: Sequence[int]) -> list[dict]:
    """The plan's runs of all schedules with these seeds."""
    return [
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


PLAN = {
    "study": "small",
    "primary": {"track": "qa", "dataset": "worldqa", "metric": "f1"},
    "headline": {"single": "english", "joint": "joint", "sequential": "sequential"},
    "seeds": [1, 2],
    "models": ["tiny"],
    "languages": {
        "qen": {"name": "Enish", "family": "north", "script": "Latn", "resource": "high"},
        "qes": {"name": "Esish", "family": "south", "script": "Latn", "resource": "high"},
        "qna": {"name": "Naish", "family": "north", "script": "Latn", "resource": "low"},
        "qix": {"name": "Ixish", "family": "isolate", "script": "Latn", "resource": "low"},
    },
    "tracks": {
        "qa": {
            "metrics": {"worldqa": "qa"},
            "xtreme": {},
            "trained": ["qen", "qes"],
            "evaluate": {"worldqa": list(LANGUAGES)},
            "matched": True,
            "budget": {"updates": 200, "tokens": 512},
            "schedules": list(SCORES),
        }
    },
    "runs": run_entries([1, 2]),
}


def plan() -> dict:
    """A copy of the plan for changes."""
    return copy.deepcopy(PLAN)


def write_study(folder: Path, plan: dict = PLAN) -> StudyResults:
    """Write the plan, all scores and the baselines into `folder`, and load them."""
    write_json(folder / "plan.json", plan)
    for run in PLAN["runs"]:
        for stage, scores in zip(run["stages"], SCORES[run["schedule"]][run["seed"]], strict=True):
            languages = {
                lang: {"f1": value, "exact_match": value / 2, "n": 10**6}
                for lang, value in zip(LANGUAGES, scores, strict=True)
            }
            write_json(folder / stage / "scores/worldqa.json", {"dataset": "worldqa", "languages": languages})
    floor = {
        name: {lang: {"f1": value, "exact_match": 0, "n": 10**6} for lang in LANGUAGES}
        for name, value in {"empty": 0, "context": 7}.items()
    }
    write_json(folder / "baselines/worldqa.json", {"dataset": "worldqa", "baselines": floor})
    return read(folder)


def read(folder: Path) -> StudyResults:
    return load_results(folder / "plan.json", folder)


def by_seed(values: dict[int, float]) -> dict[Replicate, float]:
    """The values of a cell of unfolded runs, from values by seed."""
    return {Replicate(seed): value for seed, value in values.items()}


def csv_rows(text: str | Path) -> list[dict]:
    """The lines of a CSV text or file."""
    lines = text.read_text(encoding="utf-8") if isinstance(text, Path) else text
    return list(csv.DictReader(lines.splitlines()))


def table_entry(**keys) -> dict:
    """An entry of the plan's tables: schedule by language, with other keys."""
    axes = {"panels": ["qa/worldqa"], "rows": ["schedule"], "columns": ["language"]}
    return {"name": "mine", **axes, "languages": "all", "aggregate": "macro", "statistic": "sd", "digits": 1, **keys}


def published_plan() -> dict:
    """The plan with a published table of English in one language and over all."""
    table = {
        "name": "paper", "title": "A paper", "what": "F1", "verified": True, "labels": [], "track": "qa",
        "dataset": "worldqa", "columns": [["English", "qen"], ["mean", "all"]], "differences": [],
        "from_evaluations": False,
        "rows": [{"schedule": "english", "labels": [], "published": {"English": 61.0, "mean": 30.5}}],
    }  # fmt: skip
    return plan() | {"published": [table]}


def write_averaged(folder: Path, **entry: str) -> TaskAverage:
    """The small study with a second track on one data set in one language, and their average."""
    both = plan()
    both["tracks"]["nli"] = both["tracks"]["qa"] | {
        "metrics": {"xnli": "classification"}, "evaluate": {"xnli": ["qen"]}, "schedules": ["raw", "joint", "english"]
    }  # fmt: skip
    accuracy = {"raw": {1: 30, 2: 34}, "joint": {1: 60}, "english": {1: 40, 2: 50}}
    for schedule, seeds in accuracy.items():
        for seed in (1, 2):
            stage = f"tiny/seed{seed}/nli/{schedule}"
            both["runs"].append(
                {"model": "tiny", "seed": seed, "track": "nli", "schedule": schedule, "stages": [stage],
                 "evaluated": [["xnli"]], "mixtures": [["mnli.qen"]], "updates": [200]}
            )  # fmt: skip
            if seed in seeds:
                write_json(
                    folder / stage / "scores/xnli.json", {"languages": {"qen": {"accuracy": seeds[seed], "n": 4}}}
                )
    both["averages"] = {
        "two": [
            {"task": "xquad", "track": "qa", "dataset": "worldqa"},
            {"task": "xnli", "track": "nli", "dataset": "xnli"} | entry,
        ]
    }
    (average,) = write_study(folder, both).task_averages()
    return average
