"""Pin records and models: state the exact version of what they download.

For an unpinned record, the current commit of the hub is written into the registry file, and the hashes of addresses are
printed to paste. Commits of models are printed too. For any other record, the rows of every language and the SHA-256 of
every file are printed to paste.

python scripts/pin.py xquad_full
python scripts/pin.py --models '{"models.mbert": ["google-bert/bert-base-multilingual-cased", "main"]}'
python scripts/pin.py xquad --folders '{"bundle": "../shared/data"}'
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from crosstune.core.errors import run_program, show
from crosstune.data.download.hub import find_commit
from crosstune.data.download.pinning import find_hashes, find_numbers, find_revisions, quote_commit, write_revision
from crosstune.data.record import Dataset
from crosstune.data.registry import load_registry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", help="names of records")
    parser.add_argument(
        "--models", type=json.loads, default={}, help='models, as JSON: {"models.m": ["owner/name", "main"]}'
    )
    parser.add_argument("--registry", default="registry", help="folder of the records (default: %(default)s)")
    parser.add_argument(
        "--extra", type=json.loads, default={}, help="more records, the study's key `datasets`, as JSON"
    )
    parser.add_argument("--folders", type=json.loads, default={}, help="folders that records name in braces, as JSON")
    parser.add_argument("--raw", type=Path, default=Path("data/raw"), help="folder of raw data (default: %(default)s)")
    args = parser.parse_args()

    registry = load_registry(args.registry, args.extra)
    if not args.datasets and not args.models:
        show("Everything is pinned.")
    for name in args.datasets:
        pin_one(registry[name], args.folders, args.raw)
    for key, (name, reference) in args.models.items():
        commit = find_commit("model", name, reference)
        show(f"{key}: paste it into the study, the present commit of {name}, {reference}")
        show(f"  revision: {quote_commit(commit)}")


def pin_one(dataset: Dataset, folders: Mapping[str, str], raw: Path) -> None:
    languages = [(lang, split) for split, entry in dataset.splits.items() for lang in entry.languages]
    if all(dataset.is_pinned(*language) for language in languages):
        show(yaml.dump({"splits": find_numbers(dataset, folders, raw)}, sort_keys=False, allow_unicode=True).rstrip())
        return
    for repository, commit in find_revisions(dataset).items():
        path = Path(dataset.record_file)
        written = path.exists() and write_revision(path, dataset.name, repository, commit)
        where = f"written to {path}" if written else f"paste it into the source of {repository}"
        show(f"{dataset.name}: {where}\n  revision: {quote_commit(commit)}")
    if hashes := find_hashes(dataset, raw):
        show(f"{dataset.name}: paste this into the record")
        show(yaml.dump({"splits": hashes}, sort_keys=False, allow_unicode=True).rstrip())


if __name__ == "__main__":
    run_program(main)
