"""Which weights a study keeps on disk, which must be retrained, and the most disk that weights take at once.

The permanent results of a study are small: manifests, curves, predictions, scores. Weights are large, and are needed
until their predictions exist and every dependent stage is trained. `keep_weights: final` or `none` then removes them.
Removing weights triggers no reruns: jobs depend on manifests, not on weight files. A job that needs removed weights
retrains them first, in a scratch folder, from the nearest ancestor that has weights. The same spec gives the same
bytes, and the manifest's hash verifies them. Weights that somebody deleted by hand are handled in the same way.
"""

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from crosstune.artifacts.checkpoint import is_loadable
from crosstune.study.graph import Checkpoint, Expansion
from crosstune.study.specs import retrain_job

# What `keep_weights` may be.
POLICIES = ("all", "final", "none")


class RetentionPolicy:
    """The weights of a study. The disk is inspected once, at the first question about it."""

    def __init__(self, study: Expansion):
        self.study = study
        self._nodes: Mapping[str, Checkpoint] = study.checkpoints

    @cached_property
    def removable(self) -> dict[str, None]:
        """Checkpoints whose weights the policy does not keep. Base models stay: everything depends on them."""
        return self._removable(self.study.config["keep_weights"])

    def _removable(self, policy: str) -> dict[str, None]:
        final = {run.stages[-1] for run in self.study.runs}
        kept = dict(zip(POLICIES, (self._nodes, final, ()), strict=True))[policy]
        return {path: None for path, node in self._nodes.items() if node.parents and path not in kept}

    @property
    def with_cards(self) -> list[str]:
        """The trained checkpoints whose weights the policy keeps."""
        return [path for path, node in self._nodes.items() if node.parents and path not in self.removable]

    def consumers(self, path: str) -> list[str]:
        """Files that jobs make from a checkpoint's weights: its predictions, and the manifests of its children."""
        predictions = [f"{path}/predictions/{dataset}.json" for dataset in self._nodes[path].evaluate]
        return predictions + [manifest_of(child) for child in self.study.children.get(path, [])]

    def to_retrain(self, paths: Iterable[str]) -> list[str]:
        """Checkpoints to retrain for the weights of `paths`, parents first."""
        checkpoints: dict[str, None] = {}
        for path in paths:
            if path in self._without_weights:
                checkpoints.update(dict.fromkeys([*self.to_retrain(self._nodes[path].parents), path]))
        return list(checkpoints)

    def retrain_jobs(self, paths: Iterable[str]) -> list[dict]:
        """Descriptions of the checkpoints to retrain, as train.py and predict.py take them."""
        return [retrain_job(self._nodes[path]) for path in self.to_retrain(paths)]

    @property
    def pending_retrains(self) -> list[str]:
        """Checkpoints without weights that a job which is still to run needs."""
        needed = [
            path
            for path in self._without_weights
            if not all(Path(consumer).exists() for consumer in self.consumers(path))
        ]
        return self.to_retrain(needed)

    @cached_property
    def _without_weights(self) -> dict[str, None]:
        """Checkpoints with a manifest and no weights. Given models are never trained."""
        trained = [path for path, node in self._nodes.items() if not node.is_given]
        return {path: None for path in trained if Path(manifest_of(path)).exists() and not is_loadable(path)}

    @cached_property
    def _order(self) -> list[str]:
        return training_order(self._made_of)

    @cached_property
    def _made_of(self) -> dict[str, tuple[str, ...]]:
        """The checkpoints that each checkpoint is made of: its parents, and the candidates of a sweep."""
        return {path: (*node.parents, *node.candidates) for path, node in self._nodes.items()}

    @cached_property
    def training_priority(self) -> dict[str, float]:
        """From 1 for the checkpoint to train first down to above 0 for the last."""
        return {path: 1 - number / len(self._order) for number, path in enumerate(self._order)}

    def peak_disk(self, size: Callable[[str], int], policy: str) -> int:
        """The most bytes of weights at once by a policy, if one job runs at a time; `size` is that of a checkpoint."""
        return peak_disk(self._order, self._made_of, size, self._removable(policy))


def manifest_of(path: str) -> str:
    return f"{path}/stage.json"


def training_order(parents: Mapping[str, Sequence[str]]) -> list[str]:
    """An order of training: every checkpoint after its parents, and each lineage finished before the next begins.

    Among checkpoints whose parents are trained the deepest comes first, and among equally deep ones the first in
    `parents`: few weights are then needed at once.
    """
    depth: dict[str, int] = {}
    waiting = {path: len(set(above)) for path, above in parents.items()}
    below: dict[str, list[str]] = {}
    for path, above in parents.items():
        for parent in set(above):
            below.setdefault(parent, []).append(path)
    position = {path: number for number, path in enumerate(parents)}
    ready = [(0, position[path], path) for path, number in waiting.items() if not number]
    heapq.heapify(ready)
    order = []
    while ready:
        *_, path = heapq.heappop(ready)
        depth[path] = 1 + max((depth[parent] for parent in parents[path]), default=-1)
        order.append(path)
        for child in below.get(path, []):
            waiting[child] -= 1
            if not waiting[child]:
                deepest = max(depth[parent] for parent in parents[child])
                heapq.heappush(ready, (-1 - deepest, position[child], child))
    return order


def peak_disk(
    order: Sequence[str],
    parents: Mapping[str, Sequence[str]],
    size: Callable[[str], int],
    removable: Collection[str],
) -> int:
    """The most bytes of weights at once, if checkpoints are trained in `order`.

    The weights of a removable checkpoint are removed after the last of its children is trained.
    """
    turn = {path: number for number, path in enumerate(order)}
    last = dict(turn)
    for path in order:
        for parent in parents[path]:
            last[parent] = max(last[parent], turn[path])
    change = [0] * (len(order) + 1)
    for path in order:
        change[turn[path]] += size(path)
        if path in removable:
            change[last[path] + 1] -= size(path)
    most = present = 0
    for difference in change:
        present += difference
        most = max(most, present)
    return most
