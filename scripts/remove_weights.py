"""Remove the weights of a checkpoint that no later job needs.

python scripts/remove_weights.py --checkpoint results/.../worldqa.qen@100 --out results/.../weights.removed
"""

import argparse
from pathlib import Path

from crosstune.artifacts.checkpoint import remove_weights
from crosstune.core.errors import run_program
from crosstune.core.files import write_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="checkpoint folder")
    parser.add_argument("--out", type=Path, required=True, help="file that marks the weights as removed")
    args = parser.parse_args()

    remove_weights(args.checkpoint)
    write_text(args.out, "")


if __name__ == "__main__":
    run_program(main)
