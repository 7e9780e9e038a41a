"""Changed files of every format, synthetic and real: each is read right, or refused with its file and line."""

import csv
import io
import json
import random
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from crosstune.core.errors import UserError
from crosstune.core.files import decode_text, read_text
from crosstune.data.prepare import reader_options
from crosstune.data.readers import READERS, TABLE, read_rows
from crosstune.data.readers.hub import rows_from_records
from crosstune.data.readers.pieces import ReaderOptions
from crosstune.data.record import Dataset
from crosstune.data.registry import load_registry
from crosstune.data.sources import SyntheticSource
from crosstune.data.synthetic.write import generate_files
from crosstune.data.tables import TableFormat, read_tables

ROOT = Path(__file__).parents[2]
SIZES = {
    "seed": 3, "text_high": 40, "text_low": 20, "pairs_high": 20, "pairs_low": 20, "qa_train": 20, "qa_validation": 5,
    "qa_test": 5, "pos_train": 20, "pos_validation": 5, "pos_test": 5, "items_train": 4, "items_test": 4,
}  # fmt: skip
LINES = 120  # of a file of lines
REAL = [
    "squad", "xquad", "mlqa", "tydiqa", "ud", "udpos_xtreme", "panx", "xnli", "xcopa", "tatoeba_search", "lareqa",
    "squad_sentences", "squad_text", "ud_text", "panx_text", "xnli_text", "xcopa_text",
]  # fmt: skip
REGISTRY = load_registry(ROOT / "registry")
SYNTHETIC = [name for name in REGISTRY if REGISTRY[name].record_file.endswith("world.yaml") and REGISTRY[name].reader]
Files = list[tuple[str, bytes]]


@dataclass(frozen=True)
class Sample:
    """Files of one language, and how they are read."""

    reader: str
    files: tuple[tuple[str, str], ...]
    options: ReaderOptions

    def read(self, files: Files) -> list[dict]:
        return read_rows(self.reader, [(name, decode_text(content, name)) for name, content in files], self.options)

    def encoded(self, change: Callable[[str], str] = str, encoding: str = "utf-8") -> Files:
        """The files after a change of their texts."""
        return [(name, change(text).encode(encoding)) for name, text in self.files]

    def with_first(self, content: bytes) -> Files:
        """The files with other content of the first."""
        return [(self.files[0][0], content), *self.encoded()[1:]]


def shortened(text: str) -> str:
    """The first paragraphs of a JSON document, or the first lines of another file, whole sentences."""
    if text.startswith("{") and "\n{" not in text.strip():
        document = json.loads(text)
        document["data"] = [{**item, "paragraphs": item["paragraphs"][:2]} for item in document["data"][:2]]
        return json.dumps(document, ensure_ascii=False, indent=1)
    lines = text.split("\n")
    ends = [number for number, line in enumerate(lines) if not line]
    return "\n".join(
        lines[: next((end for end in ends if end >= LINES), len(lines))][: LINES if len(ends) < 3 else None]
    )


def sample(record: Dataset, files: Sequence[tuple[str, str]], lang: str, split: str) -> Sample:
    return Sample(record.reader or TABLE, tuple(files), reader_options(record, split, lang))


@pytest.fixture(scope="module")
def synthetic_files() -> dict[str, str]:
    return generate_files(SIZES)


# ------------------------------------------------------------------------------------------------------------- mutants


def cut(draw: random.Random, text: str) -> str:
    return text[: draw.randrange(1, len(text))]


def doubled(draw: random.Random, text: str) -> str:
    """With one block of lines a second time, or one question of a JSON document."""
    if text.startswith("{") and "\n{" not in text.strip():
        document = json.loads(text)
        document["data"][0]["paragraphs"] *= 2
        return json.dumps(document)
    blocks = text.split("\n\n")
    block = draw.randrange(len(blocks))
    return "\n\n".join([*blocks[: block + 1], *blocks[block:]])


def turned(text: str) -> str:
    """With the first column last."""
    if text.startswith("id,"):
        out = io.StringIO(newline="")
        csv.writer(out).writerows([*cells[1:], cells[0]] for cells in csv.reader(io.StringIO(text, newline="")))
        return out.getvalue()
    rows = [line.split("\t") for line in text.split("\n")]
    return "\n".join("\t".join([*cells[1:], cells[0]]) for cells in rows)


def normalized(value):
    if isinstance(value, dict):
        return {key: normalized(item) for key, item in value.items()}
    if isinstance(value, list):
        return [normalized(item) for item in value]
    return unicodedata.normalize("NFD", value) if isinstance(value, str) else value


def check_rows(rows: list[dict]) -> None:
    """What holds for rows of every format."""
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        if "tokens" in row:
            assert len(row["tokens"]) == len(row["tags"]) > 0 and all(row["tokens"])
        if "answers" in row:
            for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True):
                assert text and row["context"][start : start + len(text)] == text
        assert all(row[key].strip() for key in ("text", "pair", "premise", "query", "candidate") if key in row)
    json.dumps(rows, ensure_ascii=False, allow_nan=False).encode()


def read_or_refuse(given: Sample, files: Files) -> list[dict] | None:
    """The rows, or None if the files are refused with the name of one of them."""
    try:
        rows = given.read(files)
    except UserError as error:
        assert any(error.where.startswith(name) for name, _ in files), error
        assert error.message and "\n" not in error.where
        return None
    check_rows(rows)
    return rows


def check_sample(given: Sample, seed: str) -> None:
    draw = random.Random(seed)
    rows = given.read(given.encoded())
    check_rows(rows)
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        assert given.read(given.encoded(encoding=encoding)) == rows, encoding
    if given.reader != "chaii":  # whose line breaks inside quotes are text
        assert given.read(given.encoded(lambda text: text.replace("\n", "\r\n"))) == rows
    assert given.read(given.encoded(lambda text: text.rstrip("\n") + "\n\n")) == rows

    decomposed = read_or_refuse(given, given.encoded(lambda text: unicodedata.normalize("NFD", text)))
    assert decomposed is None or given.options.task == "text" or decomposed == normalized(rows)

    text = given.files[0][1]
    is_document = text.startswith("{") and "\n{" not in text.strip()
    latin = text.encode("latin-1", "ignore")
    if latin.decode("utf-8", "ignore").encode() != latin:
        assert read_or_refuse(given, given.with_first(latin)) is None
    for encoding in ("utf-16-le", "utf-16-be"):
        assert read_or_refuse(given, given.encoded(encoding=encoding)) is None, "without its mark"

    for _ in range(8):
        found = read_or_refuse(given, given.with_first(cut(draw, text.rstrip()).encode()))
        assert not (found and is_document), "half a document"
        assert sum(row not in rows for row in found or []) <= 1, "only the last row can be half of itself"
    # Bytes cut inside a character are no UTF-8.
    begin = next((n for n, character in enumerate(text) if ord(character) > 127), None)
    if begin is not None:
        assert read_or_refuse(given, given.with_first(text[: begin + 1].encode()[:-1])) is None

    twice = read_or_refuse(given, given.with_first(doubled(draw, text).encode()))
    assert twice is None or len(twice) >= len(rows)
    if given.reader == "chaii":
        assert given.read(given.encoded(turned)) == rows
    elif given.reader in ("conllu", "columns", "classified", "conllu-text", "columns-text"):
        assert read_or_refuse(given, given.encoded(turned)) is None, "columns in another order"
    options = replace(given.options, columns={}, table={}, codes={given.options.lang: "x"})
    for other in READERS:
        table = {"columns": {"text": 1}, "table": {"format": "tsv"}, "task": "text"} if other == TABLE else {}
        read_or_refuse(Sample(other, given.files[:1], replace(options, **table)), given.encoded()[:1])


@pytest.mark.parametrize("name", SYNTHETIC)
def test_changed_synthetic_files_are_read_right_or_refused(synthetic_files, name):
    record = REGISTRY[name]
    for split in record.splits:
        lang = record.splits[split].languages[-1]
        source = record.source(lang, split, {})
        if isinstance(source, SyntheticSource):
            files = [(str(path), shortened(synthetic_files[str(path)])) for path in source.paths]
            check_sample(sample(record, files, lang, split), f"{name} {split}")


@pytest.mark.parametrize("name", REAL)
def test_changed_real_files_are_read_right_or_refused(bundle, name):
    record = REGISTRY[name]
    split = next(iter(record.splits))
    for lang in record.splits[split].languages[-2:]:
        paths = record.source(lang, split, {"bundle": bundle})
        if missing := [path for path in paths if not path.is_file()]:
            pytest.skip(f"{missing[0]} is not there")
        files = [(str(path), shortened(read_text(path))) for path in paths]
        # Names without the suffix of compression: the changed texts are given plain.
        files = [(name.removesuffix(".xz"), text) for name, text in files]
        check_sample(sample(record, files, lang, split), f"{name} {lang}")


def test_the_samples_have_every_format():
    # A table of templates cannot be shortened; test_multichecklist.py changes its own.
    readers = {REGISTRY[name].reader or TABLE for name in [*SYNTHETIC, *REAL]}
    assert readers >= set(READERS) - {"pairs", "multichecklist"}


def test_a_damaged_table_is_read_or_refused(tmp_path):
    import pyarrow
    from pyarrow import parquet

    features = {"info": {"features": {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}}}
    texts = pyarrow.array([f"tést {number}" for number in range(50)])
    table = pyarrow.table({"text": texts, "label": pyarrow.array([0, 1] * 25)})
    table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    whole = io.BytesIO()
    parquet.write_table(table, whole, compression="none", use_dictionary=False)
    draw, options = random.Random(0), ReaderOptions(labels=("no", "yes"))
    refused, path = 0, tmp_path / "t.parquet"
    for _ in range(400):
        content = bytearray(whole.getvalue())
        for _ in range(draw.randrange(1, 4)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        content = content[: draw.randrange(len(content))] if draw.random() < 0.1 else content
        path.write_bytes(content)
        try:
            check_rows(
                rows_from_records(read_tables([path], TableFormat("parquet")), "classification", str(path), options)
            )
        except UserError as error:
            refused += 1
            assert error.where.startswith(str(path))
    assert 0 < refused < 400
