"""The image is made of the lock, needs no network and no root, and gives the bytes of `make`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.installed import read_names, requirements_of

from crosstune.machine.container import gpu_environment
from crosstune.machine.environment import environment
from pin_envs import LOCK, read_lock

pytestmark = pytest.mark.container

ROOT = Path(__file__).parents[2]
SIF = "containers/crosstune.sif"
STUDY = ("--cores", "2", "--configfile", "small.yaml")
# Run in an image: what is installed, and where.
LOOK = """
import importlib.metadata, json, os, sys
installed = {found.name: found.version for found in importlib.metadata.distributions()}
print(json.dumps({"installed": installed, "python": sys.executable, "user": os.getuid(), "path": sys.path}))
"""
REACH = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"


def test_the_image_holds_the_versions_of_the_lock(podman, image):
    found = json.loads(podman("run", "--rm", "--network", "none", image, "python", "-c", LOOK))
    assert found["python"].startswith("/opt/crosstune/") and found["user"] != 0
    check_installed(found["installed"])


def test_podman_gives_the_same_bytes_without_network_or_root(hashes, finished, small_project, podman, image):
    """The image itself is read only; what is not in the project's folder goes to /tmp."""
    folder = small_project("podman")
    user = 12345
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user)
    run = ("run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--user", f"{user}:{user}")
    run += ("--volume", f"{folder}:/work", image)
    assert "unreachable" in podman(*run, "python", "-c", REACH, check=False)
    podman(*run, "snakemake", *STUDY)
    assert hashes(folder) == hashes(finished)


def test_apptainers_file_holds_the_versions_of_the_lock(apptainer, sif, tmp_path):
    """Whatever packages the machine and the user have."""
    (tmp_path / "numpy.py").touch()
    foreign = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [apptainer, "--silent", "exec", "--home", tmp_path, sif, "python", "-c", LOOK]
    done = subprocess.run(command, cwd=tmp_path, env=foreign, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["python"].startswith("/opt/crosstune/")
    assert str(tmp_path) not in found["path"]
    check_installed(found["installed"])


def check_installed(installed: dict[str, str]) -> None:
    """All that the image is to hold, at the lock's versions, and nothing to develop with."""
    from packaging.utils import canonicalize_name

    lock = {name: pin.version for name, pin in read_lock(ROOT / "envs" / LOCK).items()}
    found = {canonicalize_name(name): version.partition("+")[0] for name, version in installed.items()}
    wanted = requirements_of(read_names(ROOT / "envs/image.in"))
    assert {name: found.get(name) for name in wanted} == {name: lock[name] for name in wanted}
    assert set(found) - wanted <= {"pip", "setuptools"}


def test_the_labels_say_version_and_commit(podman, apptainer, image, sif):
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True, capture_output=True).stdout.strip()
    described = json.loads(podman("image", "inspect", image))[0]["Labels"]
    inspected = subprocess.run([apptainer, "inspect", "--json", sif], text=True, capture_output=True, check=True)
    for labels in (described, json.loads(inspected.stdout)["data"]["attributes"]["labels"]):
        assert f'version = "{labels["org.opencontainers.image.version"]}"' in (ROOT / "pyproject.toml").read_text()
        assert labels["org.opencontainers.image.revision"].startswith(commit or "unknown")


def test_snakemake_gives_the_same_bytes_in_apptainer_without_network(
    hashes, finished, small_project_with_image, apptainer, sif
):
    folder = small_project_with_image("apptainer")
    alone = ["unshare", "--net"] if os.getuid() == 0 else ["unshare", "--map-root-user", "--net"]
    reach = subprocess.run([*alone, sys.executable, "-c", REACH], text=True, capture_output=True)
    assert "unreachable" in reach.stderr
    command = [*alone, "snakemake", "--nocolor", "--sdm", "apptainer", *STUDY]
    done = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout[-6000:]
    assert hashes(folder) == hashes(finished)
    # Its environment, not this one's, made the plan as everything else: Debian's Python has a version of its own.
    recorded = json.loads((folder / "results/small/provenance.json").read_text())["environment"]
    inside = subprocess.run(
        [apptainer, "--silent", "exec", sif, "python", "-c", "import platform; print(platform.python_version())"],
        text=True,
        capture_output=True,
    )
    assert recorded["python"] == inside.stdout.strip()
    assert recorded["packages"].keys() <= environment()["packages"].keys()


def test_apptainer_takes_the_variables_that_show_gpus(apptainer, sif, tmp_path):
    (tmp_path / "nvidiactl").touch()
    command, environment = [apptainer, "--debug", "exec", sif, "true"], os.environ | gpu_environment({}, tmp_path)
    told = subprocess.run(command, env=environment, text=True, capture_output=True, check=True).stderr
    assert "Updated flag 'nv' value to: true" in told
    assert "is preferred" not in told, "no warning of the other program's variable"


def test_an_image_makes_nothing_again(finished, small_project_with_image, snakemake, jobs):
    """What was made without it stays; Snakemake's own default is to make it anew."""
    folder = small_project_with_image("changed")
    for part in ("data", "results", ".snakemake"):
        subprocess.run(["cp", "-a", finished / part, folder / part], check=True)
    assert jobs(snakemake(folder, "-n", "--sdm", "apptainer", "--configfile", "small.yaml").stdout) == {}
    default = snakemake(
        folder, "-n", "--sdm", "apptainer", "--configfile", "small.yaml", "--rerun-triggers", "software-env"
    )
    assert "prepare" in jobs(default.stdout)


def test_an_image_that_is_not_there_is_told_before_any_job(small_project, apptainer, snakemake):
    folder = small_project("no-image")
    done = snakemake(folder, "--sdm", "apptainer", *STUDY, check=False)
    assert done.returncode and f"{SIF}: there is no image to run jobs in\n  make image\n" in done.stdout
    assert "Traceback" not in done.stdout and not (folder / "data").exists()
