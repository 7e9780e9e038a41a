"""Compare a study with its kept results, and write the entry of a correction for a person to complete.

    python scripts/corrections.py --study default --results results/default --kept docs/results/default

The record is the file corrections.yaml in the folder of the kept results. docs/corrections.md explains it.
"""

import argparse
from pathlib import Path

from crosstune.core.errors import run_program, show
from crosstune.operations.corrections import update_record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", required=True, help="the name of the study")
    parser.add_argument("--results", required=True, type=Path, help="the study's folder of results")
    parser.add_argument("--kept", required=True, type=Path, help="folder of the kept results and their record")
    args = parser.parse_args()
    for line in update_record(args.study, args.kept, args.results, Path(".")):
        show(line)


if __name__ == "__main__":
    run_program(main)
