"""Write a study's predictions and gold labels in XTREME-R's folders and file formats.

    python scripts/submission.py --plan results/default/plan.json --results results/default --data data \\
        --out results/default/submission
"""

import argparse
from pathlib import Path

from crosstune.analysis.results import load_results
from crosstune.core.errors import run_program
from crosstune.operations.xtreme_submission import write_submissions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", required=True, type=Path, help="the study's plan.json")
    parser.add_argument("--results", required=True, type=Path, help="the study's folder of results")
    parser.add_argument("--data", required=True, type=Path, help="folder of the prepared data")
    parser.add_argument("--out", required=True, type=Path, help="folder to write the submissions into")
    args = parser.parse_args()
    write_submissions(load_results(args.plan, args.results), args.results, args.data, args.out)


if __name__ == "__main__":
    run_program(main)
