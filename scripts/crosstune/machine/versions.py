"""The versions of the packages that compute: which ones crosstune has been tested with."""

import re
import sys
from collections.abc import Mapping
from importlib.metadata import version

from crosstune.core.errors import UserError

# The first and the last minor version with which the tests of training pass (benchmarks/results/versions.md).
SUPPORTED = {"torch": ("2.11", "2.14"), "transformers": ("5.17", "5.24")}


def check_versions(installed: Mapping[str, str] | None = None) -> None:
    """UserError if torch or transformers is older than supported; a line on stderr if one is newer than tested.

    `installed`: versions by package; by default those of this environment.
    """
    for package, (first, last) in SUPPORTED.items():
        found = version(package) if installed is None else installed[package]
        if _numbers(found) < _numbers(first):
            message = f"{package} {found} is too old: crosstune supports {package} {first} to {last}"
            raise UserError(message, "environment", "The tested versions:\npip install -r envs/requirements.lock")
        if _numbers(found) > _numbers(last):
            print(f"{package} {found} is newer than {last}, the last version tested", file=sys.stderr, flush=True)


def _numbers(text: str) -> tuple[int, ...]:
    """Major and minor version: (2, 13) of `2.13.0+cpu`."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])
