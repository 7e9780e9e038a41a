"""One invocation of the rival, as run_qa.py is called from a shell: train from a model folder, or predict one file.

python benchmarks/rival_run.py --model M --train FILE --examples 96 --out NEW
python benchmarks/rival_run.py --model NEW --predict FILE --out NEW
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import rival_qa
import torch
from datasets import Dataset
from rival_trainer import Flags
from transformers import AutoModelForQuestionAnswering, AutoTokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--train", type=Path, nargs="+", help="SQuAD files to train on, one epoch over --examples rows")
    parser.add_argument("--examples", type=int)
    parser.add_argument("--predict", type=Path, nargs="+", help="SQuAD files to predict, one after the other")
    parser.add_argument("--best-flags", action="store_true", help="dynamic padding and group_by_length")
    parser.add_argument("--bf16", action="store_true", help="train and predict in bf16")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--times", type=Path, help="file to which a line with the seconds of every part is appended")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForQuestionAnswering.from_pretrained(args.model)
    seconds = Counter({"start-up": time.time() - psutil.Process().create_time()})
    pad = not args.best_flags
    flags = Flags(dynamic=args.best_flags, grouped=args.best_flags, bf16=args.bf16)
    if args.train:
        with timed(seconds, "encoding"):
            rows = [row for file in args.train for row in read_rows(file)]
            chosen = np.random.default_rng(args.seed).permutation(len(rows))[: args.examples]
            data = rival_qa.features([rows[i] for i in chosen], tokenizer, pad)
        with timed(seconds, "training"):
            job = rival_qa.trainer(model, tokenizer, data, flags)
            job.train()
            job.save_model(str(args.out))
            tokenizer.save_pretrained(args.out)
    for file in args.predict or []:
        with timed(seconds, "encoding"):
            rows = read_rows(file)
            data = rival_qa.features(rows, tokenizer, pad)
            table = Dataset.from_list(data)
        with timed(seconds, "forward passes"):
            job = rival_qa.trainer(model, tokenizer, data, flags)
            starts, ends = job.predict(rival_qa.rows_of(data)).predictions
        with timed(seconds, "answers"):
            answers = rival_qa.best_answers(rows, table, starts, ends)
            found = dict(zip((row["id"] for row in rows), answers, strict=True))
            (args.out / f"predictions.{file.stem}.json").write_text(json.dumps(found, ensure_ascii=False))
    if args.times:
        with args.times.open("a") as file:
            file.write(json.dumps(seconds) + "\n")


@contextmanager
def timed(seconds: Counter, part: str) -> Iterator[None]:
    """Add the wall time of the block to `seconds[part]`."""
    begin = time.perf_counter()
    yield
    seconds[part] += time.perf_counter() - begin


def read_rows(file: Path) -> list[dict]:
    return [
        {
            "id": question["id"],
            "question": question["question"],
            "context": paragraph["context"],
            "answers": {name: [answer[name] for answer in question["answers"]] for name in ("text", "answer_start")},
        }
        for article in json.loads(file.read_text())["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


if __name__ == "__main__":
    sys.exit(main())
