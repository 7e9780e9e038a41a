"""Print the progress of a study, during its run or later. Reads files only.

python scripts/status.py
python scripts/status.py --configfile studies/xtreme-r.yaml
"""

import argparse
import json
from pathlib import Path

from crosstune.core.errors import run_program, show
from crosstune.core.schema import read_yaml
from crosstune.core.yaml_lines import lines_named
from crosstune.operations.status import job_statuses, status_lines
from crosstune.study.build import build_study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, default=Path("config.yaml"), help="the study (%(default)s)")
    parser.add_argument("--config", type=json.loads, help="the config itself, as JSON")
    args = parser.parse_args()

    with lines_named(*([] if args.config else [args.configfile])):
        study = build_study(args.config or read_yaml(args.configfile))
    show(*status_lines(study, job_statuses(study)))


if __name__ == "__main__":
    run_program(main)
