"""Pack a finished study as an RO-Crate (profile Workflow Run Crate): results, workflow and config.

python scripts/crate.py --results results/default --kept docs/results/default --out results/default/crate.zip
"""

import argparse
import sys
from pathlib import Path

from crosstune.artifacts.correction_record import read_record
from crosstune.core.errors import run_program, show
from crosstune.core.files import read_json
from crosstune.machine.environment import commit
from crosstune.operations.crate import write_crate
from crosstune.study.build import build_study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", required=True, type=Path, help="the study's folder of results")
    parser.add_argument("--kept", type=Path, help="folder of kept results with their correction record")
    parser.add_argument("--out", required=True, type=Path, help="archive to write (.zip)")
    args = parser.parse_args()

    provenance = read_json(args.results / "provenance.json")
    if commit() != provenance["code"]:
        show("the packed workflow has another commit than the results of the study", file=sys.stderr)
    record = read_record(args.kept, Path(".")) if args.kept else None
    names = write_crate(build_study(provenance["config"]), Path("."), args.out, record)
    show(f"{args.out} holds {len(names)} files:", *(f"  {name}" for name in names), file=sys.stderr)


if __name__ == "__main__":
    run_program(main)
