"""Weights that are gone, made again from what made them.

Owns: making them once, whoever asks, and refusing what comes out otherwise than before.
Must never know: why they are gone, what they are needed for.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from crosstune.artifacts.checkpoint import MANIFEST, MODEL, OPTIMIZER, Node, has_weights, remove_empty, remove_weights
from crosstune.core.errors import UserError
from crosstune.core.files import read_json
from crosstune.machine.hardware import use_threads
from crosstune.training.checkpoint_job import Knobs, make_checkpoint
from crosstune.training.interruption import InterruptGuard


def restore(wanted: Sequence[Path], nodes: Sequence[Node], knobs: Knobs, log: Path | None, threads: int) -> None:
    """Make the weights of the folders `wanted` where they are not there, then compute with `threads` threads again.

    `nodes` describes them and what they are made from, parents first. Raises UserError where other weights come out
    than a manifest names, and TrainingInterrupted.
    """
    with InterruptGuard() as stop:
        for node in needed(wanted, nodes):
            with node.alone(wait=True):
                if not has_weights(node.out):
                    use_threads(node.spec.get("threads", 1))
                    _restore(replace(node, log=log), knobs, stop)
    use_threads(threads)


def needed(wanted: Sequence[Path], nodes: Sequence[Node]) -> list[Node]:
    """Those of `nodes` without which the wanted weights cannot be had, parents first."""
    paths, found = set(wanted), []
    for node in reversed(nodes):
        if node.out in paths and not has_weights(node.out):
            paths.update(node.parents)
            found.append(node)
    return found[::-1]


def _restore(node: Node, knobs: Knobs, stop: InterruptGuard) -> None:
    if absent := node.missing(node.parents):
        fix = "Prepare the data again: snakemake --cores 1 check"
        raise UserError(f"no such file, and the weights of {node.out} must be trained again", str(absent), fix)
    if not node.is_made(node.parents):
        shutil.rmtree(node.draft, ignore_errors=True)
        make_checkpoint(node, node.parents, knobs, stop)
    known, found = (read_json(folder / MANIFEST)["weights"] for folder in (node.out, node.draft))
    if found != known:
        shutil.rmtree(node.draft)
        remove_empty(node.draft.parent, node.out)
        raise UserError(
            "its weights were removed, and training them again gives others, as on another kind of processor",
            str(node.out),
            f"To train it and all that stands on it anew: snakemake --cores 1 --forcerun {node.out / MANIFEST}",
        )
    remove_weights(node.out)  # what is left of a model
    for part in (OPTIMIZER, MODEL):  # whole at once, and last what tells that they are there
        if (node.draft / part).exists():
            os.replace(node.draft / part, node.out / part)
    shutil.rmtree(node.draft)
    remove_empty(node.draft.parent, node.out)
