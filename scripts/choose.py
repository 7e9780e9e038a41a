"""Choose the values of a sweep by the validation scores of its candidates.

    python scripts/choose.py --spec '{"grid": [{"lr": 1e-5}, {"lr": 3e-5}], "seeds": [1]}' \\
        --candidates results/default/.../worldqa.qen@210~lr=1e-05/stage.json ... --out .../choice.json

Reads the manifests of the candidates alone: those of the first values with every seed, then of the second, and so on.
"""

import argparse
import json
from pathlib import Path

from crosstune.artifacts.choice import choose
from crosstune.core.errors import run_program
from crosstune.core.files import write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", type=json.loads, required=True, help="grid of values and seeds, as JSON")
    parser.add_argument("--candidates", type=Path, nargs="+", required=True, help="manifests of the candidates")
    parser.add_argument("--out", type=Path, required=True, help="file to write the choice into (.json)")
    args = parser.parse_args()
    seeds = args.spec["seeds"]
    manifests = [args.candidates[n : n + len(seeds)] for n in range(0, len(args.candidates), len(seeds))]
    write_json(args.out, choose(args.spec["grid"], manifests, seeds))


if __name__ == "__main__":
    run_program(main)
