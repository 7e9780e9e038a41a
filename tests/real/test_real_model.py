"""A real pretrained encoder in a folder, through a small study of real treebanks."""

import json
import shutil

import yaml

STUDY = """
study: encoder
seeds: [1]
keep_weights: none
tracks:
  pos:
    sources: ud
    budget: {updates: 40, tokens: 512}
    recipe: {lr: 1e-4, dropout: 0.0}
    encoding: {max_length: 128}
    schedules:
      english: [en]
    score: final
    evaluate: {ud: {languages: [gl, ta], sample: 100}}
"""


def test_a_pretrained_encoder_transfers_to_languages_that_it_was_not_trained_on(
    encoder_folder, bundle, new_project, snakemake
):
    folder = new_project("encoder")
    config = yaml.safe_load(STUDY)
    config |= {"folders": {"bundle": str(bundle)}, "models": {"real": {"folder": str(encoder_folder)}}}
    (folder / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    snakemake(folder, "--cores", "2", "--configfile", "study.yaml")
    results = folder / "results/encoder"
    scores = json.loads((results / "real/seed1/pos/ud.en@40/scores/ud~100.json").read_text())["languages"]
    floor = json.loads((results / "baselines/ud~100.json").read_text())["baselines"]["majority"]
    for language in ("gl", "ta"):
        assert scores[language]["accuracy"] > floor[language]["accuracy"] + 10
    manifest = json.loads((results / "real/seed1/pos/ud.en@40/stage.json").read_text())
    (copy,) = (folder / "models").glob("real@*")
    assert manifest["parents"] == [json.loads((copy / "stage.json").read_text())["files"]["model.safetensors"]]
    shutil.rmtree(folder)
