"""Draw one figure that a study specifies under its key `figures`, as SVG and PDF.

    python scripts/figure.py --plan results/x/plan.json --results results/x --name gains --out results/x/paper/gains.svg

Reads the plan, the scores, the records of trainings, contrasts.json and distances.json if they exist. Needs no network.
"""

import argparse
from pathlib import Path

from crosstune.analysis.results import load_results
from crosstune.core.errors import run_program
from crosstune.reporting.figures.declared import write_figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", required=True, type=Path, help="the study's plan.json")
    parser.add_argument("--results", required=True, type=Path, help="the study's folder of results")
    parser.add_argument("--name", required=True, help="the figure's name in the study")
    parser.add_argument("--out", required=True, type=Path, help="file to draw into (.svg), with a .pdf next to it")
    args = parser.parse_args()
    write_figure(load_results(args.plan, args.results), args.name, args.results, args.out)


if __name__ == "__main__":
    run_program(main)
