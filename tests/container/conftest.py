"""What the tests in images share: podman, Apptainer, and the image built from this project's own files.

All of it lies in .containers/ in the project's folder, where the next run finds it; down.sh removes it. What one test
needs is made while another runs.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from helpers.processes import end_snakemake

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SMALL = ROOT / "tests/workflow/small.yaml"
SIF = "containers/crosstune.sif"
WORKSHOP = ROOT / ".containers"
TAG, SIF_BUILT = "localhost/crosstune:tested", WORKSHOP / "crosstune.sif"
CANNOT = 77  # how a script says that the machine, not the script, is at fault


def bring_up(script: str) -> None:
    """Run one of the scripts here; skip where it says that this machine cannot do it."""
    done = subprocess.run(["bash", HERE / script, WORKSHOP], text=True, capture_output=True)
    if done.returncode == CANNOT:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class Podman:
    """Podman with the images of the workshop."""

    environment: dict[str, str]

    def __call__(self, *arguments: str | Path, check: bool = True) -> str:
        done = subprocess.run(
            ["podman", *map(str, arguments)],
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert not check or done.returncode == 0, done.stdout[-6000:]
        return done.stdout


class Workshop:
    """What is brought up and built, each by a thread that waits for what it stands on."""

    def __init__(self, pool: ThreadPoolExecutor):
        self.podman: Future[Podman] = pool.submit(start_podman)
        self.apptainer: Future[None] = pool.submit(bring_up, "apptainer_up.sh")
        self.image: Future[str] = pool.submit(self._make_image)
        self.sif: Future[Path] = pool.submit(self._make_sif)

    def _make_image(self) -> str:
        return make_image(self.podman.result())

    def _make_sif(self) -> Path:
        told = self.image.result()
        self.apptainer.result()
        if f"built {SIF_BUILT}" not in told:  # the image was begun before Apptainer was there
            make_image(self.podman.result())
        return SIF_BUILT


@pytest.fixture(scope="session", autouse=True)
def workshop() -> Iterator[Workshop]:
    with ThreadPoolExecutor() as pool:
        yield Workshop(pool)


@pytest.fixture(scope="session")
def podman(workshop) -> Podman:
    return workshop.podman.result()


@pytest.fixture(scope="session")
def apptainer(workshop) -> str:
    workshop.apptainer.result()
    return "apptainer"


@pytest.fixture(scope="session")
def image(workshop) -> str:
    """Tag of the image that `make image` makes."""
    workshop.image.result()
    return TAG


@pytest.fixture(scope="session")
def sif(workshop) -> Path:
    """Apptainer's file of the image."""
    return workshop.sif.result()


def start_podman() -> Podman:
    bring_up("podman_up.sh")
    names = {"CONTAINERS_CONF": "containers.conf", "CONTAINERS_STORAGE_CONF": "storage.conf"}
    return Podman(os.environ | {variable: str(WORKSHOP / name) for variable, name in names.items()})


def make_image(podman: Podman) -> str:
    """What `make image` says, which gets packages from where pip has them here."""
    mounts = pip_mounts(WORKSHOP)
    options = " ".join(f"--volume {source}:{target}:{mode}" for source, target, mode in mounts)
    binds = " ".join(f"--bind {source}:{target}:{mode}" for source, target, mode in mounts)
    base = re.search(r"^ARG BASE=([^@\n]*)", (ROOT / "containers/Dockerfile").read_text(), re.MULTILINE)[1]
    command = ["make", "image", f"IMAGE={TAG}", f"SIF={SIF_BUILT}", f"BASE={base}"]
    command += [f"BUILD_OPTIONS=--network host {options}", f"SIF_OPTIONS={binds}"]
    quick = {"APPTAINER_MKSQUASHFS_ARGS": "-comp zstd -Xcompression-level 1"}
    done = subprocess.run(
        command, cwd=ROOT, env=podman.environment | quick, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def pip_mounts(folder: Path) -> list[tuple[Path, Path, str]]:
    """(here, there, mode) of what pip in a build needs to install as it does here: its configuration, and the
    certificates, folders and cache that lie on this machine."""
    options = pip_options()
    mounts = [(folder / "pip.conf", Path("/etc/pip.conf"), "ro")]
    if "cert" in options:
        # Not where it lies here: Debian's package of certificates writes its own file, perhaps of that name.
        mounts.append((Path(options["cert"]), Path("/etc/pip.crt"), "ro"))
        options["cert"] = "/etc/pip.crt"
    folder.mkdir(exist_ok=True)
    (folder / "pip.conf").write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in options.items()))
    for key, value in options.items():
        for word in value.split():
            path = Path(urlsplit(word).path if word.startswith("file://") else word)
            if not path.is_absolute() or not path.exists():
                continue
            # The pages of an index refer to files beside the folder of pages.
            path = path.parent if key.endswith("-url") else path
            mounts.append((path, path, "ro"))
    cache = subprocess.run([sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True)
    if cache.returncode == 0 and Path(cache.stdout.strip()).is_dir():
        mounts.append((Path(cache.stdout.strip()), Path("/root/.cache/pip"), "rw"))
    return mounts


def pip_options() -> dict[str, str]:
    """pip's options that hold for all its commands, from its files and, before them, from the environment."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = {}
    for source in ("global.", "install.", ":env:."):
        for line in lines:
            if line.startswith(source):
                key, _, value = line.removeprefix(source).partition("=")
                found[key] = value.strip("'\"").replace("\\n", " ")
    return {key: value for key, value in found.items() if key not in ("config-file", "cache-dir")}


@pytest.fixture(scope="session")
def small_project(new_project):
    """A copy of the project with the small study's config."""

    def make(name: str) -> Path:
        folder = new_project(name)
        shutil.copy(SMALL, folder)
        return folder

    return make


@pytest.fixture(scope="session", autouse=True)
def started(small_project):
    """The small study in this environment; it begins while the image is built."""
    folder = small_project("here")
    with open(folder / "output.txt", "w") as output:
        command = ["snakemake", "--nocolor", "--cores", "2", "--configfile", SMALL.name]
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    yield folder, process
    end_snakemake(process)


@pytest.fixture(scope="session")
def finished(started) -> Path:
    folder, process = started
    assert process.wait() == 0, (folder / "output.txt").read_text()[-6000:]
    return folder


@pytest.fixture(scope="session")
def small_project_with_image(small_project, sif):
    def make(name: str) -> Path:
        folder = small_project(name)
        (folder / SIF).parent.mkdir()
        (folder / SIF).symlink_to(sif)
        return folder

    return make


@pytest.fixture(scope="session")
def hashes():
    """Hashes of everything that a study's computations end in, but what they cost."""

    def of(folder: Path) -> dict[str, str]:
        patterns = ("results/**/tables/*", "results/**/scores/*", "results/**/predictions/*/*", "results/**/model/*")
        paths = [
            path
            for pattern in patterns
            for path in sorted(folder.glob(pattern))
            if path.is_file() and path.name != "cost.json"
        ]
        found = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
        assert {Path(name).suffix for name in found} >= {".md", ".csv", ".jsonl", ".safetensors"}
        return found

    return of
