"""The shipped profiles: Snakemake lays the default one over any other."""

from pathlib import Path

import yaml

PROFILES = Path(__file__).parents[2] / "profiles"


def test_no_setting_of_the_default_profile_changes_one_of_another():
    default = yaml.safe_load((PROFILES / "default/config.yaml").read_text())
    slurm = yaml.safe_load((PROFILES / "slurm/config.yaml").read_text())
    assert {key: slurm[key] for key in default if key in slurm} == {
        key: default[key] for key in default if key in slurm
    }


def test_every_setting_of_the_cluster_is_explained():
    lines = (PROFILES / "slurm/config.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith("#") and not line.startswith("default-resources"):
            assert lines[number - 1].lstrip().startswith("#"), line
