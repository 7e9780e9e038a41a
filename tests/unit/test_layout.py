"""The rooms of the package, and which of them may import which: as each room's docstring says."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "scripts/crosstune"
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def imports(name: str) -> set[str]:
    """Modules of the package that a module imports, also late and for type checkers only."""
    found = set()
    for node in ast.walk(TREES[name]):
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{name}: a relative import"
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "crosstune":
            module = node.module.partition(".")[2]
            below = {f"{module}.{alias.name}".lstrip(".") for alias in node.names}
            found |= below & MODULES.keys() or {module}
            found |= {module} if below - MODULES.keys() else set()
        elif isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[2] for alias in node.names if alias.name.startswith("crosstune")}
    return found - {name}


def allowed(room: str) -> set[str]:
    """The rooms that a room's docstring lets it import."""
    contract = re.search(r"^May import: (.+)\.$", ast.get_docstring(TREES[room]), re.MULTILINE)
    assert contract, f"{room}/__init__.py lacks the line `May import: ...`"
    return set() if contract[1] == "nothing" else set(contract[1].split(", "))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_its_docstring_allows(room):
    assert allowed(room) <= set(ROOMS)
    for name in MODULES:
        if name.partition(".")[0] == room:
            rooms = {other.partition(".")[0] for other in imports(name)} - {room}
            assert rooms <= allowed(room), name


def test_rooms_and_modules_import_each_other_in_no_circle():
    list(TopologicalSorter({room: allowed(room) for room in ROOMS}).static_order())
    list(TopologicalSorter({name: imports(name) for name in MODULES if name}).static_order())


def test_nothing_lies_outside_a_room():
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py"}


def test_no_module_of_the_package_imports_snakemake():
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(imported.partition(".")[0] == "snakemake" for imported in names), name


# The warm server's socket is a file of this machine.
OPENS_SOCKETS = {"machine.warm_server", "machine.warm_client"}


def test_only_libraries_open_connections_and_parse_tables():
    """huggingface_hub, datasets and pooch do; one module names the errors of requests, which pooch raises."""
    own = {"socket", "http.client", "urllib.request", "urllib3", "httpx", "httpx2", "aiohttp", "pyarrow"}
    for name, tree in TREES.items():
        found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        found |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not found & own or name in OPENS_SOCKETS, (name, found & own)


# --- sizes and names -------------------------------------------------------------------------------------------------

LONGEST_CLASS, LONGEST_FUNCTION, MOST_PARAMETERS = 250, 60, 7
# transformers calls the attention function with these parameters.
MANY_PARAMETERS = {"modeling.packed_attention.packed_attention"}


def definitions() -> list[tuple[str, ast.AST]]:
    """All classes and functions of package and programs, with their names."""
    programs = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.parent.glob("*.py")}
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    trees = {**TREES, **programs}
    return [
        (f"{name}.{node.name}", node)
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, kinds)
    ]


def parameters(node: ast.FunctionDef) -> int:
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def test_classes_and_functions_are_small_enough_to_read():
    for name, node in definitions():
        lines = node.end_lineno - node.lineno + 1
        if isinstance(node, ast.ClassDef):
            assert lines <= LONGEST_CLASS, name
        else:
            assert lines <= LONGEST_FUNCTION, name
            assert parameters(node) <= MOST_PARAMETERS or name in MANY_PARAMETERS, name


def test_no_class_name_occurs_twice():
    names = [name.rpartition(".")[2] for name, node in definitions() if isinstance(node, ast.ClassDef)]
    assert [name for name in sorted(set(names)) if names.count(name) > 1] == []


def test_only_one_module_splits_paths_of_results():
    for name, path in MODULES.items():
        assert name == "study.paths" or 'split("/")[' not in path.read_text(encoding="utf-8"), name
