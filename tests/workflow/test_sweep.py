"""A sweep with patience through the real Snakemake: choice, trainings and tests, and that no test row takes part."""

import json
import shutil
from pathlib import Path

import pytest

CONFIG = Path(__file__).with_name("sweep.yaml")
HOME = Path("results/sweep/tiny")
# The stages with a mark in place of #: their chosen values, or one of the values that were tried.
FIRST, SECOND = "worldqa.qen@4#~lr_over=8", "worldqa.qen@4#~lr_over=8/worldqa.qes@4#~lr_over=8~optimizer=carry"


def stage(finished: Path, seed: int, folders: str, value: float | None = None) -> Path:
    """The folder of a stage with the chosen values, or of the candidate with a value."""
    parts = folders.split("/")
    names = [p.replace("#", f"~lr={value:g}") if value else p.replace("#", "") + "~sweep=sequential" for p in parts]
    return finished / HOME / f"seed{seed}/qa" / "/".join(names)


def manifest(folder: Path) -> dict:
    return json.loads((folder / "stage.json").read_text())


@pytest.fixture(scope="module")
def finished(new_project, snakemake) -> Path:
    folder = new_project("sweep")
    shutil.copy(CONFIG, folder)
    snakemake(folder, "--cores", "2", "--configfile", CONFIG.name)
    return folder


@pytest.fixture(scope="module")
def value(finished) -> float:
    """The learning rate that the study chose."""
    return json.loads((stage(finished, 1, SECOND) / "choice.json").read_text())["values"]["lr"]


def test_the_tested_stages_are_the_chosen_candidate_and_have_its_values_with_every_seed(finished, value):
    for folders in (FIRST, SECOND):
        chosen, candidate = stage(finished, 1, folders), stage(finished, 1, folders, value)
        assert manifest(chosen)["weights"] == manifest(candidate)["weights"]
        assert json.loads((chosen / "cost.json").read_text())["taken_from"] == str(candidate.relative_to(finished))
        assert not (candidate / "predictions").exists()
        assert manifest(stage(finished, 2, folders))["chosen"] == {"lr": value}
    assert not list((finished / HOME / "seed2/qa").glob("*~lr=*"))
    rates = [json.loads(line)["lr"] for line in (stage(finished, 2, SECOND) / "train.jsonl").read_text().splitlines()]
    assert rates == sorted(rates, reverse=True), "no second warm-up"


def test_the_report_names_the_choice_and_a_second_run_has_nothing_to_do(finished, snakemake, jobs):
    page = (finished / "results/sweep/report.html").read_text()
    assert "Choice of the recipe" in page and "NOT compute-matched: a stage stops after 1 evaluation" in page
    assert (finished / "results/sweep/tables/sweep.qa.tiny.csv").exists()
    assert jobs(snakemake(finished, "-n", "--configfile", CONFIG.name).stdout) == {}


def test_weights_that_were_removed_are_trained_again_with_the_chosen_values(finished, snakemake):
    folder = stage(finished, 2, FIRST)
    predictions = folder / "predictions/worldqa.json"
    before = predictions.with_suffix("").joinpath("qen.jsonl").read_bytes()
    assert not (folder / "model/model.safetensors").exists()
    predictions.unlink()
    snakemake(finished, str(predictions.relative_to(finished)), "--cores", "2", "--configfile", CONFIG.name)
    assert predictions.with_suffix("").joinpath("qen.jsonl").read_bytes() == before


def test_without_test_rows_choice_and_stop_are_the_same(finished, snakemake):
    choice = stage(finished, 1, SECOND) / "choice.json"
    candidates = [stage(finished, 1, folders, tried) for folders in (SECOND, FIRST) for tried in (1e-6, 1e-2)]
    before, updates = choice.read_bytes(), [manifest(folder)["updates"] for folder in candidates]
    assert min(updates) < 4, "a stage stopped early"
    for rows in (finished / "data/worldqa").glob("test.*"):
        rows.unlink()
    for folder in (finished / HOME / "seed1/qa").glob("worldqa*"):
        shutil.rmtree(folder)
    snakemake(finished, str(choice.relative_to(finished)), "--cores", "2", "--configfile", CONFIG.name)
    assert choice.read_bytes() == before and not list((finished / "data/worldqa").glob("test.*"))
    assert [manifest(folder)["updates"] for folder in candidates] == updates
