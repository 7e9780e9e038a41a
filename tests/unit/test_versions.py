"""Versions of torch and transformers: too old ones are refused, newer ones are told."""

import re
from pathlib import Path

import pytest

from crosstune.core.errors import UserError
from crosstune.machine.versions import SUPPORTED, check_versions

LAST = {package: last for package, (_, last) in SUPPORTED.items()}


def test_the_ends_and_this_environment_are_supported(capsys):
    check_versions({package: f"{first}.0" for package, (first, _) in SUPPORTED.items()})
    check_versions({package: f"{last}.9+cu130" for package, last in LAST.items()})
    check_versions()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("package", "found"), [("torch", "2.9.1+cpu"), ("transformers", "4.57.6")])
def test_an_older_version_is_refused_with_the_line_to_run(package, found):
    with pytest.raises(UserError, match=f"{package} {found.replace('+', '.')} is too old") as caught:
        check_versions(LAST | {package: found})
    assert caught.value.fix.endswith("pip install -r envs/requirements.lock")


@pytest.mark.parametrize(("package", "found"), [("torch", "2.100.0"), ("transformers", "6.0.0.dev0")])
def test_a_newer_version_is_told_and_used(package, found, capsys):
    check_versions(LAST | {package: found})
    assert capsys.readouterr().err.startswith(f"{package} {found} is newer than {SUPPORTED[package][1]}")


def test_the_lock_and_the_docs_name_supported_versions():
    root = Path(__file__).parents[2]
    pins = dict(re.findall(r"^([\w.-]+)==([\w.+]+)", (root / "envs/requirements.lock").read_text(), re.MULTILINE))
    docs = (root / "docs/containers.md").read_text()
    check_versions(pins)
    for package, (first, last) in SUPPORTED.items():
        assert f"{package} {first} to {last}" in docs
