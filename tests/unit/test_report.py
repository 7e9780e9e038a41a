"""The page of a study: the wording of its answer, its required and its forbidden content."""

import base64
import hashlib
import html
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from helpers.study_results import by_seed, plan, read, write_study
from markupsafe import escape

from crosstune.analysis.cells import Cell
from crosstune.core.files import write_json
from crosstune.reporting.figures import panel_figures
from crosstune.reporting.figures.subjects import short_codes
from crosstune.reporting.page.answer import (
    SeedDifference,
    answer,
    baseline_margins,
    limitations,
    relatedness_rows,
    schedule_meanings,
    seed_differences,
    setting,
)
from crosstune.reporting.page.page import bibtex, choices, csv_address, exposure, render_page, signed, write_report
from crosstune.reporting.page.terms import TERMS
from crosstune.reporting.tables.formats import table_files
from crosstune.reporting.tables.scores import best_cells, schedule_table


def contrast(*differences: float) -> SeedDifference:
    return SeedDifference("joint", "english", Cell(by_seed(dict(enumerate(differences, start=1))), len(differences)))


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        # s = 0.5, standard error 0.289, t(2) = 4.30: 2 +- 1.24.
        ((1.5, 2.0, 2.5), "better"),
        ((-1.5, -2.0, -2.5), "worse"),
        # All seeds agree, which has probability 1/4 by chance: s = 0.95, 1.03 +- 2.36.
        ((1.0, 2.0, 0.1), "inconclusive"),
        ((-1.0, -2.0), "inconclusive"),
        ((9.0, 9.0, -0.1), "inconclusive"),
        ((1.0, 0.0), "inconclusive"),
        ((5.0,), "inconclusive"),
        ((0.0, 0.0), "inconclusive"),
        ((), "missing"),
    ],
)
def test_a_direction_needs_an_interval_without_0(differences, verdict):
    assert contrast(*differences).verdict == verdict


def test_a_difference_has_sign_and_interval():
    assert contrast(1, 2, 3).text == "+2.0 [−0.5, 4.5]"
    assert contrast(-4, 1).text == "−1.5 [−33.3, 30.3]"
    assert contrast(2).text == "+2.0"


def test_the_page_tells_what_models_can_read(tmp_path):
    study = write_study(tmp_path)
    assert "What the models can read" not in render_page(study, tmp_path)
    entry = {"model": "m", "track": "qa", "dataset": "xquad", "split": "test", "language": "th", "rows": 9, "cut": 2}
    facts = {"unknown": 0.307, "ceiling": {"f1": 97.21, "exact_match": 88.0, "n": 9}}
    write_json(tmp_path / "encoding.json", {"encodings": [entry | facts]})
    page = render_page(study, tmp_path)
    assert "What the models can read" in page and "30.7" in page and "exact_match 88.0, f1 97.2" in page


def test_the_page_lists_leaks(tmp_path):
    study = write_study(tmp_path)
    assert "Not checked." in render_page(study, tmp_path)
    pair = {"train": "squad.en", "evaluate": "xquad.en", "texts": 9, "exact": 2, "near": 1, "short": 3, "id": 0}
    pair["parallel"] = 4
    found = {"compared": 7, "limits": ["translations", "paraphrases"], "pairs": [pair | {"status": "chance"}]}
    write_json(tmp_path / "leakage.json", found)
    page = render_page(study, tmp_path)
    assert "7 pairs" in page and "No evaluation text is in the training data" in page and "xquad.en" not in page
    assert "The check does not find translations; paraphrases." in page
    found["pairs"].append(pair | {"status": "allowed"})
    write_json(tmp_path / "leakage.json", found)
    numbers = "<td>9</td><td>5</td><td>1</td><td>0</td><td>4</td>"
    assert f'squad.en</th><td class="text">xquad.en</td>{numbers}<td class="text">allowed' in render_page(
        study, tmp_path
    )


def test_the_page_has_averages_over_tasks(tmp_path):
    averaged = plan()
    assert "Average over tasks" not in render_page(write_study(tmp_path, averaged), tmp_path)
    averaged["averages"] = {"mine": [{"task": "xquad", "track": "qa", "dataset": "worldqa"}]}
    page = render_page(write_study(tmp_path, averaged), tmp_path)
    assert "Average over tasks: mine" in page
    assert "mean, F1 only" in page


def test_the_answer_has_its_numbers(tmp_path):
    # Low-resource averages: english 13, 14; joint 19, 20; sequential 11.5, 13.5.
    (panel,) = write_study(tmp_path).panels()
    assert answer(panel) == (
        "Several source languages at once, or one? joint is better than english. joint − english = +6.0 points, 95% CI "
        "[6.0, 6.0] (SQuAD v1.1 F1 19.5 against 13.5: 2 low-resource languages of worldqa, 2 seeds). "
        "One language after the other, or all at once? sequential is worse than joint. sequential − joint = −7.0 "
        "points, 95% CI [−13.4, −0.6] (SQuAD v1.1 F1 12.5 against 19.5: 2 low-resource languages of worldqa, 2 seeds)."
    )


def test_seeds_that_disagree_are_inconclusive(tmp_path):
    changed = plan()
    changed["headline"] = {"single": "english", "joint": "sequential", "sequential": "english"}
    (panel,) = write_study(tmp_path, changed).panels()
    path = tmp_path / "tiny/seed2/qa/worldqa.qen@100/worldqa.qes@100/scores/worldqa.json"
    path.write_text(path.read_text().replace('"f1": 20', '"f1": 40'))
    (panel,) = read(tmp_path).panels()
    text = answer(panel)
    assert "or one? Inconclusive. sequential − english = +4.0 points" in text
    assert "all at once? Inconclusive. english − sequential = −4.0 points" in text


@pytest.mark.parametrize(
    ("headline", "words"),
    [
        (None, "Not answered: the plan names no schedule of this track as “joint”"),
        ({"single": "english", "joint": "joint"}, "no schedule of this track as “sequential”"),
        ({"single": "nowhere", "joint": "joint", "sequential": "sequential"}, "no schedule of this track as “single”"),
    ],
)
def test_the_answer_says_why_a_plan_cannot_answer(tmp_path, headline, words):
    changed = plan()
    changed.pop("headline")
    if headline is not None:
        changed["headline"] = headline
    assert words in answer(write_study(tmp_path, changed).panels()[0])


def test_seeds_are_paired(tmp_path):
    write_study(tmp_path)
    shutil.rmtree(tmp_path / "tiny/seed2/qa/worldqa.qen+worldqa.qes@200")
    shutil.rmtree(tmp_path / "tiny/seed1/qa/worldqa.qen@200")
    (panel,) = read(tmp_path).panels()
    assert "Not answered: no seed has scores of both joint and english." in answer(panel)
    assert any("2 of 8 runs missing" in text for text in limitations(panel))


def test_differences_are_by_language_group(tmp_path):
    groups, rows = seed_differences(write_study(tmp_path).panels()[0])
    assert groups == [
        "low-resource (2)",
        "unseen related (1)",
        "unseen unrelated (1)",
        "unseen (2)",
        "seen (2)",
        "all (4)",
    ]
    name, (low, related, unrelated, *_) = rows[0]
    assert name == "joint − english"
    assert low.difference.values == by_seed({1: 6, 2: 6})
    assert related.difference.values == by_seed({1: 10, 2: 12})
    assert unrelated.difference.values == by_seed({1: 2, 2: 0})


def test_the_baseline_is_that_of_a_schedules_own_languages(tmp_path):
    english, joint, _ = baseline_margins(write_study(tmp_path).panels()[0])
    assert (english.languages, english.baseline, english.margin.values) == (["qen"], 7, by_seed({1: 43, 2: 47}))
    assert (joint.languages, joint.margin.values, joint.smallest) == (["qen", "qes"], by_seed({1: 37.5, 2: 39.5}), 37.5)


def test_a_schedule_below_the_baseline_is_a_limitation(tmp_path):
    write_study(tmp_path)
    floor = {"high": {lang: {"f1": 51, "exact_match": 0, "n": 1} for lang in ("qen", "qes")}}
    write_json(tmp_path / "baselines/worldqa.json", {"baselines": floor})
    words = limitations(read(tmp_path).panels()[0])
    assert "No better than trivial baselines with some seed: english, joint, sequential." in words


def test_the_baseline_counts_where_no_evaluated_language_is_trained_on(tmp_path):
    changed = plan()
    changed["tracks"]["qa"]["evaluate"] = {"worldqa": ["qna", "qix"]}
    (panel,) = write_study(tmp_path, changed).panels()
    english, *_ = baseline_margins(panel)
    # Means of qna and qix: 13 and 14.
    assert (english.languages, english.margin.values) == (["qna", "qix"], by_seed({1: 6, 2: 7}))
    write_json(tmp_path / "baselines/worldqa.json", {"baselines": {"high": {
        "qna": {"f1": 10, "exact_match": 0, "n": 9}, "qix": {"f1": 8, "exact_match": 0, "n": 9}
    }}})  # fmt: skip
    words = limitations(read(tmp_path).panels()[0])
    assert (
        "In 1 of 2 low-resource languages (qix) no compared schedule beats the trivial baselines; they count in "
        "the means." in words
    )


def test_related_and_unrelated_languages_are_compared(tmp_path):
    (panel,) = write_study(tmp_path).panels()
    english = relatedness_rows(panel)[0]
    assert english.contrast.difference.values == by_seed({1: 14, 2: 16})
    changed = plan()
    changed["languages"]["qix"]["family"] = "south"
    assert relatedness_rows(write_study(tmp_path, changed).panels()[0]) == []


def test_exposure_is_summed_over_stages_and_averaged_over_seeds(tmp_path):
    (panel,) = write_study(tmp_path).panels()
    assert exposure(panel, tmp_path) == ([], [])
    for seed, examples in ((1, 100), (2, 110)):
        stage = tmp_path / f"tiny/seed{seed}/qa/worldqa.qen@100"
        write_json(stage / "stage.json", {"exposure": {"worldqa.qen": {"examples": examples, "tokens": 1000}}})
        write_json(stage / "worldqa.qes@100/stage.json", {"exposure": {"worldqa.qes": {"examples": 90, "tokens": 500}}})
    sources, (row,) = exposure(panel, tmp_path)
    assert sources == ["worldqa.qen", "worldqa.qes"]
    assert (row.schedule, row.by_source, row.total) == ("sequential", [(105, 1000), (90, 500)], (195, 1500))


def test_the_page_says_how_it_was_computed(tmp_path):
    study = write_study(tmp_path)
    write_json(tmp_path / "tiny/seed1/qa/untrained/stage.json", {"precision": "fp32", "packed": True, "exposure": {}})
    write_json(tmp_path / "tiny/seed2/qa/untrained/stage.json", {"precision": "bf16", "packed": False, "exposure": {}})
    write_report(study, tmp_path, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "trained in bf16, rows padded to the longest; others trained in fp32, rows packed end to end" in page


class Resources(HTMLParser):
    """The tags of a page and the addresses of their resources."""

    def __init__(self):
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses |= {value for name, value in attrs if name in ("src", "href", "data", "action", "poster")}


def test_the_page_has_no_external_resources(tmp_path):
    study = write_study(tmp_path)
    write_report(study, tmp_path, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    resources = Resources()
    resources.feed(page)
    assert not resources.tags & {"img", "iframe", "object", "embed", "base"}
    assert {address for address in resources.addresses if not address.startswith(("#", "data:text/csv;"))} == {"data:,"}
    assert not re.search(r"@import|url\(", page[: page.index("</style>")])


def test_the_page_has_answer_tables_figures_and_provenance(tmp_path):
    study = write_study(tmp_path)
    write_json(tmp_path / "provenance.json", {"config": {"study": "small"}, "commit": "0123abc"})
    page = render_page(study, tmp_path)
    assert "joint − english = +6.0 points, 95% CI [6.0, 6.0]" in page
    figures = list(panel_figures(study.panels()[0], tmp_path))
    assert [figure.kind for figure in figures] == ["differences", "languages", "heat", "curves"]
    codes = short_codes({kind: [value for value, *_ in own] for kind, own in choices(study).items()})
    assert all(chart.page_svg(codes) in page for figure in figures for chart in figure.charts)
    assert "→ qes" in page and "0123abc" in page and "&#34;study&#34;: &#34;small&#34;" in page
    assert page == render_page(read(tmp_path), tmp_path)


def test_the_entry_to_cite_has_the_year_of_the_results(tmp_path):
    study = write_study(tmp_path)
    assert "year" not in bibtex(study, None)
    assert "  year = {2026}," in bibtex(study, {"ended": "2026-11-24T03:10:44+00:00"})


def test_names_cannot_break_the_page(tmp_path):
    changed = plan()
    changed["languages"]["qna"]["name"] = '<b>&"x'
    page = render_page(write_study(tmp_path, changed), tmp_path)
    assert '<b>&"x' not in page


def test_a_study_without_scores_has_a_page(tmp_path):
    write_json(tmp_path / "plan.json", plan())
    page = render_page(read(tmp_path), tmp_path)
    assert "no seed has scores of both joint and english" in page
    assert "8 of 8 runs missing" in page


def test_numbers_have_signs():
    assert [signed(value) for value in (1.25, -1.0, 0.04, -0.04)] == ["+1.2", "−1.0", "0.0", "0.0"]


def test_the_setting_names_invented_languages(tmp_path):
    changed = plan()
    for about in changed["languages"].values():
        about["synthetic"] = True
    changed["cited"] = [{"what": "model", "name": "tiny", "title": "made here", "licence": ""}]
    (panel,) = write_study(tmp_path, changed).panels()
    assert setting(panel) == (
        "Model tiny (pretrained by this study); test data worldqa in 4 invented languages: 2 low-resource, 2 seen in "
        "training; 200 updates of up to 512 tokens for every schedule (compute-matched); seeds 1, 2."
    )
    del changed["languages"]["qix"]["synthetic"]
    (panel,) = write_study(tmp_path / "mixed", changed).panels()
    assert "in 4 languages: 2 low-resource, 2 seen in training, 3 invented;" in setting(panel)


def test_the_schedules_of_the_question_are_explained(tmp_path):
    (panel,) = write_study(tmp_path).panels()
    assert schedule_meanings(panel) == [
        ("english", "Enish (qen)"),
        ("joint", "Enish (qen) + Esish (qes)"),
        ("sequential", "Enish (qen) → Esish (qes)"),
    ]


def test_few_seeds_are_a_limitation(tmp_path):
    (panel,) = write_study(tmp_path).panels()
    assert "Few seeds: with 2 seeds the CIs are wide." in limitations(panel)


def test_the_csv_of_a_table_has_its_numbers(tmp_path):
    study = write_study(tmp_path)
    table = schedule_table(study.panels()[0], "f1")
    address = csv_address(table)
    content = unquote(address.removeprefix("data:text/csv;charset=utf-8,"))
    assert content == table_files(table)["qa.worldqa.tiny.f1.csv"]
    assert str(escape(address)) in render_page(study, tmp_path)


def test_every_term_of_the_page_is_in_the_glossary_and_in_its_list(tmp_path):
    glossary = (Path(__file__).parents[2] / "docs/glossary.md").read_text(encoding="utf-8")
    page = render_page(write_study(tmp_path), tmp_path)
    for name, text in TERMS.items():
        assert f"**{name}**: " in glossary, name
        assert page.count(f'<dt id="term-{name.replace(" ", "-").replace(",", "").replace("%", "")}">') == 1
        assert text in html.unescape(page)
    targets = set(re.findall(r'href="#(term-[^"]+)"', page))
    assert targets and targets <= set(re.findall(r'<dt id="([^"]+)"', page))


def test_the_best_schedule_of_a_column_is_bold(tmp_path):
    table = schedule_table(write_study(tmp_path).panels()[0], "f1")
    names = [row.key for row in table.rows]
    best = {(names[row], table.columns[column].key) for row, column in best_cells(table)}
    assert {("joint", "qna"), ("english", "qen"), ("sequential", "qes")} <= best
    assert not {name for name, _ in best} & {"empty", "context", "untrained"}


def test_the_policy_allows_the_script_of_the_page_alone(tmp_path):
    page = render_page(write_study(tmp_path), tmp_path)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in page or f"script-src 'sha256-{digest}'" in page
    assert "unsafe-eval" not in page and page.count("<script") == 1
