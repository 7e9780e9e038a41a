"""Find texts of the evaluation sets in the training data of a study; fail for leaks that it does not allow.

    python scripts/leakage.py --data data/squad/train.en.json data/xquad/test.en.json \\
        --spec '{"groups": [{"train": ["squad.en"], "evaluate": ["xquad.en"], "stop": true}], "allow": []}' \\
        --out results/mine/leakage.json
"""

import argparse
import json
import sys
from pathlib import Path

from crosstune.core.errors import run_program, show
from crosstune.core.files import write_json
from crosstune.data.leakage import find_leakage, refuse_leaks, rows_by_split, summary_lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", type=json.loads, required=True, help="groups to compare and allowed pairs, as JSON")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="manifests of the prepared splits")
    parser.add_argument("--out", type=Path, required=True, help="findings to write (.json)")
    args = parser.parse_args()

    found = find_leakage(rows_by_split(args.data), args.spec["groups"], args.spec["allow"])
    refuse_leaks(found, args.spec["allow"])
    write_json(args.out, found)
    show(*summary_lines(found), file=sys.stderr)


if __name__ == "__main__":
    run_program(main)
