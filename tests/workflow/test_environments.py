"""What Snakemake says where the programs are missing that would make a rule's environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crosstune.core.errors import UserError
from crosstune.machine.container import check_image, gpu_environment

SMALL = Path(__file__).with_name("small.yaml")
MANAGERS = ("conda", "apptainer", "singularity")


@pytest.fixture(scope="module")
def run_without_managers(new_project, tmp_path_factory):
    """Run Snakemake where neither conda nor Apptainer can be found."""
    programs, folder = tmp_path_factory.mktemp("programs"), new_project("environments")
    for found in Path("/usr/bin").iterdir():
        if found.name not in MANAGERS:
            (programs / found.name).symlink_to(found)
    paths = f"{Path(sys.executable).parent}:{programs}"

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = ["snakemake", "--nocolor", "--cores", "1", "--configfile", SMALL, *arguments]
        environment = {name: value for name, value in os.environ.items() if "CONDA" not in name} | {"PATH": paths}
        done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True)
        assert not (folder / "data").exists() and "Traceback" not in done.stderr
        return done

    return run


def test_missing_conda_is_an_error_before_any_job(run_without_managers):
    done = run_without_managers("--sdm", "conda")
    assert done.returncode and "Is conda installed and accessible?" in done.stderr


def test_missing_apptainer_is_an_error_before_any_job(run_without_managers):
    done = run_without_managers("--sdm", "apptainer")
    assert done.returncode and "The apptainer or singularity command has to be available" in done.stderr


def test_every_rule_that_runs_something_has_an_environment():
    """With `--sdm conda` a rule without one runs with whatever Snakemake runs with."""
    for path in Path(__file__).parents[2].glob("rules/*.smk"):
        for rule in path.read_text().split("\nrule ")[1:]:
            name = rule.partition(":")[0]
            assert ("\n    shell:" in rule) == ('"../envs/' in rule), f"{path.name}: {name}"


def test_an_image_is_a_file_that_is_there_or_an_address(tmp_path):
    (tmp_path / "there.sif").touch()
    check_image(str(tmp_path / "there.sif"))
    check_image("docker://example.org/crosstune:0.1.0")
    with pytest.raises(UserError, match=r"missing.sif: there is no image to run jobs in\n  make image"):
        check_image(str(tmp_path / "missing.sif"))


def test_jobs_in_an_image_see_the_gpus_of_a_machine_with_the_driver(tmp_path):
    assert gpu_environment({}, tmp_path) == {}
    (tmp_path / "nvidiactl").touch()
    assert gpu_environment({}, tmp_path) == {"APPTAINER_NV": "1", "SINGULARITY_NV": "1"}
    for variable in ("APPTAINER_NV", "SINGULARITY_NV"):
        assert gpu_environment({variable: "0"}, tmp_path) == {}, "the user has decided"
