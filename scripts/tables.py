"""Write the tables of a study as CSV, Markdown and LaTeX, the ledger of what others have said, and what it took.

    python scripts/tables.py --plan results/default/plan.json --results results/default --out results/default/tables \\
        --claims results/default/claims.json --cost results/default/cost

Reads the plan, the scores, what trainings and predictions took, contrasts.json and distances.json where they exist,
and, for a claim about the rows of a data set, its prepared manifests; for the sidecars of the tables provenance.json
and the manifests of checkpoints and predictions. Runs without scores are counted in the tables, not hidden.
"""

import argparse
from pathlib import Path

from crosstune.analysis.results import load_results
from crosstune.core.errors import run_program
from crosstune.reporting.tables.claims import write_ledger, write_ledger_tables
from crosstune.reporting.tables.contrasts import write_verdicts
from crosstune.reporting.tables.cost import write_costs
from crosstune.reporting.tables.custom import write_declared
from crosstune.reporting.tables.provenance import write_sidecars
from crosstune.reporting.tables.published import write_companions
from crosstune.reporting.tables.scores import write_tables
from crosstune.reporting.tables.transfer import write_transfer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", required=True, type=Path, help="the study's plan.json")
    parser.add_argument("--results", required=True, type=Path, help="the study's folder of results")
    parser.add_argument("--out", required=True, type=Path, help="folder to write the tables into")
    parser.add_argument("--claims", required=True, type=Path, help="ledger of the study's claims to write (.json)")
    parser.add_argument("--cost", required=True, type=Path, help="folder to write what the schedules took into")
    args = parser.parse_args()
    study = load_results(args.plan, args.results)
    write_tables(study, args.out)
    write_companions(study, args.out)
    write_transfer(study, args.out)
    write_declared(study, args.out)
    write_sidecars(study, args.results, args.out)
    write_verdicts(study, args.out)
    write_ledger_tables(study, args.results, args.out)
    write_ledger(study, args.results, args.claims)
    write_costs(study, args.results, args.cost)


if __name__ == "__main__":
    run_program(main)
