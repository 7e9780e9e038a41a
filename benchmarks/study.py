"""A whole small experiment against the shell loop that people write for it.

    python benchmarks/study.py --bundle ../shared/data

Question answering in three source languages (parts of SQuAD, SQuAD-es, PIAF), joint and sequential, two seeds, tested
on XQuAD's twelve languages. Ours is `snakemake --cores 2`. The loop calls the rival's program as run_qa.py is called:
every schedule from scratch, one invocation for a training, one for each test file; with its best flags one invocation
for all test files. Both start from one model, pretrained for a moment, and train on as many rows a schedule.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import yaml
from overhead import COMPUTING, seconds_of_command
from rivals import ROOT, copy_project, processor, read_text

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
    files = {"files": f"{data}/{{split}}.{{lang}}.json"}
    record = {"task": "qa", "title": "part", "reader": "squad", "licence": "as published", "source": files}
    record["splits"] = {"train": {"languages": list(SOURCES)}, "test": {"languages": TARGETS}}
    text = {"task": "text", "title": "part", "reader": "squad-text", "licence": "as published", "source": files}
    text["splits"] = {"train": {"languages": list(SOURCES)}}
    return {
        "study": "bench",
        "seeds": SEEDS,
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
                "encoding": {"max_length": 384, "stride": 128, "max_question_length": 64},
                "schedules": {"joint": ["en + es + fr"], "sequential": ["en", "es", "fr"]},
                "evaluate": {"part": "all"},
                # As the loop does. The untrained heads are scored too, for the floor.
                "score": "final",
            }
        },
    }  # fmt: skip


def run_ours(folder: Path, config: dict) -> tuple[float, Path]:
    """Seconds of the study after its base model, in a copy of the project; the base model's folder."""
    copy_project(folder)
    (folder / "bench.yaml").write_text(yaml.safe_dump(config))
    options = ["--cores", str(CORES), "--configfile", "bench.yaml"]
    base = "results/bench/model/base/stage.json"
    subprocess.run(["snakemake", base, *options], cwd=folder, check=True, capture_output=True)
    begin = time.perf_counter()
    subprocess.run(["snakemake", *options], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - begin, folder / "results/bench/model/base/model"


def our_parts(folder: Path, wall: float) -> tuple[int, Counter]:
    """Processes that computed, and the core-seconds of each part, where a process has one core to itself.

    Imports are timed here; a training's time is its own record's; what else such a process did is encoding the test
    rows, their forward passes and answers. The rest is Snakemake, the light jobs, and idle cores.
    """
    jobs = [
        float(next(csv.DictReader(path.open(), delimiter="\t"))["s"])
        for path in (folder / "results/bench/model").glob("seed*/qa/**/benchmarks/*.tsv")
    ]
    start = seconds_of_command("-c", COMPUTING)
    heavy = [seconds for seconds in jobs if seconds > start]
    costs = (folder / "results/bench/model").glob("seed*/qa/**/cost.json")
    trained = [path for path in costs if path.with_name("stage.json").exists()]
    parts = Counter({"start-up": start * len(heavy)})
    parts["training"] = sum(json.loads(path.read_text())["seconds"] for path in trained)
    parts["forward passes"] = sum(heavy) - parts.total()
    parts["the rest"] = CORES * wall - parts.total()
    return len(heavy), parts


def run_loop(folder: Path, data: Path, model: Path, best_flags: bool, bf16: bool) -> tuple[float, int, Counter]:
    """Seconds of the shell loop: for every seed and schedule its trainings, then its predictions.

    With them the number of processes and the core-seconds of each part; a process has both cores to itself.
    """
    folder.mkdir()
    times = folder / "times.jsonl"
    begin = time.perf_counter()

    def call(*arguments: object) -> None:
        flags = (["--best-flags"] if best_flags else []) + (["--bf16"] if bf16 else [])
        command = [sys.executable, ROOT / "benchmarks/rival_run.py", *arguments, "--times", times, *flags]
        subprocess.run([str(part) for part in command], check=True, capture_output=True)

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
    return wall, len(found), parts


def middle(runs: Sequence[tuple]) -> tuple:
    """The run whose wall time is the median."""
    return sorted(runs, key=lambda run: run[0])[len(runs) // 2]


def spread(runs: Sequence[tuple]) -> str:
    walls = [run[0] for run in runs]
    return f"{min(walls):.0f} to {max(walls):.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=ROOT / "../shared/data", help="folder with qa/")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of ours and of the best flags")
    parser.add_argument("--tested", type=int, default=60, help="questions of every test language (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="of ours and of the best flags, in turn (%(default)s)")
    parser.add_argument("--out", type=Path, help="file for the table")
    args = parser.parse_args()

    folder = Path(tempfile.mkdtemp())
    data = folder / "data"
    write_data(args.bundle, data, args.tested)
    precisions = {"precision": args.precision, "predict_precision": args.precision}
    config = our_config(data, args.hidden, args.layers) | precisions
    ours_runs, best_runs = [], []
    for turn in range(args.repeats):
        study = folder / f"ours{turn}"
        wall, model = run_ours(study, config)
        ours_runs.append((wall, study))
        best_runs.append(run_loop(folder / f"best{turn}", data, model, True, args.precision == "bf16"))
    ours, study = middle(ours_runs)
    processes, parts = our_parts(study, ours)
    best, best_processes, best_parts = middle(best_runs)
    shipped, shipped_processes, shipped_parts = run_loop(folder / "shipped", data, model, False, False)
    scored = sorted((study / "results/bench").glob("model/seed*/qa/**/scores/part.json"))
    seen = [json.loads((path.parents[1] / "stage.json").read_text())["lineage"] for path in scored]
    rows = sorted({sum(part["examples"] for part in lineage.values()) for lineage in seen})
    lines = [
        "# A whole small experiment against the shell loop",
        "",
        f"{date.today()}, {processor()}, {args.layers} x {args.hidden} model, {args.precision}, two cores,"
        f" `python benchmarks/study.py {' '.join(sys.argv[1:])}`; load at the end {os.getloadavg()[0]:.1f}.",
        f"Two seeds, joint and sequential, {EXAMPLES} rows a schedule (ours, filled by tokens, up to {rows[-1]}),"
        f" {args.tested} questions in each of {len(TARGETS)} languages. The loop predicts with the 4 final checkpoints;"
        f" ours with these and the untrained heads, {len(scored)} checkpoints, and it scores them and writes the tables"
        " and the report." + (" As shipped, run_qa computes in fp32." if args.precision == "bf16" else ""),
        f"Ours and the best flags took turns, {args.repeats} times, of which the median counts; the loop as shipped ran"
        " once, after them.",
        "",
        "| | wall s | fastest to slowest | ratio |",
        "|:--|--:|:--|--:|",
        f"| run_qa as shipped, in a shell loop | {shipped:.0f} | | {shipped / ours:.1f} |",
        f"| run_qa with dynamic padding and group_by_length, one prediction process | {best:.0f} | {spread(best_runs)}"
        f" | {best / ours:.1f} |",
        f"| crosstune | {ours:.0f} | {spread(ours_runs)} | 1.0 |",
        "",
        "## Where the time goes, in core-seconds",
        "",
        "| | as shipped | best flags | crosstune |",
        "|:--|--:|--:|--:|",
        f"| processes that compute | {shipped_processes} | {best_processes} | {processes} |",
        *(f"| {part} | {shipped_parts[part]:.0f} | {best_parts[part]:.0f} | {parts[part]:.0f} |" for part in PARTS),
        "",
        "A process of the loop has two cores, one of ours has one, and two run beside each other. Ours counts the"
        " encoding of training rows as training, that of test rows and the answers as forward passes; the rest is"
        " Snakemake, the light jobs (preparing, scoring, tables, report) and idle cores.",
    ]
    print("\n".join(lines))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
