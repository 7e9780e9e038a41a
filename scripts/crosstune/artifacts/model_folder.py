"""Base models from published files: the folder that stages start from.

No code of a repository is run. Tokenizers that need it are refused, and only tensors are read from pickled weights.
"""

import shutil
import zipfile
from collections.abc import Collection, Sequence
from pathlib import Path

from crosstune.artifacts.checkpoint import link_or_copy
from crosstune.artifacts.model_config import LOCAL, check_numbers
from crosstune.artifacts.model_files import SAFETENSORS, weights_files
from crosstune.core.errors import UserError
from crosstune.core.files import make_empty_folder, read_json, read_json_or_empty, sha256_file, write_json

# The architecture, and the generation settings of a translation model.
CONFIGS = ("config.json", "generation_config.json")

# Tied weights have several names, and each name is written out. Below a size, in bytes, nothing is a bomb.
MOST_SHARED, SMALL_BYTES = 4, 1_000_000

# Keys that ask for code of the repository, for packages that run some, or for heads that this study has not trained.
REMOVED_KEYS = ("auto_map", "attn_implementation", "_attn_implementation", "quantization_config", "crosstune_heads")


def write_base_manifest(out: Path, spec: dict, weights: str, **facts: dict) -> None:
    """Write the manifest `out`/stage.json of a base model that nothing here trains; `weights`: their SHA-256."""
    manifest = {"spec": spec, "weights": weights, "parents": [], "updates": 0, "exposure": {}, "lineage": {}}
    write_json(out / "stage.json", manifest | facts)


def write_model(fetched: Path, names: Collection[str], model: Path) -> str:
    """Write a stage's model folder from the fetched files; return the SHA-256 of its weights."""
    from transformers import AutoConfig, AutoTokenizer

    check_numbers(read_json(fetched / "config.json"), str(fetched))
    try:
        AutoConfig.from_pretrained(fetched, **LOCAL)
        tokenizer = AutoTokenizer.from_pretrained(fetched, **LOCAL)
    except Exception as error:  # transformers raises many types
        # Its message advises to run the repository's code.
        foreign = "trust_remote_code" in str(error)
        reason = "it needs the repository's own code, which is not run" if foreign else str(error)
        fix = "Choose a model whose network and tokenizer are part of transformers."
        raise UserError(f"transformers cannot load this model: {reason}", str(fetched), fix) from None
    # transformers makes up a vocabulary of its special tokens if there is none.
    files = {*tokenizer.vocab_files_names.values(), "tokenizer.json"}
    if tokenizer.vocab_files_names and files.isdisjoint(names):
        fix = "Choose a model with a tokenizer, or a commit that has one."
        raise UserError(f"no tokenizer; its files would be {' or '.join(sorted(files))}", str(fetched), fix)
    make_empty_folder(model)
    tokenizer.save_pretrained(model)
    for name in set(CONFIGS) & set(names):
        shutil.copyfile(fetched / name, model / name)
    for name in (*CONFIGS, "tokenizer_config.json"):
        _remove_keys(model / name)
    pieces = weights_files(names, fetched)
    if pieces == [SAFETENSORS]:
        link_or_copy(fetched / SAFETENSORS, model / SAFETENSORS)
    else:
        join_weights([fetched / piece for piece in pieces], model / SAFETENSORS)
    return sha256_file(model / SAFETENSORS)


def _remove_keys(config: Path) -> None:
    """Remove REMOVED_KEYS from a file of settings; one without them keeps its bytes."""
    settings = read_json_or_empty(config)
    kept = {key: value for key, value in settings.items() if key not in REMOVED_KEYS}
    if kept != settings:
        write_json(config, kept)


def join_weights(pieces: Sequence[Path], weights: Path) -> None:
    """Write the tensors of several files as one of safetensors, with the same names.

    Raises UserError if pickled files hold more than tensors.
    """
    from safetensors.torch import load_file, save_file

    size = sum(piece.stat().st_size for piece in pieces)
    tensors: dict = {}
    for piece in pieces:
        tensors |= load_file(piece) if piece.suffix == ".safetensors" else _read_pickle(piece)
    unpacked = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if unpacked > MOST_SHARED * size + SMALL_BYTES:
        message = f"{size:,} bytes of weights unpack to {unpacked:,}, which no model does"
        raise UserError(message, str(pieces[0].parent), "Do not trust it.")
    # Cloned, because safetensors refuses tied weights, which share memory.
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, weights, {"format": "pt"})


def _read_pickle(pickled: Path) -> dict:
    """The tensors of a pickled file by name. Raises UserError if it holds more than tensors."""
    import pickle

    import torch

    if zipfile.is_zipfile(pickled):
        # torch stores the tensors as they are, and would unpack what is compressed.
        size, unpacked = pickled.stat().st_size, sum(entry.file_size for entry in zipfile.ZipFile(pickled).infolist())
        if unpacked > size:
            message = f"{size:,} bytes of weights unpack to {unpacked:,}, which no model does"
            raise UserError(message, str(pickled), "Do not trust it.")
    try:
        tensors = torch.load(pickled, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError):
        # The message of torch advises to load the file without weights_only.
        fix = "A pickle can run any code when it is read. Choose a model with model.safetensors."
        raise UserError("the file is damaged or holds more than tensors", str(pickled), fix) from None
    if not isinstance(tensors, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in tensors.values()):
        raise UserError("not tensors by name", str(pickled), "Choose a model with model.safetensors.")
    if any(tensor.layout != torch.strided or tensor.is_quantized for tensor in tensors.values()):
        raise UserError("sparse or quantized weights", str(pickled), "Choose a model with model.safetensors.")
    return tensors
