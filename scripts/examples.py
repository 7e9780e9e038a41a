"""Write examples of the test sets with the answers of all schedules side by side, as pages and as CSV.

    python scripts/examples.py --plan results/default/plan.json --results results/default --data data --number 5 \\
        --seed 1 --out results/default/examples

Reads the plan, the prepared test rows, and the predictions and scores of examples of one seed. Needs no network.
"""

import argparse
from pathlib import Path

from crosstune.analysis.results import load_results
from crosstune.core.errors import run_program
from crosstune.reporting.examples.pages import write_examples
from crosstune.reporting.examples.side_by_side import ExampleFiles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", required=True, type=Path, help="the study's plan.json")
    parser.add_argument("--results", required=True, type=Path, help="the study's folder of results")
    parser.add_argument("--data", required=True, type=Path, help="folder of the prepared data")
    parser.add_argument("--number", required=True, type=int, help="examples of each language")
    parser.add_argument("--seed", required=True, type=int, help="seed of the shown runs, which also draws the examples")
    parser.add_argument("--out", required=True, type=Path, help="folder to write the files into")
    args = parser.parse_args()
    study = load_results(args.plan, args.results)
    write_examples(study, ExampleFiles(args.data, args.results, args.seed), args.number, args.out)


if __name__ == "__main__":
    run_program(main)
