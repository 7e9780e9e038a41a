"""A SLURM that keeps no accounts: no database that sacct or sacctmgr could ask."""

import filecmp
import os
import subprocess

import pytest
from slurm_runs import HERE, LONG, Slurm, stages

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def plain_slurm():
    """It has the place of the one with accounts, which comes back afterwards where it was running."""
    was_running = subprocess.run(["pgrep", "--exact", "slurmctld"], capture_output=True).returncode == 0
    environ = os.environ | {"CROSSTUNE_SLURM": "/var/lib/crosstune-slurm-plain"}
    subprocess.run([HERE / "slurm_down.sh"], check=True)
    try:
        done = subprocess.run([HERE / "slurm_up.sh", "--no-accounting"], env=environ, capture_output=True, text=True)
        if done.returncode == 77:
            pytest.skip(done.stderr.strip().splitlines()[-1])
        assert done.returncode == 0, done.stderr
        yield Slurm(done.stdout.strip())
    finally:
        subprocess.run([HERE / "slurm_down.sh", "--purge"], env=environ, check=True)
        if was_running:
            subprocess.run([HERE / "slurm_up.sh"], check=True, stdout=subprocess.DEVNULL)


def test_a_training_that_runs_out_of_memory_gets_more_without_accounting(plain_slurm, begun, finished):
    """The profile of docs/cluster.md: nothing but `slurm-no-account` is added to the one that is shipped."""
    asked = subprocess.run(["sacct"], env=plain_slurm.environ, capture_output=True, text=True)
    assert "accounting storage is disabled" in asked.stderr
    folder = begun("plain")
    profile = folder / "profiles/slurm/config.yaml"
    profile.write_text(profile.read_text() + "slurm-no-account: true\n")
    memory = "train:mem_mb=100 if attempt == 1 else 2000"
    plain_slurm.run(folder, *stages("qen"), "--configfile", "long.yaml", "--set-resources", memory)
    assert len(plain_slurm.jobs(folder, LONG["qen"])) == 2
    for name in ("stage.json", "train.jsonl", "model/model.safetensors"):
        assert filecmp.cmp(finished / LONG["qen"] / name, folder / LONG["qen"] / name, shallow=False), name
