"""Write a study's plan: its runs and where their results lie.

python scripts/plan_file.py --config "$(cat resolved.json)" --out results/default/plan.json
"""

import argparse
import json
from pathlib import Path

from crosstune.core.errors import run_program
from crosstune.core.files import write_text
from crosstune.study.build import build_study
from crosstune.study.plan import plan_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=json.loads, required=True, help="the resolved config, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="plan to write")
    args = parser.parse_args()

    # Not sorted: tables and figures follow the order of the config.
    write_text(args.out, json.dumps(plan_of(build_study(args.config)), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    run_program(main)
