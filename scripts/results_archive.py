"""Pack the finished results of a study without weights, or put those of an archive into place.

python scripts/results_archive.py --configfile studies/mine.yaml --export mine.zip
python scripts/results_archive.py --configfile studies/mine.yaml --import mine.zip
"""

import argparse
import json
import sys
from pathlib import Path

from crosstune.core.errors import run_program, show
from crosstune.core.schema import read_yaml
from crosstune.core.text import count
from crosstune.operations.results_archive import export_results, import_results
from crosstune.study.build import build_study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, default=Path("config.yaml"), help="the study (%(default)s)")
    parser.add_argument("--config", type=json.loads, help="the config itself, as JSON")
    parser.add_argument(
        "--data", nargs="*", default=[], help="manifests of the study's prepared rows, to be packed too"
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--export", type=Path, metavar="ZIP", help="archive to write")
    action.add_argument("--import", type=Path, metavar="ZIP", dest="archive", help="archive to read")
    args = parser.parse_args()

    study, here = build_study(args.config or read_yaml(args.configfile)), Path(".")
    if args.export:
        number = export_results(study, here, args.export)
        show(f"{args.export} holds {count(number, 'checkpoint')}", file=sys.stderr)
    else:
        new, present = import_results(study, here, args.archive)
        show(f"{count(new, 'checkpoint')} put into place, {present} already there", file=sys.stderr)


if __name__ == "__main__":
    run_program(main)
