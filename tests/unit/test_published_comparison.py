"""A published table compared with ours, by hand: two seeds, two folds, two languages of unequal size."""

import pytest
import yaml
from helpers.fold_study import SCORES, fold_study, numbers
from helpers.study_results import by_seed, csv_rows

from crosstune.analysis.cells import Cell
from crosstune.analysis.results import StudyResults
from crosstune.core.errors import UserError
from crosstune.reporting.page.answer import answer
from crosstune.reporting.tables.published import (
    PublishedComparison,
    comparison_csv,
    comparison_latex,
    comparison_markdown,
    mean_with_interval,
    published_comparisons,
    summary_sentence,
)
from crosstune.reporting.tables.scores import scores_csv
from crosstune.study.published_tables import load_published


def comparison_of(*scores, **changes) -> PublishedComparison:
    (comparison,) = published_comparisons(fold_study(*scores, **changes))
    return comparison


def lines(comparison: PublishedComparison) -> dict[tuple[str, str], dict]:
    """The lines of its CSV file, by schedule and column."""
    return {(row["schedule"], row["column"]): row for row in csv_rows(comparison_csv(comparison))}


def test_ours_and_the_published_number():
    rows = lines(comparison_of())
    pooled = rows["plain", "overall"]
    # (3 hi + ta) / 4 of each run: 35, 38, 42, 45; mean 40, ten below the published 50. 2 folds x (3 + 1) examples.
    assert float(pooled["ours"]) == 40 and float(pooled["difference"]) == -10
    assert (pooled["runs"], pooled["missing"], pooled["examples"]) == ("4", "0", "8")
    assert float(rows["plain", "macro"]["ours"]) == 34  # (30 + 32 + 36 + 38) / 4
    assert float(rows["plain", "hi"]["ours"]) == 46 and rows["plain", "hi"]["examples"] == "6"
    assert (rows["plain", "hi"]["translations"], rows["more", "hi"]["contrastive"]) == ("none", "yes")


def test_differences_are_between_runs_of_one_seed_and_fold():
    row = lines(comparison_of())["more - plain", "hi"]
    # 10, 10, 2, 2: mean 6; by seed 10 and 2, so that V = 32 / 2 = 16, and by fold alike; runs give 21.33 / 4.
    assert float(row["ours"]) == 6 and row["published"] == ""
    half = 12.706205 * max(16 + 0 - 64 / 3 / 4, 16) ** 0.5
    assert float(row["low"]) == pytest.approx(6 - half, abs=1e-3)
    assert float(row["high"]) == pytest.approx(6 + half, abs=1e-3)


def test_missing_runs_are_counted():
    scores = {**SCORES, "more": {key: value for key, value in SCORES["more"].items() if key != (2, 2)}}
    comparison = comparison_of(scores)
    assert "(3/4 runs)" in comparison_markdown(comparison)
    row = lines(comparison)["more", "hi"]
    assert (row["runs"], row["missing"]) == ("3", "1")


def test_the_caption_names_sources_runs_and_examples():
    page = comparison_markdown(comparison_of())
    assert (
        "A paper, Table 2 (Jaccard) compared with model tiny on chaii" in page
        and "2 seeds x 2 splits of the data" in page
    )
    assert "Examples: overall 8, macro 8, hi 6." in page and "not verified" not in page
    # Seeds 36.5 and 43.5 give V = 12.25, the larger part: 40 ± 12.7062 x 3.5.
    line = next(line for line in page.splitlines() if line.startswith("| plain  "))
    assert [cell.strip() for cell in line.split("|")][1:7] == [
        "plain",
        "none",
        "no",
        "50.0",
        "40.0 [-4.5, 84.5]",
        "-10.0",
    ]
    assert "not verified" in comparison_markdown(comparison_of(verified=False))


def test_a_rounded_zero_has_no_minus():
    assert mean_with_interval(Cell(by_seed({1: -0.04, 2: -0.01}), 2), "+.1f") == "+0.0 [-0.2, +0.2]"


def sentence(scores):
    return summary_sentence(comparison_of(scores))


def test_differences_in_words():
    better = {run: (hi + 10, ta + 10) for run, (hi, ta) in SCORES["plain"].items()}
    text = "More is better than plain (+10.0 [+10.0, +10.0]): points of the mean over all"
    assert sentence({**SCORES, "more": better}).startswith(text)
    assert sentence(SCORES).startswith("More and plain do not differ clearly (+4.5 [")
    assert sentence({**SCORES, "more": {}}).startswith("More against plain is missing")


def test_the_page_opens_with_the_differences_if_the_study_has_no_headline():
    comparison = comparison_of()
    assert answer(comparison.panel) == summary_sentence(comparison)


def test_mucots_protocol_takes_another_checkpoint_for_every_column():
    def look(update, validation, test):
        sides = {"validation": validation, "test": test}
        return {
            "update": update,
            "score": 0,
            "scores": {s: {"hi": numbers(v[0], 3), "ta": numbers(v[1], 1)} for s, v in sides.items()},
        }

    looks = [look(100, (50, 0), (11, 12)), look(200, (40, 90), (21, 22)), look(300, (50, 10), (31, 32))]
    plain = fold_study(from_evaluations=True)
    stages = [stage for run in plain.plan["runs"] for stage in run["stages"]]
    (comparison,) = published_comparisons(StudyResults(plain.plan, plain.scores, {}, dict.fromkeys(stages, looks)))
    assert set(comparison.cell("plain", "hi").values.values()) == {31}  # 50 twice: the later
    assert set(comparison.cell("plain", "macro").values.values()) == {21.5}  # 65 at the second look
    assert set(comparison.cell("plain", "overall").values.values()) == {21.25}  # 37.5, 52.5, 40 over examples
    assert "which no single model has" in comparison_markdown(comparison)


def test_latex_compiles(typeset):
    typeset(comparison_latex(comparison_of()))


def test_latex_escapes_and_is_complete():
    text = comparison_latex(comparison_of())
    assert r"all\_four" in text and text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    assert r"\label{tab:table2.tiny.differences}" in text
    assert r"\shortstack[c]{50.0 \\{} \tiny (-10.0)} & \shortstack[c]{40.0 \\{} \tiny [-4.5, 84.5]}" in text


def test_folds_have_a_column_in_the_long_form():
    rows = csv_rows(scores_csv(fold_study()))
    assert {(row["seed"], row["fold"]) for row in rows} == {("1", "1"), ("1", "2"), ("2", "1"), ("2", "2")}


TABLE = {
    "title": "t", "what": "w", "verified": True, "scale": 1, "columns": ["a"], "labels": ["l"],
    "rows": {"r": {"labels": ["x"], "values": [0.5]}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("no.table", {}, "no published numbers 'no'"),
        ("paper.other", {}, "has no table 'other'"),
        ("paper.table", {"scale": None}, "missing key 'scale'"),
        ("paper.table", {"rows": {"r": {"labels": ["x"], "values": []}}}, "expected 1 values"),
    ],
)
def test_mistakes_in_published_numbers(tmp_path, name, changes, message):
    table = {key: value for key, value in {**TABLE, **changes}.items() if value is not None}
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump({"table": table}))
    with pytest.raises(UserError, match=message):
        load_published(tmp_path, name, "published.table2.numbers")
