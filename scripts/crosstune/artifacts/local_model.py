"""Base models in folders of the user's: the files that make a model, and their identity.

Some files make the model: config.json, the tokenizer's and the weights. What else lies in the folder is not read. Their
hashes identify the model, so that it may be moved.
"""

import fnmatch
import json
import math
import struct
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from crosstune.artifacts.model_files import PICKLE, SAFETENSORS, WEIGHTS_FILES, weights_files
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, sha256_json

# The names of transformers' tokenizers: one that has a vocabulary, and what may lie next to it.
VOCABULARIES = (
    "tokenizer.json", "*.model", "*.spm", "vocab.txt", "vocab.json", "dict.txt", "prophetnet.tokenizer",
)  # fmt: skip
TOKENIZERS = (
    *VOCABULARIES, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt", "bpe.codes",
    "emoji.json", "entity_vocab.json", "byte_maps.json",
)  # fmt: skip

CONFIG, ADAPTER, MODULES = "config.json", "adapter_config.json", "modules.json"

LFS_POINTER = b"version https://git-lfs.github.com/spec/"

# The longest header that the format allows.
LONGEST_HEADER = 100_000_000

# The number of names that a message lists.
NAMES_SHOWN = 8


def local_files(folder: Path, where: str) -> list[str]:
    """The names of the files that make the model in a folder. Raises UserError at `where` if they make none."""
    names = _names(folder, where)
    _refuse_adapter(folder, names, where)
    weights = next((name for name in WEIGHTS_FILES if name in names), None)
    if weights is None or CONFIG not in names:
        lacking = " and ".join(filter(None, [CONFIG not in names and CONFIG, weights is None and "weights"]))
        raise UserError(f"the folder has no {lacking}: {folder}", where, _fix_incomplete(folder, names))
    _check_config(folder / CONFIG, where)
    tokenizer = {name for pattern in TOKENIZERS for name in fnmatch.filter(names, pattern)}
    if not any(fnmatch.filter(tokenizer, pattern) for pattern in VOCABULARIES):
        fix = f"Save it there with the model: tokenizer.save_pretrained({str(folder)!r})"
        raise UserError(f"the folder has no tokenizer: {folder}", where, fix)
    pieces = _pieces(folder, weights, names, where)
    files = sorted({CONFIG, *tokenizer, weights, *pieces})
    for name in files:
        _refuse_pointer(folder / name, where)
    for name in fnmatch.filter(pieces, "*.safetensors"):
        safetensors_shapes(folder / name, where)
    return files


def local_sha256(hashes: Mapping[str, str]) -> str:
    """The identity of a model, from the hashes of its files by name."""
    return sha256_json(hashes)


def local_parameters(folder: Path, files: Sequence[str], where: str) -> int | None:
    """The number of parameters in the weights of a folder; None if they are pickled, which would mean to load them."""
    pieces = weights_files(files, folder)
    if not all(name.endswith(".safetensors") for name in pieces):
        return None
    return sum(math.prod(shape) for name in pieces for shape in safetensors_shapes(folder / name, where).values())


def local_remarks(folder: Path) -> list[str]:
    """What somebody who names the folder as a model may not expect."""
    if not (folder / MODULES).exists():
        return []
    modules = [part["path"] for part in read_json(folder / MODULES) if part.get("path")]
    return [f"{folder} is of sentence-transformers: the encoder alone is used, without {', '.join(modules)}"]


def safetensors_shapes(file: Path, where: str) -> dict[str, list[int]]:
    """The shapes in a file of safetensors by name. Raises UserError at `where` if the file is damaged or cut short."""
    size = file.stat().st_size
    try:
        with file.open("rb") as content:
            (length,) = struct.unpack("<Q", content.read(8))
            if length > min(LONGEST_HEADER, size):
                raise ValueError
            header = json.loads(content.read(length))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        expected = 8 + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
        shapes = {name: entry["shape"] for name, entry in tensors.items()}
    except (ValueError, struct.error, KeyError, TypeError, AttributeError):
        raise UserError(f"no file of safetensors: {file}", where, "Copy or save it again.") from None
    if expected != size:
        message = f"the file has {size:,} bytes and says that it has {expected:,}: {file}"
        raise UserError(message, where, "It was not copied to its end: copy or save it again.")
    return shapes


# --- what a folder may be instead ------------------------------------------------------------------------------------


def _names(folder: Path, where: str) -> list[str]:
    """The names of a folder's files. Raises UserError if there is no such folder."""
    if folder.is_file():
        fix = f"Name the folder that it lies in:\nfolder: {folder.parent}"
        raise UserError(f"expected a folder with a model, found a file: {folder}", where, fix)
    try:
        return sorted(path.name for path in folder.iterdir() if path.is_file())
    except FileNotFoundError:
        start = "" if folder.is_absolute() else f"A relative path starts at {Path.cwd()}"
        raise UserError(f"no such folder: {folder}", where, start) from None
    except OSError as error:
        raise UserError(f"the folder cannot be read ({error.strerror}): {folder}", where) from None


def _refuse_adapter(folder: Path, names: Collection[str], where: str) -> None:
    if ADAPTER in names:
        base = _json(folder / ADAPTER, where).get("base_model_name_or_path") or "the model that it was trained for"
        fix = f"Load it with {base}, and save the whole: model.merge_and_unload().save_pretrained(...)"
        raise UserError(f"the folder has an adapter (LoRA) instead of a whole model: {folder}", where, fix)


def _fix_incomplete(folder: Path, names: Collection[str]) -> str:
    """Where the model may be instead: below the folder, or in files of another library."""
    below = sorted(path.parent for path in folder.glob("*/config.json"))
    if len(below) == 1:
        return f"There is one below it:\nfolder: {below[0]}"
    found = ", ".join([*list(names)[:NAMES_SHOWN], *(["..."] if len(names) > NAMES_SHOWN else [])]) or "no file"
    return f"It needs {CONFIG}, {SAFETENSORS} or {PICKLE} (or their pieces), and a tokenizer. It has: {found}"


def _check_config(file: Path, where: str) -> None:
    if "model_type" not in _json(file, where):
        fix = "Save the model with `save_pretrained` of its class in transformers."
        raise UserError(f"not the config of a model of transformers, for lack of model_type: {file}", where, fix)


def _json(file: Path, where: str) -> dict:
    """The mapping in a file of JSON. Raises UserError at `where` if it holds something else."""
    _refuse_pointer(file, where)
    try:
        content = read_json(file)
    except ValueError as error:
        raise UserError(f"not valid JSON ({error}): {file}", where) from None
    if not isinstance(content, dict):
        raise UserError(f"expected a mapping: {file}", where)
    return content


def _pieces(folder: Path, weights: str, names: Collection[str], where: str) -> list[str]:
    """The files of the weights, which are one or those that a list names."""
    if weights in (SAFETENSORS, PICKLE):
        return [weights]
    pieces = _json(folder / weights, where).get("weight_map")
    if not isinstance(pieces, dict) or not pieces:
        raise UserError(f"no list of the pieces of weights (weight_map): {folder / weights}", where)
    if lacking := sorted(set(map(str, pieces.values())) - set(names)):
        fix = f"{weights} names {len(set(pieces.values()))} pieces; copy them all."
        raise UserError(f"a piece of the weights is missing: {folder / lacking[0]}", where, fix)
    return weights_files([weights], folder)


def _refuse_pointer(file: Path, where: str) -> None:
    with file.open("rb") as content:
        if content.read(len(LFS_POINTER)) == LFS_POINTER:
            fix = f"git -C {file.parent} lfs pull"
            raise UserError(f"the file is a pointer of Git LFS, not its content: {file}", where, fix)
