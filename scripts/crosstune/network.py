"""An encoder with one head per task, kept in an ordinary Hugging Face folder.

Owns: loading, first weights, the names under which weights are saved, averaging. Must never know: data, optimizers.

Weights carry the names that `transformers` gives them (`bert.…`, `qa_outputs.…`, `classifier.…`), so that a stage's
folder loads with AutoModelForQuestionAnswering, AutoModelForSequenceClassification and their like. Where a second head
would need a name that is taken, it is saved as `heads.<name>`; `config.json` lists the heads with their names and
labels.
"""

import inspect
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import nn
from transformers import AutoConfig, AutoModel
from transformers.utils import logging as transformers_logging

from crosstune.attention import Rows, attention_of, first_position, try_packing
from crosstune.batches import as_rows, beside, real_places
from crosstune.contrast import Pairs, Temperature, contrastive_loss
from crosstune.dropout import use_cheap_dropout
from crosstune.errors import UserError
from crosstune.files import atomic_open, write_text
from crosstune.randomness import derive
from crosstune.tasks import Task, load_task
from crosstune.tasks.pooling import means
from crosstune.windows import Batch

WEIGHTS = "model.safetensors"
ARCHITECTURES = {
    "qa": "ForQuestionAnswering",
    "classification": "ForSequenceClassification",
    "choice": "ForMultipleChoice",
    "tagging": "ForTokenClassification",
    "mlm": "ForMaskedLM",
}
# Where the published pooler is kept beside a head that has taken its name.
KEPT_POOLER = "published_pooler"
# The module among the heads that holds a learned temperature, and where it is saved.
CONTRAST = "contrast"
SAVED_SCALE = f"heads.{CONTRAST}.log_scale"
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

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()


class Network(nn.Module):
    """`encoder` and `heads` (by name, such as `qa` or `tagging-upos`), with the task of each head.

    `packed`: whether the encoder is given windows end to end; otherwise they are padded to the longest.
    """

    def __init__(self, encoder: nn.Module, packing: bool = True):
        super().__init__()
        self.encoder = encoder
        self._own_attention = encoder.config._attn_implementation
        self.packed = packing and try_packing(encoder)
        self._first_position = first_position(encoder)
        use_cheap_dropout(encoder)
        # What the published model's pooler has learned: heads begin with it, also where another has taken its name.
        pooler = getattr(getattr(encoder, "pooler", None), "dense", None)
        self.published_pooler = {name: tensor.clone() for name, tensor in pooler.state_dict().items()} if pooler else {}
        self.heads = nn.ModuleDict()
        self.tasks: dict[str, Task] = {}

    @property
    def config(self):
        return self.encoder.config

    def add_head(self, name: str, labels: list[str], seed: int | None = None) -> None:
        """Add a head, its weights drawn from (seed, name) alone: the same in every schedule. No seed: left as built."""
        task = load_task(name, labels)
        head = task.build_head(self.config)
        if seed is not None:
            generator = torch.Generator().manual_seed(derive(seed, "head", name))
            for parameter in head.parameters():
                if parameter.dim() > 1:
                    nn.init.normal_(parameter, std=getattr(self.config, "initializer_range", 0.02), generator=generator)
            for module in head.modules():
                if isinstance(module, nn.Linear) and module.bias is not None:
                    nn.init.zeros_(module.bias)
            self._take_pooler(name, head)
        self.heads[_key(name)] = head
        self.tasks[name] = task

    def _take_pooler(self, name: str, head: nn.Module) -> None:
        """A head whose dense layer is the published model's pooler begins with what that has learned."""
        if self.published_pooler and _published_parts(name, self.encoder).get("dense", "").endswith("pooler.dense"):
            head.dense.load_state_dict(self.published_pooler)

    def head(self, name: str) -> nn.Module:
        return self.heads[_key(name)]

    def task(self, name: str) -> Task:
        """The task of a head; one that needs no weights is there without having been added."""
        return self.tasks[name] if name in self.tasks else load_task(name)

    def learn_temperature(self, scale: float) -> None:
        """Let the contrastive loss learn what it multiplies cosines by, from `scale` or what was learned before."""
        if CONTRAST not in self.heads:
            self.heads[CONTRAST] = Temperature(scale)

    @property
    def log_scale(self) -> nn.Parameter | None:
        """The logarithm of the contrastive loss's learned scale; None where none was ever learned."""
        return self.heads[CONTRAST].log_scale if CONTRAST in self.heads else None

    def hidden(self, batch: Batch, layer: int | None = None) -> torch.Tensor:
        """Hidden states (tokens, width) of windows that lie end to end: the last, or those of a layer (0: embeddings).

        Raises UserError for a layer that the encoder lacks.
        """
        inputs, places = self._inputs(batch)
        if layer is None:
            return self.encoder(**inputs).last_hidden_state[places]
        return self._layers(inputs, [layer], "encoding.layer")[1][0][places]

    def contrasted(self, name: str, batch: Batch, pairs: Pairs, recipe: dict) -> tuple[torch.Tensor, torch.Tensor]:
        """Summed loss of a batch under a head, and the summed contrastive loss of its windows and their partners.

        Raises UserError for a layer that the encoder lacks.
        """
        both = beside(batch, pairs.partners)
        states = self._states_and_positions if pairs.contrast.mucot else self._states_and_tokens
        hidden, vectors = states(both, pairs)
        scale = self.log_scale.exp() if pairs.contrast.learned else pairs.contrast.scale
        loss = self.tasks[name].loss(self.bound_head(name), hidden[: len(batch.ids)], batch, recipe)
        return loss, contrastive_loss(vectors, scale, pairs.groups)

    def _states_and_tokens(self, batch: Batch, pairs: Pairs) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The last hidden states (tokens, width), and of each layer the mean over a window's compared tokens."""
        inputs, places = self._inputs(batch)
        last, layers = self._layers(inputs, pairs.contrast.layers, "recipe: contrast_layers")
        return last[places], [means(layer[places], pairs.compared, batch.window_lengths) for layer in layers]

    def _states_and_positions(self, batch: Batch, pairs: Pairs) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Likewise with the mean over all positions of windows padded to one length, the padding's states included."""
        inputs, places = self._padded(batch, pairs.contrast.length)
        with attention_of(self.encoder, self._own_attention):
            last, layers = self._layers(inputs, pairs.contrast.layers, "recipe: contrast_layers")
        return last[places], [layer.float().mean(1) for layer in layers]

    def _layers(self, inputs: dict, wanted: Sequence[int], key: str) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The last hidden states, and those of the wanted layers; of none the last. `key` is where they are named."""
        found = self.encoder(**inputs, output_hidden_states=True)
        count = len(found.hidden_states) - 1
        if wanted and max(wanted) > count:
            message = f"the encoder has {count} layers, and layer {max(wanted)} is wanted"
            raise UserError(message, key, "Name one that it has; 0 is the embeddings.")
        return found.last_hidden_state, [found.hidden_states[layer] for layer in wanted] or [found.last_hidden_state]

    def _inputs(self, batch: Batch) -> tuple[dict, int | torch.Tensor]:
        return self._packed(batch) if self.packed else self._padded(batch)

    def _packed(self, batch: Batch) -> tuple[dict, int]:
        """Inputs of the encoder, and where in its hidden states the tokens are."""
        inputs = {"input_ids": batch.ids[None], "position_ids": batch.positions[None] + self._first_position}
        if self._typed:
            inputs["token_type_ids"] = batch.types[None]
        return {**inputs, "rows": Rows.of(batch.lengths, batch.ids.device)}, 0

    def _padded(self, batch: Batch, length: int | None = None) -> tuple[dict, torch.Tensor]:
        real = real_places(batch.lengths, batch.ids.device, length)
        pad = getattr(self.config, "pad_token_id", None) or 0
        inputs = {"input_ids": as_rows(batch.ids, real, pad), "attention_mask": real.long()}
        if self._typed:
            inputs["token_type_ids"] = as_rows(batch.types, real, 0)
        return inputs, real

    @property
    def _typed(self) -> bool:
        return getattr(self.config, "type_vocab_size", 0) > 1

    def bound_head(self, name: str) -> Callable[[torch.Tensor], torch.Tensor]:
        """The head as a function of hidden states."""
        if name not in self.tasks:
            return self.task(name).build_head(self.config)
        head = self.head(name)
        return partial(head, self.encoder.get_input_embeddings().weight) if self.tasks[name].tied else head

    def forward(self, name: str, batch: Batch, recipe: dict) -> torch.Tensor:
        """Summed loss of one batch under one head."""
        return self.tasks[name].loss(self.bound_head(name), self.hidden(batch), batch, recipe)


def load_network(folder: Path | str, dropout: float | None = None, packing: bool = True) -> Network:
    """The encoder of a folder with the heads it has. Raises UserError where it is no encoder that AutoModel loads."""
    folder = Path(folder)
    config = AutoConfig.from_pretrained(folder)
    if dropout is not None:
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout",
                     "embedding_dropout", "mlp_dropout"):  # fmt: skip
            if hasattr(config, name):
                setattr(config, name, dropout)
    with safe_open(folder / WEIGHTS, "pt") as file:
        names = set(file.keys())
    try:
        model_class = type(AutoModel.from_config(config))
    except ValueError as error:
        raise UserError(f"no encoder: {error}", str(folder), "Use a model that AutoModel loads.") from None
    options = {}
    if "add_pooling_layer" in inspect.signature(model_class.__init__).parameters:
        # A pooler that the checkpoint does not have would be drawn at random and saved with the rest; one that a head
        # has made its own is no longer the encoder's.
        own = {name for head in getattr(config, "crosstune_heads", {}).values() for name in head["weights"].values()}
        options["add_pooling_layer"] = any(".pooler." in name for name in names - own)
    encoder = AutoModel.from_pretrained(folder, config=config, dtype=torch.float32, **options)
    network = Network(encoder, packing)
    if f"{KEPT_POOLER}.weight" in names:
        with safe_open(folder / WEIGHTS, "pt") as file:
            kept = {part: file.get_tensor(f"{KEPT_POOLER}.{part}") for part in ("weight", "bias")}
        network.published_pooler = kept
    weights = None
    for name, head in getattr(config, "crosstune_heads", {}).items():
        weights = weights if weights is not None else load_file(folder / WEIGHTS)
        network.add_head(name, head["labels"])
        network.head(name).load_state_dict({p: weights[full] for p, full in head["weights"].items()})
    if SAVED_SCALE in names:
        network.learn_temperature(1.0)
        with safe_open(folder / WEIGHTS, "pt") as file:
            network.heads[CONTRAST].load_state_dict({"log_scale": file.get_tensor(SAVED_SCALE)})
    if "mlm" not in network.tasks:
        _load_published_mlm(network, folder, names)
    return network


def save_network(network: Network, folder: Path | str, tokenizer_folder: Path | str, main_head: str) -> None:
    """Write config, tokenizer and weights (fp32). `main_head` gives the folder its architecture and labels."""
    folder = Path(folder)
    encoder, config = network.encoder, network.config
    prefix = encoder.base_model_prefix
    weights = {f"{prefix}.{name}": tensor for name, tensor in encoder.state_dict().items()}
    heads: dict[str, dict] = {}
    taken: set[str] = set()
    for name in sorted(network.tasks, key=lambda name: (name != main_head, name)):
        names = _saved_names(name, network.head(name), encoder, taken)
        taken |= set(names.values())
        weights |= {names[p]: tensor for p, tensor in network.head(name).state_dict().items()}
        heads[name] = {"labels": network.tasks[name].labels, "weights": names}
    if any("pooler" in name for name in taken):
        weights |= {f"{KEPT_POOLER}.{part}": tensor for part, tensor in network.published_pooler.items()}
    if network.log_scale is not None:
        weights[SAVED_SCALE] = network.log_scale
    values = config.to_dict()
    values["crosstune_heads"] = heads
    if main_head in network.tasks:
        labels = network.tasks[main_head].labels
        architecture = ARCHITECTURES.get(main_head.partition(".")[0], "Model")
        values["architectures"] = [type(encoder).__name__.removesuffix("Model") + architecture]
        if labels:
            values["id2label"] = {str(number): label for number, label in enumerate(labels)}
            values["label2id"] = {label: number for number, label in enumerate(labels)}
    for name in TOKENIZER_FILES:
        if (Path(tokenizer_folder) / name).exists():
            with atomic_open(folder / name) as file:
                file.write((Path(tokenizer_folder) / name).read_bytes())
    write_text(folder / "config.json", json.dumps(values, indent=2, sort_keys=True) + "\n")
    tensors = {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in sorted(weights.items())}
    with atomic_open(folder / WEIGHTS) as file:
        file.write(save(tensors, {"format": "pt"}))


def average_weights(folders: list[Path]) -> dict[str, torch.Tensor]:
    """The mean of several folders' weights, summed in fp64 so that the order of the folders does not matter much.

    Raises UserError where the folders do not hold the same tensors.
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


def _key(name: str) -> str:
    """ModuleDict keys must not contain dots."""
    return name.replace(".", "-")


def _published_parts(name: str, encoder: nn.Module) -> dict[str, str]:
    """The names under which transformers' class for a head keeps its parts; the part of a single layer is "".

    The RoBERTa family classifies with a dense layer of its own, the others with the encoder's pooler.
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


def _saved_names(name: str, head: nn.Module, encoder: nn.Module, taken: set[str]) -> dict[str, str]:
    """Where each parameter of a head is saved: under the published names of its kind, unless one is taken."""
    parts = _published_parts(name, encoder)
    names = {}
    for parameter in head.state_dict():
        part = parameter.partition(".")[0]
        if "" in parts:
            names[parameter] = f"{parts['']}.{parameter}"
        else:
            names[parameter] = parts.get(part, f"heads.{name}.{part}") + parameter.removeprefix(part)
    return names if taken.isdisjoint(names.values()) else {p: f"heads.{name}.{p}" for p in names}


def _load_published_mlm(network: Network, folder: Path, names: set[str]) -> None:
    """Take over the masked-LM head that a published checkpoint has, for text as a source of a schedule."""
    for parts in PUBLISHED_MLM:
        full = {"bias": parts["bias"]}
        full |= {f"{p}.{kind}": f"{parts[p]}.{kind}" for p in ("dense", "norm") for kind in ("weight", "bias")}
        if set(full.values()) <= names:
            network.add_head("mlm", [])
            with safe_open(folder / WEIGHTS, "pt") as file:
                network.head("mlm").load_state_dict({p: file.get_tensor(name) for p, name in full.items()})
