"""Provenance and audit of tables: terms that give the printed numbers, and planted mistakes that are found.

The audit finds numbers that differ from their terms, and files that changed. The derivation (helpers/derived_cells.py)
finds terms that the plan does not demand.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.derived_cells import derivation_problems
from helpers.fold_study import fold_study, numbers
from helpers.planted_scores import by_difference, plant
from helpers.study_results import LANGUAGES, plan, published_plan, read, table_entry, write_averaged, write_study

from crosstune.analysis import results
from crosstune.analysis.cells import Cell
from crosstune.analysis.results import Panel
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, sha256_file, write_json, write_jsonl
from crosstune.reporting.tables.audit import TableAudit
from crosstune.reporting.tables.contrasts import write_contrast_tables
from crosstune.reporting.tables.custom import write_custom_tables
from crosstune.reporting.tables.provenance import tables_of_cells, write_provenance
from crosstune.reporting.tables.published import write_published_comparisons
from crosstune.reporting.tables.scope import TableScope
from crosstune.reporting.tables.scores import write_score_tables
from crosstune.reporting.tables.transfer import write_transfer_tables

ROOT = Path(__file__).parents[2]
MAIN = "qa.worldqa.tiny.f1"
ENTRIES = [
    table_entry(name="families", columns=["family", "group"]),
    table_entry(name="gains", rows=["language", "script", "resource"], columns=["schedule"], relative_to="english"),
    table_entry(name="low", languages="low", statistic="min"),
    table_entry(name="seeds", rows=["language", "group"], columns=["seed"], schedules=["joint"]),
    table_entry(name="stages", rows=["stage"], columns=["group"], statistic="median", seeds=[2]),
    table_entry(name="numbers", columns=["metric", "seed"], statistic="interval"),
    table_entry(name="models", columns=["model"], metric="exact_match"),
    table_entry(name="with-paper", columns=["language", "group"], published="paper"),
    table_entry(name="across", columns=["stage"], aggregate="pooled"),
]


def write_manifests(folder: Path) -> None:
    """The manifests of trainings and predictions with their hashes, and the cost records with their code."""
    write_json(folder / "provenance.json", {"code": {"commit": "c0ffee", "changed": False}, "config_sha256": "abc"})
    for scores in sorted(folder.glob("tiny/**/scores/*.json")):
        stage, dataset = scores.parents[1], scores.stem
        rows = {lang: stage / "predictions" / dataset / f"{lang}.jsonl" for lang in LANGUAGES}
        for lang, path in rows.items():
            write_jsonl(path, [{"id": lang, "prediction": str(stage)}])
        hashes = {lang: {"sha256": sha256_file(path), "data": f"rows of {lang}"} for lang, path in rows.items()}
        write_json(stage / "predictions" / f"{dataset}.json", {"languages": hashes})
        write_json(stage / "stage.json", {"weights": f"weights of {stage.name}", "data": {"worldqa.qen": "rows"}})
        write_json(stage / "cost.json", {"code": {"commit": "deed", "changed": True}, "lock_sha256": "10c"})


def make(folder: Path, plan: dict | None = None, change: Callable[[], None] = lambda: None) -> Path:
    """The small study with all its tables, after a change of its files or of the code; the folder of tables."""
    write_study(folder, plan or published_plan() | {"tables": ENTRIES})
    write_manifests(folder)
    change()
    return make_tables(folder)


def make_tables(folder: Path) -> Path:
    study, out = read(folder), folder / "tables"
    write_score_tables(study, out)
    write_published_comparisons(study, out)
    write_transfer_tables(study, out)
    write_custom_tables(study, out)
    write_contrast_tables(study, out)
    write_provenance(study, folder, out)
    return out


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """The tables of the small study, for tests that change nothing."""
    return make(tmp_path_factory.mktemp("sound"))


def problems(tables: Path, name: str = MAIN) -> list[str]:
    """The problems that the audit of a whole table finds."""
    audit = TableAudit(tables / name)
    return [*(problem for cell in audit.cells for problem in audit.problems(cell)), *audit.file_problems(audit.cells)]


def all_problems(tables: Path) -> dict[str, list[str]]:
    """The problems of every table that audit and derivation find."""
    found = {path.stem: problems(tables, path.stem) + derivation_problems(path) for path in tables.glob("*.json")}
    return {name: listed for name, listed in found.items() if listed}


def values(tables: Path, name: str, row: str, column: str) -> dict:
    """The recomputed numbers of a cell, by the names of runs."""
    audit = TableAudit(tables / name)
    return {str(run): number for run, number in audit.recompute(audit.cell(row, column)).items()}


class TestOfASoundStudy:
    def test_every_cell_agrees_with_its_terms_and_with_the_plan(self, sound):
        names = {path.stem for path in sound.glob("*.json")}
        kinds = {MAIN, f"{MAIN}.transfer", f"{MAIN}.gains", f"{MAIN}.measures", "qa.worldqa.tiny.exact_match"}
        assert names == kinds | {"paper.tiny"} | {entry["name"] for entry in ENTRIES}
        assert all_problems(sound) == {}

    def test_with_runs_missing_and_diverged(self, tmp_path):
        stage = tmp_path / "tiny/seed2/qa/worldqa.qen@200"

        def diverge() -> None:
            shutil.rmtree(stage)
            write_json(stage / "resume/diverged.json", {"updates": 1, "loss": "nan"})

        tables = make(tmp_path, change=diverge)
        assert all_problems(tables) == {}
        cell = TableAudit(tables / MAIN).cell("english", "qen")
        assert (cell["planned"], cell["diverged"]) == (2, ["2"])
        assert values(tables, MAIN, "english", "qen") == {"1": 50.0}

    def test_averages_over_tasks(self, tmp_path):
        write_averaged(tmp_path, schedule="raw")
        tables = make_tables(tmp_path)
        assert all_problems(tables) == {}
        assert values(tables, "average.two", "english", "average") == {"1": 23.0625, "2": 25.8125}

    def test_contrasts(self, tmp_path):
        plant(tmp_path, by_difference([3.0, -2.0, 1.0]))
        tables = make_tables(tmp_path)
        assert all_problems(tables) == {}
        assert values(tables, "contrasts", "order", "difference") == {"1": 3.0, "2": -2.0, "3": 1.0}

    def test_several_models_and_data_sets(self, tmp_path):
        two = plan()
        two["models"] = ["tiny", "large"]
        two["tracks"]["again"] = two["tracks"]["qa"]
        two["runs"] += [run | {"model": "large"} for run in two["runs"]]
        two["runs"] += [run | {"track": "again"} for run in two["runs"]]
        over = ["qa/worldqa", "again/worldqa"]
        two["tables"] = [
            table_entry(name="mean", panels=over, columns=["group"]),
            table_entry(name="each", panels=over, columns=["dataset"], rows=["schedule"], schedules=["joint"]),
        ]
        assert all_problems(make(tmp_path, two)) == {}

    def test_folds(self, tmp_path):
        entries = [table_entry(panels=["qa/chaii"], columns=["language", "group", "seed"], aggregate="pooled")]
        study = fold_study()
        write_json(tmp_path / "plan.json", study.plan | {"tables": entries})
        for (stage, dataset), languages in study.scores.items():
            write_json(tmp_path / stage / "scores" / f"{dataset}.json", {"languages": languages})
        tables = make_tables(tmp_path)
        assert all_problems(tables) == {}
        numbers = {"1/1": 35, "1/2": 38, "2/1": 42, "2/2": 45}
        assert values(tables, "mine", "plain", "group_all") == numbers

    def test_mucots_protocol(self, tmp_path):
        study = fold_study(from_evaluations=True)
        write_json(tmp_path / "plan.json", study.plan)
        scores = {value: {"hi": numbers(value, 3), "ta": numbers(value, 1)} for value in (20, 27, 30, 50, 54)}
        looks = [
            {"update": update, "scores": {"validation": scores[validation], "test": scores[test]}}
            for update, validation, test in ((100, 50, 30), (200, 54, 27), (300, 54, 20))
        ]
        for stage, _ in study.scores:
            write_json(tmp_path / stage / "stage.json", {"weights": "w", "selection": {"looks": looks}})
        tables = make_tables(tmp_path)
        assert all_problems(tables) == {}
        assert set(values(tables, "table2.tiny", "plain", "hi").values()) == {20.0}  # 54 twice: the later

    def test_measures_of_transfer_are_sums_of_terms(self, sound):
        """Sequential loses 20 points in qen, its first language, with both seeds."""
        assert values(sound, f"{MAIN}.measures", "retention", "sequential") == {"1": -20.0, "2": -20.0}

    def test_same_results_same_bytes(self, tmp_path, sound):
        """In another folder, and later."""
        elsewhere = tmp_path / "elsewhere"
        shutil.copytree(sound.parent, elsewhere, ignore=shutil.ignore_patterns("tables"))
        before = {path.name: path.read_bytes() for path in sound.iterdir()}
        assert {path.name: path.read_bytes() for path in make_tables(elsewhere).iterdir()} == before


@pytest.fixture
def mistaken(tmp_path, monkeypatch) -> Callable[[type, str, Any], Path]:
    """A function that makes all tables with another attribute of a class; the folder of tables."""
    return lambda owner, name, value: make(tmp_path, change=lambda: monkeypatch.setattr(owner, name, value))


class TestWrongTerms:
    """Mistakes in the code that makes tables: their terms are not those that the plan demands."""

    def test_a_wrong_seed(self, mistaken):
        right = Panel.run_scores

        def wrong(panel: Panel, run: dict, stage: int) -> dict:
            if run["schedule"] == "joint" and run["seed"] == 2:
                run = run | {"stages": [path.replace("seed2", "seed1") for path in run["stages"]]}
            return right(panel, run, stage)

        tables = mistaken(Panel, "run_scores", wrong)
        found = all_problems(tables)
        assert set(found) >= {MAIN, f"{MAIN}.transfer", f"{MAIN}.gains", "families", "gains", "low", "seeds", "stages"}
        assert "schedule: joint, qen: run 2: the terms give 45.0, the plan demands 47.0" in found[MAIN]
        assert problems(tables) == []  # The terms name the file of the wrong seed.

    def test_a_language_left_out_of_an_average(self, mistaken):
        right = Panel.language_groups.fget
        wrong = property(lambda panel: {name: codes[:-1] or codes for name, codes in right(panel).items()})
        found = all_problems(mistaken(Panel, "language_groups", wrong))
        assert {MAIN, "families", "stages"} <= set(found)
        assert all("average_" in problem for problem in found[MAIN])

    def test_a_language_left_out_of_the_columns(self, mistaken):
        found = all_problems(mistaken(Panel, "unseen_languages", property(lambda panel: ["qna"])))
        assert "the columns lack {'language': 'qix'}" in found[MAIN]
        assert "the rows lack {'language': 'qix'}" in found["gains"]

    def test_a_language_left_out_of_a_custom_table(self, mistaken):
        right = TableScope.covers
        found = all_problems(mistaken(TableScope, "covers", lambda scope, lang: lang != "qna" and right(scope, lang)))
        assert {"families", "gains", "low", "seeds", "stages"} <= set(found)
        assert "the columns lack {'language': 'qna'}" in found["low"]

    def test_schedules_exchanged(self, mistaken):
        right, other = Panel.runs, {"joint": "english", "english": "joint"}
        found = all_problems(mistaken(Panel, "runs", lambda panel, name: right(panel, other.get(name, name))))
        assert {MAIN, f"{MAIN}.gains", "families", "gains", "low", "seeds"} <= set(found)

    def test_a_missing_run_that_is_not_counted(self, tmp_path, monkeypatch):
        right = Panel.cell

        def dropped(panel: Panel, *key, **options) -> Cell:
            cell = right(panel, *key, **options)
            return Cell(cell.values, len(cell.values))

        monkeypatch.setattr(Panel, "cell", dropped)
        tables = make(tmp_path, change=lambda: shutil.rmtree(tmp_path / "tiny/seed2/qa/worldqa.qen@200"))
        assert "schedule: english, qen: of 1 runs, the plan has 2" in derivation_problems(tables / MAIN)

    def test_a_schedule_left_out(self, mistaken, monkeypatch):
        monkeypatch.setattr(TableScope, "schedules", ["english", "joint"])
        found = all_problems(mistaken(Panel, "schedules", ["english", "joint", "untrained"]))
        assert "the rows lack {'schedule': 'sequential'}" in found["families"]
        assert "the rows lack {'schedule': 'sequential'}" in found[MAIN]

    def test_the_wrong_stage(self, mistaken, monkeypatch):
        monkeypatch.setattr(results, "FINAL", 0)
        right = Panel.cell

        def wrong(panel: Panel, name: str, codes: list[str], metric: str, stage: int = 0, pooled: bool = False) -> Cell:
            return right(panel, name, codes, metric, max(0, stage), pooled)

        tables = mistaken(Panel, "cell", wrong)
        found = derivation_problems(tables / MAIN)
        assert any(problem.startswith("schedule: sequential, qen: run 1") for problem in found)


class TestChangedFiles:
    """The audit finds a changed number, term or file."""

    def test_a_number_in_the_csv(self, tmp_path):
        tables = make(tmp_path)
        path = tables / "families.csv"
        path.write_text(path.read_text().replace("36.5000", "36.6000"))
        assert problems(tables, "families") == [
            "schedule: english, family_north: mean: the CSV has 36.6000, the terms give 36.5000"
        ]

    @pytest.mark.parametrize(
        ("name", "number"), [(f"{MAIN}.measures", "-20.0000"), ("paper.tiny", "52.0000"), ("numbers", "6.0000")]
    )
    def test_a_number_in_another_form_of_csv(self, tmp_path, name, number):
        tables = make(tmp_path)
        path = tables / f"{name}.csv"
        path.write_text(path.read_text().replace(f",{number}", ",99.0000"))
        assert any("the CSV has 99.0000" in problem for problem in problems(tables, name))

    def test_a_term(self, tmp_path):
        tables = make(tmp_path)
        content = read_json(tables / f"{MAIN}.json")
        averages = [entry for entry in content["sums"] if set(entry["weights"]) == set(LANGUAGES)]
        (average,) = [entry for entry in averages if entry["path"] == ["languages"]]
        average["weights"]["qix"] = 0.2
        write_json(tables / f"{MAIN}.json", content)
        found = problems(tables)
        assert found and all("average_all" in problem for problem in found)

    def test_predictions_and_scores(self, tmp_path):
        tables = make(tmp_path)
        stage = tmp_path / "tiny/seed1/qa/worldqa.qen@200"
        (stage / "predictions/worldqa/qna.jsonl").write_text("other")
        (stage / "scores/worldqa.json").write_text((stage / "scores/worldqa.json").read_text() + " ")
        assert sorted(problems(tables)) == [
            f"{stage}/predictions/worldqa/qna.jsonl: differs from its manifest, or removed",
            f"{stage}/scores/worldqa.json: changed since the table was written, or removed",
        ]

    def test_scores_that_are_gone(self, tmp_path):
        tables = make(tmp_path)
        shutil.rmtree(tmp_path / "tiny/seed1/qa/worldqa.qen@200/scores")
        assert "schedule: english, qen: a file lacks scores of its terms ('languages')" in problems(tables)

    def test_the_plan(self, tmp_path):
        tables = make(tmp_path)
        changed = read_json(tmp_path / "plan.json")
        changed["tables"][0]["seeds"] = [2]
        write_json(tmp_path / "plan.json", changed)
        assert problems(tables, "families") == [
            f"{tmp_path}/plan.json: changed since the table was written, or removed"
        ]


class TestProvenance:
    def test_names_the_files_behind_a_cell(self, sound):
        content, audit = read_json(sound / "gains.json"), TableAudit(sound / "gains")
        cell = audit.cell("qna", "sequential")
        assert set(audit.recompute(cell).values()) == {-2}
        terms = [(content["files"][file], content["sums"][number]) for file, number in cell["runs"]["2"]]
        assert [entry["weights"] for _, entry in terms] == [{"qna": 1.0}, {"qna": -1.0}]
        files = [file["file"] for file, _ in terms]
        home = "tiny/seed2/qa/worldqa.qen"
        assert files == [f"{home}@100/worldqa.qes@100/scores/worldqa.json", f"{home}@200/scores/worldqa.json"]
        file = terms[0][0]
        assert file["sha256"] == sha256_file(sound.parent / files[0])
        predictions = sound.parent / f"{home}@100/worldqa.qes@100/predictions/worldqa.json"
        assert file["predictions"] == sha256_file(predictions)
        first, last = (content["stages"][number] for number in file["stages"])
        assert [first["stage"], last["stage"]] == [f"{home}@100", f"{home}@100/worldqa.qes@100"]
        assert content["code"][last["code"]] == {"commit": "deed", "changed": True, "lock_sha256": "10c"}
        assert content["data"][first["trained_on"]] == {"split": "train", "sha256": {"worldqa.qen": "rows"}}
        tested = {f"worldqa.{lang}": f"rows of {lang}" for lang in LANGUAGES}
        assert content["data"][file["tested_on"]] == {"split": "test", "sha256": tested}
        assert content["plan"] == {"commit": "c0ffee", "config_sha256": "abc"}

    def test_of_a_study_without_manifests(self, tmp_path):
        """Scores alone, as another program may have made them."""
        write_study(tmp_path)
        assert problems(make_tables(tmp_path)) == []

    def test_stays_small(self, sound):
        """Another cell costs the numbers of its files and sums, not their names."""
        content = (sound / f"{MAIN}.json").read_text()
        cells = len(read_json(sound / f"{MAIN}.json")["cells"])
        lines = [line for line in content.splitlines() if line.startswith('{"column"')]
        assert len(lines) == cells == 6 * 8
        assert max(map(len, lines)) < 150

    def test_every_table_of_cells_has_one(self, sound):
        names = {table.name for table in tables_of_cells(read(sound.parent))}
        assert names == {path.stem for path in sound.glob("*.json")}


def run_audit(*arguments: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "scripts/audit.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


class TestProgram:
    def test_prints_a_cell(self, sound):
        done = run_audit(sound / f"{MAIN}.csv", "joint", "average_low")
        assert done.returncode == 0, done.stderr
        stage = sound.parent / "tiny/seed2/qa/worldqa.qen+worldqa.qes@200"
        for words in (
            f"{MAIN}: schedule: joint, average_low: 19.5000 (SD 0.7071), 2 of 2 runs",
            "run 2: 20.0",
            "f1: +0.5 qix +0.5 qna",
            f"checkpoint {stage}",
            "commit deed",
            f"{stage}/predictions/worldqa/qix.jsonl  sha256 {sha256_file(stage / 'predictions/worldqa/qix.jsonl')}",
            "of data rows of qix",
            f"{MAIN}: 1 of 1 cells agree with their terms",
        ):
            assert words in done.stdout, done.stdout
        assert "qen.jsonl" not in done.stdout  # no low-resource language

    def test_ends_with_1_if_a_number_is_wrong(self, tmp_path):
        tables = make(tmp_path)
        path = tables / f"{MAIN}.csv"
        path.write_text(path.read_text().replace("52.0000", "53.0000"))
        done = run_audit(path)
        assert done.returncode == 1
        assert "english, qen: mean: the CSV has 53.0000, the terms give 52.0000" in done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize(
        ("row", "message"), [("joined", "no row is called 'joined'"), ("qna", "several rows are called 'qna'")]
    )
    def test_a_name_of_no_cell_or_several(self, tmp_path, row, message):
        two = plan() | {"models": ["tiny", "large"], "tables": [table_entry(rows=["language"], columns=["schedule"])]}
        two["runs"] = two["runs"] + [run | {"model": "large"} for run in two["runs"]]
        with pytest.raises(UserError, match=message):
            TableAudit(make(tmp_path, two) / "mine").cell(row, "joint")

    def test_an_unknown_table(self, sound):
        done = run_audit(sound / "familes")
        assert done.returncode == 1
        assert "families" in done.stderr and "Traceback" not in done.stderr
