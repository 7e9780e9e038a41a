"""Fetch a model of the hub at a pinned commit into the hub's cache, and write the folder that stages start from.

python scripts/fetch_model.py --id google-bert/bert-base-multilingual-cased --revision COMMIT --longest 384 \\
        --out models/NAME
"""

import argparse
from pathlib import Path

from crosstune.core.errors import run_program
from crosstune.data.download.hub_models import fetch_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--id", required=True, help="id of the model on the hub")
    parser.add_argument("--revision", required=True, help="commit, 40 hexadecimal digits")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--longest", type=int, default=0, help="tokens of the longest sequence; 0 for a translation model"
    )
    args = parser.parse_args()

    def check(folder: Path) -> None:
        from crosstune.modeling.base_model import check_base_model, check_translation_model

        check_base_model(folder, args.longest) if args.longest else check_translation_model(folder)

    fetch_model(args.id, args.revision, args.out, check)


if __name__ == "__main__":
    run_program(main)
