"""Predict all languages of a data set with one checkpoint.

    python scripts/predict.py --spec '{"dataset": "worldqa", "head": "qa", ...}' --stage results/default/... \\
        --data data/worldqa/test.qen.json data/worldqa/test.qes.json --out STAGE/predictions/worldqa
"""

import argparse
import json
import os
from pathlib import Path

from crosstune.artifacts.adapter import whole_model
from crosstune.artifacts.checkpoint import MODEL, STAGING, CheckpointJob, install_predictions, why_not_staged
from crosstune.core.errors import UserError, end, run_program
from crosstune.core.files import read_json
from crosstune.machine.gpu_lease import acquire_gpus
from crosstune.machine.hardware import gc_paused, refuse_duplicate_tasks, use_threads, warn_no_gpu
from crosstune.machine.job_usage import record_usage
from crosstune.machine.versions import check_versions
from crosstune.machine.warm_client import run_in_server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", type=json.loads, required=True, help="spec of the predictions, as JSON")
    parser.add_argument("--stage", type=Path, required=True, help="checkpoint folder")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="manifests of the prepared languages")
    parser.add_argument("--out", type=Path, required=True, help="folder of the predictions; its manifest is OUT.json")
    parser.add_argument("--cache", type=Path, help="folder of cached features, shared by all checkpoints")
    parser.add_argument("--gpus", type=int, default=1, help="0 for the CPU; inference uses one of several GPUs")
    parser.add_argument("--log", type=Path, help="file for progress lines")
    parser.add_argument(
        "--retrain",
        type=json.loads,
        default=[],
        help="checkpoints to retrain because their weights were removed, as JSON",
    )
    parser.add_argument("--install-only", action="store_true", help="fail if the training staged no predictions")
    parser.add_argument("--requested", nargs=3, metavar=("FILE", "MIB", "MINUTES"), help="record the request in FILE")
    args = parser.parse_args()
    if not args.install_only:
        run_in_server()
        # Moving files is no prediction: its memory and time say nothing of the request of one.
        record_usage(args.requested)
    refuse_duplicate_tasks(os.environ)

    weights = read_json(args.stage / "stage.json")["weights"]
    if install_predictions(args.stage, args.spec, weights, args.data, args.out):
        return
    if args.install_only:
        message = why_not_staged(args.stage, args.spec, weights, args.data)
        raise UserError(message, str(args.out), "Rerun the same command: a prediction job then makes them.")
    acquire_gpus(min(args.gpus, 1), args.log)
    predict(args, weights)


def predict(args: argparse.Namespace, weights: str) -> None:
    """Load the checkpoint, retrained if its weights were removed, and write its predictions."""
    check_versions()
    with gc_paused():
        use_threads(args.spec["threads"])
        from crosstune.modeling.feature_cache import FeatureCache
        from crosstune.modeling.folder import load_network
        from crosstune.modeling.tokenization import Tokenizer
        from crosstune.training.checkpoint_job import RuntimeOptions
        from crosstune.training.inference import predict_dataset
        from crosstune.training.interruption import INTERRUPTED, InterruptGuard, TrainingInterrupted
        from crosstune.training.retrain import weights_of

    warn_no_gpu(args.gpus, args.log)
    jobs, options = list(map(CheckpointJob.from_json, args.retrain)), RuntimeOptions(cache=args.cache)
    scratch = args.stage / STAGING / f"retrained-{args.spec['dataset']}"
    try:
        with InterruptGuard() as stop, weights_of([args.stage], jobs, scratch, options, stop, args.log) as (folder,):
            use_threads(args.spec["threads"])
            network = load_network(folder / MODEL, packing=args.spec["packing"])
            cache = FeatureCache(args.cache, Tokenizer(whole_model(folder / MODEL)))
            predict_dataset(args.spec, network, cache, weights, args.data, args.out, args.log)
    except TrainingInterrupted:
        end(INTERRUPTED)


if __name__ == "__main__":
    run_program(main)
