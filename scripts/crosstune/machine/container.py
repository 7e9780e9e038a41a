"""The image that jobs run in when Snakemake is told to use Apptainer.

Owns: the error where there is none, and that jobs see the machine's GPUs in it. Must never know: how an image is built.
"""

from collections.abc import Mapping
from pathlib import Path

from crosstune.core.errors import UserError


def check_image(image: str) -> None:
    """UserError where an image is a file that is not there. An address (docker://...) is Snakemake's to fetch."""
    if "://" not in image and not Path(image).exists():
        raise UserError("there is no image to run jobs in", image, "make image")


def gpu_environment(environ: Mapping[str, str], devices: Path = Path("/dev")) -> dict[str, str]:
    """Variables that have the effect of Apptainer's and Singularity's --nv, where NVIDIA's driver is; else none.

    None either where `environ` has one of them already: the user has decided. It is the machine of a job that counts,
    not the one where the workflow was started: that has often no GPU.
    """
    wanted = {"APPTAINER_NV": "1", "SINGULARITY_NV": "1"}
    return wanted if (devices / "nvidiactl").exists() and not environ.keys() & wanted.keys() else {}
