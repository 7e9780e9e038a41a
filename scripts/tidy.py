"""Remove weights that no later job needs.

python scripts/tidy.py --checkpoints '[{"path": "results/.../worldqa.qen@100", "until": []}]' \\
        --out results/.../worldqa.qen@100/tidied
"""

import argparse
import json
from pathlib import Path

from crosstune.artifacts.checkpoint import tidy
from crosstune.core.errors import run_program
from crosstune.core.files import write_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--checkpoints", type=json.loads, required=True, help="folders, and the files to be there before, as JSON"
    )
    parser.add_argument("--out", type=Path, required=True, help="file to write when it is done")
    args = parser.parse_args()

    write_text(args.out, "".join(f"{path}\n" for path in tidy(args.checkpoints)))


if __name__ == "__main__":
    run_program(main)
