"""Preparing data: one language of one split, from its source to checked rows with a manifest.

Owns: the order of the checks against the record, the prepared files, the statistics.
Must never know: file formats (readers), the form of a record (registry).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import decode_text, read_json, read_jsonl, read_text, sha256_file, write_json, write_jsonl
from crosstune.data.archives import read_members
from crosstune.data.download.fetch import fetched, select
from crosstune.data.parquet import read_parquet
from crosstune.data.readers import read
from crosstune.data.readers.hub import from_records
from crosstune.data.readers.pieces import UPOS, Options
from crosstune.data.record import Dataset, is_archive
from crosstune.data.sources import FoldSource, HubSource, TranslatedSource, UrlSource, WorldSource

PREPARE_VERSION = 2

EVERY_MEMBER = ("**",)  # of an archive in a repository of the hub


def prepare(
    dataset: Dataset,
    split: str,
    lang: str,
    folders: Mapping[str, str | Path],
    raw: Path | str,
    out_jsonl: Path | str,
    out_manifest: Path | str,
) -> dict:
    """Write the rows of one language as JSON lines, then their manifest, which is returned.

    `folders` are those that records name, `raw` holds the constructed world and what was downloaded, and lies in the
    folder of prepared data.
    Raises UserError where the source is at fault or differs from the record in its hash or number of rows.
    """
    rows, sources = load(dataset, split, lang, folders, raw)
    if not rows:
        raise UserError(f"no rows are left for {lang!r} in the {split} split", f"{dataset.place}: {dataset.name}")
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
    dataset: Dataset, split: str, lang: str, folders: Mapping[str, str | Path], raw: Path | str
) -> tuple[list[dict], list[dict]]:
    """The rows of one language, less those that the record excludes, and where they came from, with hashes."""
    source = dataset.location(lang, split, folders)
    if isinstance(source, TranslatedSource | FoldSource):
        return _load_derived(dataset, source, split, lang, Path(raw).parent)
    prefix = dataset.token_prefix.replace("{lang}", lang)
    languages = dataset.splits[split].languages
    options = Options(lang, languages, dataset.tags or UPOS, dataset.labels, dataset.fields, prefix, dataset.codes)
    if isinstance(source, HubSource | UrlSource):
        rows, sources = _load_fetched(dataset, source, options, Path(raw))
    else:
        paths = [Path(raw, "world", path) for path in source.paths] if isinstance(source, WorldSource) else source
        rows = read(dataset.reader, [(str(path), read_text(path)) for path in paths], options)
        names = dataset.names(lang, split)
        sources = [{"file": name, "sha256": sha256_file(path)} for name, path in zip(names, paths, strict=True)]
    return without(rows, dataset.splits[split].exclude.get(lang, ()), f"{dataset.place}: {dataset.name}"), sources


def source_manifests(source: TranslatedSource | FoldSource, dataset: str, lang: str) -> list[str]:
    """Manifests of what the rows of `dataset` in a language are made of, relative to the folder of prepared data."""
    if isinstance(source, TranslatedSource):
        return [f"translated/{dataset}/{source.split}.{origin}-{lang}.json" for origin in source.origins]
    if source.origins:
        origins = [f"{source.origins}/train.{origin}.json" for origin in source.languages]
        return [f"{source.dataset}/train.{lang}.json", *origins]
    return [f"{source.dataset}/train.{other}.json" for other in source.languages]


def _load_derived(
    dataset: Dataset, source: TranslatedSource | FoldSource, split: str, lang: str, prepared: Path
) -> tuple[list[dict], list[dict]]:
    """Translated rows from every language, or those of one fold; and the prepared rows that they were made of."""
    manifests = [prepared / path for path in source_manifests(source, dataset.name, lang)]
    parts = [read_jsonl(path.with_suffix(".jsonl")) for path in manifests]
    origins = [
        {"file": str(path.relative_to(prepared).with_suffix(".jsonl")), "sha256": read_json(path)["sha256"]}
        for path in manifests
    ]
    if isinstance(source, TranslatedSource):
        return [row for part in parts for row in part], origins
    if source.origins:
        kept = {row["origin"] for part in parts[1:] for row in part}
        return [row for row in parts[0] if row["origin"] in kept], origins
    from crosstune.data.folds import split_ids  # with numpy, which other jobs do without

    rows = dict(zip(source.languages, parts, strict=True))
    chosen = set(split_ids(rows, dataset.folds, source.fold)[split][lang])
    name = f"{source.dataset}.{lang}"
    return [row | {"origin": f"{name}/{row['id']}"} for row in rows[lang] if row["id"] in chosen], origins


def _load_fetched(
    dataset: Dataset, source: HubSource | UrlSource, options: Options, raw: Path
) -> tuple[list[dict], list[dict]]:
    """The rows of files that were downloaded, or of members of downloaded archives, and where they came from."""
    entries = fetched(source, raw)
    if isinstance(source, HubSource):
        files = [
            file
            for entry in entries
            for file in _parts(entry["place"], EVERY_MEMBER if is_archive(entry["name"]) else ())
        ]
        origins = [{"hub": source.id, "revision": source.revision, "file": entry["name"]} for entry in entries]
        prefix = source.id_prefix
    else:
        files = [file for entry in entries for file in _parts(entry["place"], source.members)]
        members = {"members": list(source.members)} if source.members else {}
        origins = [{"url": entry["url"], **members} for entry in entries]
        prefix = ""
    sources = [{**origin, "sha256": entry["sha256"]} for origin, entry in zip(origins, entries, strict=True)]
    if all(name.endswith(".parquet") for name, _ in files):
        records = read_parquet([(name, BytesIO(content)) for name, content in files])
        return from_records(records, dataset.task, files[0][0], options, prefix), sources
    if dataset.reader is None:
        raise UserError("missing key 'reader': the files are no Parquet", f"{dataset.place}: {dataset.name}")
    rows = read(dataset.reader, [(name, decode_text(content, name)) for name, content in files], options)
    return [row for row in rows if row["id"].startswith(prefix)], sources


def _parts(path: Path, members: Sequence[str]) -> list[tuple[str, bytes]]:
    """(place, content) of a downloaded file, or of the files in an archive that fit the patterns `members`."""
    if not members:
        return [(str(path), path.read_bytes())]
    fix = "Correct the source's `member`."
    chosen = read_members(path, lambda names: select(names, [[pattern] for pattern in members], str(path), fix))
    return [(f"{path}/{name}", content) for name, content in chosen]


def check_record(dataset: Dataset, split: str, lang: str, rows: int, hashes: Sequence[str | None]) -> None:
    """The number of rows and the files' hashes are those of the record, where it states them."""
    place = f"{dataset.place}: {dataset.name}.splits.{split}"
    fix = f"Get the file that the record means, or pin this one: python scripts/pin.py {dataset.name}"
    expected = dataset.splits[split].rows.get(lang)
    if expected is not None and rows != expected:
        raise UserError(f"expected {expected} rows for {lang!r}, found {rows}", f"{place}.rows", fix)
    pinned = dataset.splits[split].sha256.get(lang)
    if pinned is not None and list(pinned) != list(hashes):
        wrong = next((pair for pair in zip(pinned, hashes, strict=False) if pair[0] != pair[1]), (pinned, hashes))
        message = f"the file for {lang!r} is another: expected SHA-256 {wrong[0]}, found {wrong[1]}"
        raise UserError(message, f"{place}.sha256", fix)


def without(rows: Sequence[dict], excluded: Sequence[str], place: str) -> list[dict]:
    """The rows whose id is not excluded. An excluded id that no row has is a UserError: the list is of other data."""
    if absent := sorted(set(excluded) - {row["id"] for row in rows}):
        raise UserError(
            f"excludes rows that do not exist: {', '.join(absent[:5])}", place, "Correct the key `exclude`."
        )
    return [row for row in rows if row["id"] not in set(excluded)]


def statistics(task: str, rows: Sequence[dict]) -> dict:
    """Numbers for the data tables. Lengths are in tokens for the sentences of tagging, else in characters."""
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
    found: dict = {}
    for field in ("text", "pair", "premise", "query", "candidate", "context"):
        if lengths := [len(row[field]) for row in rows if field in row]:
            found[field] = {"number": len(lengths), "characters": sum(lengths), **_spread(lengths)}
    if task in ("classification", "choice"):
        found["labels"] = dict(sorted(Counter(str(row["label"]) for row in rows).items()))
    return found


def _spread(lengths: Iterable[int]) -> dict[str, float]:
    lengths = list(lengths)
    return {"mean": round(sum(lengths) / len(lengths), 2), "max": max(lengths)}
