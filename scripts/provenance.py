"""Write the provenance of a study: code, environment, data, models, hardware and cost, from its manifests and records.

    python scripts/provenance.py --config "$(cat resolved.json)" --data data/worldqa/test.qen.json \\
        --out results/default/provenance.json
"""

import argparse
import json
from pathlib import Path

from crosstune.core.errors import run_program
from crosstune.core.files import write_json
from crosstune.operations.provenance import study_provenance
from crosstune.study.build import build_study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=json.loads, required=True, help="the resolved config, as JSON")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="manifests of the prepared splits")
    parser.add_argument("--out", type=Path, required=True, help="provenance to write (.json)")
    args = parser.parse_args()
    write_json(args.out, study_provenance(build_study(args.config), args.data))


if __name__ == "__main__":
    run_program(main)
