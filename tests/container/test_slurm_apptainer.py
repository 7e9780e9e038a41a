"""Jobs of a cluster in Apptainer: what SLURM starts gives the bytes of `make`, too."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.container

CLUSTER = Path(__file__).parents[1] / "cluster"
STAGE = "results/small/tiny/seed1/qa/worldqa.qen@12"


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


def test_a_job_of_slurm_gives_the_same_bytes_in_apptainer(finished, small_project_with_image, slurm):
    folder = small_project_with_image("slurm")
    for part in ("data", "results", ".snakemake"):
        subprocess.run(["cp", "-a", finished / part, folder / part], check=True)
    shutil.rmtree(folder / STAGE)
    slurm.run(folder, f"{STAGE}/predictions/worldqa.json", "--configfile", "small.yaml", "--sdm", "apptainer")
    names = [f"{STAGE}/{name}" for name in ("model/model.safetensors", "predictions/worldqa/qka.jsonl")]
    assert [(folder / name).read_bytes() == (finished / name).read_bytes() for name in names] == [True, True]
    logs = "\n".join(path.read_text() for path in (folder / "logs/slurm").rglob("*.log"))
    assert "Activating singularity image" in logs
