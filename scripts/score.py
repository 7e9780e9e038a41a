"""Score the predictions of one checkpoint on one data set.

    python scripts/score.py --task qa --dataset worldqa --predictions results/.../worldqa.qen@100/predictions/worldqa \\
        --languages qen qes qfr --out results/.../worldqa.qen@100/scores/worldqa.json

Also writes the scores of every example beside it: worldqa.examples.jsonl.
"""

import argparse
from pathlib import Path

from crosstune.errors import run_program
from crosstune.metrics import TASK_METRICS
from crosstune.scoring import score, write_scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True, choices=sorted(TASK_METRICS), help="type of the task")
    parser.add_argument("--dataset", required=True, help="name of the data set, kept in the scores")
    parser.add_argument("--predictions", required=True, type=Path, help="folder with one <lang>.jsonl per language")
    parser.add_argument("--languages", required=True, nargs="+", help="languages to score")
    parser.add_argument("--out", required=True, type=Path, help="scores file to write (.json)")
    args = parser.parse_args()
    scores, examples = score(args.predictions, args.task, args.dataset, args.languages)
    write_scores(args.out, scores, examples)


if __name__ == "__main__":
    run_program(main)
