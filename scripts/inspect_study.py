"""Say what a study would run, read and download, without running anything of it.

    python scripts/inspect_study.py studies/theirs.yaml

Snakemake itself evaluates a config file that has the key `__use_yte__`, even in a dry run. This program does not.
"""

import argparse
from pathlib import Path

from crosstune.core.errors import run_program, show
from crosstune.core.schema import read_yaml
from crosstune.core.yaml_lines import lines_named
from crosstune.study.build import build_study
from crosstune.study.inspection import check_no_code, check_no_consent, inspection
from crosstune.study.local_models import without_folders


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="the study's config file")
    args = parser.parse_args()
    config = read_yaml(args.study)
    check_no_code(config, str(args.study))
    check_no_consent(config, str(args.study))
    with lines_named(args.study):
        study = build_study(without_folders(config))
    show(*inspection(study))


if __name__ == "__main__":
    run_program(main)
