"""Model selection: evaluations on validation rows during a training, and the weights of the best one."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from crosstune.modeling.network import trained_state

# Metrics by split and language.
Scores = dict[str, dict[str, dict]]

PREFIX = "best."


@dataclass
class BestCheckpoint:
    """The best weights of a training, by evaluations every `every` updates and after the last.

    `score` computes the metrics of the network after an update. The mean of `metric` over the languages of `validation`
    decides, the latest of equals wins; other splits are only recorded. `evaluations`: {"update", "score", "scores"}
    each. `patience`: the evaluations without a higher score after which the training stops; None: it never does.
    """

    every: int
    metric: str
    score: Callable[[int], Scores]
    evaluations: list[dict] = field(default_factory=list)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    patience: int | None = None

    @property
    def is_exhausted(self) -> bool:
        """Whether the score has not risen for as many evaluations as the patience."""
        if self.patience is None or not self.evaluations:
            return False
        scores = [evaluation["score"] for evaluation in self.evaluations]
        return len(scores) - 1 - scores.index(max(scores)) >= self.patience

    def is_due(self, update: int, updates: int) -> bool:
        """Whether to evaluate after update `update` (from 1) of `updates`."""
        return update % self.every == 0 or update == updates

    def evaluate(self, update: int, network: torch.nn.Module) -> None:
        """Score the network, and copy its weights unless an earlier evaluation was better."""
        scores = self.score(update)
        mean = statistics.fmean(metrics[self.metric] for metrics in scores["validation"].values())
        if not self.evaluations or mean >= max(evaluation["score"] for evaluation in self.evaluations):
            self.weights = {name: tensor.detach().cpu().clone() for name, tensor in trained_state(network).items()}
        self.evaluations.append({"update": update, "score": mean, "scores": scores})

    @property
    def update(self) -> int:
        """The update with the best weights."""
        return max(self.evaluations, key=lambda evaluation: (evaluation["score"], evaluation["update"]))["update"]

    def state_tensors(self) -> dict[str, torch.Tensor]:
        """The tensors that a saved state needs besides `evaluations`."""
        return {f"{PREFIX}{name}": tensor for name, tensor in self.weights.items()}

    def load_state(self, tensors: dict[str, torch.Tensor], evaluations: list[dict]) -> None:
        """Take the best weights and the evaluations of a saved state."""
        self.weights = {name.removeprefix(PREFIX): t for name, t in tensors.items() if name.startswith(PREFIX)}
        self.evaluations = evaluations
