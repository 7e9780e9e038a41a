"""What a study needs from disk and from the network is known, and told, before any job."""

import pytest
from helpers.study_config import study

from crosstune.core.errors import UserError
from crosstune.core.files import canonical_json
from crosstune.study.data_requirements import Needs
from crosstune.study.plan import plan_of


def record(source, **changes):
    common = {"task": "qa", "title": "Net", "languages": ["en", "es"], "licence": "CC0-1.0", "splits": {"test": {}}}
    return common | {"source": source} | changes


def on_the_network(**sources) -> Needs:
    """The data of the test study, evaluated on data sets of the network in the place of the constructed world's."""
    datasets = {name: source if "task" in source else record(source) for name, source in sources.items()}
    return Needs(study(datasets=datasets, tracks__qa__evaluate=dict.fromkeys(datasets, "all")))


HUB = {"hub": "a/b", "revision": "a" * 40, "config": "all", "id_prefix": "{lang}-"}


def test_what_languages_and_data_sets_share_is_fetched_once():
    found = on_the_network(one=HUB, two=record(HUB, licence="MIT"), three=HUB | {"config": "{lang}"})
    assert len(found.downloads) == 1 + 2
    (shared,) = {found.raw_inputs(name, "test", lang)[0] for name in ("one", "two") for lang in ("en", "es")}
    assert found.downloads[shared].licence == "CC0-1.0; MIT"
    assert shared in found.all_downloads
    assert found.prepare_spec("one", "test", "en") != found.prepare_spec("one", "test", "es")


def test_predictions_are_made_ahead_by_trainings_to_come_that_will_have_the_rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    planned = study(tracks__qa__schedules={"english": ["qen"], "merged": {"average": [["qen"], ["qes"]]}})
    needs, home = Needs(planned), "results/test/tiny/seed1/qa"
    trained = {path for path in planned.checkpoints if "seed" in path and "average" not in path}
    assert len(trained) == 2 * 4 and set(needs.predicted_ahead) == trained, "nothing is there: all wait for all rows"

    (tmp_path / home / "untrained").mkdir(parents=True)
    (tmp_path / home / "untrained/stage.json").touch()
    assert trained - set(needs.predicted_ahead) == {f"{home}/untrained"}, "that one is trained already"

    (tmp_path / "results/test/unleaked").touch()
    assert needs.predicted_ahead == [], "no training waits for rows that it is not trained on"
    for manifest in needs.prepared:
        (tmp_path / manifest).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / manifest).touch()
    assert trained - set(needs.predicted_ahead) == {f"{home}/untrained"}


def test_stages_are_made_ahead_of_their_jobs_where_what_they_stand_on_is_to_come(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    planned = study(seeds=[1], tracks__qa__schedules={"english": ["qen"], "sequential": ["qen", "qes", "qfr"]})
    needs, home = Needs(planned), "results/test/tiny/seed1/qa"
    first = f"{home}/worldqa.qen@20"
    second, third = f"{first}/worldqa.qes@20", f"{first}/worldqa.qes@20/worldqa.qfr@20"
    assert set(needs.trained_ahead) == {f"{home}/untrained", second, third}

    def have(path: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()

    have("results/test/tiny/base/stage.json")
    assert set(needs.trained_ahead) == {second, third}, "no process makes the base model any more"
    have(f"{third}/stage.json")
    assert set(needs.trained_ahead) == {second}, "one that is there is made anew by a job of its own"
    (tmp_path / third / "stage.json").unlink()
    have(f"{second}/stage.json")
    assert needs.trained_ahead == [], "what is there is passed over, and so is what stands on it"
    (tmp_path / second / "stage.json").unlink()

    have("results/test/unleaked")
    assert needs.trained_ahead == [], "no training waits for rows that only a later one needs"
    have("data/worldqa/train.qes.json")
    assert needs.trained_ahead == [second], "the next one's rows are still to be prepared"
    have("data/worldqa/train.qfr.json")
    assert set(needs.trained_ahead) == {second, third}
    have(f"{first}/stage.json")
    assert needs.trained_ahead == [third]

    for models in (
        {"hub": "a/b", "revision": "a" * 40},
        {"pretrain": planned.config["models"]["tiny"]["pretrain"], "gpus": 2},
    ):
        assert Needs(study(models={"tiny": models})).trained_ahead == []


def test_what_is_taken_over_itself_makes_nothing_ahead(tmp_path, monkeypatch):
    """A process is told of one stage more here: the third is made by a job of its own, and makes the fourth."""
    monkeypatch.chdir(tmp_path)
    languages = ["qen", "qes", "qfr", "qen"]
    planned = study(
        seeds=[1],
        tracks__qa__schedules={"english": ["qen"], "long": languages},
        tracks__qa__budget={"updates": 60, "tokens": 512},
    )
    first = "results/test/tiny/seed1/qa/worldqa.qen@15"
    stages = [first, *planned.later(first)]
    assert len(stages) == 4
    longest = max(len(canonical_json(planned.node(stage))) for stage in stages)
    monkeypatch.setattr("crosstune.study.expand.MOST_TOLD", 2 * longest)
    assert [len(planned.told_of(stage)) for stage in stages] == [1, 1, 1, 0]
    assert [stage for stage in Needs(planned).trained_ahead if stage in stages] == [stages[1], stages[3]]


def test_every_data_set_that_is_not_pinned_is_named():
    found = on_the_network(one=HUB, two=HUB | {"revision": None}, three={"url": "https://h.org/x.parquet"})
    assert found.unpinned == ["three", "two"]
    with pytest.raises(UserError, match=r"(?s)not pinned to a version: three, two.*snakemake --cores 1 pin"):
        found.check_pins()
    on_the_network(one=HUB).check_pins()


def test_a_plan_needs_no_pins_and_says_what_is_to_come(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = on_the_network(one=HUB, two=HUB | {"revision": None}, three={"url": "https://h.org/x.parquet"})
    unpinned, downloads = found.to_come()
    assert unpinned == "not pinned to a version yet: three, two (snakemake --cores 1 pin)"
    assert downloads.startswith("3 downloads are still to be made")
    assert found.prepare_spec("two", "test", "en")["source"]["revision"] is None
    assert Needs(study()).to_come() == []


def test_what_is_missing_without_a_network_is_told_before_any_job(tmp_path, monkeypatch):
    found = on_the_network(one=HUB, two=HUB | {"config": "{lang}"})
    monkeypatch.chdir(tmp_path)
    found.check_downloads({})
    with pytest.raises(UserError, match=r"(?s)HF_HUB_OFFLINE forbids the network \(3 downloads\).*cores 1 downloads"):
        found.check_downloads({"HF_HUB_OFFLINE": "1"})
    for path in (*found.downloads, "data/two/test.es.json"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    found.check_downloads({"HF_HUB_OFFLINE": "1"})
    # What is prepared needs no download any more.
    (tmp_path / found.raw_inputs("two", "test", "es")[0]).unlink()
    found.check_downloads({"HF_HUB_OFFLINE": "1"})


def test_a_model_is_a_download():
    found = Needs(study(models={"mbert": {"hub": "a/b", "revision": "a" * 40}}))
    assert found.all_downloads == [f"models/a--b@{'a' * 40}/stage.json"]


def test_the_file_of_languages_features(tmp_path):
    """It lies in a folder of the config; languages go by their ISO 639-3 codes; without the key there is none."""
    wanted = {"file": "{mine}/features.npz", "features": ["S_*"]}
    found = Needs(study(distances=wanted, folders={"mine": str(tmp_path)}))
    assert found.distances_file == [f"{tmp_path}/features.npz"]
    with pytest.raises(
        UserError, match=r"(?s)features.npz: no such file of languages' features.*Correct distances.file"
    ):
        found.check_files()
    (tmp_path / "features.npz").touch()
    found.check_files()
    assert found.distances_spec["features"] == ["S_*"]
    assert found.distances_spec["languages"]["qka"] == "qka"
    assert Needs(study()).distances_file == []
    with pytest.raises(UserError, match=r"(?s)need the folder 'mine'.*folders:\n *mine: "):
        Needs(study(distances=wanted)).check_files()


def test_languages_with_two_letters_go_by_their_iso_code():
    assert on_the_network(one=HUB).distances_spec["languages"]["en"] == "eng"


def test_distances_are_in_the_plan_of_a_study_that_wants_them():
    assert "distances" not in plan_of(study())
    assert plan_of(study(distances={"file": "x.csv"}))["distances"] == {
        "file": "x.csv", "features": ["*"], "min_features": 20, "to": "nearest"
    }  # fmt: skip
