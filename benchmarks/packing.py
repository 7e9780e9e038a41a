"""What rounding does to results: one study from one base model, its rows packed and padded.

    python benchmarks/packing.py --out benchmarks/results/packing.md

The default study's schedules are trained twice on the same rows in the same order. What differs is the order in which
numbers are added; the table says how far the scores come apart, beside how far those of two seeds are.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import yaml
from rivals import ROOT, processor

sys.path.insert(0, str(ROOT / "scripts"))

from crosstune.metrics import metric_named
from crosstune.needs import Needs
from crosstune.scoring import read_predictions
from crosstune.study import Study

SEEDS = [1, 2]


def prepare_copy(folder: Path) -> tuple[Study, dict[str, str]]:
    """A copy of the project with its data prepared and the default study's base model; the study, and what it is of."""
    ignored = shutil.ignore_patterns(".git", ".venv", "results", "data", ".snakemake", "logs", "benchmarks")
    shutil.copytree(ROOT, folder, ignore=ignored)
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"seeds": SEEDS}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    study = Study(config, folder)
    (base,) = [path for path in study.checkpoints if path.endswith("/base")]
    targets = [f"{base}/stage.json", *Needs(study).prepared]
    subprocess.run(["snakemake", "--cores", "2", *targets], cwd=folder, check=True, capture_output=True)
    return study, {base: base}


def train_all(folder: Path, study: Study, made: dict[str, str], packing: bool) -> dict[tuple, float]:
    """The F1 of every (schedule, seed, stage, language) of the study, its stages trained packed or padded."""
    made = dict(made)
    for path, node in study.checkpoints.items():
        if path in made:
            continue
        made[path] = path.replace("/tiny/", f"/{'packed' if packing else 'padded'}/")
        wanted = study.ahead(path)["predictions"]
        for prediction in wanted:
            prediction["spec"]["packing"] = packing
        command = [sys.executable, "scripts/train.py", "--spec", json.dumps(node.spec | {"packing": packing})]
        command += ["--parents", *(made[parent] for parent in node.parents), "--data", *node.data]
        command += ["--out", made[path], "--ahead", json.dumps({"predictions": wanted, "stages": []})]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    metric = metric_named("qa")
    found = {}
    for path in (path for path in made if "/seed" in path):
        for file in sorted((folder / made[path] / "ahead/predictions/worldqa").glob("*.jsonl")):
            scores = metric.summarise(metric.measure(read_predictions(file, metric), file.stem))
            found[path.split("/seed")[1].partition("/"), file.stem] = scores["f1"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="file for the table")
    args = parser.parse_args()

    folder = Path(tempfile.mkdtemp()) / "main"
    study, made = prepare_copy(folder)
    packed, padded = (train_all(folder, study, made, packing) for packing in (True, False))
    apart = [abs(packed[key] - padded[key]) for key in packed]
    seeds = [abs(score - packed[("2", *key[0][1:]), key[1]]) for key, score in packed.items() if key[0][0] == "1"]
    lines = [
        "# Packed against padded rows: the default study's schedules, two seeds, from one base model",
        "",
        f"{date.today()}, {processor()}; `python benchmarks/packing.py --out benchmarks/results/packing.md`.",
        "",
        "| absolute difference of F1, per stage and language | number | mean | largest | equal |",
        "|:--|--:|--:|--:|--:|",
    ]
    for name, values in (("packed and padded, same seed", apart), ("two seeds, both packed", seeds)):
        equal = sum(value == 0 for value in values)
        lines.append(f"| {name} | {len(values)} | {statistics.fmean(values):.2f} | {max(values):.2f} | {equal} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
