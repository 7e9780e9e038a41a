"""The page in a real Chromium: no requests, no errors, readable and accessible by keyboard."""

import base64
from pathlib import Path

import pytest
from helpers.reader import DESKTOP, PAPER, PHONE, choose
from helpers.study_results import csv_rows, plan, write_study

from crosstune.core.files import write_json
from crosstune.reporting.examples.pages import examples_page
from crosstune.reporting.examples.side_by_side import Answer, ShownExample, TextPart
from crosstune.reporting.page.page import write_report

HOSTILE = "</script><img src=x onerror=\"window.hacked=1\"><b>{{7*7}}</b> & 'x'"


def hostile_plan() -> dict:
    """The example study's plan with a hostile text in every name of data and config."""
    changed = plan()
    for code, about in changed["languages"].items():
        about["name"] = f"{HOSTILE} {code}"
        about["family"] = f"{about['family']} {HOSTILE}"
    changed["study"] = HOSTILE
    changed["names"] = {"datasets": {"worldqa": HOSTILE}, "models": {"tiny": HOSTILE}, "schedules": {"joint": HOSTILE}}
    changed["figures"] = [hostile_figure()]
    changed["cited"] = [{"what": "data set", "name": "worldqa", "title": HOSTILE, "licence": HOSTILE}]
    return changed


def hostile_figure() -> dict:
    """An entry of the plan's figures with a hostile title."""
    panel = {"track": "qa", "dataset": "worldqa", "metric": "f1", "schedules": ["joint"], "languages": ["qen"]}
    return {"name": "mine", "kind": "heat", "models": ["tiny"], "panels": [panel], "title": HOSTILE}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    study = write_study(folder, hostile_plan())
    write_json(folder / "provenance.json", {"config": {"study": HOSTILE}, HOSTILE: HOSTILE})
    write_report(study, folder, folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def examples(tmp_path_factory) -> Path:
    """A page of examples in which questions, contexts and answers are hostile."""
    folder = tmp_path_factory.mktemp("examples")
    (panel,) = write_study(folder, hostile_plan()).panels()
    found = [
        ShownExample(
            language,
            f"id {number} {HOSTILE}",
            (TextPart(HOSTILE), TextPart("gold", "gold"), TextPart("שלום")),
            HOSTILE,
            "gold",
            {schedule: Answer((TextPart(HOSTILE, "wrong"),), 100.0 * number) for schedule in panel.schedules},
        )
        for language in panel.languages
        for number in range(2)
    ]
    (folder / "examples.html").write_text(examples_page(panel, found, 1), encoding="utf-8")
    return folder / "examples.html"


def picture(driver, path: Path) -> None:
    """Write a screenshot of the whole page, beyond the window too."""
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
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_is_accessible(opened, axe, page, size, dark):
    """Among others: contrast of texts, names of figures and scroll boxes, headings of tables, heading levels."""
    driver = opened(page, size, dark)
    driver.execute_script(axe)
    found = driver.execute_async_script(
        """const done = arguments[arguments.length - 1];
        axe.run(document, {resultTypes: ['violations']}).then(result => done(
            result.violations.map(one => [one.id, one.impact, one.nodes.map(node => node.html.slice(0, 90))])))"""
    )
    assert found == []


def test_every_table_has_a_caption_and_row_headers(opened, page):
    driver = opened(page)
    lacking = driver.execute_script(
        """return [...document.querySelectorAll('main table')].filter(table => !table.caption?.textContent.trim()
            || [...table.querySelectorAll('tbody tr')].some(row => !row.querySelector('th[scope]'))
            || [...table.querySelectorAll('th')].some(cell => !cell.textContent.trim()))
            .map(table => table.outerHTML)"""
    )
    assert lacking == []


def test_the_first_screen_has_the_answer(opened, page):
    driver = opened(page, opening=False)
    for selector, least in ((".answer", 2), (".first .chart", 1), (".setting", 1), (".meanings", 1), (".caution", 1)):
        parts = driver.find_elements("css selector", f"header {selector}")
        assert len(parts) >= least, selector
        for part in parts:
            assert part.is_displayed() and part.rect["y"] + part.rect["height"] <= DESKTOP[1], selector
    first, second = (part.text for part in driver.find_elements("css selector", ".answer")[:2])
    assert "joint is better than english" in first and "points, 95% CI [" in first
    assert "3 seeds" in second and "low-resource languages of worldqa" in second
    aside = driver.find_element("css selector", ".aside").text
    assert "Few seeds: with 3 seeds the minimum detectable effect" in aside
    # On a phone the answers and the forest plot.
    driver = opened(page, PHONE, opening=False)
    chart = driver.find_element("css selector", ".first .chart")
    assert chart.rect["y"] + chart.rect["height"] <= PHONE[1]


def test_the_contents_are_not_hidden(opened, page):
    for size in (DESKTOP, PHONE):
        driver = opened(page, size, opening=False)
        links = driver.find_elements("css selector", "nav a")
        assert len(links) >= 7
        assert all(link.rect["x"] >= 0 and link.rect["x"] + link.rect["width"] <= size[0] for link in links)
        wide = driver.execute_script("const n = document.querySelector('nav'); return [n.scrollWidth, n.clientWidth]")
        assert wide[0] <= wide[1]


@pytest.mark.parametrize("size", [DESKTOP, PHONE, PAPER], ids=["desktop", "phone", "paper"])
def test_figures_have_the_width_of_their_container(opened, page, size):
    driver = opened(page, size)
    places = driver.execute_script(
        """return [...document.querySelectorAll('.chart:not(.key)')].map(chart => {
            const box = chart.parentNode.getBoundingClientRect(), own = chart.getBoundingClientRect();
            const texts = [...chart.querySelectorAll('text')].filter(text => text.getClientRects().length);
            const left = Math.min(...texts.map(text => text.getBoundingClientRect().left));
            const right = Math.max(...texts.map(text => text.getBoundingClientRect().right));
            return [own.width - box.width, box.left - left, right - box.right, chart.ariaLabel];
        })"""
    )
    assert len(places) >= 8
    for difference, before, after, name in places:
        assert abs(difference) < 1 and before < 8 and after < 14, name


def test_letters_keep_their_size_on_a_phone(opened, page):
    driver = opened(page, PHONE)
    sizes = driver.execute_script(
        "return [...document.querySelectorAll('.chart text')].map(text => parseFloat(getComputedStyle(text).fontSize))"
    )
    assert min(sizes) >= 11


def test_terms_are_defined_on_the_page(opened, page):
    driver = opened(page)
    links = driver.find_elements("css selector", "a.term")
    assert {link.text for link in links} >= {"95% CI", "TOST p", "MDE (80% power)", "languages as random effect"}
    for link in links:
        name = link.get_attribute("href").partition("#")[2]
        term = driver.find_element("id", name)
        definition = driver.execute_script("return arguments[0].nextElementSibling.textContent", term)
        assert definition == link.get_attribute("title") and len(definition) > 20


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
    table = table_of(driver, "CI over seeds and items")
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
    table = table_of(driver, "CI over seeds and items")
    place = next(
        n
        for n, cell in enumerate(table.find_elements("css selector", "thead th"))
        if cell.get_attribute("textContent").strip() == "sequential − joint"
    )
    heading = table.find_elements("css selector", "thead th")[place]
    driver.execute_script("arguments[0].querySelector('button').click()", heading)
    numbers = [float(text.replace("−", "-")) for text in column(driver, table, place)]
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


# --- choosing, downloading, printing ---------------------------------------------------------------------------------


def shown(driver, table) -> tuple[list[str], list[str]]:
    """The texts of the visible headings of columns and rows."""
    script = """const seen = cell => cell.getClientRects().length && cell.textContent.trim();
        return [[...arguments[0].tHead.rows[arguments[0].tHead.rows.length - 1].cells].slice(1).filter(seen).map(seen),
            [...arguments[0].querySelectorAll('tbody tr:not(.group) th')].filter(seen).map(seen)]"""
    return tuple(driver.execute_script(script, table))


def test_readers_choose_languages_schedules_and_data_sets(opened, page):
    driver = opened(page)
    table = next(
        t for t in driver.find_elements("css selector", "main table") if t.text.startswith("SQuAD v1.1 F1: qa")
    )
    columns, rows = shown(driver, table)
    assert len([name for name in columns if name.startswith("Language")]) == 12 and "joint" in rows
    choose(driver, "[data-group='family: north']")
    columns, _ = shown(driver, table)
    assert next(name for name in columns if name.startswith("Language")).startswith("Language 5")
    choose(driver, "[data-group='script: Cyrl']")
    columns, _ = shown(driver, table)
    assert [name.split("q")[0].strip() for name in columns if name.startswith("Language")] == [
        "Language 5", "Language 7", "Language 9", "Language 11"
    ]  # fmt: skip
    assert {"all", "low"} <= set(columns)
    choose(driver, "[value='q05']")
    choose(driver, "[data-kind='schedule'][value='joint']")
    columns, rows = shown(driver, table)
    assert not any(name.startswith("Language 5") for name in columns) and "joint" not in rows and "english" in rows
    # The groups of columns are as wide as what they still have.
    widths = driver.execute_script(
        "return [...arguments[0].tHead.rows[0].cells].filter(c => c.getClientRects().length).map(c => c.colSpan)", table
    )
    assert sum(widths) == len(columns) + 1
    # So are the rows of a contrast's table by language.
    contrast = table_of(driver, "CI over seeds and items")
    assert shown(driver, contrast)[1] == ["Language 7 (q07)", "Language 9 (q09)", "Language 11 (q11)"]
    choose(driver, "[data-kind='panel']")
    assert not table.is_displayed()
    driver.execute_script("document.querySelector('.everything').click()")
    columns, rows = shown(driver, table)
    assert len([name for name in columns if name.startswith("Language")]) == 12 and "joint" in rows


def test_the_page_is_complete_without_its_script(opened, page, tmp_path):
    whole = page.read_text(encoding="utf-8")
    bare = tmp_path / "bare.html"
    bare.write_text(whole[: whole.rindex("<script>")] + whole[whole.rindex("</script>") :], encoding="utf-8")
    driver = opened(bare, opening=False)
    assert not driver.find_element("css selector", ".choice").is_displayed()
    with_script, without = ({
        kind: opened(one).execute_script(f"return document.querySelectorAll('{kind}').length")
        for kind in ("table", "td", ".chart", "a.csv")
    } for one in (page, bare))  # fmt: skip
    assert with_script == without and without[".chart"] >= 8


def test_the_numbers_of_a_table_can_be_downloaded(opened, page, tmp_path):
    driver = opened(page)
    tables = driver.find_elements("css selector", "main figure.table")
    assert all(table.find_elements("css selector", "a.csv[download$='.csv']") for table in tables)
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    link = driver.find_element("css selector", "a.csv[download='qa.worldqa.tiny.f1.csv']")
    driver.execute_script("arguments[0].click()", link)
    file = tmp_path / "qa.worldqa.tiny.f1.csv"
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 30).until(lambda _: file.exists())
    lines = csv_rows(file)
    assert {line["row"] for line in lines} >= {"joint", "english", "context"} and "q03_mean" in lines[0]


def test_paper_shows_everything(opened, page, screenshots):
    driver = opened(page, PAPER, media="print", opening=False)
    wide = driver.execute_script(
        """const limit = document.documentElement.clientWidth + 1;
        return [...document.querySelectorAll('main table, main pre, .chart, p')]
            .filter(part => part.getBoundingClientRect().right > limit).map(part => part.outerHTML.slice(0, 200))"""
    )
    assert wide == []
    closed = driver.execute_script(
        """return [...document.querySelectorAll('main details:not(.choice)')]
            .filter(part => part.lastElementChild.getBoundingClientRect().height < 10).map(part => part.textContent)"""
    )
    assert len(driver.find_elements("css selector", "main details")) >= 4 and closed == []
    for selector in ("nav", "input", ".choice", ".csv"):
        assert not any(part.is_displayed() for part in driver.find_elements("css selector", selector)), selector
    kept = driver.execute_script("return getComputedStyle(document.querySelector('h3')).breakAfter")
    assert kept == "avoid"
    wanted = {"preferCSSPageSize": True, "printBackground": True}
    paper = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", wanted)["data"])
    (screenshots / "paper.pdf").write_bytes(paper)
    assert paper.startswith(b"%PDF")


def test_the_page_is_small(page):
    assert page.stat().st_size < 500_000


def test_hostile_texts_stay_texts(opened, hostile, screenshots):
    driver = opened(hostile)
    assert driver.get_log("browser") == []
    assert driver.execute_script("return window.hacked") is None
    assert not driver.find_elements("css selector", "img")
    assert "{{7*7}}" in driver.find_element("css selector", "h1").text
    assert HOSTILE in driver.find_element("css selector", "main").get_attribute("textContent")
    # The text of a mark under the pointer too.
    titles = driver.execute_script("return [...document.querySelectorAll('.chart title')].map(one => one.textContent)")
    assert any(HOSTILE in title for title in titles)
    picture(driver, screenshots / "hostile.png")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_examples_open_without_requests_and_are_accessible(opened, axe, examples, screenshots, size, dark):
    driver = opened(examples, size, dark)
    assert driver.get_log("browser") == []
    assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert not driver.execute_script("return window.hacked || document.querySelector('main img, main b, script')")
    wide = driver.execute_script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1]
    picture(driver, screenshots / f"examples-{'dark' if dark else 'light'}-{size[0]}.png")
    driver.execute_script(axe)
    found = driver.execute_async_script(
        """const done = arguments[arguments.length - 1];
        axe.run(document, {resultTypes: ['violations']}).then(result => done(
            result.violations.map(one => [one.id, one.nodes.map(node => node.html.slice(0, 90))])))"""
    )
    assert found == []
