"""What SLURM asks of a study and tells a job.

Owns: the variables of a job's environment that matter here, and the file names that a cluster makes of a job.
Must never know: Snakemake, torch, what a job computes.
"""

from collections.abc import Iterable, Mapping

from crosstune.core.errors import UserError

# Bytes of a file's name on the usual file systems.
LONGEST_NAME = 255


def in_a_job(environ: Mapping[str, str]) -> bool:
    """Whether this process runs in a SLURM job."""
    return "SLURM_JOB_ID" in environ


def check_names(names: Iterable[str]) -> None:
    """UserError for the first job whose wildcards make too long a name for the folder of its SLURM logs.

    The executor makes one name of them, slashes replaced; where the file system refuses it, the job fails.
    """
    for name in names:
        if (size := len(name.replace("/", "_").encode())) > LONGEST_NAME:
            fix = "Give the study, its models, tracks and data sets shorter names, or run it with --cores in one job."
            raise UserError(f"{size} bytes are too long for the folder of a SLURM job's logs", name, fix)
