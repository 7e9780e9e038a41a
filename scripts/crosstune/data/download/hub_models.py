"""Published models of the hub, at a commit, as the folders that stages start from.

Owns: which files of a model are fetched, and turning them into a stage's folder without running anything foreign.
Must never know: the hub's protocol (hub), what is trained from a model.

Nothing that a repository brings is run: its Python files are not even fetched, tokenizers that need them are refused,
and of pickled weights only tensors are read.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import sha256_file, write_json
from crosstune.data.download.fetch import matching
from crosstune.data.download.hub import Hub, Repository

SMALL_FILES = ("*.json", "*.txt", "*.model", "*.spm")

# Copied as they are: what the network is, and how a translation model generates.
CONFIGS = ("config.json", "generation_config.json")

# As transformers publishes them: the first that is there is taken, and the first is what a stage's folder has.
WEIGHTS_FILES = ("model.safetensors", "pytorch_model.bin")


def fetch_model(name: str, revision: str, downloads: Path, out: Path) -> None:
    """Fetch an encoder and its tokenizer, and make `out`/model of them; `out`/stage.json is written last.

    Raises UserError where they cannot be fetched or hold what will not be read.
    """
    hub, repository = Hub.from_environment(), Repository("models", name)
    folder = downloads / "hub" / repository.folder(revision)
    listing = hub.listing(repository, revision, folder)
    names = wanted(listing.files, f"{name} at {revision}")
    hub.bring(repository, revision, names, folder)
    weights = write_model(folder / "files", names, out / "model")
    manifest = {"spec": {"hub": name, "revision": revision}, "weights": weights}
    write_json(out / "stage.json", {**manifest, "parents": [], "updates": 0, "exposure": {}, "lineage": {}})


def wanted(names: Iterable[str], place: str) -> list[str]:
    """The files to fetch of a repository's: configuration, tokenizer, weights. UserError where it is no model."""
    names = list(names)
    weights = next((name for name in WEIGHTS_FILES if name in names), None)
    if weights is None or "config.json" not in names:
        message = f"expected config.json and {' or '.join(WEIGHTS_FILES)}, found {', '.join(sorted(names)[:12])}"
        raise UserError(message, place, "Weights in several pieces and those of other libraries are not read.")
    return [*sorted({name for pattern in SMALL_FILES for name in matching(names, pattern)}), weights]


def write_model(fetched: Path, names: Iterable[str], model: Path) -> str:
    """A stage's model folder from the fetched files; the SHA-256 of its weights."""
    from transformers import AutoConfig, AutoTokenizer

    weights = next(name for name in WEIGHTS_FILES if name in names)
    try:
        AutoConfig.from_pretrained(fetched, trust_remote_code=False, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(fetched, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        # transformers' own message advises to run the repository's code.
        foreign = "trust_remote_code" in str(error)
        reason = "it needs the repository's own code, which is not run" if foreign else str(error)
        fix = "Choose a model whose network and tokenizer are part of transformers."
        raise UserError(f"transformers cannot load this model: {reason}", str(fetched), fix) from None
    tokenizer.save_pretrained(model)
    for name in set(CONFIGS) & set(names):
        shutil.copyfile(fetched / name, model / name)
    if weights.endswith(".safetensors"):
        _link(fetched / weights, model / weights)
    else:
        convert(fetched / weights, model / WEIGHTS_FILES[0])
    return sha256_file(model / WEIGHTS_FILES[0])


def convert(pickled: Path, weights: Path) -> None:
    """Write pickled weights as safetensors, under their own names. UserError where they hold more than tensors."""
    import pickle

    import torch
    from safetensors.torch import save_file

    try:
        found = torch.load(pickled, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError):
        # torch's own message advises to read the file without this care.
        fix = "A pickle can run any code when it is read. Choose a model with model.safetensors."
        raise UserError("the file is damaged or holds more than tensors", str(pickled), fix) from None
    if not isinstance(found, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in found.values()):
        raise UserError("not tensors by name", str(pickled), "Choose a model with model.safetensors.")
    # Tied weights share their memory, which safetensors refuses.
    save_file({name: tensor.contiguous().clone() for name, tensor in found.items()}, weights, {"format": "pt"})


def _link(source: Path, target: Path) -> None:
    """The same file under another name, or a copy where the file system cannot do that."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
