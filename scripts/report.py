"""Write the report of a study: the answer to its question, figures, tables and provenance.

    python scripts/report.py --plan results/default/plan.json --results results/default \\
        --out results/default/report.html

Reads the plan, the scores, and stage.json, contrasts.json, distances.json, provenance.json, leakage.json and
encoding.json, as far as they exist.
"""

import argparse
from pathlib import Path

from crosstune.analysis.results import load_results
from crosstune.core.errors import run_program
from crosstune.reporting.page.page import write_report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", required=True, type=Path, help="the study's plan.json")
    parser.add_argument("--results", required=True, type=Path, help="the study's folder of results")
    parser.add_argument("--out", required=True, type=Path, help="page to write (.html)")
    args = parser.parse_args()
    write_report(load_results(args.plan, args.results), args.results, args.out)


if __name__ == "__main__":
    run_program(main)
