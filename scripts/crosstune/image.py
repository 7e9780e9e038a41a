"""The image that jobs run in when Snakemake is told to use Apptainer.

Owns: the error where there is none. Must never know: how an image is built.
"""

from pathlib import Path

from crosstune.errors import UserError


def check_image(image: str) -> None:
    """UserError where an image is a file that is not there. An address (docker://...) is Snakemake's to fetch."""
    if "://" not in image and not Path(image).exists():
        raise UserError("there is no image to run jobs in", image, "make image")
