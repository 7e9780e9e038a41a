"""Checks of trainings on a device: they resume, bf16 follows fp32, adapters train alone, and the host seldom waits."""

import statistics
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from gpu_checks import distance
from gpu_steps import RECIPE, SHAPES, clean, network_of, train, windows_of

from crosstune.artifacts.adapter import BaseModel
from crosstune.machine.hardware import device, resolve_precision
from crosstune.modeling.adapters import merge_adapter, prepare_adapter
from crosstune.modeling.batching import collate
from crosstune.modeling.network import MultiHeadEncoder
from crosstune.training import trainer
from crosstune.training.interruption import TrainingInterrupted

UPDATES = 40


class Interruption:
    """A progress bar that requests an end at an update."""

    def __init__(self, at: int):
        self._at, self.number, self.requested = at, 0, False

    def __call__(self, total: int, done: int) -> "Interruption":
        self.number = done
        return self

    def advance(self, tokens: int, **_: str) -> None:
        self.number += 1
        self.requested = self.number == self._at

    def close(self) -> None:
        pass


def check_waits() -> list[str]:
    """Where the host waits for the device in updates of three forward passes; torch finds it on CUDA alone."""
    steps, step = [], trainer.Trainer.step
    set_mode = torch.cuda.set_sync_debug_mode if device() == "cuda" else lambda mode: None

    def watched(job: trainer.Trainer, micro_batches: list) -> object:
        steps.append(len(micro_batches))
        set_mode("warn")
        try:
            return step(job, micro_batches)
        finally:
            set_mode("default")

    clean()
    windows, tokens = windows_of(SHAPES["tiny"][3], 100), 1500
    with warnings.catch_warnings(record=True) as found, patch.object(trainer.Trainer, "step", watched):
        warnings.simplefilter("always")
        train(network_of("tiny", 0.1), windows, tokens, 5, Interruption(0), pass_tokens=tokens // 3)
    waits = [f"{Path(each.filename).name}:{each.lineno}" for each in found if "synchroniz" in str(each.message)]
    places = f": {', '.join(sorted(set(waits))[:6])}" if waits else ""
    return [f"- in {len(steps)} updates of {sum(steps)} passes the host waits {len(waits)} times{places}"]


def trained(
    make: Callable[[], MultiHeadEncoder], precision: str, interrupted: bool = False
) -> tuple[MultiHeadEncoder, list[dict]]:
    """A network after UPDATES of the product's own loop, on the CPU, and its learning curve.

    `interrupted`: by a stop half way, and a second start of a new network from the saved state.
    """
    clean()
    tokens, recipe = 6000 if device() == "cuda" else 800, RECIPE | {"lr": 5e-3}
    windows = windows_of(SHAPES["tiny"][3], 400)
    with tempfile.TemporaryDirectory() as folder:
        for at in [UPDATES // 2, 0] if interrupted else [0]:
            network, progress = make(), Interruption(at)
            options = {"precision": precision, "recipe": recipe, "folder": folder, "guard": progress}
            with suppress(TrainingInterrupted):
                curve = train(network, windows, tokens, UPDATES, progress, pass_tokens=tokens // 3, **options)
            # The bar sees one more update after the request.
            assert progress.number == (at + 1 if at else UPDATES), "the training was not interrupted"
    return network.to("cpu"), curve


def apart(one: MultiHeadEncoder, two: MultiHeadEncoder, first: MultiHeadEncoder) -> float:
    """How far two trainings' weights are from each other, as a share of how far one went from the `first` ones."""
    states = [network.state_dict() for network in (one, two, first)]
    moved, between = (
        torch.cat([(states[0][name] - other[name]).flatten() for name in states[0]]).norm().item()
        for other in (states[2], states[1])
    )
    return between / moved


def as_words(share: float) -> str:
    return "bit for bit" if share == 0 else f"to {share:.1e}"


def loss_change(curve: Sequence[dict]) -> tuple[float, float]:
    """The mean loss of the first and of the last points of a curve."""
    begin, end = (statistics.fmean(point["loss"] for point in part) for part in (curve[:5], curve[-5:]))
    return begin, end


def precisions() -> list[str]:
    return ["fp32", *([] if resolve_precision("auto") == "fp32" else ["bf16"])]


def check_training() -> list[str]:
    """A tiny training through the product's own loop: the loss falls, an interruption changes nothing, bf16 follows."""
    make = partial(network_of, "tiny", 0.1)
    lines, results, first = [], {}, make()
    for precision in precisions():
        network, curve = results[precision] = trained(make, precision)
        twice = apart(network, trained(make, precision)[0], first)
        resumed = apart(network, trained(make, precision, interrupted=True)[0], first)
        begin, end = loss_change(curve)
        lines.append(f"- training, {precision}: loss {begin:.3f} to {end:.3f} in {UPDATES} updates; interrupted and")
        lines[-1] += f" resumed equals uninterrupted {as_words(resumed)}; the same training twice: {as_words(twice)}"
        if not end < 0.8 * begin or resumed > 0.05 or len(curve) < 10:
            raise RuntimeError(f"the training is wrong: {lines[-1]}")
    if "bf16" in results:
        losses = ([point["loss"] for point in results[precision][1]] for precision in ("fp32", "bf16"))
        most = max(abs(one - two) for one, two in zip(*losses, strict=True))
        between = apart(results["fp32"][0], results["bf16"][0], first)
        lines.append(f"- bf16 against fp32: losses at most {most:.3f} apart, last weights {between:.1%}")
    return lines


def adapter_network(packing: bool = True) -> MultiHeadEncoder:
    """A tiny network with new adapters of rank 8 in its queries and values; they and the head are trained."""
    network = network_of("tiny", 0.1, packing)
    lora = {"rank": 8, "alpha": 16, "dropout": 0.0, "targets": ["query", "value"], "stages": "continue"}
    prepare_adapter(network, lora, 1, Path("base"), BaseModel("base", "random weights"))
    network.head("qa").requires_grad_(True)
    return network


def check_adapters() -> list[str]:
    """LoRA: the loss falls, only adapters and head move, an interruption changes nothing, merged equals unmerged.

    Raises RuntimeError if not.
    """
    lines, first = [], adapter_network()
    frozen = [name for name, weight in first.named_parameters() if not weight.requires_grad]
    for precision in precisions():
        network, curve = trained(adapter_network, precision)
        resumed = apart(network, trained(adapter_network, precision, interrupted=True)[0], first)
        states = [each.state_dict() for each in (network, first)]
        moved = [name for name in frozen if not torch.equal(*(state[name] for state in states))]
        begin, end = loss_change(curve)
        lines.append(
            f"- LoRA, {precision}: loss {begin:.3f} to {end:.3f}; {len(moved)} of {len(frozen)} frozen tensors"
        )
        lines[-1] += f" moved; interrupted and resumed equals uninterrupted {as_words(resumed)}"
        if not end < 0.95 * begin or moved or resumed > 0.05:
            raise RuntimeError(f"adapters are wrong: {lines[-1]}")
    errors = adapter_errors(network)
    lines.append("- LoRA, hidden states in fp32: " + ", ".join(f"{name} {error:.1e}" for name, error in errors.items()))
    if not max(errors.values()) < 1e-3:
        raise RuntimeError(f"adapters are wrong: {lines[-1]}")
    return lines


@torch.no_grad()
def adapter_errors(trained_network: MultiHeadEncoder) -> dict[str, float]:
    """How far a trained adapter's hidden states on the device, packed and merged, are from padded ones on the CPU."""
    windows = windows_of(SHAPES["tiny"][3], 10)
    batch = collate([windows] * 10, range(10))
    padded, merged = adapter_network(packing=False), adapter_network()
    for network in (padded, merged):
        network.load_state_dict(trained_network.state_dict())
    merge_adapter(merged)
    exact = padded.eval().hidden(batch)
    return {
        name: distance(network.to(device()).eval().hidden(batch.to(device())), exact)
        for name, network in (("packed", trained_network), ("merged", merged))
    }
