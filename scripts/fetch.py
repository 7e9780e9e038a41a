"""Fetch the files of a data set from the network, verify their hashes, and write their manifest.

python scripts/fetch.py --request '{"url": ["https://.../dev.json"], "sha256": ["..."]}' --licence "CC BY-SA 4.0"
python scripts/fetch.py --request '{"hub": "google/xquad", "revision": "COMMIT", "files": [["xquad.hi/*.parquet"]]}'
"""

import argparse
import json
from pathlib import Path

from crosstune.core.errors import run_program
from crosstune.data.download.fetch import fetch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--request", type=json.loads, required=True, help="files to fetch, as JSON")
    parser.add_argument("--licence", required=True, help="licence of the data, announced before a large download")
    parser.add_argument("--raw", type=Path, default=Path("data/raw"), help="folder of downloads (default: %(default)s)")
    args = parser.parse_args()

    fetch(args.request, args.raw, args.licence)


if __name__ == "__main__":
    run_program(main)
