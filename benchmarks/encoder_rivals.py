"""A real encoder on real rows against Hugging Face's run_qa.py and run_ner.py, and against the machine's matrix rate.

`rivals.py --model e5` runs it. All variants train on the same rows in as many updates of as many rows, and predict the
same rows. In every turn each variant runs once, in every second turn in the reverse order. The rivals are built as the
examples document it, and timed in this process: no start of a process, no tokenization, no search of answers is theirs.
"""

import gc
import math
import os
import statistics
import sys
import tempfile
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import rival_ner
import rival_qa
import torch
import transformers
from operations import PREDICTION, TRAINING, WIDTH, count_operations, matrix_rate
from own_runs import OwnRuns
from rival_trainer import Flags
from transformers import AutoModelForQuestionAnswering, AutoModelForTokenClassification, AutoTokenizer

from crosstune.analysis.cells import Replicate
from crosstune.analysis.intervals import interval
from crosstune.core.errors import UserError
from crosstune.core.files import read_text
from crosstune.data.prepare import load_rows
from crosstune.data.readers.pieces import UPOS
from crosstune.data.registry import load_registry
from crosstune.machine.environment import commit, processor
from crosstune.machine.hardware import resolve_precision
from crosstune.modeling.features import Windows
from crosstune.modeling.folder import load_network
from crosstune.modeling.tasks import load_task
from crosstune.modeling.tokenization import Tokenizer
from crosstune.training.profiler import Profiler

REGISTRY = Path(__file__).parents[1] / "registry"
SHIPPED, BEST, BEST_BF16 = "as shipped", "best flags", "best flags, bf16"
OWN, OWN_BF16, EVERY_ROW = "crosstune", "crosstune, bf16", ", every row trained"


@dataclass(frozen=True)
class Size:
    """How much a run measures: updates of a training, the share of the usual rows in one, rows of a prediction.

    `turns` that count; `profiled`: updates of a training that is profiled.
    """

    updates: int
    share: float
    predicted: int
    turns: int
    profiled: int


SIZES = {
    "smoke": Size(updates=1, share=1 / 8, predicted=6, turns=1, profiled=4),
    "standard": Size(updates=2, share=1, predicted=72, turns=5, profiled=8),
    "long": Size(updates=6, share=1, predicted=240, turns=9, profiled=13),
}


@dataclass(frozen=True)
class Subject:
    """A task with its rows: `sources` of the training, `tests` of the prediction, `batch` rows an update."""

    title: str
    program: str
    head: str
    labels: tuple[str, ...]
    sources: tuple[tuple[str, str], ...]
    tests: str
    encoding: Mapping[str, int]
    batch: int

    @property
    def classes(self) -> int:
        """Numbers that the head computes for a token."""
        return len(self.labels) or 2


SUBJECTS = {
    "pos": Subject(
        "Parts of speech", "run_ner.py", "tagging.upos", tuple(UPOS), (("ud", "en"), ("ud", "es"), ("ud", "fr")),
        "ud", {"max_length": 128}, 64,
    ),
    "qa": Subject(
        "Question answering", "run_qa.py", "qa", (), (("squad", "en"), ("squad_es", "es"), ("piaf", "fr")),
        "xquad", {"max_length": rival_qa.MAX_LENGTH, "stride": rival_qa.STRIDE, "max_question_length": 64}, 12,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """Rows with both sides' encoding of them, which have equal tokens: the product's windows, the rival's features."""

    rows: Sequence[dict]
    windows: Windows
    features: Sequence[dict]


class Bench:
    """The model of a folder for one subject, and its rows from the data of the registry's records."""

    def __init__(self, subject: Subject, bundle: Path, folder: Path, size: Size):
        self.subject, self.folder = subject, folder
        self.tokenizer, self.rival_tokenizer = Tokenizer(folder), AutoTokenizer.from_pretrained(folder)
        self.network = load_network(folder)
        self.network.add_head(subject.head, list(subject.labels), seed=1)
        registry, folders = load_registry(REGISTRY), {"bundle": str(bundle)}
        every = [load_rows(registry[name], "train", lang, folders, "")[0] for name, lang in subject.sources]
        # A training has a whole data set's words, though the benchmark takes few updates.
        self.corpus = self.encode([row for rows in every for row in rows])
        test = registry[subject.tests]
        held = [load_rows(test, "test", lang, folders, "")[0] for lang in test.splits["test"].languages]
        self.batch = round(subject.batch * size.share)
        self.train = self.equal_rows(every, size.updates * self.batch)
        self.test = self.equal_rows(held, size.predicted)

    def encode(self, rows: Sequence[dict]) -> Windows:
        return load_task(self.subject.head, self.subject.labels).encode(rows, self.tokenizer, self.subject.encoding)

    def features(self, rows: Sequence[dict], pad: bool = False) -> list[dict]:
        if self.subject.head == "qa":
            return rival_qa.features(rows, self.rival_tokenizer, pad)
        longest = self.subject.encoding["max_length"]
        return rival_ner.features(rows, self.rival_tokenizer, self.subject.labels, longest)

    def equal_rows(self, by_language: Sequence[Sequence[dict]], count: int) -> Rows:
        """`count` rows, languages in turn, from all over their files, that both sides encode as the same tokens."""
        share = -(-count // len(by_language))
        spread = [rows[:: max(1, len(rows) // (4 * share))] for rows in by_language]
        candidates = [row for turn in zip(*(rows[: 4 * share] for rows in spread), strict=False) for row in turn]
        windows, kept = self.encode(candidates), []
        cuts = dict(zip(windows.rows.tolist(), np.split(windows.ids, windows.offsets[1:-1]), strict=True))
        single = np.bincount(windows.rows, minlength=len(candidates)) == 1
        for number, row in enumerate(candidates):
            if single[number] and len(found := self.features([row])) == 1:
                kept += [row] if found[0]["input_ids"] == cuts[number].tolist() else []
        if len(kept) < count:
            raise RuntimeError(f"{self.subject.title}: only {len(kept)} rows are the same on both sides, of {count}")
        kept = kept[:count]
        return Rows(kept, self.encode(kept), self.features(kept))

    # --- variants ------------------------------------------------------------------------------------------------

    def rival_model(self) -> torch.nn.Module:
        if self.subject.head == "qa":
            return AutoModelForQuestionAnswering.from_pretrained(self.folder)
        return AutoModelForTokenClassification.from_pretrained(self.folder, num_labels=self.subject.classes)

    def rival_training(self, flags: Flags) -> Callable[[], float]:
        program = rival_qa if self.subject.head == "qa" else rival_ner
        model, data = self.rival_model(), self.features(self.train.rows, pad=not flags.dynamic)

        def run() -> float:
            return program.trainer(model, self.rival_tokenizer, data, flags).train().metrics["train_runtime"]

        return run

    def rival_prediction(self, flags: Flags) -> Callable[[], float]:
        """With dynamic padding the rows are sorted by length, as the best of users give them."""
        program = rival_qa if self.subject.head == "qa" else rival_ner
        found = self.features(self.test.rows, pad=not flags.dynamic)
        data = sorted(found, key=lambda one: -len(one["input_ids"])) if flags.dynamic else found
        model = self.rival_model()

        def run() -> float:
            job = program.trainer(model, self.rival_tokenizer, data, flags)
            begin = time.perf_counter()
            job.predict(program.rows_of(data))
            return time.perf_counter() - begin

        return run

    def own(self, rows: Rows) -> OwnRuns:
        return OwnRuns(self.network, self.tokenizer, self.subject.head, rows.windows, self.batch)

    def training(self, bf16: bool) -> dict[str, Callable[[], float]]:
        """Seconds of a training by variant."""
        batch, used, own = self.batch, [self.corpus.ids], self.own(self.train)
        found = {
            SHIPPED: self.rival_training(Flags(batch)),
            BEST: self.rival_training(Flags(batch, dynamic=True, grouped=True)),
            OWN: lambda: own.train("fp32", used),
            OWN + EVERY_ROW: lambda: own.train("fp32", None),
        }
        if bf16:
            found[BEST_BF16] = self.rival_training(Flags(batch, dynamic=True, grouped=True, bf16=True))
            found[OWN_BF16] = lambda: own.train("bf16", used)
            found[OWN_BF16 + EVERY_ROW] = lambda: own.train("bf16", None)
        return found

    def prediction(self, bf16: bool) -> dict[str, Callable[[], float]]:
        """Seconds of a prediction by variant; the rival's without the search of answers."""
        batch, own = self.batch, self.own(self.test)
        found = {
            SHIPPED: self.rival_prediction(Flags()),
            BEST: self.rival_prediction(Flags(batch, dynamic=True)),
            OWN: lambda: own.predict(self.test.rows, "fp32"),
        }
        if bf16:
            found[BEST_BF16] = self.rival_prediction(Flags(batch, dynamic=True, bf16=True, bf16_eval=True))
            found[OWN_BF16] = lambda: own.predict(self.test.rows, "bf16")
        return found

    def profile(self, precision: str, updates: int) -> list[str]:
        """Where the time of the product's training goes, by kind of operation."""
        own, repeats = self.own(self.train), -(-updates // (len(self.train.rows) // self.batch))
        with tempfile.TemporaryDirectory() as folder:
            own.train(precision, [self.corpus.ids], repeats, Profiler(Path(folder)))
            page = read_text(Path(folder, "summary.md")).splitlines()
        return [f"### {self.subject.title}, {precision}: {page[0].removeprefix('# ')}", *page[1:-2]]


@dataclass
class Measurement:
    """Seconds of every variant in each turn that counts, and the matrix rates of the turns by precision."""

    seconds: dict[str, list[float]]
    rates: dict[str, list[float]]


def take_turns(variants: Mapping[str, Callable[[], float]], precisions: Sequence[str], turns: int) -> Measurement:
    """One turn to warm up, which does not count, then `turns`; every second one in the reverse order."""
    found = Measurement(defaultdict(list), defaultdict(list))
    for turn in range(turns + 1):
        for name in list(variants)[:: -1 if turn % 2 else 1]:
            spent = variants[name]()
            gc.collect()
            if turn:
                found.seconds[name].append(spent)
        for precision in precisions:
            rate = matrix_rate(precision)
            if turn:
                found.rates[precision].append(rate)
    return found


def faster(slower: Sequence[float], quicker: Sequence[float]) -> str:
    """How many times as fast: the geometric mean over turns, with a 95% interval (Student's t, of logarithms)."""
    logs = {Replicate(turn): math.log(pair[0] / pair[1]) for turn, pair in enumerate(zip(slower, quicker, strict=True))}
    mean = f"{math.exp(statistics.fmean(logs.values())):.2f}"
    bounds = interval(logs)
    return f"{mean} ({math.exp(bounds.low):.2f} to {math.exp(bounds.high):.2f})" if bounds else mean


def table(found: Measurement, variants: Sequence[str], tokens: int, operations: float) -> list[str]:
    """A row for each variant; the last columns tell how many times as fast the product is in the same turns."""
    own = [name for name in (OWN, OWN_BF16) if name in variants]
    head = ["variant", "median s", "fastest to slowest", "real tokens/s", "GFLOP/s", "share of matrix rate"]
    head += [f"{name} is faster by" for name in own]
    lines = [f"| {' | '.join(head)} |", f"|:--|--:|:--|--:|--:|--:|{':--|' * len(own)}"]
    for name in variants:
        values = found.seconds[name]
        middle = statistics.median(values)
        rate = statistics.median(found.rates["bf16" if "bf16" in name else "fp32"])
        cells = [name, f"{middle:.2f}", f"{min(values):.2f} to {max(values):.2f}", f"{tokens / middle:,.0f}"]
        cells += [f"{operations / middle / 1e9:.0f}", f"{operations / middle / rate:.0%}"]
        compared = [other for other in own if not name.startswith(OWN) or name == f"{other}{EVERY_ROW}"]
        cells += [faster(values, found.seconds[other]) if other in compared else "" for other in own]
        lines.append(f"| {' | '.join(cells)} |")
    rates = [
        f"{precision} {statistics.median(values) / 1e9:.0f} ({min(values) / 1e9:.0f} to {max(values) / 1e9:.0f})"
        for precision, values in found.rates.items()
    ]
    return [*lines, "", f"Matrix rate between the turns, GFLOP/s: {', '.join(rates)}.", ""]


def padding_share(rows: Rows, length: int | None, batch: int) -> float:
    """The share of padding in the rival's passes over rows in their order, padded to `length` or to the longest."""
    lengths = rows.windows.lengths
    passes = [lengths[first : first + batch] for first in range(0, len(lengths), batch)]
    places = sum(len(own) * (length or int(own.max())) for own in passes)
    return 1 - float(lengths.sum()) / places


def measure(bench: Bench, parts: Sequence[str], size: Size, bf16: bool) -> list[str]:
    """The page's part on one subject."""
    subject, precisions = bench.subject, ["fp32", *(["bf16"] if bf16 else [])]
    shipped_length = rival_qa.MAX_LENGTH if subject.head == "qa" else None
    lines = []
    for part, rows, passes in (("training", bench.train, TRAINING), ("prediction", bench.test, PREDICTION)):
        if part not in parts:
            continue
        variants = getattr(bench, part)(bf16)
        tokens, batch = int(rows.windows.lengths.sum()), bench.batch if part == "training" else Flags().batch
        count = f"{size.updates} updates of {batch} rows" if part == "training" else f"{len(rows.rows)} rows"
        done = count_operations(bench.network.config, subject.classes, rows.windows.lengths, passes)
        found = take_turns(variants, precisions, size.turns)
        padding = padding_share(rows, shipped_length, batch)
        lines += [f"## {subject.title}, {part}: {count}, {tokens:,} real tokens, {done / 1e9:,.0f} GFLOP", ""]
        lines += [f"{padding:.0%} of what {subject.program} computes as shipped is padding.", ""]
        lines += table(found, list(variants), tokens, done)
        del variants
        gc.collect()
    if "profile" in parts:
        lines += [f"## {subject.title}: where the time of crosstune's training goes", ""]
        for precision in precisions:
            lines += [*bench.profile(precision, size.profiled), ""]
    return lines


def head_of_page(args: Namespace, bf16: bool) -> list[str]:
    """What was measured, with what, on what."""
    code = commit()
    revision = f"commit {code['commit'][:12]}{' with changes' if code['changed'] else ''}" if code else "no commit"
    return [
        f"# {args.folder.name} against run_ner.py and run_qa.py on real rows",
        "",
        f"{date.today()}, {revision}, {os.cpu_count()} x {processor()}, {args.threads} threads, torch"
        f" {torch.__version__}, transformers {transformers.__version__}; bf16"
        f" {'measured' if bf16 else 'not measured: this processor has none'}.",
        f"`python benchmarks/rivals.py {' '.join(sys.argv[1:])}`; load at the start {os.getloadavg()[0]:.1f}.",
        "",
        "All variants train on the same rows, in as many updates of as many rows, and predict the same rows. Each ran"
        " once a turn, in every second turn in the reverse order; a first turn is not counted. Ratios: geometric mean"
        " over turns, 95% interval of Student's t.",
        "",
        "Best flags: padding to the longest of a pass and group_by_length in training; in prediction rows sorted by"
        " length, and as many a pass as in training. In bf16 a training computes under autocast, a prediction with"
        " bf16_full_eval. The rivals' times have no start of a process, no tokenization and no search of answers.",
        "",
        "Operations are those of products over real tokens, a gradient twice those of a forward pass. Padding counts"
        f" nothing, so a variant that pads has a lower share. The matrix rate is that of {WIDTH} x {WIDTH} products in"
        " the same precision, with as many threads, measured between the turns.",
        "",
    ]


def run(args: Namespace) -> list[str]:
    """The page of the options of rivals.py. Raises UserError if there is no model in the folder."""
    if not (args.folder / "config.json").exists():
        raise UserError("no model in this folder", str(args.folder), "Name one that has config.json: --folder FOLDER")
    size, bf16, begin = SIZES[args.size], resolve_precision("auto") == "bf16", time.perf_counter()
    lines = head_of_page(args, bf16)
    for name in args.subjects:
        bench = Bench(SUBJECTS[name], args.bundle, args.folder, size)
        lines += measure(bench, args.parts, size, bf16)
        rows = len(bench.network.encoder.get_input_embeddings().weight)
        lines += [f"Of {rows:,} rows of embeddings the training data use {len(np.unique(bench.corpus.ids)):,}.", ""]
        del bench
        gc.collect()
    return [*lines, f"The run took {time.perf_counter() - begin:.0f} s.", ""]
