"""The files that make a base model, by their names in transformers. Nothing is loaded here."""

from collections.abc import Collection
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import read_json

SMALL_FILES = (".json", ".txt", ".model", ".spm")

# The weights, or the list of their pieces: names of transformers, in its order of preference.
SAFETENSORS, PICKLE = "model.safetensors", "pytorch_model.bin"
WEIGHTS_FILES = (SAFETENSORS, f"{SAFETENSORS}.index.json", PICKLE, f"{PICKLE}.index.json")


def model_files(names: Collection[str], where: str) -> list[str]:
    """The names of configuration, tokenizer and weights, or of the list of their pieces.

    Raises UserError at `where` if they are incomplete.
    """
    weights = next((name for name in WEIGHTS_FILES if name in names), None)
    if weights is None or "config.json" not in names:
        message = f"expected config.json and {SAFETENSORS} or {PICKLE}, found {', '.join(sorted(names)[:12])}"
        raise UserError(message, where, "Weights of other libraries are not read.")
    small = {name for name in names if name.endswith(SMALL_FILES) and "/" not in name}
    return [*sorted(small - set(WEIGHTS_FILES)), weights]


def weights_files(names: Collection[str], folder: Path) -> list[str]:
    """The file of the weights, or the pieces that the list in `folder` names, of the model files `names`."""
    weights = next(name for name in WEIGHTS_FILES if name in names)
    if weights in (SAFETENSORS, PICKLE):
        return [weights]
    return sorted(set(read_json(folder / weights)["weight_map"].values()))
