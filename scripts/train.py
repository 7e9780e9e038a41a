"""Fine-tune one stage of a schedule from its parent, average several checkpoints, or pretrain a base model.

    python scripts/train.py --spec '{"updates": 100, ...}' --parents results/default/tiny/base \\
        --data data/worldpos/train.qen.json --out results/default/tiny/seed1/pos/worldpos.qen@100

With --gpus 2 or more the program starts itself once per GPU.
"""

import argparse
import json
import os
from pathlib import Path

from crosstune.artifacts.checkpoint import STAGING, CheckpointJob
from crosstune.core.errors import end, run_program
from crosstune.core.files import read_json
from crosstune.machine.gpu_lease import acquire_gpus
from crosstune.machine.hardware import gc_paused, refuse_duplicate_tasks, use_threads, warn_no_gpu
from crosstune.machine.job_usage import record_usage
from crosstune.machine.slurm import in_slurm_job
from crosstune.machine.versions import check_versions
from crosstune.machine.warm_client import run_in_server
from crosstune.training.distributed import Ranks, die_with_launcher, launch, started_by_launcher

# Not an argument in the rule's command: another command would train every finished stage again.
TRACKERS = "CROSSTUNE_TRACKERS"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="spec of the checkpoint, as JSON or as a file of JSON")
    parser.add_argument("--parents", type=Path, nargs="*", default=[], help="checkpoint folders; none for a base model")
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="manifests of the prepared sources")
    parser.add_argument(
        "--held-out", type=Path, nargs="*", default=[], help="manifests of rows to evaluate on during training"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the new checkpoint")
    parser.add_argument("--log", type=Path, help="file for progress lines")
    parser.add_argument(
        "--save-interval", type=float, default=20.0, help="least seconds between saved states (%(default)s)"
    )
    parser.add_argument("--keep-optimizer", action="store_true", help="keep the moments for a stage that carries on")
    parser.add_argument("--choice", type=Path, help="file with the chosen values of a sweep")
    parser.add_argument(
        "--candidates", type=Path, nargs="*", default=[], help="this checkpoint with each of a sweep's values"
    )
    parser.add_argument("--cache", type=Path, help="folder of cached features, shared by all trainings")
    parser.add_argument("--profile", type=Path, help="folder for a trace of some updates and its summary")
    parser.add_argument("--gpus", type=int, default=1, help="GPUs that share the training, if there are any")
    parser.add_argument(
        "--parallelism",
        choices=["replicated", "sharded"],
        default="replicated",
        help="whether each of several GPUs holds the whole model or a shard (%(default)s)",
    )
    parser.add_argument("--predict-after", type=json.loads, default=[], help="predictions to make at once, as JSON")
    parser.add_argument(
        "--retrain",
        type=json.loads,
        default=[],
        help="ancestors to retrain because their weights were removed, as JSON",
    )
    parser.add_argument(
        "--trackers",
        type=json.loads,
        default=os.environ.get(TRACKERS, "{}"),
        help=f"experiment trackers of a study, as JSON: names, results (default: ${TRACKERS})",
    )
    parser.add_argument("--requested", nargs=3, metavar=("FILE", "MIB", "MINUTES"), help="record the request in FILE")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    if args.gpus < 2:
        run_in_server()
    record_usage(args.requested)
    refuse_duplicate_tasks(os.environ)

    spec = json.loads(args.spec) if args.spec.startswith("{") else read_json(args.spec)
    job = CheckpointJob(
        spec=spec,
        out=args.out,
        parents=tuple(args.parents),
        data=tuple(args.data),
        keep_optimizer=args.keep_optimizer,
        predictions=args.predict_after,
        log=args.log,
        held_out=tuple(args.held_out),
        choice=args.choice,
        candidates=tuple(args.candidates),
    )
    if started_by_launcher(os.environ):
        die_with_launcher()
        make(job, args)
        return
    with job.locked(wait=True):  # a cluster may start a job twice
        staged = job.is_staged()
        if not staged or job.missing_predictions:
            processes = acquire_gpus(args.gpus, args.log)
            if processes > 1 and not staged and not args.retrain:
                launch(processes)
            else:  # a single process retrains ancestors, and then trains alone
                make(job, args)
        # The outputs of a job that SLURM started twice may be deleted after the first has ended.
        job.install(keep_staged=in_slurm_job(os.environ))


def make(job: CheckpointJob, args: argparse.Namespace) -> None:
    """Make the staged checkpoint, after retraining ancestors whose weights were removed."""
    check_versions()
    threads = job.spec.get("threads", 1)
    with gc_paused():
        use_threads(threads)
        from crosstune.training.checkpoint_job import RuntimeOptions, make_checkpoint
        from crosstune.training.interruption import INTERRUPTED, InterruptGuard, TrainingInterrupted
        from crosstune.training.retrain import weights_of
        from crosstune.training.trackers import TrackerOptions

    warn_no_gpu(args.gpus, args.log)
    ancestors = list(map(CheckpointJob.from_json, args.retrain))
    ranks = Ranks.of_process(sharded=args.parallelism == "sharded")
    trackers = TrackerOptions.from_json(args.trackers)
    options = RuntimeOptions(args.save_interval, args.cache, args.profile, ranks, trackers)
    scratch = job.out / STAGING / "retrained"
    try:
        with InterruptGuard() as stop, weights_of(job.parents, ancestors, scratch, options, stop, args.log) as parents:
            use_threads(threads)
            make_checkpoint(job, parents, options, stop)
    except TrainingInterrupted:
        end(INTERRUPTED)


if __name__ == "__main__":
    run_program(main)
