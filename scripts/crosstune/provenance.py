"""What produced a result: versions, machine, commit.

Owns: looking these up without importing the libraries. Must never know: results.
"""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("torch", "transformers", "tokenizers", "accelerate", "datasets", "sentencepiece", "numpy", "snakemake")


def environment() -> dict:
    """Versions of Python and of the packages that compute, and the processor."""
    return {
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "machine": {"system": platform.system(), "processor": _processor(), "cores": os.cpu_count()},
    }


def commit() -> dict:
    """The commit of the working tree, and whether it has changes; empty outside a git checkout."""
    try:
        revision = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"commit": revision.stdout.strip(), "changed": bool(status.stdout.strip())}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        return platform.processor()
