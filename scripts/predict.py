"""Predict all languages of a data set with one checkpoint.

    python scripts/predict.py --spec '{"dataset": "worldqa", "head": "qa", ...}' --stage results/default/... \\
        --data data/worldqa/test.qen.json data/worldqa/test.qes.json --out STAGE/predictions/worldqa
"""

import argparse
import json
import os
from pathlib import Path

from crosstune.artifacts.checkpoint import Node, adopt_predictions
from crosstune.core.errors import UserError, end, run_program
from crosstune.core.files import read_json
from crosstune.machine.gpu_lease import take_gpus
from crosstune.machine.hardware import quick_imports, refuse_duplicates, tell_of_no_gpu, use_threads
from crosstune.machine.job_usage import note_asked

AGAIN = (
    "Give the same command again: a job of their own makes them then, and what is finished stays.\n"
    "What the job of the training printed says why it has not made them."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", type=json.loads, required=True, help="what is predicted and how, as JSON")
    parser.add_argument("--stage", type=Path, required=True, help="checkpoint folder")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="manifests of the prepared languages")
    parser.add_argument("--out", type=Path, required=True, help="folder of the predictions; its manifest is OUT.json")
    parser.add_argument("--cache", type=Path, help="folder of encoded rows, shared by all checkpoints")
    parser.add_argument("--gpus", type=int, default=1, help="0 for the CPU; of more GPUs one is used")
    parser.add_argument("--log", type=Path, help="file for progress lines")
    parser.add_argument("--again", type=json.loads, default=[], help="checkpoints whose weights are gone, as JSON")
    parser.add_argument(
        "--unless-ahead",
        choices=["compute", "refuse"],
        default="compute",
        help="if no training has made them (%(default)s)",
    )
    parser.add_argument("--asked", nargs=3, metavar=("FILE", "MIB", "MINUTES"), help="note what the job asked for")
    args = parser.parse_args()
    note_asked(args.asked)
    refuse_duplicates(os.environ)

    weights = read_json(args.stage / "stage.json")["weights"]
    if adopt_predictions(args.stage, args.spec, weights, args.data, args.out):
        return
    if args.unless_ahead == "refuse":
        message = "its training, which was to make these predictions, has not"
        raise UserError(message, str(args.out), AGAIN)
    take_gpus(min(args.gpus, 1), args.log)
    with quick_imports():
        use_threads(args.spec["threads"])
        from crosstune.modeling.feature_cache import FeatureCache
        from crosstune.modeling.folder import load_network
        from crosstune.modeling.tokenization import Tokenizer
        from crosstune.training.inference import predict_dataset

    tell_of_no_gpu(args.gpus, args.log)
    if args.again:
        make_again(args)
    model = args.stage / "model"
    network = load_network(model, packing=args.spec["packing"])
    encoded = FeatureCache(args.cache, Tokenizer(model))
    predict_dataset(args.spec, network, encoded, weights, args.data, args.out, args.log)


def make_again(args: argparse.Namespace) -> None:
    """Train what is needed to have the weights of the checkpoint again."""
    with quick_imports():
        from crosstune.training.checkpoint_job import Knobs
        from crosstune.training.interruption import INTERRUPTED, TrainingInterrupted
        from crosstune.training.restore import restore

    try:
        again = list(map(Node.from_json, args.again))
        restore([args.stage], again, Knobs(cache=args.cache), args.log, args.spec["threads"])
    except TrainingInterrupted:
        end(INTERRUPTED)


if __name__ == "__main__":
    run_program(main)
