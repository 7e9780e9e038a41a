"""An encoder with heads as a Hugging Face folder: loading, saving, averaging."""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import nn
from transformers import AutoConfig, PreTrainedConfig

from crosstune.artifacts.model_config import LOCAL
from crosstune.core.errors import UserError
from crosstune.core.files import atomic_open, write_text
from crosstune.modeling.base_model import encoder_class, pooler_option, published_mlm, refuse_misfit
from crosstune.modeling.network import MultiHeadEncoder
from crosstune.modeling.weight_names import (
    ARCHITECTURES,
    PUBLISHED_POOLER,
    SAVED_SCALE,
    TEMPERATURE,
    TOKENIZER_FILES,
    WEIGHTS,
    published_parts,
)

DROPOUTS = (
    "hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "embedding_dropout",
    "mlp_dropout", "dropout_rate",
)  # fmt: skip


def load_network(folder: Path | str, dropout: float | None = None, packing: bool = True) -> MultiHeadEncoder:
    """The encoder of a folder with the heads that it has. Raises UserError for weights of other models."""
    folder = Path(folder)
    config = AutoConfig.from_pretrained(folder, **LOCAL)
    if dropout is not None:
        for name in DROPOUTS:
            if hasattr(config, name):
                setattr(config, name, dropout)
    with safe_open(folder / WEIGHTS, "pt") as file:
        names = set(file.keys())
    network = MultiHeadEncoder(_load_encoder(folder, config, names), packing)
    if f"{PUBLISHED_POOLER}.weight" in names:
        pooler = _load_tensors(folder, {part: f"{PUBLISHED_POOLER}.{part}" for part in ("weight", "bias")})
        network.published_pooler = pooler
    _load_heads(network, folder, names)
    return network


def _load_encoder(folder: Path, config: PreTrainedConfig, names: set[str]) -> nn.Module:
    model_class = encoder_class(config, folder)
    options = {**pooler_option(model_class, config, names), "ignore_mismatched_sizes": True}
    encoder, report = model_class.from_pretrained(
        folder, config=config, dtype=torch.float32, output_loading_info=True, **LOCAL, **options
    )
    refuse_misfit(encoder, report, folder)
    return encoder


def _load_heads(network: MultiHeadEncoder, folder: Path, names: set[str]) -> None:
    """Load the heads that the config lists, a learned temperature, and the masked-LM head of a published checkpoint."""
    if heads := getattr(network.config, "crosstune_heads", {}):
        weights = load_file(folder / WEIGHTS)
        for name, head in heads.items():
            network.add_head(name, head["labels"])
            network.head(name).load_state_dict({part: weights[full] for part, full in head["weights"].items()})
    if SAVED_SCALE in names and hasattr(network.config, "crosstune_heads"):
        network.learn_temperature(1.0)
        network.heads[TEMPERATURE].load_state_dict(_load_tensors(folder, {"log_scale": SAVED_SCALE}))
    if "mlm" not in network.tasks and (full := published_mlm(names)):
        network.add_head("mlm", [])
        network.head("mlm").load_state_dict(_load_tensors(folder, full))


def _load_tensors(folder: Path, names: dict[str, str]) -> dict[str, torch.Tensor]:
    """Some weights of a folder, under the keys of `names`."""
    with safe_open(folder / WEIGHTS, "pt") as file:
        return {key: file.get_tensor(name) for key, name in names.items()}


def save_network(network: MultiHeadEncoder, folder: Path | str, tokenizer_folder: Path | str, main_head: str) -> None:
    """Write config, tokenizer and weights (fp32). `main_head` gives the folder its architecture and labels."""
    folder = Path(folder)
    encoder = network.encoder
    # Of tied weights, which share memory, one is saved.
    own = {name: tensor for name, tensor in encoder.state_dict().items() if name not in encoder.all_tied_weights_keys}
    weights = {f"{encoder.base_model_prefix}.{name}": tensor for name, tensor in own.items()}
    heads: dict[str, dict] = {}
    taken: set[str] = set()
    for name in sorted(network.tasks, key=lambda name: (name != main_head, name)):
        names = _saved_names(name, network.head(name), network.encoder, taken)
        taken |= set(names.values())
        weights |= {names[part]: tensor for part, tensor in network.head(name).state_dict().items()}
        heads[name] = {"labels": network.tasks[name].labels, "weights": names}
    if any("pooler" in name for name in taken):
        weights |= {f"{PUBLISHED_POOLER}.{part}": tensor for part, tensor in network.published_pooler.items()}
    if network.log_scale is not None:
        weights[SAVED_SCALE] = network.log_scale
    for name in TOKENIZER_FILES:
        if (Path(tokenizer_folder) / name).exists():
            with atomic_open(folder / name) as file:
                file.write((Path(tokenizer_folder) / name).read_bytes())
    config = _saved_config(network, heads, main_head)
    write_text(folder / "config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")
    tensors = {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in sorted(weights.items())}
    with atomic_open(folder / WEIGHTS) as file:
        file.write(save(tensors, {"format": "pt"}))


def _saved_config(network: MultiHeadEncoder, heads: dict[str, dict], main_head: str) -> dict:
    """The encoder's config with the list of heads, and the architecture and labels of the main one."""
    config = network.config.to_dict()
    config["crosstune_heads"] = heads
    if main_head in network.tasks:
        labels = network.tasks[main_head].labels
        architecture = ARCHITECTURES.get(main_head.partition(".")[0], "Model")
        config["architectures"] = [type(network.encoder).__name__.removesuffix("Model") + architecture]
        if labels:
            config["id2label"] = {str(number): label for number, label in enumerate(labels)}
            config["label2id"] = {label: number for number, label in enumerate(labels)}
    return config


def _saved_names(name: str, head: nn.Module, encoder: nn.Module, taken: set[str]) -> dict[str, str]:
    """The name under which each parameter of a head is saved: the published one, unless another head has taken it."""
    parts = published_parts(name, encoder)
    names = {}
    for parameter in head.state_dict():
        part = parameter.partition(".")[0]
        if "" in parts:
            names[parameter] = f"{parts['']}.{parameter}"
        else:
            names[parameter] = parts.get(part, f"heads.{name}.{part}") + parameter.removeprefix(part)
    return names if taken.isdisjoint(names.values()) else {p: f"heads.{name}.{p}" for p in names}


def average_weights(folders: list[Path]) -> dict[str, torch.Tensor]:
    """The mean of several folders' weights, summed in fp64 so that the order of the folders hardly matters.

    Raises UserError if the folders hold different tensors.
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
