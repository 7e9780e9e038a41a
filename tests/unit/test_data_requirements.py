"""What a study needs from disk and from the network is known, and told, before any job."""

import shutil

import pytest
from datasets import Dataset
from helpers.study_config import study
from hub_server import Repository
from huggingface_hub import constants, snapshot_download

from crosstune.core.errors import UserError
from crosstune.study.content_keys import ContentKeys
from crosstune.study.data_requirements import DataRequirements
from crosstune.study.distances import distances_file, distances_spec
from crosstune.study.plan import plan_of


def record(source, **changes):
    common = {"task": "qa", "title": "Net", "languages": ["en", "es"], "licence": "CC0-1.0", "splits": {"test": {}}}
    return common | {"source": source} | changes


def network_study(**sources):
    """The test study, evaluated on data sets of the network in the place of the constructed world's."""
    datasets = {name: source if "task" in source else record(source) for name, source in sources.items()}
    return study(datasets=datasets, tracks__qa__evaluate=dict.fromkeys(datasets, "all"))


def on_the_network(**sources) -> DataRequirements:
    """The data of that study."""
    return DataRequirements(network_study(**sources))


HUB = {"hub": "a/b", "revision": "a" * 40, "config": "all", "id_prefix": "{lang}-"}


def test_what_languages_and_data_sets_share_is_fetched_once():
    found = on_the_network(one=HUB, two=record(HUB, licence="MIT"), three=HUB | {"config": "{lang}"})
    assert len(found.downloads) == 1 + 2
    (shared,) = {found.source_files(name, "test", lang)[0] for name in ("one", "two") for lang in ("en", "es")}
    assert found.downloads[shared].licence == "CC0-1.0; MIT"
    assert shared in found.all_downloads
    assert found.prepare_spec("one", "test", "en") != found.prepare_spec("one", "test", "es")


def test_a_training_predicts_if_all_rows_will_be_ready(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    planned = study(tracks__qa__schedules={"english": ["qen"], "merged": {"average": [["qen"], ["qes"]]}})
    requirements, home = DataRequirements(planned), "results/test/tiny/seed1/qa"
    trained = {path for path in planned.checkpoints if "seed" in path and "average" not in path}
    assert len(trained) == 2 * 4 and set(requirements.predicted_after_training) == trained, (
        "nothing is there: all wait for all rows"
    )

    (tmp_path / home / "untrained").mkdir(parents=True)
    (tmp_path / home / "untrained/stage.json").touch()
    assert trained - set(requirements.predicted_after_training) == {f"{home}/untrained"}, "that one is trained already"

    (tmp_path / "results/test/leakage.passed").touch()
    assert requirements.predicted_after_training == [], "no training waits for rows that it is not trained on"
    for manifest in requirements.prepared:
        (tmp_path / manifest).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / manifest).touch()
    assert trained - set(requirements.predicted_after_training) == {f"{home}/untrained"}


def test_every_data_set_that_is_not_pinned_is_named():
    found = on_the_network(one=HUB, two=HUB | {"revision": None}, three={"url": "https://h.org/x.parquet"})
    assert found.unpinned == ["three", "two"]
    with pytest.raises(UserError, match=r"(?s)not pinned to a version: three, two.*snakemake --cores 1 pin"):
        found.check_pins()
    on_the_network(one=HUB).check_pins()


def test_a_plan_needs_no_pins_and_says_what_is_to_come(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = on_the_network(one=HUB, two=HUB | {"revision": None}, three={"url": "https://h.org/x.parquet"})
    unpinned, downloads = found.pending_notices()
    assert unpinned == "not pinned to a version yet: three, two (snakemake --cores 1 pin)"
    assert downloads.startswith("3 downloads are still to be made")
    assert found.prepare_spec("two", "test", "en")["source"]["revision"] is None
    assert DataRequirements(study()).pending_notices() == []


def test_what_is_missing_without_a_network_is_told_before_any_job(tmp_path, monkeypatch, hub):
    found = on_the_network(one=HUB, two=HUB | {"config": "{lang}"})
    monkeypatch.chdir(tmp_path)
    found.check_downloads()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"(?s)HF_HUB_OFFLINE forbids the network \(3 downloads\).*cores 1 downloads"):
        found.check_downloads()
    for path in (*found.downloads, "data/two/test.es.json"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    found.check_downloads()
    # What is prepared needs no download any more.
    (tmp_path / found.source_files("two", "test", "es")[0]).unlink()
    found.check_downloads()


def test_what_the_hub_s_cache_has_is_not_missing_without_a_network(tmp_path, monkeypatch, hub):
    files = {"all/test/0000.parquet": b"rows", "config.json": b"{}", "model.safetensors": b"weights"}
    hub.add(*(Repository(kind, "a/b", {"a" * 40: files}) for kind in ("datasets", "models")))
    model = {"m": {"hub": "a/b", "revision": "a" * 40}}
    found = DataRequirements(study(models=model, datasets={"one": record(HUB)}, tracks__qa__evaluate={"one": "all"}))
    monkeypatch.chdir(tmp_path)
    snapshot_download("a/b", revision="a" * 40)
    snapshot_download("a/b", revision="a" * 40, repo_type="dataset")
    del hub.requests[:]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found.check_downloads()
    assert len(found.missing_downloads) == 2 and hub.requests == []
    shutil.rmtree(tmp_path / "cache/models--a--b")
    with pytest.raises(UserError, match=r"\(1 downloads\)"):
        found.check_downloads()


def test_a_model_without_a_commit_can_be_planned_and_must_be_pinned():
    """The first names a branch, the second nothing."""
    pinned = {"hub": "a/b", "revision": "a" * 40}
    models = {"one": {"hub": "a/b", "revision": "v1.0"}, "two": {"hub": "c/d"}, "three": pinned}
    found = DataRequirements(study(models=models))
    assert found.unpinned_models == {"models.one": ("a/b", "v1.0"), "models.two": ("c/d", "main")}
    (notice, *_) = found.pending_notices()
    assert notice == "not pinned to a version yet: models.one (v1.0), models.two (main) (snakemake --cores 1 pin)"
    with pytest.raises(UserError, match=r"(?s)models.one \(v1.0\), models.two \(main\).*snakemake --cores 1 pin"):
        found.check_pins()


def saved_study(folder, **source) -> DataRequirements:
    datasets = {"mine": record({"folder": "{theirs}/{lang}"} | source)}
    return DataRequirements(
        study(datasets=datasets, folders={"theirs": str(folder)}, tracks__qa__evaluate={"mine": "all"})
    )


def test_a_folder_that_datasets_saved_is_a_file_of_the_study(tmp_path):
    found = saved_study(tmp_path)
    with pytest.raises(UserError, match=r"(?s)no such data file \(data set mine\)"):
        found.check_files()
    for lang in ("en", "es"):
        Dataset.from_dict({"id": ["1"]}).save_to_disk(tmp_path / lang)
    found.check_files()
    assert found.source_files("mine", "test", "en") == [f"{tmp_path}/en/data-00000-of-00001.arrow"]
    assert found.downloads == {} and found.unpinned == []
    key = ContentKeys(found).key("mine", "test", "en")
    moved = tmp_path.with_name("moved")
    tmp_path.rename(moved)
    assert ContentKeys(saved_study(moved)).key("mine", "test", "en") == key, "the content counts, not its place"
    Dataset.from_dict({"id": ["2"]}).save_to_disk(moved / "en2")
    shutil.rmtree(moved / "en")
    (moved / "en2").rename(moved / "en")
    assert ContentKeys(saved_study(moved)).key("mine", "test", "en") != key
    moved.rename(tmp_path)


def test_a_study_reads_no_saved_folder_outside_its_folders(tmp_path):
    datasets = {"mine": record({"folder": "/etc"})}
    with pytest.raises(UserError, match="lies outside the project"):
        DataRequirements(study(datasets=datasets, tracks__qa__evaluate={"mine": "all"})).check_files()


def test_a_model_is_a_download():
    found = DataRequirements(study(models={"mbert": {"hub": "a/b", "revision": "a" * 40}}))
    assert found.all_downloads == [f"models/a--b@{'a' * 40}/stage.json"]


def test_the_file_of_languages_features(tmp_path):
    """It lies in a folder of the config; languages go by their ISO 639-3 codes; without the key there is none."""
    wanted = {"file": "{mine}/features.npz", "features": ["S_*"]}
    planned = study(distances=wanted, folders={"mine": str(tmp_path)})
    found = DataRequirements(planned)
    assert distances_file(planned) == [f"{tmp_path}/features.npz"]
    with pytest.raises(
        UserError, match=r"(?s)features.npz: no such file of languages' features.*Correct distances.file"
    ):
        found.check_files()
    (tmp_path / "features.npz").touch()
    found.check_files()
    assert distances_spec(planned)["features"] == ["S_*"]
    assert distances_spec(planned)["languages"]["qka"] == "qka"
    assert distances_file(study()) == []
    with pytest.raises(UserError, match=r"(?s)need the folder 'mine'.*folders:\n *mine: "):
        DataRequirements(study(distances=wanted)).check_files()


def test_languages_with_two_letters_go_by_their_iso_code():
    assert distances_spec(network_study(one=HUB))["languages"]["en"] == "eng"


def test_distances_are_in_the_plan_of_a_study_that_wants_them():
    assert "distances" not in plan_of(study())
    assert plan_of(study(distances={"file": "x.csv"}))["distances"] == {
        "file": "x.csv", "features": ["*"], "min_features": 20, "to": "nearest"
    }  # fmt: skip
