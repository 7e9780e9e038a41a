"""Describe files of data: print the record with which a study reads them, to paste.

    python scripts/describe.py my-data/train.sw.tsv my-data/test.sw.tsv

Files of one data set, in any number of languages and splits, give one record. It reads as it is; comments ask for what
the files cannot tell. docs/your-data.md goes on from there.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import yaml

from crosstune.core.errors import UserError, run_program
from crosstune.data.describe import Guess, guess_record
from crosstune.data.record import ROLES
from crosstune.data.registry import load_languages

ORDER = (
    "task", "title", "licence", "reader", "columns", "table", "labels", "tags", "tag_scheme", "token_prefix", "drop",
    "answer_start", "languages", "codes", "splits",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="files of one data set")
    parser.add_argument("--name", default="mine", help="name of the data set (default: %(default)s)")
    parser.add_argument("--lang", default="", help="code of the language of all files, if their names do not have it")
    parser.add_argument("--task", default="", choices=["", *ROLES], metavar="TASK", help=f"one of {', '.join(ROLES)}")
    parser.add_argument("--registry", default="registry", help="folder of the records (default: %(default)s)")
    args = parser.parse_args()
    if not args.name.replace("_", "").isalnum() or not args.name.isascii():
        raise UserError(f"{args.name!r} is no name of a folder in a record", "--name", "Use letters, digits and _.")
    languages = load_languages(args.registry)
    print(printed(guess_record(args.files, args.name, languages, args.lang, args.task), args.name), end="")


def printed(guess: Guess, name: str) -> str:
    """The YAML of a guess: counts and first row as comments, then the keys of a study."""
    record: dict[str, Any] = {"title": name, "licence": "unknown", **guess.record}
    questions = {"title": "what tables call it", "licence": "what its publisher states", **guess.questions}
    counts = ", ".join(f"{number:,} ({where})" for where, number in guess.counts.items())
    lines = [f"# rows: {counts}", f"# first row: {shortened(guess.first)}"]
    folder = os.path.relpath(guess.folder) if guess.folder.is_relative_to(Path.cwd().parent) else str(guess.folder)
    lines += [f"folders: {flow({name: folder})}"]
    if guess.described:
        lines += ["languages:    # the registry lacks these"]
        unknown = {"name": "?", "family": "?", "script": "Latn", "resource": "low"}
        lines += [f"  {code}: {flow(unknown | {'name': code, 'family': code})}" for code in guess.described]
        lines[-1] += "    # its name, family, and script (ISO 15924)"
    lines += ["datasets:", f"  {name}:"]
    for key in (key for key in ORDER if key in record and key != "splits"):
        comment = f"    # {questions[key]}" if key in questions else ""
        lines.append(f"    {key}: {flow(record[key])}{comment}")
    lines.append("    splits:")
    lines += [f"      {split}: {flow(entry)}" for split, entry in record["splits"].items()]
    return "\n".join(lines) + "\n"


def flow(value: Any) -> str:
    """A value as one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")


def shortened(row: dict) -> str:
    """A row of JSON whose long texts and lists are cut."""

    def cut(value: Any) -> Any:
        if isinstance(value, str):
            return value if len(value) <= 60 else f"{value[:60]}..."
        if isinstance(value, list):
            return [cut(item) for item in value[:8]]
        return {key: cut(item) for key, item in value.items()} if isinstance(value, dict) else value

    return json.dumps(cut(row), ensure_ascii=False)


if __name__ == "__main__":
    run_program(main)
