"""Copy a model from a folder of the user's, and write the folder that stages start from.

python scripts/copy_model.py --folder ../models/mine --sha256 HASH --longest 384 --out models/mine@HASH
"""

import argparse
from pathlib import Path

from crosstune.artifacts.model_copy import copy_model
from crosstune.core.errors import run_program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="folder with the model")
    parser.add_argument("--sha256", required=True, help="identity of its files, as a dry run prints it")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--longest", type=int, required=True, help="tokens of the longest sequence")
    args = parser.parse_args()

    def check(folder: Path) -> None:
        from crosstune.modeling.base_model import check_base_model

        check_base_model(folder, args.longest)

    copy_model(args.folder, args.sha256, args.out, check)


if __name__ == "__main__":
    run_program(main)
