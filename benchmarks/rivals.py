"""Training, prediction and span search against Hugging Face's run_qa.py, on the same rows in one run.

    python benchmarks/rivals.py --bundle ../shared/data --model small
    python benchmarks/rivals.py --bundle ../shared/data --model base --steps 2 --parts training
    python benchmarks/rivals.py --bundle ../shared/data --model e5 --folder ../models/e5-small --size standard

With e5 the encoder is a real one, and the rivals are run_ner.py too: encoder_rivals.py. Otherwise variants
take turns (A B C A B C ...); the table gives medians and ratios to the rival as shipped. Rows are XQuAD's in English,
Spanish and Hindi; weights are random, dropout is 0.1 in training.
"""

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from own_runs import OwnRuns

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from crosstune.core.errors import run_program  # noqa: E402
from crosstune.core.files import read_text  # noqa: E402
from crosstune.data.readers import read_rows  # noqa: E402
from crosstune.machine.hardware import resolve_precision, use_threads  # noqa: E402

SIZES = {
    "small": {"layers": 4, "hidden": 256, "heads": 4, "vocabulary": 30_000},
    "base": {"layers": 12, "hidden": 768, "heads": 12, "vocabulary": 119_547},
}
LANGUAGES = ("en", "es", "hi")
BATCH = 8
# The name of the real encoder, which encoder_rivals.py measures.
REAL = "e5"


def sample_rows(bundle: Path, languages: tuple[str, ...], count: int) -> list[dict]:
    """The first `count` XQuAD questions of every language that fit one window, languages in turn."""
    by_language = []
    for language in languages:
        path = bundle / f"qa/xquad/xquad.{language}.json.xz"
        rows = read_rows("squad", [(str(path), read_text(path))])
        # Every seventh, so that a sample has many paragraphs.
        by_language.append((rows[::7] + rows)[:count])
    return [row for turn in zip(*by_language, strict=True) for row in turn]


class Bench:
    """Rows, a model folder with random weights, and both sides' features."""

    def __init__(self, bundle: Path, size: str, windows: int):
        import numpy as np
        import rival_qa
        from transformers import PreTrainedTokenizerFast

        from crosstune.core.files import write_jsonl
        from crosstune.modeling.folder import load_network, save_network
        from crosstune.modeling.tokenization import Tokenizer
        from crosstune.modeling.tokenizer_training import train_tokenizer
        from crosstune.training.checkpoint_job import new_encoder

        self.folder = Path(tempfile.mkdtemp())
        self.rival = rival_qa
        texts = self.folder / "texts.jsonl"
        every = sample_rows(bundle, LANGUAGES, 1190)
        write_jsonl(texts, ({"text": text} for text in sorted({row["context"] for row in every})))
        train_tokenizer([texts], 8000, self.folder / "tokenizer")
        self.tokenizer = Tokenizer(self.folder / "tokenizer")
        self.rival_tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(self.folder / "tokenizer/tokenizer.json"), pad_token="<pad>", unk_token="<unk>"
        )
        shape = SIZES[size]
        self.tokenizer.vocabulary = shape["vocabulary"]
        spec = {"seed": 1, "max_length": 512, "recipe": {"dropout": 0.1}, "packing": True, **shape}
        network = new_encoder(spec, self.tokenizer)
        network.add_head("qa", [], seed=1)
        save_network(network, self.folder / "model", self.folder / "tokenizer", "qa")
        self.load = lambda packing: load_network(self.folder / "model", 0.1, packing)
        single = [row for row in sample_rows(bundle, LANGUAGES, windows) if self._fits(row)]
        self.rows = single[:windows]
        options = {"max_length": 384, "stride": 128, "max_question_length": 64}
        self.windows = network.tasks["qa"].encode(self.rows, self.tokenizer, options)
        assert len(self.windows) == len(self.rows)
        self.tokens = len(self.windows.ids)
        # A training has a whole data set's words, though the benchmark takes few steps.
        self.corpus = network.tasks["qa"].encode(every, self.tokenizer, options)
        self.used = f"Of {shape['vocabulary']:,} rows of embeddings the data use {len(np.unique(self.corpus.ids)):,}."

    def _fits(self, row: dict) -> bool:
        question, context = self.tokenizer.tokenize([row["question"].strip(), row["context"]])
        return len(question.ids) <= 64 and len(question.ids) + len(context.ids) + 3 <= 384

    def rival_training(self, dynamic: bool, grouped: bool, bf16: bool) -> Callable[[], float]:
        from rival_trainer import Flags
        from transformers import AutoModelForQuestionAnswering

        model = AutoModelForQuestionAnswering.from_pretrained(self.folder / "model")
        data = self.rival.features(self.rows, self.rival_tokenizer, pad=not dynamic)

        def run() -> float:
            job = self.rival.trainer(model, self.rival_tokenizer, data, Flags(BATCH, dynamic, grouped, bf16))
            return job.train().metrics["train_runtime"]

        return run

    def our_training(self, packing: bool, precision: str, every_row: bool = False) -> Callable[[], float]:
        """`every_row`: as if the data used all of the vocabulary."""
        runs = self._own_runs(packing)
        return lambda: runs.train(precision, None if every_row else [self.corpus.ids])

    def _own_runs(self, packing: bool) -> "OwnRuns":
        from own_runs import OwnRuns

        network = self.load(packing)
        assert network.packed == packing
        return OwnRuns(network, self.tokenizer, "qa", self.windows, BATCH)

    def rival_prediction(self, dynamic: bool, bf16: bool) -> Callable[[], float]:
        from rival_trainer import Flags
        from transformers import AutoModelForQuestionAnswering

        model = AutoModelForQuestionAnswering.from_pretrained(self.folder / "model")
        data = self.rival.features(self.rows, self.rival_tokenizer, pad=not dynamic)
        job = self.rival.trainer(model, self.rival_tokenizer, data, Flags(BATCH, dynamic, bf16=bf16))

        def run() -> float:
            begin = time.perf_counter()
            job.predict(self.rival.rows_of(data))
            return time.perf_counter() - begin

        return run

    def our_prediction(self, packing: bool, precision: str) -> Callable[[], float]:
        """Forward passes and the span search; the rival's time has no search in it."""
        runs = self._own_runs(packing)
        return lambda: runs.predict(self.rows, precision)


def training_variants(bench: Bench, bf16: bool) -> dict[str, Callable]:
    found = {
        "run_qa as shipped": lambda: bench.rival_training(False, False, False),
        "run_qa, dynamic padding": lambda: bench.rival_training(True, False, False),
        "run_qa, dynamic padding, group_by_length": lambda: bench.rival_training(True, True, False),
        "crosstune, padded": lambda: bench.our_training(False, "fp32"),
        "crosstune, packed, every row used": lambda: bench.our_training(True, "fp32", every_row=True),
        "crosstune, packed": lambda: bench.our_training(True, "fp32"),
    }
    if bf16:
        found["run_qa, dynamic padding, group_by_length, bf16"] = lambda: bench.rival_training(True, True, True)
        found["crosstune, packed, bf16, every row used"] = lambda: bench.our_training(True, "bf16", every_row=True)
        found["crosstune, packed, bf16"] = lambda: bench.our_training(True, "bf16")
    return found


def prediction_variants(bench: Bench, bf16: bool) -> dict[str, Callable]:
    found = {
        "Trainer.predict as shipped": lambda: bench.rival_prediction(False, False),
        "Trainer.predict, dynamic padding": lambda: bench.rival_prediction(True, False),
        "crosstune, sorted and padded": lambda: bench.our_prediction(False, "fp32"),
        "crosstune, packed": lambda: bench.our_prediction(True, "fp32"),
    }
    if bf16:
        found["crosstune, packed, bf16"] = lambda: bench.our_prediction(True, "bf16")
    return found


def take_turns(variants: dict[str, Callable], repeats: int) -> dict[str, list[float]]:
    """Seconds of every variant, `repeats` times, in turn."""
    runs = {name: make() for name, make in variants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            seconds[name].append(run())
    return seconds


def table(title: str, seconds: dict[str, list[float]], tokens: int) -> list[str]:
    """Markdown: medians, their spread, real tokens a second, ratio to the first variant."""
    first = statistics.median(next(iter(seconds.values())))
    lines = [
        f"## {title}",
        "",
        "| variant | median s | fastest to slowest | real tokens/s | ratio |",
        "|:--|--:|:--|--:|--:|",
    ]
    for name, values in seconds.items():
        middle = statistics.median(values)
        spread = f"{min(values):.1f} to {max(values):.1f}"
        lines.append(f"| {name} | {middle:.2f} | {spread} | {tokens / middle:,.0f} | {first / middle:.2f} |")
    return [*lines, ""]


def search_spans(count: int, repeats: int) -> list[str]:
    """Span search of ours and the example's loop over the same logits; a third of them have many ties."""
    import numpy as np
    import rival_qa
    from datasets import Dataset

    from crosstune.modeling.features import Windows
    from crosstune.modeling.tasks.qa import answer_spans

    rng = np.random.default_rng(0)
    lengths = rng.integers(100, 385, count)
    rows, found = [], []
    for number, length in enumerate(lengths.tolist()):
        rows.append({"id": str(number), "context": "".join(chr(97 + i % 26) for i in range(length * 4))})
        padding = rival_qa.MAX_LENGTH - length
        offsets = [(4 * i, 4 * i + 4) for i in range(20, length - 1)]
        found.append(
            {
                "input_ids": [1] * length + [0] * padding,
                "attention_mask": [1] * length + [0] * padding,
                "token_type_ids": [0] * 20 + [1] * (length - 20) + [0] * padding,
                "offset_mapping": [None] * 20 + offsets + [None] * (1 + padding),
                "example_id": str(number),
            }
        )
    logits = rng.normal(size=(count, rival_qa.MAX_LENGTH, 2)).astype(np.float32)
    logits[::3] = np.round(logits[::3] * 2) / 2
    windows = Windows.join(
        [
            {
                "ids": [0] * length,
                "types": [0] * length,
                "row": number,
                "first": [span[0] if span else -1 for span in feature["offset_mapping"][:length]],
                "last": [span[1] if span else -1 for span in feature["offset_mapping"][:length]],
                "context": 20,
                "context_end": length - 1,
            }
            for number, (length, feature) in enumerate(zip(lengths.tolist(), found, strict=True))
        ],
        per_window=["context", "context_end"],
        per_token=["first", "last"],
    )
    outputs = [values[:length] for values, length in zip(logits, lengths.tolist(), strict=True)]
    padded = np.where(np.arange(rival_qa.MAX_LENGTH)[:, None] < lengths[:, None, None], logits, -np.inf)

    def ours() -> list[str]:
        spans = answer_spans(windows, outputs)
        return [row["context"][span[1] : span[2]] for row, span in zip(rows, spans, strict=True)]

    def loop(features: Sequence[dict]) -> Callable[[], list[str]]:
        return lambda: rival_qa.best_answers(rows, features, padded[..., 0], padded[..., 1])

    answers: dict[str, list[str]] = {}

    def timed(name: str, search: Callable[[], list[str]]) -> Callable[[], Callable[[], float]]:
        def run() -> float:
            begin = time.perf_counter()
            answers[name] = search()
            return time.perf_counter() - begin

        return lambda: run

    variants = {
        "the example's loop": loop(Dataset.from_list(found)),
        "the loop alone, its features as dicts in memory": loop(found),
        "crosstune": ours,
    }
    seconds = take_turns({name: timed(name, search) for name, search in variants.items()}, repeats)
    equal = sum(len(set(same)) == 1 for same in zip(*answers.values(), strict=True))
    first = statistics.median(seconds["the example's loop"])
    lines = [f"## Span search, {count:,} windows, a third of them with many equal logits", ""]
    lines += ["| variant | median s | windows/s | ratio |", "|:--|--:|--:|--:|"]
    for name, values in seconds.items():
        middle = statistics.median(values)
        lines.append(f"| {name} | {middle:.3f} | {count / middle:,.0f} | {first / middle:.1f} |")
    return [*lines, "", f"Equal answers: {equal:,} of {count:,}.", ""]


def memory(arguments: list[str], names: list[str]) -> list[str]:
    """Peak memory of each training variant in a process of its own."""
    lines = ["## Peak memory of a training process", "", "| variant | GiB |", "|:--|--:|"]
    for name in names:
        command = [sys.executable, __file__, *arguments, "--only", name]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        lines.append(f"| {name} | {int(found.stdout.split()[-1]) / 2**20:.2f} |")
    return [*lines, ""]


def main() -> None:
    args = parse_arguments()
    use_threads(args.threads)
    if args.only:
        bf16 = resolve_precision("auto") == "bf16"
        bench = Bench(args.bundle, args.model, args.steps * BATCH)
        training_variants(bench, bf16)[args.only]()()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    if args.model == REAL:
        import encoder_rivals

        lines = encoder_rivals.run(args)
    else:
        lines = small_model_page(args)
    print("\n".join(lines))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=ROOT / "../shared/data", help="folder with qa/xquad")
    parser.add_argument("--model", choices=[*SIZES, REAL], default="small")
    parser.add_argument("--steps", type=int, default=6, help=f"training steps of {BATCH} windows a run (%(default)s)")
    parser.add_argument("--windows", type=int, default=160, help="windows of a prediction run (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--parts", nargs="+", choices=["training", "prediction", "spans", "memory", "profile"],
                        help="default: all but memory")  # fmt: skip
    parser.add_argument("--only", help="run one training variant once and print its peak memory in KiB")
    real = parser.add_argument_group(f"with --model {REAL}")
    real.add_argument("--folder", type=Path, default=ROOT / "../models/e5-small", help="the encoder's (%(default)s)")
    real.add_argument("--size", choices=["smoke", "standard", "long"], default="standard",
                      help="below 2 minutes, about 15, about an hour on two cores (%(default)s)")  # fmt: skip
    real.add_argument("--subjects", nargs="+", choices=["pos", "qa"], default=["pos", "qa"])
    parser.add_argument("--out", type=Path, help="file for the tables")
    args = parser.parse_args()
    args.parts = args.parts or ["training", "prediction", *(["profile"] if args.model == REAL else ["spans"])]
    return args


def small_model_page(args: argparse.Namespace) -> list[str]:
    """The tables of a model with random weights."""
    import torch
    import transformers

    bf16 = resolve_precision("auto") == "bf16"
    shape = SIZES[args.model]
    lines = [
        f"# Against run_qa.py: {shape['layers']} x {shape['hidden']} model",
        "",
        f"{date.today()}, {processor()}, {args.threads} threads, torch {torch.__version__}, transformers"
        f" {transformers.__version__}; bf16 {'measured' if bf16 else 'not measured: this processor has none'}.",
        f"`python benchmarks/rivals.py {' '.join(sys.argv[1:])}`; load at the start {os.getloadavg()[0]:.1f}.",
        "",
    ]
    if "memory" in args.parts:
        # Before this process is large: the peak of a child begins at what its parent holds.
        passed = ["--bundle", str(args.bundle), "--model", args.model, "--steps", str(args.steps)]
        lines += memory(passed, ["run_qa as shipped", "crosstune, packed"])
    if "training" in args.parts:
        bench = Bench(args.bundle, args.model, args.steps * BATCH)
        seconds = take_turns(training_variants(bench, bf16), args.repeats)
        title = f"Training, {args.steps} steps of {BATCH} windows, {bench.tokens:,} real tokens"
        lines += [*table(title, seconds, bench.tokens), bench.used, ""]
    if "prediction" in args.parts:
        bench = Bench(args.bundle, args.model, args.windows)
        seconds = take_turns(prediction_variants(bench, bf16), args.repeats)
        lines += table(f"Prediction, {len(bench.rows)} windows", seconds, bench.tokens)
    if "spans" in args.parts:
        lines += search_spans(10_000, 3)
    return lines


def copy_project(folder: Path) -> None:
    """Copy what git knows of the project, as it is in the working tree."""
    known = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in known.rstrip("\0").split("\0"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)


def processor() -> str:
    """The processor's name, where the system tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


if __name__ == "__main__":
    run_program(main)
