"""What rounding does to results: one study from one base model, its rows packed and padded, in fp32 and in bf16.

    python benchmarks/rounding.py --out benchmarks/results/rounding.md

The default study's schedules are trained on the same rows in the same order. What differs is the order in which numbers
are added, or how many digits they have; the tables say how far the scores come apart, beside how far those of two seeds
are. A processor without bf16 arithmetic computes the same numbers slowly.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import yaml
from rivals import ROOT, copy_project, processor

from crosstune.study.build import build_study
from crosstune.study.specs import predictions_after_training

sys.path.insert(0, str(ROOT / "scripts"))

from crosstune.evaluation.metrics import metric_named
from crosstune.evaluation.scoring import read_predictions
from crosstune.study.data_requirements import DataRequirements
from crosstune.study.graph import Study

SEEDS = [1, 2, 3, 4, 5]
VARIANTS = {
    "packed, fp32": {"packing": True, "precision": "fp32"},
    "padded, fp32": {"packing": False, "precision": "fp32"},
    "packed, bf16": {"packing": True, "precision": "bf16"},
}


def prepare_copy(folder: Path) -> tuple[Study, dict[str, str]]:
    """A copy of the project with its data prepared and the default study's base model; the study, and what it is of."""
    copy_project(folder)
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"seeds": SEEDS}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    study = build_study(config, folder)
    (base,) = [path for path in study.checkpoints if path.endswith("/base")]
    targets = [f"{base}/stage.json", *DataRequirements(study).prepared]
    subprocess.run(["snakemake", "--cores", "2", *targets], cwd=folder, check=True, capture_output=True)
    return study, {base: base}


def train_all(folder: Path, study: Study, made: dict[str, str], name: str, settings: dict) -> dict[tuple, float]:
    """The headline's score of every (seed, stage, language); stages are trained with some settings, and predicted from
    in fp32."""
    made, headline = dict(made), study.config["headline"]
    for path, node in study.checkpoints.items():
        if path in made:
            continue
        made[path] = path.replace("/tiny/", f"/{name}/")
        wanted = predictions_after_training(study, path)
        for prediction in wanted:
            prediction["spec"]["packing"] = settings["packing"]
        command = [sys.executable, "scripts/train.py", "--spec", json.dumps(node.spec | settings)]
        command += ["--parents", *(made[parent] for parent in node.parents), "--data", *node.data]
        command += ["--out", made[path], "--predict-after", json.dumps(wanted)]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    metric = metric_named(study.registry[headline["dataset"]].metric)
    found = {}
    for path in (path for path in made if "/seed" in path):
        seed, _, stage = path.split("/seed")[1].partition("/")
        for file in sorted((folder / made[path] / ".staging/predictions" / headline["dataset"]).glob("*.jsonl")):
            scores = metric.summarise(metric.measure(read_predictions(file, metric), file.stem))
            found[int(seed), stage, file.stem] = scores[headline["metric"]]
    return found


def differences(found: dict[str, dict[tuple, float]]) -> list[str]:
    """A row for every variant against the first of the same seed, and one for the first's seeds against each other."""
    (first, reference), *others = found.items()
    values = {
        f"{name}, and {first}, same seed": [abs(scores[key] - reference[key]) for key in reference]
        for name, scores in others
    }
    values[f"two seeds, both {first}"] = [
        abs(reference[one, *cell] - reference[two, *cell])
        for one, two in itertools.combinations(SEEDS, 2)
        for cell in sorted({key[1:] for key in reference})
    ]
    return [
        f"| {name} | {len(apart)} | {statistics.fmean(apart):.2f} | {max(apart):.2f} | {apart.count(0)} |"
        for name, apart in values.items()
    ]


def finals(found: dict[str, dict[tuple, float]], study: Study) -> list[str]:
    """A row for every schedule: the mean score over languages after its last stage, over seeds, in every variant."""
    rows = []
    for schedule in sorted({run.schedule.name for run in study.runs}):
        cells = []
        for scores in found.values():
            means = [
                statistics.fmean(
                    score for key, score in scores.items() if key[:2] == (seed, last_stage(study, schedule, seed))
                )
                for seed in SEEDS
            ]
            cells.append(f"{statistics.fmean(means):.2f} ± {statistics.stdev(means):.2f}")
        rows.append(f"| {schedule} | {' | '.join(cells)} |")
    return rows


def last_stage(study: Study, schedule: str, seed: int) -> str:
    """The folder of a run's last stage, below that of its seed."""
    (run,) = [run for run in study.runs if run.schedule.name == schedule and run.seed == seed]
    return run.stages[-1].split("/seed")[1].partition("/")[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="file for the tables")
    args = parser.parse_args()

    folder = Path(tempfile.mkdtemp()) / "main"
    study, made = prepare_copy(folder)
    with ThreadPoolExecutor(2) as pool:
        jobs = {
            name: pool.submit(train_all, folder, study, made, name.replace(", ", "-"), settings)
            for name, settings in VARIANTS.items()
        }
        found = {name: job.result() for name, job in jobs.items()}
    lines = [
        f"# What rounding does: the default study's schedules, {len(SEEDS)} seeds, from one base model",
        "",
        f"{date.today()}, {processor()}; `python benchmarks/rounding.py --out benchmarks/results/rounding.md`.",
        "",
        "| absolute difference of the score, per stage and language | number | mean | largest | equal |",
        "|:--|--:|--:|--:|--:|",
        *differences(found),
        "",
        f"Score ({study.config['headline']['metric']}), mean over languages after the last stage: mean over seeds ± "
        "standard deviation between seeds.",
        "",
        f"| schedule | {' | '.join(found)} |",
        "|:--" + "|--:" * len(found) + "|",
        *finals(found, study),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
