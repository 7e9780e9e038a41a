"""The tour of recipes on synthetic data: trackers of a sweep with two models, and tables and a figure with names."""

import csv
import json
from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

STUDY = Path(__file__).parents[2] / "studies/recipes-tour.yaml"
TINY = {
    "pretrain": {
        "corpus": {"worldtext": ["qen", "qes"]}, "vocabulary": 200, "hidden": 16, "layers": 1, "heads": 2,
        "max_length": 96, "budget": {"updates": 4, "tokens": 512},
    }
}  # fmt: skip


@pytest.fixture(scope="module")
def config() -> dict:
    """The study with a model that is pretrained here, and with synthetic languages. All else is as it stands."""
    found = yaml.safe_load(STUDY.read_text())
    del found["folders"], found["allow_leakage"]
    found |= {"seeds": [1], "precision": "fp32"}
    for model in found["models"].values():
        for key in ("folder", "parameters", "gpus"):
            del model[key]
        model |= TINY
    found["synthetic"] = {"seed": 3, "text_high": 60, "text_low": 20, "pos_train": 20, "pos_test": 8}
    track = found["tracks"]["pos"]
    languages = {"en": "qen", "es": "qes"}
    track |= {
        "sources": "worldpos", "budget": {"updates": 6, "tokens": 256}, "encoding": {"max_length": 96},
        "schedules": {"joint": ["qen + qes"], "english": ["qen"]},
        "select": {"dataset": "worldpos", "every": 3, "validation": {"from": "train", "sample": 4}},
        "evaluate": {"worldpos": ["qen", "qes", "qno"]},
    }  # fmt: skip
    found["headline"]["dataset"] = "worldpos"
    found["names"]["languages"] = {languages[code]: name for code, name in found["names"]["languages"].items()}
    return found


@pytest.fixture(scope="module")
def finished(new_project, snakemake, config) -> Path:
    folder = new_project("tour")
    (folder / "tour.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    snakemake(folder, "--cores", "2", "--configfile", "tour.yaml")
    return folder


def test_one_folder_has_the_curves_of_every_training_and_no_point_twice(finished):
    stages = [path.parent for path in (finished / "results/recipes-tour").rglob("stage.json")]
    trained = [stage for stage in stages if (stage / "train.jsonl").read_text()]
    assert {path.parent for path in (finished / "results").rglob("tensorboard")} == set(trained)
    assert len([stage for stage in trained if "~lr=" in stage.name]) == 2 * 2 * 3
    for stage in trained:
        board = EventAccumulator(str(stage / "tensorboard"), purge_orphaned_data=False)
        board.Reload()
        curve = [json.loads(line) for line in (stage / "train.jsonl").read_text().splitlines()]
        for tag in ("train/loss", "train/learning_rate", "train/gradient_norm"):
            assert [event.step for event in board.Scalars(tag)] == [point["update"] for point in curve]
        if "selection" in (manifest := json.loads((stage / "stage.json").read_text())):
            looks = manifest["selection"]["looks"]
            assert [event.step for event in board.Scalars("validation/f1")] == [look["update"] for look in looks]


def test_nothing_is_made_again_without_trackers(finished, snakemake, jobs, config):
    plain = {key: value for key, value in config.items() if key != "trackers"}
    (finished / "plain.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
    for name in ("tour.yaml", "plain.yaml"):
        assert jobs(snakemake(finished, "-n", "--configfile", name).stdout) == {}


def test_tables_and_figure_have_the_names_in_their_order(finished, config):
    results, names = finished / "results/recipes-tour", config["names"]
    table = (results / "tables/recipes.md").read_text()
    assert ordered(table, names["models"]) and ordered(table, names["schedules"])
    assert ordered((results / "tables/languages.md").read_text(), names["languages"])
    with (results / "tables/recipes.csv").open(encoding="utf-8") as file:
        assert [row["row"] for row in csv.DictReader(file)] == ["model_whole", "model_adapted"]
    drawing = (results / "paper/gains.svg").read_text()
    assert config["figures"]["gains"]["title"] in drawing
    compared = f"{names['schedules']['joint']} − {names['schedules']['english']}"
    assert ordered(drawing, {key: f"{model}: {compared}" for key, model in names["models"].items()})


def ordered(text: str, names: dict[str, str]) -> bool:
    """Whether a text has all names, in their order."""
    places = [text.find(name) for name in names.values()]
    return -1 not in places and places == sorted(places)
