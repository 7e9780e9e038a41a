"""One lock: pip, conda and images get the same versions, and every rule's environment holds what it imports."""

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from helpers.installed import read_names, requirements_of
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from crosstune.core.errors import UserError
from pin_envs import (
    ENVIRONMENTS,
    PARTS,
    Pin,
    environment_text,
    is_cuda,
    lock_text,
    pins_of_files,
    read_lock,
    with_known_hashes,
)

ROOT = Path(__file__).parents[2]
ENVS = ROOT / "envs"
SCRIPTS = ROOT / "scripts"
LOCK = read_lock(ENVS / "requirements.lock")
CUDA = read_lock(ENVS / "cuda.lock")
LOCKS = sorted(path.name for path in ENVS.glob("*.lock"))
RULES = "\n".join(path.read_text() for path in sorted(ROOT.glob("rules/*.smk")))


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_one_exact_version_of_each_package_with_hashes(name):
    lines = (ENVS / name).read_text().replace("\\\n", "").splitlines()[1:]
    pattern = re.compile(r"[a-z0-9-]+==[\w.]+( ; [^;\\]+)?( +--hash=sha256:[0-9a-f]{64})+")
    assert [line for line in lines if not pattern.fullmatch(line)] == []
    names = [line.partition("==")[0] for line in lines]
    assert names == sorted(set(names))


@pytest.mark.parametrize("name", ["requirements", "validator"])
def test_a_lock_has_the_versions_that_are_asked_for(name):
    lock = read_lock(ENVS / f"{name}.lock")
    for line in requirement_lines(f"{name}.in"):
        asked = Requirement(line)
        assert str(asked.specifier) == f"=={lock[canonicalize_name(asked.name)].version}", line


def requirement_lines(name: str) -> list[str]:
    return [line for line in (ENVS / name).read_text().splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("name", ["requirements", *PARTS])
def test_a_lock_has_all_that_is_needed_at_the_versions_of_the_main_lock(name):
    """What it lacks is not installed at all."""
    lock = read_lock(ENVS / f"{name}.lock")
    here = {key for key, pin in lock.items() if not pin.marker or Marker(pin.marker).evaluate()}
    assert here == requirements_of(read_names(ENVS / f"{name}.in"))
    assert lock.items() <= LOCK.items()


def test_libraries_of_cuda_and_what_builds_have_locks_of_their_own():
    assert not any(map(is_cuda, LOCK)) and all(map(is_cuda, CUDA)) and len(CUDA) > 10
    assert read_lock(ENVS / "build.lock") == {"setuptools": LOCK["setuptools"]}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_conda_environments_are_those_of_the_lock(name):
    """Of CUDA's libraries too, which pip's usual torch needs on Linux."""
    written = (ENVS / f"{name}.yaml").read_text()
    pins = LOCK | CUDA
    names = [canonicalize_name(Requirement(line.partition(" --hash")[0]).name) for line in pip_lines(written)]
    assert environment_text({name: pins[name] for name in names}, name) == written, "make envs writes it anew"
    needed = requirements_of(read_names(ENVS / f"{name}.in"))
    assert {key for key in names if not is_cuda(key)} == needed
    assert {key for key in names if is_cuda(key)} == (CUDA.keys() if "torch" in needed else set())


def pip_lines(environment: str) -> list[str]:
    return yaml.safe_load(environment)["dependencies"][-1]["pip"]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_conda_and_pip_can_read_the_environments(name, tmp_path):
    from rattler import MatchSpec

    text = (ENVS / f"{name}.yaml").read_text()
    *specs, packages = yaml.safe_load(text)["dependencies"]
    assert [MatchSpec(spec).name.normalized for spec in specs] == ["python", "pip"]
    assert set(packages) == {"pip"}
    (tmp_path / "as-conda-writes-it.txt").write_text("\n".join(pip_lines(text)))
    assert (LOCK | CUDA).items() >= read_lock(tmp_path / "as-conda-writes-it.txt").items()


# --- what the locks are made of --------------------------------------------------------------------------------------


def wheel(name: str) -> dict:
    return {"name": name, "hashes": {"sha256": name}}


def test_hashes_are_of_files_that_a_supported_system_can_install():
    files = ["x-1-cp311-cp311-manylinux_2_28_x86_64.whl", "x-1-cp314-cp314-macosx_14_0_arm64.whl"]
    others = ["x-1-cp310-cp310-manylinux_2_28_x86_64.whl", "x-1-cp311-cp311-win_amd64.whl"]
    others += ["x-1-cp313-cp313t-manylinux_2_28_x86_64.whl", "x-1-cp312-cp312-musllinux_1_2_x86_64.whl"]
    some = {"name": "X", "version": "1", "wheels": list(map(wheel, files + others)), "sdist": wheel("x-1.tar.gz")}
    assert pins_of_files([some]) == {"x": Pin("x", "1", "", (*sorted(files), "x-1.tar.gz"))}
    everywhere = some | {"wheels": [wheel("x-1-py3-none-any.whl")]}
    assert pins_of_files([everywhere])["x"].hashes == ("x-1-py3-none-any.whl",), "no source where wheels fit"


def test_builds_of_one_version_are_one_pin():
    builds = [
        {"name": "torch", "version": "2.0", "marker": "sys_platform == 'darwin'",
         "wheels": [wheel("torch-2.0-cp311-none-macosx_11_0_arm64.whl")]},
        {"name": "torch", "version": "2.0+cpu", "marker": "sys_platform == 'linux'",
         "wheels": [{"path": "a%2Fb/torch-2.0%2Bcpu-cp311-cp311-linux_x86_64.whl", "hashes": {"sha256": "c"}}]},
    ]  # fmt: skip
    pin = Pin("torch", "2.0", "", ("c", "torch-2.0-cp311-none-macosx_11_0_arm64.whl"))
    assert pins_of_files(builds) == {"torch": pin}
    assert with_known_hashes(pin, replace(pin, hashes=("a", "c"))).hashes == ("a", *pin.hashes)
    assert with_known_hashes(pin, replace(pin, version="1.9", hashes=("a",))) == pin


@pytest.mark.parametrize(
    ("marker", "kept"),
    [
        ("sys_platform == 'darwin' or sys_platform == 'linux'", ""),
        ("platform_machine != 'arm64' and python_full_version < '3.15'", 'sys_platform == "linux"'),
        ("python_full_version < '3.12'", 'python_full_version < "3.12"'),
    ],
)
def test_a_marker_is_as_short_as_the_supported_systems_allow(marker, kept):
    package = {"name": "x", "version": "1", "marker": marker, "wheels": [wheel("x-1-py3-none-any.whl")]}
    assert pins_of_files([package])["x"].marker == kept
    assert pins_of_files([package | {"marker": "sys_platform == 'win32'"}]) == {}


def test_a_package_without_a_file_is_a_mistake():
    with pytest.raises(UserError, match="x: no file of x==1 fits a supported system"):
        pins_of_files([{"name": "x", "version": "1", "wheels": [wheel("x-1-cp311-cp311-win_amd64.whl")]}])


PINS = st.builds(
    Pin,
    st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,4})?", fullmatch=True),
    st.from_regex(r"[1-9]\.[0-9]{1,2}(\.post1)?", fullmatch=True),
    st.sampled_from(["", 'sys_platform == "linux"']),
    st.lists(st.text("0123456789abcdef", min_size=64, max_size=64), min_size=1, max_size=3).map(tuple),
)


@given(st.dictionaries(PINS, st.none()))
def test_a_lock_is_read_as_it_was_written(pins):
    pins = {pin.name: pin for pin in pins}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "x.lock").write_text(lock_text(pins, "x.lock"))
        assert read_lock(Path(folder) / "x.lock") == pins


@pytest.mark.parametrize("line", ["numpy==1.0", "numpy>=1.0 --hash=sha256:00", "numpy --hash=sha256:00", "!"])
def test_a_line_without_version_or_hashes_is_a_mistake(line, tmp_path):
    (tmp_path / "x.lock").write_text(f"{line}\n")
    with pytest.raises(UserError, match=r"(?s)x.lock: no version with hashes in .*make envs"):
        read_lock(tmp_path / "x.lock")


# --- pip and the hashes ----------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(tmp_path) -> Path:
    """A package without content, and a lock of it in the form of ours."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny-1.0-py3-none-any.whl", "w") as file:
        file.writestr("tiny.py", "")
        file.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        file.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("tiny-1.0.dist-info/RECORD", "")
    digest = hashlib.sha256((folder / "tiny-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    (folder / "tiny.lock").write_text(lock_text({"tiny": Pin("tiny", "1.0", "", (digest,))}, "tiny.lock"))
    (folder / "build.lock").write_text("")
    shutil.copy(ENVS / "install.sh", folder)
    return folder


def install(folder: Path) -> subprocess.CompletedProcess:
    """What the set-up calls, which finds packages in this folder alone."""
    environment = folder.parent / "environment"
    if not environment.exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    options = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": os.devnull}
    command = ["bash", folder / "install.sh", environment / "bin/python", folder / "tiny.lock"]
    return subprocess.run(command, env=os.environ | options, text=True, capture_output=True)


def test_only_a_file_with_the_locks_hash_is_installed(tiny):
    wheel = tiny / "tiny-1.0-py3-none-any.whl"
    good = wheel.read_bytes()
    with zipfile.ZipFile(wheel, "a") as file:
        file.writestr("more.py", "")
    done = install(tiny)
    assert done.returncode and "DO NOT MATCH THE HASHES" in done.stderr, done.stderr
    assert not list(tiny.parent.glob("environment/lib/*/site-packages/tiny.py"))

    wheel.write_bytes(good)
    done = install(tiny)
    assert done.returncode == 0, done.stderr
    assert list(tiny.parent.glob("environment/lib/*/site-packages/tiny.py"))


def test_every_installation_checks_hashes():
    """In one place, which the images and all environments use; torch's other builds are the exception there."""
    script = (ENVS / "install.sh").read_text()
    assert "verified() { pip install --require-hashes --no-deps" in script
    for line in re.findall(r".*\bpip install\b.*", script):
        assert "--require-hashes" in line or "torch" in line or "wheel" in line
    for place in ("Makefile", "containers/setup.sh", "containers/Dockerfile", "containers/crosstune.def"):
        assert not re.search(r"pip install|EXTRA_INDEX", (ROOT / place).read_text()), place


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
    assert 'install.sh" $python "$here/image.lock"' in (ROOT / "containers/setup.sh").read_text()
    for name in ("Dockerfile", "crosstune.def"):
        text = (ROOT / "containers" / name).read_text()
        copied = {found for found in ("install.sh", "image.lock", "build.lock", "cuda.lock") if f"envs/{found}" in text}
        assert len(copied) == 4 and "containers/setup.sh" in text


DIGEST = "sha256:" + "ab" * 32


def pin_base(folder: Path, answer: str) -> subprocess.CompletedProcess:
    """The script that pins the base image, in a copy, with a registry that gives an answer."""
    for name in ("Dockerfile", "crosstune.def", "pin_base.sh"):
        shutil.copy(ROOT / "containers" / name, folder)
    program = folder / "skopeo"
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)
    environ = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(["bash", folder / "pin_base.sh"], env=environ, text=True, capture_output=True)


def test_one_command_pins_the_base_image(tmp_path):
    for _ in range(2):
        assert pin_base(tmp_path, DIGEST).returncode == 0
        for name in ("Dockerfile", "crosstune.def"):
            bases = re.findall(r"BASE=(.*)", (tmp_path / name).read_text())
            assert bases[-1] == f"docker.io/library/debian:bookworm-slim@{DIGEST}", name


def test_a_registry_without_an_answer_changes_nothing(tmp_path):
    done = pin_base(tmp_path, "not found")
    assert done.returncode == 1 and "'not found'" in done.stderr
    assert (tmp_path / "Dockerfile").read_text() == (ROOT / "containers/Dockerfile").read_text()


def test_the_hooks_have_the_versions_of_the_lock():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    versions = {line for hook in repository["hooks"] for line in hook["additional_dependencies"]}
    assert versions and versions <= {pin.requirement for pin in LOCK.values()}
