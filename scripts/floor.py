"""Score the trivial answers of a data set: the floor that any trained model must be above.

    python scripts/floor.py --task qa --dataset worldqa --data data/worldqa/test.qen.jsonl \\
        --train data/worldqa/train.qen.jsonl --out results/default/floor/worldqa.json
"""

import argparse
from pathlib import Path

from crosstune.errors import run_program
from crosstune.files import write_json
from crosstune.floor import floor
from crosstune.metrics import TASK_METRICS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True, choices=sorted(TASK_METRICS), help="type of the task")
    parser.add_argument("--dataset", required=True, help="name of the data set, kept in the scores")
    parser.add_argument("--data", required=True, nargs="+", type=Path, help="prepared files <split>.<lang>.jsonl")
    parser.add_argument("--train", nargs="*", type=Path, default=[], help="training files that give the majority tag")
    parser.add_argument("--out", required=True, type=Path, help="floor file to write (.json)")
    args = parser.parse_args()
    write_json(args.out, floor(args.task, args.dataset, args.data, args.train))


if __name__ == "__main__":
    run_program(main)
