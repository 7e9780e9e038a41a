"""Compute the declared contrasts of a study: differences between two schedules, with intervals, tests and a verdict.

    python scripts/contrasts.py --plan results/default/plan.json --results results/default \\
        --out results/default/contrasts.json

Reads the plan and the scores of examples. Seeds without scores are listed as missing. docs/statistics.md explains every
number.
"""

import argparse
from pathlib import Path

from crosstune.analysis.contrasts import compute_contrasts
from crosstune.analysis.results import load_results
from crosstune.core.errors import run_program
from crosstune.core.files import write_json
from crosstune.study.comparisons import CONTRASTS_VERSION


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", required=True, type=Path, help="the study's plan.json")
    parser.add_argument("--results", required=True, type=Path, help="the study's folder of results")
    parser.add_argument("--out", required=True, type=Path, help="file to write (.json)")
    args = parser.parse_args()
    study = load_results(args.plan, args.results)
    write_json(args.out, {"version": CONTRASTS_VERSION, "contrasts": compute_contrasts(study, args.results)})


if __name__ == "__main__":
    run_program(main)
