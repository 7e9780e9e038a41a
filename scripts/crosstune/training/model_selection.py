"""Which moment of a training is kept: the best on validation rows, as far as it has come.

Owns: the looks at the validation rows, the best weights, what is told of them. Must never know: how training or
scoring works.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

Scores = dict[str, dict[str, dict]]

BEST = "best."


@dataclass
class Selection:
    """Looks every `every` updates and after the last; of equal looks the latest is kept, as in MuCoT.

    `scores` gives the numbers of the network as it is after an update, by split and language; the mean of `number` over
    the languages of `validation` decides. Other splits are only told. `looks`: {"update", "score", "scores"} each.
    """

    every: int
    number: str
    scores: Callable[[int], Scores]
    looks: list[dict] = field(default_factory=list)
    best: dict[str, torch.Tensor] = field(default_factory=dict)

    def wanted(self, update: int, updates: int) -> bool:
        """Whether to look after update `update` (from 1) of `updates`."""
        return update % self.every == 0 or update == updates

    def look(self, update: int, network: torch.nn.Module) -> None:
        """Score the network, and keep its weights where nothing before was better."""
        found = self.scores(update)
        score = statistics.fmean(scores[self.number] for scores in found["validation"].values())
        if not self.looks or score >= max(look["score"] for look in self.looks):
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
        self.looks.append({"update": update, "score": score, "scores": found})

    @property
    def update(self) -> int:
        """The update that is kept."""
        return max(self.looks, key=lambda look: (look["score"], look["update"]))["update"]

    def tensors(self) -> dict[str, torch.Tensor]:
        """What an interrupted training has to save, beside `looks`."""
        return {f"{BEST}{name}": tensor for name, tensor in self.best.items()}

    def load(self, tensors: dict[str, torch.Tensor], looks: list[dict]) -> None:
        """Go on where an interrupted training saved."""
        self.best = {name.removeprefix(BEST): tensor for name, tensor in tensors.items() if name.startswith(BEST)}
        self.looks = looks
