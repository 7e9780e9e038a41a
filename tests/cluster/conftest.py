"""A real SLURM on this machine, and the small study as it comes out without one."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from slurm_runs import FIRST, HERE, LONG, SECOND, SMALL, Slurm, stages, write_long


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A SLURM of our own, brought up for these tests; one that was left running is left running."""
    answers = tmp_path_factory.mktemp("slurm")
    with (answers / "out").open("w") as out, (answers / "err").open("w") as err:
        begin = time.time()
        code = subprocess.run([HERE / "slurm_up.sh"], stdout=out, stderr=err).returncode
    reason = (answers / "err").read_text().strip()
    if code == 77:
        pytest.skip(reason.splitlines()[-1])
    assert code == 0, reason
    conf = Path((answers / "out").read_text().strip())
    started_here = (conf.parent / "run/slurmctld.pid").stat().st_mtime >= begin
    yield Slurm(str(conf))
    if started_here:
        subprocess.run([HERE / "slurm_down.sh"], check=True)


@pytest.fixture(scope="session")
def finished(new_project, snakemake) -> Path:
    """The small study and the long trainings, undisturbed and without a cluster."""
    folder = new_project("finished")
    shutil.copy(SMALL, folder)
    snakemake(folder, "--cores", "2", "--configfile", "small.yaml")
    write_long(folder)
    snakemake(folder, *stages(*LONG), f"{SECOND}/stage.json", "--cores", "2", "--configfile", "long.yaml")
    return folder


@pytest.fixture(scope="session")
def begun(finished, new_project):
    """Make a project in which all is there that the long trainings need, and they are not."""

    def make(name: str) -> Path:
        folder = new_project(name)
        for part in ("data", "results", ".snakemake"):
            subprocess.run(["cp", "-a", finished / part, folder / part], check=True)
        for stage in (*LONG.values(), FIRST):
            shutil.rmtree(folder / stage)
        write_long(folder)
        return folder

    return make
