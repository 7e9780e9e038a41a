"""The code and environment of a result; a study's provenance and its words."""

import subprocess
from pathlib import Path

import pytest
from helpers.study_files import HOME, workflow_study, write_manifests, write_predictions, write_training

from crosstune.core.files import sha256_file
from crosstune.machine import environment
from crosstune.machine.environment import LOCK, PROJECT, commit, lock_hash
from crosstune.operations.provenance import study_provenance
from crosstune.reporting.page.provenance import provenance_rows
from crosstune.study.data_requirements import DataRequirements
from crosstune.study.specs import config_affecting_results

GIT = ["git", "-c", "user.name=A", "-c", "user.email=a@b.c"]


@pytest.fixture
def repository(tmp_path) -> tuple[Path, str]:
    """A checkout with one commit, and that commit."""
    (tmp_path / "code.py").touch()
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*GIT, *command], cwd=tmp_path, check=True)
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True)
    return tmp_path, found.stdout.strip()


def test_the_commit_and_whether_the_tree_is_changed(repository):
    folder, head = repository
    assert commit(folder) == {"commit": head, "changed": False}
    (folder / "my-study.yaml").touch()
    assert commit(folder) == {"commit": head, "changed": False}, "a study of the user's own is no change of the code"
    (folder / "scripts").mkdir()
    (folder / "scripts/new.py").touch()
    assert commit(folder) == {"commit": head, "changed": True}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("detached", [False, True])
def test_without_the_program_git_the_commit_is_known_and_changes_are_not(repository, monkeypatch, packed, detached):
    folder, head = repository
    if packed:
        subprocess.run(["git", "pack-refs", "--all"], cwd=folder, check=True)
    if detached:
        subprocess.run(["git", "checkout", "-q", "--detach"], cwd=folder, check=True)
    monkeypatch.setenv("PATH", "")
    assert commit(folder) == {"commit": head, "changed": None}


def test_outside_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    assert commit(tmp_path) == {}
    monkeypatch.setenv("PATH", "")
    assert commit(tmp_path) == {}


@pytest.mark.parametrize(
    "address, found",
    [
        ("https://example.org/a/crosstune.git", "https://example.org/a/crosstune.git"),
        ("https://user:secret@example.org/crosstune", None),
        ("https://example.org/crosstune?token=secret", None),
        ("git@example.org:a/crosstune.git", None),
        ("/home/somebody/crosstune", None),
    ],
)
def test_the_address_of_the_code_is_a_public_one(repository, address, found):
    folder, _ = repository
    assert environment.repository(folder) is None
    subprocess.run(["git", "remote", "add", "origin", address], cwd=folder, check=True)
    assert environment.repository(folder) == found


def test_the_lock_hash_is_that_of_the_requirements(tmp_path):
    assert lock_hash() == sha256_file(PROJECT / LOCK)
    assert lock_hash(tmp_path) is None


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A finished study with one stage from another commit, trained on GPUs and half an hour longer."""
    monkeypatch.chdir(tmp_path)
    study = workflow_study()
    write_manifests(DataRequirements(study).prepared)
    for path in study.checkpoints:
        write_training(study, path, seconds=1800.0)
        write_predictions(study, path, seconds=36.0)
    other = {"commit": "f" * 40, "changed": True}
    gpus = {"device": "NVIDIA H200", "devices": 2, "cores": 2, "energy_wh": 250.0, "energy_of": ["gpu"]}
    late = {"seconds": 3600.0, "ended": "2026-01-02T12:00:00+00:00"}
    write_training(study, f"{HOME}/worldqa.qen@12", code=other, **gpus, **late)
    return study


def gathered(study) -> dict:
    return study_provenance(study, list(map(Path, DataRequirements(study).prepared)))


def test_a_study_s_provenance_is_that_of_its_results(study):
    found = gathered(study)
    assert [(maker["device"], maker["trainings"], maker["predictions"]) for maker in found["made"]] == [
        ("a processor", 5, 5),
        ("NVIDIA H200", 1, 0),
    ]
    assert found["made"][1]["commit"] == "f" * 40 and found["made"][1]["changed"] is True
    assert found["cost"]["trainings"] == {
        "number": 6, "seconds": 12600.0, "device_seconds": 7200.0, "energy_wh": 250.0, "energy_of": 1
    }  # fmt: skip
    assert found["cost"]["predictions"]["energy_wh"] is None
    assert (found["began"], found["ended"]) == ("2026-01-01T00:00:00+00:00", "2026-01-02T12:00:00+00:00")
    assert found["config"] == config_affecting_results(study.config) and found["lock_sha256"] == lock_hash()
    split = found["data"]["data/worldqa/test.qno"]
    assert split["licence"] == "CC0-1.0" and split["sources"][0]["hub"] == "an/id"
    assert found["models"]["tiny"]["weights"] == "abc"


def test_the_same_results_have_the_same_provenance(study):
    assert gathered(study) == gathered(study)


def test_provenance_has_words_for_its_facts(study):
    rows = provenance_rows(gathered(study))
    facts = dict(rows)
    assert facts["Code"] == "commit 0123456789ab; commit ffffffffffff, with uncommitted changes"
    assert facts["Lock of packages (SHA-256)"] == "feedfeedfeed"
    assert facts["Hardware"] == "a processor, 1 core; 2 x NVIDIA H200"
    assert facts["Time of trainings"] == "3.5 hours for 6, one after the other; 2 GPU hours"
    assert facts["Energy"] == "0.25 kWh, measured for 1 of 11 jobs"
    assert facts["Model"] == "tiny: pretrained here on 5 sources; weights SHA-256 abc"
    (line,) = [value for what, value in rows if what == "Data" and value.startswith("worldqa ")]
    assert line.startswith("worldqa (CC0-1.0): 60 rows in 6 splits, from an/id at cccccccccccc;")
    assert all(isinstance(text, str) for row in rows for text in row)


def test_results_without_records_have_partial_provenance(study):
    for path in Path("results").rglob("cost.json"):
        path.unlink()
    found = gathered(study)
    assert found["began"] is None and found["made"][0]["commit"] is None
    facts = dict(provenance_rows(found))
    assert (facts["Code"], facts["Hardware"]) == ("unknown commit", "unknown")
    assert "not measured" in facts["Energy"]
    older = {"config_sha256": "ab" * 32, "code": {"commit": "c" * 40, "changed": False}}
    assert provenance_rows(older)[0] == ("Code", "commit cccccccccccc")
