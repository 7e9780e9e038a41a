"""Benchmarks run by hand, so that nothing else sees it when the code that they measure has moved."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import yaml

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def own_imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Module and name of what a program imports from crosstune."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "crosstune":
            yield from ((node.module, alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.partition(".")[0] == "crosstune")


def is_there(module: str, name: str) -> bool:
    """Whether a module can be imported, and has a name or a submodule of that name."""
    try:
        found = import_module(module)
        return not name or hasattr(found, name) or bool(import_module(f"{module}.{name}"))
    except ImportError:
        return False


@pytest.mark.parametrize("file", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_what_a_benchmark_imports_is_there(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert [pair for pair in own_imports(tree) if not is_there(*pair)] == []


def test_a_name_that_has_moved_is_noticed():
    tree = ast.parse("from crosstune.core.files import read_text, read_nothing\nfrom crosstune.gone import one")
    assert [pair for pair in own_imports(tree) if not is_there(*pair)] == [
        ("crosstune.core.files", "read_nothing"),
        ("crosstune.gone", "one"),
    ]


def test_the_small_experiment_is_a_study_with_declared_folders(tmp_path, monkeypatch):
    """The files of its rows lie outside the project; Snakemake plans it, as the benchmark lets it."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    # A module of this name serves this test alone.
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    small = import_module("study")
    for name in [*(f"train.{lang}" for lang in small.SOURCES), *(f"test.{lang}" for lang in small.TARGETS)]:
        (tmp_path / f"{name}.json").write_text('{"data": []}', encoding="utf-8")
    config = tmp_path / "bench.yaml"
    config.write_text(yaml.safe_dump(small.our_config(tmp_path, hidden=32, layers=1)), encoding="utf-8")
    command = ["snakemake", "--dry-run", "--cores", "1", "--configfile", str(config)]
    done = subprocess.run(command, cwd=BENCHMARKS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "6 runs share 9 trainings" in done.stderr
