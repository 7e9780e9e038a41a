"""Predict all languages of a data set with one checkpoint.

    python scripts/predict.py --spec '{"dataset": "worldqa", "head": "qa", ...}' --model STAGE/model \\
        --data data/worldqa/test.qen.json data/worldqa/test.qes.json --out STAGE/predictions/worldqa
"""

import argparse
import json
from pathlib import Path

from crosstune.compute import use_threads
from crosstune.errors import run_program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", type=json.loads, required=True, help="what is predicted and how, as JSON")
    parser.add_argument("--model", type=Path, required=True, help="folder with config, tokenizer and weights")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="manifests of the prepared languages")
    parser.add_argument("--out", type=Path, required=True, help="folder of the predictions; its manifest is OUT.json")
    parser.add_argument("--tokens", type=int, default=8192, help="tokens of one forward pass (%(default)s)")
    parser.add_argument("--log", type=Path, help="file for progress lines")
    args = parser.parse_args()

    use_threads(args.spec["threads"])
    from crosstune.predict import predict_dataset

    predict_dataset(args.spec, args.model, args.data, args.out, args.tokens, args.log)


if __name__ == "__main__":
    run_program(main)
