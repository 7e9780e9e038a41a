"""Low-rank adapters (LoRA, Hu et al. 2021, arXiv:2106.09685) in a network, through peft.

A target is a linear layer of the encoder. Its product W x becomes W x + alpha/rank B A x, where training changes only
A (rank, inputs) and B (outputs, rank). Heads are trained whole. Everything else is frozen.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from crosstune.artifacts.adapter import Adapter, BaseModel, check_peft, matched_layers
from crosstune.core.random_streams import derive
from crosstune.modeling.fast_dropout import use_fast_dropout
from crosstune.modeling.network import MultiHeadEncoder

# peft's name of the only adapter.
ADAPTER = "default"

MATRICES = ("lora_A", "lora_B")


def prepare_adapter(network: MultiHeadEncoder, lora: Mapping, seed: int, folder: Path, parent: BaseModel) -> None:
    """Give the network of a stage's parent the adapter that the stage trains, by the key `lora` of its spec.

    `folder`: where the network was loaded from. `parent`: the same as a base model, if it has no adapter. A new
    adapter's A is drawn from the seed, its B is 0. Raises UserError for targets that the encoder lacks.
    """
    if network.adapter is None:
        network.requires_grad_(False)
        linear = [name for name, module in network.encoder.named_modules() if isinstance(module, nn.Linear)]
        layers, base = tuple(matched_layers(linear, lora["targets"], "models: lora.targets")), parent
    elif lora["stages"] == "merge":
        layers, base = network.adapter.layers, network.adapter.base
        base = replace(base, merged=(*base.merged, folder))
        merge_adapter(network)
    else:
        return
    add_adapter(network, Adapter(lora["rank"], lora["alpha"], lora["dropout"], layers, base))
    generator = torch.Generator().manual_seed(derive(seed, "lora", len(base.merged)))
    for layer in layers:
        first, second = (_matrix(network, layer, name) for name in MATRICES)
        nn.init.kaiming_uniform_(first, a=math.sqrt(5), generator=generator)
        nn.init.zeros_(second)


def add_adapter(network: MultiHeadEncoder, adapter: Adapter) -> None:
    """Add an adapter to a network that has none, and freeze the rest of the encoder. Its matrices are still to be set.

    Raises UserError if peft is not installed.
    """
    check_peft("environment")
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=adapter.rank, lora_alpha=adapter.alpha, lora_dropout=adapter.dropout, target_modules=list(adapter.layers)
    )
    inject_adapter_in_model(config, network.encoder, ADAPTER)
    use_fast_dropout(network.encoder)
    network.adapter = adapter


def merge_adapter(network: MultiHeadEncoder) -> None:
    """Add alpha/rank B A to the weights of every target, as peft does, and remove the adapter."""
    for name in network.adapter.layers:
        layer = network.encoder.get_submodule(name)
        layer.merge()
        parent, _, own = name.rpartition(".")
        setattr(network.encoder.get_submodule(parent), own, layer.get_base_layer())
    del network.encoder.peft_config
    network.adapter = None


def adapter_state(network: MultiHeadEncoder) -> dict[str, torch.Tensor]:
    """The adapter's matrices: `<layer>.lora_A.weight` (rank, inputs) and `<layer>.lora_B.weight` (outputs, rank)."""
    return {
        f"{layer}.{name}.weight": _matrix(network, layer, name).detach()
        for layer in network.adapter.layers
        for name in MATRICES
    }


def load_adapter_state(network: MultiHeadEncoder, tensors: Mapping[str, torch.Tensor]) -> None:
    """Set the adapter's matrices to tensors with the names of `adapter_state`."""
    for name, matrix in adapter_state(network).items():
        matrix.copy_(tensors[name])


def _matrix(network: MultiHeadEncoder, layer: str, name: str) -> nn.Parameter:
    return getattr(network.encoder.get_submodule(layer), name)[ADAPTER].weight
