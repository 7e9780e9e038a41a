"""What packages need, by the metadata of those that are installed here: what a lock is compared with."""

from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pin_envs import is_cuda


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
    """Canonical names of packages and of all their requirements on this system, without CUDA's libraries."""
    todo = [Requirement(name) for name in names]
    seen = set()
    while todo:
        package = todo.pop()
        name = canonicalize_name(package.name)
        if (name, *package.extras) in seen or is_cuda(name):
            continue
        seen.add((name, *package.extras))
        parts = map(Requirement, distribution(name).requires or ())
        extras = [{"extra": extra} for extra in ("", *package.extras)]
        todo += [part for part in parts if part.marker is None or any(map(part.marker.evaluate, extras))]
    return {name for name, *_ in seen}
