"""One lock: pip, conda and images get the same versions, and every rule's environment holds what it imports."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from crosstune.core.errors import UserError
from pin_envs import ENVIRONMENTS, environment, find_pins, read_lock, read_names, requirements_of

ROOT = Path(__file__).parents[2]
ENVS = ROOT / "envs"
SCRIPTS = ROOT / "scripts"
LOCK = read_lock(ENVS / "requirements.lock")
RULES = "\n".join(path.read_text() for path in sorted(ROOT.glob("rules/*.smk")))


def test_the_lock_has_one_exact_version_of_each_package_in_order():
    lines = (ENVS / "requirements.lock").read_text().split()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    names = [line.partition("==")[0].lower() for line in lines]
    assert [pair for pair in pairwise(names) if pair[0] >= pair[1]] == []
    assert len(LOCK) == len(lines), "one name is there in two spellings"


def test_the_lock_has_the_versions_that_are_asked_for():
    asked = {canonicalize_name(Requirement(line).name): line for line in requirement_lines("requirements.in")}
    locked = {name: LOCK.get(name, "not in the lock") for name in asked}
    assert {name: line.lower() for name, line in locked.items()} == {name: line.lower() for name, line in asked.items()}


def requirement_lines(name: str) -> list[str]:
    return [line for line in (ENVS / name).read_text().splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("name", ["requirements", "image"])
def test_the_lock_has_all_that_is_needed(name):
    """What it lacks, pip would choose by itself."""
    find_pins(requirements_of(read_names(ENVS / f"{name}.in")), LOCK)


def test_what_the_lock_lacks_is_a_line_to_paste():
    lock = {name: line for name, line in LOCK.items() if name != "numpy"}
    with pytest.raises(UserError, match=r"requirements.lock: no version of numpy\n  numpy==\d"):
        find_pins(requirements_of(["numpy", "tabulate"]), lock)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_conda_environments_are_those_of_the_lock(name):
    assert (ENVS / f"{name}.yaml").read_text() == environment(ENVS, name), "make envs writes it anew"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_conda_and_pip_can_read_the_environments(name):
    from rattler import MatchSpec

    *specs, packages = yaml.safe_load((ENVS / f"{name}.yaml").read_text())["dependencies"]
    assert [MatchSpec(spec).name.normalized for spec in specs] == ["python", "pip"]
    assert set(packages) == {"pip"}
    for line in packages["pip"]:
        (specifier,) = Requirement(line).specifier
        assert specifier.operator == "==" and LOCK[canonicalize_name(Requirement(line).name)] == line


def test_the_light_environment_has_no_torch():
    assert not {"torch", "transformers", "accelerate"} & requirements_of(read_names(ENVS / "light.in"))


def rules() -> Iterator[tuple[str, str, str]]:
    """(rule, program, environment) of every rule that calls a program."""
    for name, body in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", RULES, re.MULTILINE):
        if program := re.search(r"python scripts/(\w+)\.py", body):
            yield name, program[1], re.search(r'conda:\n +"\.\./envs/(\w+)\.yaml"', body)[1]


def test_a_rules_environment_holds_all_that_its_program_may_import():
    provides = {name: requirements_of(read_names(ENVS / f"{name}.in")) for name in ENVIRONMENTS}
    assert len(list(rules())) > 15
    for rule, program, name in rules():
        missing = imported(program) - provides[name]
        assert not missing, f"{rule}: {program}.py may import {missing}, which envs/{name}.yaml lacks"
        assert name == "light" or imported(program) - provides["light"], f"{rule} needs envs/light.yaml alone"


@cache
def imported(program: str) -> frozenset[str]:
    """Packages that a program or anything of crosstune that it can reach imports, anywhere in the code."""
    todo, seen, packages = [SCRIPTS / f"{program}.py"], set(), set()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        if "import_module" in path.read_text():  # of the modules beside it, by name
            todo += path.parent.glob("*.py")
        for module in imports(path):
            if module.startswith("crosstune"):
                todo += files(module)
            elif module.split(".")[0] not in sys.stdlib_module_names:
                packages.add(distribution_of(module.split(".")[0]))
    return frozenset(packages)


@cache
def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def files(module: str) -> list[Path]:
    """The files that importing a module of crosstune runs; of a name in a module, those of the module."""
    parts = module.split(".")
    stems = [SCRIPTS.joinpath(*parts[: number + 1]) for number in range(len(parts))]
    return [path for stem in stems for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.exists()]


def distribution_of(module: str) -> str:
    return canonicalize_name(distributions()[module][0])


# Every call looks through all that is installed.
distributions = cache(packages_distributions)


def test_the_images_are_made_of_the_lock():
    """What is in them is looked up where they are built (tests/container)."""
    install = (ROOT / "containers/install.sh").read_text()
    assert '--constraint "$here/requirements.lock" --requirement "$here/image.in"' in install
    assert "EXTRA_INDEX" not in install and '--no-deps -i "$index"' in install
    included = {"requirements.lock", "image.in", "gpu.in", "light.in"}
    for name in ("Dockerfile", "crosstune.def"):
        text = (ROOT / "containers" / name).read_text()
        assert {found for found in included if f"envs/{found}" in text} == included
        assert "install.sh" in text and "pip install" not in text


def test_the_hooks_have_the_versions_of_the_lock():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    versions = {line for hook in repository["hooks"] for line in hook["additional_dependencies"]}
    assert versions and versions <= set(LOCK.values())
