"""Write a study's plan (its runs and where their results lie) and its provenance (config, versions, commit).

    python scripts/expand.py --config "$(cat resolved.json)" --out results/default/plan.json \\
        --provenance results/default/provenance.json
"""

import argparse
import json
from pathlib import Path

from crosstune.errors import run_program
from crosstune.files import sha256_json, write_json
from crosstune.plan import plan_of
from crosstune.provenance import commit, environment
from crosstune.study import Study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=json.loads, required=True, help="the resolved config, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="plan to write")
    parser.add_argument("--provenance", type=Path, required=True, help="provenance to write")
    args = parser.parse_args()

    study = Study(args.config)
    write_json(args.out, plan_of(study))
    config = {"config": study.told, "config_sha256": sha256_json(study.told)}
    write_json(args.provenance, {**config, "code": commit(), "environment": environment()})


if __name__ == "__main__":
    run_program(main)
