"""Model cards: metadata that the hub's library reads back, text that is true, folders that plain transformers loads."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.study_config import ROOT, study
from helpers.study_results import LANGUAGES, plan, read, write_study
from huggingface_hub import ModelCard
from huggingface_hub.utils import validate_repo_id
from hypothesis import given
from hypothesis import strategies as st

from crosstune.analysis.results import StudyResults
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, write_json
from crosstune.reporting.cards.checkpoint_facts import CheckpointFacts, kept_checkpoints
from crosstune.reporting.cards.model_card import card_data, eval_results, model_card, repository, upload_line
from crosstune.reporting.cards.write import write_cards
from crosstune.study.plan import plan_of
from crosstune.study.retention import RetentionPolicy

HUB = {"hub": "google-bert/bert-base-multilingual-cased", "revision": "a" * 40}
JOINT = "tiny/seed1/qa/worldqa.qen+worldqa.qes@200"
SEQUENTIAL = "tiny/seed1/qa/worldqa.qen@100/worldqa.qes@100"


def carded(**changes) -> dict:
    """The plan of the small study with cards, licences of its data, and other keys."""
    cited = [{"what": "data set", "name": "worldqa", "title": "Questions | <b>", "licence": "CC0-1.0"}]
    cards = {"owner": "me", "licence": "mit", "models": {"tiny": HUB}}
    return plan() | {"cited": cited, "model_cards": cards} | copy.deepcopy(changes)


def write_checkpoint(folder: Path, path: str, architecture: str = "BertForQuestionAnswering") -> None:
    """Manifest, config and something in place of weights."""
    lineage = {"worldqa.qen": {"examples": 1200, "tokens": 40000}, "worldqa.qes": {"examples": 7, "tokens": 9}}
    spec = {"recipe": {"lr": 3e-5}, "tokens": 512}
    manifest = {"weights": "f" * 64, "updates": 100, "lineage": lineage, "precision": "bf16", "spec": spec}
    write_json(folder / path / "stage.json", manifest)
    write_json(folder / path / "model/config.json", {"architectures": [architecture], "crosstune_heads": {"qa": {}}})
    (folder / path / "model/model.safetensors").write_bytes(b"weights")


@pytest.fixture
def folder(tmp_path) -> Path:
    """The results of the small study with cards, two checkpoints of which have weights; rows are of the hub."""
    results = tmp_path / "results/small"
    write_study(results, carded())
    for path in (JOINT, SEQUENTIAL, SEQUENTIAL.rpartition("/")[0]):
        write_checkpoint(results, path)
    origin = {"hub": "me/worldqa", "revision": "b" * 40, "file": "x"}
    for language in LANGUAGES:
        for split in ("train", "test"):
            manifest = {"task": "qa", "sources": [origin]}
            write_json(tmp_path / f"data/worldqa/{split}.{language}.json", manifest)
    return results


def facts(results: Path, path: str = JOINT, study: StudyResults | None = None) -> CheckpointFacts:
    study = study or read(results)
    return next(own for own in kept_checkpoints(study, results, results.parents[1] / "data", False) if own.path == path)


# --- metadata --------------------------------------------------------------------------------------------------------


def test_the_library_reads_back_what_it_wrote(folder):
    own = facts(folder)
    found = ModelCard(str(model_card(own))).data
    assert found.to_dict() == card_data(own).to_dict()
    assert sorted(found.eval_results, key=repr) == sorted(eval_results(own), key=repr)
    assert (found.base_model, found.license, found.library_name) == (HUB["hub"], "mit", "transformers")
    assert found.datasets == ["me/worldqa"] and found.pipeline_tag == "question-answering"
    assert found.metrics == ["exact_match", "f1"] and found.model_name == "small-tiny-qa-joint-seed1"


def test_every_score_is_a_result_with_its_origin(folder):
    results = {(own.dataset_config, own.metric_type): own for own in eval_results(facts(folder))}
    assert {key: own.metric_value for key, own in results.items()} == {
        ("qen", "f1"): 45, ("qes", "f1"): 44, ("qna", "f1"): 30, ("qix", "f1"): 8,
        ("qen", "exact_match"): 22.5, ("qes", "exact_match"): 22, ("qna", "exact_match"): 15, ("qix", "exact_match"): 4,
    }  # fmt: skip
    one = results["qna", "f1"]
    assert (one.dataset_type, one.dataset_revision, one.dataset_split) == ("me/worldqa", "b" * 40, "test")
    assert one.task_type == "question-answering" and one.dataset_name == "worldqa, Naish (qna)"


def test_what_is_unknown_is_left_out(folder):
    whole = carded(model_cards={"models": {}})
    whole["languages"] |= {code: whole["languages"][code] | {"synthetic": True} for code in LANGUAGES}
    write_json(folder / "plan.json", whole)
    for path in (folder.parents[1] / "data/worldqa").iterdir():
        write_json(path, {"task": "qa", "sources": [{"file": "x"}]})
    found = ModelCard(str(model_card(facts(folder)))).data.to_dict()
    assert not {"base_model", "license", "datasets", "language"} & set(found)
    assert found["model-index"][0]["results"][0]["dataset"]["type"] == "worldqa"
    text = str(model_card(facts(folder)))
    assert "No licence is declared" in text and "invented" in text and "hf upload YOUR-NAME/" in text


def test_languages_are_codes_of_the_hub(folder):
    manifest = read_json(folder / JOINT / "stage.json")
    lineage = {f"worldqa.{code}": {"examples": 1, "tokens": 1} for code in ("zh_cn", "sw", "zh_tw", "klingon")}
    write_json(folder / JOINT / "stage.json", manifest | {"lineage": lineage})
    assert card_data(facts(folder)).language == ["qen", "qes", "sw", "zh"]


@given(st.text(min_size=1, max_size=80), st.text(min_size=1, max_size=80))
def test_the_hub_takes_the_name_of_every_repository(name, schedule):
    whole = carded(study=name or "s", model_cards={"models": {}})
    run = next(run for run in whole["runs"] if run["stages"][-1] == JOINT)
    own = StudyResults(whole, {}, {})
    facts = CheckpointFacts(own, Path("r"), Path("d"), JOINT, ((run | {"schedule": schedule}, 0),))
    validate_repo_id(repository(facts))


# --- text ------------------------------------------------------------------------------------------------------------


def test_the_text_tells_of_stages_data_scores_and_hashes(folder):
    text = str(model_card(facts(folder, SEQUENTIAL)))
    assert f"[{HUB['hub']}](https://huggingface.co/{HUB['hub']}) at `{'a' * 40}`" in text
    assert "fine-tuned on qen → qes" in text and "Schedule sequential, track `qa`, seed 1" in text
    assert re.search(r"\| 2 +\| worldqa.qes +\| +100 \| +512 \| +3e-05 \| +bf16 \|", text)
    assert re.search(r"\| worldqa.qen +\| +1,200 \| +40,000 \|", text)
    assert re.search(r"\| Naish \(qna\) +\| +no \| +18.0 \|", text) and "f" * 64 in text
    assert "AutoModelForQuestionAnswering.from_pretrained" in text
    # A title is no markup of the page.
    assert r"Questions \| &#60;b>" in text and "<b>" not in text


def test_a_stage_before_the_last_and_shared_stages_say_so(folder):
    own = facts(folder, SEQUENTIAL.rpartition("/")[0])
    text = str(model_card(own))
    assert own.name == "small-tiny-qa-sequential-seed1-stage1" and "after stage 1 of 2" in text


def test_display_names_are_in_the_text_and_the_keys_in_the_metadata(folder):
    names = {"schedules": {"joint": "All at once"}, "languages": {"qna": "Northern"}, "models": {"tiny": "Tiny BERT"}}
    write_json(folder / "plan.json", carded(names=names))
    card = model_card(facts(folder))
    assert "Schedule All at once" in card.text and "| Northern" in card.text and "Tiny BERT" in card.text
    assert card.data.model_name == "small-tiny-qa-joint-seed1"
    assert {own.dataset_config for own in card.data.eval_results} == set(LANGUAGES)


def test_a_model_without_a_class_of_transformers_says_what_loads(folder):
    write_checkpoint(folder, JOINT, "BertModel")
    text = str(model_card(facts(folder)))
    assert "AutoModel.from_pretrained" in text and "has no class for the head" in text
    assert "pipeline_tag" not in text


def test_the_upload_line_is_one_command_of_the_folder(folder):
    line = upload_line(facts(folder))
    assert line.startswith("hf upload me/small-tiny-qa-joint-seed1 ") and line.endswith(
        "--exclude .snakemake_timestamp"
    )
    assert f" {folder / JOINT / 'model'} . " in line
    spaced = CheckpointFacts(facts(folder).study, Path("my results"), Path("d"), JOINT, facts(folder).uses)
    assert "'my results/" in upload_line(spaced)


# --- files -----------------------------------------------------------------------------------------------------------


def test_cards_lie_beside_kept_weights_alone(folder):
    data, out = folder.parents[1] / "data", folder / "model_cards.json"
    paths = write_cards(read(folder), folder, data, out)
    assert {str(path.relative_to(folder)) for path in paths} == {
        f"{path}/model/README.md" for path in (JOINT, SEQUENTIAL, SEQUENTIAL.rpartition("/")[0])
    }
    listed = read_json(out)["cards"]
    assert {own["checkpoint"] for own in listed} == {JOINT, SEQUENTIAL, SEQUENTIAL.rpartition("/")[0]}
    assert all(own["upload"].startswith("hf upload me/") for own in listed)
    assert len(write_cards(read(folder), folder, data, out, final=True)) == 2
    before = {path: path.read_bytes() for path in paths}
    write_cards(read(folder), folder, data, out)
    assert {path: path.read_bytes() for path in paths} == before


def test_the_program_needs_no_network_and_ends_with_one_message(folder):
    command = [sys.executable, str(ROOT / "scripts/model_cards.py"), "--plan", str(folder / "plan.json")]
    command += ["--results", str(folder), "--data", str(folder.parents[1] / "data")]
    command += ["--out", str(folder / "model_cards.json")]
    environment = {"HF_HUB_OFFLINE": "1", "PATH": "/usr/bin"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert not done.returncode and not done.stderr
    write_json(folder / "plan.json", plan())
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode and "asks for no cards" in done.stderr and "Traceback" not in done.stderr


def test_without_any_weights_there_is_one_message(folder):
    for path in folder.rglob("model.safetensors"):
        path.unlink()
    with pytest.raises(UserError, match="no checkpoint has weights"):
        write_cards(read(folder), folder, folder, folder / "out.json")


@pytest.mark.parametrize(
    ("head", "labels", "loader", "architecture"),
    [
        ("qa", [], "AutoModelForQuestionAnswering", "BertForQuestionAnswering"),
        ("tagging.pos", ["NOUN", "VERB", "X"], "AutoModelForTokenClassification", "BertForTokenClassification"),
    ],
)
def test_the_folder_with_its_card_loads_in_plain_transformers(
    folder, new_network, tokenizer_folder, head, labels, loader, architecture
):
    import transformers

    from crosstune.modeling.folder import save_network

    network = new_network()
    network.add_head(head, labels)
    save_network(network, folder / JOINT / "model", tokenizer_folder, head)
    write_cards(read(folder), folder, folder.parents[1] / "data", folder / "model_cards.json")
    model, notes = getattr(transformers, loader).from_pretrained(folder / JOINT / "model", output_loading_info=True)
    assert type(model).__name__ == architecture and not notes["missing_keys"] and not notes["mismatched_keys"]
    if labels:
        assert [model.config.id2label[n] for n in range(len(labels))] == labels
    transformers.AutoTokenizer.from_pretrained(folder / JOINT / "model")
    card = ModelCard.load(folder / JOINT / "model/README.md")
    assert f"import {loader}, AutoTokenizer" in card.text


# --- the study -------------------------------------------------------------------------------------------------------


def test_the_plan_has_owner_licence_and_the_origin_of_models():
    assert "model_cards" not in plan_of(study())
    hub = study(models={"mbert": HUB | {"parameters": 10}}, model_cards={"owner": "me"})
    assert plan_of(hub)["model_cards"] == {"owner": "me", "models": {"mbert": HUB}}
    assert plan_of(study(model_cards={}))["model_cards"] == {"models": {}}


def test_the_key_changes_no_spec_and_needs_weights():
    plain, changed = study(), study(model_cards={"licence": "mit"})
    assert [node.spec for node in plain.checkpoints.values()] == [node.spec for node in changed.checkpoints.values()]
    with pytest.raises(UserError, match="no weights to write cards for") as error:
        plan_of(study(model_cards={}, keep_weights="none"))
    assert error.value.where == "model_cards"


def test_the_licence_of_a_base_model_is_for_cards_alone():
    plain, licensed = study(), study(model_cards={}, models__tiny__licence="mit")
    assert plan_of(licensed)["model_cards"] == {"models": {"tiny": {"licence": "mit"}}}
    assert [node.spec for node in plain.checkpoints.values()] == [node.spec for node in licensed.checkpoints.values()]
    with pytest.raises(UserError, match=r"models.tiny.licence"):
        study(models__tiny__licence="My Licence")


@pytest.mark.parametrize("keys", [{"owner": "a/b"}, {"owner": ""}, {"licence": "My Licence"}, {"license": "mit"}])
def test_other_values_are_refused(keys):
    with pytest.raises(UserError, match="model_cards"):
        study(model_cards=keys)


def test_only_kept_checkpoints_are_asked_for():
    every, final = (RetentionPolicy(study(keep_weights=kept)).with_cards for kept in ("all", "final"))
    last = {run.stages[-1] for run in study().runs}
    assert set(final) == last and set(final) < set(every)
