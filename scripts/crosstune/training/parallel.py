"""What a process holds of the network that it trains, alone or with others.

Owns: the network that computes, its gradients' sum and norm. Must never know: plans, losses, files.

Here it is all of the network, with its gradients and moments; sharding has another of the kind, which holds a part.
"""

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

from crosstune.modeling.network import Network
from crosstune.training.distributed import Ranks


class Replica:
    """All of a network. `network` computes."""

    def __init__(self, network: Network, ranks: Ranks, device: torch.device):
        self.network, self._ranks = network.to(device), ranks

    def arrange(self, optimizer: Optimizer) -> None:
        """Let the optimizer's groups be such that torch can take a step with them."""

    def sum_gradients(self) -> None:
        """Let every gradient be its sum over the processes."""
        self._ranks.sum_gradients(self.network.parameters())

    def clip(self, norm: float) -> None:
        """Scale all gradients, so that the norm of all together is `norm` at most."""
        clip_grad_norm_(self.network.parameters(), norm)

    def part(self, moment: torch.Tensor, parameter: torch.nn.Parameter) -> torch.Tensor:
        """What this process holds of a parameter's moment, or the count of its steps, which are told whole."""
        return moment.to(parameter.device)

    def gathered(self, tensors: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """Moments by name as the processes hold them: whole, on the main process."""
        return tensors

    def gather(self) -> None:
        """Let the main process's whole network have the weights."""

    @contextmanager
    def looked_at(self) -> Iterator[None]:
        """While open, the main process's whole network has the weights, computes, and drops nothing out."""
        self.network.eval()
        yield
        self.network.train()


class Shard(Replica):
    """A part of the encoder's layers and word embeddings, which are nearly all of a network.

    The rest (heads, norms, positions, a pooler) is whole in each process: not every pass of an update uses it, and what
    is split is used by all processes at once. So they must compute equally many passes.
    """

    def __init__(self, network: Network, ranks: Ranks, device: torch.device):
        self._whole, self._ranks, self._device = network, ranks, device
        self.network = copy.deepcopy(network) if ranks.main else network
        self._split(init_device_mesh(device.type, (ranks.size,)))
        self.network.to(device)

    def _split(self, mesh: DeviceMesh) -> None:
        """A layer's weights are put together while it computes, those of the embeddings for a whole pass."""
        encoder = self.network.encoder
        layers = list(layers_of(encoder))
        for layer in layers:
            fully_shard(layer, mesh=mesh)
        split = {encoder.get_input_embeddings().weight, *(p for layer in layers for p in layer.parameters())}
        fully_shard(self.network, mesh=mesh, ignored_params=set(self.network.parameters()) - split)
        register_fsdp_forward_method(self.network, "contrasted")
        for module in self.network.modules():
            if isinstance(module, FSDPModule):  # they would be averaged otherwise
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)

    def arrange(self, optimizer: Optimizer) -> None:
        optimizer.param_groups = [
            group | {"params": kind} for group in optimizer.param_groups for kind in alike(group["params"])
        ]

    def sum_gradients(self) -> None:
        self._ranks.sum_gradients(p for p in self.network.parameters() if not isinstance(p, DTensor))

    def clip(self, norm: float) -> None:
        kinds = alike(self.network.parameters())
        norms = [get_total_norm([p.grad for p in kind if p.grad is not None]) for kind in kinds]
        total = torch.stack([whole(norm) for norm in norms]).norm()
        for kind in kinds:
            clip_grads_with_norm_(kind, norm, total)

    def part(self, moment: torch.Tensor, parameter: nn.Parameter) -> torch.Tensor:
        moment = moment.to(parameter.device)
        if not isinstance(parameter, DTensor) or moment.shape != parameter.shape:
            return moment
        return distribute_tensor(moment, parameter.device_mesh, parameter.placements, src_data_rank=None)

    def gathered(self, tensors: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        found = {}
        for name, tensor in tensors.items():
            tensor = whole(tensor)
            if self._ranks.main:  # one after another: a GPU may not have room for all of them
                found[name] = tensor.cpu()
        return found

    def gather(self) -> None:
        weights = self.gathered(self.network.state_dict())
        if self._ranks.main:
            self._whole.load_state_dict(weights)

    @contextmanager
    def looked_at(self) -> Iterator[None]:
        self.gather()
        if self._ranks.main:
            self._whole.to(self._device).eval()
        yield
        if self._ranks.main:
            self._whole.to("cpu")


def layers_of(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of an encoder: what its lists of modules hold, and lists in lists."""
    for child in module.children():
        if isinstance(module, nn.ModuleList) and not isinstance(child, nn.ModuleList):
            yield child
        else:
            yield from layers_of(child)


def alike(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Whole and split ones, as far as there are any: torch computes with one kind at a time."""
    parameters = list(parameters)
    kinds = ([p for p in parameters if isinstance(p, DTensor) == split] for split in (False, True))
    return [kind for kind in kinds if kind]


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor, on every process; all must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
