"""A cut of the real study: a real pretrained encoder in a folder, English against three languages at once."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

STUDY = Path(__file__).parents[2] / "studies/real-answer.yaml"

UNSEEN = ["de", "fi", "gl", "ru", "ta"]


@pytest.fixture(scope="module")
def finished(encoder_folder, bundle, new_project, snakemake) -> Path:
    """A project with the results of a cut of the study: one task, two schedules, one seed, few rows."""
    folder = new_project("encoder")
    config = yaml.safe_load(STUDY.read_text())
    track = config["tracks"]["pos"]
    track |= {"budget": {"updates": 42, "tokens": 512}, "score": "final"}
    track |= {"schedules": {name: track["schedules"][name] for name in ("english", "joint")}}
    track |= {"evaluate": {"ud": {"languages": UNSEEN, "sample": 40}}}
    contrast = next(own for own in config["contrasts"] if own["name"] == "pos-sources-unseen")
    del contrast["learned"]
    config |= {"study": "cut", "seeds": [1], "keep_weights": "none", "folders": {"bundle": str(bundle)}}
    config |= {"precision": "auto", "predict_precision": "auto", "allow_leakage": []}
    config |= {"models": {"real": {"folder": str(encoder_folder), "gpus": 0}}, "tracks": {"pos": track}}
    config |= {"contrasts": [contrast | {"languages": UNSEEN}]}
    for key in ("headline", "published", "tables", "figures", "buckets", "distances", "names", "datasets"):
        del config[key]
    (folder / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    snakemake(folder, "--cores", "2", "--configfile", "study.yaml")
    yield folder
    shutil.rmtree(folder)


def test_a_pretrained_encoder_transfers_to_languages_that_it_was_not_trained_on(finished):
    results = finished / "results/cut"
    trivial = json.loads((results / "baselines/ud~40.json").read_text())["baselines"]
    for stage in ("ud.en@42", "ud.en+es+fr@42"):
        scores = json.loads((results / f"real/seed1/pos/{stage}/scores/ud~40.json").read_text())["languages"]
        assert set(scores) == set(UNSEEN)
        for language, own in scores.items():
            best = max(baseline[language]["accuracy"] for baseline in trivial.values())
            assert own["accuracy"] > best + 30, (stage, language)


def test_the_stage_knows_the_model_that_it_starts_from(finished):
    manifest = json.loads((finished / "results/cut/real/seed1/pos/ud.en@42/stage.json").read_text())
    (copy,) = (finished / "models").glob("real@*")
    assert manifest["parents"] == [json.loads((copy / "stage.json").read_text())["files"]["model.safetensors"]]


def test_one_seed_decides_nothing(finished):
    page = (finished / "results/cut/report.html").read_text()
    assert "pos-sources-unseen" in page and "only seed" in page
