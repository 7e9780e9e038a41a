"""What produces a result: versions, machine, commit, lock; and the note of it that lies beside the result.

Owns: looking these up without importing the libraries, the file `cost.json`. Must never know: results.
"""

import getpass
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from crosstune.core.files import read_json, sha256_file, write_json

PACKAGES = ("torch", "transformers", "tokenizers", "accelerate", "datasets", "sentencepiece", "numpy", "snakemake")

# The project whose code this is; jobs may run elsewhere.
PROJECT = Path(__file__).parents[3]

LOCK = "envs/requirements.lock"

COST = "cost.json"


def write_cost(folder: Path, cost: Mapping) -> None:
    """Write beside a checkpoint or predictions what they took, as Meter.cost has it."""
    write_json(folder / COST, cost)


def read_cost(folder: Path) -> dict:
    """What a checkpoint or predictions took, by their folder; empty where nobody wrote it down."""
    path = Path(folder, COST)
    return read_json(path) if path.exists() else {}


def now() -> str:
    """The time in UTC to the second, as ISO 8601 writes it."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


@cache
def made_by() -> dict:
    """The code and the environment that this process runs with: `code`, `lock_sha256`, `environment`.

    Looked up once: a process computes with the code that it has begun with.
    """
    return {"code": commit(), "lock_sha256": lock_hash(), "environment": environment()}


def environment() -> dict:
    """Versions of Python and of the packages that compute, and the processor."""
    return {
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "machine": {"system": platform.system(), "processor": processor(), "cores": os.cpu_count()},
    }


def commit(project: Path = PROJECT) -> dict:
    """`commit` of the project, and whether it is `changed` since; empty outside a git checkout.

    Without the program git, as in an image, nobody can say what has changed: then that is None.
    """
    try:
        revision = _git(project, "rev-parse", "HEAD")
        return {"commit": revision, "changed": bool(_git(project, "status", "--porcelain"))}
    except FileNotFoundError:
        found = _head(project / ".git")
        return {"commit": found, "changed": None} if found else {}
    except subprocess.CalledProcessError:
        return {}


def repository(project: Path = PROJECT) -> str | None:
    """The public address that the project was cloned from; None where that is no web address."""
    with suppress(OSError, subprocess.CalledProcessError):
        address = _git(project, "remote", "get-url", "origin")
        # Not one with a user's name or token before the host.
        return address if re.fullmatch(r"https://[\w.-]+(:\d+)?/[^@?]*", address) else None
    return None


def lock_hash(project: Path = PROJECT) -> str | None:
    """SHA-256 of the lock that pip, conda's environments and images are made of; None where there is none."""
    path = project / LOCK
    return sha256_file(path) if path.exists() else None


def agent(project: Path = PROJECT) -> str:
    """Who runs this: the name that git knows, else that of the login."""
    with suppress(OSError, subprocess.CalledProcessError):
        return _git(project, "config", "user.name")
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in an image
        return "unknown"


def processor() -> str:
    """The model of the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        return platform.processor()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(project: Path, *arguments: str) -> str:
    command = ["git", "-C", str(project), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _head(git: Path) -> str:
    """The commit that a `.git` folder is at, as its files say; empty where they do not."""
    try:
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        if (git / name).exists():
            return (git / name).read_text().strip()
        packed = (line.split() for line in (git / "packed-refs").read_text().splitlines())
        return next((parts[0] for parts in packed if parts[1:] == [name]), "")
    except OSError:
        return ""
