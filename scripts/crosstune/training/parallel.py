"""A model that one process trains, alone or with others: replicated as in DDP, or sharded by torch's FSDP."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.utils import clip_grad_norm_, clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from crosstune.modeling.freezing import encoder_layers
from crosstune.modeling.network import MultiHeadEncoder, load_trained_state, trained_state
from crosstune.training.distributed import Ranks
from crosstune.training.optimizer import MOMENTS


class ReplicatedModel:
    """A model whose weights, gradients and moments are whole in every process. `network` computes.

    There is no wrapper of torch's: it would average gradients after every forward pass of an update.
    """

    def __init__(self, network: MultiHeadEncoder, ranks: Ranks, device: torch.device):
        self.network, self._ranks = network.to(device), ranks

    def prepare_optimizer(self, optimizer: Optimizer) -> None:
        """Change the optimizer's groups so that torch can take a step with them."""

    def load_moments(self, optimizer: Optimizer, moments: Mapping[str, torch.Tensor]) -> None:
        """Give the optimizer whole moments by name; a parameter without moments starts afresh.

        Frozen parameters get none.
        """
        for name, parameter in self.network.named_parameters():
            own = {kind: moments[f"{kind}.{name}"] for kind in MOMENTS if f"{kind}.{name}" in moments}
            if own and parameter.requires_grad:
                optimizer.state[parameter] = {kind: self.local_shard(moment, parameter) for kind, moment in own.items()}

    def local_shard(self, moment: torch.Tensor, parameter: nn.Parameter) -> torch.Tensor:
        """This process's part of a whole moment, or of the number of steps, on the parameter's device."""
        return moment.to(parameter.device)

    def sum_gradients(self) -> None:
        """Replace every gradient by its sum over the processes."""
        self._ranks.sum_gradients(self.network.parameters())

    def clip_gradients(self, max_norm: float) -> torch.Tensor:
        """Scale all gradients so that their common norm is at most `max_norm`; the norm before."""
        return clip_grad_norm_(self.network.parameters(), max_norm)

    def gather_weights(self) -> None:
        """Copy the weights to the main process's whole network."""

    def gather_state(self, moments: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """Whole moments by name on the main process."""
        return moments

    @contextmanager
    def full_weights(self) -> Iterator[MultiHeadEncoder]:
        """While open, the main process's whole network has the weights and computes without dropout."""
        self.network.eval()
        yield self.network
        self.network.train()


class ShardedModel(ReplicatedModel):
    """A model whose encoder layers and word embeddings, nearly all of its weights, are split among the processes.

    The rest (heads, norms, positions, a pooler) is whole in each process: some forward passes do not use it, while all
    processes must use a sharded layer at once. So they must compute equally many passes. The main process also has the
    whole network in main memory, and saves, scores and predicts with it.
    """

    def __init__(self, network: MultiHeadEncoder, ranks: Ranks, device: torch.device):
        self._full_network, self._ranks, self._device = network, ranks, device
        self.network = copy.deepcopy(network) if ranks.is_main else network
        self._shard(init_device_mesh(device.type, (ranks.size,)))
        self.network.to(device)

    def _shard(self, mesh: DeviceMesh) -> None:
        """FSDP gathers a layer's weights while it computes, those of the embeddings for a whole forward pass."""
        encoder = self.network.encoder
        layers = list(encoder_layers(encoder))
        for layer in layers:
            fully_shard(layer, mesh=mesh)
        sharded = {encoder.get_input_embeddings().weight, *(p for layer in layers for p in layer.parameters())}
        fully_shard(self.network, mesh=mesh, ignored_params=set(self.network.parameters()) - sharded)
        register_fsdp_forward_method(self.network, "pair_losses")
        for module in self.network.modules():
            if isinstance(module, FSDPModule):  # FSDP averages gradients by default
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)

    def prepare_optimizer(self, optimizer: Optimizer) -> None:
        optimizer.param_groups = [
            group | {"params": kind} for group in optimizer.param_groups for kind in by_sharding(group["params"])
        ]

    def local_shard(self, moment: torch.Tensor, parameter: nn.Parameter) -> torch.Tensor:
        moment = moment.to(parameter.device)
        if not isinstance(parameter, DTensor) or moment.shape != parameter.shape:
            return moment
        return distribute_tensor(moment, parameter.device_mesh, parameter.placements, src_data_rank=None)

    def sum_gradients(self) -> None:
        self._ranks.sum_gradients(p for p in self.network.parameters() if not isinstance(p, DTensor))

    def clip_gradients(self, max_norm: float) -> torch.Tensor:
        kinds = by_sharding(self.network.parameters())
        norms = [get_total_norm([p.grad for p in kind if p.grad is not None]) for kind in kinds]
        total = torch.stack([full_tensor(norm) for norm in norms]).norm()
        for kind in kinds:
            clip_grads_with_norm_(kind, max_norm, total)
        return total

    def gather_weights(self) -> None:
        weights = self.gather_state(trained_state(self.network))
        if self._ranks.is_main:
            load_trained_state(self._full_network, weights)

    def gather_state(self, moments: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        gathered = {}
        for name, tensor in moments.items():
            tensor = full_tensor(tensor)
            if self._ranks.is_main:  # one after another: a GPU may not have room for all of them
                gathered[name] = tensor.cpu()
        return gathered

    @contextmanager
    def full_weights(self) -> Iterator[MultiHeadEncoder]:
        self.gather_weights()
        if self._ranks.is_main:
            self._full_network.to(self._device).eval()
        yield self._full_network
        if self._ranks.is_main:
            self._full_network.to("cpu")


def parallel_model_class(ranks: Ranks) -> type[ReplicatedModel]:
    """The class of the model that the processes train."""
    return ShardedModel if ranks.sharded else ReplicatedModel


def by_sharding(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Whole parameters and sharded ones, without empty groups: torch computes with one kind at a time."""
    parameters = list(parameters)
    kinds = ([p for p in parameters if isinstance(p, DTensor) == sharded] for sharded in (False, True))
    return [kind for kind in kinds if kind]


def full_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor, on every process; a collective operation for a sharded one."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
