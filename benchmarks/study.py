"""A whole small experiment against the shell loop that people write for it.

    python benchmarks/study.py --bundle ../shared/data

Question answering in three source languages (parts of SQuAD, SQuAD-es, PIAF), joint and sequential, two seeds, tested
on XQuAD's twelve languages. Ours is `snakemake --cores 2`. The loop calls the rival's program as run_qa.py is called:
every schedule from scratch, one invocation for a training, one for each test file; with its best flags one invocation
for all test files. Both start from one model, pretrained for a moment, and train on as many rows a schedule.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import psutil
import yaml
from rivals import ROOT, copy_project, processor, read_rows, read_text, use_threads

SOURCES = {
    "en": "qa/squad_en/train-v1.1.head.json.xz",
    "es": "qa/squad_es/dev-v1.1-es_small.noxquad.half.json.xz",
    "fr": "qa/piaf_fr/piaf-v1.1.train.json.xz",
}
TARGETS = ["ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh"]
SEEDS = [1, 2]
# A schedule sees this many rows; a stage of a sequence its share.
EXAMPLES = 288
CORES = 2
# run_qa.py's stride of 128 is what two windows share, ours is the distance of their starts. With 200 both sides predict
# as many windows of the test questions, within 1%.
ENCODING = {"max_length": 384, "stride": 200, "max_question_length": 64}
PARTS = ("start-up", "encoding", "training", "forward passes", "answers", "the rest")


def write_data(bundle: Path, folder: Path, tested: int) -> None:
    """Plain SQuAD files: the training sets, and the first `tested` questions of XQuAD in every language."""
    folder.mkdir(parents=True)
    for language, name in SOURCES.items():
        write_squad(folder / f"train.{language}.json", paragraphs(bundle / name), 600)
    for language in TARGETS:
        found = paragraphs(bundle / f"qa/xquad/xquad.{language}.json.xz")
        write_squad(folder / f"test.{language}.json", found[::7], tested)


def paragraphs(path: Path) -> list[dict]:
    return [paragraph for article in json.loads(read_text(path))["data"] for paragraph in article["paragraphs"]]


def write_squad(path: Path, found: list[dict], count: int) -> None:
    """The first `count` questions of some paragraphs; contexts of up to 900 letters, so that rows are one window."""
    kept, left = [], count
    for paragraph in found:
        questions = [q for q in paragraph["qas"] if q["answers"]][: max(0, left)]
        if questions and len(paragraph["context"]) <= 900:
            kept.append({"context": paragraph["context"], "qas": questions})
            left -= len(questions)
    path.write_text(json.dumps({"data": [{"title": "part", "paragraphs": kept}]}, ensure_ascii=False))


def our_config(data: Path, hidden: int, layers: int) -> dict:
    """The experiment as a study. Rows of about 190 tokens: eight make up an update of the rival's."""
    files = {"files": "{rows}/{split}.{lang}.json"}
    record = {"task": "qa", "title": "part", "reader": "squad", "licence": "as published", "source": files}
    record["splits"] = {"train": {"languages": list(SOURCES)}, "test": {"languages": TARGETS}}
    text = {"task": "text", "title": "part", "reader": "squad-text", "licence": "as published", "source": files}
    text["splits"] = {"train": {"languages": list(SOURCES)}}
    return {
        "study": "bench",
        "seeds": SEEDS,
        "folders": {"rows": str(data)},
        "datasets": {"part": record, "part_text": text},
        "models": {
            "model": {
                "pretrain": {
                    "corpus": {"part_text": "all"}, "vocabulary": 8000, "hidden": hidden, "layers": layers,
                    "heads": max(2, hidden // 64), "max_length": 384, "budget": {"updates": 1, "tokens": 1024},
                }
            }
        },
        "tracks": {
            "qa": {
                "sources": "part",
                "budget": {"updates": EXAMPLES // 8, "tokens": 1600},
                "recipe": {"lr": 5e-5},
                "encoding": ENCODING,
                "schedules": {"joint": ["en + es + fr"], "sequential": ["en", "es", "fr"]},
                "evaluate": {"part": "all"},
                # As the loop does. The untrained heads are scored too, for the floor.
                "score": "final",
            }
        },
    }  # fmt: skip


@dataclass(frozen=True)
class OwnRun:
    """A study of ours: its wall seconds, its folder, and the CPU seconds of each warm server's own imports."""

    wall: float
    folder: Path
    servers: tuple[float, ...]

    @property
    def model(self) -> Path:
        """The results of its model."""
        return self.folder / "results/bench/model"


def run_ours(folder: Path, config: dict) -> OwnRun:
    """Run the study after its base model, in a copy of the project."""
    copy_project(folder)
    (folder / "bench.yaml").write_text(yaml.safe_dump(config))
    options = ["--cores", str(CORES), "--configfile", "bench.yaml"]
    base = "results/bench/model/base/stage.json"
    # A server that the base model started would be warm already.
    environ = os.environ | {"CROSSTUNE_WARM_SERVER": "0"}
    run_command(["snakemake", base, *options], folder, environ)
    with watch_servers(folder) as servers:
        begin = time.perf_counter()
        run_command(["snakemake", *options], folder)
        wall = time.perf_counter() - begin
    return OwnRun(wall, folder, tuple(servers.values()))


def run_command(command: Sequence[str], folder: Path, environ: dict[str, str] | None = None) -> None:
    """Run a program in a folder; end with what it said if it fails."""
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-4000:])


@contextmanager
def watch_servers(folder: Path) -> Iterator[dict[int, float]]:
    """CPU seconds of each warm server of a copy of the project, by process, without those of the jobs it forks."""
    seconds: dict[int, float] = {}
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.5):
            for process in psutil.process_iter():
                with suppress(psutil.Error, ProcessLookupError):
                    # Two other processes have this command: the one that starts a server, which leads a session and
                    # ends at once, and each job, whose parent is the server.
                    is_leader = os.getsid(process.pid) == process.pid
                    if is_server(process, folder) and not is_leader and not is_server(process.parent(), folder):
                        times = process.cpu_times()
                        seconds[process.pid] = times.user + times.system

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seconds
    finally:
        stop.set()
        watcher.join()


def is_server(process: psutil.Process | None, folder: Path) -> bool:
    command = process.cmdline() if process else []
    return str(folder / "scripts/crosstune/machine/warm_server.py") in command


def our_parts(run: OwnRun) -> Counter:
    """The core-seconds of each part; a training or prediction has one core, and its own record of its seconds."""
    trained = [path.parent for path in run.model.glob("seed*/qa/**/stage.json")]
    parts = Counter({"start-up": sum(run.servers)})
    parts["training"] = sum(seconds_of(stage / "cost.json") for stage in trained if (stage / "train.jsonl").exists())
    parts["forward passes"] = sum(seconds_of(stage / "predictions/part/cost.json") for stage in trained)
    parts["the rest"] = CORES * run.wall - parts.total()
    return parts


def untrained_seconds(run: OwnRun) -> float:
    """The core-seconds of the untrained heads and their predictions, which the loop does not make."""
    costs = ("cost.json", "predictions/part/cost.json")
    return sum(seconds_of(stage / cost) for stage in run.model.glob("seed*/qa/untrained") for cost in costs)


def seconds_of(cost: Path) -> float:
    """The seconds of a record of costs; 0 if there is none."""
    return json.loads(cost.read_text())["seconds"] if cost.exists() else 0.0


def products_of(run: OwnRun, data: Path) -> float:
    """Floating-point operations of the products that the study needs, as operations.py counts them.

    A training's rows are known by their tokens; the products of attention are those of rows of the files' lengths.
    """
    from operations import PREDICTION, TRAINING, count_operations
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(run.model / "base/model")
    stages = [json.loads(path.read_text()) for path in run.model.glob("seed*/qa/**/stage.json")]
    tokens = sum(seen["tokens"] for stage in stages for seen in stage["exposure"].values())
    rows = lengths_of(run, sorted(data.glob("train.*.json")))
    trained = count_operations(config, 2, rows, TRAINING) * tokens / rows.sum()
    predicted = len(list(run.model.glob("seed*/qa/**/predictions/part.json")))
    tested = count_operations(config, 2, lengths_of(run, sorted(data.glob("test.*.json"))), PREDICTION)
    return trained + predicted * tested


def lengths_of(run: OwnRun, files: Sequence[Path]) -> np.ndarray:
    """Tokens of every window of SQuAD files."""
    from crosstune.modeling.tasks import load_task
    from crosstune.modeling.tokenization import Tokenizer

    rows = [row for file in files for row in read_rows("squad", [(str(file), read_text(file))])]
    return load_task("qa", []).encode(rows, Tokenizer(run.model / "base/model"), ENCODING).lengths


@dataclass(frozen=True)
class LoopRun:
    """The shell loop: its wall seconds, the number of its processes, and the core-seconds of each part."""

    wall: float
    processes: int
    parts: Counter


def run_loop(folder: Path, data: Path, model: Path, best_flags: bool, bf16: bool) -> LoopRun:
    """Run the shell loop: for every seed and schedule its trainings, then its predictions.

    A process has both cores to itself.
    """
    folder.mkdir()
    times = folder / "times.jsonl"
    begin = time.perf_counter()

    def call(*arguments: object) -> None:
        flags = (["--best-flags"] if best_flags else []) + (["--bf16"] if bf16 else [])
        command = [sys.executable, ROOT / "benchmarks/rival_run.py", *arguments, "--times", times, *flags]
        run_command([str(part) for part in command], folder)

    trains = {language: data / f"train.{language}.json" for language in SOURCES}
    tests = [data / f"test.{language}.json" for language in TARGETS]
    for seed in SEEDS:
        joint = folder / f"joint{seed}"
        call("--model", model, "--train", *trains.values(), "--examples", EXAMPLES, "--seed", seed, "--out", joint)
        before = model
        for number, file in enumerate(trains.values()):
            after = folder / f"sequential{seed}.{number}"
            share = EXAMPLES // len(trains)
            call("--model", before, "--train", file, "--examples", share, "--seed", seed, "--out", after)
            before = after
        for final in (joint, before):
            for files in [tests] if best_flags else [[test] for test in tests]:
                call("--model", final, "--predict", *files, "--out", final)
    wall = time.perf_counter() - begin
    found = [json.loads(line) for line in times.read_text().splitlines()]
    parts = Counter({part: CORES * sum(one.get(part, 0) for one in found) for part in PARTS})
    parts["the rest"] = CORES * wall - parts.total()
    return LoopRun(wall, len(found), parts)


def middle(runs: Sequence[OwnRun] | Sequence[LoopRun]) -> OwnRun | LoopRun:
    """The run whose wall time is the median."""
    return sorted(runs, key=lambda run: run.wall)[len(runs) // 2]


def spread(runs: Sequence[OwnRun] | Sequence[LoopRun]) -> str:
    walls = [run.wall for run in runs]
    return f"{min(walls):.0f} to {max(walls):.0f}"


@dataclass(frozen=True)
class Measurement:
    """All runs, and the rates of large products on all cores (operations a second), measured between them.

    `shipped`: None if the loop as shipped is left out.
    """

    ours: list[OwnRun]
    best: list[LoopRun]
    shipped: LoopRun | None
    rates: list[float]


def measure(args: argparse.Namespace, folder: Path) -> Measurement:
    """Ours and the best flags in turn, then the loop as shipped, once."""
    from operations import matrix_rate

    use_threads(CORES)
    data = folder / "data"
    precisions = {"precision": args.precision, "predict_precision": args.precision}
    config = our_config(data, args.hidden, args.layers) | precisions
    bf16 = args.precision == "bf16"
    ours, best, rates = [], [], []
    for turn in range(args.repeats):
        ours.append(run_ours(folder / f"ours{turn}", config))
        base = ours[-1].model / "base/model"
        best.append(run_loop(folder / f"best{turn}", data, base, True, bf16))
        rates += [matrix_rate(args.precision) for _ in range(4)][1:]
    shipped = None if args.skip_shipped else run_loop(folder / "shipped", data, base, False, False)
    return Measurement(ours, best, shipped, rates)


def head_of_page(args: argparse.Namespace, run: OwnRun) -> list[str]:
    """What was measured, with what, on what."""
    scored = sorted(run.model.glob("seed*/qa/**/scores/part.json"))
    seen = [json.loads((path.parents[1] / "stage.json").read_text())["lineage"] for path in scored]
    rows = sorted({sum(part["examples"] for part in lineage.values()) for lineage in seen})
    return [
        "# A whole small experiment against the shell loop",
        "",
        f"{date.today()}, {processor()}, {args.layers} x {args.hidden} model, {args.precision}, two cores,"
        f" `python benchmarks/study.py {' '.join(sys.argv[1:])}`; load at the end {os.getloadavg()[0]:.1f}.",
        f"Two seeds, joint and sequential, {EXAMPLES} rows a schedule (ours, filled by tokens, up to {rows[-1]}),"
        f" {args.tested} questions in each of {len(TARGETS)} languages. The loop predicts with the 4 final checkpoints;"
        f" ours with these and the untrained heads, {len(scored)} checkpoints, and it scores them and writes the tables"
        " and the report.",
        f"Ours and the best flags took turns, {args.repeats} times, of which the median counts."
        + ("" if args.skip_shipped else " The loop as shipped, in fp32, ran once, after them."),
        "",
    ]


def floor_of_products(found: Measurement, products: float, precision: str) -> str:
    """How far our median run is from the time that its products alone need."""
    wall, rate = middle(found.ours).wall, statistics.median(found.rates)
    return (
        f"The products of our trainings and predictions are {products / 1e9:,.0f} GFLOP (benchmarks/operations.py)."
        f" Large products ran at {rate / 1e9:.0f} GFLOP/s in {precision} on both cores between the runs. So they alone"
        f" need {products / rate:.0f} s, the floor; the study takes {wall * rate / products:.2f} times as long."
    )


def on_equal_work(found: Measurement) -> str:
    """The ratio to the best flags without what ours alone does."""
    ours, best = middle(found.ours), middle(found.best)
    extra = untrained_seconds(ours)
    wall = ours.wall - extra / CORES
    return (
        f"The loop does not score untrained heads. Ours spends {extra:.0f} core-seconds on them. Without these it would"
        f" take about {wall:.0f} s, and the best flags {best.wall / wall:.1f} times as long."
    )


def table_row(name: str, cells: Sequence[object]) -> str:
    return f"| {' | '.join([name, *map(str, cells)])} |"


def page(args: argparse.Namespace, found: Measurement, products: float) -> list[str]:
    ours, best = middle(found.ours), middle(found.best)
    loops = {"as shipped": found.shipped} if found.shipped else {}
    shipped = [f"| run_qa {name}, in a shell loop | {run.wall:.0f} | | {run.wall / ours.wall:.1f} |"
               for name, run in loops.items()]  # fmt: skip
    loops |= {"best flags": best}
    columns = [run.parts for run in loops.values()] + [our_parts(ours)]
    return [
        *head_of_page(args, ours),
        "| | wall s | fastest to slowest | ratio |",
        "|:--|--:|:--|--:|",
        *shipped,
        f"| run_qa with dynamic padding and group_by_length, one prediction process | {best.wall:.0f}"
        f" | {spread(found.best)} | {best.wall / ours.wall:.1f} |",
        f"| crosstune | {ours.wall:.0f} | {spread(found.ours)} | 1.0 |",
        "",
        on_equal_work(found),
        "",
        floor_of_products(found, products, args.precision),
        "",
        "## Where the time goes, in core-seconds",
        "",
        table_row("", [*loops, "crosstune"]),
        f"|:--|{'--:|' * len(columns)}",
        table_row("processes that import torch", [*(run.processes for run in loops.values()), len(ours.servers)]),
        *(table_row(part, [f"{parts[part]:.0f}" for parts in columns]) for part in PARTS),
        "",
        "A process of the loop has two cores, one of ours has one, and two run at once. Ours counts the encoding of"
        " training rows as training, that of test rows and the answers as forward passes. The rest is Snakemake, the"
        " light jobs (preparing, scoring, tables, report) and idle cores.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=ROOT / "../shared/data", help="folder with qa/")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of ours and of the best flags")
    parser.add_argument("--tested", type=int, default=60, help="questions of every test language (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="of ours and of the best flags, in turn (%(default)s)")
    parser.add_argument("--skip-shipped", action="store_true", help="leave out the loop as shipped, the slowest part")
    parser.add_argument("--out", type=Path, help="file for the table")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        data = Path(name, "data")
        write_data(args.bundle, data, args.tested)
        found = measure(args, Path(name))
        lines = page(args, found, products_of(middle(found.ours), data))
    print("\n".join(lines))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
