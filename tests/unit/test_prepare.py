"""Prepared data: rows, manifests, checks against the record, and the programs prepare and pin."""

import gzip
import hashlib
import json
import lzma
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from crosstune.core.errors import UserError
from crosstune.core.files import read_json, read_jsonl
from crosstune.data.download.pinning import find_numbers
from crosstune.data.prepare import PREPARE_VERSION, prepare, statistics
from crosstune.data.registry import load_registry

ROOT = Path(__file__).parents[2]
PAIRS = "a\tx\nbcd\tyz\n"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def record(**changes):
    toy = {
        "task": "text",
        "title": "Toy",
        "source": {"files": "{bundle}/{lang}.tsv"},
        "reader": "pairs",
        "languages": ["en"],
        "licence": "CC0-1.0",
        "splits": {"train": {}},
    }
    return {"toy": toy | changes}


@pytest.fixture
def run(tmp_path):
    """A function that prepares the toy record with some keys changed and returns (rows, manifest)."""

    def run(**changes):
        dataset = load_registry(tmp_path, record(**changes))["toy"]
        out = tmp_path / "data/toy/train.en.jsonl"
        manifest = prepare(dataset, "train", "en", {"bundle": tmp_path}, tmp_path, out, "k1")
        assert manifest == read_json(out.with_suffix(".json"))
        return read_jsonl(out), manifest

    (tmp_path / "en.tsv").write_text(PAIRS)
    return run


def test_prepare_writes_rows_and_a_manifest(run, tmp_path):
    rows, manifest = run(splits={"train": {"rows": {"en": 2}, "sha256": {"en": sha256(PAIRS.encode())}}})
    assert rows == [{"id": "en:1", "text": "a", "pair": "x"}, {"id": "en:2", "text": "bcd", "pair": "yz"}]
    assert manifest == {
        "dataset": "toy",
        "split": "train",
        "lang": "en",
        "task": "text",
        "rows": 2,
        "sha256": sha256((tmp_path / "data/toy/train.en.jsonl").read_bytes()),
        "content_key": "k1",
        "sources": [{"file": "{bundle}/en.tsv", "sha256": sha256(PAIRS.encode())}],
        "statistics": {
            "text": {"number": 2, "characters": 4, "mean": 2.0, "max": 3},
            "pair": {"number": 2, "characters": 3, "mean": 1.5, "max": 2},
        },
        "version": PREPARE_VERSION,
    }


@pytest.mark.parametrize(("suffix", "compress"), [(".xz", lzma.compress), (".gz", gzip.compress)])
def test_compressed_files_are_read(run, tmp_path, suffix, compress):
    (tmp_path / f"en.tsv{suffix}").write_bytes(compress(PAIRS.encode()))
    rows, _ = run(source={"files": f"{{bundle}}/{{lang}}.tsv{suffix}"})
    assert [row["id"] for row in rows] == ["en:1", "en:2"]


def test_synthetic_files_are_read(run, tmp_path):
    (tmp_path / "world/text").mkdir(parents=True)
    (tmp_path / "world/text/en.tsv").write_text(PAIRS)
    rows, manifest = run(source={"synthetic": "text/{lang}.tsv"})
    assert len(rows) == 2 and manifest["sources"][0]["file"] == "text/en.tsv"


def test_excluded_rows_are_left_out(run):
    rows, manifest = run(splits={"train": {"exclude": {"en": ["en:1"]}, "rows": {"en": 1}}})
    assert [row["id"] for row in rows] == ["en:2"] and manifest["rows"] == 1
    with pytest.raises(UserError, match="excludes rows that do not exist: en:9"):
        run(splits={"train": {"exclude": {"en": ["en:9"]}}})


def test_statistics_count_questions_and_sentences():
    answers = {"text": ["b", "bc"], "answer_start": [1, 1]}
    rows = [
        {"context": "abc", "question": "?", "answers": answers},
        {"context": "abc", "question": "??", "answers": answers},
    ]
    assert statistics("qa", rows) == {
        "contexts": 1,
        "answers": 4,
        "context_length": {"mean": 3.0, "max": 3},
        "question_length": {"mean": 1.5, "max": 2},
        "answer_length": {"mean": 1.5, "max": 2},
    }
    rows = [{"tokens": ["a", "b"], "tags": ["X", "NOUN"]}, {"tokens": ["c"], "tags": ["X"]}]
    expected = {"tokens": 3, "sentence_length": {"mean": 1.5, "max": 2}, "tags": {"X": 2, "NOUN": 1}}
    assert statistics("tagging", rows) == expected


# ---------------------------------------------------------------------------------------------------------- faults


def test_a_wrong_number_of_rows_is_refused(run, tmp_path):
    with pytest.raises(UserError, match=r"(?s)toy.splits.train.rows: expected 3 rows for 'en', found 2.*pin.py toy"):
        run(splits={"train": {"rows": {"en": 3}}})
    assert not (tmp_path / "data").exists()


def test_a_file_with_a_wrong_hash_is_refused(run):
    found = sha256(PAIRS.encode())
    with pytest.raises(UserError, match=f"expected SHA-256 {'a' * 64}, found {found}"):
        run(splits={"train": {"sha256": {"en": "a" * 64}}})
    with pytest.raises(UserError, match="file for 'en' is another"):
        run(splits={"train": {"sha256": {"en": [found, found]}}})


def test_missing_truncated_and_badly_encoded_files_are_named(run, tmp_path):
    with pytest.raises(UserError, match=r"fr\.tsv: no such file"):
        run(source={"files": "{bundle}/fr.tsv"})
    (tmp_path / "en.tsv.xz").write_bytes(lzma.compress(PAIRS.encode())[:-5])
    with pytest.raises(UserError, match="truncated or corrupt"):
        run(source={"files": "{bundle}/{lang}.tsv.xz"})
    (tmp_path / "en.tsv").write_bytes("a\tx\né\ty\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"en\.tsv:2: the text is not UTF-8"):
        run()


# -------------------------------------------------------------------------------------------------------- programs


def program(name, *args, **kwargs):
    command = [sys.executable, str(ROOT / "scripts" / name), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)


@pytest.fixture
def options(tmp_path) -> list:
    """The arguments of a program for the toy record."""
    folders = json.dumps({"bundle": str(tmp_path)})
    return ["--extra", json.dumps(record()), "--folders", folders, "--registry", tmp_path]


def test_the_prepare_program_writes_files_or_one_message(run, tmp_path, options):
    out = tmp_path / "data/train.en.jsonl"
    result = program("prepare.py", "--dataset", "toy", "--split", "train", "--lang", "en", "--out", out, *options)
    assert (result.returncode, result.stderr) == (0, "")
    assert len(read_jsonl(out)) == read_json(out.with_suffix(".json"))["rows"] == 2

    result = program("prepare.py", "--dataset", "toy", "--split", "train", "--lang", "fr", "--out", out, *options)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "data set 'toy' has no language 'fr' in its train split" in result.stderr


def test_pin_prints_a_block_that_prepare_accepts(run, options):
    result = program("pin.py", "toy", *options)
    assert result.returncode == 0, result.stderr
    pinned = yaml.safe_load(result.stdout)
    assert pinned == {"splits": {"train": {"rows": {"en": 2}, "sha256": {"en": sha256(PAIRS.encode())}}}}
    assert len(run(**pinned)[0]) == 2


def test_synthetic_data_cannot_be_pinned(tmp_path):
    dataset = load_registry(tmp_path, record(source={"synthetic": "text/{lang}.tsv"}))["toy"]
    with pytest.raises(UserError, match="is generated"):
        find_numbers(dataset, {}, tmp_path)
