"""Write docs/config.md, the reference of a study's keys, from the schema.

python scripts/document_config.py --out docs/config.md
"""

import argparse
from pathlib import Path

import yaml

from crosstune.core.errors import run_program
from crosstune.core.files import write_text
from crosstune.core.schema import resolve_reference

SCHEMA = Path("schemas/study.schema.yaml")
HEAD = """# The keys of a study

Made from `schemas/study.schema.yaml` by `make docs`. A key that is not listed here is refused. `<name>` stands for a
name of your choice.

A study is a YAML file. Crosstune refuses, with line and column, what YAML would read as something else without a word:
a key given twice, the language `no` (false), `010` (8), `1:30` (90), a date. Quotes make a text of any of them. Paths
in a study are relative to crosstune's folder, where Snakemake must run; `--directory` is refused.

Snakemake reads a file of `--configfile` before crosstune does. If it says that the file is not valid YAML,
`make inspect STUDY=<file>` says in which line, and why.

| key | type | default | meaning |
|---|---|---|---|
"""


def document(schema: dict) -> str:
    """The reference as Markdown: one row a key, in the order of the schema."""
    return HEAD + "".join(_rows(schema, schema, ""))


def _rows(part: dict, root: dict, prefix: str) -> list[str]:
    rows = []
    for key, value in part.get("properties", {}).items():
        value = resolve_reference(value, root)
        path = f"{prefix}{key}"
        default = f"`{value['default']}`" if value.get("default") not in (None, {}) else ""
        rows.append(f"| `{path}` | {_type(value, root)} | {default} | {value.get('description', '')} |\n")
        rows += _rows(value, root, f"{path}.")
        rows += _named(value, root, path)
        rows += _rows(resolve_reference(value.get("items", {}), root), root, f"{path}[].")
    return rows


def _named(part: dict, root: dict, path: str) -> list[str]:
    """Rows of the keys below names of the user's choice, which may be nested."""
    named = part.get("additionalProperties")
    if not isinstance(named, dict):
        return []
    named, path = resolve_reference(named, root), f"{path}.<name>"
    return _rows(named, root, f"{path}.") + _named(named, root, path) + _choices(named, root, path)


def _choices(part: dict, root: dict, path: str) -> list[str]:
    """Rows of the keys of each form that a value with several forms can take (a schedule)."""
    rows = []
    for branch in part.get("oneOf", []):
        branch = resolve_reference(branch, root)
        items = resolve_reference(branch.get("items", {}), root)
        rows += _rows(branch, root, f"{path}.")
        for form in items.get("oneOf", []):
            rows += _rows(resolve_reference(form, root), root, f"{path}[].")
    return rows


def _type(value: dict, root: dict) -> str:
    if "enum" in value:
        return " or ".join(f"`{item}`" for item in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if "oneOf" in value and "type" not in value:
        return " or ".join(_type(resolve_reference(branch, root), root) for branch in value["oneOf"])
    if isinstance(value.get("type"), list):
        return " or ".join(_type({**value, "type": kind}, root) for kind in value["type"])
    if value.get("type") == "array":
        return f"list of {_type(resolve_reference(value.get('items', {}), root), root)}"
    return {"object": "mapping", "string": "text"}.get(value.get("type", ""), value.get("type", ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    args = parser.parse_args()
    write_text(args.out, document(yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    run_program(main)
