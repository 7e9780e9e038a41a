"""An encoder with one head per task.

Weights carry the names of `transformers` (`bert.…`, `qa_outputs.…`, `classifier.…`), so that a stage's folder loads
with AutoModelForQuestionAnswering, AutoModelForSequenceClassification and similar classes. If a second head would take
the same name, it is saved as `heads.<name>`. `config.json` lists the heads with their names and labels.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import nn
from transformers.utils import logging as transformers_logging

from crosstune.artifacts.adapter import Adapter
from crosstune.core.errors import UserError
from crosstune.core.random_streams import derive
from crosstune.modeling.batching import Padding, concat_inputs
from crosstune.modeling.contrastive import LearnedTemperature, PartnerBatch, contrastive_loss
from crosstune.modeling.fast_dropout import use_fast_dropout
from crosstune.modeling.features import Batch
from crosstune.modeling.packed_attention import PackedSequences, attention_implementation, first_position, try_packing
from crosstune.modeling.tasks import Task, load_task
from crosstune.modeling.weight_names import TEMPERATURE, published_parts

transformers_logging.set_verbosity_error()

transformers_logging.disable_progress_bar()


class MultiHeadEncoder(nn.Module):
    """`encoder` and `heads` (by name, such as `qa` or `tagging-upos`), with the task of each head.

    `packed`: whether the encoder computes sequences end to end, or padded to the longest. `adapter`: of an encoder that
    has one; the encoder's other weights are then frozen.
    """

    def __init__(self, encoder: nn.Module, packing: bool = True):
        super().__init__()
        self.encoder = encoder
        self._original_attention = encoder.config._attn_implementation
        self.packed = packing and try_packing(encoder)
        self._first_position = first_position(encoder)
        use_fast_dropout(encoder)
        # Heads begin with the published model's pooler, also if another head has taken its name.
        pooler = getattr(getattr(encoder, "pooler", None), "dense", None)
        self.published_pooler = {name: tensor.clone() for name, tensor in pooler.state_dict().items()} if pooler else {}
        self.heads = nn.ModuleDict()
        self.tasks: dict[str, Task] = {}
        self.adapter: Adapter | None = None

    @property
    def config(self):
        """The encoder's config of transformers."""
        return self.encoder.config

    # --- heads ---------------------------------------------------------------------------------------------------

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
            self._copy_pooler(name, head)
        self.heads[_key(name)] = head
        self.tasks[name] = task

    def _copy_pooler(self, name: str, head: nn.Module) -> None:
        """Start a head from the published pooler if transformers' class of its kind uses it as dense layer."""
        if self.published_pooler and published_parts(name, self.encoder).get("dense", "").endswith("pooler.dense"):
            head.dense.load_state_dict(self.published_pooler)

    def head(self, name: str) -> nn.Module:
        """The module of a head."""
        return self.heads[_key(name)]

    def task(self, name: str) -> Task:
        """The task of a head. A task without weights needs no `add_head`."""
        return self.tasks[name] if name in self.tasks else load_task(name)

    def bound_head(self, name: str) -> Callable[[torch.Tensor], torch.Tensor]:
        """The head as a function of hidden states."""
        if name not in self.tasks:
            return self.task(name).build_head(self.config)
        head = self.head(name)
        return partial(head, self.encoder.get_input_embeddings().weight) if self.tasks[name].tied_embeddings else head

    def learn_temperature(self, scale: float) -> None:
        """Let the contrastive loss learn its logit scale, from `scale` or from the value of an earlier stage."""
        if TEMPERATURE not in self.heads:
            self.heads[TEMPERATURE] = LearnedTemperature(scale)

    @property
    def log_scale(self) -> nn.Parameter | None:
        """The logarithm of the contrastive loss's learned logit scale; None if no stage has learned one."""
        return self.heads[TEMPERATURE].log_scale if TEMPERATURE in self.heads else None

    # --- losses --------------------------------------------------------------------------------------------------

    def forward(self, name: str, batch: Batch, recipe: dict) -> torch.Tensor:
        """Summed loss of one batch under one head."""
        return self.tasks[name].loss(self.bound_head(name), self.hidden(batch), batch, recipe)

    def pair_losses(
        self, name: str, batch: Batch, partners: PartnerBatch, recipe: dict
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Summed loss of a batch under a head, and the summed contrastive loss of its windows and their partners.

        Raises UserError if a compared layer does not exist.
        """
        config = partners.config
        hidden, vectors = config.encode(self, concat_inputs(batch, partners.batch), partners.pooled_tokens)
        scale = self.log_scale.exp() if config.learned_scale else config.logit_scale
        loss = self.tasks[name].loss(self.bound_head(name), hidden[: len(batch.ids)], batch, recipe)
        return loss, contrastive_loss(vectors, scale, partners.groups)

    # --- hidden states -------------------------------------------------------------------------------------------

    def hidden(self, batch: Batch, layer: int | None = None) -> torch.Tensor:
        """Hidden states (tokens, width) of a batch: of the last layer, or of layer `layer` (0: embeddings).

        Raises UserError if the layer does not exist.
        """
        inputs, places = self._inputs(batch)
        if layer is None:
            return self.encoder(**inputs).last_hidden_state[places]
        return self._layers(inputs, [layer], "encoding.layer")[1][0][places]

    def layer_states(self, batch: Batch, layers: Sequence[int]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The last hidden states of a batch and those of each layer, or the last again for no layers: (tokens, width).

        Raises UserError if a layer does not exist.
        """
        inputs, places = self._inputs(batch)
        last, states = self._layers(inputs, layers, "recipe: contrastive.layers")
        return last[places], [layer[places] for layer in states]

    def padded_layer_states(
        self, batch: Batch, layers: Sequence[int], length: int
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The last hidden states (tokens, width), and each layer's of windows padded to `length`, padding included.

        A layer is (windows, length, width). The encoder computes with its original attention.
        """
        inputs, places = self._padded(batch, length)
        with attention_implementation(self.encoder, self._original_attention):
            last, states = self._layers(inputs, layers, "recipe: contrastive.layers")
        return last[places], states

    def _layers(self, inputs: dict, layers: Sequence[int], key: str) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The last hidden states and those of some layers; `key` is the config key that names the layers."""
        output = self.encoder(**inputs, output_hidden_states=True)
        count = len(output.hidden_states) - 1
        if layers and max(layers) > count:
            message = f"the encoder has {count} layers, and layer {max(layers)} is wanted"
            raise UserError(message, key, "Name one that it has; 0 is the embeddings.")
        return output.last_hidden_state, [output.hidden_states[n] for n in layers] or [output.last_hidden_state]

    def _inputs(self, batch: Batch) -> tuple[dict, int | tuple[torch.Tensor, ...]]:
        """The encoder's arguments, and the places of the tokens in its hidden states."""
        return self._packed(batch) if self.packed else self._padded(batch)

    def _packed(self, batch: Batch) -> tuple[dict, int]:
        inputs = {"input_ids": batch.ids[None], "position_ids": batch.positions[None] + self._first_position}
        if self._has_token_types:
            inputs["token_type_ids"] = batch.types[None]
        return {**inputs, "packed_sequences": PackedSequences.from_lengths(batch.lengths, batch.ids.device)}, 0

    def _padded(self, batch: Batch, length: int | None = None) -> tuple[dict, tuple[torch.Tensor, ...]]:
        padding = Padding(batch.lengths, batch.ids.device, length)
        pad_id = getattr(self.config, "pad_token_id", None) or 0
        inputs = {"input_ids": padding.pad(batch.ids, pad_id), "attention_mask": padding.mask.long()}
        if self._has_token_types:
            inputs["token_type_ids"] = padding.pad(batch.types, 0)
        return inputs, padding.places

    @property
    def _has_token_types(self) -> bool:
        return getattr(self.config, "type_vocab_size", 0) > 1


def trained_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of a network's state without frozen weights."""
    frozen = {name for name, weight in network.named_parameters(remove_duplicate=False) if not weight.requires_grad}
    return {name: tensor for name, tensor in network.state_dict().items() if name not in frozen}


def load_trained_state(network: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Give a network the tensors of `trained_state`. Raises RuntimeError if they are others than it trains."""
    complete = trained_state(network).keys() == state.keys()
    network.load_state_dict(network.state_dict() | dict(state) if complete else state)


def _key(name: str) -> str:
    """ModuleDict keys must not contain dots."""
    return name.replace(".", "-")
