"""What tests on real data share: a real translator."""

import os
import shutil
import subprocess

import pytest
from filelock import FileLock

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
