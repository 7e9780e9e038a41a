"""Print the number of rows and the SHA-256 of every file of a record, to paste into it.

python scripts/pin.py xquad --folders '{"bundle": "../shared/data"}'
"""

import argparse
import json

import yaml

from crosstune.errors import run_program
from crosstune.prepare import pin
from crosstune.registry import load_registry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="name of the record, whose source is files")
    parser.add_argument("--registry", default="registry", help="folder of the records (default: %(default)s)")
    parser.add_argument(
        "--extra", type=json.loads, default={}, help="more records, the study's key `datasets`, as JSON"
    )
    parser.add_argument("--folders", type=json.loads, default={}, help="folders that records name in braces, as JSON")
    args = parser.parse_args()

    pins = pin(load_registry(args.registry, args.extra)[args.dataset], args.folders)
    print(yaml.dump({"splits": pins}, sort_keys=False, allow_unicode=True), end="")


if __name__ == "__main__":
    run_program(main)
