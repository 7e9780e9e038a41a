"""Retraining checkpoints whose weights were removed, in a scratch folder, for a job that needs the weights."""

import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from crosstune.artifacts.checkpoint import MANIFEST, CheckpointJob, is_loadable, lost_files, remove_empty
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, sha256_json
from crosstune.machine.hardware import use_threads
from crosstune.training.checkpoint_job import RuntimeOptions, make_checkpoint
from crosstune.training.interruption import InterruptGuard
from crosstune.training.trackers import TrackerOptions


@contextmanager
def weights_of(
    checkpoints: Sequence[Path],
    jobs: Sequence[CheckpointJob],
    scratch: Path,
    options: RuntimeOptions,
    stop: InterruptGuard,
    log: Path | None,
) -> Iterator[list[Path]]:
    """Folders with the weights of `checkpoints`: their own, or in `scratch` retrained ones.

    `jobs` describes the missing checkpoints and those that they are trained from, parents first. The scratch folder is
    deleted when the block succeeds; after an interruption the next attempt resumes from it. Raises UserError if
    retraining gives other weights than a manifest names, and TrainingInterrupted.
    """
    folders: dict[Path, Path] = {}
    retrains = missing_jobs(checkpoints, jobs)
    read = {*checkpoints, *(parent for job in retrains for parent in job.parents)}
    _check_whole(read - {job.out for job in retrains})
    for job in retrains:
        if missing := job.missing_input():
            fix = "Prepare the data again: snakemake --cores 1 prepare_all"
            message = f"no such file, and the weights of {job.out} must be retrained"
            raise UserError(message, str(missing), fix)
        # The folder names the spec, so that no state of an older config is resumed, and logs name the checkpoint.
        retrained = replace(job, out=scratch / sha256_json(job.spec)[:12] / job.out.name, predictions=(), log=log)
        parents = [folders.get(parent, parent) for parent in job.parents]
        use_threads(job.spec.get("threads", 1))
        make_checkpoint(retrained, parents, replace(options, profile=None, trackers=TrackerOptions()), stop)
        if read_json(retrained.staging_dir / MANIFEST)["weights"] != read_json(job.out / MANIFEST)["weights"]:
            shutil.rmtree(scratch)
            raise UserError(
                "its weights were removed, and retraining gives others, as on another kind of processor",
                str(job.out),
                f"To retrain it and its dependents: snakemake --cores 1 --forcerun {job.out / MANIFEST}",
            )
        folders[job.out] = retrained.staging_dir
    yield [folders.get(checkpoint, checkpoint) for checkpoint in checkpoints]
    if scratch.exists():
        shutil.rmtree(scratch)
        remove_empty(scratch.parent, scratch.parents[1])


def _check_whole(checkpoints: Collection[Path]) -> None:
    """UserError if the folder of a checkpoint, which nothing retrains, has lost some of its files."""
    for checkpoint in sorted(checkpoints):
        if lost := lost_files(checkpoint):
            fix = f"Make it anew: rm -r {checkpoint}\nThen run the same command."
            raise UserError(f"the model has lost {' and '.join(lost)}", str(checkpoint), fix)


def missing_jobs(checkpoints: Sequence[Path], jobs: Sequence[CheckpointJob]) -> list[CheckpointJob]:
    """The jobs without which the weights of `checkpoints` cannot be had, parents first."""
    needed, found = set(checkpoints), []
    for job in reversed(jobs):
        if job.out in needed and not is_loadable(job.out):
            needed.update(job.parents)
            found.append(job)
    return found[::-1]
