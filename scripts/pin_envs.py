"""Write the conda environments of the rules, envs/light.yaml and envs/gpu.yaml, with the versions of the lock.

    python scripts/pin_envs.py

Snakemake copies an environment's file into another folder, where it cannot refer to the lock. Therefore the files list
every pin. The requirements of a package come from the metadata of the installed packages.
"""

import argparse
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from crosstune.core.errors import UserError, run_program
from crosstune.core.files import write_text

LOCK = "requirements.lock"
ENVIRONMENTS = ("light", "gpu")
# Libraries of a CUDA build of torch, whose metadata has their versions. The lock serves builds for every device.
CUDA_PREFIXES = ("cuda-", "nvidia-", "triton")

TEMPLATE = """\
# Written by `make envs` from envs/{name}.in and envs/requirements.lock.
name: crosstune-{name}
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11
  - pip
  - pip:
{pins}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", type=Path, default=Path("envs"), help="folder of the lock (default: %(default)s)")
    args = parser.parse_args()

    for name in ENVIRONMENTS:
        write_text(args.envs / f"{name}.yaml", environment(args.envs, name))


def environment(envs: Path, name: str) -> str:
    """The file of a conda environment: the packages of `{name}.in` with all requirements. Raises UserError."""
    pins = find_pins(requirements_of(read_names(envs / f"{name}.in")), read_lock(envs / LOCK))
    return TEMPLATE.format(name=name, pins="\n".join(f"      - {pin}" for pin in pins))


def read_lock(path: Path) -> dict[str, str]:
    """The lock's lines, as `torch==2.13.0`, by canonical name."""
    lines = path.read_text(encoding="utf-8").split()
    return {canonicalize_name(line.partition("==")[0]): line for line in lines}


def read_names(path: Path) -> list[str]:
    """The names in a file of requirements and in those that it includes."""
    names = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            names += read_names(path.parent / line.removeprefix("-r ").strip())
        elif line and not line.startswith("#"):
            names.append(Requirement(line).name)
    return names


def requirements_of(names: Iterable[str]) -> set[str]:
    """Canonical names of packages and of all their requirements here. UserError if one is not installed."""
    todo = [Requirement(name) for name in names]
    seen = set()
    while todo:
        package = todo.pop()
        name = canonicalize_name(package.name)
        if (name, *package.extras) in seen or name.startswith(CUDA_PREFIXES):
            continue
        seen.add((name, *package.extras))
        try:
            parts = map(Requirement, distribution(name).requires or ())
        except PackageNotFoundError:
            raise UserError(f"{name} is not installed", "this environment", "make test") from None
        extras = [{"extra": extra} for extra in ("", *package.extras)]
        todo += [part for part in parts if part.marker is None or any(map(part.marker.evaluate, extras))]
    return {name for name, *_ in seen}


def find_pins(names: Iterable[str], lock: Mapping[str, str]) -> list[str]:
    """The lock's lines of these packages. UserError if it lacks one."""
    missing = sorted(set(names) - lock.keys())
    if missing:
        fix = "\n".join(f"{name}=={distribution(name).version}" for name in missing)
        raise UserError(f"no version of {', '.join(missing)}", f"envs/{LOCK}", fix)
    return [lock[name] for name in sorted(names)]


if __name__ == "__main__":
    run_program(main)
