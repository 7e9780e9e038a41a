"""The training loop: updates of a network on a planned order of windows, resumable at any update.

Owns: optimisation, precision, dropout streams, learning curves. Must never know: paths of results, what a task is.

Losses are summed over the windows of an update and divided once, so that the cut into forward passes changes nothing
beyond rounding, nor does the number of processes that share an update. Everything random in update n is derived from
(seed, stage, n): the same spec gives the same bytes on the CPU, whether or not the job was killed on the way.
"""

import itertools
import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial

import torch
from accelerate import Accelerator
from torch.optim import AdamW
from torch.profiler import record_function

from crosstune.core.errors import UserError
from crosstune.core.progress import Progress
from crosstune.core.random_streams import derive
from crosstune.machine.hardware import device
from crosstune.modeling.contrastive import temperature_options
from crosstune.modeling.network import Network
from crosstune.modeling.tokenization import TextEncoder
from crosstune.training.distributed import Ranks
from crosstune.training.micro_batches import Corpus, Part, Plan, Settings, parts_of
from crosstune.training.model_selection import Selection
from crosstune.training.parallel import Replica
from crosstune.training.profiler import Profiler
from crosstune.training.resume import StateFolder
from crosstune.training.work_split import even_share, share

LINES_OF_A_CURVE = 50

# A state of a large model takes seconds to save: training takes at least so many times as long.
SAVING = 30

# What a program says that ends so.
STOPPED = "stopped on request; the state is saved, run the same command again to go on"


class Stopped(Exception):
    """The job was asked to end; its state is saved."""


def train(
    network: Network,
    encoder: TextEncoder,
    corpus: Corpus,
    plan: Plan,
    settings: Settings,
    state: StateFolder,
    stop: "StopRequest",
    progress: Callable[[int, int], Progress],
    moments: dict[str, torch.Tensor] | None = None,
    profiler: Profiler | None = None,
    selection: Selection | None = None,
    ranks: Ranks | None = None,
) -> tuple[list[dict], dict[str, torch.Tensor]]:
    """Train through the plan; the learning curve and the optimizer's final moments.

    `moments` carries on an earlier stage's optimizer; `profiler` traces some updates; with `selection` the network ends
    with the weights that it has kept. `ranks` share every update; the main one looks, saves and has what is kept.
    Raises Stopped where `stop` was asked for in any of them, after saving the state, and UserError where the loss is no
    longer a number.
    """
    ranks = ranks or Ranks()
    # Not told the precision: its state is one for the process, in which several trainings may follow each other.
    accelerator = Accelerator(mixed_precision="no", cpu=device() == "cpu")
    curve: list[dict] = []
    saved = state.load()
    if saved:
        tensors, notes = saved
        curve = notes["curve"]
        network.load_state_dict({n.removeprefix("weights."): t for n, t in tensors.items() if n.startswith("weights.")})
        moments = (moments or {}) | tensors
        if selection:
            selection.load(tensors, notes["looks"])
    # The network is in no wrapper of torch's for several processes, which would take each pass for an update, and the
    # mean of gradients for what is wanted.
    held = held_by(ranks)(network, ranks, accelerator.device)
    optimizer = build_optimizer(held.network, settings.recipe)
    held.arrange(optimizer)
    load_moments(held, optimizer, moments or {})
    optimizer = accelerator.prepare(optimizer)
    held.network.train()
    done = saved[1]["updates"] if saved else 0
    every = max(1, len(plan) // LINES_OF_A_CURVE)
    bar = progress(len(plan), done)
    saved_at, spent_saving = time.monotonic(), 0.0
    figures: dict[str, str] = {}
    with profiler or nullcontext():
        make = partial(
            share_of, ranks=ranks, plan=plan, network=network, encoder=encoder, corpus=corpus, settings=settings
        )
        for number, parts in prefetched(make, range(done, len(plan))):
            rate = learning_rate(settings.recipe, number, len(plan))
            for group in optimizer.param_groups:
                group["lr"] = learning_rate({**settings.recipe, "lr": group["peak"]}, number, len(plan))
            torch.manual_seed(derive(*settings.key, "dropout", number, *([ranks.rank] if ranks.rank else [])))
            loss, contrast = gradients(accelerator, held.network, parts, settings)
            held.sum_gradients()
            if settings.recipe["clip"]:
                held.clip(settings.recipe["clip"])
            optimizer.step()
            optimizer.zero_grad()
            if selection and selection.wanted(number + 1, len(plan)):
                with held.looked_at():
                    ranks.told(partial(selection.look, number + 1, network))
            tokens = sum(corpus.length(*window) for window in plan[number])
            # Read once: a signal that comes later is seen after the next update. After the last there is none to stop.
            due = time.monotonic() - saved_at > max(settings.save_seconds, SAVING * spent_saving)
            asked, due = ranks.agreed(stop.asked, due)
            to_stop = asked and number + 1 < len(plan)
            to_save = to_stop or due
            on_curve = (number + 1) % every == 0 or number + 1 == len(plan)
            if on_curve or to_save:
                total, contrasted = ranks.summed(loss, contrast)
                if not total < float("inf"):
                    ranks.told(partial(state.note_divergence, number + 1, total))
                    fix = "Lower the learning rate (recipe: lr)."
                    raise UserError(f"the loss is {total} at update {number + 1}", fix=fix)
                figures = {"loss": f"{total:.3f}"}
            if on_curve:
                line = {"update": number + 1, "loss": round(total, 6), "lr": rate, "tokens": tokens}
                curve.append(line | ({"contrast": round(contrasted, 6)} if contrasted is not None else {}))
            bar.advance(tokens, **figures)
            if profiler:
                profiler.step()
            if to_save:
                begin_saving = time.monotonic()
                held.gather()
                found = held.gathered(named_moments(held.network, optimizer))
                ranks.told(partial(save_state, state, number + 1, curve, network, found, selection))
                saved_at, spent_saving = time.monotonic(), time.monotonic() - begin_saving
            if to_stop:
                raise Stopped
    bar.close()
    held.gather()
    if ranks.main and selection and selection.best:
        network.load_state_dict(selection.best)
    return curve, held.gathered(named_moments(held.network, optimizer))


def save_state(
    state: StateFolder,
    updates: int,
    curve: list[dict],
    network: Network,
    moments: Mapping[str, torch.Tensor],
    selection: Selection | None,
) -> None:
    """Save what a training needs to go on after `updates` updates."""
    state.save(
        {f"weights.{name}": tensor for name, tensor in network.state_dict().items()}
        | moments
        | (selection.tensors() if selection else {}),
        {"updates": updates, "curve": curve, "looks": selection.looks if selection else []},
    )


def share_of(number: int, ranks: Ranks, network: Network, settings: Settings, **options: object) -> list[Part]:
    """The forward passes of update `number` that this process computes; `options` are those of parts_of."""
    parts = parts_of(number, network=network, settings=settings, **options)
    if ranks.size == 1:
        return parts
    return (even_share if ranks.sharded else share)(parts, ranks.rank, ranks.size, network, settings)


def held_by(ranks: Ranks) -> type[Replica]:
    """How a process holds the network."""
    if not ranks.sharded:
        return Replica
    from crosstune.training.parallel import Shard

    return Shard


def prefetched(make: Callable[[int], list[Part]], numbers: Iterable[int]) -> Iterator[tuple[int, list[Part]]]:
    """`(number, make(number))` in order, made one ahead in a thread, so that a GPU does not wait for it."""
    with ThreadPoolExecutor(1) as pool:
        following = None
        for number, after in itertools.pairwise([*numbers, None]):
            current = following or pool.submit(make, number)
            following = pool.submit(make, after) if after is not None else None
            with record_function("data"):
                parts = current.result()
            yield number, parts


def gradients(
    accelerator: Accelerator, network: Network, parts: Sequence[Part], settings: Settings
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Gradients of one update; its loss, and what contrast has in it, still on the device, so that nothing waits.

    Of several processes each has its own part of all three.
    """
    total, contrast = torch.zeros((), device=accelerator.device), None
    cast = torch.autocast(accelerator.device.type, torch.bfloat16, enabled=settings.precision == "bf16")
    for part in parts:
        batch = part.batch.to(accelerator.device)
        with cast:
            if part.pairs is None:
                loss = network(part.head, batch, settings.recipe) * part.weight
            else:
                pairs = part.pairs.to(accelerator.device)
                loss, contrasted = network.contrasted(part.head, batch, pairs, settings.recipe)
                contrasted = contrasted * pairs.weight
                loss = loss * part.weight + contrasted
                contrast = contrasted.detach() + (0 if contrast is None else contrast)
        accelerator.backward(loss)
        total += loss.detach()
    return total, contrast


def learning_rate(recipe: dict, number: int, updates: int) -> float:
    """Rate of update `number` (from 0) of `updates`: linear warm-up, then linear decay to 0 or constant."""
    warmup = round(recipe["warmup"] * updates)
    if number < warmup:
        return recipe["lr"] * (number + 1) / warmup
    if recipe["decay"] == "constant":
        return recipe["lr"]
    return recipe["lr"] * (updates - number) / max(1, updates - warmup)


def decayed(recipe: dict, done: int, updates: int) -> float:
    """What AdamW's weight decay leaves of a weight without gradient after `done` of so many updates, as a factor."""
    if not recipe["weight_decay"]:
        return 1.0
    return math.prod(1 - recipe["weight_decay"] * learning_rate(recipe, number, updates) for number in range(done))


def build_optimizer(network: Network, recipe: dict) -> AdamW:
    """AdamW (beta 0.9, 0.999, eps 1e-8, as in XTREME's scripts); biases and norms do not decay.

    Each group has the `peak` of its learning rate: a learned temperature has its own.
    """
    learned = [p for p in [network.log_scale] if p is not None and "contrast_temperature_lr" in recipe]
    rest = [p for p in network.parameters() if not any(p is own for own in learned)]
    decayed, free = ([p for p in rest if (p.dim() > 1) == wanted] for wanted in (True, False))
    groups = [
        {"params": decayed, "peak": recipe["lr"], "weight_decay": recipe["weight_decay"]},
        {"params": free, "peak": recipe["lr"], "weight_decay": 0.0},
        {"params": learned, **temperature_options(recipe)},
    ]
    return AdamW([group for group in groups if group["params"]], lr=recipe["lr"], eps=1e-8, fused=True)


def named_moments(network: Network, optimizer: AdamW) -> dict[str, torch.Tensor]:
    """The optimizer's state by parameter name: `step.x`, `exp_avg.x`, `exp_avg_sq.x`."""
    return {
        f"{kind}.{name}": tensor
        for name, parameter in network.named_parameters()
        for kind, tensor in optimizer.state.get(parameter, {}).items()
    }


def load_moments(held: Replica, optimizer: AdamW, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put moments back where `named_moments` found them; parameters without any begin afresh."""
    for name, parameter in held.network.named_parameters():
        found = {
            kind: tensors[f"{kind}.{name}"] for kind in ("step", "exp_avg", "exp_avg_sq") if f"{kind}.{name}" in tensors
        }
        if found:
            optimizer.state[parameter] = {kind: held.part(tensor, parameter) for kind, tensor in found.items()}


class StopRequest:
    """While open, SIGTERM and SIGUSR1 ask for an end, instead of killing the process."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "StopRequest":
        self._before = {s: signal.signal(s, self._ask) for s in (signal.SIGTERM, signal.SIGUSR1)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, *_: object) -> None:
        self.asked = True
