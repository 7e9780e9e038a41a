"""Write the typological distances between the languages of a study.

    python scripts/distances.py --spec '{"features": ["S_*"], "languages": {"en": "eng", "de": "deu"}}' \\
        --file features.npz --out results/default/distances.json
"""

import argparse
import json
from pathlib import Path

from crosstune.core.errors import run_program
from crosstune.core.files import write_json
from crosstune.data.language_distances import pairwise_distances


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, type=json.loads, help="features (patterns) and languages, as JSON")
    parser.add_argument("--file", required=True, type=Path, help="features of languages, .npz or .csv")
    parser.add_argument("--out", required=True, type=Path, help="distances to write")
    args = parser.parse_args()
    write_json(args.out, pairwise_distances(args.file, args.spec["features"], args.spec["languages"]))


if __name__ == "__main__":
    run_program(main)
