"""A profile of some updates of a training: a trace, and a page that sums up the time by kind of operation."""

import re
import sys
import time
from pathlib import Path

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, schedule

from crosstune.core.errors import show
from crosstune.core.files import write_text

# The first updates allocate memory and choose kernels; the trace begins after them.
WARMUP_UPDATES, TRACED_UPDATES = 3, 10

# The first pattern that matches an operation's name sets its group; other operations are in the group `other`.
GROUPS = {
    "data": r"^data$",
    "optimizer, clipping": r"[Oo]ptimizer|adamw|clip_grad|foreach|vector_norm",
    "embedding gradient": r"embedding\w*backward|EmbeddingBackward|compute_grad_weight|sum_and_scatter",
    "loss": r"nll_loss|log_softmax|cross_entropy|LogSoftmax|NllLoss",
    "attention": r"attention|softmax|bmm|varlen|flash|fmha",
    "linear": r"addmm|aten::mm$|gemm|linear|matmul",
    "norm, activation, dropout": r"norm|gelu|dropout|random|tanh|aten::ge$",
    "copies, casts": r"copy|aten::cat$|CatArray|Memcpy|Memset|aten::fill_|aten::zero_",
    "sums (gradients of biases)": r"aten::sum$|reduce_kernel",
}


class Profiler:
    """Traces up to TRACED_UPDATES after the first WARMUP_UPDATES, and writes into `folder`; call `step` after each."""

    def __init__(self, folder: Path):
        self._folder = folder
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
        plan = schedule(wait=WARMUP_UPDATES - 1, warmup=1, active=TRACED_UPDATES, repeat=1)
        self._profile = profile(activities=activities, schedule=plan, on_trace_ready=self._write, acc_events=True)
        self._number, self._begin, self._end = 0, 0.0, 0.0

    def __enter__(self) -> "Profiler":
        self._profile.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._profile.__exit__(*error)
        if self._number <= WARMUP_UPDATES:
            needed = WARMUP_UPDATES + 1
            show(f"no profile: the training has only {self._number} updates, {needed} are needed", file=sys.stderr)

    def step(self) -> None:
        """Count an update that is done."""
        self._number += 1
        # To start a trace and to end it take time of their own.
        self._end = time_of_device()
        self._profile.step()
        if self._number == WARMUP_UPDATES:
            self._begin = time_of_device()

    def _write(self, trace: profile) -> None:
        wall = self._end - self._begin
        self._folder.mkdir(parents=True, exist_ok=True)
        trace.export_chrome_trace(str(self._folder / "trace.json"))
        on_gpu = torch.cuda.is_available()
        seconds: dict[str, float] = {}
        for event in trace.key_averages():
            # The trace counts a GPU's time under the kernel, and again under the operation that started it.
            if on_gpu and (event.device_type != DeviceType.CUDA or event.is_user_annotation):
                continue
            spent = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            seconds[event.key] = seconds.get(event.key, 0.0) + spent / 1e6
        traced = min(TRACED_UPDATES, self._number - WARMUP_UPDATES)
        write_text(self._folder / "summary.md", summary(seconds, wall, traced, "GPU" if on_gpu else "CPU"))


def time_of_device() -> float:
    """Seconds, when the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def group_of(operation: str) -> str:
    """The group of an operation."""
    return next((group for group, pattern in GROUPS.items() if re.search(pattern, operation)), "other")


def summary(seconds: dict[str, float], wall: float, updates: int, device: str) -> str:
    """A page: the share of each group of operations and of idling in `wall` seconds, and the slowest operations."""
    totals = dict.fromkeys([*GROUPS, "other"], 0.0)
    operations = {name: spent for name, spent in seconds.items() if not name.startswith("ProfilerStep")}
    for operation, spent in operations.items():
        totals[group_of(operation)] += spent
    totals["idle"] = max(0.0, wall - sum(totals.values()))
    lines = [
        f"# {updates} updates in {wall:.2f} s of wall time, by the time of the {device}",
        "",
        "| part | seconds | share |",
        "|:--|--:|--:|",
        *(f"| {group} | {spent:.3f} | {spent / wall:.1%} |" for group, spent in totals.items()),
        "",
        "The slowest operations:",
        "",
        "| operation | seconds | share |",
        "|:--|--:|--:|",
    ]
    slowest = sorted(operations.items(), key=lambda item: -item[1])[:15]
    lines += [f"| {operation} | {spent:.3f} | {spent / wall:.1%} |" for operation, spent in slowest]
    return "\n".join([*lines, "", "trace.json opens in chrome://tracing or https://ui.perfetto.dev.", ""])
