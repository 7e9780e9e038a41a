"""What a process holds of the network that it trains, alone or with others.

Owns: the network that computes, its gradients' sum and norm. Must never know: plans, losses, files.

Here it is all of the network, with its gradients and moments; sharding has another of the kind, which holds a part.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from crosstune.network import Network
from crosstune.ranks import Ranks


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
