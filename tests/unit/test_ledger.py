"""The verdicts on statements about the small study, whose numbers are worked by hand.

English on all four languages: 21.5 and 23.5, mean 22.5; two seeds give ± 12.7062 x 1. Joint less English on qes: 34
and 34; on qix: 2 and 0, mean 1 ± 12.7062 x 1; on all: 10.25 and 9.75, mean 10 ± 12.7062 x 0.25.
"""

import csv
import io
import json
from pathlib import Path

import pytest
from helpers import study_results
from test_companion import ENTRY
from test_companion import study as folded_study

from crosstune.analysis.results import StudyResults
from crosstune.artifacts.claim import Statement
from crosstune.core.files import write_json
from crosstune.reporting.page.page import render_page
from crosstune.reporting.tables.claims import (
    findings,
    ledger_csv,
    ledger_latex,
    ledger_markdown,
    ours_text,
    published_text,
    runs_text,
    write_ledger,
    write_ledger_tables,
)

HALF = 12.706205
PANEL = {"model": "tiny", "track": "qa", "dataset": "worldqa", "metric": "f1"}


def number(value=22.5, tolerance=13.0, **changes):
    content = {
        **PANEL, "value": value, "tolerance": tolerance, "schedule": "english", "about": "english",
        "languages": list(study_results.LANGUAGES),
    }  # fmt: skip
    return Statement("paper/a", "number", "So.", "A paper, Table 1", "", True, "read", **{**content, **changes})


def direction(languages, least=0.0, schedule="joint", than="english", **changes):
    content = {**PANEL, "least": least, "schedule": schedule, "than": than, "languages": languages}
    return Statement("paper/d", "direction", "So.", "A paper, abstract", "", True, "read", **{**content, **changes})


def rows(said, known, **changes):
    content = {"rows": said, "known": known, "value": sum(said.values()), "dataset": "xquad", "split": "test"}
    content |= {"place": "registry/bundle.yaml", "about": "xquad test"}
    return Statement("paper/c", "count", "So.", "A paper, README", "", True, "read", **{**content, **changes})


def study_with(folder, *statements, plan=None) -> StudyResults:
    plan = plan or study_results.plan()
    return study_results.write_study(folder, plan | {"claims": [statement.entry() for statement in statements]})


def verdict(folder, statement):
    results = folder / "results/small"
    (finding,) = findings(study_with(results, statement), results)
    return finding


@pytest.mark.parametrize(
    ("value", "tolerance", "expected"),
    [
        (22.5, 13.0, "reproduced"),  # [9.8, 35.2] within [9.5, 35.5]
        (22.5, 12.5, "undecided"),  # it sticks out of [10, 35] on both sides
        (22.0, 13.0, "undecided"),  # above alone
        (23.0, 13.0, "undecided"),  # below alone
        (9.0, 0.5, "contradicted"),  # [8.5, 9.5] is below it
        (9.0, 1.0, "undecided"),  # [8, 10] reaches it
        (36.0, 0.5, "contradicted"),  # [35.5, 36.5] is above it
        (36.0, 1.0, "undecided"),
    ],
)
def test_a_number_by_its_tolerance(tmp_path, value, tolerance, expected):
    finding = verdict(tmp_path, number(value, tolerance))
    assert finding.verdict == expected
    assert finding.ours == 22.5 and finding.interval.low == pytest.approx(22.5 - HALF, abs=1e-4)


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (direction(["qes"]), "reproduced"),
        (direction(["qes"], least=33.0), "reproduced"),
        (direction(["qes"], least=34.0), "undecided"),
        (direction(["qes"], least=34.5), "contradicted"),
        (direction(["qes"], schedule="english", than="joint"), "contradicted"),
        (direction(["qix"]), "undecided"),
        (direction("all"), "reproduced"),  # 10 ± 3.2
        (direction("all", least=8.0), "undecided"),
        (direction("all", least=14.0), "contradicted"),
        (direction("all", schedule="english", than="joint"), "contradicted"),
    ],
)
def test_a_direction_by_its_paired_difference(tmp_path, claim, expected):
    assert verdict(tmp_path, claim).verdict == expected


def test_a_difference_that_is_published_is_a_number(tmp_path):
    """10 ± 3.2 is as published within 4 points, and has a sign."""
    finding = verdict(tmp_path, number(10.5, 4.0, schedule="joint", than="english"))
    assert (finding.verdict, finding.ours) == ("reproduced", 10.0)
    assert (published_text(finding.statement), ours_text(finding)) == ("+10.5 ± 4.0", "+10.0 [+6.8, +13.2]")
    assert verdict(tmp_path, number(-10.5, 4.0, schedule="joint", than="english")).verdict == "contradicted"


def test_what_is_not_verified_is_shown_and_decides_nothing(tmp_path):
    for claim in (number(), number(90.0, 1.0), direction(["qes"])):
        unread = Statement(**{**claim.entry(), "verified": False, "how": "recalled"})
        finding = verdict(tmp_path, unread)
        assert finding.verdict == "unverified" and finding.ours is not None
        assert finding.remark == "not verified: recalled"


def test_one_run_decides_nothing(tmp_path):
    plan = study_results.plan()
    plan["runs"] = [run for run in plan["runs"] if run["seed"] == 1]
    study = study_with(tmp_path, number(), direction(["qes"]), plan=plan)
    for finding in findings(study, tmp_path):
        assert (finding.verdict, finding.remark, finding.runs) == ("undecided", "one run has no interval", 1)
        assert "[" not in ours_text(finding)


def test_what_has_not_run(tmp_path):
    no_language = direction("seen")
    plan = study_results.plan()
    plan["tracks"]["qa"]["trained"] = []
    absent = number(not_run="the study has no track pos")
    study = study_with(tmp_path, absent, no_language, number(), plan=plan)
    assert [(f.verdict, f.remark) for f in findings(study, tmp_path)][:2] == [
        ("not run", "the study has no track pos"), ("not run", "no evaluated language is seen"),
    ]  # fmt: skip
    empty = StudyResults(study.plan, {}, {})
    last = findings(empty, tmp_path)[2]
    assert (last.verdict, last.remark, last.missing, last.files) == ("not run", "no run has a score yet", 2, ())


def test_missing_runs_are_told(tmp_path):
    plan = study_results.plan()
    plan["runs"] += [
        {**run, "seed": 3, "stages": [s.replace("seed1", "seed3") for s in run["stages"]]}
        for run in plan["runs"]
        if run["seed"] == 1
    ]
    (finding,) = findings(study_with(tmp_path, number(), plan=plan), tmp_path)
    assert (finding.runs, finding.missing, runs_text(finding)) == (2, 1, "2 of 3")
    assert len(finding.files) == 2, "of the runs that gave the number alone"


def test_the_files_behind_a_verdict_exist(tmp_path):
    results = tmp_path / "results/small"
    single, pair = findings(study_with(results, number(), direction(["qes"])), results)
    assert single.files == tuple(str(results / f"tiny/seed{n}/qa/worldqa.qen@200/scores/worldqa.json") for n in (1, 2))
    assert len(pair.files) == 4 and set(single.files) < set(pair.files)
    for path in pair.files:
        assert "languages" in json.loads(Path(path).read_text())


def test_another_ground_is_told(tmp_path):
    finding = verdict(tmp_path, direction(["qes"], ground=["data set worldqa", "model tiny"]))
    assert finding.verdict == "reproduced"
    assert finding.remark == "another ground: data set worldqa, model tiny"


def test_an_average_over_tasks(tmp_path):
    """F1 of joint on all is 31.75 and 33.25, exact match the half of it."""
    claims = [
        number(24.0, 20.0, schedule="joint", average="one", metric=metric, track="", dataset="")
        for metric in ("mean", "mean_f1")
    ]
    plan = study_results.plan() | {"averages": {"one": [{"task": "worldqa", "track": "qa", "dataset": "worldqa"}]}}
    both, f1 = findings(study_with(tmp_path, *claims, plan=plan), tmp_path)
    assert both.ours == pytest.approx(0.75 * 32.5) and f1.ours == 32.5
    assert len(both.files) == 2 and both.files[0].endswith("/scores/worldqa.json")


# --- beside a published table ----------------------------------------------------------------------------------------


def beside(kind="number", looks=None, **changes):
    """A study of two seeds and two folds beside a published table, and one statement about it."""
    study = folded_study(**changes)
    content = {"model": "tiny", "track": "qa", "dataset": "chaii", "published": "table2", "column": "hi"}
    content |= {"schedule": "more", "than": "plain"} if kind == "direction" else {"schedule": "plain", "value": 57.0}
    claim = Statement("paper/t", kind, "So.", "A paper, Table 2", "", True, "read", **content)
    return StudyResults(study.plan | {"claims": [claim.entry()]}, study.scores, {}, looks or {})


def test_folds_widen_the_interval_of_a_table(tmp_path):
    """Plain on hi: 46 over seeds and folds; seeds 42 and 50 give V = 16, and t has one degree of freedom."""
    (finding,) = findings(beside(), tmp_path)
    assert (finding.ours, finding.runs) == (46.0, 4)
    assert finding.interval.high == pytest.approx(46 + HALF * 4, abs=1e-3)
    assert finding.files[0] == str(tmp_path / "tiny/seed1/qa/plain-fold1/scores/chaii-fold1.json")
    (finding,) = findings(beside("direction"), tmp_path)
    # 10, 10, 2, 2 by seed: the same four points of deviation.
    assert (finding.ours, finding.verdict) == (6.0, "undecided") and len(finding.files) == 8


def test_a_table_by_mucots_protocol_stands_on_the_record_of_the_training(tmp_path):
    scores = {"hi": {"jaccard": 30, "n": 3}, "ta": {"jaccard": 10, "n": 1}}
    look = {"update": 100, "score": 0, "scores": {"validation": scores, "test": scores}}
    stages = [stage for run in folded_study().plan["runs"] for stage in run["stages"]]
    looks = {stage: [look] for stage in stages}
    (finding,) = findings(beside(looks=looks, protocol="mucot"), tmp_path)
    assert finding.ours == 30 and finding.files[0] == str(tmp_path / "tiny/seed1/qa/plain-fold1/stage.json")
    assert ENTRY["protocol"] == "checkpoint"


# --- counts ----------------------------------------------------------------------------------------------------------


def test_rows_of_the_registry(tmp_path):
    finding = verdict(tmp_path, rows({"hi": 1190, "ar": 1190}, {"hi": 1190, "ar": 1190}))
    assert (finding.verdict, finding.ours, finding.files) == ("reproduced", 2380, ("registry/bundle.yaml",))
    finding = verdict(tmp_path, rows({"hi": 1190, "ar": 1190}, {"hi": 1189, "ar": 1190}))
    assert (finding.verdict, finding.remark) == ("contradicted", "hi 1189, not 1190")
    assert verdict(tmp_path, rows({"hi": 1190}, {"hi": 1191})).remark == "hi 1191, not 1190"
    finding = verdict(tmp_path, rows({"hi": 1190, "ar": 1190}, {"hi": 1190}))
    assert (finding.verdict, finding.remark) == ("undecided", "rows of ar are not known yet")
    assert verdict(tmp_path, rows({"hi": 1190}, {})).verdict == "not run"
    assert verdict(tmp_path, rows({"hi": 1190}, {}, not_run="the study does not use xquad")).verdict == "not run"
    unread = Statement(**{**rows({"hi": 1}, {"hi": 2}).entry(), "verified": False})
    assert verdict(tmp_path, unread).verdict == "unverified"


def test_prepared_rows_go_before_those_of_the_registry(tmp_path):
    manifest = tmp_path / "data/xquad/test.hi.json"
    write_json(manifest, {"rows": 1188})
    finding = verdict(tmp_path, rows({"hi": 1190}, {"hi": 1190}))
    assert (finding.verdict, finding.ours, finding.files) == ("contradicted", 1188, (str(manifest),))


# --- what is written -------------------------------------------------------------------------------------------------


def ledger(folder):
    claims = [
        number(),
        direction(["qes"], least=2.0, about="joint less english_, qes"),
        direction(["qix"], ground=["data set worldqa"]),
        rows({"hi": 1190}, {"hi": 1189}),
        number(not_run="no model of the study is some/body"),
    ]
    return study_with(folder, *claims)


def test_the_tables(tmp_path):
    found = findings(ledger(tmp_path), tmp_path)
    page = ledger_markdown(found)
    assert page.startswith("5 statements: 2 reproduced, 1 contradicted, 1 undecided, 1 not run. A number is reproduced")
    line = next(line for line in page.splitlines() if "joint less" in line)
    assert [cell.strip() for cell in line.split("|")][2:6] == ["reproduced", "> 2.0", "+34.0 [+34.0, +34.0]", "2"]
    assert "- `paper/a`: So. (A paper, Table 1)" in page and page.count("`paper/a`") == 1
    table = list(csv.DictReader(io.StringIO(ledger_csv(found))))
    assert [row["verdict"] for row in table] == ["reproduced", "reproduced", "undecided", "contradicted", "not run"]
    assert (table[0]["ours"], table[0]["low"], table[0]["runs"]) == ("22.5", "9.7938", "2")
    assert table[2]["ground"] == "data set worldqa" and table[0]["files"].count("worldqa.json") == 2


def test_what_is_written_and_what_is_not(tmp_path):
    study = ledger(tmp_path / "results/small")
    write_ledger(study, tmp_path / "results/small", tmp_path / "claims.json")
    write_ledger_tables(study, tmp_path / "results/small", tmp_path / "tables")
    content = json.loads((tmp_path / "claims.json").read_text())
    assert content["study"] == "small" and content["claims"][0]["verdict"] == "reproduced"
    assert content["claims"][0]["interval"] == [9.7938, 35.2062] and len(content["claims"][0]["files"]) == 2
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == ["claims.csv", "claims.md", "claims.tex"]
    write_ledger(study_results.write_study(tmp_path / "b"), tmp_path / "b", tmp_path / "none.json")
    write_ledger_tables(study_results.write_study(tmp_path / "b"), tmp_path / "b", tmp_path / "none")
    assert json.loads((tmp_path / "none.json").read_text())["claims"] == [] and not (tmp_path / "none").exists()


def test_the_page_has_a_section(tmp_path):
    page = render_page(ledger(tmp_path), tmp_path)
    assert "Published claims" in page and "another ground: data set worldqa" in page
    assert "Published claims" not in render_page(study_results.write_study(tmp_path / "b"), tmp_path / "b")


def test_latex_has_a_float_for_every_fourteen_rows_and_escapes(tmp_path):
    text = ledger_latex(findings(ledger(tmp_path), tmp_path) * 5)
    assert text.count(r"\begin{table}") == 2 and r"\label{tab:claims.2}" in text
    assert r"english\_" in text and "±" not in text and "95%" not in text.replace(r"95\%", "")


def test_latex_of_the_ledger_compiles(tmp_path, typeset):
    typeset(ledger_latex(findings(ledger(tmp_path), tmp_path) * 5))
