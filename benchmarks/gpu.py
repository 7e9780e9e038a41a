"""Checks and timings on a GPU in two parts of up to six minutes; with random weights, so nothing is downloaded.

    python benchmarks/gpu.py --part 1 --out benchmarks/results/gpu.md
    python benchmarks/gpu.py --part 2 --out benchmarks/results/gpu.md       # adds to the page
    python benchmarks/gpu.py --device cpu --shapes tiny --tokens 500 --no-compile       # only to see that it runs

Part 1: all checks (gpu_checks.py, gpu_training_checks.py), then training of the product and of `transformers`, with and
without torch.compile. Part 2: prediction, where the time of the product's training step goes, larger updates, and what
could change the speed. MFU is the share of the vendor's bf16 peak: 6 operations a parameter (embeddings not counted)
and token in training, 2 in prediction; in the second column attention's own products count too. The page is written
after every row; a row that would end too late is skipped, and one that does not end is broken off.
"""

import argparse
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path

import psutil
import torch
import transformers
from gpu_checks import ATTENTION, check_dropout, check_kernels, check_packing, check_windows, short
from gpu_rivals import timed_loop, timed_trainer
from gpu_steps import (
    PEAKS,
    SHAPES,
    Clock,
    peak_memory,
    synchronize,
    timed_prediction,
    timed_training,
    traced_training,
    windows_of,
)
from gpu_training_checks import check_adapters, check_training, check_waits

from crosstune.core.packing import TRAINING_PASS_TOKENS
from crosstune.machine.environment import commit
from crosstune.machine.hardware import device, resolve_precision
from crosstune.modeling.features import Windows

# A row is broken off this many seconds after the time of the part.
GRACE = 20

# The first group whose pattern is in a kernel's name counts its time.
GROUPS = {
    "attention": ATTENTION,
    "optimizer, clipping": r"adam|multi_tensor|lpnorm|Optimizer|foreach",
    "embedding gradient": r"embedding|compute_grad_weight|sum_and_scatter|krn_partial|RadixSort|unique|scatter_add",
    "GEMM": r"gemm|nvjet|cutlass|sm90_xmma|cublas|splitK|addmm|aten::mm$|wgmma|matmul",
    "layer norm": r"layer_norm|LayerNorm|GammaBeta|native_layer",
    "dropout": r"dropout|philox|masked_scale|bernoulli|distribution|random",
    "GELU": r"[Gg]elu",
    "copies, casts": r"copy|Memcpy|Memset|memset|CatArray|fill|to_copy",
    "sums (gradients of biases)": r"reduce|aten::sum",
    "other elementwise, indexing": r"elementwise|index|gather|scatter|add|mul|scan|compare|arange",
}


class OutOfTime(BaseException):
    """The time of a row is over; no handler of a library may take it for an error of its own."""


class Page:
    """Lines of results, written as they come; what does not fit into the seconds left is skipped, and said so."""

    def __init__(self, path: Path | None, seconds: float, begin: float):
        """`begin`: the time (of time.time) from which `seconds` count. A page that exists is continued."""
        self._path, self._seconds, self._begin, self.failed = path, seconds, begin, False
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return time.time() - self._begin

    def add(self, *lines: str) -> None:
        print(*lines, sep="\n", flush=True)
        if self._path:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")

    def attempt(self, name: str, expected: float, make: Callable[[], list[str]], columns: int = 0) -> None:
        """Add the lines of `make`, which takes about `expected` seconds; a failure is a line, and the next goes on."""
        row = f"| {name} |{' |' * columns}" if columns else f"- {name}:"
        left = self._seconds - self.spent
        if expected > left:
            self.add(row.replace(name, f"{name}: skipped, {max(0.0, left):.0f} s are left", 1))
            return
        try:
            with time_limit(left + GRACE):
                lines = make()
        except (Exception, OutOfTime) as error:
            traceback.print_exc()
            self.failed = True
            why = f"{type(error).__name__}: {error}".replace("\n", " ").replace("|", "/")[:200]
            lines = [row.replace(name, f"{name}: FAILED, {why}", 1)]
        self.add(*lines)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the block after `seconds`."""

    def stop(*_: object) -> None:
        raise OutOfTime(f"broken off after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def ceilings() -> list[str]:
    """What the device reaches by itself: a large product of matrices in bf16, a large copy."""
    size, repeats = (8192, 20) if device() == "cuda" else (256, 1)
    one, two = (torch.randn(size, size, device=device()).bfloat16() for _ in range(2))
    seconds = []
    for work in (lambda: one @ two, one.clone):
        work()
        synchronize()
        begin = time.perf_counter()
        for _ in range(repeats):
            work()
        synchronize()
        seconds.append((time.perf_counter() - begin) / repeats)
    product, copied = 2 * size**3 / seconds[0] / 1e12, 4 * size**2 / seconds[1] / 1e12
    return [f"Measured ceilings: {product:.0f} TFLOP/s of {size} x {size} bf16 products, {copied:.1f} TB/s of copies."]


HEADER = [
    "| shape | tokens an update | work | real tokens/s | slowest, fastest | ratio | MFU | with attention | GiB | ms |",
    "|:--|--:|:--|--:|:--|--:|--:|--:|--:|--:|",
]


class Table:
    """Rows of one shape's speeds, with ratios to the first row of each number of tokens an update and kind of work."""

    def __init__(self, page: Page, shape: str, windows: Windows):
        self._page, self._shape, self._windows = page, shape, windows
        self._first: dict[tuple, float] = {}

    def measure(self, name: str, expected: float, tokens: int, make: Callable[[], Clock], operations: int = 6) -> None:
        label = f"{tokens:,}" if tokens else ""
        full = f"{self._shape} | {label} | {name}"
        self._page.attempt(full, expected, lambda: [f"| {full} | {self._cells(make(), tokens, operations)} |"], 7)

    def _cells(self, clock: Clock, tokens: int, operations: int) -> str:
        layers, width, _, _ = SHAPES[self._shape]
        first = self._first.setdefault((tokens, operations), clock.speed)
        lengths = self._windows.lengths
        parameters = operations * layers * 12 * width**2
        attention = operations // 2 * 4 * width * layers * (lengths**2).sum() / lengths.sum()
        peak = next((value for name, value in PEAKS.items() if name in device_name()), None)
        shares = [f"{clock.speed * done / peak:.1%}" if peak else "" for done in (parameters, parameters + attention)]
        spread = f"{min(clock.speeds):,.0f} to {max(clock.speeds):,.0f}"
        numbers = [f"{clock.speed:,.0f}", spread, f"{clock.speed / first:.2f}", *shares]
        return " | ".join([*numbers, f"{peak_memory():.1f}", f"{clock.update_seconds * 1000:.0f}"])


def corpora_of(shapes: list[str], count: int) -> dict[str, Windows]:
    count = count if device() == "cuda" else count // 10
    return {shape: windows_of(SHAPES[shape][3], count) for shape in shapes}


def run_checks(page: Page) -> None:
    in_bf16 = resolve_precision("auto") == "bf16"
    for precision in [torch.float32, *([torch.bfloat16] if in_bf16 else [])]:
        page.attempt(f"packing in {precision}", 10, partial(check_packing, precision))
    for check in (check_windows, check_dropout, check_kernels, check_waits, check_training, check_adapters):
        page.attempt(check.__name__, 20, check)


class Timings:
    """All timings of some shapes; in each part the most important come first."""

    def __init__(self, page: Page, shapes: list[str], seconds: float, with_compiled: bool):
        """`seconds` are timed in a row; `with_compiled`: rows with torch.compile too, which take long."""
        self._page, self._seconds, self._with_compiled = page, seconds, with_compiled
        self._corpora, self._some = corpora_of(shapes, 3000), corpora_of(shapes, 1000)
        self._tables = {shape: Table(page, shape, windows) for shape, windows in self._corpora.items()}
        self._clocks: dict[str, Clock] = {}

    def first_part(self, tokens: int) -> None:
        """Training against the Trainer, with and without torch.compile."""
        self._page.add("", *HEADER)
        for shape in self._tables:
            self._train(shape, tokens, "Trainer", 13, timed_trainer)
            self._train(shape, tokens, "crosstune", 8)
        for shape in self._tables:
            self._train(shape, tokens, "Trainer, torch.compile(dynamic)", 60, timed_trainer, compiled=True)

    def second_part(self, tokens: list[int]) -> None:
        """Prediction, where an update's time goes, larger updates, and what could change the speed."""
        self._page.add("", *HEADER)
        for shape, table in self._tables.items():
            arguments = (shape, self._some[shape], self._seconds / 2)
            table.measure("prediction, sorted and padded", 8, 0, partial(timed_loop, *arguments), 2)
            table.measure("prediction, crosstune", 8, 0, partial(timed_prediction, *arguments), 2)
        first, *larger = tokens
        for shape in self._tables:
            self._train(shape, first, "crosstune", 8)
        for shape, windows in self._corpora.items():
            self._page.attempt(f"trace of {shape}", 12, partial(trace, shape, windows, first, self._clocks))
        self._page.add("", *HEADER)
        for count in larger:
            for shape in self._tables:
                self._train(shape, count, "Trainer", 13, timed_trainer)
                self._train(shape, count, "crosstune", 8)
        for shape in self._tables:
            passes = f"crosstune, passes of {TRAINING_PASS_TOKENS:,}"
            self._train(shape, first, passes, 8, pass_tokens=TRAINING_PASS_TOKENS)
            self._train(shape, first, "crosstune, dropout 0", 8, dropout=0.0)
            self._train(shape, first, "crosstune, compiled layers", 25, compiled=True)

    def _train(
        self, shape: str, tokens: int, name: str, expected: float, timed: Callable = timed_training, **options
    ) -> None:
        if options.get("compiled") and not self._with_compiled:
            return

        def make() -> Clock:
            clock = timed(shape, self._corpora[shape], tokens, self._seconds, **options)
            if timed is timed_training:
                self._clocks.setdefault(shape, clock)
            return clock

        self._tables[shape].measure(name, self._seconds + expected, tokens, make)


def trace(shape: str, windows: Windows, tokens: int, clocks: dict[str, Clock]) -> list[str]:
    """Tables of where an update's time goes: by group of kernels, and the longest kernels."""
    traced = traced_training(shape, windows, tokens)
    kernels = traced.kernels()
    busy, launches = (sum(values) for values in zip(*kernels.values(), strict=True))
    clock = clocks.get(shape)
    whole = clock.update_seconds if clock else traced.seconds
    groups = dict.fromkeys([*GROUPS, "other"], (0.0, 0.0))
    for kernel, (spent, count) in kernels.items():
        group = next((group for group, pattern in GROUPS.items() if re.search(pattern, kernel)), "other")
        groups[group] = groups[group][0] + spent, groups[group][1] + count
    title = f"## {shape}: an update of {tokens:,} tokens"
    took = f"{busy * 1000:.1f} ms of kernels in {launches:,.0f} launches; an update takes {whole * 1000:.1f} ms"
    lines = ["", title, "", f"{took} ({traced.seconds * 1000:.1f} ms while traced)."]
    lines += ["", "| part | ms | share of the update | launches |", "|:--|--:|--:|--:|"]
    rows = [*groups.items(), ("idle: the device waits for the host", (max(0.0, whole - busy), 0))]
    lines += [f"| {what} | {spent * 1000:.2f} | {spent / whole:.1%} | {n:,.0f} |" for what, (spent, n) in rows]
    lines += ["", "| kernel | ms | launches |", "|:--|--:|--:|"]
    longest = list(kernels.items())[:12]
    return lines + [f"| {short(kernel)} | {spent * 1000:.2f} | {n:,.0f} |" for kernel, (spent, n) in longest]


def device_name() -> str:
    return torch.cuda.get_device_name() if device() == "cuda" else "CPU"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--part", type=int, choices=[1, 2], help="default: both, in the time of both")
    parser.add_argument("--shapes", nargs="+", default=["base", "large"], choices=SHAPES)
    parser.add_argument("--tokens", type=int, nargs="+", default=[16_384, 65_536], help="of an update (%(default)s)")
    parser.add_argument("--row-seconds", type=float, default=3.0, help="timed in a row (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=330.0, help="of a part, from the program's start (%(default)s)"
    )
    parser.add_argument(
        "--compile", action=argparse.BooleanOptionalAction, default=True, help="rows with torch.compile"
    )
    parser.add_argument("--out", type=Path, help="page to which the results are added")
    args = parser.parse_args()
    if args.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        torch.set_num_threads(1)
    elif not torch.cuda.is_available():
        sys.exit("there is no GPU here; --device cpu --shapes tiny shows only that the program runs")
    parts = [args.part] if args.part else [1, 2]
    page = Page(args.out, args.seconds * len(parts), psutil.Process().create_time())
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    code = commit()
    if code:
        versions += f", commit {code['commit'][:12]}{' with changes' if code['changed'] else ''}"
    title = f"# {device_name()}, {date.today()}, {versions}, {resolve_precision('auto')}"
    page.add(
        f"{title}, part {' and '.join(map(str, parts))}", "", f"`python benchmarks/gpu.py {' '.join(sys.argv[1:])}`"
    )
    page.add("", "Ratios are to the first row of the run with as many tokens and the same kind of work.", "")
    page.attempt("ceilings", 5, ceilings)
    page.add("")
    if 1 in parts:
        run_checks(page)
    timings = Timings(page, args.shapes, args.row_seconds, args.compile)
    if 1 in parts:
        timings.first_part(args.tokens[0])
    if 2 in parts:
        timings.second_part(args.tokens)
    page.add("", f"{page.spent:.0f} s from the program's start.", "")
    if page.failed:
        sys.exit("some rows failed")


if __name__ == "__main__":
    main()
