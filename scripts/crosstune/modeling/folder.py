"""An encoder with heads as a Hugging Face folder: loading, saving, averaging.

A folder holds a whole model, or an adapter with heads for a base model in another folder.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import nn
from transformers import AutoConfig, PreTrainedConfig

from crosstune.artifacts.adapter import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    BASE_KEY,
    MERGED,
    is_adapter,
    link_merged,
    read_base,
    whole_model,
)
from crosstune.artifacts.checkpoint import CARD, link_or_copy
from crosstune.artifacts.model_config import LOCAL
from crosstune.core.errors import UserError
from crosstune.core.files import atomic_open, make_empty_folder, read_json, write_text
from crosstune.modeling.adapter_files import AdapterFile, adapter_file, average_adapters, file_name
from crosstune.modeling.adapters import merge_adapter
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
    """The encoder of a folder with the heads that it has, and with its adapter.

    Raises UserError for weights of other models, and for a missing base model.
    """
    folder = Path(folder)
    network = _load_whole(whole_model(folder), dropout, packing)
    if is_adapter(folder):
        _load_adapters(network, folder)
    return network


def _load_whole(folder: Path, dropout: float | None, packing: bool) -> MultiHeadEncoder:
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


def _load_adapters(network: MultiHeadEncoder, folder: Path) -> None:
    """Merge earlier stages' adapters into a base model's network; add the last one, and the heads of its folder."""
    base = read_base(folder)
    network.requires_grad_(False)
    for earlier in base.merged:
        AdapterFile.read(earlier, network.encoder.base_model_prefix).add_to(network, base)
        merge_adapter(network)
    own = AdapterFile.read(folder, network.encoder.base_model_prefix)
    own.add_to(network, base)
    for name, head in read_json(folder / "config.json")["crosstune_heads"].items():
        if name not in network.tasks:
            network.add_head(name, head["labels"])
        names = {part: file_name(full, network, not own.encoder) for part, full in head["weights"].items()}
        network.head(name).load_state_dict({part: own.tensors[full] for part, full in names.items()})
        network.head(name).requires_grad_(True)
    scale = file_name(SAVED_SCALE, network, not own.encoder)
    if scale in own.tensors:
        network.learn_temperature(1.0)
        network.heads[TEMPERATURE].load_state_dict({"log_scale": own.tensors[scale]})
        network.heads[TEMPERATURE].requires_grad_(True)


def _load_tensors(folder: Path, names: dict[str, str]) -> dict[str, torch.Tensor]:
    """Some weights of a folder, under the keys of `names`."""
    with safe_open(folder / WEIGHTS, "pt") as file:
        return {key: file.get_tensor(name) for key, name in names.items()}


def save_network(network: MultiHeadEncoder, folder: Path | str, tokenizer_folder: Path | str, main_head: str) -> None:
    """Write config, tokenizer and weights (fp32). `main_head` gives the folder its architecture and labels.

    Of a network with an adapter, write config, adapter and trained heads; the rest is in the base model's folder.
    """
    folder = Path(folder)
    heads, weights = _saved_heads(network, main_head)
    config = _saved_config(network, heads, main_head)
    if network.adapter is not None:
        _save_adapter(network, folder, weights, config, main_head)
        return
    encoder = network.encoder
    # Of tied weights, which share memory, one is saved.
    own = {name: tensor for name, tensor in encoder.state_dict().items() if name not in encoder.all_tied_weights_keys}
    weights = {f"{encoder.base_model_prefix}.{name}": tensor for name, tensor in own.items()} | weights
    if any("pooler" in name for head in heads.values() for name in head["weights"].values()):
        weights |= {f"{PUBLISHED_POOLER}.{part}": tensor for part, tensor in network.published_pooler.items()}
    for name in TOKENIZER_FILES:
        # Linked: a tokenizer takes tens of megabytes, and quotas count files.
        if (Path(tokenizer_folder) / name).exists():
            link_or_copy(Path(tokenizer_folder) / name, folder / name)
    _write_config(folder, config)
    tensors = {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in sorted(weights.items())}
    with atomic_open(folder / WEIGHTS) as file:
        file.write(save(tensors, {"format": "pt"}))


def _save_adapter(
    network: MultiHeadEncoder, folder: Path, weights: dict[str, torch.Tensor], config: dict, main_head: str
) -> None:
    kind, bare = main_head.partition(".")[0], main_head.partition(".")[0] not in ARCHITECTURES
    # The bias of a masked-LM head is no module, so peft cannot replace it.
    names = {} if kind == "mlm" else config["crosstune_heads"].get(main_head, {}).get("weights", {})
    modules = sorted({name.rpartition(".")[0] for name in names.values()})
    adapter_file(network, weights, modules, bare).write(folder)
    _write_config(folder, config | {BASE_KEY: network.adapter.base.entry})
    link_merged(network.adapter.base, folder)


def _write_config(folder: Path, config: dict) -> None:
    write_text(folder / "config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")


def _saved_heads(network: MultiHeadEncoder, main_head: str) -> tuple[dict[str, dict], dict[str, torch.Tensor]]:
    """The entry of each head in the config, and the tensors of all heads by their saved names.

    Of a network with an adapter they are the trained heads: others are in the base model's folder.
    """
    heads: dict[str, dict] = {}
    weights: dict[str, torch.Tensor] = {}
    for name in sorted(network.tasks, key=lambda name: (name != main_head, name)):
        head = network.head(name)
        if network.adapter is None or all(weight.requires_grad for weight in head.parameters()):
            names = _saved_names(name, head, network.encoder, set(weights))
            weights |= {names[part]: tensor for part, tensor in head.state_dict().items()}
            heads[name] = {"labels": network.tasks[name].labels, "weights": names}
    if network.log_scale is not None:
        weights[SAVED_SCALE] = network.log_scale
    return heads, weights


def _saved_config(network: MultiHeadEncoder, heads: dict[str, dict], main_head: str) -> dict:
    """The encoder's config with the list of heads, and the architecture and labels of the main one.

    Without the folder that the network was loaded from: a parent that is retrained for a moment has another one, and
    the bytes must be the same.
    """
    config = network.config.to_dict()
    config.pop("_name_or_path", None)
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


def average_models(folders: Sequence[Path], out: Path) -> None:
    """Write the folder of the mean of several checkpoints of one lineage's models.

    Raises UserError if they hold different tensors.
    """
    make_empty_folder(out)
    left = {WEIGHTS, ADAPTER_WEIGHTS, ADAPTER_CONFIG, MERGED, CARD}
    for path in sorted(folders[0].iterdir()):
        if path.name not in left:
            (link_or_copy if path.name in TOKENIZER_FILES else shutil.copyfile)(path, out / path.name)
    if is_adapter(folders[0]):
        encoder = encoder_class(AutoConfig.from_pretrained(out, **LOCAL), out).base_model_prefix
        members = [[AdapterFile.read(part, encoder) for part in (*read_base(own).merged, own)] for own in folders]
        average_adapters(members).write(out)
        return
    with atomic_open(out / WEIGHTS) as file:
        file.write(save(dict(sorted(average_weights(folders).items())), {"format": "pt"}))


def average_weights(folders: Sequence[Path]) -> dict[str, torch.Tensor]:
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
