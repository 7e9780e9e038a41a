"""Files of adapters, in peft's format: `adapter_config.json` and `adapter_model.safetensors`.

The names of weights are those that transformers' class of the main head has, behind peft's prefix. So
`PeftModel.from_pretrained` puts the adapter and that head into a model of this class.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from crosstune.artifacts.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, Adapter, BaseModel
from crosstune.core.errors import UserError
from crosstune.core.files import atomic_open, read_json, write_text
from crosstune.modeling.adapters import MATRICES, adapter_state, add_adapter, load_adapter_state
from crosstune.modeling.network import MultiHeadEncoder

PREFIX = "base_model.model."


@dataclass(frozen=True)
class AdapterFile:
    """An adapter's settings and its tensors by their names in peft's file.

    `encoder`: what the names of the encoder's layers begin with: `bert.`, or nothing if no class of transformers has
    the main head. `heads`: the modules of the main head that peft replaces.
    """

    rank: int
    alpha: float
    dropout: float
    layers: tuple[str, ...]
    base: str
    encoder: str
    heads: tuple[str, ...]
    tensors: dict[str, torch.Tensor]

    @classmethod
    def read(cls, folder: Path, encoder: str) -> "AdapterFile":
        """The file of a folder. `encoder`: the name that transformers' classes with a head give the encoder."""
        config = read_json(folder / ADAPTER_CONFIG)
        with safe_open(folder / ADAPTER_WEIGHTS, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        named = all(name.startswith(f"{encoder}.") for name in config["target_modules"])
        encoder = f"{encoder}." if named else ""
        layers = tuple(name.removeprefix(encoder) for name in config["target_modules"])
        heads = tuple(config["modules_to_save"] or ())
        sizes = (config["r"], config["lora_alpha"], config["lora_dropout"])
        return cls(*sizes, layers, config["base_model_name_or_path"], encoder, heads, tensors)

    def write(self, folder: Path) -> None:
        """Write both files; the same adapter gives the same bytes."""
        config = {
            "base_model_name_or_path": self.base,
            "bias": "none",
            "fan_in_fan_out": False,
            "inference_mode": True,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "modules_to_save": list(self.heads) or None,
            "peft_type": "LORA",
            "r": self.rank,
            "target_modules": [f"{self.encoder}{layer}" for layer in self.layers],
            "task_type": None,
        }
        write_text(folder / ADAPTER_CONFIG, json.dumps(config, indent=2, sort_keys=True) + "\n")
        tensors = {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in self.tensors.items()}
        with atomic_open(folder / ADAPTER_WEIGHTS) as file:
            # One entry of metadata: safetensors writes several in any order.
            file.write(save(dict(sorted(tensors.items())), {"format": "pt"}))

    def add_to(self, network: MultiHeadEncoder, base: BaseModel) -> None:
        """Add the adapter to a network without one."""
        add_adapter(network, Adapter(self.rank, self.alpha, self.dropout, self.layers, base))
        prefix = f"{PREFIX}{self.encoder}"
        load_adapter_state(network, {name.removeprefix(prefix): tensor for name, tensor in self.tensors.items()})


def file_name(name: str, network: MultiHeadEncoder, bare: bool) -> str:
    """The name in peft's file of a weight with this name in transformers' class of the main head.

    `bare`: there is no such class, and the encoder itself is loaded.
    """
    return PREFIX + (name.removeprefix(f"{network.encoder.base_model_prefix}.") if bare else name)


def adapter_file(
    network: MultiHeadEncoder, heads: dict[str, torch.Tensor], modules: Sequence[str], bare: bool
) -> AdapterFile:
    """The file of a network's adapter. `heads`: the tensors of all trained heads, by their names in transformers.

    `modules`: those of the main head, by such names.
    """
    adapter, encoder = network.adapter, "" if bare else f"{network.encoder.base_model_prefix}."
    tensors = {f"{PREFIX}{encoder}{name}": tensor for name, tensor in adapter_state(network).items()}
    tensors |= {file_name(name, network, bare): tensor for name, tensor in heads.items()}
    replaced = tuple(file_name(name, network, bare).removeprefix(PREFIX) for name in modules)
    sizes = (adapter.rank, adapter.alpha, adapter.dropout)
    return AdapterFile(*sizes, adapter.layers, adapter.base.folder, encoder, replaced, tensors)


def average_adapters(members: Sequence[Sequence[AdapterFile]]) -> AdapterFile:
    """One adapter with the mean of the members' weights; a member's adapters are merged after each other, heads last.

    The mean of products B A is one product: all A below each other, all B next to each other divided by the number of
    members. The rank is the sum of the ranks. Raises UserError if the members hold different tensors.
    """
    first = members[0][-1]
    if any(member[-1].tensors.keys() != first.tensors.keys() for member in members):
        raise UserError("the checkpoints to average do not hold the same weights")
    tensors = {}
    for name in first.tensors:
        kind = name.split(".")[-2]
        if kind not in MATRICES:
            total = sum(member[-1].tensors[name].double() for member in members)
            tensors[name] = (total / len(members)).float()
            continue
        parts = [part.tensors[_renamed(name, first, part)].double() for member in members for part in member]
        own = torch.cat(parts, 0) if kind == MATRICES[0] else torch.cat(parts, 1) / len(members)
        tensors[name] = own.float()
    count = sum(map(len, members))
    return replace(first, rank=count * first.rank, alpha=count * first.alpha, tensors=tensors)


def _renamed(name: str, one: AdapterFile, other: AdapterFile) -> str:
    """The name in another file of a matrix, whose encoder may have another name there."""
    return f"{PREFIX}{other.encoder}{name.removeprefix(PREFIX + one.encoder)}"
