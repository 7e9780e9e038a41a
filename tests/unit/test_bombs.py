"""Small files that would fill a machine's memory or time: each is read in a process that may take little of either."""

import gzip
import io
import json
import lzma
import struct
import sys
import tarfile
import zipfile
from itertools import pairwise
from pathlib import Path

import pyarrow
import pytest
from helpers.limits import Outcome, run_limited
from pyarrow import parquet

from crosstune.core.bombs import HARMLESS_BYTES, check_size, largest_size
from crosstune.core.errors import UserError
from crosstune.core.files import decode_text
from crosstune.data.archives import read_members

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits a process's memory and reads it in /proc")

MB = 1_000_000
# Unpacked, more than MEMORY; the largest that a check lets pass takes less, even twice.
BOMB = 600 * MB
MEMORY = 350 * MB

READ = "from crosstune.core.files import read_text"
MEMBERS = "from pathlib import Path; from crosstune.data.archives import read_members"
TABLE = (
    "from crosstune.data.datasets_library import import_datasets; import_datasets(); import datasets.arrow_dataset;"
    " from pathlib import Path; from crosstune.data.tables import TableFormat, read_tables"
)
READ_TABLE = "list(read_tables([Path('x.parquet')], TableFormat('parquet')))"
YAML = "from crosstune.core.strict_yaml import read_strict"
STUDY = "from crosstune.core.strict_yaml import read_strict; from crosstune.core.schema import validate"
JSON = "from crosstune.data.readers.pieces import parse_json"
PATTERN = "from crosstune.data.download.fetch import match_names"


@pytest.fixture
def within(tmp_path):
    """Run code with little memory in the test's folder; it must end in a UserError well below the limit."""

    def run(prepare: str, action: str, memory: int = MEMORY, seconds: int = 60) -> str:
        outcome = run_limited(tmp_path, prepare, action, memory, seconds)
        assert outcome.error == "UserError", outcome
        assert outcome.grown < memory
        return outcome.message

    return run


@pytest.fixture(scope="module")
def zeros() -> dict[str, bytes]:
    """The bomb in two compressions: many compressed pieces one after the other."""
    piece = bytes(BOMB // 12)
    return {"gz": gzip.compress(piece, 6) * 12, "xz": lzma.compress(piece, preset=0) * 12}


def test_a_process_with_little_memory_fails_alone(tmp_path):
    """The limit works: otherwise no test below would show anything."""
    assert run_limited(tmp_path, "", f"bytes({2 * MEMORY})", MEMORY).error == "MemoryError"
    fine = run_limited(tmp_path, "", f"len(bytes({MEMORY // 2}))", MEMORY)
    assert not fine.error and MEMORY // 2 <= fine.grown < MEMORY
    assert run_limited(tmp_path, "", "any(iter(int, 1))", MEMORY, 1).error == "killed"


@pytest.mark.parametrize("suffix", ["gz", "xz"])
def test_a_compressed_text(suffix, zeros, within, tmp_path):
    (tmp_path / f"x.tsv.{suffix}").write_bytes(zeros[suffix])
    assert "unpack to" in within(READ, f"read_text('x.tsv.{suffix}')")


@pytest.mark.parametrize("suffix", ["gz", "xz"])
def test_a_text_that_is_no_bomb_is_read(suffix):
    packed = {"gz": gzip, "xz": lzma}[suffix].compress(b"a\n" * 1000)
    assert decode_text(packed, f"x.{suffix}") == "a\n" * 1000


def test_members_of_a_zip_archive(within, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("small.tsv", "a")
        for name in "abc":
            archive.writestr(name, bytes(BOMB // 3))
    assert read_members(tmp_path / "x.zip", lambda names: ["small.tsv"]) == [("small.tsv", b"a")]
    assert "unpack to" in within(MEMBERS, "read_members(Path('x.zip'), sorted)")


@pytest.mark.parametrize(
    ("method", "message"), [(zipfile.ZIP_DEFLATED, "damaged"), (zipfile.ZIP_BZIP2, "compressed by a method")]
)
def test_a_zip_archive_whose_list_lies(method, message, within, tmp_path):
    """Its directory says that a member has ten bytes."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w", method) as archive, archive.open("a", "w") as file:
        for _ in range(12):
            file.write(bytes(BOMB // 12))
    content = bytearray((tmp_path / "x.zip").read_bytes())
    entry = content.index(b"PK\x01\x02")
    assert struct.unpack_from("<I", content, entry + 24) == (BOMB,)
    struct.pack_into("<I", content, entry + 24, 10)
    (tmp_path / "x.zip").write_bytes(content)
    assert message in within(MEMBERS, "read_members(Path('x.zip'), sorted)")


def tar_of_zeros(kind: bytes, packed: str) -> bytes:
    """A compressed tar archive that begins with an entry of a kind and of BOMB bytes."""
    header = tarfile.TarInfo("x")
    header.size, header.type = BOMB, kind
    stream = io.BytesIO()
    with {"gz": gzip, "xz": lzma}[packed].open(stream, "wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        for _ in range(12):
            file.write(bytes(BOMB // 12))
        with tarfile.open(fileobj=file, mode="w|") as archive:
            small = tarfile.TarInfo("small.tsv")
            small.size = 1
            archive.addfile(small, io.BytesIO(b"a"))
    return stream.getvalue()


@pytest.mark.parametrize(
    "kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.REGTYPE], ids=["attributes", "name", "member"]
)
def test_an_entry_of_a_compressed_tar_archive(kind, within, tmp_path):
    """A header for long names too, and a member that nobody asked for: to pass it, all of it is unpacked."""
    (tmp_path / "x.tar.gz").write_bytes(tar_of_zeros(kind, "gz"))
    choose = "lambda names: [name for name in names if name == 'small.tsv']"
    assert "unpack to" in within(MEMBERS, f"read_members(Path('x.tar.gz'), {choose})")


def test_a_parquet_file_of_one_text_many_times(within, tmp_path):
    table = pyarrow.table({"text": pyarrow.array(["x" * 100_000] * (BOMB // 100_000)).dictionary_encode()})
    parquet.write_table(table, tmp_path / "x.parquet")
    # pyarrow reads ahead on threads: how much is in memory at once depends on how busy the machine is.
    assert "unpack to" in within(TABLE, READ_TABLE, memory=3 * MEMORY)


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_a_compressed_parquet_file(compression, within, tmp_path):
    table = pyarrow.table({"text": ["x" * (BOMB // 4)] * 4})
    parquet.write_table(table, tmp_path / "x.parquet", compression=compression, use_dictionary=False)
    assert (tmp_path / "x.parquet").stat().st_size < 2 * MB
    assert "unpack to" in within(TABLE, READ_TABLE, memory=3 * MEMORY)


LETTERS = "abcdefghijklmnop"


def doubled(line: str) -> str:
    """Lines of YAML, each with ten aliases of the one before."""
    lines = [f"{one}: &{one} {line.format(','.join(['*' + before] * 10))}" for before, one in pairwise(LETTERS)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"a: &a [1, 1]\n{doubled('[{}]')}", "aliases make this a value of more than"),
        (f"a: &a {{x: 1}}\n{doubled('{{<<: [{}]}}')}", "merges add more than"),
        (f"a: {'[' * 100_000}", "lists and mappings inside each other"),
        ("- " * 100_000, "lists and mappings inside each other"),
        ("- " * 400, "lists and mappings inside each other"),
        ("".join(" " * depth + "a:\n" for depth in range(900)), "lists and mappings inside each other"),
        (f"a: {':'.join(['1'] * 20_000)}", "not valid YAML"),
        (f"a: {'1' * MB}", "not valid YAML"),
    ],
    ids=["aliases", "merges", "brackets", "dashes", "fewer", "mappings", "sexagesimal", "digits"],
)
def test_a_config(text, message, within, tmp_path):
    (tmp_path / "x.yaml").write_text(text)
    assert message in within(YAML, "read_strict('x.yaml')", 200 * MB)


@pytest.mark.parametrize("number", [f"0x{'f' * MB}", f"1.5e+{'9' * MB}", "9" * 4000], ids=["hex", "exponent", "digits"])
def test_a_number_of_a_config(number, within, tmp_path):
    (tmp_path / "x.yaml").write_text(f"study: {number}")
    schema = Path(__file__).parents[2] / "schemas/study.schema.yaml"
    within(STUDY, f"validate(read_strict('x.yaml'), '{schema}')", 200 * MB)


@pytest.mark.parametrize("text", ["[" * 5 * MB, '{"a":' * MB, "9" * 5 * MB], ids=["lists", "objects", "digits"])
def test_a_json_text(text, within, tmp_path):
    (tmp_path / "x.json").write_text(text)
    assert "not valid JSON" in within(JSON, "parse_json(open('x.json').read(), 'x.json')", 200 * MB)


@pytest.mark.parametrize("pattern", ["*a" * 40 + "b", "**/" * 3 + "*a" * 40 + "b", "a?" * 5000], ids=len)
def test_a_pattern_of_file_names_takes_no_time(pattern, tmp_path):
    names = ["a" * 300, "a/" * 150]
    outcome = run_limited(tmp_path, PATTERN, f"match_names({json.dumps(names)}, {pattern!r})", 200 * MB, 5)
    assert outcome == Outcome("", "", outcome.grown)


def test_a_pattern_of_many_deep_stars_is_refused(within):
    assert "more than 3 times" in within(PATTERN, f"match_names(['a' * 300], {'**a' * 40 + 'b'!r})", 200 * MB, 5)


def test_the_limit_is_a_ratio_above_a_harmless_size():
    assert largest_size(10) == HARMLESS_BYTES and largest_size(MB) == 200 * MB
    check_size(MB, 200 * MB, "x")
    with pytest.raises(UserError, match="x: 1,000,000 bytes unpack to 200,000,001 or more"):
        check_size(MB, 200 * MB + 1, "x")
