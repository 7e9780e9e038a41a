"""Write the synthetic data: unlabelled and parallel text, question answering, tagged sentences, other tasks.

python scripts/synthetic.py --spec '{"seed": 0}' --out data/raw/world
"""

import argparse
import json

from crosstune.core.errors import UserError, run_program
from crosstune.data.synthetic import write_files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", default="{}", help="seed and sizes, as JSON; missing keys have defaults")
    parser.add_argument("--out", required=True, help="folder for the files")
    args = parser.parse_args()
    try:
        spec = json.loads(args.spec)
    except json.JSONDecodeError as error:
        raise UserError(f"not JSON ({error})", "--spec", """Write it like '{"seed": 0}'.""") from None
    write_files(spec, args.out)


if __name__ == "__main__":
    run_program(main)
