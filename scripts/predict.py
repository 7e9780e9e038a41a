"""Predict all languages of a data set with one checkpoint.

    python scripts/predict.py --spec '{"dataset": "worldqa", "head": "qa", ...}' --stage results/default/... \\
        --data data/worldqa/test.qen.json data/worldqa/test.qes.json --out STAGE/predictions/worldqa
"""

import argparse
import json
import os
from pathlib import Path

from crosstune.ahead import adopt_predictions
from crosstune.compute import quick_imports, refuse_duplicates, use_threads
from crosstune.errors import run_program
from crosstune.files import read_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", type=json.loads, required=True, help="what is predicted and how, as JSON")
    parser.add_argument("--stage", type=Path, required=True, help="checkpoint folder")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="manifests of the prepared languages")
    parser.add_argument("--out", type=Path, required=True, help="folder of the predictions; its manifest is OUT.json")
    parser.add_argument("--cache", type=Path, help="folder of encoded rows, shared by all checkpoints")
    parser.add_argument("--log", type=Path, help="file for progress lines")
    args = parser.parse_args()
    refuse_duplicates(os.environ)

    weights = read_json(args.stage / "stage.json")["weights"]
    if adopt_predictions(args.stage, args.spec, weights, args.data, args.out):
        return
    with quick_imports():
        use_threads(args.spec["threads"])
        from crosstune.encoded import EncodedData
        from crosstune.encoding import TextEncoder
        from crosstune.network import load_network
        from crosstune.predict import predict_dataset

    model = args.stage / "model"
    network = load_network(model, packing=args.spec["packing"])
    encoded = EncodedData(args.cache, TextEncoder(model))
    predict_dataset(args.spec, network, encoded, weights, args.data, args.out, args.log)


if __name__ == "__main__":
    run_program(main)
