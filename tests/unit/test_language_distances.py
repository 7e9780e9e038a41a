"""Distances from files of languages' features, and mistakes in such files."""

import lzma
from pathlib import Path

import numpy as np
import pytest

from crosstune.core.errors import UserError
from crosstune.data.language_distances import pairwise_distances, read_features
from crosstune.data.registry import load_languages

TABLE = """iso_code,Name,81A,82A,83A
eng,English,SVO,SV,VO
deu,German,none,SV,none
hin,Hindi,SOV,SV,OV
bar,Bavarian,,SV,
"""


def table(folder, text=TABLE):
    path = folder / "features.csv"
    path.write_text(text, encoding="utf-8")
    return path


def arrays(folder, **changes):
    """Two languages, three features, two sources; -1 is unknown."""
    data = [[[1, -1], [0, 1], [-1, -1]], [[0, 0], [1, 1], [1, -1]]]
    content = {"langs": np.array(["eng", "deu"]), "feats": np.array(["S_SVO", "S_SOV", "P_VOICE"])}
    content |= {"data": np.array(data, dtype="float32")} | changes
    path = folder / "features.npz"
    np.savez(path, **{name: value for name, value in content.items() if value is not None})
    return path


def test_a_table_gives_the_known_features(tmp_path):
    names, found = read_features(table(tmp_path), ["8*"])
    assert names == ["81A", "82A", "83A"]
    assert found["hin"] == {"81A": "SOV", "82A": "SV", "83A": "OV"}
    assert found["bar"] == {"82A": "SV"}


def test_distances_equal_those_by_hand(tmp_path):
    """English and German differ in two of three features; Bavarian shares one with each and agrees in it."""
    found = pairwise_distances(table(tmp_path), ["8*"], {"en": "eng", "de": "deu", "bar": "bar", "fo": "fao"})
    assert found["features"] == 3
    assert found["unknown"] == ["fo"]
    assert found["pairs"]["en"] == {"bar": [0.0, 1], "de": [pytest.approx(2 / 3), 3]}
    assert found["pairs"]["de"]["en"] == found["pairs"]["en"]["de"]
    assert "fo" not in found["pairs"]


def test_rows_of_one_code_keep_what_they_agree_in(tmp_path):
    """A feature is known of a language if its dialects agree in it."""
    text = TABLE + "deu,German (Berlin),none,VS,none\n"
    assert read_features(table(tmp_path, text), ["8*"])[1]["deu"] == {"81A": "none", "83A": "none"}


def test_arrays_give_means_over_known_sources(tmp_path):
    """English: SVO is 1 by one source, SOV 0 and 1 by two, hence one half; voice is unknown."""
    names, found = read_features(arrays(tmp_path), ["*"])
    assert names == ["S_SVO", "S_SOV", "P_VOICE"]
    assert found == {"eng": {"S_SVO": 1, "S_SOV": 0.5}, "deu": {"S_SVO": 0, "S_SOV": 1, "P_VOICE": 1}}
    assert pairwise_distances(arrays(tmp_path), ["S_*"], {"en": "eng", "de": "deu"}) == {
        "features": 2, "unknown": [], "pairs": {"de": {"en": [0.75, 2]}, "en": {"de": [0.75, 2]}}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("code,81A\neng,SVO\n", ":1", "no column of language codes"),
        ("", ":1", "no column of language codes"),
        ("language,81A\neng,SVO\ndeu,a,b\n", ":3", "expected 2 values as in the first line, found 3"),
        ('language,81A\n"eng","S\nVO"\ndeu\n', ":4", "expected 2 values as in the first line, found 1"),
        ("language,x81A\neng,SVO\n", "", r"no feature fits 8\*"),
    ],
)
def test_a_mistake_in_a_table_names_its_line(tmp_path, text, place, message):
    path = table(tmp_path, text)
    with pytest.raises(UserError, match=message) as caught:
        read_features(path, ["8*"])
    assert caught.value.where == f"{path}{place}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"langs": None}, "no array 'langs' in it; there are: feats, data"),
        ({"feats": np.array(["S_SVO"])}, r"the shape \(2, 3, 2\), expected \(2, 1, sources\)"),
        ({"data": np.zeros((2, 3))}, r"the shape \(2, 3\)"),
        ({"feats": np.array(["a", "b", "c"])}, r"no feature fits S_\*"),
        ({"langs": np.array([{}, {}], dtype=object)}, "not a readable"),
    ],
)
def test_a_mistake_in_arrays_names_the_file(tmp_path, changes, message):
    path = arrays(tmp_path, **changes)
    with pytest.raises(UserError, match=message) as caught:
        read_features(path, ["S_*"])
    assert caught.value.where == str(path)


def test_a_damaged_file_of_arrays_is_a_user_error(tmp_path):
    for content in (b"", b"not an archive", b"PK\x03\x04 cut short"):
        (tmp_path / "features.npz").write_bytes(content)
        with pytest.raises(UserError, match="not a readable"):
            read_features(tmp_path / "features.npz", ["*"])


class TestRealFiles:
    """The published files of URIEL and WALS."""

    def test_uriel(self, bundle):
        languages = {"en": "eng", "de": "deu", "es": "spa", "fr": "fra", "ja": "jpn", "pcm": "pcm"}
        found = pairwise_distances(bundle / "lang_features/lang2vec/features.npz", ["S_*"], languages)
        assert found["features"] == 103
        assert found["unknown"] == ["pcm"]
        pairs = found["pairs"]
        assert pairs["fr"]["es"][0] < pairs["fr"]["de"][0] < pairs["fr"]["ja"][0]
        assert pairs["en"]["fr"][1] > 90

    def test_wals(self, bundle):
        """The table of languages has family and genus; German has six lines that agree in both."""
        path = bundle / "lang_features/wals/languages.csv.xz"
        found = pairwise_distances(path, ["Family", "Genus"], {"en": "eng", "de": "deu", "es": "spa", "ja": "jpn"})
        assert found["pairs"]["en"] == {"de": [0.0, 2], "es": [0.5, 2], "ja": [1.0, 2]}

    def test_the_language_table_is_that_of_wals(self, bundle):
        """Family, genus and ISO code are those of WALS for every language it has, except the creoles' family."""
        table = read_features(bundle / "lang_features/wals/languages.csv.xz", ["Family", "Genus"])[1]
        languages = load_languages(Path(__file__).parents[2] / "registry")
        compared = [known for known in languages.values() if (known.iso or known.code) in table]
        assert len(compared) > 45
        for known in compared:
            expected = table[known.iso or known.code]
            family = known.genus if expected["Family"] == "other" else expected["Family"]
            assert (known.family, known.genus) == (family, expected["Genus"]), known.code


def test_a_packed_table_is_read(tmp_path):
    path = tmp_path / "features.csv.xz"
    path.write_bytes(lzma.compress(TABLE.encode()))
    assert read_features(path, ["82A"])[1]["eng"] == {"82A": "SV"}
