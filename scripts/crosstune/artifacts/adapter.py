"""The folder of a stage that trains an adapter: its files, its base model, the adapters merged before its own.

Such a folder holds no whole model. `config.json` names the base model's folder and the hash of its weights, and
`merged/1`, `merged/2`... hold the adapters of earlier stages that were merged into the weights. These are hard links:
they take no space, and stay when the weights of the earlier stages are removed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from crosstune.artifacts.checkpoint import MANIFEST, link_or_copy
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, sha256_file, sha256_json

WHOLE_WEIGHTS = "model.safetensors"
# The names of peft.
ADAPTER_WEIGHTS, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
CONFIG, MERGED = "config.json", "merged"
# The key of config.json.
BASE_KEY = "crosstune_base"

# For `targets`: every linear layer.
ALL_LINEAR = "all-linear"

# The number of names that a message lists.
MAX_NAMED = 8


@dataclass(frozen=True)
class BaseModel:
    """What an adapter is for: the base model's folder, the hash of its weights, the folders of adapters merged into it.

    `folder` is as written: relative to the project, or absolute.
    """

    folder: str
    weights: str
    merged: tuple[Path, ...] = ()

    @property
    def entry(self) -> dict[str, str]:
        """What config.json says of it."""
        return {"folder": self.folder, "weights": self.weights}


@dataclass(frozen=True)
class Adapter:
    """The adapter of a network: rank, scale `alpha` / `rank`, dropout before A, full names of its layers, base model.

    The names are as in the encoder, without the name of the encoder itself.
    """

    rank: int
    alpha: float
    dropout: float
    layers: tuple[str, ...]
    base: BaseModel


def is_adapter(model: Path) -> bool:
    """Whether a model folder holds an adapter instead of a whole model."""
    return (model / ADAPTER_WEIGHTS).exists()


def read_base(model: Path) -> BaseModel:
    """The base model of an adapter's folder."""
    entry = read_json(model / CONFIG)[BASE_KEY]
    merged = sorted((model / MERGED).glob("*"), key=lambda folder: int(folder.name))
    return BaseModel(entry["folder"], entry["weights"], tuple(merged))


def whole_model(model: Path) -> Path:
    """The folder with a whole model and its tokenizer: of an adapter its base model's, else the folder itself.

    A relative path of a base model counts from the present folder, or else from one above the adapter's. Raises
    UserError if the base model is missing or has other weights now.
    """
    if not is_adapter(model):
        return model
    base = read_base(model)
    places = [Path(), *model.absolute().parents]
    found = next((top / base.folder for top in places if (top / base.folder / WHOLE_WEIGHTS).exists()), None)
    if found is None:
        fix = f"Make it again: snakemake --cores 1 --force {base.folder}"
        raise UserError(f"the base model of this adapter is missing: {base.folder}", str(model), fix)
    manifest = found.parent / MANIFEST
    if manifest.exists() and read_json(manifest)["weights"] != base.weights:
        fix = f"Train it again: snakemake --cores 1 --force {model.parent / MANIFEST}"
        raise UserError(f"the base model of this adapter has other weights now: {found}", str(model), fix)
    return found


def hash_weights(model: Path) -> str:
    """The hash of a model folder's weights: of their file, or of all that an adapter's network is built from."""
    if not is_adapter(model):
        return sha256_file(model / WHOLE_WEIGHTS)
    base = read_base(model)
    adapters = [sha256_file(folder / ADAPTER_WEIGHTS) for folder in (*base.merged, model)]
    return sha256_json({"base": base.weights, "adapters": adapters})


def link_merged(base: BaseModel, model: Path) -> None:
    """Give a new model folder the adapters that were merged before its own."""
    for number, folder in enumerate(base.merged, 1):
        for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
            link_or_copy(folder / name, model / MERGED / str(number) / name)


# --- before a job ----------------------------------------------------------------------------------------------------


def check_peft(where: str) -> None:
    """UserError at `where` if peft is not installed."""
    if find_spec("peft") is None:
        fix = "pip install peft==0.21.2"
        raise UserError("adapters need the package peft, which is not installed", where, fix)


def matched_layers(layers: Collection[str], targets: Collection[str] | str, where: str) -> list[str]:
    """The full names of those `layers` whose last name is a target, as in peft; all for `all-linear`.

    `layers`: the linear layers of an encoder. A pooler's are left out. Raises UserError at `where` for a target that
    none has.
    """
    layers = [layer for layer in layers if "pooler" not in layer.split(".")]
    if targets == ALL_LINEAR:
        return layers
    for target in targets:
        if not any(_is_named(layer, target) for layer in layers):
            known = sorted({layer.rpartition(".")[2] for layer in layers})
            message = f"the model has no linear layer {target!r}; its layers are {', '.join(known[:MAX_NAMED])}"
            usual = [name for name in known if name in ("query", "value")] or known[:2]
            raise UserError(message, where, f"targets: [{', '.join(usual)}]")
    return [layer for layer in layers if any(_is_named(layer, target) for target in targets)]


def _is_named(layer: str, target: str) -> bool:
    return layer == target or layer.endswith(f".{target}")
