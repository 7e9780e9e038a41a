"""Facts of a model's config.json, read without torch or transformers."""

import re
from collections.abc import Mapping

from crosstune.core.errors import UserError

# For every loading function of transformers: no code of a repository, no question on the terminal, no network.
LOCAL = {"trust_remote_code": False, "local_files_only": True}

# These count positions from the number after the padding token's, so that they lose the first rows of their table.
COUNT_FROM_PADDING = {
    "camembert", "data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke", "markuplm", "mpnet",
    "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
}  # fmt: skip

# The padding token of all of these.
PADDING = 1


# Numbers of parts that a model can have: the deepest has some hundred layers; transformers fills tables of labels and
# positions number by number.
LARGEST_NUMBERS = {
    re.compile(r"(layers?|blocks|groups?|group_num|experts|stages|depth)$"): 100_000,
    re.compile(r"(labels|positions?|position_embeddings|buckets)$"): 2**21,
}

# The keys that count the layers of an encoder or a decoder.
LAYERS = re.compile(r"(num_hidden|num_encoder|num_decoder|num|n|encoder|decoder)_layers?")


def check_numbers(config: Mapping, where: str) -> None:
    """UserError for a number of parts in a config.json that no model has: building them would fill the memory."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            check_numbers(value, where)
        for name, limit in LARGEST_NUMBERS.items():
            if name.search(key):
                _check_number(key, value, limit, where)


def check_layers(config: Mapping, weights: int, where: str) -> None:
    """UserError for more layers in a config.json than there are weights."""
    for key, value in config.items():
        if LAYERS.fullmatch(key):
            _check_number(key, value, weights, where)


def _check_number(key: str, value: object, limit: int, where: str) -> None:
    if type(value) is int and value > limit:
        message = f"config.json says {key}: {value:,}, and the model can have {limit:,} at most"
        raise UserError(message, where, "Do not trust it.")


def positions(config: Mapping) -> int | None:
    """The length in tokens of the longest sequence that a model takes; None if it has no table of positions."""
    # DeBERTa v3 has relative positions alone.
    if config.get("position_biased_input") is False:
        return None
    count = config.get("max_position_embeddings") or 0
    if count > 0 and config.get("model_type") in COUNT_FROM_PADDING:
        padding = config.get("pad_token_id")
        count -= (PADDING if padding is None else padding) + 1
    return count if count > 0 else None


def check_positions(config: Mapping, longest: int, model: str) -> None:
    """UserError if sequences of `longest` tokens, the study's longest, have more tokens than a model has positions."""
    limit = positions(config)
    if limit is not None and longest > limit:
        message = f"the study's longest sequence has {longest} tokens, and the model has positions for {limit}"
        raise UserError(message, model, f"In `encoding` of the tracks:\nmax_length: {limit}")
