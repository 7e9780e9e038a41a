"""The names of weights in published checkpoints and in this project's."""

from torch import nn

WEIGHTS = "model.safetensors"

ARCHITECTURES = {
    "qa": "ForQuestionAnswering",
    "classification": "ForSequenceClassification",
    "choice": "ForMultipleChoice",
    "tagging": "ForTokenClassification",
    "mlm": "ForMaskedLM",
}

# Where the published pooler is saved when a head has taken its name.
PUBLISHED_POOLER = "published_pooler"

# The module among the heads that holds a learned temperature, and where its parameter is saved.
TEMPERATURE = "contrast"

SAVED_SCALE = f"heads.{TEMPERATURE}.log_scale"

# The three parts of a masked-LM head, as published checkpoints of the two families name them.
PUBLISHED_MLM = (
    {
        "dense": "cls.predictions.transform.dense",
        "norm": "cls.predictions.transform.LayerNorm",
        "bias": "cls.predictions.bias",
    },
    {"dense": "lm_head.dense", "norm": "lm_head.layer_norm", "bias": "lm_head.bias"},
)

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "sentencepiece.model")


def published_parts(name: str, encoder: nn.Module) -> dict[str, str]:
    """The names of a head's parts in transformers' class of its kind; the part of a single layer is "".

    The RoBERTa family classifies with a dense layer of its own, other families with the encoder's pooler.
    """
    pooler = {"dense": f"{encoder.base_model_prefix}.pooler.dense"}
    classifier = {"dense": "classifier.dense", "out": "classifier.out_proj"}
    return {
        "qa": {"": "qa_outputs"},
        "classification": classifier if "roberta" in encoder.config.model_type else pooler | {"out": "classifier"},
        "choice": pooler | {"out": "classifier"},
        "tagging": {"": "classifier"},
        "retrieval": pooler,
        "mlm": PUBLISHED_MLM[0],
    }[name.partition(".")[0]]
