"""A real headless Chromium, installed with Debian's apt-get if it is missing and the tests run as root."""

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from helpers.planted_buckets import ENTRY, planted_buckets, write_buckets
from helpers.planted_scores import CONTRAST, by_difference, plant
from helpers.reader import DESKTOP, PHONE
from helpers.study_results import read

from crosstune.artifacts.correction_record import CorrectionRecord
from crosstune.core.files import sha256_file, write_json, write_jsonl
from crosstune.reporting.page.page import write_report

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


@pytest.fixture
def opened(chromium):
    """Open a page in a window of some size, in light or dark or as printed, with all its parts laid out and open."""

    def go(page: Path, size: tuple[int, int] = DESKTOP, dark: bool = False, media: str = "", opening: bool = True):
        chromium.get_log("browser")
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme], "media": media})
        chromium.get(page.as_uri())
        if opening:
            chromium.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")
            chromium.execute_script(
                "for (const f of document.querySelectorAll('figure')) f.style.contentVisibility = 'visible'"
            )
        return chromium

    yield go
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [], "media": ""})


def corrected_record(folder: Path) -> CorrectionRecord:
    """The record of one kept table with one correction."""
    folder.mkdir()
    (folder / "f1.csv").write_text("row,qna\njoint,30.5\n")
    common = {"date": "2026-11-28", "commits": ["0123abcd" * 5]}
    change = {"table": "f1.csv", "row": "joint", "column": "qna", "old": "30.4", "new": "30.5"}
    first = {"status": "CURRENT", "why": "As first recorded.", "files": {"f1.csv": "0" * 64}, "changes": []}
    second = {"status": "CORRECTED", "why": "A digit was lost.", "changes": [change]}
    files = {"files": {"f1.csv": sha256_file(folder / "f1.csv")}}
    return CorrectionRecord(folder, "small", (common | first, common | second | files))


@pytest.fixture(scope="session")
def page(tmp_path_factory) -> Path:
    """A study with a contrast, twelve languages of three families, curves of the loss, buckets and provenance."""
    folder = tmp_path_factory.mktemp("page")
    languages = [f"q{n:02d}" for n in range(12)]
    scores = by_difference([2.0, 2.5, 3.0], languages)
    lower = {seed: {lang: value - 9 for lang, value in found.items()} for seed, found in scores["joint"].items()}
    contrast = {**CONTRAST, "panels": [{**CONTRAST["panels"][0], "languages": languages}]}
    study = plant(folder, {**scores, "english": lower}, [contrast], {"context": dict.fromkeys(languages, 7.0)})
    for number, lang in enumerate(languages):
        study.plan["languages"][lang] = {
            "name": f"Language {number}", "family": ("north", "south", "isolate")[min(2, number // 5)],
            "script": "Latn" if number % 2 else "Cyrl", "resource": "low",
        }  # fmt: skip
    for run in study.plan["runs"]:
        for stage in run["stages"]:
            losses = [{"update": n, "loss": 3 / n} for n in range(1, 60)]
            write_jsonl(folder / stage / "train.jsonl", losses)
    write_json(folder / "plan.json", study.plan | {"buckets": [ENTRY]})
    write_buckets(folder, planted_buckets(0.4))
    write_json(folder / "provenance.json", {"config": {"study": "small"}, "commit": "0123abc" * 40})
    write_report(read(folder), folder, folder / "report.html", corrected_record(folder / "kept"))
    return folder / "report.html"
