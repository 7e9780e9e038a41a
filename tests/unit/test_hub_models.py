"""Models of the hub: their files are chosen and converted, and none of their code is run."""

import ast
import os
import pickle
import resource
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from hub_server import Repository, sha256
from safetensors.torch import load_file, save_file

from crosstune.artifacts.model_config import LOCAL
from crosstune.artifacts.model_files import model_files, weights_files
from crosstune.artifacts.model_folder import join_weights, write_model
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, write_json
from crosstune.data.download.cached_models import is_model_cached
from crosstune.data.download.hub_models import fetch_model
from crosstune.modeling.base_model import check_base_model
from crosstune.modeling.folder import load_network
from crosstune.modeling.weight_names import SAVED_SCALE

SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_the_files_of_a_model_are_chosen_by_name():
    names = ["README.md", "config.json", "modeling.py", "model.safetensors", "onnx/config.json", "pytorch_model.bin"]
    names += ["sentencepiece.bpe.model", "tf_model.h5", "vocab.txt"]
    assert model_files(names, "m") == ["config.json", "sentencepiece.bpe.model", "vocab.txt", "model.safetensors"]
    assert model_files(["config.json", "pytorch_model.bin"], "m") == ["config.json", "pytorch_model.bin"]


def test_a_list_of_pieces_stands_for_weights(tmp_path):
    index = "model.safetensors.index.json"
    names = model_files(["config.json", "pytorch_model.bin", index, "tokenizer.json"], "m")
    assert names == ["config.json", "tokenizer.json", index]
    write_json(
        tmp_path / index, {"weight_map": {"a": "two.safetensors", "b": "one.safetensors", "c": "two.safetensors"}}
    )
    assert weights_files(names, tmp_path) == ["one.safetensors", "two.safetensors"]


@pytest.mark.parametrize("names", [["config.json", "tf_model.h5"], ["model.safetensors"], []])
def test_a_repository_without_model_files_is_refused(names):
    with pytest.raises(UserError, match=r"m: expected config\.json and model\.safetensors or .*, found"):
        model_files(names, "m")


def test_pickled_tensors_keep_their_names_and_values(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)
    torch.save({"embeddings": shared, "decoder": shared, "turned": shared.T}, tmp_path / "pytorch_model.bin")
    join_weights([tmp_path / "pytorch_model.bin"], tmp_path / "model.safetensors")
    found = load_file(tmp_path / "model.safetensors")
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        "embeddings": [[0, 1, 2], [3, 4, 5]], "decoder": [[0, 1, 2], [3, 4, 5]], "turned": [[0, 3], [1, 4], [2, 5]],
    }  # fmt: skip


def test_pieces_of_both_kinds_are_joined(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "1.safetensors")
    torch.save({"b": torch.zeros(3)}, tmp_path / "2.bin")
    join_weights([tmp_path / "1.safetensors", tmp_path / "2.bin"], tmp_path / "model.safetensors")
    assert {name: value.tolist() for name, value in load_file(tmp_path / "model.safetensors").items()} == {
        "a": [1, 1], "b": [0, 0, 0],
    }  # fmt: skip


class Foreign:
    """An object whose pickle runs code when it is loaded without weights_only."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, 2))])
def test_code_in_a_pickle_is_not_run(tmp_path, save):
    save({"weight": Foreign(tmp_path / "ran")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"(?s)more than tensors.*A pickle can run any code"):
        join_weights([tmp_path / "pytorch_model.bin"], tmp_path / "model.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["pytorch_model.bin"]


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"weight": torch.zeros(1), "note": "text"}])
def test_a_pickle_without_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="not tensors by name"):
        join_weights([tmp_path / "pytorch_model.bin"], tmp_path / "model.safetensors")
    (tmp_path / "pytorch_model.bin").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="damaged or holds more than tensors"):
        join_weights([tmp_path / "pytorch_model.bin"], tmp_path / "model.safetensors")


def compressed_pickle(path):
    """A file of torch's, with its tensors compressed."""
    torch.save({"a": torch.zeros(10_000_000)}, path.with_suffix(".stored"))
    with zipfile.ZipFile(path.with_suffix(".stored")) as stored, zipfile.ZipFile(path, "w", 8) as packed:
        for name in stored.namelist():
            packed.writestr(name, stored.read(name))
    path.with_suffix(".stored").unlink()


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: torch.save({"a": torch.zeros(1).expand(100_000, 100_000)}, path), "unpack to 40,000,000,000"),
        (lambda path: torch.save({f"a{n}": torch.zeros(500_000) for n in range(2)} | {  # shared by many names
            f"b{n}": shared for shared in [torch.zeros(500_000)] for n in range(99)}, path), "unpack to"),
        (compressed_pickle, "unpack to"),
        (lambda path: torch.save({"a": torch.zeros(9, 9).to_sparse()}, path), "sparse"),
    ],
    ids=["stride 0", "many names", "compressed", "sparse"],
)  # fmt: skip
def test_weights_are_as_many_as_their_file_holds(tmp_path, write, message):
    write(tmp_path / "pytorch_model.bin")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=message):
        join_weights([tmp_path / "pytorch_model.bin"], tmp_path / "model.safetensors")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kB"
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("key", ["num_hidden_layers", "num_labels", "max_position_embeddings"])
def test_a_config_with_numbers_of_no_model_is_refused(tmp_path, key):
    write_json(tmp_path / "config.json", {"model_type": "bert", "vocab_size": 9, key: 3_000_000})
    with pytest.raises(UserError, match=f"{key}: 3,000,000"):
        write_model(tmp_path, ["config.json", "model.safetensors"], tmp_path / "model")


def test_a_model_has_a_weight_for_each_layer(tmp_path, write_published):
    folder = write_published(tmp_path / "model")
    check_base_model(folder, 32)
    write_json(folder / "config.json", read_json(folder / "config.json") | {"num_hidden_layers": 9000})
    with pytest.raises(UserError, match="num_hidden_layers: 9,000"):
        check_base_model(folder, 32)


def test_a_model_is_written_through_no_planted_link(tmp_path, write_published):
    folder, victim = write_published(tmp_path / "theirs"), tmp_path / "victim"
    victim.write_text("precious")
    names = [path.name for path in folder.iterdir()]
    (tmp_path / "out").mkdir()
    for name in names:
        (tmp_path / "out" / name).symlink_to(victim)
    write_model(folder, names, tmp_path / "out")
    assert victim.read_text() == "precious" and (tmp_path / "out/config.json").is_file()
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    write_model(folder, names, tmp_path / "out")
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}, "needs the repository's own code"),
        ({"model_type": "own"}, "cannot load this model: .*own"),
    ],
)
def test_a_model_outside_transformers_is_refused(tmp_path, config, message):
    write_json(tmp_path / "config.json", config)
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(UserError, match=f"(?s){message}"):
        write_model(tmp_path, ["config.json", "model.safetensors"], tmp_path / "model")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", [{"model_type": "bert"}, {"model_type": "roberta"}, {"model_type": "xlm-roberta"}])
def test_a_model_without_tokenizer_is_refused(tmp_path, kind):
    write_json(tmp_path / "config.json", kind)
    write_json(tmp_path / "tokenizer_config.json", {"do_lower_case": False})
    with pytest.raises(UserError, match=r"no tokenizer; its files would be .*tokenizer\.json"):
        write_model(tmp_path, ["config.json", "model.safetensors", "tokenizer_config.json"], tmp_path / "model")


# --- from a hub ------------------------------------------------------------------------------------------------------

COMMIT = sha256(b"commit")[:40]


@pytest.fixture
def fetched(hub, write_published, tmp_path):
    """Fetch a tiny model from a hub after a change of its files; its folder."""

    def run(check, change=lambda folder: None, **options):
        source = write_published(tmp_path / "published", **options)
        change(source)
        hub.add(Repository("models", "t/m", {COMMIT: {path.name: path.read_bytes() for path in source.iterdir()}}))
        fetch_model("t/m", COMMIT, tmp_path / "m", check)
        return tmp_path / "m"

    return run


def test_weights_in_pieces_are_fetched_and_joined(fetched):
    pieces = []
    checked = []
    folder = fetched(checked.append, lambda source: pieces.extend(source.glob("*.safetensors")), max_shard_size="5KB")
    assert len(pieces) > 2 and checked == [folder / "model"]
    expected = {name: tensor for piece in pieces for name, tensor in load_file(piece).items()}
    found = load_file(folder / "model/model.safetensors")
    assert found.keys() == expected.keys() and all(found[name].equal(expected[name]) for name in found)
    assert read_json(folder / "stage.json")["weights"] == sha256((folder / "model/model.safetensors").read_bytes())


def test_a_model_outlives_the_cache_and_leaves_nothing_else(fetched, tmp_path):
    folder = fetched(lambda folder: None)
    weights = sha256((folder / "model/model.safetensors").read_bytes())
    shutil.rmtree(tmp_path / "cache")
    assert sorted(path.name for path in folder.iterdir()) == ["model", "stage.json"]
    assert read_json(folder / "stage.json")["weights"] == weights
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    assert load_network(folder / "model")


@pytest.mark.parametrize("options", [{}, {"max_shard_size": "5KB"}])
def test_a_model_in_the_cache_is_made_without_a_network(fetched, hub, tmp_path, monkeypatch, options):
    """A program of the user's has downloaded it, without the list of its files."""
    from huggingface_hub import constants, hf_hub_download

    assert not is_model_cached("t/m", COMMIT)
    first = fetched(lambda folder: None, **options)
    kept = (first / "model/model.safetensors").read_bytes()
    shutil.rmtree(first)
    shutil.rmtree(tmp_path / "cache")
    for name in hub.repositories[0].commits[COMMIT]:
        hf_hub_download("t/m", name, revision=COMMIT)
    del hub.requests[:]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert is_model_cached("t/m", COMMIT)
    fetch_model("t/m", COMMIT, tmp_path / "again", lambda folder: None)
    assert (tmp_path / "again/model/model.safetensors").read_bytes() == kept and hub.requests == []


def test_a_list_of_pieces_that_do_not_exist_is_refused(fetched):
    def lose(source):
        next(source.glob("model-00001*")).unlink()

    with pytest.raises(UserError, match=f"t/m at {COMMIT}: no such file of weights: model-00001-of-"):
        fetched(lambda folder: None, lose, max_shard_size="5KB")


def test_a_model_that_fails_its_check_has_no_manifest(fetched, tmp_path):
    def check(folder):
        raise UserError("of no use", str(folder))

    with pytest.raises(UserError, match="of no use"):
        fetched(check)
    assert not (tmp_path / "m/stage.json").exists()


def test_settings_that_ask_for_code_or_bring_heads_are_removed(fetched):
    head = {"labels": [], "weights": {"weight": "cls.predictions.bias", "bias": "cls.predictions.bias"}}
    asked = {
        "auto_map": {"AutoModel": "own.Model", "AutoConfig": "own.Config"},
        "attn_implementation": "kernels-community/flash-attn",
        "quantization_config": {"quant_method": "own"},
        "crosstune_heads": {"qa": head},
    }

    def change(source):
        (source / "own.py").write_text("raise SystemExit('ran')")
        for name in ("config.json", "tokenizer_config.json"):
            write_json(source / name, read_json(source / name) | asked)

    folder = fetched(lambda folder: None, change) / "model"
    for path in folder.glob("*.json"):
        assert not asked.keys() & read_json(path).keys(), path
    assert "qa" not in load_network(folder).tasks


def test_weights_under_the_name_of_a_learned_temperature_are_none_of_ours(fetched):
    def change(source):
        tensors = load_file(source / "model.safetensors")
        save_file(tensors | {SAVED_SCALE: torch.tensor(9.0)}, source / "model.safetensors", {"format": "pt"})

    assert load_network(fetched(lambda folder: None, change) / "model").log_scale is None


def test_every_loading_function_is_told_to_run_no_code_and_to_use_no_network():
    """Without a word transformers asks on the terminal, where a job reads nothing, or looks for newer files."""
    assert LOCAL == {"trust_remote_code": False, "local_files_only": True}
    for path in SCRIPTS.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "from_pretrained":
                without_files = isinstance(call.args[0], ast.Constant) and call.args[0].value is None
                spread = {part.value.id for part in call.keywords if part.arg is None}
                assert without_files or "LOCAL" in spread, f"{path}:{call.lineno}"


def test_a_program_reads_nothing_from_the_terminal():
    code = "import sys; from crosstune.core.errors import run_program; run_program(lambda: print([sys.stdin.read()]))"
    command, environ = [sys.executable, "-c", code], os.environ | {"PYTHONPATH": str(SCRIPTS)}
    done = subprocess.run(command, input="yes", env=environ, text=True, capture_output=True)
    assert done.stdout == "['']\n", done.stderr
