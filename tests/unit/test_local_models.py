"""Models in folders of the user's: what makes them, what identifies them, and what is refused before anything runs."""

import json
import os
import shutil
import time

import pytest
import torch
from helpers.study_config import study
from safetensors.torch import load_file, save_file

from crosstune.artifacts.local_model import local_files, local_parameters, local_sha256
from crosstune.artifacts.model_copy import copy_model
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, sha256_file, write_json
from crosstune.core.hash_cache import HashCache
from crosstune.modeling.base_model import check_base_model
from crosstune.modeling.folder import load_network
from crosstune.study.inspection import inspection
from crosstune.study.local_models import check_folders, model_notices, without_folders
from crosstune.study.specs import config_affecting_results

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(write_published, tmp_path):
    """A folder with a tiny model."""
    return write_published(tmp_path / "mine")


@pytest.fixture
def planned(folder, tmp_path, monkeypatch):
    """Plan the test study with the model in the folder, in an empty working folder; keys of the model can be added."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def plan(place=folder, **keys):
        return study(models={"own": {"folder": str(place), **keys}}, tracks__qa__encoding={
            "max_length": 64, "max_question_length": 24, "stride": 16,
        })  # fmt: skip

    return plan


def identity(folder) -> str:
    return local_sha256({name: sha256_file(folder / name) for name in local_files(folder, "here")})


def copied(folder, out):
    copy_model(folder, identity(folder), out, lambda made: check_base_model(made, 64))
    return out


def pickle_weights(folder, name="pytorch_model.bin"):
    torch.save(load_file(folder / WEIGHTS), folder / name)
    (folder / WEIGHTS).unlink()


# --- the copy --------------------------------------------------------------------------------------------------------


def test_the_copy_of_a_model_holds_the_same_weights(folder, tmp_path):
    out = copied(folder, tmp_path / "out")
    assert (out / "model" / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()
    manifest = read_json(out / "stage.json")
    assert manifest["spec"] == {"folder_sha256": identity(folder)}
    assert manifest["weights"] == manifest["files"][WEIGHTS] == sha256_file(folder / WEIGHTS)
    assert sorted(manifest["files"]) == ["config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json"]
    assert sorted(path.name for path in out.iterdir()) == ["model", "stage.json"]


def test_the_copy_stays_when_the_model_is_written_again(folder, tmp_path):
    before = sha256_file(copied(folder, tmp_path / "out") / "model" / WEIGHTS)
    with (folder / WEIGHTS).open("r+b") as file:  # in place, as save_pretrained does
        file.write(b"other")
    assert sha256_file(tmp_path / "out/model" / WEIGHTS) == before


@pytest.mark.parametrize("form", ["pieces", "pickle", "pickled pieces"])
def test_weights_in_other_forms_are_joined(form, write_published, folder, tmp_path):
    expected = load_file(folder / WEIGHTS)
    if form == "pieces":
        shutil.rmtree(folder)
        write_published(folder, max_shard_size="5KB")
        assert len(list(folder.glob("*.safetensors"))) > 2
    elif form == "pickle":
        pickle_weights(folder)
    else:
        half = len(expected) // 2
        parts = {"1.bin": dict(list(expected.items())[:half]), "2.bin": dict(list(expected.items())[half:])}
        for name, tensors in parts.items():
            torch.save(tensors, folder / name)
        places = {tensor: name for name, tensors in parts.items() for tensor in tensors}
        write_json(folder / "pytorch_model.bin.index.json", {"weight_map": places})
        (folder / WEIGHTS).unlink()
    found = load_file(copied(folder, tmp_path / "out") / "model" / WEIGHTS)
    assert found.keys() == expected.keys() and all(found[name].equal(expected[name]) for name in found)


def test_settings_that_ask_for_code_or_bring_heads_are_removed(folder, tmp_path):
    head = {"labels": [], "weights": {"weight": "cls.predictions.bias", "bias": "cls.predictions.bias"}}
    asked = {"auto_map": {"AutoModel": "own.Model", "AutoConfig": "own.Config"}, "crosstune_heads": {"qa": head}}
    (folder / "own.py").write_text("raise SystemExit('ran')")
    write_json(folder / "config.json", read_json(folder / "config.json") | asked)
    made = copied(folder, tmp_path / "out") / "model"
    assert not asked.keys() & read_json(made / "config.json").keys()
    assert "qa" not in load_network(made).tasks


def test_what_the_job_finds_wrong_is_told_of_the_folder(folder, tmp_path):
    tensors = load_file(folder / WEIGHTS)
    removed = next(name for name in tensors if name.endswith("query.weight"))
    save_file({name: tensor for name, tensor in tensors.items() if name != removed}, folder / WEIGHTS, {"format": "pt"})
    with pytest.raises(UserError, match=r"1 of its \d+ weights are missing") as found:
        copied(folder, tmp_path / "out")
    assert found.value.where == str(folder)
    write_json(folder / "config.json", {"model_type": "own"})
    with pytest.raises(UserError, match="cannot load this model") as found:
        copied(folder, tmp_path / "out")
    assert found.value.where == str(folder) and str(tmp_path / "out") not in str(found.value)
    assert not (tmp_path / "out/stage.json").exists()


def test_files_that_change_after_the_plan_are_refused(folder, tmp_path):
    planned = identity(folder)
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    with pytest.raises(UserError, match="have changed since the study was planned"):
        copy_model(folder, planned, tmp_path / "out", lambda made: None)
    assert not (tmp_path / "out/stage.json").exists()


# --- identity --------------------------------------------------------------------------------------------------------


def test_a_moved_model_and_files_beside_it_change_nothing(planned, folder):
    before = planned().checkpoints
    moved = folder.rename(folder.with_name("elsewhere"))
    for name in ("trainer_state.json", "README.md", "optimizer.pt", "eval_results.json", "requirements.txt"):
        (moved / name).write_text("{}")
    os.utime(moved / WEIGHTS)
    assert planned(moved).checkpoints == before
    assert str(moved) not in json.dumps(config_affecting_results(planned(moved).config))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", WEIGHTS])
def test_other_bytes_are_another_model(planned, folder, name):
    before = planned().checkpoints
    content = (folder / name).read_bytes()
    end = content[:-4] + b"1234" if name == WEIGHTS else content + b"\n"
    (folder / name).write_bytes(end)
    after = planned().checkpoints
    assert not before.keys() & {path for path, node in after.items() if node.is_given}
    same = before.keys() & after.keys()
    assert same and all(before[path].spec != after[path].spec for path in same)


def test_a_model_in_a_folder_is_used_and_counted_and_said(planned, folder):
    found = planned()
    (base,) = (node for node in found.checkpoints.values() if node.is_given)
    assert base.path == f"models/own@{identity(folder)[:16]}" and not base.is_fetched
    assert found.config["models"]["own"]["parameters"] == sum(t.numel() for t in load_file(folder / WEIGHTS).values())
    assert list(model_notices(found)) == [f"model own: {folder}, sha256: {identity(folder)}"]


def test_a_study_that_states_the_hash_is_planned_without_the_folder(planned, folder, tmp_path):
    here, stated = planned(), identity(folder)
    assert planned(sha256=stated).checkpoints == here.checkpoints
    there = planned(tmp_path / "nowhere", sha256=stated)
    assert there.checkpoints == here.checkpoints
    with pytest.raises(UserError, match=r"models\.own\.folder: no such folder: .*nowhere"):
        check_folders(there)
    base = next(node for node in there.checkpoints.values() if node.is_given)
    write_json(f"{base.path}/stage.json", {})
    check_folders(there)


def test_a_folder_with_another_model_than_stated_is_refused(planned, folder):
    with pytest.raises(UserError, match=rf"(?s)another model than sha256 states.*sha256: {identity(folder)}"):
        check_folders(planned(sha256="1" * 64))


def test_an_inspection_reads_nothing_of_the_folder():
    config = {"models": {"own": {"folder": "/no/such/folder"}, "tiny": {"pretrain": {}}}}
    assert without_folders(config)["models"]["own"]["sha256"]
    models = without_folders({"models": {"own": {"folder": "/no/such/folder"}}})["models"]
    lines = list(inspection(study(models=models)))
    assert "  /no/such/folder" in lines[lines.index("reads the models in the folders:") :]
    for invalid in ({}, {"models": None}, {"models": {"own": 1}}):
        assert without_folders(invalid) == invalid


# --- what is refused -------------------------------------------------------------------------------------------------

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1000\n"


def cut(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-10])


def shard(folder):
    (folder / WEIGHTS).unlink()
    write_json(folder / f"{WEIGHTS}.index.json", {"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}})
    save_file({"a": torch.ones(1)}, folder / "1.safetensors")


def nest(folder):
    (folder / "0_Transformer").mkdir()
    for path in [path for path in folder.iterdir() if path.is_file()]:
        path.rename(folder / "0_Transformer" / path.name)


def adapt(folder):
    write_json(folder / "adapter_config.json", {"base_model_name_or_path": "xlm-roberta-base", "peft_type": "LORA"})


FAULTS = {
    "missing": (shutil.rmtree, "no such folder: "),
    "empty": (lambda f: [path.unlink() for path in f.iterdir()], r"has no config\.json and weights: .*It has: no file"),
    "no config": (lambda f: (f / "config.json").unlink(), r"has no config\.json: .*It has: model\.safetensors, tok"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), r"has no weights: .*It needs config\.json, model\.safetensors or"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), r"has no tokenizer: .*tokenizer\.save_pretrained\("),
    "adapter": (adapt, r"has an adapter \(LoRA\) instead of .*with xlm-roberta-base, .*merge_and_unload\(\)"),
    "nested": (nest, r"has no config\.json and weights: .*There is one below it:\n  folder: .*/mine/0_Transformer"),
    "pointer": (lambda f: (f / WEIGHTS).write_text(POINTER), r"a pointer of Git LFS.*git -C .*/mine lfs pull"),
    "tokenizer pointer": (lambda f: (f / "tokenizer.json").write_text(POINTER), r"a pointer of Git LFS.*tokenizer\.j"),
    "config pointer": (lambda f: (f / "config.json").write_text(POINTER), r"a pointer of Git LFS.*config\.json"),
    "cut weights": (cut, r"has [\d,]+ bytes and says that it has [\d,]+: .*It was not copied to its end"),
    "no safetensors": (lambda f: (f / WEIGHTS).write_bytes(b"x" * 99), "no file of safetensors: .*Copy or save"),
    "empty weights": (lambda f: (f / WEIGHTS).write_bytes(b""), "no file of safetensors: "),
    "missing piece": (shard, r"a piece of the weights is missing: .*/2\.safetensors.*names 2 pieces"),
    "list of nothing": (
        lambda f: (shard(f), write_json(f / f"{WEIGHTS}.index.json", {"a": 1})), "no list of the pieces of weights",
    ),
    "no JSON": (lambda f: (f / "config.json").write_text("{"), r"not valid JSON \(.*config\.json"),
    "no mapping": (lambda f: (f / "config.json").write_text("[]"), r"expected a mapping: .*config\.json"),
    "no model": (lambda f: (f / "config.json").write_text("{}"), r"for lack of model_type: .*Save the model with"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_without_a_usable_model_is_refused_when_the_study_is_planned(fault, folder, planned):
    spoil, message = FAULTS[fault]
    spoil(folder)
    with pytest.raises(UserError, match=f"(?s){message}") as found:
        planned()
    assert found.value.where == "models.own.folder"
    assert str(folder) in found.value.message and str(found.value).count("\n") <= 3


def test_a_file_instead_of_a_folder_is_refused(folder, planned):
    with pytest.raises(UserError, match=rf"(?s)expected a folder with a model, found a file: .*folder: {folder}"):
        planned(folder / WEIGHTS)


def test_a_relative_folder_starts_at_the_working_folder(folder, planned, tmp_path):
    assert planned("../mine").checkpoints == planned().checkpoints
    with pytest.raises(UserError, match=f"no such folder: mine\n  A relative path starts at {tmp_path / 'work'}"):
        planned("mine")


def test_too_few_positions_are_told_when_the_study_is_planned(folder, planned):
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"max_position_embeddings": 32})
    with pytest.raises(UserError, match=r"models\.own: the study's longest sequence has 64 tokens"):
        planned()


def test_a_folder_of_sentence_transformers_gives_its_encoder_and_says_so(folder, planned):
    write_json(folder / "modules.json", [{"path": "", "type": "t"}, {"path": "1_Pooling", "type": "p"}])
    (_, remark) = model_notices(planned())
    assert "sentence-transformers: the encoder alone is used, without 1_Pooling" in remark


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"hub": "a/b", "revision": "0" * 40}, "expected exactly one of: hub; folder; pretrain"),
        ({"sha256": "main"}, r"models\.own\.sha256: 'main' is not allowed"),
    ],
)
def test_keys_that_contradict_a_folder_are_refused(planned, keys, message):
    with pytest.raises(UserError, match=message):
        planned(**keys)


def test_a_hash_without_a_folder_is_refused():
    with pytest.raises(UserError, match=r"models\.own.*'sha256' has no effect without folder"):
        study(models={"own": {"hub": "a/b", "revision": "0" * 40, "sha256": "0" * 64}})


def test_pickled_weights_are_not_counted(folder):
    pickle_weights(folder)
    assert local_parameters(folder, local_files(folder, "here"), "here") is None


# --- remembered hashes -----------------------------------------------------------------------------------------------


@pytest.fixture
def old_file(tmp_path):
    """A file that was written an hour ago."""
    file = tmp_path / "large"
    file.write_bytes(b"some content")
    os.utime(file, (time.time() - 3600,) * 2)
    return file


@pytest.fixture
def reads(monkeypatch):
    """The files whose content is hashed from now on."""
    read = []
    monkeypatch.setattr("crosstune.core.hash_cache.sha256_file", lambda path: read.append(path) or sha256_file(path))
    return read


def test_an_old_file_is_read_once(old_file, reads, tmp_path):
    for _ in range(3):
        assert HashCache(tmp_path / "hashes.json").sha256(old_file) == [sha256_file(old_file)]
    assert reads == [old_file]


def test_a_new_file_is_read_again(old_file, reads, tmp_path):
    os.utime(old_file)
    for _ in range(2):
        HashCache(tmp_path / "hashes.json").sha256(old_file)
    assert len(reads) == 2, "it may change within the resolution of its time"


def test_a_file_of_the_same_size_and_time_is_read_again(old_file, tmp_path):
    cache, status = HashCache(tmp_path / "hashes.json"), old_file.stat()
    before = cache.sha256(old_file)
    old_file.write_bytes(b"some CONTENT")
    os.utime(old_file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert cache.sha256(old_file) == [sha256_file(old_file)] != before


@pytest.mark.parametrize("content", ["", "[]", "{", '{"%s": {"label": 1}}'])
def test_a_damaged_memory_of_hashes_costs_time_alone(old_file, tmp_path, content):
    (tmp_path / "hashes.json").write_text(content.replace("%s", str(old_file)))
    assert HashCache(tmp_path / "hashes.json").sha256(old_file) == [sha256_file(old_file)]
