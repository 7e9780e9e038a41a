"""Jobs of a cluster in Apptainer: what SLURM starts gives the bytes of `make`, too."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.container

CLUSTER = Path(__file__).parents[1] / "cluster"


@pytest.fixture(scope="session")
def slurm():
    """The SLURM of the tests in tests/cluster, brought up here; one that was left running is left running."""
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("snakemake-executor-plugin-slurm is not installed")
    sys.path.append(str(CLUSTER))
    slurm_runs = pytest.importorskip("slurm_runs", reason="no tests of SLURM here")
    before = subprocess.run(["pgrep", "--exact", "slurmctld"], capture_output=True).returncode == 0
    done = subprocess.run([CLUSTER / "slurm_up.sh"], capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    yield slurm_runs.Slurm(done.stdout.strip())
    if not before:
        subprocess.run([CLUSTER / "slurm_down.sh"], check=True)


def test_the_study_is_the_same_through_slurm_in_apptainer(hashes, finished, small_project_with_image, slurm):
    folder = small_project_with_image("slurm")
    slurm.run(folder, "--configfile", "small.yaml", "--sdm", "apptainer")
    assert hashes(folder) == hashes(finished)
    logs = [path.read_text() for path in (folder / "logs/slurm").rglob("*.log")]
    assert len(logs) == 1 + 1 + 5 and all("Activating singularity image" in log for log in logs)
