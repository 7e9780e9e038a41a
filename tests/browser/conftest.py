"""A real headless Chromium, installed with Debian's apt-get if it is missing and the tests run as root."""

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

PACKAGES = ("chromium", "chromium-driver")

AXE = "axe-core@4.14.1"
AXE_SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"


@pytest.fixture(scope="session")
def chromium():
    """Selenium's driver of Chromium, which collects the console messages."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        if not shutil.which("apt-get") or os.getuid():
            pytest.skip(f"there is no {' or '.join(PACKAGES)}, and only root on Debian can install them here")
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *PACKAGES]):
            done = subprocess.run(["apt-get", *command], env=environ, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"apt-get could not install {' and '.join(PACKAGES)}: {done.stderr.strip()[-200:]}")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    # No host can be reached: a request of the page is an error on the console.
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory) -> Path:
    """The folder of screenshots for inspection: $CROSSTUNE_SCREENSHOTS, or a temporary one."""
    folder = Path(os.environ.get("CROSSTUNE_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def axe(tmp_path_factory) -> str:
    """The script of axe-core, which checks a page against WCAG and best practices."""
    if not shutil.which("npm"):
        pytest.skip(f"there is no npm to fetch {AXE} with")
    folder = tmp_path_factory.mktemp("axe")
    done = subprocess.run(["npm", "pack", AXE], cwd=folder, capture_output=True, text=True)
    archives = list(folder.glob("*.tgz"))
    if done.returncode or not archives:
        pytest.skip(f"npm could not fetch {AXE}: {done.stderr.strip()[-200:]}")
    assert hashlib.sha256(archives[0].read_bytes()).hexdigest() == AXE_SHA256
    with tarfile.open(archives[0]) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()
