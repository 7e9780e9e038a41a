"""An encoder with heads as a Hugging Face folder: loading, saving, averaging."""

import inspect
import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import nn
from transformers import AutoConfig, AutoModel

from crosstune.core.errors import UserError
from crosstune.core.files import atomic_open, write_text
from crosstune.modeling.network import Network
from crosstune.modeling.weight_names import (
    ARCHITECTURES,
    CONTRAST,
    KEPT_POOLER,
    PUBLISHED_MLM,
    SAVED_SCALE,
    TOKENIZER_FILES,
    WEIGHTS,
    published_parts,
)


def load_network(folder: Path | str, dropout: float | None = None, packing: bool = True) -> Network:
    """The encoder of a folder with the heads it has. Raises UserError where it is no encoder that AutoModel loads."""
    folder = Path(folder)
    config = AutoConfig.from_pretrained(folder)
    if dropout is not None:
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout",
                     "embedding_dropout", "mlp_dropout"):  # fmt: skip
            if hasattr(config, name):
                setattr(config, name, dropout)
    with safe_open(folder / WEIGHTS, "pt") as file:
        names = set(file.keys())
    try:
        model_class = type(AutoModel.from_config(config))
    except ValueError as error:
        raise UserError(f"no encoder: {error}", str(folder), "Use a model that AutoModel loads.") from None
    options = {}
    if "add_pooling_layer" in inspect.signature(model_class.__init__).parameters:
        # A pooler that the checkpoint does not have would be drawn at random and saved with the rest; one that a head
        # has made its own is no longer the encoder's.
        own = {name for head in getattr(config, "crosstune_heads", {}).values() for name in head["weights"].values()}
        options["add_pooling_layer"] = any(".pooler." in name for name in names - own)
    encoder = AutoModel.from_pretrained(folder, config=config, dtype=torch.float32, **options)
    network = Network(encoder, packing)
    if f"{KEPT_POOLER}.weight" in names:
        with safe_open(folder / WEIGHTS, "pt") as file:
            kept = {part: file.get_tensor(f"{KEPT_POOLER}.{part}") for part in ("weight", "bias")}
        network.published_pooler = kept
    weights = None
    for name, head in getattr(config, "crosstune_heads", {}).items():
        weights = weights if weights is not None else load_file(folder / WEIGHTS)
        network.add_head(name, head["labels"])
        network.head(name).load_state_dict({p: weights[full] for p, full in head["weights"].items()})
    if SAVED_SCALE in names:
        network.learn_temperature(1.0)
        with safe_open(folder / WEIGHTS, "pt") as file:
            network.heads[CONTRAST].load_state_dict({"log_scale": file.get_tensor(SAVED_SCALE)})
    if "mlm" not in network.tasks:
        _load_published_mlm(network, folder, names)
    return network


def save_network(network: Network, folder: Path | str, tokenizer_folder: Path | str, main_head: str) -> None:
    """Write config, tokenizer and weights (fp32). `main_head` gives the folder its architecture and labels."""
    folder = Path(folder)
    encoder, config = network.encoder, network.config
    prefix = encoder.base_model_prefix
    weights = {f"{prefix}.{name}": tensor for name, tensor in encoder.state_dict().items()}
    heads: dict[str, dict] = {}
    taken: set[str] = set()
    for name in sorted(network.tasks, key=lambda name: (name != main_head, name)):
        names = _saved_names(name, network.head(name), encoder, taken)
        taken |= set(names.values())
        weights |= {names[p]: tensor for p, tensor in network.head(name).state_dict().items()}
        heads[name] = {"labels": network.tasks[name].labels, "weights": names}
    if any("pooler" in name for name in taken):
        weights |= {f"{KEPT_POOLER}.{part}": tensor for part, tensor in network.published_pooler.items()}
    if network.log_scale is not None:
        weights[SAVED_SCALE] = network.log_scale
    values = config.to_dict()
    values["crosstune_heads"] = heads
    if main_head in network.tasks:
        labels = network.tasks[main_head].labels
        architecture = ARCHITECTURES.get(main_head.partition(".")[0], "Model")
        values["architectures"] = [type(encoder).__name__.removesuffix("Model") + architecture]
        if labels:
            values["id2label"] = {str(number): label for number, label in enumerate(labels)}
            values["label2id"] = {label: number for number, label in enumerate(labels)}
    for name in TOKENIZER_FILES:
        if (Path(tokenizer_folder) / name).exists():
            with atomic_open(folder / name) as file:
                file.write((Path(tokenizer_folder) / name).read_bytes())
    write_text(folder / "config.json", json.dumps(values, indent=2, sort_keys=True) + "\n")
    tensors = {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in sorted(weights.items())}
    with atomic_open(folder / WEIGHTS) as file:
        file.write(save(tensors, {"format": "pt"}))


def average_weights(folders: list[Path]) -> dict[str, torch.Tensor]:
    """The mean of several folders' weights, summed in fp64 so that the order of the folders does not matter much.

    Raises UserError where the folders do not hold the same tensors.
    """
    total: dict[str, torch.Tensor] = {}
    for folder in folders:
        weights = load_file(Path(folder) / WEIGHTS)
        shapes = {name: tensor.shape for name, tensor in weights.items()}
        if total and shapes != {name: tensor.shape for name, tensor in total.items()}:
            raise UserError("the checkpoints to average do not hold the same weights", str(folder))
        for name, tensor in weights.items():
            total[name] = total.get(name, 0) + tensor.double()
    return {name: (tensor / len(folders)).float() for name, tensor in total.items()}


def _saved_names(name: str, head: nn.Module, encoder: nn.Module, taken: set[str]) -> dict[str, str]:
    """Where each parameter of a head is saved: under the published names of its kind, unless one is taken."""
    parts = published_parts(name, encoder)
    names = {}
    for parameter in head.state_dict():
        part = parameter.partition(".")[0]
        if "" in parts:
            names[parameter] = f"{parts['']}.{parameter}"
        else:
            names[parameter] = parts.get(part, f"heads.{name}.{part}") + parameter.removeprefix(part)
    return names if taken.isdisjoint(names.values()) else {p: f"heads.{name}.{p}" for p in names}


def _load_published_mlm(network: Network, folder: Path, names: set[str]) -> None:
    """Take over the masked-LM head that a published checkpoint has, for text as a source of a schedule."""
    for parts in PUBLISHED_MLM:
        full = {"bias": parts["bias"]}
        full |= {f"{p}.{kind}": f"{parts[p]}.{kind}" for p in ("dense", "norm") for kind in ("weight", "bias")}
        if set(full.values()) <= names:
            network.add_head("mlm", [])
            with safe_open(folder / WEIGHTS, "pt") as file:
                network.head("mlm").load_state_dict({p: file.get_tensor(name) for p, name in full.items()})
