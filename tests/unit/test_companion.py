"""A published table beside ours, worked by hand: two seeds, two folds, two languages of unequal size."""

import csv
import io

import pytest
import yaml
from helpers.study_results import by_seed

from crosstune.analysis.cells import Cell
from crosstune.analysis.results import StudyResults
from crosstune.core.errors import UserError
from crosstune.reporting.page.answer import answer
from crosstune.reporting.tables.published import (
    companion_csv,
    companion_latex,
    companion_markdown,
    companions,
    told,
    with_interval,
)
from crosstune.reporting.tables.scores import scores_csv
from crosstune.study.published_tables import load_published

ENTRY = {
    "name": "table2",
    "title": "A paper, Table 2",
    "what": "Jaccard",
    "verified": True,
    "labels": ["translations", "contrastive"],
    "track": "qa",
    "dataset": "chaii",
    "columns": [["overall", "pooled"], ["macro", "all"], ["hi", "hi"]],
    "rows": [
        {"schedule": "plain", "labels": ["none", "no"], "published": {"overall": 50.0, "macro": 48.0, "hi": 57.0}},
        {"schedule": "more", "labels": ["all_four", "yes"], "published": {"overall": 52.0, "macro": 49.0, "hi": 57.0}},
    ],
    "differences": [["more", "plain"]],
    "protocol": "checkpoint",
}
# Jaccard by schedule, seed and fold, of Hindi (3 examples a fold) and of Tamil (1 example).
SCORES = {
    "plain": {(1, 1): (40, 20), (1, 2): (44, 20), (2, 1): (48, 24), (2, 2): (52, 24)},
    "more": {(1, 1): (50, 20), (1, 2): (54, 20), (2, 1): (50, 24), (2, 2): (54, 24)},
}


def numbers(jaccard, n):
    return {"jaccard": jaccard, "f1": jaccard, "exact_match": 0, "n": n}


def study(scores=SCORES, **changes):
    runs = [
        {
            "model": "tiny",
            "seed": seed,
            "fold": fold,
            "track": "qa",
            "schedule": schedule,
            "stages": [f"tiny/seed{seed}/qa/{schedule}-fold{fold}"],
            "evaluated": [["chaii"]],
            "mixtures": [["chaii.hi", "chaii.ta"]],
            "updates": [10],
        }
        for schedule in scores
        for seed in (1, 2)
        for fold in (1, 2)
    ]
    track = {
        "metrics": {"chaii": "chaii"},
        "trained": ["hi", "ta"],
        "evaluate": {"chaii": ["hi", "ta"]},
        "folded": ["chaii"],
        "folds": [1, 2],
        "matched": True,
        "budget": {"updates": 10, "tokens": 10},
        "schedules": list(scores),
    }
    plan = {
        "study": "small",
        "seeds": [1, 2],
        "models": ["tiny"],
        "languages": {},
        "primary": {"track": "qa", "dataset": "chaii", "metric": "jaccard"},
        "tracks": {"qa": track},
        "runs": runs,
        "published": [{**ENTRY, **changes}],
    }
    found = {
        (f"tiny/seed{seed}/qa/{schedule}-fold{fold}", f"chaii-fold{fold}"): {
            "hi": numbers(hi, 3),
            "ta": numbers(ta, 1),
        }
        for schedule, by_run in scores.items()
        for (seed, fold), (hi, ta) in by_run.items()
    }
    return StudyResults(plan, found, {})


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_ours_beside_the_published_number():
    (companion,) = companions(study())
    rows = {(row["schedule"], row["column"]): row for row in rows_of(companion_csv(companion))}
    pooled = rows["plain", "overall"]
    # (3 hi + ta) / 4 of each run: 35, 38, 42, 45; mean 40, ten below the published 50. 2 folds x (3 + 1) examples.
    assert float(pooled["ours"]) == 40 and float(pooled["difference"]) == -10
    assert (pooled["runs"], pooled["missing"], pooled["examples"]) == ("4", "0", "8")
    assert float(rows["plain", "macro"]["ours"]) == 34  # (30 + 32 + 36 + 38) / 4
    assert float(rows["plain", "hi"]["ours"]) == 46 and rows["plain", "hi"]["examples"] == "6"
    assert (rows["plain", "hi"]["translations"], rows["more", "hi"]["contrastive"]) == ("none", "yes")


def test_differences_are_between_runs_of_one_seed_and_fold():
    (companion,) = companions(study())
    row = next(r for r in rows_of(companion_csv(companion)) if (r["schedule"], r["column"]) == ("more - plain", "hi"))
    # 10, 10, 2, 2: mean 6; by seed 10 and 2, so that V = 32 / 2 = 16, and by fold alike; runs give 21.33 / 4.
    assert float(row["ours"]) == 6 and row["published"] == ""
    half = 12.706205 * max(16 + 0 - 64 / 3 / 4, 16) ** 0.5
    assert float(row["low"]) == pytest.approx(6 - half, abs=1e-3)
    assert float(row["high"]) == pytest.approx(6 + half, abs=1e-3)


def test_a_missing_run_is_told():
    scores = {**SCORES, "more": {key: value for key, value in SCORES["more"].items() if key != (2, 2)}}
    (companion,) = companions(study(scores))
    assert "(3/4 runs)" in companion_markdown(companion)
    row = next(r for r in rows_of(companion_csv(companion)) if (r["schedule"], r["column"]) == ("more", "hi"))
    assert (row["runs"], row["missing"]) == ("3", "1")


def test_the_page_says_whose_numbers_and_over_what():
    (companion,) = companions(study())
    page = companion_markdown(companion)
    assert "A paper, Table 2 (Jaccard) beside model tiny on chaii" in page and "2 seeds x 2 splits of the data" in page
    assert "Examples: overall 8, macro 8, hi 6." in page and "not verified" not in page
    # Seeds 36.5 and 43.5 give V = 12.25, the larger part: 40 ± 12.7062 x 3.5.
    cells = [
        cell.strip() for cell in next(line for line in page.splitlines() if line.startswith("| plain  ")).split("|")
    ]
    assert cells[1:7] == ["plain", "none", "no", "50.0", "40.0 [-4.5, 84.5]", "-10.0"]
    (other,) = companions(study(verified=False))
    assert "not verified" in companion_markdown(other)


def test_a_rounded_zero_has_no_minus():
    assert with_interval(Cell(by_seed({1: -0.04, 2: -0.01}), 2), "+.1f") == "+0.0 [-0.2, +0.2]"


def test_differences_in_words():
    scores = {"plain": SCORES["plain"], "more": {run: (hi + 10, ta + 10) for run, (hi, ta) in SCORES["plain"].items()}}
    (companion,) = companions(study(scores))
    assert told(companion).startswith("More is better than plain (+10.0 [+10.0, +10.0]): points of the mean over all")
    (companion,) = companions(study())
    assert told(companion).startswith("More and plain cannot be told apart (+4.5 [")
    (companion,) = companions(study({**SCORES, "more": {}}))
    assert told(companion).startswith("More against plain is missing")
    page = answer(companion.panel)
    assert page == told(companion), "the first sentence of the report, where no schedules are named for the question"


def test_mucots_protocol_takes_another_checkpoint_for_every_column():
    def look(update, validation, test):
        sides = {"validation": validation, "test": test}
        return {
            "update": update,
            "score": 0,
            "scores": {s: {"hi": numbers(v[0], 3), "ta": numbers(v[1], 1)} for s, v in sides.items()},
        }

    looks = [look(100, (50, 0), (11, 12)), look(200, (40, 90), (21, 22)), look(300, (50, 10), (31, 32))]
    plain = study(protocol="mucot")
    stages = [stage for run in plain.plan["runs"] for stage in run["stages"]]
    (companion,) = companions(StudyResults(plain.plan, plain.scores, {}, dict.fromkeys(stages, looks)))
    assert set(companion.cell("plain", "hi").values.values()) == {31}  # 50 twice: the later
    assert set(companion.cell("plain", "macro").values.values()) == {21.5}  # 65 at the second look
    assert set(companion.cell("plain", "overall").values.values()) == {21.25}  # 37.5, 52.5, 40 over examples
    assert "which no single model has" in companion_markdown(companion)


def test_latex_compiles(typeset):
    (companion,) = companions(study())
    typeset(companion_latex(companion))


def test_latex_escapes_and_says_all():
    (companion,) = companions(study())
    text = companion_latex(companion)
    assert r"all\_four" in text and text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    assert r"\label{tab:table2.tiny.differences}" in text
    assert r"\shortstack[c]{50.0 \\{} \tiny (-10.0)} & \shortstack[c]{40.0 \\{} \tiny [-4.5, 84.5]}" in text


def test_folds_have_a_column_in_the_long_form():
    rows = rows_of(scores_csv(study()))
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
