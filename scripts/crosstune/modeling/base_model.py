"""Base models: the class of an encoder, and whether its weights, architecture and tokenizer fit each other.

transformers draws weights that a file lacks at random, without an error. The checks here read the names and shapes of
a file's weights, and compute nothing.
"""

import inspect
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import (
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForTextEncoding,
    PreTrainedConfig,
)
from transformers.utils import logging as transformers_logging

from crosstune.artifacts.model_config import LOCAL, check_layers, check_numbers, check_positions
from crosstune.core.errors import UserError
from crosstune.core.files import read_json
from crosstune.modeling.tasks.mlm import MaskedLanguageHead
from crosstune.modeling.tokenization import Tokenizer
from crosstune.modeling.weight_names import PUBLISHED_MLM, WEIGHTS

transformers_logging.set_verbosity_error()

transformers_logging.disable_progress_bar()

# Names that a message lists of each kind.
NAMES_SHOWN = 4

# Of a private area of Unicode: no vocabulary has it.
UNKNOWN_CHARACTER = "\U0010fffd"


def check_base_model(folder: Path, longest: int) -> None:
    """UserError if the weights, the architecture and the tokenizer of an encoder's folder do not fit each other.

    `longest`: the tokens of the longest sequence that it will read.
    """
    config, shapes = _config(folder), weight_shapes(folder)
    check_layers(config.to_dict(), len(shapes), str(folder))
    model_class = encoder_class(config, folder)
    encoder = _check_weights(model_class, folder, config, shapes, pooler_option(model_class, config, shapes))
    if names := published_mlm(shapes):
        with torch.device("meta"):
            head = MaskedLanguageHead(config).state_dict()
        wrong = [(full, shapes[full], list(head[part].shape)) for part, full in names.items()]
        _refuse(folder, mismatched=[entry for entry in wrong if entry[1] != entry[2]])
    _check_tokenizer(folder, encoder)
    check_positions(config.to_dict(), longest, str(folder))


def check_translation_model(folder: Path) -> None:
    """UserError if the weights and the architecture of a translation model's folder do not fit each other."""
    config = _config(folder)
    if model_class := MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING.get(type(config), None):
        shapes = weight_shapes(folder)
        check_layers(config.to_dict(), len(shapes), str(folder))
        _check_weights(model_class, folder, config, shapes, {})


def _config(folder: Path) -> PreTrainedConfig:
    check_numbers(read_json(folder / "config.json"), str(folder))
    return AutoConfig.from_pretrained(folder, **LOCAL)


def encoder_class(config: PreTrainedConfig, folder: Path) -> type:
    """The class of a model's encoder. Raises UserError if transformers has none for this config."""
    # Of T5's kinds this is the encoder without its decoder, of others the same class as AutoModel's.
    auto = AutoModelForTextEncoding if type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING else AutoModel
    if auto is AutoModel and config.is_encoder_decoder:
        message = f"{config.model_type} has an encoder and a decoder, and transformers has no class for its encoder"
        raise UserError(message, str(folder), "Choose an encoder, such as XLM-R, or mT5.")
    try:
        with torch.device("meta"):
            return type(auto.from_config(config))
    except ValueError as error:
        raise UserError(f"no encoder: {error}", str(folder), "Use a model that AutoModel loads.") from None


def pooler_option(model_class: type, config: PreTrainedConfig, names: Collection[str]) -> dict[str, bool]:
    """The argument that builds an encoder with a pooler if a file with these `names` of weights has one for it.

    transformers would draw a missing pooler at random, and the next save would keep it. A pooler that a head has taken
    is no longer the encoder's.
    """
    if "add_pooling_layer" not in inspect.signature(model_class.__init__).parameters:
        return {}
    taken = {name for head in getattr(config, "crosstune_heads", {}).values() for name in head["weights"].values()}
    return {"add_pooling_layer": any(".pooler." in name for name in set(names) - taken)}


def published_mlm(names: Collection[str]) -> dict[str, str]:
    """The weights of a published masked-LM head, by their names in this project's; empty if it is not among `names`."""
    for parts in PUBLISHED_MLM:
        full = {"bias": parts["bias"]}
        full |= {f"{p}.{kind}": f"{parts[p]}.{kind}" for p in ("dense", "norm") for kind in ("weight", "bias")}
        if set(full.values()) <= set(names):
            return full
    return {}


def weight_shapes(folder: Path) -> dict[str, list[int]]:
    """The shapes of a folder's weights by name, from the header of their file. Raises UserError if it is damaged."""
    try:
        with safe_open(folder / WEIGHTS, "pt") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise UserError(f"these weights cannot be read: {error}", str(folder / WEIGHTS), "Fetch them again.") from None


# --- weights ---------------------------------------------------------------------------------------------------------


def refuse_misfit(model: nn.Module, report: Mapping, folder: Path) -> None:
    """UserError if weights of a model were not in its file, did not fit in shape, or are of layers that it lacks.

    `report`: what transformers tells of the loading. Other weights that the model lacks are those of heads.
    """
    # A buffer without a value in the file has that of its initialization, which nothing draws at random.
    expected = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    prefix = f"{model.base_model_prefix}."
    shared = set(map(_without_numbers, expected))
    surplus = [name for name in report["unexpected_keys"] if _without_numbers(name.removeprefix(prefix)) in shared]
    mismatched = [(name, list(found), list(wanted)) for name, found, wanted in report["mismatched_keys"]]
    missing = expected.intersection(report["missing_keys"])
    _refuse(folder, missing, len(expected), report["unexpected_keys"], surplus, mismatched)


def _check_weights(
    model_class: type, folder: Path, config: PreTrainedConfig, shapes: Mapping[str, Sequence[int]], options: dict
) -> nn.Module:
    """The model without values, after transformers has looked for its weights in a file with these shapes."""
    model, report = model_class.from_pretrained(
        None,
        config=config,
        state_dict={name: torch.empty(shape, device="meta") for name, shape in shapes.items()},
        device_map={"": "meta"},
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        **options,
    )
    refuse_misfit(model, report, folder)
    return model


def _refuse(
    folder: Path,
    missing: Collection[str] = (),
    expected: int = 0,
    unexpected: Collection[str] = (),
    surplus: Collection[str] = (),
    mismatched: Collection[tuple[str, list[int], list[int]]] = (),
) -> None:
    """UserError if there are names in `missing`, `surplus` or `mismatched` (name, shape, expected shape)."""
    facts = []
    if missing:
        facts.append(f"{len(missing)} of its {expected} weights are missing: {_examples(missing)}")
        if unexpected:
            similar = [name for name in unexpected if name.endswith(tuple(f".{known}" for known in missing))]
            facts.append(f"{len(unexpected)} other names are not its own: {_examples(similar or unexpected)}")
    elif surplus:
        facts.append(f"{len(surplus)} belong to layers that it does not have: {_examples(surplus)}")
    if mismatched:
        shapes = [f"{name} {found} instead of {wanted}" for name, found, wanted in mismatched]
        facts.append(f"{len(mismatched)} have other shapes: {_examples(shapes)}")
    if facts:
        message = "the weights do not fit the architecture that config.json describes; " + "; ".join(facts)
        fix = "Save the model again with `save_pretrained` of its class in transformers, or choose another one."
        raise UserError(message, str(folder), fix)


def _examples(names: Collection[str]) -> str:
    """The first of some names."""
    return ", ".join(sorted(names)[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")


def _without_numbers(name: str) -> str:
    """The name that a weight has in every layer."""
    return re.sub(r"\d+", "0", name)


# --- the tokenizer ---------------------------------------------------------------------------------------------------


def _check_tokenizer(folder: Path, encoder: nn.Module) -> None:
    """UserError if a tokenizer cannot encode every text, or has tokens for which the encoder has no embedding."""
    if not (folder / "tokenizer.json").exists():
        message = "the tokenizer has no fast version, a tokenizer.json"
        raise UserError(message, str(folder), "Choose a model whose tokenizer transformers can load as a fast one.")
    try:
        tokenizer = Tokenizer(folder)
        tokenizer.tokenize([UNKNOWN_CHARACTER])
    except Exception as error:  # the library raises no other class
        message = f"the tokenizer cannot encode every text: {str(error) or type(error).__name__}"
        raise UserError(message, str(folder), "Choose a model whose tokenizer has an unknown token.") from None
    embeddings = encoder.get_input_embeddings().num_embeddings
    if without := tokenizer.tokens_from(embeddings):
        message = f"{len(without)} tokens of the tokenizer have no row among the {embeddings} embeddings"
        fix = "Let the model have them, with `model.resize_token_embeddings(len(tokenizer))`, and save both again."
        raise UserError(f"{message}: {_examples(without)}", str(folder), fix)
