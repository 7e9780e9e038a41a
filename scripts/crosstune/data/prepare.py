"""Prepare one language of one split: from its source to checked rows with a manifest."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import decode_text, read_json, read_jsonl, read_text, sha256_file, write_json, write_jsonl
from crosstune.data.archives import read_members
from crosstune.data.download.fetch import downloaded_files, select_files
from crosstune.data.parts import part_rows
from crosstune.data.places import check_below, check_bounds
from crosstune.data.readers import TABLE, read_rows
from crosstune.data.readers.hub import rows_from_records
from crosstune.data.readers.pieces import UPOS, ReaderOptions
from crosstune.data.record import Dataset, is_archive
from crosstune.data.sources import (
    DerivedSource,
    HubSource,
    PartSource,
    SavedSource,
    SyntheticSource,
    TranslatedSource,
    UrlSource,
)
from crosstune.data.tables import TableFormat, format_of, read_saved, read_tables, saved_files

PREPARE_VERSION = 2

EVERY_MEMBER = ("**",)  # patterns for an archive in a repository of the hub


def prepare(
    dataset: Dataset,
    split: str,
    lang: str,
    folders: Mapping[str, str | Path],
    raw: Path | str,
    out: Path,
    content_key: str = "",
) -> dict:
    """Write the rows of one language as JSON lines to `out` and then their manifest next to it; return the manifest.

    `folders` maps the folders that records name to paths. `raw` holds downloads and synthetic data; its parent holds
    prepared data. `content_key` names all that the rows depend on. `notes` of the manifest counts the rows that the
    record leaves out and the answers whose place was looked for. Raises UserError if the source is faulty, or differs
    from the record in hash or number of rows.
    """
    notes: Counter = Counter()
    rows, sources = load_rows(dataset, split, lang, folders, raw, notes)
    if not rows:
        raise UserError(f"no rows are left for {lang!r} in the {split} split", dataset.where)
    check_record(dataset, split, lang, len(rows), [source.get("sha256") for source in sources])
    write_jsonl(out, rows)
    manifest = {
        "dataset": dataset.name,
        "split": split,
        "lang": lang,
        "task": dataset.task,
        "rows": len(rows),
        "sha256": sha256_file(out),
        "content_key": content_key,
        "sources": sources,
        "statistics": statistics(dataset.task, rows),
        "version": PREPARE_VERSION,
        **({"notes": dict(sorted(notes.items()))} if notes else {}),
    }
    write_json(out.with_suffix(".json"), manifest)
    return manifest


def load_rows(
    dataset: Dataset,
    split: str,
    lang: str,
    folders: Mapping[str, str | Path],
    raw: Path | str,
    notes: Counter | None = None,
) -> tuple[list[dict], list[dict]]:
    """(rows, sources) of one language: the rows that the record does not exclude, and their files with hashes.

    `notes` gets counts of the rows that the record leaves out, and of what was looked for.
    """
    source = dataset.pinned_source(lang, split, folders)
    if isinstance(source, DerivedSource):
        return _load_derived(dataset, source, split, lang, Path(raw).parent)
    options = reader_options(dataset, split, lang)
    if isinstance(source, HubSource | UrlSource):
        rows, sources = _load_downloads(dataset, source, options, Path(raw))
    elif isinstance(source, SavedSource):
        records = read_saved(source.folder, source.split)
        rows = rows_from_records(records, dataset.task, str(source.folder), options, source.id_prefix)
        (name,) = dataset.file_names(lang, split)
        files = saved_files(source.folder, source.split)
        sources = [{"file": f"{name}/{path.relative_to(source.folder)}", "sha256": sha256_file(path)} for path in files]
    else:
        files = _bounded_files(dataset, source, split, lang, folders, Path(raw, "world"))
        rows = _read_local([path for _, path in files], dataset, options)
        sources = [{"file": name, "sha256": sha256_file(path)} for name, path in files]
    if notes is not None:
        notes.update(options.notes)
    return exclude_rows(
        rows, dataset.splits[split].exclude.get(lang, ()), f"{dataset.record_file}: {dataset.name}"
    ), sources


def reader_options(dataset: Dataset, split: str, lang: str) -> ReaderOptions:
    """What a record tells the reader of one language of a split."""
    return ReaderOptions(
        lang=lang,
        languages=dataset.splits[split].languages,
        tags=dataset.tags or UPOS,
        labels=dataset.choices or dataset.labels,
        token_prefix=dataset.token_prefix.replace("{lang}", lang),
        codes=dataset.codes,
        suite=dataset.suite,
        task=dataset.task,
        split=split,
        columns=dataset.columns,
        table=dataset.table,
        values=dataset.values,
        drop=dataset.drop,
        tag_scheme=dataset.tag_scheme,
        answer_start=dataset.answer_start,
    )


def _read_local(paths: Sequence[Path], dataset: Dataset, options: ReaderOptions) -> list[dict]:
    if all(path.suffix == ".parquet" for path in paths):
        for path in paths:
            if not path.exists():
                raise UserError("no such file", str(path))
        records = read_tables(paths, TableFormat("parquet"))
        return rows_from_records(records, dataset.task, str(paths[0]), options)
    return read_rows(_reader_of(dataset), [(str(path), read_text(path)) for path in paths], options)


def _reader_of(dataset: Dataset) -> str:
    """The reader of a record's files that are no Parquet. Raises UserError if it names neither reader nor columns."""
    if dataset.reader is None and not dataset.columns:
        message = "missing key 'reader' or 'columns': the files are no tables that name their columns"
        raise UserError(message, dataset.where)
    return dataset.reader or TABLE


def _bounded_files(
    dataset: Dataset, source: object, split: str, lang: str, folders: Mapping[str, str | Path], synthetic: Path
) -> list[tuple[str, Path]]:
    """(name, path) of the files of a source on disk. Raises UserError for one that leads out of its folder by now."""
    if not isinstance(source, SyntheticSource):
        files = dataset.local_files(lang, split, folders)
        for _, path in files:
            check_bounds(path, folders)
        return files
    files = [(name, synthetic / path) for name, path in zip(dataset.file_names(lang, split), source.paths, strict=True)]
    for _, path in files:
        check_below(path, synthetic)
    return files


def source_manifests(source: DerivedSource, dataset: str, lang: str) -> list[str]:
    """Manifests of the rows that those of `dataset` in a language derive from, relative to the data folder."""
    if isinstance(source, TranslatedSource):
        return [f"translated/{dataset}/{source.split}.{origin}-{lang}.json" for origin in source.origins]
    if source.origins:
        origins = [f"{source.origins}/train.{origin}.json" for origin in source.languages]
        return [f"{source.dataset}/train.{lang}.json", *origins]
    if isinstance(source, PartSource):
        return [f"{source.dataset}/{source.split}.{lang}.json"]
    return [f"{source.dataset}/train.{other}.json" for other in source.languages]


def _load_derived(
    dataset: Dataset, source: DerivedSource, split: str, lang: str, prepared: Path
) -> tuple[list[dict], list[dict]]:
    """(rows, sources) of translations, a fold or a part; the sources are the prepared rows that they derive from."""
    manifests = [prepared / path for path in source_manifests(source, dataset.name, lang)]
    parts = [read_jsonl(path.with_suffix(".jsonl")) for path in manifests]
    origins = [
        {"file": str(path.relative_to(prepared).with_suffix(".jsonl")), "sha256": read_json(path)["sha256"]}
        for path in manifests
    ]
    if isinstance(source, TranslatedSource):
        return [row for part in parts for row in part], origins
    if source.origins:
        originals = {row["origin"] for part in parts[1:] for row in part}
        return [row for row in parts[0] if row["origin"] in originals], origins
    if isinstance(source, PartSource):
        return part_rows(parts[0], source, split, lang), origins
    from crosstune.data.folds import split_ids  # imports numpy, which other jobs do not need

    rows = dict(zip(source.languages, parts, strict=True))
    chosen = set(split_ids(rows, dataset.folds, source.fold)[split][lang])
    name = f"{source.dataset}.{lang}"
    return [row | {"origin": f"{name}/{row['id']}"} for row in rows[lang] if row["id"] in chosen], origins


def _load_downloads(
    dataset: Dataset, source: HubSource | UrlSource, options: ReaderOptions, raw: Path
) -> tuple[list[dict], list[dict]]:
    """(rows, sources) of downloaded files and of members of downloaded archives."""
    entries, form = downloaded_files(source, raw)
    if isinstance(source, HubSource):
        origins = [{"hub": source.id, "revision": source.revision, "file": entry["name"]} for entry in entries]
        members = [EVERY_MEMBER if is_archive(entry["name"]) else () for entry in entries]
        prefix = source.id_prefix
    else:
        chosen = {"members": list(source.members)} if source.members else {}
        origins = [{"url": entry["url"], **chosen} for entry in entries]
        members, prefix = [source.members] * len(entries), ""
    sources = [{**origin, "sha256": entry["sha256"]} for origin, entry in zip(origins, entries, strict=True)]
    places = [entry["place"] for entry in entries]
    stated, form = form is not None, form or format_of([str(place) for place in places])
    names_columns = dataset.reader is None and (stated or not dataset.columns)
    if form is not None and (form.builder == "parquet" or names_columns):
        return rows_from_records(read_tables(places, form), dataset.task, str(places[0]), options, prefix), sources
    files = [file for place, patterns in zip(places, members, strict=True) for file in _read_files(place, patterns)]
    rows = read_rows(_reader_of(dataset), [(name, decode_text(content, name)) for name, content in files], options)
    return [row for row in rows if row["id"].startswith(prefix)], sources


def _read_files(path: Path, members: Sequence[str]) -> list[tuple[str, bytes]]:
    """(name, content) of a downloaded file or, for an archive, of its files that match the patterns `members`."""
    if not members:
        return [(str(path), path.read_bytes())]
    fix = "Correct the source's `member`."
    chosen = read_members(path, lambda names: select_files(names, [[pattern] for pattern in members], str(path), fix))
    return [(f"{path}/{name}", content) for name, content in chosen]


def check_record(dataset: Dataset, split: str, lang: str, rows: int, hashes: Sequence[str | None]) -> None:
    """Raise UserError if the number of rows or the files' hashes differ from those that the record states."""
    where = f"{dataset.where}.splits.{split}"
    fix = f"Get the file that the record means, or pin this one: python scripts/pin.py {dataset.name}"
    expected = dataset.splits[split].rows.get(lang)
    if expected is not None and rows != expected:
        raise UserError(f"expected {expected} rows for {lang!r}, found {rows}", f"{where}.rows", fix)
    pinned = dataset.splits[split].sha256.get(lang)
    if pinned is not None and list(pinned) != list(hashes):
        wrong = next((pair for pair in zip(pinned, hashes, strict=False) if pair[0] != pair[1]), (pinned, hashes))
        message = f"the file for {lang!r} is another: expected SHA-256 {wrong[0]}, found {wrong[1]}"
        raise UserError(message, f"{where}.sha256", fix)


def exclude_rows(rows: Sequence[dict], ids: Sequence[str], where: str) -> list[dict]:
    """The rows whose id is not in `ids`. Raises UserError if an id has no row: the list belongs to other data."""
    if absent := sorted(set(ids) - {row["id"] for row in rows}):
        message = f"excludes rows that do not exist: {', '.join(absent[:5])}"
        raise UserError(message, where, "Correct the key `exclude`.")
    return [row for row in rows if row["id"] not in set(ids)]


def statistics(task: str, rows: Sequence[dict]) -> dict:
    """Counts for the data tables. Sentence lengths of tagging are in tokens, all other lengths in characters."""
    if task == "qa":
        return case_statistics(rows) | {
            "contexts": len({row["context"] for row in rows}),
            "answers": sum(len(row["answers"]["text"]) for row in rows),
            "context_length": _mean_and_max(len(row["context"]) for row in rows),
            "question_length": _mean_and_max(len(row["question"]) for row in rows),
            "answer_length": _mean_and_max(len(text) for row in rows for text in row["answers"]["text"]),
        }
    if task == "tagging":
        return {
            "tokens": sum(len(row["tokens"]) for row in rows),
            "sentence_length": _mean_and_max(len(row["tokens"]) for row in rows),
            "tags": dict(Counter(tag for row in rows for tag in row["tags"])),
        }
    counts: dict = {}
    for field in ("text", "pair", "premise", "query", "candidate", "context"):
        if lengths := [len(row[field]) for row in rows if field in row]:
            counts[field] = {"number": len(lengths), "characters": sum(lengths), **_mean_and_max(lengths)}
    if task in ("classification", "choice"):
        counts["labels"] = dict(sorted(Counter(str(row["label"]) for row in rows).items()))
    return counts


def case_statistics(rows: Sequence[dict]) -> dict:
    """For rows of test cases, by test the number of cases, and of those with each fault; empty for other rows."""
    cases = {(row["case"]["test"], row["case"]["number"]): row["case"] for row in rows if "case" in row}
    tests: dict[str, dict] = {}
    for (test, _), case in cases.items():
        counts = tests.setdefault(test, {"cases": case["of"], "with_examples": 0, "faults": {}})
        counts["with_examples"] += 1
        for fault in case["faults"]:
            counts["faults"][fault] = counts["faults"].get(fault, 0) + 1
    return {"tests": tests} if tests else {}


def _mean_and_max(lengths: Iterable[int]) -> dict[str, float]:
    lengths = list(lengths)
    return {"mean": round(sum(lengths) / len(lengths), 2), "max": max(lengths)}
