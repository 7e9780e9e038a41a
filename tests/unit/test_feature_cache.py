"""The cache of encoded rows."""

import numpy as np
import pytest

from crosstune.artifacts.split import PreparedSplit
from crosstune.core.files import sha256_file, write_jsonl
from crosstune.modeling.feature_cache import FeatureCache, load_windows, save_windows
from crosstune.modeling.tasks.tagging import Tagging

ROWS = [{"id": "1", "tokens": ["the", "cat"], "tags": ["A", "B"]}, {"id": "2", "tokens": ["a"], "tags": ["A"]}]
OPTIONS = {"max_length": 32}


@pytest.fixture
def split(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", ROWS)
    return PreparedSplit(tmp_path / "rows.jsonl", sha256_file(tmp_path / "rows.jsonl"))


def same(one, two) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(two, name)) for name in ("ids", "types", "offsets", "rows")
    ) and np.array_equal(one.per_token["tags"], two.per_token["tags"])


def test_windows_come_back_and_are_made_once(tokenizer, split, tmp_path, monkeypatch):
    fresh = FeatureCache(None, tokenizer).windows(Tagging(["A", "B"]), split, OPTIONS)
    kept = FeatureCache(tmp_path / "encoded", tokenizer)
    assert same(kept.windows(Tagging(["A", "B"]), split, OPTIONS), fresh)
    monkeypatch.setattr(Tagging, "encode", None)
    again = kept.windows(Tagging(["A", "B"]), split, OPTIONS)
    assert same(again, fresh)
    assert isinstance(again.ids, np.memmap)


def test_other_labels_options_or_rows_are_other_windows(tokenizer, split, tmp_path):
    kept = FeatureCache(tmp_path / "encoded", tokenizer)
    kept.windows(Tagging(["A", "B"]), split, OPTIONS)
    kept.windows(Tagging(["B", "A"]), split, OPTIONS)
    kept.windows(Tagging(["A", "B"]), split, {"max_length": 16})
    kept.windows(Tagging(["A", "B"]), PreparedSplit(split.rows, "other"), OPTIONS)
    assert len(list((tmp_path / "encoded").iterdir())) == 4


def test_two_processes_may_make_the_same_folder(tokenizer, split, tmp_path):
    windows = Tagging(["A", "B"]).encode(ROWS, tokenizer, OPTIONS)
    save_windows(windows, tmp_path / "place", {})
    save_windows(windows, tmp_path / "place", {})
    assert same(load_windows(tmp_path / "place"), windows)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
