"""The page in a real Chromium: no requests, no errors, readable and accessible by keyboard."""

import base64
from pathlib import Path

import pytest
from helpers.planted_scores import CONTRAST, by_difference, plant
from helpers.study_results import plan, write_study

from crosstune.core.files import write_json
from crosstune.reporting.page.page import write_report

HOSTILE = "</script><img src=x onerror=\"window.hacked=1\"><b>{{7*7}}</b> & 'x'"
DESKTOP, PHONE = (1400, 900), (390, 844)


def hostile_plan() -> dict:
    """The example study's plan with a hostile text in every name of data and config."""
    changed = plan()
    for code, about in changed["languages"].items():
        about["name"] = f"{HOSTILE} {code}"
        about["family"] = f"{about['family']} {HOSTILE}"
    changed["study"] = HOSTILE
    changed["cited"] = [{"what": "data set", "name": "worldqa", "title": HOSTILE, "licence": HOSTILE}]
    return changed


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    languages = [f"q{n:02d}" for n in range(12)]
    scores = by_difference([2.0, 2.5, 3.0], languages)
    lower = {seed: {lang: value - 9 for lang, value in found.items()} for seed, found in scores["joint"].items()}
    contrast = {**CONTRAST, "panels": [{**CONTRAST["panels"][0], "languages": languages}]}
    study = plant(folder, {**scores, "english": lower}, [contrast])
    write_report(study, folder, folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    study = write_study(folder, hostile_plan())
    write_json(folder / "provenance.json", {"config": {"study": HOSTILE}, HOSTILE: HOSTILE})
    write_report(study, folder, folder / "report.html")
    return folder / "report.html"


@pytest.fixture
def opened(chromium):
    """Open a page in a window of some size, in light or dark, and draw all its figures."""

    def go(page: Path, size: tuple[int, int] = DESKTOP, dark: bool = False):
        chromium.get_log("browser")
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        chromium.get(page.as_uri())
        chromium.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")
        for figure in chromium.find_elements("css selector", "figure.figure"):
            chromium.execute_script("arguments[0].scrollIntoView()", figure)
            wait_until(chromium, "return arguments[0].querySelector('svg.marks .role-axis') !== null", figure)
        return chromium

    return go


def wait_until(driver, script: str, *arguments) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 30).until(lambda _: driver.execute_script(script, *arguments))


def picture(driver, path: Path) -> None:
    """Write a screenshot of the whole page, beyond the window too."""
    driver.execute_script("for (const f of document.querySelectorAll('figure')) f.style.contentVisibility = 'visible'")
    height = driver.execute_script("return document.documentElement.scrollHeight")
    width = driver.execute_script("return document.documentElement.clientWidth")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    wanted = {"captureBeyondViewport": True, "clip": clip}
    path.write_bytes(base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", wanted)["data"]))
    assert path.stat().st_size > 50_000


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_opens_without_errors_or_requests(opened, page, screenshots, size, dark):
    driver = opened(page, size, dark)
    assert driver.get_log("browser") == []
    assert driver.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == []
    # The page itself never scrolls sideways; wide tables and figures do, in boxes of their own.
    wide = driver.execute_script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1]
    picture(driver, screenshots / f"{'dark' if dark else 'light'}-{size[0]}.png")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_texts_have_enough_contrast(opened, page, dark):
    driver = opened(page, dark=dark)
    ground = luminance(driver, "return getComputedStyle(document.body).backgroundColor")
    figures = driver.execute_script(
        """return [...document.querySelectorAll('svg.marks')].map(figure => [
            getComputedStyle(figure).backgroundColor,
            ...[...figure.querySelectorAll(':scope > rect')].map(part => getComputedStyle(part).fill)
        ])"""
    )
    assert len(figures) >= 4
    for ground_of_figure, *parts in figures:
        assert ground_of_figure == "rgba(0, 0, 0, 0)" and set(parts) <= {"none"}
    texts = {
        "p": "color", "h1": "color", "figcaption": "color", "small": "color", "nav a": "color", "summary": "color",
        ".role-axis-label text": "fill", ".role-axis-title text": "fill",
    }  # fmt: skip
    for selector, colour in texts.items():
        found = luminance(driver, f"return getComputedStyle(document.querySelector('{selector}')).{colour}")
        # The ratio of WCAG 2.1, which asks for 4.5.
        assert (max(found, ground) + 0.05) / (min(found, ground) + 0.05) >= 4.5, selector


def luminance(driver, script: str) -> float:
    """The relative luminance of WCAG 2.1 of a colour, `rgb(1, 2, 3)`."""
    parts = [int(part) / 255 for part in driver.execute_script(script).strip("rgba()").split(",")[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def column(driver, table, place: int) -> list[str]:
    rows = "[...arguments[0].tBodies[0].rows].filter(row => !row.hidden)"
    return driver.execute_script(f"return {rows}.map(row => row.cells[arguments[1]].textContent.trim())", table, place)


def table_of(driver, caption: str):
    """The table with this text in its caption."""
    return next(
        table
        for table in driver.find_elements("css selector", "main table")
        if driver.execute_script(
            "return arguments[0].closest('figure')?.textContent.includes(arguments[1])", table, caption
        )
    )


def test_tables_sort_by_keyboard_and_filter(opened, page):
    from selenium.webdriver.common.keys import Keys

    driver = opened(page)
    table = table_of(driver, "Intervals over seeds and examples")
    heading = table.find_elements("css selector", "thead tr:last-child th")[0]
    before = column(driver, table, 0)
    assert len(before) == 12
    heading.find_element("css selector", "button").send_keys(Keys.ENTER)
    assert column(driver, table, 0) == sorted(before, reverse=True)
    assert heading.get_attribute("aria-sort") == "descending"
    heading.find_element("css selector", "button").send_keys(Keys.SPACE)
    assert column(driver, table, 0) == sorted(before)
    field = table.find_element("xpath", "./ancestor::figure//input")
    field.send_keys("q03")
    assert column(driver, table, 0) == [name for name in before if "q03" in name]
    field.clear()
    field.send_keys(" ")
    assert len(column(driver, table, 0)) == 12


def test_numbers_sort_by_size(opened, page):
    driver = opened(page)
    table = table_of(driver, "Intervals over seeds and examples")
    place = next(
        n
        for n, cell in enumerate(table.find_elements("css selector", "thead th"))
        if cell.get_attribute("textContent").strip() == "difference"
    )
    table.find_elements("css selector", "thead th button")[place].click()
    numbers = [float(text.rstrip("*")) for text in column(driver, table, place)]
    assert numbers == sorted(numbers, reverse=True)


def test_every_control_is_reached_by_keyboard(opened, page):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    driver = opened(page)
    # Chromium continues at the last scroll position: begin at the top, like a reader.
    driver.execute_script(
        "const body = document.body; body.tabIndex = -1; body.focus(); body.removeAttribute('tabindex')"
    )
    wanted = driver.execute_script(
        "return document.querySelectorAll('a, button, input, summary, .scroll[tabindex]').length"
    )
    seen = []
    for _ in range(wanted):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        seen.append(driver.execute_script("return document.activeElement.outerHTML.slice(0, 60)"))
    assert seen[0].startswith('<a class="skip"')
    assert {html[1:].split(" ")[0].split(">")[0] for html in seen} >= {"a", "button", "input", "summary", "div"}
    assert not any(html.startswith("<body") for html in seen)


def test_a_figure_that_is_reported_twice_is_drawn_once(chromium, opened, page):
    """A busy browser reports several crossings to an observer in one call."""
    script = """
        const Observer = window.IntersectionObserver
        window.IntersectionObserver = function (tell, options) {
            return new Observer((entries, ...rest) => tell([...entries, ...entries], ...rest), options)
        }
        window.drawn = []
        const replace = Element.prototype.replaceChildren
        Element.prototype.replaceChildren = function (...parts) {
            if (this.classList.contains("drawing")) window.drawn.push(this.closest("figure").id)
            replace.apply(this, parts)
        }"""
    added = chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    try:
        driver = opened(page)
        all_drawn = "return new Set(window.drawn).size === document.querySelectorAll('figure.figure').length"
        wait_until(driver, all_drawn)
        drawn = driver.execute_script("return window.drawn")
    finally:
        chromium.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    assert len(drawn) >= 4 and len(drawn) == len(set(drawn))


def test_figures_have_alternative_text(opened, page):
    driver = opened(page)
    figures = driver.find_elements("css selector", "figure.figure .drawing")
    assert len(figures) >= 4
    assert all(len(figure.get_attribute("aria-label")) > 20 and figure.aria_role == "image" for figure in figures)
    assert all(figure.find_elements("css selector", "svg.marks") for figure in figures)


def test_hostile_texts_stay_texts(opened, hostile, screenshots):
    driver = opened(hostile)
    assert driver.get_log("browser") == []
    assert driver.execute_script("return window.hacked") is None
    assert not driver.find_elements("css selector", "img")
    assert "{{7*7}}" in driver.find_element("css selector", "h1").text
    assert HOSTILE in driver.find_element("css selector", "main").get_attribute("textContent")
    # The tooltip of a mark too.
    from selenium.webdriver.common.action_chains import ActionChains

    mark = driver.find_elements("css selector", "[id$='.heat'] .mark-rect path")[-1]
    ActionChains(driver).move_to_element(mark).perform()
    wait_until(driver, "return document.querySelector('#vg-tooltip-element.visible') !== null")
    assert "onerror" in driver.find_element("css selector", "#vg-tooltip-element").text
    assert driver.execute_script("return window.hacked") is None and not driver.find_elements("css selector", "img")
    picture(driver, screenshots / "hostile.png")
