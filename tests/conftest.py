"""What tests share: the project's folder, copies of it to run in, and the real data where they are at hand."""

import gc
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hub_server import HubServer

ROOT = Path(__file__).parents[1]

# Each copy of the project has a warm server of its own, which takes memory until it ends.
os.environ.setdefault("CROSSTUNE_WARM_IDLE", "5")


def pytest_collection_finish() -> None:
    """With torch: no garbage is looked for among the millions of objects that its import has made; it has one thread.

    Two workers on two cores would otherwise have four threads, which wait for each other.
    """
    if torch := sys.modules.get("torch"):
        import hypothesis  # noqa: F401 - looks among all objects for those that it is told of when it is imported

        gc.freeze()
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The folder of real data: $CROSSTUNE_BUNDLE, or ../shared/data beside the project."""
    folder = Path(os.environ.get("CROSSTUNE_BUNDLE", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set CROSSTUNE_BUNDLE to the folder of registry/bundle.yaml")
    return folder


@pytest.fixture(scope="session")
def new_project(tmp_path_factory):
    """Make a copy of the project's own files, in which a study can run without touching this one."""

    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        parts = "Snakefile config.yaml envs rules scripts schemas registry published claims profiles studies"
        for part in parts.split():
            source = ROOT / part
            ignore = shutil.ignore_patterns("*.pyc.*")  # which another process is just writing
            (shutil.copytree(source, folder / part, ignore=ignore) if source.is_dir() else shutil.copy(source, folder))
        return folder

    return make


@pytest.fixture(scope="session")
def jobs():
    """Job counts by rule of a dry run's output, without the targets that do nothing."""

    def count(output: str) -> dict[str, int]:
        table = re.search(r"^job +count\n[- ]+\n((?:\w+ +\d+\n)+)", output, re.MULTILINE)
        counts = dict(line.split() for line in table[1].splitlines()) if table else {}
        return {rule: int(number) for rule, number in counts.items() if rule not in ("total", "all")}

    return count


@pytest.fixture(scope="session")
def snakemake():
    """Run the real snakemake in a project; the completed process, its output as text."""

    def run(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        command = ["snakemake", "--nocolor", *arguments]
        done = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert not check or done.returncode == 0, done.stdout[-6000:]
        return done

    return run


@pytest.fixture
def hub_server():
    """A server that speaks the hub's protocol, without repositories."""
    server = HubServer()
    yield server
    server.close()


@pytest.fixture
def hub(hub_server, tmp_path, monkeypatch):
    """That server in place of the hub for this process, with an empty cache and without waits between tries."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub_server.url)
    template = hub_server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(time, "sleep", lambda seconds, sleep=time.sleep: sleep(min(seconds, 0.3)))
    return hub_server
