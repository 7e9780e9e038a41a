"""The code and environment behind a result: versions, machine, commit, lock; and the file `cost.json`."""

import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from crosstune.core.files import read_json_or_empty, sha256_file, write_json

PACKAGES = ("torch", "transformers", "tokenizers", "accelerate", "datasets", "sentencepiece", "numpy", "snakemake")

# The project whose code this is; jobs may run elsewhere.
PROJECT = Path(__file__).parents[3]

LOCK = "envs/requirements.lock"

# What results depend on besides the config. A study's own config or notes in the folder are no change of the code.
CODE = ("Snakefile", "rules", "scripts", "schemas", "registry", "envs")

COST = "cost.json"


def write_cost(folder: Path, cost: Mapping) -> None:
    """Write the cost of a checkpoint or of predictions, as Meter.record gives it, into their folder."""
    write_json(folder / COST, cost)


def read_cost(folder: Path) -> dict:
    """The cost of the checkpoint or predictions in a folder; empty if there is no record."""
    return read_json_or_empty(Path(folder, COST))


def utc_now() -> str:
    """The time in UTC to the second, in the form of ISO 8601."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


@cache
def code_and_environment() -> dict:
    """The code and the environment of this process: `code`, `lock_sha256`, `environment`.

    Cached: a process computes with the code that it has started with.
    """
    return {"code": commit(), "lock_sha256": lock_hash(), "environment": environment()}


def environment() -> dict:
    """Versions of Python and of the packages that compute, and the processor."""
    return {
        "python": platform.python_version(),
        "packages": {name: number for name in PACKAGES if (number := _version(name))},
        "machine": {"system": platform.system(), "processor": processor(), "cores": os.cpu_count()},
    }


def commit(project: Path = PROJECT) -> dict:
    """The `commit` of the project, and whether its code is `changed` since; empty outside a git checkout.

    `changed` is None without the program git, as in an image.
    """
    try:
        revision = _git(project, "rev-parse", "HEAD")
        return {"commit": revision, "changed": bool(_git(project, "status", "--porcelain", "--", *CODE))}
    except FileNotFoundError:
        revision = _head(project / ".git")
        return {"commit": revision, "changed": None} if revision else {}
    except subprocess.CalledProcessError:
        return {}


def repository(project: Path = PROJECT) -> str | None:
    """The public address of the project's origin; None if it is no web address."""
    with suppress(OSError, subprocess.CalledProcessError):
        address = _git(project, "remote", "get-url", "origin")
        # None if a user's name or token precedes the host.
        return address if re.fullmatch(r"https://[\w.-]+(:\d+)?/[^@?]*", address) else None
    return None


def lock_hash(project: Path = PROJECT) -> str | None:
    """SHA-256 of the lock of all environments and images; None if there is none."""
    path = project / LOCK
    return sha256_file(path) if path.exists() else None


def tracked_versions(path: Path) -> Iterator[bytes]:
    """The contents of a file in git: in the index, then in the commits that changed it, the newest first.

    Nothing outside a git checkout, and without the program git.
    """
    revisions = [""]
    with suppress(OSError, subprocess.CalledProcessError):
        revisions += _git(path.parent, "rev-list", "HEAD", "--", path.name).split()
    for revision in revisions:
        command = [*_git_command(path.parent), "cat-file", "blob", f"{revision}:./{path.name}"]
        # A commit that removed the file has no content of it.
        with suppress(OSError, subprocess.CalledProcessError):
            yield subprocess.run(command, capture_output=True, check=True).stdout


def agent(project: Path = PROJECT) -> str:
    """The name of the user in git's configuration, which is meant for publication; a login name is not."""
    with suppress(OSError, subprocess.CalledProcessError):
        return _git(project, "config", "user.name")
    return "unknown"


def tracked_files(project: Path = PROJECT) -> set[str] | None:
    """The files of the project that git tracks, relative to it; None if it is no git checkout."""
    with suppress(OSError, subprocess.CalledProcessError):
        if _git(project, "rev-parse", "--show-prefix"):  # a folder of somebody else's checkout
            return None
        return set(filter(None, _git(project, "ls-files", "-z", "--cached").split("\0")))
    return None


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
    command = [*_git_command(project), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _git_command(project: Path) -> list[str]:
    # The settings in a copy of the project could name programs that git starts.
    return ["git", "-C", str(project), "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]


def _head(git: Path) -> str:
    """The commit in the files of a `.git` folder; empty if there is none."""
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
