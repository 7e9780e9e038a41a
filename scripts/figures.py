"""Draw the figures of a study as SVG and PDF.

    python scripts/figures.py --plan results/default/plan.json --results results/default --out results/default/figures

Reads the plan, the scores and the cost records. Needs no network.
"""

import argparse
from pathlib import Path

from crosstune.analysis.results import load_results
from crosstune.core.errors import run_program
from crosstune.reporting.figures import write_figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", required=True, type=Path, help="the study's plan.json")
    parser.add_argument("--results", required=True, type=Path, help="the study's folder of results")
    parser.add_argument("--out", required=True, type=Path, help="folder to write the figures into")
    args = parser.parse_args()
    write_figures(load_results(args.plan, args.results), args.results, args.out)


if __name__ == "__main__":
    run_program(main)
