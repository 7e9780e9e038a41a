"""Prepare one language of one split: read it, check it against its record, write rows and their manifest.

    python scripts/prepare.py --dataset xquad --split test --lang hi --folders '{"bundle": "../shared/data"}' \\
        --raw data/raw --out data/xquad/test.hi.jsonl
"""

import argparse
import json
import sys
from pathlib import Path

from crosstune.core.errors import run_program
from crosstune.data.prepare import prepare
from crosstune.data.registry import load_registry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="name of the record")
    parser.add_argument("--split", required=True, help="train, validation or test")
    parser.add_argument("--lang", required=True, help="code of the language")
    parser.add_argument("--registry", default="registry", help="folder of the records (default: %(default)s)")
    parser.add_argument(
        "--extra", type=json.loads, default={}, help="more records, the study's key `datasets`, as JSON"
    )
    parser.add_argument("--folders", type=json.loads, default={}, help="folders that records name in braces, as JSON")
    parser.add_argument("--raw", type=Path, default=Path("data/raw"), help="folder of downloads and synthetic data")
    parser.add_argument("--out", type=Path, required=True, help="rows to write (.jsonl); the manifest is its .json")
    parser.add_argument("--content-key", default="", help="hash of all that the rows depend on, for the manifest")
    args = parser.parse_args()

    dataset = load_registry(args.registry, args.extra)[args.dataset]
    manifest = prepare(dataset, args.split, args.lang, args.folders, args.raw, args.out, args.content_key)
    for note, number in manifest.get("notes", {}).items():
        print(f"{dataset.name} {args.split} {args.lang}: {number:,} x {note}", file=sys.stderr)


if __name__ == "__main__":
    run_program(main)
