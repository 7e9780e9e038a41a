"""Fine-tune one stage of a schedule from its parent's checkpoint, or average several checkpoints.

    python scripts/train.py --spec '{"updates": 100, ...}' --parents results/default/tiny/base \\
        --data data/worldqa/train.qen.json --out results/default/tiny/seed1/qa/worldqa.qen@100
"""

import argparse
import json
import os
from pathlib import Path

from crosstune.ahead import Node
from crosstune.cluster import in_a_job
from crosstune.compute import quick_imports, refuse_duplicates, use_threads
from crosstune.errors import end, run_program
from crosstune.files import read_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="what is trained, as JSON or as a file of JSON")
    parser.add_argument("--parents", type=Path, nargs="*", default=[], help="checkpoint folders; none for a base model")
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="manifests of the prepared sources")
    parser.add_argument("--held-out", type=Path, nargs="*", default=[], help="manifests to choose the checkpoint by")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new checkpoint")
    parser.add_argument("--log", type=Path, help="file for progress lines")
    parser.add_argument(
        "--save-seconds", type=float, default=20.0, help="least time between saved states (%(default)s)"
    )
    parser.add_argument("--keep-optimizer", action="store_true", help="keep the moments for a stage that carries on")
    parser.add_argument("--cache", type=Path, help="folder of encoded rows, shared by all trainings")
    parser.add_argument("--profile", type=Path, help="folder for a trace of some updates and its summary")
    parser.add_argument("--ahead", type=json.loads, default={}, help="predictions and stages to make at once, as JSON")
    args = parser.parse_args()
    refuse_duplicates(os.environ)

    spec = json.loads(args.spec) if args.spec.startswith("{") else read_json(args.spec)
    predictions = args.ahead.get("predictions", [])
    inputs = (tuple(args.parents), tuple(args.data))
    node = Node(spec, args.out, *inputs, args.keep_optimizer, predictions, args.log, tuple(args.held_out))
    # A cluster may start a job a second time while the first still runs, or when it has just ended.
    again = in_a_job(os.environ)
    with node.alone(wait=again):
        if not node.is_made(node.parents):
            with quick_imports():
                use_threads(spec.get("threads", 1))
                from crosstune.engine import Stopped
                from crosstune.stage import Knobs, make_checkpoints

            later = [Node.from_json(value) for value in args.ahead.get("stages", [])]
            try:
                make_checkpoints(node, later, Knobs(args.save_seconds, args.cache, args.profile))
            except Stopped:
                end("stopped on request; the state is saved, run the same command again to go on")
        node.settle(keep=again)


if __name__ == "__main__":
    run_program(main)
