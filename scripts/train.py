"""Fine-tune one stage of a schedule from its parent's checkpoint, or average several checkpoints.

    python scripts/train.py --spec '{"updates": 100, ...}' --parents results/default/tiny/base \\
        --data data/worldqa/train.qen.json --out results/default/tiny/seed1/qa/worldqa.qen@100

With --gpus 2 and more it starts itself again as so many processes, as torchrun would.
"""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

from crosstune.artifacts.checkpoint import Node
from crosstune.core.errors import UserError, end, run_program
from crosstune.core.files import read_json
from crosstune.machine.gpu_lease import take_gpus
from crosstune.machine.hardware import quick_imports, refuse_duplicates, tell_of_no_gpu, use_threads
from crosstune.machine.job_usage import note_asked
from crosstune.machine.slurm import in_a_job
from crosstune.training.distributed import Ranks, end_with_launcher, is_one_of_several, launch


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
    parser.add_argument("--gpus", type=int, default=1, help="GPUs that share the training, where there are any")
    parser.add_argument(
        "--held", choices=["whole", "sharded"], default="whole", help="what of the network each of several GPUs has"
    )
    parser.add_argument("--ahead", type=json.loads, default={}, help="predictions and stages to make at once, as JSON")
    parser.add_argument(
        "--unless-ahead",
        choices=["train", "refuse"],
        default="train",
        help="if the process of what it stands on has not made it (%(default)s)",
    )
    parser.add_argument("--again", type=json.loads, default=[], help="checkpoints whose weights are gone, as JSON")
    parser.add_argument("--asked", nargs=3, metavar=("FILE", "MIB", "MINUTES"), help="note what the job asked for")
    args = parser.parse_args()
    note_asked(args.asked)
    refuse_duplicates(os.environ)

    spec = json.loads(args.spec) if args.spec.startswith("{") else read_json(args.spec)
    predictions = args.ahead.get("predictions", [])
    inputs = (tuple(args.parents), tuple(args.data))
    node = Node(spec, args.out, *inputs, args.keep_optimizer, predictions, args.log, tuple(args.held_out))
    if is_one_of_several(os.environ):
        end_with_launcher()
        make(node, args)
        return
    # A cluster may start a job a second time while the first still runs, or when it has just ended.
    twice = in_a_job(os.environ)
    with node.alone(wait=True):  # for such a one, and for the process of another checkpoint that makes this one ahead
        made = node.is_made(node.parents)
        if args.unless_ahead == "refuse":
            if not made:
                raise not_made_ahead(node)
        elif not made or node.unpredicted or node.is_followed_by_unmade(later_nodes(args)):
            processes = take_gpus(args.gpus, args.log)
            if processes > 1 and not made and not args.again:
                launch(processes)
            else:  # one process makes weights again, and then goes on alone
                make(node, args)
        # What is taken over where nothing is trained must be there again if this is killed and its outputs are deleted.
        node.settle(keep=twice or args.unless_ahead == "refuse")


def not_made_ahead(node: Node) -> UserError:
    """What to tell where a job counted on another process to have made its checkpoint."""
    message = "the process that trained what it stands on was to train it too, and has not"
    fix = "Give the same command again: a job of its own trains it then, and what is finished stays."
    if node.failure.exists():
        why = f"It said: {node.failure.read_text(encoding='utf-8')}"
    elif node.lost:
        why = f"Processes that were killed while they trained it: {node.lost}"
    else:
        why = "It did not come to it: its rows were not prepared yet, perhaps."
    return UserError(message, str(node.out), f"{why}\n{fix}")


def later_nodes(args: argparse.Namespace) -> list[Node]:
    """The stages that the process is to make besides its own."""
    return list(map(Node.from_json, args.ahead.get("stages", [])))


def make(node: Node, args: argparse.Namespace) -> None:
    """Make the node's draft, after the weights that it stands on where they are gone, and what is wanted ahead."""
    threads = node.spec.get("threads", 1)
    with quick_imports():
        use_threads(threads)
        from crosstune.training.checkpoint_job import Knobs, make_checkpoints
        from crosstune.training.interruption import INTERRUPTED, TrainingInterrupted
        from crosstune.training.restore import restore

    tell_of_no_gpu(args.gpus, args.log)
    again = list(map(Node.from_json, args.again))
    knobs = Knobs(args.save_seconds, args.cache, args.profile, Ranks.of_process(sharded=args.held == "sharded"))
    try:
        restore(node.parents, again, replace(knobs, profile=None), args.log, threads)
        make_checkpoints(node, later_nodes(args), knobs)
    except TrainingInterrupted:
        end(INTERRUPTED)


if __name__ == "__main__":
    run_program(main)
