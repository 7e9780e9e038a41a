"""The cache of encoded rows."""

import numpy as np
import pytest

from crosstune.artifacts.split import PreparedSplit
from crosstune.core.files import sha256_file, write_jsonl
from crosstune.modeling.feature_cache import FeatureCache, load_windows, save_windows
from crosstune.modeling.features import Windows
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


def test_two_processes_may_make_the_same_file(tokenizer, split, tmp_path):
    windows = Tagging(["A", "B"]).encode(ROWS, tokenizer, OPTIONS)
    save_windows(windows, tmp_path / "place", {})
    mapped = load_windows(tmp_path / "place")
    save_windows(windows, tmp_path / "place", {})
    assert same(load_windows(tmp_path / "place"), windows)
    assert same(mapped, windows), "who has mapped the first file keeps it"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("windows", [0, 1, 5])
def test_a_file_gives_back_every_array(tmp_path, windows):
    numbers = np.arange(windows, dtype=np.int64)
    given = Windows(
        numbers.astype(np.int32),
        numbers.astype(np.int8),
        np.arange(windows + 1, dtype=np.int64),
        np.arange(windows + 1, dtype=np.int64),
        numbers,
        {"start": numbers, "context_end": numbers + 1},
        {"first": numbers.astype(np.int32)},
    )
    save_windows(given, tmp_path / "place", {"rows": "rows.jsonl"})
    found = load_windows(tmp_path / "place")
    for one, other in zip(all_arrays(given), all_arrays(found), strict=True):
        assert one[0] == other[0] and one[1].dtype == other[1].dtype and np.array_equal(one[1], other[1])
        assert other[1].ctypes.data % other[1].itemsize == 0, "torch reads aligned arrays"


def all_arrays(windows: Windows) -> list[tuple[str, np.ndarray]]:
    own = [(name, getattr(windows, name)) for name in ("ids", "types", "offsets", "sequences", "rows")]
    return [*own, *sorted(windows.per_window.items()), *sorted(windows.per_token.items())]
