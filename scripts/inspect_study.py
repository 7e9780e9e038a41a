"""Say what a study would run, read and download, without running anything of it.

    python scripts/inspect_study.py studies/theirs.yaml

Snakemake itself evaluates a config file that has the key `__use_yte__`, even in a dry run. This program does not.
"""

import argparse
from pathlib import Path

from crosstune.core.errors import printable, run_program
from crosstune.core.schema import read_yaml
from crosstune.study.build import build_study
from crosstune.study.inspection import check_consents, check_no_code, inspection


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="the study's config file")
    args = parser.parse_args()
    config = read_yaml(args.study)
    check_no_code(config, str(args.study))
    check_consents(config, str(args.study))
    print(printable("\n".join(inspection(build_study(config)))))


if __name__ == "__main__":
    run_program(main)
