"""Where a training's time goes: a trace of some updates and a page that sums it up.

Owns: the profiler, the groups of operations, the two files. Must never know: what is trained.
"""

import re
import sys
import time
from pathlib import Path

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, schedule

from crosstune.core.files import write_text

# Updates before the trace (the first ones allocate and choose kernels), and updates in it.
BEFORE, TRACED = 3, 10

# The first group whose pattern an operation's name matches; what matches none is `other`.
GROUPS = {
    "data": r"^data$",
    "optimizer": r"[Oo]ptimizer|adamw|clip_grad|foreach",
    "attention": r"attention|softmax|bmm|varlen|flash|fmha",
    "linear": r"addmm|aten::mm$|gemm|linear|matmul",
    "norm, activation, dropout": r"norm|gelu|dropout|random|tanh",
}


class Profiler:
    """Traces up to TRACED updates after the first BEFORE; `step` is called after each. Writes into `folder`."""

    def __init__(self, folder: Path):
        self._folder = folder
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
        plan = schedule(wait=BEFORE - 1, warmup=1, active=TRACED, repeat=1)
        self._profile = profile(activities=activities, schedule=plan, on_trace_ready=self._write, acc_events=True)
        self._number, self._begin = 0, 0.0

    def __enter__(self) -> "Profiler":
        self._profile.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._profile.__exit__(*error)
        if self._number <= BEFORE:
            print(f"no profile: the training has only {self._number} updates, {BEFORE + 1} are needed", file=sys.stderr)

    def step(self) -> None:
        self._number += 1
        if self._number == BEFORE:
            self._begin = time.perf_counter()
        self._profile.step()

    def _write(self, found: profile) -> None:
        wall = time.perf_counter() - self._begin
        self._folder.mkdir(parents=True, exist_ok=True)
        found.export_chrome_trace(str(self._folder / "trace.json"))
        on_gpu = torch.cuda.is_available()
        seconds: dict[str, float] = {}
        for event in found.key_averages():
            # A GPU's time stands under the kernel and once more under the operation that started it.
            if on_gpu and (event.device_type != DeviceType.CUDA or event.is_user_annotation):
                continue
            spent = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            seconds[event.key] = seconds.get(event.key, 0.0) + spent / 1e6
        traced = min(TRACED, self._number - BEFORE)
        write_text(self._folder / "summary.md", summary(seconds, wall, traced, "GPU" if on_gpu else "CPU"))


def group_of(operation: str) -> str:
    """The group that an operation's time counts for."""
    return next((group for group, pattern in GROUPS.items() if re.search(pattern, operation)), "other")


def summary(seconds: dict[str, float], wall: float, updates: int, device: str) -> str:
    """A page: the share of each group of operations in `wall` seconds, what is idle, and the dearest operations."""
    totals = dict.fromkeys([*GROUPS, "other"], 0.0)
    for operation, spent in seconds.items():
        if not operation.startswith("ProfilerStep"):
            totals[group_of(operation)] += spent
    totals["idle"] = max(0.0, wall - sum(totals.values()))
    lines = [
        f"# {updates} updates in {wall:.2f} s of wall time, by the time of the {device}",
        "",
        "| part | seconds | share |",
        "|:--|--:|--:|",
        *(f"| {group} | {spent:.3f} | {spent / wall:.1%} |" for group, spent in totals.items()),
        "",
        "The dearest operations:",
        "",
        "| operation | seconds | share |",
        "|:--|--:|--:|",
    ]
    dearest = sorted(seconds.items(), key=lambda item: -item[1])[:15]
    lines += [f"| {operation} | {spent:.3f} | {spent / wall:.1%} |" for operation, spent in dearest]
    return "\n".join([*lines, "", "trace.json opens in chrome://tracing or https://ui.perfetto.dev.", ""])
