"""Translate the rows of one prepared split: contexts, questions and answers.

    python scripts/translate.py --rows data/squad/train.en.json --out data/translated/squad_mt/train.en-es.jsonl \\
        --spec '{"version": 1, "from": "en", "to": "es",
                 "translator": {"command": "apertium -u -f txt {pair}", "pairs": {"en-es": "eng-spa"}}}'

The same command resumes an interrupted translation.
"""

import argparse
import json
import sys
from pathlib import Path

from crosstune.core.errors import UserError, run_program, show
from crosstune.data.translation.translate_split import TRANSLATE_VERSION, translate_rows
from crosstune.data.translation.translators import load_translator
from crosstune.machine.gpu_lease import acquire_gpus
from crosstune.machine.warm_client import run_in_server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--spec", type=json.loads, required=True, help="version, translator, from, to; for some threads or synthetic"
    )
    parser.add_argument(
        "--rows", type=Path, required=True, help="manifest of the prepared split, in the folder of its rows"
    )
    parser.add_argument("--out", type=Path, required=True, help="rows to write (.jsonl); the manifest is its .json")
    parser.add_argument("--model", type=Path, help="folder of the fetched model, for a translator with `model`")
    parser.add_argument("--gpus", type=int, default=1, help="GPUs that share the work, if there are any")
    parser.add_argument("--log", type=Path, help="file for progress lines")
    args = parser.parse_args()
    if args.model:
        run_in_server()

    if args.spec.get("version") != TRANSLATE_VERSION:
        message = f"expected version {TRANSLATE_VERSION}, found {args.spec.get('version')!r}"
        raise UserError(message, "--spec", f'Say: "version": {TRANSLATE_VERSION}')
    if args.model:
        acquire_gpus(args.gpus, args.log)
        # Late, because it imports torch, which other translators do not need.
        from crosstune.machine.hardware import use_threads, warn_no_gpu

        use_threads(args.spec.get("threads", 1))
        warn_no_gpu(args.gpus, args.log)
    translator = load_translator(args.spec["translator"], args.model, args.spec.get("synthetic"))
    manifest = translate_rows(args.spec, args.rows, args.out, translator, args.log)
    show(summary(manifest), file=sys.stderr)


def summary(manifest: dict) -> str:
    """One line: kept rows by method, rejected rows by reason, truncations, speed."""
    found = ", ".join(f"{method} {number}" for method, number in manifest["by"].items())
    dropped = ", ".join(f"{reason} {number}" for reason, number in manifest["dropped"].items()) or "nothing"
    cut = f"; the end of {manifest['truncated']} pieces of text is not translated" if manifest["truncated"] else ""
    what = f"{manifest['dataset']} {manifest['from']}-{manifest['to']}"
    kept = f"kept {manifest['kept']} of {manifest['rows']} rows ({found})"
    return f"{what}: {kept}, given up: {dropped}{cut}; {manifest['rows_per_second']:,.1f} rows/s"


if __name__ == "__main__":
    run_program(main)
