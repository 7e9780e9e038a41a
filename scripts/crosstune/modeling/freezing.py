"""The parts of an encoder, and weights that a training leaves as they are."""

from collections.abc import Iterator, Mapping

from torch import nn

from crosstune.core.errors import UserError
from crosstune.core.text import count
from crosstune.modeling.network import MultiHeadEncoder


def encoder_layers(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of an encoder: the members of its module lists, and of lists in these lists."""
    for child in module.children():
        if isinstance(module, nn.ModuleList) and not isinstance(child, nn.ModuleList):
            yield child
        else:
            yield from encoder_layers(child)


def freeze(network: MultiHeadEncoder, options: Mapping) -> None:
    """Exempt the parts of `freeze` in a recipe from training. Heads always train.

    Raises UserError if the encoder has fewer layers, or if nothing is left to train.
    """
    layers = list(encoder_layers(network.encoder))
    number = options.get("layers", 0)
    if number > len(layers):
        fix = f"freeze: {{layers: {len(layers)}}}"
        raise UserError(
            f"the encoder has {count(len(layers), 'layer')}, and {number} are frozen", "recipe: freeze.layers", fix
        )
    frozen = layers[:number] + ([embedding_module(network.encoder)] if options.get("embeddings") else [])
    for module in frozen:
        module.requires_grad_(False)
    if number == len(layers) and options.get("embeddings") and not list(network.heads.parameters()):
        message = "all of the encoder is frozen, and the task has no weights of its own: nothing is left to train"
        raise UserError(message, "recipe: freeze", f"freeze: {{embeddings: true, layers: {len(layers) - 1}}}")


def embedding_module(encoder: nn.Module) -> nn.Module:
    """The module of an encoder with its embeddings and their norm; only the word embeddings if it has layers too."""
    words = encoder.get_input_embeddings()
    for child in encoder.children():
        if any(module is words for module in child.modules()) and not list(encoder_layers(child)):
            return child
    return words
