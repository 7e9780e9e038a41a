"""Files that a training reads: a base checkpoint and prepared splits."""

from collections.abc import Sequence
from pathlib import Path

from crosstune.core.files import sha256_file, write_json, write_jsonl
from crosstune.modeling.folder import save_network
from crosstune.modeling.network import MultiHeadEncoder


def write_base(folder: Path, network: MultiHeadEncoder, tokenizer_folder: Path) -> Path:
    """The folder of a base checkpoint with this network."""
    save_network(network, folder / "model", tokenizer_folder, "")
    weights = sha256_file(folder / "model/model.safetensors")
    write_json(folder / "stage.json", {"weights": weights, "parents": [], "lineage": {}})
    return folder


def write_split(root: Path, source: str, split: str, rows: Sequence[dict]) -> Path:
    """The manifest of a prepared split of `dataset.language`, under `root`."""
    dataset, lang = source.split(".")
    path = root / dataset / f"{split}.{lang}.jsonl"
    write_jsonl(path, rows)
    manifest = path.with_suffix(".json")
    write_json(manifest, {"dataset": dataset, "split": split, "lang": lang, "sha256": sha256_file(path)})
    return manifest
