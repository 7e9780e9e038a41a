"""Models of the hub: their files are chosen and converted, and none of their code is run."""

import pickle

import pytest
import torch
from safetensors.torch import load_file

from crosstune.core.errors import UserError
from crosstune.core.files import write_json
from crosstune.data.download.hub_models import convert_pickle, model_files, write_model


def test_the_files_of_a_model_are_chosen_by_name():
    names = ["README.md", "config.json", "modeling.py", "model.safetensors", "onnx/config.json", "pytorch_model.bin"]
    names += ["sentencepiece.bpe.model", "tf_model.h5", "vocab.txt"]
    assert model_files(names, "m") == ["config.json", "sentencepiece.bpe.model", "vocab.txt", "model.safetensors"]
    assert model_files(["config.json", "pytorch_model.bin"], "m") == ["config.json", "pytorch_model.bin"]


@pytest.mark.parametrize("names", [["config.json", "model.safetensors.index.json"], ["model.safetensors"], []])
def test_a_repository_without_model_files_is_refused(names):
    with pytest.raises(UserError, match=r"m: expected config\.json and model\.safetensors or .*, found"):
        model_files(names, "m")


def test_pickled_tensors_keep_their_names_and_values(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)
    torch.save({"embeddings": shared, "decoder": shared, "turned": shared.T}, tmp_path / "pytorch_model.bin")
    convert_pickle(tmp_path / "pytorch_model.bin", tmp_path / "model.safetensors")
    found = load_file(tmp_path / "model.safetensors")
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        "embeddings": [[0, 1, 2], [3, 4, 5]], "decoder": [[0, 1, 2], [3, 4, 5]], "turned": [[0, 3], [1, 4], [2, 5]],
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
        convert_pickle(tmp_path / "pytorch_model.bin", tmp_path / "model.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["pytorch_model.bin"]


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"weight": torch.zeros(1), "note": "text"}])
def test_a_pickle_without_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="not tensors by name"):
        convert_pickle(tmp_path / "pytorch_model.bin", tmp_path / "model.safetensors")
    (tmp_path / "pytorch_model.bin").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="damaged or holds more than tensors"):
        convert_pickle(tmp_path / "pytorch_model.bin", tmp_path / "model.safetensors")


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
