"""Adapters in a study: their spec, their size, and mistakes that the plan can see (docs/adapters.md)."""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from crosstune.artifacts.adapter import ALL_LINEAR, WHOLE_WEIGHTS, check_peft, matched_layers
from crosstune.artifacts.checkpoint import MODEL
from crosstune.artifacts.local_model import local_files, safetensors_shapes
from crosstune.artifacts.model_files import weights_files
from crosstune.core.errors import UserError
from crosstune.study.graph import Checkpoint, Expansion
from crosstune.study.model_size import Size
from crosstune.study.paths import CheckpointPath, base_path, study_name

# The last names of square matrices, those of attention, in transformers' encoders. Others are four times as long.
SQUARE = {"query", "key", "value", "out_proj", "q", "k", "v", "o"} | {
    f"{part}_{suffix}" for part in "qkv" for suffix in ("proj", "lin")
}

# Task types whose heads have a dense layer of the encoder's width.
DENSE_HEADS = ("classification", "choice", "retrieval", "mlm")

# A numbered layer's matrices, without the decoder's and without tables of positions.
IN_LAYER = re.compile(r"(?!decoder|.*(embed|relative)).*\.\d+\..*\.weight")


def check_adapters(study: Expansion) -> None:
    """UserError for targets that a model is known to lack, and for adapters that a schedule cannot train."""
    for name, model in study.config["models"].items():
        if "lora" not in model:
            continue
        if ALL_LINEAR in (targets := model["lora"]["targets"]) and targets != ALL_LINEAR:
            message = f"{ALL_LINEAR} means all linear layers, so it cannot be an item of a list"
            raise UserError(message, f"models.{name}.lora.targets", f"targets: {ALL_LINEAR}")
        if layers := layer_shapes(study.config, name):
            matched_layers(list(layers), targets, f"models.{name}.lora.targets")
        if model["lora"]["stages"] == "merge":
            _check_optimizers(study, name)


def check_installed(study: Expansion) -> None:
    """UserError if a model has adapters, its jobs run in this environment, and peft is not in it.

    An environment without torch plans jobs that run elsewhere.
    """
    if find_spec("torch") is not None:
        for name, model in study.config["models"].items():
            if "lora" in model:
                check_peft(f"models.{name}.lora")


def _check_optimizers(study: Expansion, model: str) -> None:
    """UserError if a stage of a model whose every stage has a new adapter carries the moments of the one before."""
    for node in study.checkpoints.values():
        carries = node.spec.get("recipe", {}).get("optimizer") == "carry"
        if carries and len(node.location.stages) > 1 and node.location.model == model:
            message = "optimizer: carry has no use with lora.stages: merge, where each stage trains another adapter"
            where = f"tracks.{node.location.track}.schedules, {node.location.stages[-1]}"
            raise UserError(message, where, f"models.{model}.lora: {{stages: continue}}")


# --- sizes -----------------------------------------------------------------------------------------------------------


def size_of(config: Mapping, name: str) -> Size:
    """The size of a model of the config, with that of its adapter."""
    model = config["models"][name]
    return Size.of(model, _adapter_parameters(config, name) if "lora" in model else None)


def sizes_of(config: Mapping) -> dict[str, Size]:
    """The sizes of all models of the config, by name."""
    return {name: size_of(config, name) for name in config["models"]}


def size_at(study: Expansion, path: str, sizes: Mapping[str, Size]) -> Size:
    """The size of the model of a checkpoint that the study computes. A base model is pretrained without an adapter."""
    size = sizes[CheckpointPath.parse(path).model]
    return size if study.checkpoints[path].parents else replace(size, adapter=None)


def stored_parameters(study: Expansion, node: Checkpoint, sizes: Mapping[str, Size]) -> int:
    """Parameters that a checkpoint with an adapter stores: of the adapter, and of its heads.

    An average has all matrices of its members. Where stages are merged, a stage keeps those before it.
    """
    if "average" in node.spec:
        return sum(stored_parameters(study, study.checkpoints[parent], sizes) for parent in node.parents)
    size = sizes[node.location.model]
    heads = sum(_head_parameters(head, size.width) for head in node.spec["heads"])
    # They are hard links: what all stages keep takes no space again.
    alone = node.spec["lora"]["stages"] == "continue" or study.config["keep_weights"] == "all"
    return size.adapter * (1 if alone else len(node.location.stages)) + heads


def _head_parameters(head: Mapping, width: int) -> int:
    dense = width**2 if head["name"].partition(".")[0] in DENSE_HEADS else 0
    return dense + width * max(2, len(head["labels"]))


def _adapter_parameters(config: Mapping, name: str) -> int:
    """Parameters of a model's adapter: rank x (inputs + outputs) of every target.

    If the model's layers are unknown, they are derived from its number of parameters.
    """
    model = config["models"][name]
    lora = model["lora"]
    if layers := layer_shapes(config, name):
        targets = matched_layers(list(layers), lora["targets"], f"models.{name}.lora.targets")
        return lora["rank"] * sum(sum(layers[target]) for target in targets)
    size = Size.of(model)
    if lora["targets"] == ALL_LINEAR:
        widths = 4 * 2 + 2 * 5
    else:
        widths = sum(2 if target in SQUARE else 10 for target in lora["targets"])
    return math.ceil(lora["rank"] * widths * size.width * size.layers)


def layer_shapes(config: Mapping, name: str) -> dict[str, list[int]]:
    """The shapes of a model's linear layers by full name, as far as a file on this machine tells; else none."""
    model = config["models"][name]
    if "pretrain" in model:
        return _bert_shapes(model["pretrain"]["hidden"], model["pretrain"]["layers"])
    files = [Path(base_path(study_name(config), name, model), MODEL, WHOLE_WEIGHTS)]
    if not files[0].exists():
        folder = Path(model.get("folder", ""))
        here = "folder" in model and folder.exists()
        names = weights_files(local_files(folder, f"models.{name}.folder"), folder) if here else []
        files = [folder / file for file in names]
    return {
        weight.removesuffix(".weight"): shape
        for file in files
        if file.suffix == ".safetensors"
        for weight, shape in safetensors_shapes(file, f"models.{name}").items()
        if len(shape) == 2 and IN_LAYER.fullmatch(weight)
    }


def _bert_shapes(width: int, layers: int) -> dict[str, list[int]]:
    """The linear layers of a model that is pretrained here."""
    square = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
    one = {layer: [width, width] for layer in square}
    one |= {"intermediate.dense": [4 * width, width], "output.dense": [width, 4 * width]}
    return {f"encoder.layer.{n}.{layer}": shape for n in range(layers) for layer, shape in one.items()}
