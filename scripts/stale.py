"""List outdated results of a study, results of another commit, and folders that the study no longer needs.

    python scripts/stale.py
    python scripts/stale.py --configfile studies/xtreme-r.yaml

Deletes nothing.
"""

import argparse
import json
from pathlib import Path

from crosstune.core.errors import run_program, show
from crosstune.core.schema import read_yaml
from crosstune.operations.stale import stale_lines
from crosstune.study.build import build_study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, default=Path("config.yaml"), help="the study (%(default)s)")
    parser.add_argument("--config", type=json.loads, help="the config itself, as JSON")
    args = parser.parse_args()
    show(*stale_lines(build_study(args.config or read_yaml(args.configfile))))


if __name__ == "__main__":
    run_program(main)
