"""Facts of a model's config.json, read without torch or transformers."""

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


# The most that a model has of what its config.json counts: transformers makes an object for each, before any weight.
MOST_PARTS = {"layers": 1000, "experts": 1000, "blocks": 1000, "num_labels": 100_000}


def check_parts(config: Mapping, model: str) -> None:
    """UserError if a config asks for so many layers or labels that making the model would fill the memory."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            check_parts(value, model)
        most = next((most for part, most in MOST_PARTS.items() if part in key), None)
        if most is not None and isinstance(value, int) and value > most:
            message = f"config.json asks for more than {most:,} by {key}, which no model has"
            raise UserError(message, model, "Do not trust it.")


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
