"""Score the trivial baselines of a data set, which any trained model must exceed.

    python scripts/baselines.py --task qa --dataset worldqa --data data/worldqa/test.qen.jsonl \\
        --train data/worldqa/train.qen.jsonl --out results/default/floor/worldqa.json
"""

import argparse
from pathlib import Path

from crosstune.core.errors import run_program
from crosstune.core.files import write_json
from crosstune.evaluation.baselines import BASELINES, score_baselines
from crosstune.evaluation.metrics import METRICS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True, choices=sorted(BASELINES), help="type of the task")
    parser.add_argument("--metric", default="", choices=sorted(METRICS), help="the data set's, if not the task's own")
    parser.add_argument("--dataset", required=True, help="name of the data set, for the scores file")
    parser.add_argument("--data", required=True, nargs="+", type=Path, help="prepared files <split>.<lang>.jsonl")
    parser.add_argument("--train", nargs="*", type=Path, default=[], help="training files, for the most frequent label")
    parser.add_argument("--out", required=True, type=Path, help="file of baseline scores to write (.json)")
    args = parser.parse_args()
    write_json(args.out, score_baselines(args.task, args.dataset, args.data, args.train, args.metric))


if __name__ == "__main__":
    run_program(main)
