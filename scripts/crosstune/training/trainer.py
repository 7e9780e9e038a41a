"""The training loop: updates of a network in a planned order, resumable at any update.

Losses are summed over the windows of an update and divided once. So the cut into micro-batches and the number of
processes change nothing beyond rounding, apart from dropout: each process draws masks of its own. All random draws of
update n derive from (seed, stage, n): on the CPU the same spec gives the same bytes, interrupted or not.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial

import torch
from accelerate import Accelerator
from torch.distributed.fsdp import FSDPModule

from crosstune.core.errors import UserError
from crosstune.core.progress import Progress
from crosstune.core.random_streams import derive
from crosstune.machine.hardware import device
from crosstune.modeling.batching import prefetch
from crosstune.modeling.network import MultiHeadEncoder, load_trained_state, trained_state
from crosstune.training.distributed import Ranks
from crosstune.training.interruption import InterruptGuard, TrainingInterrupted
from crosstune.training.micro_batches import MicroBatch, MicroBatcher, TrainingSettings
from crosstune.training.model_selection import BestCheckpoint
from crosstune.training.optimizer import LrSpan, build_optimizer, learning_rate, named_moments, set_learning_rates
from crosstune.training.parallel import parallel_model_class
from crosstune.training.profiler import Profiler
from crosstune.training.resume import ResumeFolder, SaveTimer
from crosstune.training.trackers import Trackers
from crosstune.training.work_split import split_work

CURVE_POINTS = 50


class Trainer:
    """Trains a network through a plan: restore, step, record, save.

    `best` selects the final weights on validation rows; `profiler` traces some updates. The processes of `ranks` share
    every update; the main one evaluates, saves and has the result. `trackers` get the points of the curves.
    """

    def __init__(
        self,
        batcher: MicroBatcher,
        folder: ResumeFolder,
        best: BestCheckpoint | None = None,
        profiler: Profiler | None = None,
        ranks: Ranks | None = None,
        trackers: Trackers | None = None,
    ):
        self.batcher, self.network, self.settings = batcher, batcher.network, batcher.settings
        self.folder, self.best, self.profiler, self.ranks = folder, best, profiler, ranks or Ranks()
        self.trackers = trackers or Trackers()
        self.updates, self.total_updates = 0, len(batcher.plan)
        self.lr_span = self.settings.lr_span or LrSpan(self.total_updates)
        self.curve: list[dict] = []
        self.gradient_norm: torch.Tensor | None = None
        self.figures: dict[str, str] = {}
        # Accelerate's precision is global to the process, in which several trainings may follow each other.
        self.accelerator = Accelerator(mixed_precision="no", cpu=device() == "cpu")

    def fit(
        self,
        guard: InterruptGuard,
        progress: Callable[[int, int], Progress],
        moments: Mapping[str, torch.Tensor] | None = None,
    ) -> tuple[list[dict], Mapping[str, torch.Tensor]]:
        """Train from the saved state, if any, to the end of the plan: the learning curve and the optimizer's moments.

        It ends earlier if the patience of `best` is exhausted; `updates` is then less than `total_updates`.
        `moments`: the optimizer's state of an earlier stage. Raises TrainingInterrupted, with the state saved, if
        `guard` was requested in any process, and UserError if the loss is infinite or no number.
        """
        self.restore(moments or {})
        timer = SaveTimer(self.settings.save_seconds)
        bar = progress(self.total_updates, self.updates)
        with self.profiler or nullcontext():
            for micro_batches in prefetch(self.micro_batches, self.updates_left()):
                losses = self.step(micro_batches)
                self.evaluate()
                # A signal after this line takes effect after the next update, and none after the last.
                requested, due, stopped = self.ranks.any_true(guard.requested, timer.is_due(), self.is_exhausted)
                interrupted = requested and not stopped and self.updates < self.total_updates
                figures = self.record(losses, interrupted or due, stopped)
                self.track()
                bar.advance(self.batcher.tokens(self.updates - 1), **figures)
                if self.profiler:
                    self.profiler.step()
                if interrupted or due:
                    with timer.measure():
                        self.save()
                if interrupted:
                    raise TrainingInterrupted
                if stopped:
                    break
        bar.close()
        return self.finish()

    def restore(self, moments: Mapping[str, torch.Tensor]) -> None:
        """Load the saved state, if any, and build the parallel model and the optimizer."""
        if saved := self.folder.load():
            tensors, notes = saved
            weights = {n.removeprefix("weights."): t for n, t in tensors.items() if n.startswith("weights.")}
            load_trained_state(self.network, weights)
            self.updates, self.curve, moments = notes["updates"], notes["curve"], {**moments, **tensors}
            if self.best:
                self.best.load_state(tensors, notes["looks"])
        self.model = parallel_model_class(self.ranks)(self.network, self.ranks, self.accelerator.device)
        optimizer = build_optimizer(self.model.network, self.settings.recipe)
        self.model.prepare_optimizer(optimizer)
        self.model.load_moments(optimizer, moments)
        self.optimizer = self.accelerator.prepare(optimizer)
        self.model.network.train()
        if self.ranks.is_main and self.total_updates:
            self.trackers.begin(self.curve, *self.evaluations)

    @property
    def is_exhausted(self) -> bool:
        """Whether this process knows that the patience of the model selection is exhausted: only the main one can."""
        return self.best is not None and self.best.is_exhausted

    def updates_left(self) -> range:
        """The numbers of the updates to make, from 0; none if a state was saved just before the end."""
        (stopped,) = self.ranks.any_true(self.is_exhausted)
        return range(self.updates, self.updates if stopped else self.total_updates)

    def micro_batches(self, number: int) -> Sequence[MicroBatch]:
        """The micro-batches of update `number` that this process computes."""
        return split_work(self.batcher.micro_batches(number), self.ranks, self.network, self.settings)

    def step(self, micro_batches: Sequence[MicroBatch]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Make the next update; this process's part of its loss and of its contrastive loss."""
        recipe, rank = self.settings.recipe, self.ranks.rank
        set_learning_rates(self.optimizer, recipe, self.updates, self.lr_span)
        torch.manual_seed(derive(*self.settings.key, "dropout", self.updates, *([rank] if rank else [])))
        losses = accumulate_gradients(self.accelerator, self.model.network, micro_batches, self.settings)
        self.model.sum_gradients()
        # At most infinity: clipping then multiplies by 1, which changes no bit.
        self.gradient_norm = self.model.clip_gradients(recipe["max_grad_norm"] or math.inf)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.updates += 1
        return losses

    def evaluate(self) -> None:
        """Evaluate on the validation rows if it is due."""
        if self.best and self.best.is_due(self.updates, self.total_updates):
            with self.model.full_weights() as network:
                self.ranks.broadcast_from_main(partial(self.best.evaluate, self.updates, network))

    @property
    def evaluations(self) -> tuple[Sequence[Mapping], str]:
        """The evaluations on the validation rows so far, and the metric that they select by."""
        return (self.best.evaluations, self.best.metric) if self.best else ((), "")

    def track(self) -> None:
        """Give the trackers the points of the last update."""
        if self.trackers.are_wanted and self.ranks.is_main:
            self.trackers.add(self.updates, self.curve, *self.evaluations)

    def record(self, losses: tuple[torch.Tensor, torch.Tensor | None], check: bool, last: bool) -> dict[str, str]:
        """Add a point to the learning curve if the update is one of its points; the latest figures for a person.

        With `last` no update follows.

        Raises UserError if the loss is infinite or no number. Reading it makes a GPU wait, so only points of the curve,
        or any update with `check`, are read.
        """
        last = last or self.updates == self.total_updates
        on_curve = last or self.updates % max(1, self.total_updates // CURVE_POINTS) == 0
        if on_curve or check:
            loss, contrastive = self.ranks.all_reduce_sum(*losses)
            if not loss < float("inf"):
                self.ranks.broadcast_from_main(partial(self.folder.record_divergence, self.updates, loss))
                fix = "Lower the learning rate (recipe: lr)."
                raise UserError(f"the loss is {loss} at update {self.updates}", fix=fix)
            self.figures = {"loss": f"{loss:.3f}"}
        if on_curve:
            number = self.lr_span.before + self.updates - 1
            rate = learning_rate(self.settings.recipe, number, self.lr_span.updates)
            tokens = self.batcher.tokens(self.updates - 1)
            norm = round(self.gradient_norm.item(), 6)
            point = {"update": self.updates, "loss": round(loss, 6), "lr": rate, "grad_norm": norm, "tokens": tokens}
            self.curve.append(point | ({} if contrastive is None else {"contrast": round(contrastive, 6)}))
        return self.figures

    def save(self) -> None:
        """Save the state from which another process can resume."""
        moments = self.gather()

        def write() -> None:
            weights = {f"weights.{name}": tensor for name, tensor in trained_state(self.network).items()}
            best = self.best.state_tensors() if self.best else {}
            evaluations = self.best.evaluations if self.best else []
            notes = {"updates": self.updates, "curve": self.curve, "looks": evaluations}
            self.folder.save(weights | moments | best, notes)

        self.ranks.broadcast_from_main(write)

    def finish(self) -> tuple[list[dict], Mapping[str, torch.Tensor]]:
        """Give the network its final weights: the best ones of a model selection, else the last."""
        moments = self.gather()
        if self.ranks.is_main and self.best and self.best.weights:
            load_trained_state(self.network, self.best.weights)
        return self.curve, moments

    def gather(self) -> Mapping[str, torch.Tensor]:
        """Copy the weights to the main process's whole network; the optimizer's moments by name, whole there too."""
        self.model.gather_weights()
        return self.model.gather_state(named_moments(self.model.network, self.optimizer))


def accumulate_gradients(
    accelerator: Accelerator, network: MultiHeadEncoder, micro_batches: Sequence[MicroBatch], settings: TrainingSettings
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Add the gradients of an update; its loss and its contrastive loss, None without one.

    Both losses stay on the device, so that nothing waits. Each of several processes has its own part of all three.
    """
    total, contrastive = torch.zeros((), device=accelerator.device), None
    autocast = partial(torch.autocast, accelerator.device.type, torch.bfloat16)
    in_bf16 = settings.precision == "bf16"
    # Until the outer autocast ends, it keeps the weights in bf16: it converts them once per update, not once per
    # micro-batch. Sharded weights are exempt: FSDP assembles them for each pass.
    with nullcontext() if isinstance(network, FSDPModule) else autocast(enabled=in_bf16):
        for micro_batch in micro_batches:
            batch = micro_batch.batch.to(accelerator.device)
            with autocast(enabled=in_bf16):
                if micro_batch.partners is None:
                    loss = network(micro_batch.head, batch, settings.recipe) * micro_batch.weight
                else:
                    partners = micro_batch.partners.to(accelerator.device)
                    loss, pair_loss = network.pair_losses(micro_batch.head, batch, partners, settings.recipe)
                    pair_loss = pair_loss * partners.weight
                    loss = loss * micro_batch.weight + pair_loss
                    contrastive = pair_loss.detach() + (0 if contrastive is None else contrastive)
            with autocast(enabled=False):
                accelerator.backward(loss)
            total += loss.detach()
    return total, contrastive
