"""What tests on real data share: a real translator, a real pretrained encoder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[2]

PACKAGES = ["apertium", "apertium-eng-spa"]


@pytest.fixture(scope="session")
def apertium(tmp_path_factory) -> None:
    """Apertium from English to Spanish. Where it is missing, Debian's packages are installed, if that can be."""
    # The folder above is common to all processes that run the tests.
    with FileLock(tmp_path_factory.getbasetemp().parent / "apertium.lock"):
        if "eng-spa" not in _modes() and shutil.which("apt-get") and os.geteuid() == 0:
            environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            install = ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES]
            for command in (["apt-get", "update"], install):
                subprocess.run(command, capture_output=True, env=environment)
    if "eng-spa" not in _modes():
        pytest.skip(f"no Apertium for English and Spanish: apt-get install {' '.join(PACKAGES)}")


def _modes() -> str:
    if shutil.which("apertium") is None:
        return ""
    return subprocess.run(["apertium", "-l"], capture_output=True, text=True).stdout


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory) -> Path:
    """A real pretrained multilingual encoder: $CROSSTUNE_MODEL, or the one that the tools beside the real data make."""
    if named := os.environ.get("CROSSTUNE_MODEL"):
        return Path(named)
    tool = ROOT.parent / "shared" / "tools" / "e5_small.py"
    if not tool.exists():
        pytest.skip("no pretrained encoder; set CROSSTUNE_MODEL to a folder of one")
    shared = tmp_path_factory.getbasetemp().parent
    with FileLock(shared / "encoder.lock"):
        if not (shared / "encoder/tokenizer_config.json").exists():
            made = subprocess.run([sys.executable, tool, shared / "encoder"], capture_output=True, text=True)
            if made.returncode:
                pytest.skip(f"{tool} cannot make an encoder: {made.stderr[-200:]}")
    return shared / "encoder"
