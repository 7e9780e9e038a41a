"""An encoder with one head per task, kept in an ordinary Hugging Face folder.

Owns: loading, first weights, the names under which weights are saved, averaging. Must never know: data, optimizers.

Weights carry the names that `transformers` gives them (`bert.…`, `qa_outputs.…`, `classifier.…`), so that a stage's
folder loads with AutoModelForQuestionAnswering, AutoModelForSequenceClassification and their like. Where a second head
would need a name that is taken, it is saved as `heads.<name>`; `config.json` lists the heads with their names and
labels.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn
from transformers.utils import logging as transformers_logging

from crosstune.core.errors import UserError
from crosstune.core.random_streams import derive
from crosstune.modeling.batching import as_rows, beside, real_places
from crosstune.modeling.contrastive import Pairs, Temperature, contrastive_loss
from crosstune.modeling.fast_dropout import use_cheap_dropout
from crosstune.modeling.features import Batch
from crosstune.modeling.packed_attention import Rows, attention_of, first_position, try_packing
from crosstune.modeling.tasks import Task, load_task
from crosstune.modeling.tasks.pooling import means
from crosstune.modeling.weight_names import CONTRAST, published_parts

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
        if self.published_pooler and published_parts(name, self.encoder).get("dense", "").endswith("pooler.dense"):
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


def _key(name: str) -> str:
    """ModuleDict keys must not contain dots."""
    return name.replace(".", "-")
