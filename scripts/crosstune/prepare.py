"""Preparing data: one language of one split, from its source to checked rows with a manifest.

Owns: the order of the checks against the record, the prepared files, the statistics.
Must never know: file formats (readers), the form of a record (registry).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from crosstune.errors import UserError
from crosstune.files import read_text, sha256_file, write_json, write_jsonl
from crosstune.readers import read
from crosstune.readers.hub import from_hub
from crosstune.readers.pieces import UPOS, Options
from crosstune.registry import Dataset, HubSource, WorldSource

PREPARE_VERSION = 1


def prepare(
    dataset: Dataset,
    split: str,
    lang: str,
    folders: Mapping[str, str | Path],
    world_dir: Path | str,
    out_jsonl: Path | str,
    out_manifest: Path | str,
) -> dict:
    """Write the rows of one language as JSON lines, then their manifest, which is returned.

    Raises UserError where the source is at fault or differs from the record in its hash or number of rows.
    """
    rows, sources = load(dataset, split, lang, folders, world_dir)
    check_record(dataset, split, lang, len(rows), [source.get("sha256") for source in sources])
    write_jsonl(out_jsonl, rows)
    manifest = {
        "dataset": dataset.name,
        "split": split,
        "lang": lang,
        "task": dataset.task,
        "rows": len(rows),
        "sha256": sha256_file(out_jsonl),
        "sources": sources,
        "licence": dataset.licence,
        "statistics": statistics(dataset.task, rows),
        "version": PREPARE_VERSION,
    }
    write_json(out_manifest, manifest)
    return manifest


def load(
    dataset: Dataset, split: str, lang: str, folders: Mapping[str, str | Path], world_dir: Path | str
) -> tuple[list[dict], list[dict]]:
    """The rows of one language, less those that the record excludes, and where they came from, with hashes."""
    source = dataset.location(lang, split, folders)
    prefix = dataset.token_prefix.replace("{lang}", lang)
    languages = dataset.splits[split].languages
    options = Options(lang, languages, dataset.tags or UPOS, dataset.labels, dataset.fields, prefix)
    if isinstance(source, HubSource):
        rows = from_hub(source, dataset.task, options)
        sources = [{"hub": source.id, "config": source.config, "split": source.split, "revision": source.revision}]
    else:
        paths = [Path(world_dir, path) for path in source.paths] if isinstance(source, WorldSource) else source
        rows = read(dataset.reader, [(str(path), read_text(path)) for path in paths], options)
        names = dataset.names(lang, split)
        sources = [{"file": name, "sha256": sha256_file(path)} for name, path in zip(names, paths, strict=True)]
    return without(rows, dataset.splits[split].exclude.get(lang, ()), f"{dataset.place}: {dataset.name}"), sources


def check_record(dataset: Dataset, split: str, lang: str, rows: int, hashes: Sequence[str | None]) -> None:
    """The number of rows and the files' hashes are those of the record, where it states them."""
    place = f"{dataset.place}: {dataset.name}.splits.{split}"
    cure = f"Get the file that the record means, or pin this one: python scripts/pin.py {dataset.name}"
    expected = dataset.splits[split].rows.get(lang)
    if expected is not None and rows != expected:
        raise UserError(f"expected {expected} rows for {lang!r}, found {rows}", f"{place}.rows", cure)
    pinned = dataset.splits[split].sha256.get(lang)
    if pinned is not None and list(pinned) != list(hashes):
        wrong = next((pair for pair in zip(pinned, hashes, strict=False) if pair[0] != pair[1]), (pinned, hashes))
        message = f"the file for {lang!r} is another: expected SHA-256 {wrong[0]}, found {wrong[1]}"
        raise UserError(message, f"{place}.sha256", cure)


def without(rows: Sequence[dict], excluded: Sequence[str], place: str) -> list[dict]:
    """The rows whose id is not excluded. An excluded id that no row has is a UserError: the list is of other data."""
    if absent := sorted(set(excluded) - {row["id"] for row in rows}):
        raise UserError(
            f"excludes rows that do not exist: {', '.join(absent[:5])}", place, "Correct the key `exclude`."
        )
    return [row for row in rows if row["id"] not in set(excluded)]


def statistics(task: str, rows: Sequence[dict]) -> dict:
    """Numbers for the data tables. Lengths are in characters for qa and text, in tokens for tagging."""
    if task == "qa":
        return {
            "contexts": len({row["context"] for row in rows}),
            "answers": sum(len(row["answers"]["text"]) for row in rows),
            "context_length": _spread(len(row["context"]) for row in rows),
            "question_length": _spread(len(row["question"]) for row in rows),
            "answer_length": _spread(len(text) for row in rows for text in row["answers"]["text"]),
        }
    if task == "tagging":
        return {
            "tokens": sum(len(row["tokens"]) for row in rows),
            "sentence_length": _spread(len(row["tokens"]) for row in rows),
            "tags": dict(Counter(tag for row in rows for tag in row["tags"])),
        }
    sides = {side: [len(row[side]) for row in rows if side in row] for side in ("text", "pair")}
    return {side: {"characters": sum(lengths), **_spread(lengths)} for side, lengths in sides.items() if lengths}


def pin(dataset: Dataset, folders: Mapping[str, str | Path]) -> dict[str, dict[str, dict]]:
    """{split: {"rows": {lang: n}, "sha256": {lang: hash or list of hashes}}} of a record of files, as they are now."""
    pins = {}
    for split, entry in dataset.splits.items():
        if "files" not in entry.source:
            message = f"the {split} split of {dataset.name!r} does not lie in files, so that there is nothing to pin"
            raise UserError(message, dataset.place, "A data set of the hub is pinned by its `revision`.")
        found = {lang: load(dataset, split, lang, folders, world_dir=".") for lang in entry.languages}
        hashes = {lang: [source["sha256"] for source in sources] for lang, (_, sources) in found.items()}
        pins[split] = {
            "rows": {lang: len(rows) for lang, (rows, _) in found.items()},
            "sha256": {lang: values[0] if len(values) == 1 else values for lang, values in hashes.items()},
        }
    return pins


def _spread(lengths: Iterable[int]) -> dict[str, float]:
    lengths = list(lengths)
    return {"mean": round(sum(lengths) / len(lengths), 2), "max": max(lengths)}
