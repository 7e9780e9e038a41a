"""Outdated results of a study, results of other code, and orphan folders."""

from pathlib import Path

import pytest
from helpers.study_files import HOME, workflow_study, write_manifests, write_predictions, write_training

from crosstune.core.files import read_json, write_json
from crosstune.machine.environment import commit, lock_hash
from crosstune.operations.stale import (
    CodeState,
    count_code_states,
    orphan_folders,
    outdated_results,
    prepared_manifests,
    size_text,
    stale_lines,
)
from crosstune.study.specs import predict_spec

ENGLISH, FIRST, SECOND = f"{HOME}/worldqa.qen@12", f"{HOME}/worldqa.qen@6", f"{HOME}/worldqa.qen@6/worldqa.qes@6"


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A finished study of this code and config."""
    monkeypatch.chdir(tmp_path)
    study = workflow_study()
    write_manifests(prepared_manifests(study))
    for path in study.checkpoints:
        write_training(study, path, code=commit(), lock_sha256=lock_hash())
        write_predictions(study, path, code=commit(), lock_sha256=lock_hash())
    return study


def change(path: str, **changes) -> None:
    write_json(path, read_json(path) | changes)


def test_a_study_of_this_code_has_nothing_stale(study):
    assert outdated_results(study) == [] == orphan_folders(study)
    text = "\n".join(stale_lines(study))
    assert "Nothing is outdated." in text and "No folder is left over." in text
    assert "Everything was computed with this commit and lock." in text


def test_other_versions_of_the_code_are_listed_by_kind(study):
    spec = study.checkpoints[ENGLISH].spec
    change(f"{ENGLISH}/stage.json", spec=spec | {"version": spec["version"] - 1})
    change(f"{ENGLISH}/predictions/worldqa.json", spec=predict_spec(study, ENGLISH, "worldqa") | {"version": 0})
    change(f"{ENGLISH}/scores/worldqa.json", score_version=0)
    change("data/worldqa/test.qno.json", version=1)
    write_json("results/small/leakage.json", {"version": 0})
    write_json("results/small/contrasts.json", {"contrasts": []})
    found = {(entry.kind, entry.path): entry.reason for entry in outdated_results(study)}
    assert found == {
        ("checkpoint", f"{ENGLISH}/stage.json"): f"version {spec['version'] - 1} of the code, now {spec['version']}",
        ("predictions", f"{ENGLISH}/predictions/worldqa.json"): "version 0 of the code, now 4",
        ("scores", f"{ENGLISH}/scores/worldqa.json"): "version 0 of the code, now 1",
        ("prepared data", "data/worldqa/test.qno.json"): "version 1 of the code, now 2",
        ("leakage check", "results/small/leakage.json"): "version 0 of the code, now 2",
        ("contrasts", "results/small/contrasts.json"): "no version of the code, now 4",
    }
    text = "\n".join(stale_lines(study))
    assert "       1  scores              version 0 of the code, now 1\n" in text and f"          {ENGLISH}/sco" in text


def test_other_settings_outdate_a_stage_and_its_descendants(study):
    """The second stage has unchanged settings and an outdated parent."""
    change(f"{FIRST}/stage.json", spec=study.checkpoints[FIRST].spec | {"tokens": 99, "seed": 7})
    change(f"{SECOND}/stage.json", spec=study.checkpoints[SECOND].spec | {"parent": "other"})
    found = {entry.path: entry.reason for entry in outdated_results(study)}
    assert found == {
        f"{FIRST}/stage.json": "other settings: seed, tokens",
        f"{SECOND}/stage.json": "an ancestor is retrained",
    }


def test_results_of_another_commit_tree_or_lock_are_counted(study):
    here, other = (
        CodeState.from_record({"code": commit(), "lock_sha256": lock_hash()}),
        {"commit": "0" * 40, "changed": True},
    )
    change(f"{ENGLISH}/cost.json", code=other)
    change(f"{FIRST}/cost.json", lock_sha256="1" * 64)
    Path(SECOND, "cost.json").unlink()
    found = count_code_states(study)
    assert (found[here], found.total()) == (8, 11)
    assert outdated_results(study) == []
    text = "\n".join(stale_lines(study))
    assert f"commit 0000000000, changed working tree, lock {lock_hash()[:10]}" in text
    assert "lock 1111111111" in text and "not recorded" in text


def test_orphan_folders_are_listed_with_their_size(study):
    write_training(study, FIRST)
    old = Path(HOME, "worldqa.qfr@12")
    write_json(old / "stage.json", {"spec": {}})
    write_json(old / "worldqa.qes@6/stage.json", {"spec": {}})
    (old / "model").mkdir()
    (old / "model/model.safetensors").write_bytes(bytes(2_000_000))
    write_json("results/small/tiny/seed9/qa/untrained/stage.json", {"spec": {}})
    write_json(f"{SECOND}/worldqa.qfr@6/resume/spec.json", {})
    write_json("results/small/submission/stage/x.json", {})
    found = {orphan.path: (orphan.checkpoints, orphan.size > 2_000_000) for orphan in orphan_folders(study)}
    assert found == {
        str(old): (2, True),
        "results/small/tiny/seed9": (1, False),
        f"{SECOND}/worldqa.qfr@6": (1, False),
    }
    assert f"     2.0 MB  2 checkpoints    {old}" in "\n".join(stale_lines(study))
    assert (old / "model/model.safetensors").exists(), "nothing is deleted"


def test_sizes_have_fitting_units():
    assert [size_text(size) for size in (900, 2_500_000, 1_300_000_000)] == ["1 kB", "2.5 MB", "1.3 GB"]
