"""A small few-shot study through the real Snakemake: samples, held-out rows, curves; and its pilot beside it."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import pytest

CONFIG = Path(__file__).with_name("few_shot.yaml")
HOME, PILOT = Path("results/few-shot"), Path("results/few-shot~pilot")


def identifiers(folder: Path, dataset: str, split: str, language: str) -> list[str]:
    lines = (folder / f"data/{dataset}/{split}.{language}.jsonl").read_text().splitlines()
    return [json.loads(line)["id"] for line in lines]


def hashes(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def finished(new_project, snakemake) -> Path:
    folder = new_project("few-shot")
    shutil.copy(CONFIG, folder)
    snakemake(folder, "--cores", "2", "--configfile", CONFIG.name)
    return folder


def test_points_of_a_curve_share_the_stages_before_it(finished):
    for seed in (1, 2):
        home = finished / HOME / f"tiny/seed{seed}/qa"
        stages = [
            "worldqa.qen@6",
            "worldqa.qen@6/worldqa.qes~5@4",
            "worldqa.qen@6/worldqa.qes~20@4",
            "worldqa.qes~5@10",
        ]
        for stage in stages:
            assert (home / stage / "scores/worldqa~12.json").exists()
    manifest = json.loads((finished / HOME / "tiny/seed2/qa/worldqa.qes~5@10/stage.json").read_text())
    assert list(manifest["exposure"]) == ["worldqa~held10~5d2.qes"]


def test_samples_are_nested_and_every_seed_has_its_own(finished):
    small, large = (set(identifiers(finished, f"worldqa~held10~{size}d1", "train", "qes")) for size in (5, 20))
    assert len(small) == 5 and len(large) == 20 and small < large
    assert large != set(identifiers(finished, "worldqa~held10~20d2", "train", "qes"))


def test_no_held_out_row_is_trained_on(finished):
    for language in ("qen", "qes"):
        trained = set(identifiers(finished, "worldqa~held10", "train", language))
        assert trained < set(identifiers(finished, "worldqa", "train", language))
        if language == "qen":
            held = identifiers(finished, "worldqa~held10", "validation", language)
            assert len(held) == 10 and not trained & set(held)
    found = json.loads((finished / HOME / "leakage.json").read_text())
    assert all(pair["status"] == "chance" for pair in found["pairs"])


def test_languages_are_scored_on_the_same_examples(finished):
    english, spanish = (identifiers(finished, "worldqa~12", "test", language) for language in ("qen", "qes"))
    assert english == spanish and len(english) == 12


def test_tables_figure_and_page_have_the_curves(finished):
    with (finished / HOME / "tables/qa.worldqa.tiny.f1.few-shot.csv").open(encoding="utf-8") as file:
        rows = [(row["group"], row["row"]) for row in csv.DictReader(file)]
    points = {"after-english": (0, 5, 20), "alone": (5, 20)}
    assert rows == [(curve, f"{curve}-{size}") for curve, sizes in points.items() for size in sizes]
    assert (finished / HOME / "figures/qa.worldqa.tiny.few-shot.svg").exists()
    page = (finished / HOME / "report.html").read_text()
    assert "Few-shot curves" in page and "PILOT" not in page


def test_nothing_is_left_to_do(finished, snakemake, jobs):
    assert jobs(snakemake(finished, "-n", "--configfile", CONFIG.name).stdout) == {}


def test_a_pilot_leaves_the_study_alone_and_says_what_it_is(finished, snakemake, jobs):
    before = hashes(finished / HOME)
    told = snakemake(finished, "--cores", "2", "--configfile", CONFIG.name, "--config", "pilot=3").stdout
    assert "PILOT of the study few-shot, in results/few-shot~pilot: at most 3 examples" in told
    assert hashes(finished / HOME) == before
    assert "PILOT, no result." in (finished / PILOT / "report.html").read_text()
    assert (finished / PILOT / "tables/contrasts.md").read_text().startswith("PILOT, no result.")
    (contrast,) = json.loads((finished / PILOT / "contrasts.json").read_text())["contrasts"]
    assert contrast["questions"]["seeds"]["verdict"] == "none in a pilot"
    stage = finished / PILOT / "tiny/seed1/qa/worldqa.qen@1/worldqa.qes~20@1"
    assert json.loads((stage / "scores/worldqa~12~pilot3.json").read_text())["languages"]["qes"]["n"] == 3
    told = snakemake(finished, "--cores", "1", "status", "--configfile", CONFIG.name, "--config", "pilot=3").stdout
    assert "study few-shot~pilot, in results/few-shot~pilot" in told and "nothing is left to do" in told
    snakemake(finished, "--cores", "1", "clean_results", "--configfile", CONFIG.name, "--config", "pilot=3")
    assert not (finished / PILOT).exists() and hashes(finished / HOME) == before
