"""Models of the hub, at a commit, as folders that stages start from.

No code of a repository is run. Its Python files are not fetched, tokenizers that need them are refused, and only
tensors are read from pickled weights.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import sha256_file, write_json
from crosstune.data.download.fetch import match_names
from crosstune.data.download.hub import Hub, Repository

SMALL_FILES = ("*.json", "*.txt", "*.model", "*.spm")

# Copied unchanged: the architecture, and the generation settings of a translation model.
CONFIGS = ("config.json", "generation_config.json")

# Names of transformers, in order of preference. A stage's folder has the first.
WEIGHTS_FILES = ("model.safetensors", "pytorch_model.bin")


def fetch_model(name: str, revision: str, downloads: Path, out: Path) -> None:
    """Fetch an encoder and its tokenizer and write `out`/model, then the manifest `out`/stage.json.

    Raises UserError if they cannot be fetched, or need code or pickled objects of the repository.
    """
    hub, repository = Hub.from_environment(), Repository("models", name)
    folder = downloads / "hub" / repository.folder(revision)
    listing = hub.listing(repository, revision, folder)
    names = model_files(listing.files, f"{name} at {revision}")
    hub.download(repository, revision, names, folder)
    weights = write_model(folder / "files", names, out / "model")
    manifest = {"spec": {"hub": name, "revision": revision}, "weights": weights}
    write_json(out / "stage.json", {**manifest, "parents": [], "updates": 0, "exposure": {}, "lineage": {}})


def model_files(names: Iterable[str], where: str) -> list[str]:
    """The names of configuration, tokenizer and weights. Raises UserError at `where` if they are incomplete."""
    names = list(names)
    weights = next((name for name in WEIGHTS_FILES if name in names), None)
    if weights is None or "config.json" not in names:
        message = f"expected config.json and {' or '.join(WEIGHTS_FILES)}, found {', '.join(sorted(names)[:12])}"
        raise UserError(message, where, "Weights in several pieces and those of other libraries are not read.")
    return [*sorted({name for pattern in SMALL_FILES for name in match_names(names, pattern)}), weights]


def write_model(fetched: Path, names: Iterable[str], model: Path) -> str:
    """Write a stage's model folder from the fetched files; return the SHA-256 of its weights."""
    from transformers import AutoConfig, AutoTokenizer

    weights = next(name for name in WEIGHTS_FILES if name in names)
    try:
        AutoConfig.from_pretrained(fetched, trust_remote_code=False, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(fetched, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        # The message of transformers advises to run the repository's code.
        foreign = "trust_remote_code" in str(error)
        reason = "it needs the repository's own code, which is not run" if foreign else str(error)
        fix = "Choose a model whose network and tokenizer are part of transformers."
        raise UserError(f"transformers cannot load this model: {reason}", str(fetched), fix) from None
    tokenizer.save_pretrained(model)
    for name in set(CONFIGS) & set(names):
        shutil.copyfile(fetched / name, model / name)
    if weights.endswith(".safetensors"):
        _link_or_copy(fetched / weights, model / weights)
    else:
        convert_pickle(fetched / weights, model / WEIGHTS_FILES[0])
    return sha256_file(model / WEIGHTS_FILES[0])


def convert_pickle(pickled: Path, weights: Path) -> None:
    """Write pickled weights as safetensors, with the same names. Raises UserError if they hold more than tensors."""
    import pickle

    import torch
    from safetensors.torch import save_file

    try:
        tensors = torch.load(pickled, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError):
        # The message of torch advises to load the file without weights_only.
        fix = "A pickle can run any code when it is read. Choose a model with model.safetensors."
        raise UserError("the file is damaged or holds more than tensors", str(pickled), fix) from None
    if not isinstance(tensors, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in tensors.values()):
        raise UserError("not tensors by name", str(pickled), "Choose a model with model.safetensors.")
    # Cloned, because safetensors refuses tied weights, which share memory.
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, weights, {"format": "pt"})


def _link_or_copy(source: Path, target: Path) -> None:
    """A hard link to a file, or a copy if the file system has none."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
