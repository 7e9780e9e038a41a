"""The weights that a study keeps on disk, those that are gone, and the most disk that they take at once.

Owns: the policy `keep`, who still needs a checkpoint's weights, the order in which checkpoints are made.
Must never know: Snakemake, how weights are made or removed.

What a study knows for good is small: manifests, curves, predictions, scores. Weights are large, and are needed until
they have been predicted from and everything that stands on them is trained. Under `keep: final` or `none` they are then
removed. Nothing is done again for that: jobs wait for manifests, never for weights. A job that needs weights that are
gone trains them again first, in its own process, from the last ancestor that has them; the same spec gives the same
bytes, and the manifest's hash says whether it did. Weights that somebody deleted by hand are found missing in the same
way.
"""

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from crosstune.artifacts.checkpoint import has_weights
from crosstune.study.expand import Study
from crosstune.study.graph import Checkpoint


class Kept:
    """The weights of a study. What is on disk is looked at once, when it is first asked for."""

    def __init__(self, study: Study):
        self._study = study
        self._nodes: Mapping[str, Checkpoint] = study.checkpoints

    # ---- what is removed, and when ----

    @property
    def removable(self) -> list[str]:
        """Checkpoints whose weights the policy does not keep. Base models stay: everything stands on them."""
        return list(self._removable)

    @cached_property
    def _removable(self) -> dict[str, None]:
        final = {run.stages[-1] for run in self._study.runs}
        spared = {"all": self._nodes, "final": final, "none": ()}[self._study.config["keep"]]
        return {path: None for path, node in self._nodes.items() if node.parents and path not in spared}

    def users(self, path: str) -> list[str]:
        """Files that are made of a checkpoint's weights: its predictions, and the manifests of what stands on it."""
        predictions = [f"{path}/predictions/{dataset}.json" for dataset in self._nodes[path].evaluate]
        return predictions + [manifest_of(child) for child in self._children.get(path, [])]

    def tidied(self, path: str) -> list[dict]:
        """What to remove once a checkpoint's users are made: its weights, and those it was made again from.

        `until`: the files that must be there, users of a checkpoint's weights or of what is made again from them. The
        last of several that were made again from the same weights removes these. A user that is made anew is not there
        while its job runs, because Snakemake deletes it before.
        """
        return [
            {"path": step, "until": list(dict.fromkeys([*self.users(step), *self._later_users.get(step, [])]))}
            for step in [*self._above(path), path]
            if step in self._removable
        ]

    # ---- what is gone, and made again ----

    def gone(self, path: str) -> bool:
        """Whether a checkpoint was made, and has no weights any more. The hub's models are fetched, never made."""
        return path in self._gone

    def again(self, paths: Iterable[str]) -> list[str]:
        """Checkpoints whose weights must be made again to have those of `paths`, parents first."""
        found: dict[str, None] = {}
        for path in paths:
            if self.gone(path):
                found.update(dict.fromkeys([*self.again(self._nodes[path].parents), path]))
        return list(found)

    def nodes_again(self, paths: Iterable[str]) -> list[dict]:
        """The same as train.py and predict.py take them."""
        return [self._study.node(path, predicted=False) for path in self.again(paths)]

    @property
    def wanted_again(self) -> list[str]:
        """Checkpoints whose weights are gone and that something that is not made yet needs."""
        return [path for path, files in self._later_users.items() if not all(Path(file).exists() for file in files)]

    @cached_property
    def _gone(self) -> frozenset[str]:
        made = [path for path, node in self._nodes.items() if "hub" not in node.spec]
        return frozenset(path for path in made if Path(manifest_of(path)).exists() and not has_weights(path))

    @cached_property
    def _later_users(self) -> dict[str, list[str]]:
        """For each checkpoint that is gone its users, and those of all that is made again from it."""
        found: dict[str, dict[str, None]] = {}
        for path in self._nodes:
            if self.gone(path):
                for step in self.again([path]):
                    found.setdefault(step, {}).update(dict.fromkeys(self.users(path)))
        return {path: list(files) for path, files in found.items()}

    def _above(self, path: str) -> list[str]:
        """All that a checkpoint stands on, parents first."""
        found: dict[str, None] = {}
        for parent in self._nodes[path].parents:
            found.update(dict.fromkeys([*self._above(parent), parent]))
        return list(found)

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path, node in self._nodes.items():
            for parent in node.parents:
                found.setdefault(parent, []).append(path)
        return found

    # ---- order and disk ----

    @cached_property
    def _order(self) -> list[str]:
        return making_order({path: node.parents for path, node in self._nodes.items()})

    @cached_property
    def rank(self) -> dict[str, float]:
        """From 1 for the checkpoint to make first down to above 0 for the last.

        Those that the process of another makes come last: while that is at it, other cores have other work to begin.
        """
        ahead = {later for path in self._order for later in self._study.later(path)}
        order = sorted(self._order, key=lambda path: path in ahead)
        return {path: 1 - number / len(order) for number, path in enumerate(order)}

    def peak(self, size: Callable[[str], int]) -> int:
        """The most bytes of weights at once, if one job runs at a time; `size` is that of a checkpoint."""
        parents = {path: node.parents for path, node in self._nodes.items()}
        processes = [[path, *self._study.later(path)] for path in self._order]
        return peak(self._order, parents, size, self._removable, processes)


def manifest_of(path: str) -> str:
    return f"{path}/stage.json"


def making_order(parents: Mapping[str, Sequence[str]]) -> list[str]:
    """An order in which every checkpoint comes after its parents and lineages are finished before others are begun.

    Of those whose parents are made the deepest comes first, and of equally deep ones that which stands first in
    `parents`: so few weights are needed at once.
    """
    depth: dict[str, int] = {}
    waiting = {path: len(set(above)) for path, above in parents.items()}
    below: dict[str, list[str]] = {}
    for path, above in parents.items():
        for parent in set(above):
            below.setdefault(parent, []).append(path)
    place = {path: number for number, path in enumerate(parents)}
    ready = [(0, place[path], path) for path, number in waiting.items() if not number]
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
                heapq.heappush(ready, (-1 - deepest, place[child], child))
    return order


def peak(
    order: Sequence[str],
    parents: Mapping[str, Sequence[str]],
    size: Callable[[str], int],
    removable: Collection[str],
    processes: Sequence[Sequence[str]] = (),
) -> int:
    """The most bytes at once where checkpoints are made in `order`.

    The weights of a removable one go when it and all that stand on it are made. `processes`: a checkpoint and those
    that its process makes at once, before their turn; what was made so already is not made again.
    """
    turn = {path: number for number, path in enumerate(order)}
    made = dict(turn)
    for first, *later in processes:
        made.update({path: min(made[path], made[first]) for path in later})
    last = dict(turn)
    for path in order:
        for parent in parents[path]:
            last[parent] = max(last[parent], turn[path])
    change = [0] * (len(order) + 1)
    for path in order:
        change[made[path]] += size(path)
        if path in removable:
            change[last[path] + 1] -= size(path)
    most = present = 0
    for difference in change:
        present += difference
        most = max(most, present)
    return most
