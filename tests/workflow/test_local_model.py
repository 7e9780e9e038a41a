"""A study on a model in a folder: it is copied once, may be moved, and other files in it are announced."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

TRAINED = "results/local/own/seed1/qa"


def write_study(folder: Path, place: str) -> tuple[str, str]:
    """The options for the study of small.yaml with the model in a folder."""
    config = yaml.safe_load((folder / "small.yaml").read_text())
    config |= {"study": "local", "models": {"own": {"folder": place}}}
    config["tracks"]["qa"]["schedules"] = {"english": ["qen"]}
    config["tables"] = {}
    del config["headline"]
    (folder / "local.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return "--configfile", "local.yaml"


@pytest.fixture(scope="module")
def trained(new_project, snakemake) -> Path:
    """A finished study on a model that another study has pretrained."""
    folder = new_project("local-model")
    shutil.copy(Path(__file__).with_name("small.yaml"), folder)
    snakemake(folder, "--cores", "2", "results/small/tiny/base/stage.json", "--configfile", "small.yaml")
    shutil.copytree(folder / "results/small/tiny/base/model", folder / "mine/model")
    snakemake(folder, "--cores", "2", *write_study(folder, "mine/model"))
    return folder


def test_the_results_name_the_hash_and_not_the_place(trained):
    provenance = json.loads((trained / "results/local/provenance.json").read_text())
    model = provenance["models"]["own"]
    (copy,) = (trained / "models").glob("own@*")
    assert copy.name == f"own@{model['folder_sha256'][:16]}"
    manifest = json.loads((trained / TRAINED / "worldqa.qen@12/stage.json").read_text())
    assert manifest["parents"] == [model["weights"]]
    page = (trained / "results/local/report.html").read_text()
    assert f"own: a folder of files with the SHA-256 {model['folder_sha256'][:12]}" in page
    assert "mine/model" not in page + json.dumps(provenance)


def test_a_moved_model_makes_nothing_anew_and_a_changed_one_is_announced(trained, snakemake, jobs):
    (trained / "mine").rename(trained / "yours")
    study = write_study(trained, "yours/model")
    assert "Nothing to be done" in snakemake(trained, "-n", *study).stdout
    config = trained / "yours/model/config.json"
    config.write_text(config.read_text() + "\n")
    plan = snakemake(trained, "-n", *study).stdout
    assert "track qa changed: the model own; 1 finished checkpoint would be made anew and replaced" in plan
    assert {"copy_model": 1, "train": 2}.items() <= jobs(plan).items()
    refused = snakemake(trained, "--cores", "1", *study, check=False)
    assert refused.returncode and "finished results would be replaced" in refused.stdout
    snakemake(trained, "--cores", "2", *study, "--config", "replace=true")
    assert len(list((trained / "models").glob("own@*"))) == 2


def test_a_folder_without_a_model_is_refused_before_anything_runs(trained, snakemake):
    (trained / "empty").mkdir()
    refused = snakemake(trained, "-n", *write_study(trained, "empty"), check=False).stdout
    assert re.search(
        r"local\.yaml:\d+: models\.own\.folder: the folder has no config\.json and weights: empty", refused
    )
    assert "Traceback" not in refused
