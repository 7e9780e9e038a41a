"""Networks with random weights, made rows, and the product's own training and prediction, timed or traced.

A training is that of `crosstune.training.trainer`; a clock stands in the place of its progress bar and ends it
by an exception once enough updates are timed.
"""

import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import torch  # noqa: E402
from accelerate.state import AcceleratorState  # noqa: E402
from transformers import XLMRobertaConfig, XLMRobertaModel  # noqa: E402

from crosstune.machine.hardware import device, resolve_precision  # noqa: E402
from crosstune.modeling.batching import Mixture, plan_batches  # noqa: E402
from crosstune.modeling.features import Windows  # noqa: E402
from crosstune.modeling.network import MultiHeadEncoder  # noqa: E402
from crosstune.modeling.packed_attention import PackedSequences  # noqa: E402
from crosstune.modeling.used_embeddings import SparseEmbedding  # noqa: E402
from crosstune.training import trainer  # noqa: E402
from crosstune.training.inference import compute_outputs  # noqa: E402
from crosstune.training.micro_batches import MicroBatcher, TrainingData, TrainingSettings  # noqa: E402
from crosstune.training.pass_size import training_pass  # noqa: E402
from crosstune.training.resume import ResumeFolder  # noqa: E402

# Layers, width, heads, vocabulary of XLM-R; tiny only shows that the program runs.
SHAPES = {"tiny": (2, 64, 2, 1000), "base": (12, 768, 12, 250_002), "large": (24, 1024, 16, 250_002)}
# Matrix peaks in bf16 without sparsity, as the vendor gives them, in operations a second.
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12, "V100": 125e12}
LONGEST = 384
# The settings' defaults (schemas/study.schema.yaml), with the learning rate of XTREME's scripts.
RECIPE = {
    "lr": 2e-5, "warmup": 0.1, "lr_schedule": "linear", "weight_decay": 0.0, "max_grad_norm": 1.0,
    "label_smoothing": 0.0,
}  # fmt: skip
# More than any row has time for.
UPDATES = 1000
# Ids of these words mark where an answer begins and ends, for a training whose loss must fall.
BEGIN, END, FIRST_WORD = 5, 6, 10


class Measured(Exception):
    """Enough updates are timed or traced: the training may end."""


class Clock:
    """Takes the place of the progress bar: real tokens a second in `SEGMENTS` stretches after a warm-up.

    The warm-up takes `WARMUP` updates and `warmup` seconds after the first of them.
    """

    WARMUP, SEGMENTS = 3, 3

    def __init__(self, seconds: float, warmup: float):
        self._seconds, self._warmup, self._updates = seconds / self.SEGMENTS, warmup, 0
        self._first = self._begin = None
        self.speeds: list[float] = []
        self.update_seconds = 0.0

    def __call__(self, total: int, done: int) -> "Clock":
        return self

    def advance(self, tokens: "int | torch.Tensor", **_: str) -> None:
        self._updates += 1
        if self._begin is None:
            synchronize()
            self._first = self._first or time.perf_counter()
            if self._updates >= self.WARMUP and time.perf_counter() - self._first >= self._warmup:
                self._start()
            return
        self._tokens, self._counted = self._tokens + tokens, self._counted + 1
        if time.perf_counter() - self._begin < self._seconds:
            return
        synchronize()
        spent = time.perf_counter() - self._begin
        self.speeds.append(float(self._tokens) / spent)
        self.update_seconds = spent / self._counted
        if len(self.speeds) == self.SEGMENTS:
            raise Measured
        self._start()

    def _start(self) -> None:
        synchronize()
        self._begin, self._tokens, self._counted = time.perf_counter(), 0, 0

    @property
    def speed(self) -> float:
        return statistics.median(self.speeds)


class Trace:
    """In the place of the product's profiler: the kernels of `UPDATES` updates after the first ones."""

    WARMUP, UPDATES = 4, 2

    def __init__(self) -> None:
        self._number = 0
        kind = torch.profiler.ProfilerActivity
        self._profile = torch.profiler.profile(activities=[kind.CUDA if device() == "cuda" else kind.CPU])

    def __enter__(self) -> "Trace":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def step(self) -> None:
        self._number += 1
        if self._number == self.WARMUP:
            synchronize()
            self._profile.start()
            self._begin = time.perf_counter()
        elif self._number == self.WARMUP + self.UPDATES:
            synchronize()
            self.seconds = (time.perf_counter() - self._begin) / self.UPDATES
            self._profile.stop()
            raise Measured

    def kernels(self) -> dict[str, tuple[float, float]]:
        """Seconds and launches an update of every kernel (on a CPU: operation), the longest first."""
        return kernels_of(self._profile, self.UPDATES)


def kernels_of(profile: torch.profiler.profile, updates: int) -> dict[str, tuple[float, float]]:
    on_gpu, found = device() == "cuda", {}
    for event in profile.key_averages():
        if on_gpu and (event.device_type != torch.autograd.DeviceType.CUDA or event.is_user_annotation):
            continue
        spent = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        seconds, launches = found.get(event.key, (0.0, 0.0))
        found[event.key] = seconds + spent / 1e6 / updates, launches + event.count / updates
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def synchronize() -> None:
    if device() == "cuda":
        torch.cuda.synchronize()


def clean() -> None:
    """Nothing left of the row before: its memory, its compiled code, the precision that a Trainer has set."""
    torch._dynamo.reset()
    AcceleratorState._reset_state(reset_partial_state=True)
    gc.collect()
    if device() == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_memory() -> float:
    """The most memory of the GPU that tensors had since `clean`, in GiB."""
    return torch.cuda.max_memory_allocated() / 2**30 if device() == "cuda" else float("nan")


def config_of(shape: str, dropout: float) -> XLMRobertaConfig:
    layers, width, heads, vocabulary = SHAPES[shape]
    return XLMRobertaConfig(
        vocab_size=vocabulary, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=4 * width, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1,
        hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
    )  # fmt: skip


def network_of(shape: str, dropout: float, packing: bool = True) -> MultiHeadEncoder:
    """XLM-R's shape with random weights, the same for every call, and a head for QA; on the CPU, as if loaded.

    The weights are drawn on the device, to save time.
    """
    torch.manual_seed(0)
    with torch.device(device()):
        network = MultiHeadEncoder(XLMRobertaModel(config_of(shape, dropout), add_pooling_layer=False), packing)
    if network.packed != packing:
        raise RuntimeError(f"the encoder is {'not ' if packing else ''}packed on this device")
    network = network.to("cpu")
    network.add_head("qa", [], seed=1)
    return network


def windows_of(vocabulary: int, count: int) -> Windows:
    """Questions with paragraphs: 60 to LONGEST tokens, most of them short; at most 50,000 words, log-uniform.

    The answer's first and last token are marked by words of their own.
    """
    generator = np.random.default_rng(0)
    lengths = np.minimum(LONGEST, generator.gamma(6, 30, count) + 60).astype(np.int64)
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    words = min(50_000, vocabulary // 2)
    ids = (FIRST_WORD + words ** generator.random(offsets[-1])).astype(np.int32)
    starts = (generator.random(count) * (lengths - 40)).astype(np.int64) + 20
    ends = starts + generator.integers(1, 15, count)
    ids[offsets[:-1] + starts], ids[offsets[:-1] + ends] = BEGIN, END
    spots = {"start": starts, "end": ends, "context": np.full(count, 20), "context_end": lengths - 1}
    characters = {name: np.zeros(offsets[-1], np.int32) for name in ("first", "last")}
    return Windows(ids, np.zeros_like(ids, np.int8), offsets, offsets, np.arange(count), spots, characters)


def train(
    network: MultiHeadEncoder,
    windows: Windows,
    tokens: int,
    updates: int,
    progress: Callable,
    *,
    precision: str = "auto",
    pass_tokens: int | None = None,
    recipe: dict = RECIPE,
    folder: Path | str | None = None,
    guard: object = None,
    profiler: Trace | None = None,
) -> list[dict]:
    """The product's training, as checkpoint_job runs it, on `updates` updates of up to `tokens` tokens; its curve."""
    plan = plan_batches({"qa": windows.lengths}, Mixture(("qa",)), tokens, (1, "gpu"), updates)
    precision = resolve_precision(precision)
    pass_tokens = pass_tokens or training_pass(network, precision)
    settings = TrainingSettings(recipe, (1, "gpu"), precision, pass_tokens, 1e9)
    used = SparseEmbedding(network, ["qa"], [windows.ids], {})
    used.shrink()
    data = TrainingData({"qa": windows}, {"qa": "qa"})
    with tempfile.TemporaryDirectory() as temporary:
        # The head for QA perturbs nothing, so that no tokenizer is needed.
        batcher = MicroBatcher(network, None, data, plan, settings)
        job = trainer.Trainer(batcher, ResumeFolder(folder or temporary, "gpu"), profiler=profiler)
        curve, _ = job.fit(guard or SimpleNamespace(requested=False), progress)
    used.restore(1.0)
    return curve


@contextmanager
def compiled_layers(network: MultiHeadEncoder) -> Iterator[None]:
    """Every layer of the encoder by torch.compile(dynamic=True); the kernel gets one longest length for all passes."""
    for layer in network.encoder.encoder.layer:
        layer.compile(dynamic=True)
    from_lengths = PackedSequences.from_lengths

    def of_one_length(lengths: tuple[int, ...], place: torch.device) -> PackedSequences:
        return PackedSequences((LONGEST,), from_lengths(lengths, place).offsets)

    with patch.object(PackedSequences, "from_lengths", of_one_length) if device() == "cuda" else nullcontext():
        yield


def run_training(
    shape: str,
    windows: Windows,
    tokens: int,
    progress: Callable,
    dropout: float = 0.1,
    compiled: bool = False,
    **options,
) -> None:
    """Train a new network until `progress` or the profiler of the `options` (those of `train`) has measured enough."""
    clean()
    network = network_of(shape, dropout)
    # A curve has 50 points, for each of which the host waits: of a training of thousands of updates next to none.
    layers = compiled_layers(network) if compiled else nullcontext()
    with patch.object(trainer, "CURVE_POINTS", 1), layers, suppress(Measured):
        train(network, windows, tokens, UPDATES, progress, **options)


def timed_training(shape: str, windows: Windows, tokens: int, seconds: float, **options) -> Clock:
    clock = Clock(seconds, 4 if options.get("compiled") else 1)
    run_training(shape, windows, tokens, clock, **options)
    return clock


def traced_training(shape: str, windows: Windows, tokens: int, **options) -> Trace:
    trace = Trace()
    silent = SimpleNamespace(advance=lambda *_, **__: None)
    run_training(shape, windows, tokens, lambda *_: silent, profiler=trace, **options)
    return trace


def timed_prediction(shape: str, windows: Windows, seconds: float) -> Clock:
    """The product's forward passes over all windows, again and again."""
    clean()
    network = network_of(shape, 0.1).eval().to(device())
    clock, task, precision = Clock(seconds, 1), network.tasks["qa"], resolve_precision("auto")
    with suppress(Measured):
        while True:
            compute_outputs(network, task, network.bound_head("qa"), windows, precision)
            clock.advance(len(windows.ids))
    return clock
