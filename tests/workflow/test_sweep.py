"""A sweep with patience through the real Snakemake: choice, trainings and tests, and that no test row takes part."""

import json
import shutil
from pathlib import Path

import pytest

CONFIG = Path(__file__).with_name("sweep.yaml")
HOME = Path("results/sweep/tiny")
JOINT = "worldqa.qen+qes@8"
FIRST = "worldqa.qen@4~lr_over=8~sweep=sequential"
SECOND = f"{FIRST}/worldqa.qes@4~lr_over=8~optimizer=carry~sweep=sequential"


def manifest(folder: Path) -> dict:
    return json.loads((folder / "stage.json").read_text())


@pytest.fixture(scope="module")
def finished(new_project, snakemake) -> Path:
    folder = new_project("sweep")
    shutil.copy(CONFIG, folder)
    snakemake(folder, "--cores", "2", "--configfile", CONFIG.name)
    return folder


def test_the_tested_stages_are_the_chosen_candidate_and_have_its_values_with_every_seed(finished):
    home = finished / HOME / "seed1/qa"
    choice = json.loads((home / f"{JOINT}~sweep=joint/choice.json").read_text())
    value = choice["values"]["lr"]
    assert manifest(home / f"{JOINT}~sweep=joint")["weights"] == manifest(home / f"{JOINT}~lr={value:g}")["weights"]
    other = finished / HOME / "seed2/qa"
    assert manifest(other / f"{JOINT}~sweep=joint")["chosen"] == {"lr": value}
    assert not list(other.glob("*~lr=*")) and not list(home.glob("*~lr=*/**/predictions"))
    rates = [json.loads(line)["lr"] for line in (home / SECOND / "train.jsonl").read_text().splitlines()]
    assert rates == sorted(rates, reverse=True), "no second warm-up"


def test_the_report_names_the_choice_and_a_second_run_has_nothing_to_do(finished, snakemake, jobs):
    page = (finished / "results/sweep/report.html").read_text()
    assert "Choice of the recipe" in page and "NOT compute-matched: a stage stops after 1 evaluation" in page
    assert (finished / "results/sweep/tables/sweep.qa.tiny.csv").exists()
    assert jobs(snakemake(finished, "-n", "--configfile", CONFIG.name).stdout) == {}


def test_without_test_rows_choice_and_stop_are_the_same(finished, snakemake):
    home = finished / HOME / "seed1/qa"
    file = home / f"{JOINT}~sweep=joint/choice.json"
    before = file.read_bytes()
    candidates = sorted(folder.name for folder in home.glob(f"{JOINT}~lr=*"))
    stopped = [manifest(home / name)["updates"] for name in candidates]
    assert len(stopped) == 2 and min(stopped) < 8, "a stage stopped early"
    for rows in (finished / "data/worldqa").glob("test.*"):
        rows.unlink()
    for folder in home.glob(f"{JOINT}*"):
        shutil.rmtree(folder)
    target = str(file.relative_to(finished))
    snakemake(finished, target, "--cores", "2", "--configfile", CONFIG.name)
    assert file.read_bytes() == before and not list((finished / "data/worldqa").glob("test.*"))
    assert [manifest(home / name)["updates"] for name in candidates] == stopped


def test_weights_that_were_removed_are_trained_again_with_the_chosen_values(finished, snakemake):
    config = finished / CONFIG.name
    config.write_text(config.read_text().replace("{worldqa: [qen, qes]}", "{worldqa: [qen, qes, qno]}"))
    assert not (finished / HOME / "seed2/qa" / FIRST / "model/model.safetensors").exists()
    snakemake(finished, "--cores", "2", "--configfile", CONFIG.name)
    scores = json.loads((finished / HOME / "seed2/qa" / FIRST / "scores/worldqa.json").read_text())
    assert "qno" in scores["languages"]
