"""Time and memory of planning studies of growing size, and of scoring and tabulating many predictions.

    python benchmarks/scale.py --jobs 1000 10000 50000 --score 1000000 --tables 10000000

Planning is `snakemake -n` on a study with as many jobs. Scoring is scripts/score.py on one file of that many
predictions. Tables and the report are made of the scores of as many checkpoints as have that many predictions, 1,000 a
language.
"""

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import yaml
from rivals import ROOT, processor

from crosstune.study.build import build_study

sys.path.insert(0, str(ROOT / "scripts"))

from crosstune.core.files import write_json
from crosstune.evaluation.metrics import metric_named
from crosstune.study.plan import plan_of

STAGES = 9  # of a seed of the default study, each trained, predicted from and scored
EXAMPLES = 1000  # of a language


def study_of(checkpoints: int) -> dict:
    """The default study with so many seeds that it makes about `checkpoints` checkpoints."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    return {**config, "study": "scale", "seeds": list(range(1, max(1, round(checkpoints / STAGES)) + 1))}


def measured(command: list[str], folder: Path) -> tuple[float, float, str]:
    """Seconds of computing, peak memory in MiB, and the output of a command."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, text=True)
        _, status, usage = os.wait4(process.pid, 0)
        output.seek(0)
        text = output.read()
    if status:
        sys.exit(text)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text


def plan(jobs: int) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False) as file:
        yaml.safe_dump(study_of((jobs - 50) // 3), file)
    command = ["snakemake", "-n", "--quiet", "rules", "--configfile", file.name, "--nolock"]
    seconds, memory, output = measured(command, ROOT)
    total = next(line.split()[-1] for line in reversed(output.splitlines()) if line.startswith("total"))
    Path(file.name).unlink()
    return f"| `snakemake -n`, {int(total):,} jobs | {seconds:.0f} | {memory:,.0f} |"


def score(predictions: int) -> str:
    """Score `predictions` answers of one language."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "predictions").mkdir()
        with open(folder / "predictions/en.jsonl", "w") as file:
            for number in range(predictions):
                row = {"id": str(number), "prediction": "the old mill", "gold": ["an old mill", "mill by the river"]}
                file.write(json.dumps(row) + "\n")
        command = [sys.executable, str(ROOT / "scripts/score.py"), "--task", "qa", "--dataset", "squad"]
        command += ["--predictions", str(folder / "predictions"), "--languages", "en", "--out", str(folder / "en.json")]
        seconds, memory, _ = measured(command, ROOT)
        return f"| score {predictions:,} predictions | {seconds:.0f} | {memory:,.0f} |"


def tabulate(predictions: int) -> list[str]:
    """Tables and report of a study whose checkpoints were scored with made-up numbers."""
    config = study_of(1)
    headline = config["headline"]
    languages = len(build_study(config, ROOT).tracks[headline["track"]].evaluate[headline["dataset"]])
    study = build_study(study_of(predictions // (languages * EXAMPLES)), ROOT)
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_json(folder / "plan.json", plan_of(study))
        for path, node in study.checkpoints.items():
            for dataset, evaluated in node.evaluate.items():
                metric = study.registry[dataset].metric
                numbers = metric_named(metric).labels
                scores = {lang: {"n": EXAMPLES} | {key: 100 * draw.random() for key in numbers} for lang in evaluated}
                record = {"dataset": dataset, "task": metric, "score_version": 1, "languages": scores}
                write_json(folder / Path(path).relative_to(study.results) / "scores" / f"{dataset}.json", record)
        rows = []
        for what, out in (("tables", "tables"), ("report", "report.html")):
            command = [sys.executable, str(ROOT / f"scripts/{what}.py"), "--plan", str(folder / "plan.json")]
            command += ["--results", str(folder), "--out", str(folder / out)]
            if what == "tables":
                command += ["--claims", str(folder / "claims.json"), "--cost", str(folder / "cost")]
            seconds, memory, _ = measured(command, ROOT)
            rows.append(f"| {what} of {predictions:,} predictions | {seconds:.0f} | {memory:,.0f} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="*", default=[1000, 10_000, 50_000], help="sizes of plans")
    parser.add_argument("--score", type=int, nargs="*", default=[1_000_000], help="predictions of one file")
    parser.add_argument("--tables", type=int, nargs="*", default=[10_000_000], help="predictions of a whole study")
    parser.add_argument("--out", type=Path, help="file for the table")
    args = parser.parse_args()
    lines = [
        "# Scale",
        "",
        f"{date.today()}, {processor()}, `python benchmarks/scale.py {' '.join(sys.argv[1:])}`",
        "",
        "| | seconds of computing | peak MiB |",
        "|:--|--:|--:|",
    ]
    rows = itertools.chain(
        map(plan, args.jobs), map(score, args.score), itertools.chain.from_iterable(map(tabulate, args.tables))
    )
    for row in rows:
        print(row, flush=True)
        lines.append(row)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
