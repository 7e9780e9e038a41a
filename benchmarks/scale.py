"""Time and memory of planning studies of growing size, and of scoring and tabulating many predictions.

    python benchmarks/scale.py --jobs 1000 10000 --predictions 1000000

Planning is `snakemake -n` on a study with as many jobs; scoring is scripts/score.py on one data set of that many
predictions, and the tables are made of the scores of as many checkpoints.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import yaml
from rivals import ROOT, processor


def study_of(jobs: int) -> dict:
    """A study of about `jobs` jobs: every seed adds 9 stages, each trained, predicted from and scored."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    seeds = max(1, round((jobs - 50) / (3 * 9)))
    return {**config, "study": "scale", "seeds": list(range(1, seeds + 1))}


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
        yaml.safe_dump(study_of(jobs), file)
    command = ["snakemake", "-n", "--quiet", "rules", "--configfile", file.name, "--nolock"]
    seconds, memory, output = measured(command, ROOT)
    total = next(line.split()[-1] for line in reversed(output.splitlines()) if line.startswith("total"))
    Path(file.name).unlink()
    return f"| snakemake -n, {int(total):,} jobs | {seconds:.0f} | {memory:,.0f} |"


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--predictions", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    lines = [
        "# Scale",
        "",
        f"{date.today()}, {processor()}",
        "",
        "| | seconds of computing | peak MiB |",
        "|:--|--:|--:|",
    ]
    lines += [plan(jobs) for jobs in args.jobs]
    lines += [score(predictions) for predictions in args.predictions]
    print("\n".join(lines))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
