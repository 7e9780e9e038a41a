"""Score the predictions of one checkpoint on one data set, or any files in the formats of XTREME-R.

    python scripts/score.py --task qa --dataset worldqa --predictions results/.../worldqa.qen@100/predictions/worldqa \\
        --languages qen qes qfr --out results/.../worldqa.qen@100/scores/worldqa.json

also writes the scores of every example to worldqa.examples.jsonl in the same folder.

    python scripts/score.py --task xquad --lang ar --gold xquad.ar.json --predictions test-ar.json

prints the scores as JSON; docs/metrics.md lists the file formats.
"""

import argparse
import json
from pathlib import Path

from crosstune.core.errors import run_program, show
from crosstune.evaluation.metrics import METRICS, XTREME_R
from crosstune.evaluation.scoring import score_predictions, write_scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = list(dict.fromkeys([*sorted(METRICS), *XTREME_R]))
    parser.add_argument("--task", required=True, choices=tasks, help="type of the task, or a task of XTREME-R")
    parser.add_argument("--predictions", required=True, type=Path, help="folder with one <lang>.jsonl each, or a file")
    study = parser.add_argument_group("predictions of a study")
    study.add_argument("--metric", default="", choices=sorted(METRICS), help="the data set's, if not the task's own")
    study.add_argument("--dataset", help="name of the data set, for the scores file")
    study.add_argument("--languages", nargs="+", help="languages to score")
    study.add_argument("--out", type=Path, help="scores file to write (.json)")
    files = parser.add_argument_group("files in the formats of XTREME-R")
    files.add_argument("--gold", type=Path, help="the published file, or XTREME's label file")
    files.add_argument("--lang", help="language of the files")
    args = parser.parse_args()

    if args.gold or args.lang:
        require(parser, args, "gold", "lang")
        if args.task not in XTREME_R:
            parser.error(f"--gold is for the tasks {', '.join(XTREME_R)}")
        # Late, because the readers of published files would double the start-up time of a study's jobs.
        from crosstune.evaluation.xtreme_files import score_files

        show(json.dumps(score_files(args.task, args.lang, args.gold, args.predictions), indent=2, ensure_ascii=False))
        return
    require(parser, args, "dataset", "languages", "out")
    scores, examples = score_predictions(args.predictions, args.task, args.dataset, args.languages, args.metric)
    write_scores(args.out, scores, examples)


def require(parser: argparse.ArgumentParser, args: argparse.Namespace, *names: str) -> None:
    if missing := [f"--{name}" for name in names if not getattr(args, name)]:
        parser.error(f"the following arguments are required: {', '.join(missing)}")


if __name__ == "__main__":
    run_program(main)
