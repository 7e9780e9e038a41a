"""Models of the hub, at a commit, as folders that stages start from.

No code of a repository is run. Its Python files are not fetched, tokenizers that need them are refused, and only
tensors are read from pickled weights.
"""

import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from crosstune.artifacts.checkpoint import link_or_copy
from crosstune.artifacts.model_config import LOCAL
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, read_json_or_empty, sha256_file, write_json
from crosstune.data.download.fetch import match_names
from crosstune.data.download.hub import Repository

FETCHED = ".fetched"  # the folder of published files while a model is made of them

SMALL_FILES = ("*.json", "*.txt", "*.model", "*.spm")

# The architecture, and the generation settings of a translation model.
CONFIGS = ("config.json", "generation_config.json")

# Keys that ask for code of the repository, for packages that run some, or for heads that this study has not trained.
REMOVED_KEYS = ("auto_map", "attn_implementation", "_attn_implementation", "quantization_config", "crosstune_heads")

# The weights, or the list of their pieces: names of transformers, in its order of preference.
SAFETENSORS, PICKLE = "model.safetensors", "pytorch_model.bin"
WEIGHTS_FILES = (SAFETENSORS, f"{SAFETENSORS}.index.json", PICKLE, f"{PICKLE}.index.json")


def fetch_model(name: str, revision: str, out: Path, check: Callable[[Path], None]) -> None:
    """Fetch a model and its tokenizer and write `out`/model, then the manifest `out`/stage.json.

    Weights are a hard link into the hub's cache, or a copy where that is another disk: they stay if it is emptied.
    `check`, of the folder `out`/model, raises UserError for a model of no use. So does this function for one that it
    cannot fetch, or that needs code or pickled objects of the repository.
    """
    repository = Repository("model", name, revision)
    fetched = out / FETCHED
    shutil.rmtree(fetched, ignore_errors=True)
    try:
        names = _place_files(repository, fetched)
        weights = write_model(fetched, names, out / "model")
    finally:
        shutil.rmtree(fetched, ignore_errors=True)
    check(out / "model")
    manifest = {"spec": {"hub": name, "revision": revision}, "weights": weights}
    write_json(out / "stage.json", {**manifest, "parents": [], "updates": 0, "exposure": {}, "lineage": {}})


def _place_files(repository: Repository, folder: Path) -> list[str]:
    """Link the files of a model in `folder`, alone, whatever else is in the cache; the names without pieces."""
    listing = repository.listing
    names = model_files(listing, str(repository))
    for name, (path, _) in repository.download(names).items():
        link_or_copy(path, folder / name)
    pieces = weights_files(names, folder)
    if lacking := set(pieces) - set(listing):
        raise UserError(f"no such file of weights: {min(lacking)}", str(repository), "Choose another commit.")
    for name, (path, _) in repository.download([piece for piece in pieces if piece not in names]).items():
        link_or_copy(path, folder / name)
    return names


def is_model_cached(name: str, revision: str) -> bool:
    """Whether the hub's cache holds all files of a model."""
    repository = Repository("model", name, revision)
    try:
        names = model_files(repository.listing, str(repository))
        return repository.cached(names) and repository.cached(weights_files(names, repository.snapshot))
    except UserError:
        return False


def model_files(names: Collection[str], where: str) -> list[str]:
    """The names of configuration, tokenizer and weights, or of the list of their pieces.

    Raises UserError at `where` if they are incomplete.
    """
    weights = next((name for name in WEIGHTS_FILES if name in names), None)
    if weights is None or "config.json" not in names:
        message = f"expected config.json and {SAFETENSORS} or {PICKLE}, found {', '.join(sorted(names)[:12])}"
        raise UserError(message, where, "Weights of other libraries are not read.")
    small = {name for pattern in SMALL_FILES for name in match_names(names, pattern)}
    return [*sorted(small - set(WEIGHTS_FILES)), weights]


def weights_files(names: Collection[str], folder: Path) -> list[str]:
    """The file of the weights, or the pieces that the list in `folder` names, of the model files `names`."""
    weights = next(name for name in WEIGHTS_FILES if name in names)
    if weights in (SAFETENSORS, PICKLE):
        return [weights]
    return sorted(set(read_json(folder / weights)["weight_map"].values()))


def write_model(fetched: Path, names: Collection[str], model: Path) -> str:
    """Write a stage's model folder from the fetched files; return the SHA-256 of its weights."""
    from transformers import AutoConfig, AutoTokenizer

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

    tensors: dict = {}
    for piece in pieces:
        tensors |= load_file(piece) if piece.suffix == ".safetensors" else _read_pickle(piece)
    # Cloned, because safetensors refuses tied weights, which share memory.
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, weights, {"format": "pt"})


def _read_pickle(pickled: Path) -> dict:
    """The tensors of a pickled file by name. Raises UserError if it holds more than tensors."""
    import pickle

    import torch

    try:
        tensors = torch.load(pickled, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError):
        # The message of torch advises to load the file without weights_only.
        fix = "A pickle can run any code when it is read. Choose a model with model.safetensors."
        raise UserError("the file is damaged or holds more than tensors", str(pickled), fix) from None
    if not isinstance(tensors, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in tensors.values()):
        raise UserError("not tensors by name", str(pickled), "Choose a model with model.safetensors.")
    return tensors
