"""Renew what environments are installed from: the locks with versions and hashes, and conda's environments.

    python scripts/pin_envs.py                            keep the versions of the locks, add and remove what is needed
    python scripts/pin_envs.py --upgrade                  the newest versions that fit those of envs/*.in
    python scripts/pin_envs.py --builds FOLDER_OR_PAGE    with hashes of other builds of torch

uv resolves the requirements for every platform and lists the files of each version. UV_DEFAULT_INDEX names a mirror.
"""

import argparse
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from crosstune.core.errors import UserError, run_program
from crosstune.core.files import write_text

LOCK = "requirements.lock"
CUDA_LOCK = "cuda.lock"
BUILD_LOCK = "build.lock"
ENVIRONMENTS = ("light", "gpu")
# Parts of the lock, each for an installation with fewer packages.
PARTS = ("image", "login")
# Libraries of a CUDA build of torch. Other builds do not need them, so they have a lock of their own.
CUDA_PREFIXES = ("cuda-", "nvidia-", "triton")
# What builds a package without a wheel.
BUILDERS = ("setuptools",)

# Hashes are of files for these. pyproject.toml restricts uv's resolution to the same systems.
PYTHONS = (11, 12, 13, 14)
MACHINES = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
NEWEST_GLIBC = 45
NEWEST_MACOS = (26, 0)

HEADER = "# Written by `make envs` from {source}.\n"
TEMPLATE = (
    HEADER
    + """\
name: crosstune-{name}
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11
  - pip
  - pip:
{pins}"""
)


@dataclass(frozen=True)
class Pin:
    """A package in a lock: its version, the systems that need it, and the SHA-256 of its files."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"

    def parts(self) -> list[str]:
        """The requirement and one option for each hash, as pip reads them."""
        first = f"{self.requirement} ; {self.marker}" if self.marker else self.requirement
        return [first, *(f"--hash=sha256:{digest}" for digest in self.hashes)]


Pins = Mapping[str, Pin]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", type=Path, default=Path("envs"), help="folder of the locks (default: %(default)s)")
    parser.add_argument("--upgrade", action="store_true", help="ignore the versions of the present locks")
    parser.add_argument("--builds", nargs="*", default=[], help="folders or pages with links to other builds of torch")
    args = parser.parse_args()

    known = read_lock(args.envs / LOCK) | read_lock(args.envs / CUDA_LOCK)
    pins = lock(args.envs / "requirements.in", {} if args.upgrade else known, args.builds)
    pins["torch"] = with_known_hashes(pins["torch"], known.get("torch"))
    validator = {} if args.upgrade else read_lock(args.envs / "validator.lock")
    locks = divide(pins) | {"validator.lock": lock(args.envs / "validator.in", validator)}
    for name in PARTS:
        locks[f"{name}.lock"] = {
            key: pin for key, pin in select(args.envs / f"{name}.in", pins).items() if not is_cuda(key)
        }
    for name, part in locks.items():
        write_text(args.envs / name, lock_text(part, name))
    for name in ENVIRONMENTS:
        write_text(args.envs / f"{name}.yaml", environment_text(select(args.envs / f"{name}.in", pins), name))


# --- what is asked for -----------------------------------------------------------------------------------------------


def lock(source: Path, known: Pins, builds: Sequence[str] = ()) -> dict[str, Pin]:
    """Pins of all that a file of requirements needs, in `known` versions where they fit."""
    links = [word for place in builds for word in ("--find-links", place)]
    with tempfile.TemporaryDirectory() as folder:
        versions, files = Path(folder, "versions.txt"), Path(folder, "pylock.toml")
        versions.write_text(resolve(source, known), encoding="utf-8")
        compile_requirements(versions, "--no-deps", "--format", "pylock.toml", *links, "--output-file", str(files))
        return pins_of_files(tomllib.loads(files.read_text(encoding="utf-8"))["packages"])


def select(source: Path, pins: Pins) -> dict[str, Pin]:
    """Those of `pins` that a file of requirements needs. UserError if one is missing."""
    names = sorted(canonicalize_name(Requirement(line).name) for line in resolve(source, pins).splitlines())
    if missing := [name for name in names if name not in pins]:
        raise UserError(f"{missing[0]} is not in the lock", str(source), f"add {missing[0]} to requirements.in too")
    return {name: pins[name] for name in names}


def resolve(source: Path, known: Pins) -> str:
    """Lines `name==version ; marker` of all that a file of requirements needs."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "versions.txt")
        out.write_text("".join(f"{pin.requirement}\n" for pin in known.values()), encoding="utf-8")
        compile_requirements(source, "--no-header", "--no-annotate", "--output-file", str(out))
        return out.read_text(encoding="utf-8")


def compile_requirements(source: Path, *options: str) -> None:
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version"]
    done = subprocess.run([*command, f"3.{PYTHONS[0]}", *options, str(source)], text=True, stderr=subprocess.PIPE)
    if done.returncode:
        raise UserError(f"uv cannot resolve the requirements:\n{done.stderr.strip()}", str(source))


# --- files of a version ----------------------------------------------------------------------------------------------


def pins_of_files(packages: Iterable[Mapping]) -> dict[str, Pin]:
    """Pins of the packages of a pylock.toml: with the hashes of files that a supported system can install.

    Builds of one version, such as 2.13.0 and 2.13.0+cpu, are one pin. UserError if a package has no file.
    """
    builds: dict[str, list[Mapping]] = {}
    for package in packages:
        builds.setdefault(canonicalize_name(package["name"]), []).append(package)
    pins = {}
    for name, group in sorted(builds.items()):
        markers = [Marker(package["marker"]) for package in group if "marker" in package]
        needed = [system for system in systems() if len(markers) < len(group) or any_of(markers, system)]
        if not needed:
            continue
        version = Version(group[0]["version"]).public
        if not (hashes := file_hashes(group, needed)):
            raise UserError(f"no file of {name}=={version} fits a supported system", name)
        pins[name] = Pin(name, version, marker_for(needed, markers), hashes)
    return pins


def file_hashes(builds: Iterable[Mapping], needed: Iterable[tuple[int, str, str]]) -> tuple[str, ...]:
    """Hashes of the wheels of a version, and of its source if one of the systems has no wheel."""
    wheels, sources = {}, []
    for build in builds:
        sources += [build["sdist"]] if "sdist" in build else []
        for wheel in build.get("wheels", ()):
            name = wheel.get("name") or unquote((wheel.get("url") or wheel["path"]).rpartition("/")[2])
            wheels[wheel["hashes"]["sha256"]] = parse_wheel_filename(name)[3]
    found = {digest for digest, tags in wheels.items() if any(tags & supported_tags(*system) for system in needed)}
    if not all(any(tags & supported_tags(*system) for tags in wheels.values()) for system in needed):
        found |= {source["hashes"]["sha256"] for source in sources}
    return tuple(sorted(found))


def systems() -> list[tuple[int, str, str]]:
    """(minor version of Python, system, processor) of all that is supported."""
    return [(python, *machine) for python in PYTHONS for machine in MACHINES]


@cache
def supported_tags(python: int, system: str, processor: str) -> frozenset[Tag]:
    """Tags of the wheels that a system can install."""
    if system == "darwin":
        platforms = list(mac_platforms(NEWEST_MACOS, processor))
    else:
        names = [*(f"_2_{glibc}" for glibc in range(5, NEWEST_GLIBC)), "1", "2010", "2014"]
        platforms = [f"manylinux{name}_{processor}" for name in names] + [f"linux_{processor}"]
    own = cpython_tags((3, python), [f"cp3{python}"], platforms)
    return frozenset(own) | frozenset(compatible_tags((3, python), f"cp3{python}", platforms))


def any_of(markers: Iterable[Marker], system: tuple[int, str, str]) -> bool:
    python, name, processor = system
    values = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": processor,
        "platform_python_implementation": "CPython",
        "platform_system": name.capitalize(),
        "python_full_version": f"3.{python}.0",
        "python_version": f"3.{python}",
        "sys_platform": name,
    }
    return any(marker.evaluate(values) for marker in markers)


def marker_for(needed: Sequence[tuple[int, str, str]], markers: Iterable[Marker]) -> str:
    """The shortest marker that holds on these systems and on no other supported one."""
    if needed == systems():
        return ""
    for name in ("linux", "darwin"):
        if needed == [system for system in systems() if system[1] == name]:
            return f'sys_platform == "{name}"'
    return " or ".join(map(str, markers))


def with_known_hashes(pin: Pin, known: Pin | None) -> Pin:
    """The pin with the hashes of an earlier lock too: not everybody reaches all builds of torch."""
    if known is None or known.version != pin.version:
        return pin
    return replace(pin, hashes=tuple(sorted({*pin.hashes, *known.hashes})))


# --- locks -----------------------------------------------------------------------------------------------------------


def divide(pins: Pins) -> dict[str, dict[str, Pin]]:
    """The locks of the main environment, by file."""
    return {
        LOCK: {name: pin for name, pin in pins.items() if not is_cuda(name)},
        CUDA_LOCK: {name: pin for name, pin in pins.items() if is_cuda(name)},
        BUILD_LOCK: {name: pins[name] for name in BUILDERS},
    }


def is_cuda(name: str) -> bool:
    return name.startswith(CUDA_PREFIXES)


def lock_text(pins: Pins, name: str) -> str:
    """A lock as pip reads it: one package after the other, each with its hashes."""
    source = f"envs/{name.removesuffix('.lock')}.in" if name not in (CUDA_LOCK, BUILD_LOCK) else "envs/requirements.in"
    return HEADER.format(source=source) + "".join(" \\\n    ".join(pin.parts()) + "\n" for pin in pins.values())


def environment_text(pins: Pins, name: str) -> str:
    """The file of a conda environment. Snakemake copies it into another folder, so it lists every pin itself."""
    lines = "".join(
        "\n        ".join([f"      - {part}" if not n else part for n, part in enumerate(pin.parts())]) + "\n"
        for pin in pins.values()
    )
    return TEMPLATE.format(name=name, source=f"envs/{name}.in and envs/{LOCK}", pins=lines)


def read_lock(path: Path) -> dict[str, Pin]:
    """The pins of a lock by canonical name; none if it is absent. UserError at a line that is no pin with hashes."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    return {pin.name: pin for pin in (read_pin(line, path) for line in lines)}


def read_pin(line: str, path: Path) -> Pin:
    """The pin of a line such as `torch==2.13.0 ; MARKER --hash=sha256:DIGEST`."""
    requirement, *hashes = (part.strip() for part in line.split("--hash=sha256:"))
    try:
        parsed = Requirement(requirement)
        (specifier,) = parsed.specifier
    except (InvalidRequirement, ValueError):
        parsed = specifier = None
    if specifier is None or specifier.operator != "==" or not hashes:
        raise UserError(f"no version with hashes in {requirement!r}", str(path), "make envs")
    marker = str(parsed.marker) if parsed.marker else ""
    return Pin(canonicalize_name(parsed.name), specifier.version, marker, tuple(hashes))


if __name__ == "__main__":
    run_program(main)
