"""Adapters in a plan: specs, sizes, and mistakes that are told before any job."""

import re
from dataclasses import asdict

import pytest
import torch
from helpers.study_config import ROOT, study
from safetensors.torch import save_file

from crosstune.core.errors import UserError
from crosstune.study import adapters
from crosstune.study.adapters import check_installed, size_of, stored_parameters
from crosstune.study.model_size import Size
from crosstune.study.resources import training
from crosstune.study.retention import RetentionPolicy
from crosstune.study.summary import summary

LORA = {"rank": 4, "alpha": 8, "targets": ["value", "query"]}
# Four matrices of rank 4 for a model of width 32 and one layer.
PARAMETERS = 4 * 4 * 32


def test_only_a_model_with_adapters_has_them_in_its_specs():
    tiny = study().config["models"]["tiny"]
    found = study(models__adapted=tiny | {"lora": LORA})
    specs = {name: [] for name in ("tiny", "adapted")}
    for node in found.checkpoints.values():
        if node.parents:
            specs[node.location.model].append(node.spec)
    assert specs["tiny"] == [node.spec for node in study().checkpoints.values() if node.parents]
    expected = {"rank": 4, "alpha": 8, "targets": ["query", "value"], "dropout": 0.0, "stages": "continue"}
    assert all(spec["lora"] == expected for spec in specs["adapted"])
    bases = [node.spec for node in found.checkpoints.values() if not node.parents]
    assert bases[0] == bases[1], "the base model is pretrained whole"


@pytest.mark.parametrize(
    ("lora", "where", "message", "fix"),
    [
        (LORA | {"targets": ["q_proj"]}, ".targets", "no linear layer 'q_proj'; its layers are dense, key",
         "targets: [query, value]"),
        (LORA | {"targets": ["all-linear"]}, ".targets", "all-linear means all linear layers",
         "targets: all-linear"),
        (LORA | {"targets": ["word_embeddings"]}, ".targets", "no linear layer 'word_embeddings'", "targets: "),
        ({"r": 8}, "", "unknown key 'r'", "rank"),
        (LORA | {"rank": 0}, ".rank", "0 does not fit", "lora: {rank: 8"),
        (LORA | {"stages": "new"}, ".stages", "'new'", "continue"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_key_is_one_message(lora, where, message, fix):
    with pytest.raises(UserError, match=message) as caught:
        study(models__tiny__lora=lora)
    assert caught.value.where == f"models.tiny.lora{where}" and fix in caught.value.fix + caught.value.message


def test_moments_of_a_merged_adapter_are_of_no_use():
    changes = {"tracks__qa__recipe": {"optimizer": "carry"}}
    study(models__tiny__lora=LORA, **changes)
    with pytest.raises(UserError, match="optimizer: carry has no use") as caught:
        study(models__tiny__lora=LORA | {"stages": "merge"}, **changes)
    assert caught.value.fix == "models.tiny.lora: {stages: continue}"


def test_a_recipe_that_freezes_parts_has_no_use():
    with pytest.raises(UserError, match="tiny trains adapters alone") as caught:
        study(models__tiny__lora=LORA, tracks__qa__recipe={"freeze": {"embeddings": True}})
    assert caught.value.where == "tracks.qa"


def test_a_study_whose_adapters_cannot_be_trained_here_is_told_what_to_install(monkeypatch):
    found = study(models__tiny__lora=LORA)
    check_installed(found)
    monkeypatch.setattr("crosstune.artifacts.adapter.find_spec", lambda name: None)
    with pytest.raises(UserError, match="peft, which is not installed") as caught:
        check_installed(found)
    assert caught.value.where == "models.tiny.lora"
    requirement = re.search(r"^(peft==\S+)", (ROOT / "envs/requirements.lock").read_text(), re.MULTILINE)[1]
    assert caught.value.fix == f"pip install {requirement}"
    check_installed(study())
    monkeypatch.setattr(adapters, "find_spec", lambda name: None)
    check_installed(found)  # without torch, jobs run elsewhere


def test_the_plan_tells_what_adapters_take():
    found = study(models__tiny__lora=LORA)
    line = next(line for line in summary(found, RetentionPolicy(found)) if line.startswith("model tiny"))
    assert f"about {PARAMETERS} of 40,992 parameters besides heads" in line
    sizes = {"tiny": size_of(found.config, "tiny")}
    stages = [node for node in found.checkpoints.values() if node.parents]
    assert {stored_parameters(found, node, sizes) for node in stages} == {PARAMETERS + 2 * 32}


def test_an_average_takes_the_matrices_of_its_members():
    found = study(models__tiny__lora=LORA, tracks__qa__schedules={"mean": {"average": [["qen"], ["qes"], ["qfr"]]}})
    sizes = {"tiny": size_of(found.config, "tiny")}
    mean = next(node for node in found.checkpoints.values() if "average" in node.spec)
    assert stored_parameters(found, mean, sizes) == 3 * (PARAMETERS + 2 * 32)


def test_merged_adapters_stay_where_the_weights_of_earlier_stages_go():
    for keep, times in (("all", 1), ("final", 3)):
        found = study(models__tiny__lora=LORA | {"stages": "merge"}, keep_weights=keep)
        last = max(found.checkpoints.values(), key=lambda node: len(node.path.split("/")))
        stored = stored_parameters(found, last, {"tiny": size_of(found.config, "tiny")})
        assert stored == times * PARAMETERS + 2 * 32


def test_the_layers_of_a_folder_are_read_there(write_published, tmp_path):
    folder = write_published(tmp_path / "model")
    short = {"tracks__qa__encoding": {"max_length": 64, "stride": 16, "max_question_length": 16}}

    def adapter(**lora) -> int:
        found = study(models={"mine": {"folder": str(folder), "lora": LORA | lora}}, **short)
        return size_of(found.config, "mine").adapter

    # Two layers of width 16, each with four square matrices and two of 16 and 32.
    assert adapter() == 4 * 2 * 2 * (16 + 16)
    assert adapter(targets="all-linear") == 4 * 2 * (4 * (16 + 16) + 2 * (16 + 32))
    with pytest.raises(UserError, match="no linear layer 'q_lin'"):
        adapter(targets=["q_lin"])


def test_the_layers_of_a_hub_model_are_estimated_until_it_is_fetched(tmp_path, monkeypatch):
    hub = {"hub": "a/b", "revision": "0" * 40, "parameters": 559_890_432}
    config = study(models={"large": hub | {"lora": LORA}}).config
    exact = 4 * 24 * 2 * 2 * 1024
    assert exact < size_of(config, "large").adapter < 3 * exact
    monkeypatch.chdir(tmp_path)
    weights = tmp_path / f"models/a--b@{'0' * 40}/model/model.safetensors"
    weights.parent.mkdir(parents=True)
    names = [
        f"roberta.encoder.layer.{n}.attention.self.{part}.weight" for n in range(24) for part in ("query", "value")
    ]
    save_file({name: torch.zeros(8, 8) for name in names}, weights)
    assert size_of(config, "large").adapter == 4 * 48 * 16


def test_a_training_of_adapters_requests_less():
    whole = Size(10**9, 1, 1, 0)
    adapted = Size(**asdict(whole) | {"adapter": 10**6})
    one, two = (training(size, 10, 1000, 0, 1) for size in (whole, adapted))
    assert two.mib < one.mib / 2 and two.seconds < 0.75 * one.seconds
