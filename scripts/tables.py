"""Write the tables of a study as CSV, Markdown and LaTeX, the verdicts on published claims, and the cost tables.

    python scripts/tables.py --plan results/default/plan.json --results results/default --out results/default/tables \\
        --claims results/default/claims.json --cost results/default/cost

Reads the plan, the scores, the cost records of trainings and predictions, contrasts.json, distances.json and the
choices of sweeps if they exist, and, for a claim about the rows of a data set, its prepared manifests; for the
provenance of the tables also provenance.json and the manifests of checkpoints and predictions. Tables count runs
without scores as missing.
"""

import argparse
from pathlib import Path

from crosstune.analysis.results import load_results
from crosstune.core.errors import run_program
from crosstune.reporting.tables.claims import write_claim_results, write_claim_tables
from crosstune.reporting.tables.contrasts import write_contrast_tables
from crosstune.reporting.tables.cost import write_cost_tables
from crosstune.reporting.tables.custom import write_custom_tables
from crosstune.reporting.tables.few_shot import write_few_shot_tables
from crosstune.reporting.tables.provenance import write_provenance
from crosstune.reporting.tables.published import write_published_comparisons
from crosstune.reporting.tables.scores import write_score_tables
from crosstune.reporting.tables.sweeps import write_sweep_tables
from crosstune.reporting.tables.transfer import write_transfer_tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", required=True, type=Path, help="the study's plan.json")
    parser.add_argument("--results", required=True, type=Path, help="the study's folder of results")
    parser.add_argument("--out", required=True, type=Path, help="folder to write the tables into")
    parser.add_argument("--claims", required=True, type=Path, help="file to write the verdicts on claims into (.json)")
    parser.add_argument("--cost", required=True, type=Path, help="folder to write the cost tables into")
    args = parser.parse_args()
    study = load_results(args.plan, args.results)
    write_score_tables(study, args.out)
    write_published_comparisons(study, args.out)
    write_transfer_tables(study, args.out)
    write_few_shot_tables(study, args.out)
    write_custom_tables(study, args.out)
    write_sweep_tables(study, args.results, args.out)
    write_contrast_tables(study, args.out)
    write_provenance(study, args.results, args.out)
    write_claim_tables(study, args.results, args.out)
    write_claim_results(study, args.results, args.claims)
    write_cost_tables(study, args.results, args.cost)


if __name__ == "__main__":
    run_program(main)
