"""The product's own training and prediction on windows in memory, timed. Import it after the threads are set."""

import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accelerate.state import AcceleratorState

from crosstune.core.progress import Progress
from crosstune.modeling.features import Windows
from crosstune.modeling.network import MultiHeadEncoder
from crosstune.modeling.tokenization import Tokenizer
from crosstune.modeling.used_embeddings import SparseEmbedding
from crosstune.training.inference import compute_outputs
from crosstune.training.interruption import InterruptGuard
from crosstune.training.micro_batches import MicroBatcher, TrainingData, TrainingSettings
from crosstune.training.pass_size import training_pass
from crosstune.training.profiler import Profiler
from crosstune.training.resume import ResumeFolder
from crosstune.training.trainer import Trainer

RECIPE = {
    "lr": 5e-5, "warmup": 0.0, "lr_schedule": "linear", "weight_decay": 0.0, "max_grad_norm": 1.0,
    "label_smoothing": 0.0,
}  # fmt: skip


@dataclass(frozen=True)
class OwnRuns:
    """A network, one of its heads, and windows; an update of a training has `batch` of them."""

    network: MultiHeadEncoder
    tokenizer: Tokenizer
    head: str
    windows: Windows
    batch: int

    def train(
        self, precision: str, ids: Iterable[np.ndarray] | None, repeats: int = 1, profiler: Profiler | None = None
    ) -> float:
        """Seconds of a training on all windows, `repeats` times. `ids`: tokens that the data use; None: all."""
        # The rival's precision would stay that of the process.
        AcceleratorState._reset_state(reset_partial_state=True)
        count, batch = len(self.windows), self.batch
        updates = [range(first, min(first + batch, count)) for first in range(0, count, batch)]
        plan = [[(self.head, window) for window in update] for update in updates] * repeats
        data = TrainingData({self.head: self.windows}, {self.head: self.head})
        settings = TrainingSettings(RECIPE, (1, "bench"), precision, training_pass(self.network, precision), 1e9)
        every = [np.arange(len(self.network.encoder.get_input_embeddings().weight))]
        used = SparseEmbedding(self.network, [self.head], every if ids is None else ids, {})
        used.shrink()
        with tempfile.TemporaryDirectory() as folder, InterruptGuard() as guard:
            log = Path(folder, "log")
            begin = time.perf_counter()
            batcher = MicroBatcher(self.network, self.tokenizer, data, plan, settings)
            trainer = Trainer(batcher, ResumeFolder(Path(folder, "state"), "bench"), profiler=profiler)
            trainer.fit(guard, lambda total, done: Progress("benchmark", total, done, log))
            spent = time.perf_counter() - begin
        used.restore(1.0)
        return spent

    def predict(self, rows: Sequence[dict], precision: str) -> float:
        """Seconds of the forward passes and of what makes answers of their outputs."""
        self.network.eval()
        task, head = self.network.tasks[self.head], self.network.bound_head(self.head)
        begin = time.perf_counter()
        outputs = compute_outputs(self.network, task, head, self.windows, precision)
        task.answers(rows, self.windows, outputs)
        return time.perf_counter() - begin
