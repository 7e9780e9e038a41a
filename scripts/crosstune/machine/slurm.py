"""SLURM: whether a process runs in its job, and the file names that it derives from a job."""

from collections.abc import Iterable, Mapping

from crosstune.core.errors import UserError

# The maximum length of a file's name in bytes, on the usual file systems.
LONGEST_NAME = 255


def in_slurm_job(environ: Mapping[str, str]) -> bool:
    """Whether this process runs in a SLURM job."""
    return "SLURM_JOB_ID" in environ


def check_names(names: Iterable[str]) -> None:
    """Raise UserError for the first job whose wildcards give too long a name for the folder of its SLURM logs.

    The executor joins them to one name without slashes. If the file system refuses the name, the job fails.
    """
    for name in names:
        if (size := len(name.replace("/", "_").encode())) > LONGEST_NAME:
            fix = "Give the study, its models, tracks and data sets shorter names, or run it with --cores in one job."
            raise UserError(f"{size} bytes are too long for the folder of a SLURM job's logs", name, fix)
