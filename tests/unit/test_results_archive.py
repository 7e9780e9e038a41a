"""Results in an archive: what goes into it, and what an archive of somebody else's cannot put into place."""

import zipfile
from pathlib import Path

import pytest
from helpers.study_config import study

from crosstune.core.errors import UserError
from crosstune.core.files import read_json, write_json
from crosstune.operations.results_archive import export_results, import_results

HUB = {"theirs": {"hub": "some/model", "revision": "a" * 40}}


def finished(root: Path):
    """A study on a model of the hub with one finished checkpoint below `root`; the study and the checkpoint's path."""
    found = study(models=HUB)
    stage = next(path for path, node in found.checkpoints.items() if node.parents)
    for path in (stage, *found.checkpoints[stage].parents):
        write_json(root / path / "stage.json", {"weights": "1" * 64})
    return found, stage


def test_a_given_model_is_not_moved_without_its_weights(tmp_path):
    found, stage = finished(tmp_path / "here")
    assert export_results(found, tmp_path / "here", tmp_path / "x.zip") == 1
    assert zipfile.ZipFile(tmp_path / "x.zip").namelist() == [f"{stage}/stage.json"]
    with zipfile.ZipFile(tmp_path / "x.zip", "a") as archive:
        (base,) = found.checkpoints[stage].parents
        archive.writestr(f"{base}/stage.json", "{}")
        archive.writestr("data/worldqa/train.qen.json", "{}")
    assert import_results(found, tmp_path / "there", tmp_path / "x.zip") == (1, 0)
    assert read_json(tmp_path / "there" / stage / "stage.json") == {"weights": "1" * 64}
    assert not (tmp_path / "there/models").exists() and not (tmp_path / "there/data").exists()


@pytest.mark.parametrize("name", ["../x/stage.json", "/tmp/x/stage.json", "a\\..\\stage.json"])
def test_a_file_that_leaves_its_folder_is_refused(name, tmp_path):
    found, _ = finished(tmp_path / "here")
    export_results(found, tmp_path / "here", tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip", "a") as archive:
        archive.writestr(name, "{}")
    with pytest.raises(UserError, match="leaves its folder"):
        import_results(found, tmp_path / "there", tmp_path / "x.zip")
    assert not (tmp_path / "there").exists()


def test_a_damaged_archive_and_one_of_another_study_are_refused(tmp_path):
    found, _ = finished(tmp_path / "here")
    (tmp_path / "x.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match="the archive is damaged"):
        import_results(found, tmp_path, tmp_path / "x.zip")
    export_results(found, tmp_path / "here", tmp_path / "x.zip")
    with pytest.raises(UserError, match="no results of the study 'other'"):
        import_results(study(models=HUB, study="other"), tmp_path, tmp_path / "x.zip")
