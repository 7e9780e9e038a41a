"""Translate the rows of one prepared split into another language.

An interrupted translation resumes from `<out>.part`, which no rule declares: a line of JSON with a stamp of the
translation, then a line for each translated batch of rows. A failing translator loses one batch. The bounds of batches
depend on the rows only.
"""

import fcntl
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import open_no_link, read_json, read_jsonl, sha256_file, sha256_json, write_json, write_jsonl
from crosstune.core.progress import Progress
from crosstune.data.translation.answer_projection import RowLines, project_answer, row_lines
from crosstune.data.translation.translators import Translator

TRANSLATE_VERSION = 1

# Characters of a batch's lines: some 100 rows of SQuAD.
BATCH_CHARACTERS = 100_000


def translate_rows(spec: Mapping, rows: Path, out: Path, translator: Translator, log: Path | None = None) -> dict:
    """Write the translation of the split with the manifest `rows` to `out`, then its manifest; return the manifest.

    `spec` has "from" and "to", codes of languages, and all other settings that affect the translation. A translated row
    has the id `<from>-<to>:<id>` and the "origin" of its source row, by default `<dataset>.<from>/<id>`.
    Raises UserError if the task cannot be translated, the translator lacks the pair or fails (finished batches are
    kept), or no row is left.
    """
    source = read_json(rows)
    _check(spec, source, rows)
    translator.check(spec["from"], spec["to"])
    data = read_jsonl(rows.with_suffix(".jsonl"))
    with PartialTranslation(out.with_name(f"{out.name}.part"), sha256_json([dict(spec), source["sha256"]])) as done:
        parts = list(batch_rows(data, translator.inside_words))
        rest = parts[len(done.batches) :]
        progress = Progress(f"translate {spec['from']}-{spec['to']}", len(parts), len(done.batches), log, unit="rows")
        begin = time.monotonic()
        for batch in rest:
            try:
                done.append(_translate_batch(batch, spec, translator))
            except UserError as error:
                number = sum(len(finished["outcomes"]) for finished in done.batches)
                fix = f"{number} of {len(data)} rows are translated and kept: rerun the same command to resume."
                raise UserError(error.message, error.where, f"{error.fix}\n{fix}".strip()) from None
            progress.advance(len(batch))
        progress.close()
        rate = sum(map(len, rest)) / (time.monotonic() - begin)
        manifest = _write(done.batches, data, source, spec, out)
        done.remove()
    return manifest | {"rows_per_second": rate}


def batch_rows(rows: Sequence[dict], inside_words: bool) -> Iterator[list[dict]]:
    """The rows in order, in batches whose lines to translate have about BATCH_CHARACTERS characters."""
    part, size = [], 0
    for row in rows:
        part.append(row)
        size += sum(map(len, row_lines(row, inside_words) or ()))
        if size >= BATCH_CHARACTERS:
            yield part
            part, size = [], 0
    if part:
        yield part


class PartialTranslation:
    """The locked file of an unfinished translation: `stamp` identifies the translation, `batches` are finished.

    Raises UserError if another process holds the lock, or the file is unreadable or has another stamp.
    """

    def __init__(self, path: Path, stamp: str):
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open_no_link(path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError("another process is translating here", str(path), "Wait for it, or stop it.") from None
        self._file.seek(0)
        content = self._file.read()
        # A killed process may have left half a line.
        whole = content[: content.rfind(b"\n") + 1]
        self._file.truncate(len(whole))
        try:
            head, *self.batches = map(json.loads, whole.splitlines() or [json.dumps({"stamp": stamp})])
        except ValueError:
            raise UserError("the partial translation cannot be read", str(path), f"rm {path}") from None
        if head.get("stamp") != stamp:
            message = "the partial translation belongs to another translator, other languages or other rows"
            raise UserError(message, str(path), f"If you do not need it: rm {path}")
        if not whole:
            self._write(head)

    def append(self, batch: dict) -> None:
        self._write(batch)
        self.batches.append(batch)

    def remove(self) -> None:
        self._path.unlink()

    def __enter__(self) -> "PartialTranslation":
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def _write(self, value: dict) -> None:
        self._file.write((json.dumps(value, ensure_ascii=False) + "\n").encode())
        self._file.flush()
        os.fsync(self._file.fileno())


def _check(spec: Mapping, source: Mapping, rows: Path) -> None:
    if source["task"] != "qa":
        message = f"rows of the task {source['task']!r} cannot be translated, only those of 'qa'"
        raise UserError(message, str(rows), "Use a data set that exists in this language.")
    if source["lang"] != spec["from"]:
        raise UserError(f"the rows are in {source['lang']}, and {spec['from']} is to be translated", str(rows))


def _translate_batch(rows: Sequence[dict], spec: Mapping, translator: Translator) -> dict:
    """A batch as stored: for each row [method or reason, translated row or None], and the number of truncations."""
    before = translator.truncated
    lines = [row_lines(row, translator.inside_words) for row in rows]
    distinct = list(dict.fromkeys(line for parts in lines if parts for line in parts))
    found = dict(zip(distinct, translator.translate(distinct, spec["from"], spec["to"]), strict=True))
    outcomes = []
    for row, parts in zip(rows, lines, strict=True):
        translated = RowLines(*(found[line] for line in parts)) if parts else RowLines("", "", "")
        outcome = project_answer(row, translated, translator.inside_words)
        outcomes.append([outcome.method, outcome.row])
    return {"outcomes": outcomes, "truncated": translator.truncated - before}


def _write(finished: Sequence[Mapping], data: Sequence[dict], source: Mapping, spec: Mapping, out: Path) -> dict:
    """Write the translated rows and the manifest. Raises UserError if there are no rows."""
    outcomes = [outcome for batch in finished for outcome in batch["outcomes"]]
    pair, origin = f"{spec['from']}-{spec['to']}", f"{source['dataset']}.{spec['from']}"
    translations = [
        {"id": f"{pair}:{row['id']}", "origin": row.get("origin", f"{origin}/{row['id']}"), **translated}
        for row, (_, translated) in zip(data, outcomes, strict=True)
        if translated is not None
    ]
    dropped = Counter(how for how, translated in outcomes if translated is None)
    if not translations:
        reasons = ", ".join(f"{how} {number}" for how, number in dropped.most_common())
        fix = f"Look at the translator's output for {pair}; then: rm {out}.part"
        raise UserError(f"no row is left of {len(data)} ({reasons})", str(out), fix)
    write_jsonl(out, translations)
    manifest = {
        "dataset": source["dataset"],
        "split": source["split"],
        "from": spec["from"],
        "to": spec["to"],
        "task": source["task"],
        "rows": len(data),
        "kept": len(translations),
        "dropped": dict(sorted(dropped.items())),
        "by": dict(sorted(Counter(how for how, translated in outcomes if translated is not None).items())),
        "truncated": sum(batch["truncated"] for batch in finished),
        "sha256": sha256_file(out),
        "data": source["sha256"],
        "content_key": source.get("content_key", ""),
        "spec": dict(spec),
    }
    write_json(out.with_suffix(".json"), manifest)
    return manifest
