"""Models in folders of the user's: what the plan reads of them, before anything runs.

A config says `folder`. The plan adds `sha256`, the identity of the files, and `parameters`. Later jobs get the config
with both, and read nothing of the folder; nor does a study whose config states them, on a machine without the folder.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from crosstune.artifacts.checkpoint import MANIFEST
from crosstune.artifacts.local_model import local_files, local_parameters, local_remarks, local_sha256
from crosstune.core.errors import UserError
from crosstune.core.hash_cache import HashCache
from crosstune.study.graph import Expansion
from crosstune.study.paths import base_path

HASHES = Path("models/hashes.json")

# Stands for the identity of a model whose folder nobody has read.
UNREAD = "0" * 64


def identify_models(config: Mapping) -> dict:
    """The config with `sha256` and, if known, `parameters` for every model in a folder; those that it states stay.

    Raises UserError for a folder that holds no model.
    """
    return {**config, "models": {name: _identified(name, model) for name, model in config["models"].items()}}


def without_folders(config: Mapping) -> dict:
    """A config, valid or not, with a `sha256` for every model in a folder, so that nothing of the folder is read."""
    models = config.get("models")
    if not isinstance(models, Mapping):
        return dict(config)
    unread = {n: {"sha256": UNREAD, **m} if isinstance(m, Mapping) and "folder" in m else m for n, m in models.items()}
    return {**config, "models": unread}


def check_folders(study: Expansion) -> None:
    """UserError for a folder that is not there and still needed, or whose model is not the one that `sha256` states."""
    for name, model in study.config["models"].items():
        if "folder" not in model:
            continue
        made = Path(base_path(study.name, name, model), MANIFEST).exists()
        if made and not Path(model["folder"]).exists():
            continue
        found = _sha256(Path(model["folder"]), local_files(Path(model["folder"]), _where(name)))
        if found != model["sha256"]:
            message = f"the folder has another model than sha256 states: {model['folder']}"
            raise UserError(message, f"models.{name}.sha256", f"To use what is there now:\nsha256: {found}")


def model_notices(study: Expansion) -> Iterator[str]:
    """Lines for the user: the identity of every model in a folder, and what may not be expected of it."""
    for name, model in study.config["models"].items():
        if "folder" in model:
            yield f"model {name}: {model['folder']}, sha256: {model['sha256']}"
            if Path(model["folder"]).exists():
                yield from (f"  {remark}" for remark in local_remarks(Path(model["folder"])))


def copied_models(study: Expansion) -> list[str]:
    """The manifests of the copies of models in folders."""
    given = [node for node in study.checkpoints.values() if node.is_given]
    return [f"{node.path}/{MANIFEST}" for node in given if not node.is_fetched]


def _identified(name: str, model: Mapping) -> Mapping:
    if "folder" not in model or "sha256" in model:
        return model
    folder = Path(model["folder"])
    files = local_files(folder, _where(name))
    parameters = model.get("parameters") or local_parameters(folder, files, _where(name))
    known = {"parameters": parameters} if parameters else {}
    return {**model, **known, "sha256": _sha256(folder, files)}


def _sha256(folder: Path, files: list[str]) -> str:
    hashes = HashCache(HASHES).sha256(*(folder / name for name in files))
    return local_sha256(dict(zip(files, hashes, strict=True)))


def _where(name: str) -> str:
    return f"models.{name}.folder"
