"""MultiCheckList in a study: tables of error rates, contrasts over cases, the files of a submission."""

import copy
import json
import random
from pathlib import Path

import pytest
from helpers.checklist_table import checklist_files
from helpers.planted_scores import CONTRAST, compute
from helpers.study_config import study as planned
from helpers.study_results import PLAN, STAGES, read, run_entries, table_entry

from crosstune.analysis.results import StudyResults
from crosstune.core.errors import UserError
from crosstune.core.files import write_json, write_jsonl
from crosstune.data.readers import read_rows
from crosstune.data.readers.pieces import ReaderOptions
from crosstune.evaluation.baselines import score_baselines
from crosstune.evaluation.metrics import METRICS
from crosstune.evaluation.metrics.qa import answered
from crosstune.evaluation.scoring import score_predictions, write_scores
from crosstune.operations.xtreme_submission import write_submissions
from crosstune.reporting.tables.custom import custom_tables
from crosstune.reporting.tables.scores import score_tables

LANGUAGES = ("en", "ha", "sw")
SEEDS = (1, 2, 3)
ERRORS = {"joint": 0.1, "sequential": 0.3}  # the share of wrong answers
RECORD = {
    "task": "qa",
    "metric": "multichecklist",
    "title": "checks",
    "licence": "l",
    "reader": "multichecklist",
    "source": {"files": ["{mine}/templates.tsv", "{mine}/names.json"]},
    "languages": list(LANGUAGES),
    "splits": {"test": {}},
}


def rows(lang: str) -> list[dict]:
    return read_rows("multichecklist", checklist_files(), ReaderOptions(lang, suite={"cases": 40}))


def contrast(metric: str, languages=("en", "sw")) -> dict:
    panel = {"track": "qa", "dataset": "checks", "metric": metric, "parallel": "id", "languages": list(languages)}
    return CONTRAST | {"panels": [panel]}


def write_study(folder: Path, **keys) -> StudyResults:
    """Two schedules with planted shares of wrong answers, their scores, the baselines and the prepared rows."""
    plan = copy.deepcopy(PLAN) | {"seeds": list(SEEDS), "contrasts": [], **keys}
    track = plan["tracks"]["qa"]
    track |= {"evaluate": {"checks": list(LANGUAGES)}, "metrics": {"checks": "multichecklist"}, "trained": ["en"]}
    track |= {"xtreme": {"checks": "multichecklist"}, "schedules": list(ERRORS)}
    plan["primary"] = {"track": "qa", "dataset": "checks", "metric": "passed"}
    runs = [run for run in run_entries(SEEDS) if run["schedule"] in ERRORS]
    plan["runs"] = [run | {"evaluated": [["checks"] for _ in run["stages"]]} for run in runs]
    write_json(folder / "plan.json", plan)
    for lang in LANGUAGES:
        write_jsonl(folder / f"data/checks/test.{lang}.jsonl", rows(lang))
    for schedule, share in ERRORS.items():
        for seed in SEEDS:
            stage = folder / f"tiny/seed{seed}/qa/{STAGES[schedule][-1]}"
            for lang in LANGUAGES:
                draw = random.Random(f"{schedule}{seed}{lang}")
                answers = [answered(r, "?" if draw.random() < share else r["answers"]["text"][0]) for r in rows(lang)]
                write_jsonl(stage / f"predictions/checks/{lang}.jsonl", answers)
            scores = score_predictions(stage / "predictions/checks", "qa", "checks", LANGUAGES, "multichecklist")
            write_scores(stage / "scores/checks.json", *scores)
    data = [folder / f"data/checks/test.{lang}.jsonl" for lang in LANGUAGES]
    write_json(folder / "baselines/checks.json", score_baselines("qa", "checks", data, metric="multichecklist"))
    return read(folder)


def errors_table(study: StudyResults):
    (table,) = [table for table in custom_tables(study) if table.name == "qa.checks.tiny.errors"]
    return table


def test_a_table_shows_the_error_rates_of_all_tests_and_capabilities(tmp_path):
    study = write_study(tmp_path)
    table = errors_table(study)
    labels = [row.label for row in table.rows]
    assert labels[0] == "MultiCheckList error rate"
    assert len(labels) == len(METRICS["multichecklist"].error_labels)
    cells = {
        row.key: dict(zip([c.key for c in table.columns], line, strict=True))
        for row, line in zip(table.rows, table.cells, strict=True)
    }
    for schedule in ERRORS:
        cell = cells["metric_error"][schedule]
        assert cell.mean == pytest.approx(100 - study.panels()[0].cell(schedule, LANGUAGES, "passed").mean)
    # Harder than single examples: of twelve answers one is enough.
    assert cells["metric_error_examples"]["joint"].mean < cells["metric_error_intens"]["joint"].mean


def test_the_standard_tables_are_of_cases_and_examples_all_and_sound(tmp_path):
    names = [table.name for table in score_tables(write_study(tmp_path))]
    keys = ("passed", "passed_sound", "correct", "correct_sound")
    assert names == [*(f"qa.checks.tiny.{key}" for key in keys), "qa.checks.tiny.passed.transfer"]


def test_a_mean_leaves_out_a_language_without_a_sound_case(tmp_path):
    panel = write_study(tmp_path).panels()[0]
    both = panel.cell("joint", ["en", "ha", "sw"], "passed_prop_sound")
    assert both.values == panel.cell("joint", ["en", "sw"], "passed_prop_sound").values
    alone = panel.cell("joint", ["ha"], "passed_prop_sound")
    assert (alone.values, alone.planned_runs) == ({}, 0)


def test_a_table_of_the_study_by_family_and_test(tmp_path):
    entry = table_entry(panels=["qa/checks"], rows=["language"], columns=["metric"], schedules=["joint"])
    study = write_study(tmp_path, tables=[entry | {"metrics": ["error_comp", "error_prop_sound"]}])
    table = next(table for table in custom_tables(study) if table.name == "mine")
    assert [column.key for column in table.columns] == ["metric_error_comp", "metric_error_prop_sound"]
    by_language = {row.key: line for row, line in zip(table.rows, table.cells, strict=True)}
    assert by_language["ha"][1].mean is None and by_language["en"][1].mean > 0


@pytest.mark.parametrize("metric", ["passed", "passed_comp", "correct", "passed_prop_sound"])
def test_a_contrast_has_cases_as_its_examples(tmp_path, metric):
    write_study(tmp_path, contrasts=[contrast(metric)])
    (found,) = compute(tmp_path).contrasts
    # sequential - joint, of which the first has more wrong answers
    assert found["mean"] < -5
    assert metric != "passed" or found["questions"]["seeds"]["verdict"] == "worse"
    # The cases of both languages are translations of each other.
    assert found["translated"] == 2


def test_a_contrast_over_a_language_without_a_sound_case_says_so(tmp_path):
    write_study(tmp_path, contrasts=[contrast("passed_prop_sound", LANGUAGES)])
    with pytest.raises(UserError, match="checks has nothing in 'ha' that 'passed_prop_sound' counts") as caught:
        compute(tmp_path)
    assert caught.value.fix == "languages: [en, sw]"


class TestDeclared:
    def study(self, **keys):
        track = {"evaluate": {"checks": "all"}}
        return planned(datasets={"checks": RECORD}, folders={"mine": "."}, tracks__qa={**QA, **track}, **keys)

    def test_contrasts_compare_parts_but_no_error_rates(self):
        pair = {"a": "sequential", "b": "joint", "over": ["qa"], "smallest_effect": 0.5}
        found = self.study(contrasts=[pair | {"metric": "passed_anim2"}])
        assert found.contrasts[0]["panels"][0]["metric"] == "passed_anim2"
        with pytest.raises(UserError, match="unknown metric of checks"):
            self.study(contrasts=[pair | {"metric": "error_anim2"}])

    def test_a_sample_of_its_rows_is_refused_with_the_key_for_its_size(self):
        with pytest.raises(UserError, match="no single rows") as caught:
            planned(
                datasets={"checks": RECORD}, folders={"mine": "."},
                tracks__qa={**QA, "evaluate": {"checks": {"languages": "all", "sample": 20}}},
            )  # fmt: skip
        assert caught.value.where == "tracks.qa.evaluate.checks.sample" and "suite: {cases: 20}" in caught.value.fix

    def test_tables_show_both(self):
        entry = {
            "panels": "qa/checks",
            "rows": "schedule",
            "columns": "metric",
            "metrics": ["error_comp", "passed_comp"],
        }
        assert self.study(tables={"mine": entry}).tables[0]["metrics"] == ["error_comp", "passed_comp"]
        with pytest.raises(UserError, match="unknown metric of checks"):
            self.study(tables={"mine": entry | {"metrics": ["error_cmp"]}})
        with pytest.raises(UserError, match="no axis is by metric"):
            self.study(tables={"mine": entry | {"columns": "language"}})


QA = {
    "sources": "worldqa",
    "budget": {"updates": 60, "tokens": 512},
    "schedules": {"joint": ["qen + qes"], "sequential": ["qen", "qes"]},
}


def test_a_submission_has_the_files_that_the_official_program_reads(tmp_path):
    study = write_study(tmp_path)
    write_submissions(study, tmp_path, tmp_path / "data", tmp_path / "out")
    folder = tmp_path / "out/runs/tiny/qa/joint/seed1/multichecklist"
    tests = ["comp", "intense", "props", "profession_nationality", "animal_vehicle", "animal_vehicle_v2"]
    names = {path.name for path in (folder / "lang_predictions").iterdir()}
    assert names == {f"{lang}_{test}_tiny_preds.txt" for lang in LANGUAGES for test in tests}
    suite = json.loads((folder / "lang_suites/sw_squad_suite.json").read_text())
    questions = [(p["context"], p["qas"][0]["question"]) for entry in suite["data"] for p in entry["paragraphs"]]
    assert questions == [(row["context"], row["question"]) for row in rows("sw")]
    predictions = [
        line
        for test in tests
        for line in (folder / f"lang_predictions/sw_{test}_tiny_preds.txt").read_text().splitlines()
    ]
    labels = [line for test in tests for line in (folder / f"labels/sw_{test}.txt").read_text().splitlines()]
    assert labels == [row["answers"]["text"][0] for row in rows("sw")]
    assert all(prediction in ("?", label) for prediction, label in zip(predictions, labels, strict=True))
    # A suite that is read back has the same rows.
    files = checklist_files(("suite.json", (folder / "lang_suites/sw_squad_suite.json").read_text()))
    again = read_rows("multichecklist", files, ReaderOptions("sw"))
    assert [row["answers"] for row in again] == [row["answers"] for row in rows("sw")]
