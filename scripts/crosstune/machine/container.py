"""The image that jobs run in under `snakemake --sdm apptainer`."""

from collections.abc import Mapping
from pathlib import Path

from crosstune.core.errors import UserError


def check_image(image: str) -> None:
    """Raise UserError if an image is a file that does not exist. Snakemake fetches an address (docker://...)."""
    if "://" not in image and not Path(image).exists():
        raise UserError("there is no image to run jobs in", image, "make image")


def gpu_environment(environ: Mapping[str, str], devices: Path = Path("/dev")) -> dict[str, str]:
    """Variables with the effect of Apptainer's and Singularity's --nv, if NVIDIA's driver is on this machine.

    Empty if `environ` has one of them: the user has decided. The machine of the job counts, not the one where the
    workflow was started, which often has no GPU.
    """
    variables = {"APPTAINER_NV": "1", "SINGULARITY_NV": "1"}
    return variables if (devices / "nvidiactl").exists() and not environ.keys() & variables.keys() else {}
