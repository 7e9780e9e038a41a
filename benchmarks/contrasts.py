"""Time and memory of one contrast of full size: 10 seeds, 50 languages, 2,000 examples in each, 10,000 resamples.

    python benchmarks/contrasts.py --out benchmarks/results/contrasts.md

What is measured is everything that is computed of a contrast once its scores are read (contrast_numbers), on one core:
of a mean over examples (F1 of questions) and of a ratio of sums (F1 of tags), with examples of each language's own and
translated.
"""

import argparse
import os
import resource
import shlex
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

VARIANTS = {"mean": (False, False), "mean, translated": (False, True), "ratio": (True, False)}


def measure(variant: str, seeds: int, languages: int, examples: int) -> None:
    """Print seconds and the peak of memory in MB."""
    import numpy as np

    from crosstune.analysis.contrasts import RESAMPLES, LanguageScores, PairedScores, contrast_numbers

    ratio, translated = VARIANTS[variant]
    rng = np.random.default_rng(0)
    units = []
    for number in range(languages):
        above = rng.random((2, seeds, examples)) * 100
        below = rng.integers(1, 30, (2, seeds, examples)).astype(float) if ratio else np.ones((2, seeds, examples))
        ids = tuple(f"{0 if translated else number}-{example}" for example in range(examples))
        units.append(
            LanguageScores(f"l{number:02d}", f"l{number:02d}", f"f{number % 15}", 1 / languages, ids, above, below)
        )
    paired = PairedScores(list(range(seeds)), list(range(seeds)), units)
    began = time.perf_counter()
    contrast_numbers(paired, 0.5, 0.95, RESAMPLES)
    print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--languages", type=int, default=50)
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--variant", choices=sorted(VARIANTS), help="measure one, in this process")
    parser.add_argument("--out", type=Path, help="file for the table")
    args = parser.parse_args()
    if args.variant:
        measure(args.variant, args.seeds, args.languages, args.examples)
        return

    from rivals import processor
    from tabulate import tabulate

    sizes = [f"--{name}={getattr(args, name)}" for name in ("seeds", "languages", "examples")]
    one_core = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    rows = []
    for variant in VARIANTS:
        command = [sys.executable, __file__, *sizes, "--variant", variant]
        done = subprocess.run(command, env=one_core, check=True, capture_output=True, text=True)
        seconds, megabytes = map(float, done.stdout.split())
        rows.append([variant, f"{seconds:.1f}", f"{megabytes:,.0f}"])
    table = tabulate(
        rows, ["scores", "s", "peak MB"], "pipe", disable_numparse=True, colalign=["left", "right", "right"]
    )
    text = (
        f"# One contrast: {args.seeds} seeds x {args.languages} languages x {args.examples:,} examples\n\n"
        f"{date.today()}, {processor()}, one core; `{shlex.join(['python', *sys.argv])}`; load at the end "
        f"{os.getloadavg()[0]:.1f}.\n\n{table}\n"
    )
    print(text)
    if args.out:
        args.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
