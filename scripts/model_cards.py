"""Write model cards next to the weights of all kept checkpoints of a study.

    python scripts/model_cards.py --plan results/x/plan.json --results results/x --data data \\
        --out results/x/model_cards.json

Reads the plan, the scores, and the manifests of checkpoints and of prepared rows. Needs no network.
"""

import argparse
from pathlib import Path

from crosstune.analysis.results import load_results
from crosstune.core.errors import run_program
from crosstune.reporting.cards.write import write_cards


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", required=True, type=Path, help="the study's plan.json")
    parser.add_argument("--results", required=True, type=Path, help="the study's folder of results")
    parser.add_argument("--data", required=True, type=Path, help="folder of the prepared data")
    parser.add_argument("--out", required=True, type=Path, help="file to list the cards in (.json)")
    parser.add_argument("--final", action="store_true", help="only checkpoints at the end of a schedule")
    args = parser.parse_args()
    write_cards(load_results(args.plan, args.results), args.results, args.data, args.out, args.final)


if __name__ == "__main__":
    run_program(main)
