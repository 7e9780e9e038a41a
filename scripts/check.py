"""Check what a study's models can read of its prepared rows, before anything is trained.

    python scripts/check.py --configfile studies/mine.yaml --out results/mine/encoding.json

For every model, data set and language: the best scores that the windows allow (answers that no span can give), the
share of unknown tokens, the pieces of a word, the rows that a limit cuts. `snakemake --cores 2 check` prepares rows and
models first; alone, the program reads those that exist.
"""

import argparse
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from crosstune.core.errors import run_program, show
from crosstune.core.files import read_jsonl, write_json, write_text
from crosstune.core.schema import read_yaml
from crosstune.reporting.tables.encoding import encoding_table
from crosstune.reporting.tables.formats import pipe_table
from crosstune.study.build import build_study
from crosstune.study.encodings import Encoding, encodings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, default=Path("config.yaml"), help="the study (%(default)s)")
    parser.add_argument("--config", type=json.loads, help="the config itself, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="findings to write (.json), and a table (.md)")
    args = parser.parse_args()

    found = []
    for entry, facts in check(build_study(args.config or read_yaml(args.configfile))):
        found.append(entry.names | facts)
        show(line(entry, facts))
    write_json(args.out, {"encodings": found})
    write_text(args.out.with_suffix(".md"), pipe_table(*encoding_table({"encodings": found}), 5) + "\n")


def check(study) -> Iterator[tuple[Encoding, dict]]:
    """Every encoding of a study whose model and rows exist, with its facts."""
    from crosstune.modeling.encoding_facts import encoding_facts
    from crosstune.modeling.tasks import load_task
    from crosstune.modeling.tokenization import Tokenizer

    tokenizers = cache(Tokenizer)
    for entry in encodings(study):
        rows = Path(str(entry.rows)).with_suffix(".jsonl")
        if rows.exists() and (entry.folder / "tokenizer.json").exists():
            task = load_task(entry.head["name"], entry.head["labels"])
            tokenizer = tokenizers(entry.folder)
            language = entry.rows.language
            yield entry, encoding_facts(task, read_jsonl(rows), tokenizer, entry.options, entry.metric, language)


def line(entry: Encoding, facts: dict) -> str:
    """The facts in one line."""
    from crosstune.modeling.encoding_facts import unknown_warnings

    parts = [f"{facts['rows']} rows", f"{facts['cut']} cut", f"{100 * facts['unknown']:.1f}% unknown tokens"]
    if facts["pieces"]:
        parts.append(f"{facts['pieces']:.2f} pieces a word")
    if facts["ceiling"]:
        parts += [f"at most {key} {score:.1f}" for key, score in facts["ceiling"].items() if key != "n"]
    head = f"{entry.model}, track {entry.track}, {entry.rows.dataset}/{entry.rows.split}.{entry.rows.language}"
    return "\n  ".join([f"{head}: {', '.join(parts)}", *unknown_warnings({"this language": facts["unknown"]})])


if __name__ == "__main__":
    run_program(main)
