"""Write the report of a study: the answer to its question, figures, tables and provenance.

    python scripts/report.py --plan results/default/plan.json --results results/default \\
        --out results/default/report.html --kept docs/results/default

Reads the plan, the scores, and stage.json, contrasts.json, distances.json, provenance.json, leakage.json, encoding.json
and buckets/*.json, as far as they exist; and the correction record of the folder --kept, if it has one.
"""

import argparse
from pathlib import Path

from crosstune.analysis.results import load_results
from crosstune.artifacts.correction_record import read_record
from crosstune.core.errors import run_program
from crosstune.reporting.page.page import write_report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", required=True, type=Path, help="the study's plan.json")
    parser.add_argument("--results", required=True, type=Path, help="the study's folder of results")
    parser.add_argument("--out", required=True, type=Path, help="page to write (.html)")
    parser.add_argument("--kept", type=Path, help="folder of kept results with their correction record")
    args = parser.parse_args()
    record = read_record(args.kept, Path(".")) if args.kept else None
    write_report(load_results(args.plan, args.results), args.results, args.out, record)


if __name__ == "__main__":
    run_program(main)
