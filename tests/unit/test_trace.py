"""Cells traced to their runs, and planted mistakes that the second way from the scores to the numbers must find."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.study_results import LANGUAGES, plan, read, write_study
from test_companion import study as folded_study
from test_declared import entry_of, published_plan
from test_tables import write_averaged

from crosstune.analysis import results
from crosstune.analysis.cells import Cell
from crosstune.analysis.results import Panel
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, sha256_file, write_json, write_jsonl
from crosstune.reporting.tables.audit import Trace
from crosstune.reporting.tables.custom import Declared, write_declared
from crosstune.reporting.tables.provenance import traced_tables, write_sidecars
from crosstune.reporting.tables.published import write_companions
from crosstune.reporting.tables.scores import write_tables
from crosstune.reporting.tables.transfer import write_transfer

ROOT = Path(__file__).parents[2]
MAIN = "qa.worldqa.tiny.f1"
ENTRIES = [
    entry_of(name="families", columns=["family", "group"]),
    entry_of(name="gains", rows=["language", "script", "resource"], columns=["schedule"], minus="english"),
    entry_of(name="low", languages="low", show="min"),
    entry_of(name="seeds", rows=["language", "group"], columns=["seed"], schedules=["joint"]),
    entry_of(name="stages", rows=["stage"], columns=["group"], show="median", seeds=[2]),
    entry_of(name="numbers", columns=["metric", "seed"], show="interval"),
    entry_of(name="models", columns=["model"], metric="exact_match"),
    entry_of(name="beside", columns=["language", "group"], published="paper"),
    entry_of(name="across", columns=["stage"], aggregate="pooled"),
]


def write_manifests(folder: Path) -> None:
    """What trainings and predictions leave: manifests with hashes, and who made them."""
    write_json(folder / "provenance.json", {"code": {"commit": "c0ffee", "changed": False}, "config_sha256": "abc"})
    for scores in sorted(folder.glob("tiny/**/scores/*.json")):
        stage, dataset = scores.parents[1], scores.stem
        rows = {lang: stage / "predictions" / dataset / f"{lang}.jsonl" for lang in LANGUAGES}
        for lang, path in rows.items():
            write_jsonl(path, [{"id": lang, "prediction": str(stage)}])
        hashes = {
            lang: {"rows": 1, "sha256": sha256_file(path), "data": f"rows of {lang}"} for lang, path in rows.items()
        }
        write_json(stage / "predictions" / f"{dataset}.json", {"languages": hashes})
        write_json(stage / "stage.json", {"weights": f"weights of {stage.name}", "data": {"worldqa.qen": "rows"}})
        write_json(
            stage / "cost.json", {"seconds": 1, "code": {"commit": "deed", "changed": True}, "lock_sha256": "10c"}
        )


def prepare(folder: Path, plan: dict | None = None) -> None:
    """The small study without tables."""
    write_study(folder, plan or published_plan() | {"tables": ENTRIES})
    write_manifests(folder)


def make(folder: Path, plan: dict | None = None) -> Path:
    """The small study with all its tables; their folder."""
    prepare(folder, plan)
    return make_tables(folder)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """The tables of the small study, for tests that change nothing."""
    return make(tmp_path_factory.mktemp("sound"))


def make_tables(folder: Path) -> Path:
    study, out = read(folder), folder / "tables"
    for write in (write_tables, write_companions, write_transfer, write_declared):
        write(study, out)
    write_sidecars(study, folder, out)
    return out


def problems(tables: Path, name: str = MAIN) -> list[str]:
    """What a check of the whole table finds."""
    trace = Trace(tables / name)
    cells = trace.sidecar["cells"]
    found = [problem for cell in cells for problem in trace.check(cell)]
    return [*found, *trace.check_files(cells), *trace.check_table()]


def all_problems(tables: Path) -> dict[str, list[str]]:
    found = {path.stem: problems(tables, path.stem) for path in sorted(tables.glob("*.json"))}
    return {name: told for name, told in found.items() if told}


class TestOfASoundStudy:
    def test_every_table_is_what_the_scores_give(self, sound):
        names = {path.stem for path in sound.glob("*.json")}
        kinds = {MAIN, f"{MAIN}.transfer", f"{MAIN}.gains", f"{MAIN}.measures", "qa.worldqa.tiny.exact_match"}
        assert names == kinds | {"paper.tiny"} | {entry["name"] for entry in ENTRIES}
        assert all_problems(sound) == {}

    def test_with_runs_missing_and_diverged(self, tmp_path):
        prepare(tmp_path)
        shutil.rmtree(tmp_path / "tiny/seed2/qa/worldqa.qen@200")
        write_json(tmp_path / "tiny/seed2/qa/worldqa.qen@200/resume/diverged.json", {"updates": 1, "loss": "nan"})
        tables = make_tables(tmp_path)
        assert all_problems(tables) == {}
        cell = Trace(tables / MAIN).cell("english", "qen")
        assert (cell["expected"], cell["values"], cell["diverged"]) == (2, {"1": 50.0}, ["2"])

    def test_averages_over_tasks(self, tmp_path):
        write_averaged(tmp_path, schedule="raw")
        tables = make_tables(tmp_path)
        assert problems(tables, "average.two") == []
        assert Trace(tables / "average.two").cell("english", "average")["values"] == {"1": 23.0625, "2": 25.8125}

    def test_contrasts(self, tmp_path):
        panel = {"track": "qa", "dataset": "worldqa", "metric": "f1", "languages": ["qna", "qix"]}
        contrast = {"name": "order", "a": "sequential", "b": "joint", "smallest_effect": 1, "confidence": 0.95}
        tables = make(tmp_path, plan() | {"contrasts": [contrast | {"panels": [panel]}]})
        assert problems(tables, "contrasts") == []
        assert Trace(tables / "contrasts").cell("order", "difference")["values"] == {"1": -7.5, "2": -6.5}

    def test_several_models_and_data_sets(self, tmp_path):
        two = plan()
        two["models"] = ["tiny", "large"]
        two["tracks"]["again"] = two["tracks"]["qa"]
        two["runs"] += [run | {"model": "large"} for run in two["runs"]]
        two["runs"] += [run | {"track": "again"} for run in two["runs"]]
        over = ["qa/worldqa", "again/worldqa"]
        two["tables"] = [
            entry_of(name="mean", over=over, columns=["group"]),
            entry_of(name="each", over=over, columns=["dataset"], rows=["schedule", "stage"], schedules=["joint"]),
        ]
        del two["tables"][1]["rows"][1]
        assert all_problems(make(tmp_path, two)) == {}

    def test_a_folded_study(self, tmp_path):
        entries = [entry_of(over=["qa/chaii"], columns=["language", "group", "seed"], aggregate="pooled")]
        folded = folded_study()
        write_json(tmp_path / "plan.json", folded.plan | {"tables": entries})
        for (stage, dataset), languages in folded.scores.items():
            write_json(tmp_path / stage / "scores" / f"{dataset}.json", {"languages": languages})
        out = make_tables(tmp_path)
        assert all_problems(out) == {}
        assert Trace(out / "mine").cell("plain", "group_all")["values"] == {"1/1": 35, "1/2": 38, "2/1": 42, "2/2": 45}

    def test_same_results_same_bytes(self, tmp_path, sound):
        """In another folder, and later."""
        again = tmp_path / "elsewhere"
        shutil.copytree(sound.parent, again, ignore=shutil.ignore_patterns("tables"))
        before = {path.name: path.read_bytes() for path in sound.iterdir()}
        assert {path.name: path.read_bytes() for path in make_tables(again).iterdir()} == before


class TestPlantedMistakes:
    """In the code that makes tables; each is found in every table that it spoils."""

    def test_a_wrong_seed(self, tmp_path, monkeypatch):
        prepare(tmp_path)
        right = Panel.run_scores

        def wrong(panel: Panel, run: dict, stage: int) -> dict:
            if run["schedule"] == "joint" and run["seed"] == 2:
                stages = [path.replace("seed2", "seed1") for path in run["stages"]]
                return right(panel, run | {"stages": stages}, stage)
            return right(panel, run, stage)

        monkeypatch.setattr(Panel, "run_scores", wrong)
        found = all_problems(make_tables(tmp_path))
        assert set(found) >= {MAIN, f"{MAIN}.transfer", f"{MAIN}.gains", "families", "gains", "low", "seeds", "stages"}
        assert "schedule: joint, qen: run 2: the table has 45.0, the scores give 47.0" in found[MAIN]

    def test_a_language_left_out_of_an_average(self, tmp_path, monkeypatch):
        prepare(tmp_path)
        right = Panel.language_groups
        monkeypatch.setattr(
            Panel,
            "language_groups",
            property(lambda panel: {name: codes[:-1] or codes for name, codes in right.fget(panel).items()}),
        )
        found = all_problems(make_tables(tmp_path))
        assert {MAIN, "families", "stages"} <= set(found)
        assert all("average_" in problem for problem in found[MAIN])

    def test_a_language_left_out_of_the_columns(self, tmp_path, monkeypatch):
        prepare(tmp_path)
        monkeypatch.setattr(Panel, "unseen_languages", property(lambda panel: ["qna"]))
        found = all_problems(make_tables(tmp_path))
        assert 'the columns lack {"language":"qix"}' in found[MAIN]
        assert 'the rows lack {"language":"qix"}' in found["gains"]

    def test_a_language_left_out_of_a_declared_table(self, tmp_path, monkeypatch):
        prepare(tmp_path)
        right = Declared._counts
        monkeypatch.setattr(Declared, "_counts", lambda table, lang: lang != "qna" and right(table, lang))
        found = all_problems(make_tables(tmp_path))
        assert {"families", "gains", "low", "seeds", "stages"} <= set(found)
        assert 'the columns lack {"language":"qna"}' in found["low"]

    def test_schedules_exchanged(self, tmp_path, monkeypatch):
        prepare(tmp_path)
        right, other = Panel.runs, {"joint": "english", "english": "joint"}
        monkeypatch.setattr(Panel, "runs", lambda panel, name: right(panel, other.get(name, name)))
        found = all_problems(make_tables(tmp_path))
        assert {MAIN, f"{MAIN}.gains", "families", "gains", "low", "seeds"} <= set(found)

    def test_a_missing_run_that_is_not_counted(self, tmp_path, monkeypatch):
        prepare(tmp_path)
        shutil.rmtree(tmp_path / "tiny/seed2/qa/worldqa.qen@200")
        right = Panel.compute_cell

        def dropped(panel: Panel, *rest) -> Cell:
            cell = right(panel, *rest)
            return Cell(cell.values, len(cell.values))

        monkeypatch.setattr(Panel, "compute_cell", dropped)
        assert "schedule: english, qen: of 1 runs, the plan has 2" in problems(make_tables(tmp_path))

    def test_a_schedule_left_out(self, tmp_path, monkeypatch):
        prepare(tmp_path)
        monkeypatch.setattr(Declared, "schedules", ["english", "joint"])
        monkeypatch.setattr(Panel, "schedules", ["english", "joint", "untrained"])
        found = all_problems(make_tables(tmp_path))
        assert 'the rows lack {"schedule":"sequential"}' in found["families"]
        assert 'the rows lack {"schedule":"sequential"}' in found[MAIN]

    def test_the_wrong_stage(self, tmp_path, monkeypatch):
        prepare(tmp_path)
        monkeypatch.setattr(results, "FINAL", 0)
        right = Panel.cell

        def of_first_stage(
            panel: Panel, name: str, codes: list[str], metric: str, stage: int = 0, pooled=False
        ) -> Cell:
            return right(panel, name, codes, metric, max(0, stage), pooled)

        monkeypatch.setattr(Panel, "cell", of_first_stage)
        assert any(
            problem.startswith("schedule: sequential, qen: run 1") for problem in problems(make_tables(tmp_path))
        )

    def test_a_number_changed_in_the_csv(self, tmp_path):
        tables = make(tmp_path)
        path = tables / "families.csv"
        path.write_text(path.read_text().replace("36.5000", "36.6000"))
        assert problems(tables, "families") == [
            "schedule: english, family_north: mean: the CSV has 36.6000, the scores give 36.5000"
        ]

    def test_predictions_and_scores_changed_since(self, tmp_path):
        tables = make(tmp_path)
        stage = tmp_path / "tiny/seed1/qa/worldqa.qen@200"
        (stage / "predictions/worldqa/qna.jsonl").write_text("other")
        (stage / "scores/worldqa.json").write_text((stage / "scores/worldqa.json").read_text() + " ")
        assert sorted(problems(tables)) == [
            f"{stage}/predictions/worldqa/qna.jsonl: another than its manifest says, or gone",
            f"{stage}/scores/worldqa.json: another than the table was made of, or gone",
        ]

    def test_a_table_of_another_declaration(self, tmp_path):
        tables = make(tmp_path)
        changed = read_json(tmp_path / "plan.json")
        changed["tables"][0]["seeds"] = [2]
        write_json(tmp_path / "plan.json", changed)
        assert problems(tables, "families")[-1] == "the table is of another declaration than the plan's: make it again"


class TestSidecar:
    def test_names_what_a_cell_stands_on(self, sound):
        tmp_path, content = sound.parent, read_json(sound / "gains.json")
        (cell,) = [
            cell
            for cell in content["cells"]
            if content["rows"][cell["row"]]["key"] == "qna"
            and content["columns"][cell["column"]]["key"] == "sequential"
        ]
        assert cell["values"] == {"1": -2, "2": -2}
        runs = [content["runs"][place] for place in cell["runs"]]
        assert [(run["schedule"], run["seed"]) for run in runs] == [("sequential", 1), ("sequential", 2)]
        assert [content["runs"][place]["schedule"] for place in cell["minus"]] == ["english", "english"]
        first, last = (content["stages"][place] for place in runs[1]["stages"])
        assert last["stage"] == "tiny/seed2/qa/worldqa.qen@100/worldqa.qes@100"
        assert last["scores"] == sha256_file(tmp_path / last["stage"] / "scores/worldqa.json")
        assert last["predictions"] == sha256_file(tmp_path / last["stage"] / "predictions/worldqa.json")
        assert content["code"][last["code"]] == {"commit": "deed", "changed": True, "lock_sha256": "10c"}
        assert content["data"][first["trained_on"]] == {"split": "train", "sha256": {"worldqa.qen": "rows"}}
        tested = {f"worldqa.{lang}": f"rows of {lang}" for lang in LANGUAGES}
        assert content["data"][last["tested_on"]] == {"split": "test", "sha256": tested}
        assert content["plan"] == {"commit": "c0ffee", "config_sha256": "abc"}

    def test_of_a_study_without_manifests(self, tmp_path):
        """Scores alone, as another program may have made them."""
        study = write_study(tmp_path)
        write_sidecars(study, tmp_path, tmp_path / "tables")
        write_tables(study, tmp_path / "tables")
        assert problems(tmp_path / "tables") == []

    def test_stays_small(self, sound):
        """A cell more costs its numbers and the places of its runs, not their files."""
        content = (sound / f"{MAIN}.json").read_text()
        cells = len(read_json(sound / f"{MAIN}.json")["cells"])
        lines = [line for line in content.splitlines() if line.startswith('{"column"')]
        assert len(lines) == cells == 6 * 8
        assert max(map(len, lines)) < 150

    def test_every_table_of_cells_has_one(self, sound):
        names = {table.name for table in traced_tables(read(sound.parent))}
        assert names == {path.stem for path in sound.glob("*.json")}


def run_trace(*arguments: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "scripts/trace_table.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


class TestProgram:
    def test_tells_a_cell(self, sound):
        done = run_trace(sound / f"{MAIN}.csv", "joint", "average_low", "--check")
        assert done.returncode == 0, done.stderr
        stage = sound.parent / "tiny/seed2/qa/worldqa.qen+worldqa.qes@200"
        for words in (
            f"{MAIN}: schedule: joint, average_low: 19.5000 (SD 0.7071), 2 of 2 runs",
            "joint, tiny, seed 2, worldqa: 20.0",
            f"checkpoint {stage}",
            "commit deed",
            f"{stage}/predictions/worldqa/qix.jsonl  sha256 {sha256_file(stage / 'predictions/worldqa/qix.jsonl')}",
            "of data rows of qix",
            f"{MAIN}: 1 of 1 cells are what the scores give",
        ):
            assert words in done.stdout, done.stdout
        assert "qen.jsonl" not in done.stdout  # no low-resource language

    def test_ends_with_1_where_a_number_is_wrong(self, tmp_path):
        tables = make(tmp_path)
        path = tables / f"{MAIN}.csv"
        path.write_text(path.read_text().replace("52.0000", "53.0000"))
        done = run_trace(path, "--check")
        assert done.returncode == 1
        assert "english, qen: mean: the CSV has 53.0000, the scores give 52.0000" in done.stderr
        assert "Traceback" not in done.stderr

    def test_what_is_more_than_a_mean_of_scores(self, sound):
        done = run_trace(sound / f"{MAIN}.measures", "--check")
        assert "0 of 11 cells are what the scores give; 11 are more than means of scores" in done.stdout

    @pytest.mark.parametrize(
        ("row", "message"), [("joined", "no row is called 'joined'"), ("qna", "several rows are called 'qna'")]
    )
    def test_a_name_that_is_none_or_several(self, tmp_path, row, message):
        two = plan() | {"models": ["tiny", "large"], "tables": [entry_of(rows=["language"], columns=["schedule"])]}
        two["runs"] = two["runs"] + [run | {"model": "large"} for run in two["runs"]]
        with pytest.raises(UserError, match=message):
            Trace(make(tmp_path, two) / "mine").cell(row, "joint")

    def test_a_table_that_is_not_there(self, sound):
        done = run_trace(sound / "familes", "--check")
        assert done.returncode == 1
        assert "families" in done.stderr and "Traceback" not in done.stderr
