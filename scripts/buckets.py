"""Compare two schedules by bucket of examples: where does one help?

    python scripts/buckets.py --plan results/default/plan.json --results results/default --out results/default/buckets

Reads the plan, the scores of examples, the prepared rows and, where an attribute needs one, the base model's
tokenizer of the entries of the study's key `buckets`. Writes
`<name>.<model>.csv`, `.md`, `.tex` and `.svg` for each entry and model, and `.json` for the page. docs/buckets.md
explains every number.
"""

import argparse
from functools import partial
from pathlib import Path

from crosstune.analysis.buckets import compute_buckets
from crosstune.analysis.contrasts import ExampleReader
from crosstune.analysis.results import Panel, load_results
from crosstune.artifacts.checkpoint import MANIFEST
from crosstune.core.errors import UserError, run_program
from crosstune.core.files import write_json, write_text
from crosstune.modeling.pieces import piece_attributes
from crosstune.modeling.tokenization import Tokenizer
from crosstune.reporting.figures import marked
from crosstune.reporting.figures.buckets import buckets_figure
from crosstune.reporting.tables.buckets import bucket_table
from crosstune.reporting.tables.formats import table_files, write_files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", required=True, type=Path, help="the study's plan.json")
    parser.add_argument("--results", required=True, type=Path, help="the study's folder of results")
    parser.add_argument("--out", required=True, type=Path, help="folder to write the tables into")
    args = parser.parse_args()
    study = load_results(args.plan, args.results)
    reader = ExampleReader(args.results)
    for entry in study.plan.get("buckets", []):
        panel = entry["panels"][0]
        for model in study.plan["models"]:
            own = Panel(study, model, panel["track"], panel["dataset"])
            folder = entry.get("tokenizers", {}).get(model)
            of_tokenizer = folder and partial(piece_attributes, tokenizer=base_tokenizer(Path(folder)))
            buckets = compute_buckets(study, entry, model, reader, of_tokenizer)
            table = bucket_table(entry, own, buckets)
            write_files(table_files(table), args.out, study.pilot)
            write_json(args.out / f"{table.name}.json", [bucket.entry() for bucket in buckets])
            if buckets:
                figure = marked(buckets_figure(entry, own, buckets), study)
                write_text(args.out / f"{entry['name']}.{model}.svg", figure.svg)


def base_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a base model; UserError if its folder has none, as after an import of results."""
    if not (folder / "tokenizer.json").exists():
        fix = f"Make it again: snakemake --cores 1 --force {folder.parent / MANIFEST}"
        raise UserError("the base model has no tokenizer, which attributes of buckets need", str(folder), fix)
    return Tokenizer(folder)


if __name__ == "__main__":
    run_program(main)
