"""The verdicts on statements about the small study, whose numbers are worked by hand.

English on all four languages: 21.5 and 23.5, mean 22.5; two seeds give ± 12.7062 x 1. Joint less English on qes: 34
and 34; on qix: 2 and 0, mean 1 ± 12.7062 x 1; on all: 10.25 and 9.75, mean 10 ± 12.7062 x 0.25.
"""

import json
from pathlib import Path

import pytest
from helpers import study_results
from helpers.fold_study import fold_study

from crosstune.analysis.results import StudyResults
from crosstune.analysis.terms import with_terms
from crosstune.artifacts.claim import Statement
from crosstune.core.files import write_json
from crosstune.reporting.page.page import render_page
from crosstune.reporting.tables.claims import (
    claim_results,
    claims_csv,
    claims_latex,
    claims_markdown,
    our_text,
    published_text,
    runs_text,
    write_claim_results,
    write_claim_tables,
)

HALF = 12.706205
PANEL = {"model": "tiny", "track": "qa", "dataset": "worldqa", "metric": "f1"}


def number(value=22.5, tolerance=13.0, **changes):
    content = {
        **PANEL, "value": value, "tolerance": tolerance, "schedule": "english", "about": "english",
        "languages": list(study_results.LANGUAGES),
    }  # fmt: skip
    return Statement("paper/a", "number", "So.", "A paper, Table 1", "", True, "read", **{**content, **changes})


def direction(languages, **changes):
    content = {**PANEL, "schedule": "joint", "relative_to": "english", "languages": languages}
    return Statement("paper/d", "direction", "So.", "A paper, abstract", "", True, "read", **{**content, **changes})


def rows(said, known, **changes):
    content = {"rows": said, "known": known, "value": sum(said.values()), "dataset": "xquad", "split": "test"}
    content |= {"record_file": "registry/bundle.yaml", "about": "xquad test"}
    return Statement("paper/c", "count", "So.", "A paper, README", "", True, "read", **{**content, **changes})


def study_with(folder, *statements, plan=None) -> StudyResults:
    plan = plan or study_results.plan()
    return study_results.write_study(folder, plan | {"claims": [statement.entry() for statement in statements]})


def verdict(folder, statement):
    results = folder / "results/small"
    (result,) = claim_results(study_with(results, statement), results)
    return result


@pytest.mark.parametrize(
    ("value", "tolerance", "expected"),
    [
        (22.5, 13.0, "reproduced"),  # [9.8, 35.2] within [9.5, 35.5]
        (22.5, 12.5, "inconclusive"),  # it sticks out of [10, 35] on both sides
        (22.0, 13.0, "inconclusive"),  # above alone
        (23.0, 13.0, "inconclusive"),  # below alone
        (9.0, 0.5, "contradicted"),  # [8.5, 9.5] is below it
        (9.0, 1.0, "inconclusive"),  # [8, 10] reaches it
        (36.0, 0.5, "contradicted"),  # [35.5, 36.5] is above it
        (36.0, 1.0, "inconclusive"),
    ],
)
def test_a_number_by_its_tolerance(tmp_path, value, tolerance, expected):
    result = verdict(tmp_path, number(value, tolerance))
    assert result.verdict == expected
    assert result.our_value == 22.5 and result.interval.low == pytest.approx(22.5 - HALF, abs=1e-4)


@pytest.mark.parametrize("claim", [number(), direction(["qes"])])
def test_a_pilot_decides_nothing(tmp_path, claim):
    plan = study_results.plan() | {"pilot": 7}
    (result,) = claim_results(study_with(tmp_path, claim, plan=plan), tmp_path)
    assert (result.verdict, result.remark) == ("undecided", "a pilot decides nothing")


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (direction(["qes"]), "reproduced"),
        (direction(["qes"], min_difference=33.0), "reproduced"),
        (direction(["qes"], min_difference=34.0), "inconclusive"),
        (direction(["qes"], min_difference=34.5), "contradicted"),
        (direction(["qes"], schedule="english", relative_to="joint"), "contradicted"),
        (direction(["qix"]), "inconclusive"),
        (direction("all"), "reproduced"),  # 10 ± 3.2
        (direction("all", min_difference=8.0), "inconclusive"),
        (direction("all", min_difference=14.0), "contradicted"),
        (direction("all", schedule="english", relative_to="joint"), "contradicted"),
    ],
)
def test_a_direction_by_its_paired_difference(tmp_path, claim, expected):
    assert verdict(tmp_path, claim).verdict == expected


def test_a_difference_that_is_published_is_a_number(tmp_path):
    """10 ± 3.2 is as published within 4 points, and has a sign."""
    result = verdict(tmp_path, number(10.5, 4.0, schedule="joint", relative_to="english"))
    assert (result.verdict, result.our_value) == ("reproduced", 10.0)
    assert (published_text(result.statement), our_text(result)) == ("+10.5 ± 4.0", "+10.0 [+6.8, +13.2]")
    assert verdict(tmp_path, number(-10.5, 4.0, schedule="joint", relative_to="english")).verdict == "contradicted"


def test_an_unverified_statement_gets_no_verdict(tmp_path):
    for claim in (number(), number(90.0, 1.0), direction(["qes"])):
        unread = Statement(**{**claim.entry(), "verified": False, "verified_by": "recalled"})
        result = verdict(tmp_path, unread)
        assert result.verdict == "unverified" and result.our_value is not None
        assert result.remark == "not verified: recalled"


def test_one_run_decides_nothing(tmp_path):
    plan = study_results.plan()
    plan["runs"] = [run for run in plan["runs"] if run["seed"] == 1]
    study = study_with(tmp_path, number(), direction(["qes"]), plan=plan)
    for result in claim_results(study, tmp_path):
        assert (result.verdict, result.remark, result.runs) == ("inconclusive", "one run has no interval", 1)
        assert "[" not in our_text(result)


def test_statements_that_are_not_run(tmp_path):
    no_language = direction("seen")
    plan = study_results.plan()
    plan["tracks"]["qa"]["trained"] = []
    absent = number(not_run="the study has no track pos")
    study = study_with(tmp_path, absent, no_language, number(), plan=plan)
    assert [(f.verdict, f.remark) for f in claim_results(study, tmp_path)][:2] == [
        ("not run", "the study has no track pos"), ("not run", "no evaluated language is seen"),
    ]  # fmt: skip
    empty = StudyResults(study.plan, {}, {})
    last = claim_results(empty, tmp_path)[2]
    assert (last.verdict, last.remark, last.missing, last.files) == ("not run", "no run has a score yet", 2, ())


def test_missing_runs_are_counted(tmp_path):
    plan = study_results.plan()
    plan["runs"] += [
        {**run, "seed": 3, "stages": [s.replace("seed1", "seed3") for s in run["stages"]]}
        for run in plan["runs"]
        if run["seed"] == 1
    ]
    (result,) = claim_results(study_with(tmp_path, number(), plan=plan), tmp_path)
    assert (result.runs, result.missing, runs_text(result)) == (2, 1, "2 of 3")
    assert len(result.files) == 2, "of the runs that gave the number alone"


def test_the_files_behind_a_verdict_exist(tmp_path):
    results = tmp_path / "results/small"
    single, pair = claim_results(study_with(results, number(), direction(["qes"])), results)
    assert single.files == tuple(str(results / f"tiny/seed{n}/qa/worldqa.qen@200/scores/worldqa.json") for n in (1, 2))
    assert len(pair.files) == 4 and set(single.files) < set(pair.files)
    for path in pair.files:
        assert "languages" in json.loads(Path(path).read_text())


def test_a_remark_names_differences_from_the_paper(tmp_path):
    result = verdict(tmp_path, direction(["qes"], differs_in=["data set worldqa", "model tiny"]))
    assert result.verdict == "reproduced"
    assert result.remark == "different data or model: data set worldqa, model tiny"


def test_an_average_over_tasks(tmp_path):
    """F1 of joint on all is 31.75 and 33.25, exact match the half of it."""
    claims = [
        number(24.0, 20.0, schedule="joint", average="one", metric=metric, track="", dataset="")
        for metric in ("mean", "mean_f1")
    ]
    plan = study_results.plan() | {"averages": {"one": [{"task": "worldqa", "track": "qa", "dataset": "worldqa"}]}}
    both, f1 = claim_results(study_with(tmp_path, *claims, plan=plan), tmp_path)
    assert both.our_value == pytest.approx(0.75 * 32.5) and f1.our_value == 32.5
    assert len(both.files) == 2 and both.files[0].endswith("/scores/worldqa.json")


# --- beside a published table ----------------------------------------------------------------------------------------


def published_study(kind="number", looks=None, **changes):
    """A study of two seeds and two folds beside a published table, and one statement about it."""
    study = fold_study(**changes)
    content = {"model": "tiny", "track": "qa", "dataset": "chaii", "published": "table2", "column": "hi"}
    number, pair = {"schedule": "plain", "value": 57.0}, {"schedule": "more", "relative_to": "plain"}
    content |= pair if kind == "direction" else number
    claim = Statement("paper/t", kind, "So.", "A paper, Table 2", "", True, "read", **content)
    return StudyResults(study.plan | {"claims": [claim.entry()]}, study.scores, {}, looks or {})


def test_folds_widen_the_interval_of_a_table(tmp_path):
    """Plain on hi: 46 over seeds and folds; seeds 42 and 50 give V = 16, and t has one degree of freedom."""
    (result,) = claim_results(published_study(), tmp_path)
    assert (result.our_value, result.runs) == (46.0, 4)
    assert result.interval.high == pytest.approx(46 + HALF * 4, abs=1e-3)
    assert result.files[0] == str(tmp_path / "tiny/seed1/qa/plain-fold1/scores/chaii-fold1.json")
    (result,) = claim_results(published_study("direction"), tmp_path)
    # 10, 10, 2, 2 by seed: the same four points of deviation.
    assert (result.our_value, result.verdict) == (6.0, "inconclusive") and len(result.files) == 8


def test_mucots_protocol_takes_its_numbers_from_stage_json(tmp_path):
    scores = {"hi": {"jaccard": 30, "n": 3}, "ta": {"jaccard": 10, "n": 1}}
    look = {"update": 100, "score": 0, "scores": {"validation": scores, "test": scores}}
    stages = [stage for run in fold_study().plan["runs"] for stage in run["stages"]]
    looks = {stage: with_terms(f"{stage}/stage.json", [look], ("selection", "looks")) for stage in stages}
    (result,) = claim_results(published_study(looks=looks, from_evaluations=True), tmp_path)
    assert result.our_value == 30 and result.files[0] == str(tmp_path / "tiny/seed1/qa/plain-fold1/stage.json")
    assert fold_study().plan["published"][0]["from_evaluations"] is False


# --- counts ----------------------------------------------------------------------------------------------------------


def test_rows_of_the_registry(tmp_path):
    result = verdict(tmp_path, rows({"hi": 1190, "ar": 1190}, {"hi": 1190, "ar": 1190}))
    assert (result.verdict, result.our_value, result.files) == ("reproduced", 2380, ("registry/bundle.yaml",))
    result = verdict(tmp_path, rows({"hi": 1190, "ar": 1190}, {"hi": 1189, "ar": 1190}))
    assert (result.verdict, result.remark) == ("contradicted", "hi 1189, not 1190")
    assert verdict(tmp_path, rows({"hi": 1190}, {"hi": 1191})).remark == "hi 1191, not 1190"
    result = verdict(tmp_path, rows({"hi": 1190, "ar": 1190}, {"hi": 1190}))
    assert (result.verdict, result.remark) == ("inconclusive", "rows of ar are not known yet")
    assert verdict(tmp_path, rows({"hi": 1190}, {})).verdict == "not run"
    assert verdict(tmp_path, rows({"hi": 1190}, {}, not_run="the study does not use xquad")).verdict == "not run"
    unread = Statement(**{**rows({"hi": 1}, {"hi": 2}).entry(), "verified": False})
    assert verdict(tmp_path, unread).verdict == "unverified"


def test_prepared_rows_take_precedence_over_the_registry(tmp_path):
    manifest = tmp_path / "data/xquad/test.hi.json"
    write_json(manifest, {"rows": 1188})
    result = verdict(tmp_path, rows({"hi": 1190}, {"hi": 1190}))
    assert (result.verdict, result.our_value, result.files) == ("contradicted", 1188, (str(manifest),))


# --- what is written -------------------------------------------------------------------------------------------------


def claims_study(folder):
    claims = [
        number(),
        direction(["qes"], min_difference=2.0, about="joint less english_, qes"),
        direction(["qix"], differs_in=["data set worldqa"]),
        rows({"hi": 1190}, {"hi": 1189}),
        number(not_run="no model of the study is some/body"),
    ]
    return study_with(folder, *claims)


def test_the_tables(tmp_path):
    found = claim_results(claims_study(tmp_path), tmp_path)
    page = claims_markdown(found)
    assert page.startswith(
        "5 statements: 2 reproduced, 1 contradicted, 1 inconclusive, 1 not run. A number is reproduced"
    )
    line = next(line for line in page.splitlines() if "joint less" in line)
    assert [cell.strip() for cell in line.split("|")][2:6] == ["reproduced", "> 2.0", "+34.0 [+34.0, +34.0]", "2"]
    assert "- `paper/a`: So. (A paper, Table 1)" in page and page.count("`paper/a`") == 1
    table = study_results.csv_rows(claims_csv(found))
    assert [row["verdict"] for row in table] == ["reproduced", "reproduced", "inconclusive", "contradicted", "not run"]
    assert (table[0]["our_value"], table[0]["low"], table[0]["runs"]) == ("22.5", "9.7938", "2")
    assert table[2]["differs_in"] == "data set worldqa" and table[0]["files"].count("worldqa.json") == 2


def test_files_of_studies_with_and_without_claims(tmp_path):
    study = claims_study(tmp_path / "results/small")
    write_claim_results(study, tmp_path / "results/small", tmp_path / "claims.json")
    write_claim_tables(study, tmp_path / "results/small", tmp_path / "tables")
    content = json.loads((tmp_path / "claims.json").read_text())
    assert content["study"] == "small" and content["claims"][0]["verdict"] == "reproduced"
    assert content["claims"][0]["interval"] == [9.7938, 35.2062] and len(content["claims"][0]["files"]) == 2
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == ["claims.csv", "claims.md", "claims.tex"]
    write_claim_results(study_results.write_study(tmp_path / "b"), tmp_path / "b", tmp_path / "none.json")
    write_claim_tables(study_results.write_study(tmp_path / "b"), tmp_path / "b", tmp_path / "none")
    assert json.loads((tmp_path / "none.json").read_text())["claims"] == [] and not (tmp_path / "none").exists()


def test_the_page_has_a_section(tmp_path):
    page = render_page(claims_study(tmp_path), tmp_path)
    assert "Published claims" in page and "different data or model: data set worldqa" in page
    assert "Published claims" not in render_page(study_results.write_study(tmp_path / "b"), tmp_path / "b")


def test_latex_has_a_float_for_every_fourteen_rows_and_escapes(tmp_path):
    text = claims_latex(claim_results(claims_study(tmp_path), tmp_path) * 5)
    assert text.count(r"\begin{table}") == 2 and r"\label{tab:claims.2}" in text
    assert r"english\_" in text and "±" not in text and "95%" not in text.replace(r"95\%", "")


def test_latex_compiles(tmp_path, typeset):
    typeset(claims_latex(claim_results(claims_study(tmp_path), tmp_path) * 5))
