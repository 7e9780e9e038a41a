"""The figures of the page follow the reader's choice of languages, schedules and data sets, in a real Chromium."""

from itertools import pairwise
from pathlib import Path

import pytest
from helpers.planted_scores import CONTRAST, by_difference, plant
from helpers.reader import DESKTOP, PAPER, choose
from helpers.study_results import LANGUAGES, plan, write_study

from crosstune.core.files import read_json, write_json
from crosstune.reporting.page.page import write_report

NAME = "qa.worldqa.tiny"
NORTH = "[data-group='family: north']"

# The heights of a row with one mark and of a heading, in pixels.
ROW, HEADING = 18, 23


@pytest.fixture(scope="module")
def varied(tmp_path_factory) -> Path:
    """A study of two data sets with few-shot curves, distances, costs, and figures that its plan specifies."""
    folder, changed = tmp_path_factory.mktemp("varied"), plan()
    track = changed["tracks"]["qa"]
    track["metrics"]["otherqa"], track["evaluate"]["otherqa"] = "qa", list(LANGUAGES)
    track["curves"] = {
        "more": {"sources": ["worldqa.qes"], "points": [[0, "english"], [9, "joint"], [99, "sequential"]]}
    }
    for run in changed["runs"]:
        run["evaluated"] = [["worldqa", "otherqa"] for _ in run["stages"]]
    panels = [
        {
            "track": "qa",
            "dataset": name,
            "metric": "f1",
            "schedules": ["english", "joint"],
            "languages": list(LANGUAGES),
        }
        for name in ("worldqa", "otherqa")
    ]
    changed["figures"] = [
        {"name": "both", "kind": "languages", "models": ["tiny"], "panels": panels},
        {"name": "one", "kind": "heat", "models": ["tiny"], "panels": panels[:1]},
    ]
    changed["distances"] = {"file": "features.npz", "features": ["S_*"], "min_features": 20, "to": "nearest"}
    pairs = {code: {"qen": [distance, 50]} for code, distance in (("qes", 0.3), ("qna", 0.1), ("qix", 0.6))}
    write_json(folder / "distances.json", {"features": 103, "unknown": [], "pairs": pairs})
    write_study(folder, changed)
    for run in changed["runs"]:
        for place, stage in enumerate(run["stages"]):
            scores = folder / stage / "scores"
            write_json(scores / "otherqa.json", read_json(scores / "worldqa.json") | {"dataset": "otherqa"})
            exposure = {"worldqa.qen": {"examples": 1, "tokens": 9}}
            updates = run["updates"][place] * (1 if run["schedule"] == "english" else 2)
            write_json(
                folder / stage / "stage.json", {"spec": {"threads": 1}, "updates": updates, "exposure": exposure}
            )
            cost = {"seconds": 60 * run["seed"], "device": "CPU", "devices": 0, "cores": 1}
            write_json(folder / stage / "cost.json", cost)
    write_report(write_study(folder, changed), folder, folder / "report.html")
    return folder / "report.html"


GEOMETRY = """
    const isSeen = part => part.getClientRects().length > 0;
    const seen = (chart, selector) => [...chart.querySelectorAll(selector)].filter(isSeen);
    const place = part => {
        const above = part.closest('.chart').getBoundingClientRect().top;
        const {top, bottom, left, right} = part.getBoundingClientRect();
        // The last child of a label is its text, after the text under the pointer.
        const text = part.lastChild?.textContent ?? '';
        return {top: top - above, bottom: bottom - above, left, right, text};
    };
    return [...document.getElementById(arguments[0]).querySelectorAll('.chart:not(.key)')]
        .filter(isSeen)
        .map(chart => ({
            title: chart.parentNode.querySelector('.chart-title')?.textContent ?? '',
            plot: place(chart.querySelector('.plot')),
            labels: seen(chart, ':scope > svg:first-child text').map(place),
            marks: seen(chart, 'use').map(place),
            lines: seen(chart, 'line').map(place),
            words: seen(chart, '.plot text').map(place),
            shades: seen(chart, '.shade').map(place),
            bands: seen(chart, '.band').filter(part => part.getBoundingClientRect().height).map(place),
        }));
"""


def charts(driver, figure: str) -> list[dict]:
    """The visible charts of a figure with their visible parts, at places from the page's left and the chart's top."""
    return driver.execute_script(GEOMETRY, figure)


def words(parts: list[dict]) -> list[str]:
    return [part["text"] for part in parts]


def legend(driver, figure: str) -> list[str]:
    """The visible entries of a figure's legend."""
    found = driver.find_elements("css selector", f"figure[id='{figure}'] .legend > span")
    return [entry.text.replace("\n", " ") for entry in found if entry.is_displayed()]


def figures(driver) -> dict[str, str]:
    """All figures of the page as HTML, by name."""
    script = "return Object.fromEntries([...document.querySelectorAll('figure.figure')].map(f => [f.id, f.outerHTML]))"
    return driver.execute_script(script)


def shown_figures(driver) -> set[str]:
    """The names of the figures that stand on the page."""
    script = (
        "return [...document.querySelectorAll('figure.figure')].filter(f => f.getClientRects().length).map(f => f.id)"
    )
    return set(driver.execute_script(script))


def middle(part: dict) -> float:
    return (part["top"] + part["bottom"]) / 2


# --- rows and columns ------------------------------------------------------------------------------------------------


def test_rows_of_languages_close_up(opened, page):
    driver = opened(page)
    _, before = charts(driver, f"{NAME}.differences")
    choose(driver, NORTH)
    choose(driver, "[value='q07']")
    _, after = charts(driver, f"{NAME}.differences")
    left = [f"Language {n} (q{n:02d})" for n in (5, 6, 8, 9, 10, 11)]
    assert words(after["labels"]) == ["mean of 12", "south", *left[:4], "isolate", *left[4:]]
    # Five rows of the north and their heading, and a row of the south.
    assert before["plot"]["bottom"] - before["plot"]["top"] == pytest.approx(
        after["plot"]["bottom"] - after["plot"]["top"] + 6 * ROW + HEADING, abs=0.1
    )
    gaps = [middle(lower) - middle(upper) for upper, lower in pairwise(after["labels"])]
    assert max(gaps) <= HEADING + 1 and min(gaps) >= ROW - 1
    assert all(part["bottom"] <= after["plot"]["bottom"] for part in after["labels"] + after["marks"] + after["lines"])


def test_marks_and_numbers_stay_in_the_row_of_their_language(opened, page):
    driver = opened(page)
    rows = {}
    for wanted in ("", NORTH, "[value='q07']"):
        if wanted:
            choose(driver, wanted)
        _, chart = charts(driver, f"{NAME}.differences")
        texts = {label["text"]: middle(label) for label in chart["labels"]}
        numbers = {number["text"]: middle(number) for number in chart["words"] if "[" in number["text"]}
        for name, y in texts.items():
            own = [text for text, other in numbers.items() if abs(other - y) < 3]
            rows.setdefault(name, own)
            assert rows[name] == own
        squares_and_circles = [middle(mark) for mark in chart["marks"]]
        named = [y for name, y in texts.items() if name not in ("north", "south", "isolate")]
        assert all(any(abs(mark - y) < 3 for mark in squares_and_circles) for y in named)
    assert len(rows) == 16


def test_blocks_of_the_dot_plot_close_up_and_go(opened, page):
    driver = opened(page)
    before = charts(driver, f"{NAME}.languages")
    choose(driver, "[data-group='family: isolate']")
    choose(driver, "[value='q00']")
    means, related = charts(driver, f"{NAME}.languages")
    # All languages of no trained family are gone, and so is their chart; means over languages stay as they were.
    assert [chart["title"] for chart in before] == [means["title"], related["title"], "Unseen, of no trained family"]
    assert words(means["labels"]) == words(before[0]["labels"]) and len(means["marks"]) == len(before[0]["marks"])
    assert words(related["labels"]) == words(before[1]["labels"])[1:]
    height = (before[1]["plot"]["bottom"] - before[1]["plot"]["top"]) / (len(before[1]["labels"]) + 1.5)
    gaps = [middle(lower) - middle(upper) for upper, lower in pairwise(related["labels"])]
    assert max(gaps) - min(gaps) < 0.5 and max(gaps) < 1.5 * height


def test_columns_of_the_heat_map_close_up(opened, page):
    driver = opened(page)
    before = charts(driver, f"{NAME}.heat")
    choose(driver, "[data-kind='schedule'][value='joint']")
    choose(driver, NORTH)
    after = charts(driver, f"{NAME}.heat")
    for chart in after:
        plot, shades = chart["plot"], chart["shades"]
        assert words(chart["words"])[:3] == ["untrained", "english", "sequential"]
        width = (plot["right"] - plot["left"]) / 3
        # The untrained model has no scores here, and so an empty column.
        filled = [shade for shade in shades if shade["text"]]
        assert [shade["right"] - shade["left"] for shade in filled] == pytest.approx([width] * 2, abs=1)
        assert [shade["left"] - plot["left"] for shade in filled] == pytest.approx([width, 2 * width], abs=1)
        for n, name in enumerate(chart["words"][:3]):
            centre = (name["left"] + name["right"]) / 2
            assert centre == pytest.approx(plot["left"] + (n + 0.5) * width, abs=1.5)
    rows = sum(len(chart["labels"]) for chart in before) - sum(len(chart["labels"]) for chart in after)
    assert rows == 5


def with_schedules(folder: Path, number: int) -> Path:
    """The page of a study of so many schedules; those more are copies of joint."""
    changed = plan()
    track = changed["tracks"]["qa"]
    joint = [run for run in changed["runs"] if run["schedule"] == "joint"]
    more = [f"more{n}" for n in range(number - len(track["schedules"]))]
    track["schedules"] = [*track["schedules"], *more]
    changed["runs"] += [run | {"schedule": name} for name in more for run in joint]
    write_report(write_study(folder, changed), folder, folder / "report.html")
    return folder / "report.html"


@pytest.mark.parametrize("number", [6, 7, 11])
def test_columns_whose_widths_are_rounded_close_up(opened, tmp_path, number):
    driver = opened(with_schedules(tmp_path, number))
    choose(driver, "[data-kind='schedule'][value='joint']")
    for chart in charts(driver, f"{NAME}.heat"):
        filled = [shade for shade in chart["shades"] if shade["text"]]
        width = (chart["plot"]["right"] - chart["plot"]["left"]) / (number - 1)
        assert [shade["right"] - shade["left"] for shade in filled] == pytest.approx([width] * (number - 1), abs=1)
        assert "joint" not in words(chart["words"])


def test_the_number_of_other_schedules_in_a_legend_follows(opened, tmp_path):
    driver = opened(with_schedules(tmp_path, 11))
    numbers = []
    for wanted in ("", *(f"more{n}" for n in range(7))):
        if wanted:
            choose(driver, f"[data-kind='schedule'][value='{wanted}']")
        found = [entry for entry in legend(driver, f"{NAME}.languages") if "other schedules" in entry]
        numbers += [int(entry.split()[0]) for entry in found] or [0]
    # The first three have marks and entries of their own.
    assert numbers == [4, 4, 4, 4, 3, 2, 1, 0]


def test_contrasts_go_with_either_schedule(opened, page):
    driver = opened(page)
    assert "sequential − joint" in " ".join(words(charts(driver, "contrasts.forest")[0]["labels"]))
    choose(driver, "[data-group='family: south']")
    assert charts(driver, "contrasts.forest")
    choose(driver, "[data-kind='schedule'][value='sequential']")
    assert charts(driver, "contrasts.forest") == []


@pytest.mark.parametrize("number", [2, 5], ids=["detailed", "a line each"])
def test_contrasts_close_up_with_their_bands(opened, tmp_path, number):
    """Every other contrast is with joint; the shades of the smallest effects are as high as the rows of theirs."""
    scores = by_difference([2.0, 2.5, 3.0])
    scores["english"] = scores["joint"]
    contrasts = [CONTRAST | {"name": f"c{n}", "b": ("joint", "english")[n % 2]} for n in range(number)]
    write_report(plant(tmp_path, scores, contrasts), tmp_path, tmp_path / "report.html")
    driver = opened(tmp_path / "report.html")
    (before,) = charts(driver, "contrasts.forest")
    choose(driver, "[data-kind='schedule'][value='joint']")
    (after,) = charts(driver, "contrasts.forest")
    assert len(before["bands"]) == number and len(after["bands"]) == number // 2
    assert " ".join(words(after["labels"])).count("sequential − english") == number // 2
    lost = before["plot"]["bottom"] - after["plot"]["bottom"]
    gone = before["bands"][0]["bottom"] - before["bands"][0]["top"] + (HEADING if number == 2 else 0)
    assert lost == pytest.approx((number - number // 2) * gone, abs=0.1)
    assert after["bands"][0]["top"] == pytest.approx(before["bands"][0]["top"], abs=0.1)
    assert all(any(band["top"] < middle(mark) < band["bottom"] for band in after["bands"]) for mark in after["marks"])


# --- legends, charts and figures -------------------------------------------------------------------------------------


def test_legends_and_marks_follow_the_schedules(opened, page):
    driver = opened(page)
    name = f"{NAME}.languages"
    assert legend(driver, name) == ["english", "joint", "sequential", "best trivial baseline"]
    before = sum(len(chart["marks"]) for chart in charts(driver, name))
    choose(driver, "[data-kind='schedule'][value='joint']")
    assert legend(driver, name) == ["english", "sequential", "best trivial baseline"]
    after = charts(driver, name)
    titles = " ".join(text for chart in after for text in words(chart["marks"]))
    assert "english: " in titles and "sequential: " in titles and "joint: " not in titles
    # A row has the mark of every schedule with its three seeds, and that of the baseline.
    rows = sum(len(chart["labels"]) for chart in after)
    assert before - sum(len(chart["marks"]) for chart in after) == 4 * rows


def test_no_bare_axes_are_left(opened, page):
    driver = opened(page)
    everything = shown_figures(driver)
    assert {f"{NAME}.{kind}" for kind in ("differences", "languages", "heat", "training")} < everything
    for schedule in ("english", "joint", "sequential"):
        choose(driver, f"[data-kind='schedule'][value='{schedule}']")
    # The heat map also has the untrained model.
    assert shown_figures(driver) == {f"{NAME}.heat"}
    choose(driver, "[data-kind='schedule'][value='untrained']")
    assert shown_figures(driver) == set()
    choose(driver, "[data-kind='schedule']", checked=True)
    assert shown_figures(driver) == everything
    choose(driver, "[data-kind='panel']")
    assert shown_figures(driver) == set()


def test_charts_of_a_schedule_go_and_the_others_move_up(opened, page):
    driver = opened(page)
    name = f"{NAME}.training"
    before = charts(driver, name)
    choose(driver, "[data-kind='schedule'][value='english']")
    after = charts(driver, name)
    assert len(after) == len(before) - 1 and after[0]["plot"]["left"] == before[0]["plot"]["left"]
    assert "english" not in " ".join(text for chart in after for text in words(chart["labels"]))


def test_lines_of_languages_go_and_averages_stay(opened, varied):
    driver = opened(varied)
    (before,) = charts(driver, f"{NAME}.curves")
    choose(driver, "[value='qen']")
    (after,) = charts(driver, f"{NAME}.curves")
    assert {"low-resource", "Enish"} <= set(words(before["words"]))
    assert set(words(before["words"])) - set(words(after["words"])) == {"Enish"}
    titles = words(after["marks"])
    assert titles and not any(title.startswith("Enish") for title in titles)
    means = [mark for mark in before["marks"] if mark["text"].startswith("low-resource")]
    assert means == [mark for mark in after["marks"] if mark["text"].startswith("low-resource")]
    # Before its stages a schedule is the untrained model.
    choose(driver, "[data-kind='schedule'][value='untrained']")
    (trained,) = charts(driver, f"{NAME}.curves")
    assert "untrained" not in words(trained["words"]) and len(trained["marks"]) == len(titles) * 2 / 3


def test_few_shot_curves_follow(opened, varied):
    driver = opened(varied)
    name = f"{NAME}.few-shot"
    (before,) = charts(driver, name)
    assert len(before["marks"]) == 3 and legend(driver, name) == ["more"]
    choose(driver, "[data-kind='schedule'][value='joint']")
    (after,) = charts(driver, name)
    assert len(after["marks"]) == 2 and {"0", "99"} < set(words(after["words"])) and "9" not in words(after["words"])
    assert len(before["lines"]) - len(after["lines"]) == 3  # two segments and an interval
    choose(driver, "[value='qes']")
    assert f"{NAME}.few-shot" not in shown_figures(driver)


def test_points_go_and_the_regression_line_stays(opened, varied):
    driver = opened(varied)
    (before,) = charts(driver, f"{NAME}.distance")
    choose(driver, "[value='qna']")
    (after,) = charts(driver, f"{NAME}.distance")
    assert len(before["marks"]) - len(after["marks"]) == 1 and after["lines"] == before["lines"]
    assert set(words(before["words"])) - set(words(after["words"])) == {"qna"}
    for language in ("qes", "qix"):
        choose(driver, f"[value='{language}']")
    assert f"{NAME}.distance" not in shown_figures(driver)


def test_marks_of_cost_go_with_their_schedules(opened, varied):
    driver = opened(varied)
    (before,) = charts(driver, f"{NAME}.cost")
    choose(driver, "[data-kind='schedule'][value='joint']")
    (after,) = charts(driver, f"{NAME}.cost")
    assert len(before["marks"]) - len(after["marks"]) == 1
    assert "joint" in words(before["words"]) and "joint" not in words(after["words"])


def test_declared_figures_follow_the_data_sets(opened, varied):
    driver = opened(varied)
    titles = [chart["title"] for chart in charts(driver, "paper.both.languages")]
    choose(driver, "[data-kind='panel'][value='qa/worldqa']")
    left = [chart["title"] for chart in charts(driver, "paper.both.languages")]
    assert left == [title for title in titles if "otherqa" in title] and 0 < len(left) < len(titles)
    assert "paper.one.heat" not in shown_figures(driver) and "qa.otherqa.tiny.languages" in shown_figures(driver)


def test_buckets_go_with_either_schedule(opened, page):
    driver = opened(page)
    (name,) = [name for name in shown_figures(driver) if name.endswith(".buckets")]
    choose(driver, NORTH)
    assert name in shown_figures(driver)
    choose(driver, "[data-kind='schedule'][value='joint']")
    assert name not in shown_figures(driver)


# --- what stays ------------------------------------------------------------------------------------------------------


def test_the_page_says_what_keeps_all_languages(opened, page):
    driver = opened(page)
    text = driver.find_element("css selector", ".choice").text
    assert "Averages, ranks, contrasts and regression lines keep all their languages." in text
    _, before = charts(driver, f"{NAME}.differences")
    choose(driver, "[data-kind='language']")
    _, after = charts(driver, f"{NAME}.differences")
    assert words(after["labels"]) == ["mean of 12"]
    assert after["marks"][0]["left"] == before["marks"][0]["left"]
    for kind in ("languages", "heat"):
        (chart,) = charts(driver, f"{NAME}.{kind}")
        assert chart["title"] == "Means over languages" and words(chart["labels"]) == ["low-resource (12)"]
    assert [text for text in words(after["words"]) if "[" in text] == [
        next(text for text in words(before["words"]) if "[" in text)
    ]


@pytest.mark.parametrize("study", ["page", "varied"])
def test_the_whole_choice_restores_every_figure(opened, study, request):
    driver = opened(request.getfixturevalue(study))
    before = figures(driver)
    selectors = ("[data-group]", "[data-kind='schedule']", "[data-kind='panel']", "[data-kind='language']")
    for selector in selectors:
        for box in driver.find_elements("css selector", f".choice {selector}"):
            driver.execute_script("arguments[0].click()", box)
        assert figures(driver) != before
        driver.execute_script("document.querySelector('.everything').click()")
        assert figures(driver) == before
    assert driver.get_log("browser") == []


def test_paper_and_dark_have_the_choice(opened, page):
    for options in ({"size": PAPER, "media": "print"}, {"size": DESKTOP, "dark": True}):
        driver = opened(page, **options)
        choose(driver, NORTH)
        _, chart = charts(driver, f"{NAME}.differences")
        assert words(chart["labels"])[:3] == ["mean of 12", "south", "Language 5 (q05)"]
