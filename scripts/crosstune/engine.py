"""The training loop: updates of a network on a planned order of windows, resumable at any update.

Owns: optimisation, precision, dropout streams, learning curves. Must never know: paths of results, what a task is.

Losses are summed over the windows of an update and divided once, so that the cut into micro-batches changes nothing
beyond rounding. Everything random in update n is derived from (seed, stage, n): the same spec gives the same bytes on
the CPU, whether or not the job was killed on the way.
"""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch.optim import AdamW

from crosstune.batches import collate, micro_batches
from crosstune.encoding import TextEncoder
from crosstune.errors import UserError
from crosstune.network import Network
from crosstune.progress import Progress
from crosstune.randomness import derive, stream
from crosstune.state import StateFolder
from crosstune.tasks import Windows

LINES_OF_A_CURVE = 50


class Stopped(Exception):
    """The job was asked to end; its state is saved."""


@dataclass(frozen=True)
class Corpus:
    """Encoded sources by name, and the head each is trained with."""

    windows: dict[str, Windows]
    heads: dict[str, str]


@dataclass(frozen=True)
class Settings:
    """How to optimise. `key` is what random streams are derived from; `micro_tokens` bounds a padded forward pass."""

    recipe: dict
    key: tuple
    precision: str
    micro_tokens: int
    save_seconds: float


def train(
    network: Network,
    encoder: TextEncoder,
    corpus: Corpus,
    plan: Sequence[Sequence[tuple[str, int]]],
    settings: Settings,
    state: StateFolder,
    progress: Callable[[int, int], Progress],
    moments: dict[str, torch.Tensor] | None = None,
) -> tuple[list[dict], dict[str, torch.Tensor]]:
    """Train through the plan; the learning curve and the optimizer's final moments.

    `moments` carries on an earlier stage's optimizer. Raises Stopped on SIGTERM or SIGUSR1, after saving the state, and
    UserError where the loss is no longer a number.
    """
    accelerator = Accelerator(mixed_precision={"fp32": "no", "bf16": "bf16"}[settings.precision])
    optimizer = build_optimizer(network, settings.recipe)
    load_moments(network, optimizer, moments or {})
    curve: list[dict] = []
    saved = state.load()
    if saved:
        tensors, notes = saved
        curve = notes["curve"]
        network.load_state_dict({n.removeprefix("weights."): t for n, t in tensors.items() if n.startswith("weights.")})
        load_moments(network, optimizer, tensors)
    network, optimizer = accelerator.prepare(network, optimizer)
    network.train()
    done = saved[1]["updates"] if saved else 0
    every = max(1, len(plan) // LINES_OF_A_CURVE)
    bar = progress(len(plan), done)
    last_save = time.monotonic()
    with _Asked() as asked:
        for number in range(done, len(plan)):
            rate = learning_rate(settings.recipe, number, len(plan))
            for group in optimizer.param_groups:
                group["lr"] = rate
            torch.manual_seed(derive(*settings.key, "dropout", number))
            loss, tokens = update(accelerator, network, encoder, corpus, plan[number], settings, number)
            if not loss < float("inf"):
                raise UserError(
                    f"the loss is {loss} at update {number + 1}", cure="Lower the learning rate (recipe: lr)."
                )
            if settings.recipe["clip"]:
                accelerator.clip_grad_norm_(network.parameters(), settings.recipe["clip"])
            optimizer.step()
            optimizer.zero_grad()
            if (number + 1) % every == 0 or number + 1 == len(plan):
                curve.append({"update": number + 1, "loss": round(loss, 6), "lr": rate, "tokens": tokens})
            bar.advance(tokens, loss=f"{loss:.3f}")
            if asked.to_stop or time.monotonic() - last_save > settings.save_seconds:
                plain = accelerator.unwrap_model(network)
                state.save(
                    {f"weights.{name}": tensor for name, tensor in plain.state_dict().items()}
                    | named_moments(plain, optimizer),
                    {"updates": number + 1, "curve": curve},
                )
                last_save = time.monotonic()
            if asked.to_stop:
                raise Stopped
    bar.close()
    return curve, named_moments(accelerator.unwrap_model(network), optimizer)


def update(
    accelerator: Accelerator,
    network: Network,
    encoder: TextEncoder,
    corpus: Corpus,
    rows: Sequence[tuple[str, int]],
    settings: Settings,
    number: int,
) -> tuple[float, int]:
    """Gradients of one update; its loss (each head's mean loss, weighted by its rows) and its tokens."""
    masks = stream(*settings.key, "masks", number)
    total, tokens = 0.0, 0
    heads = sorted({corpus.heads[source] for source, _ in rows})
    for head in heads:
        task = network.tasks[head]
        mine = [(source, window) for source, window in rows if corpus.heads[source] == head]
        lengths = [len(corpus.windows[source].input_ids[window]) for source, window in mine]
        batches = []
        for part in micro_batches(lengths, settings.micro_tokens):
            batch = collate([corpus.windows[mine[i][0]] for i in part], [mine[i][1] for i in part], encoder.pad_id)
            batches.append(task.perturb(batch, encoder, masks, settings.recipe))
        units = max(1, sum(task.units(batch) for batch in batches))
        weight = len(mine) / len(rows) / units
        for batch in batches:
            batch = {name: tensor.to(accelerator.device) for name, tensor in batch.items()}
            with accelerator.autocast():
                loss = network(head, batch, settings.recipe) * weight
            accelerator.backward(loss)
            total += loss.item()
        tokens += sum(lengths)
    return total, tokens


def learning_rate(recipe: dict, number: int, updates: int) -> float:
    """Rate of update `number` (from 0) of `updates`: linear warm-up, then linear decay to 0 or constant."""
    warmup = round(recipe["warmup"] * updates)
    if number < warmup:
        return recipe["lr"] * (number + 1) / warmup
    if recipe["decay"] == "constant":
        return recipe["lr"]
    return recipe["lr"] * (updates - number) / max(1, updates - warmup)


def build_optimizer(network: Network, recipe: dict) -> AdamW:
    """AdamW (beta 0.9, 0.999, eps 1e-8, as in XTREME's scripts); biases and norms do not decay."""
    decayed = [p for p in network.parameters() if p.dim() > 1]
    free = [p for p in network.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": recipe["weight_decay"]}, {"params": free, "weight_decay": 0.0}]
    return AdamW(groups, lr=recipe["lr"], eps=1e-8, fused=True)


def named_moments(network: Network, optimizer: AdamW) -> dict[str, torch.Tensor]:
    """The optimizer's state by parameter name: `step.x`, `exp_avg.x`, `exp_avg_sq.x`."""
    return {
        f"{kind}.{name}": tensor
        for name, parameter in network.named_parameters()
        for kind, tensor in optimizer.state.get(parameter, {}).items()
    }


def load_moments(network: Network, optimizer: AdamW, tensors: dict[str, torch.Tensor]) -> None:
    """Put moments back where `named_moments` found them; parameters without any begin afresh."""
    for name, parameter in network.named_parameters():
        found = {
            kind: tensors[f"{kind}.{name}"] for kind in ("step", "exp_avg", "exp_avg_sq") if f"{kind}.{name}" in tensors
        }
        if found:
            optimizer.state[parameter] = {kind: tensor.to(parameter.device) for kind, tensor in found.items()}


class _Asked:
    """While open, SIGTERM and SIGUSR1 ask the loop to save and end instead of killing it."""

    def __init__(self) -> None:
        self.to_stop = False

    def __enter__(self) -> "_Asked":
        self._before = {s: signal.signal(s, self._ask) for s in (signal.SIGTERM, signal.SIGUSR1)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, *_: object) -> None:
        self.to_stop = True
