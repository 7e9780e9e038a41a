"""What a configuration of a hub's data set consists of, by its card or by the names of its files."""

import pytest

from crosstune.core.errors import UserError
from crosstune.data.download.configurations import card_has_configurations, find_configuration
from crosstune.data.tables import TableFormat

CARD = """\
---
license: mit
configs:
- config_name: en
  data_files:
  - split: train
    path: text/en/*.tsv
  - split: dev
    path: text/dev.tsv
  sep: "\\t"
  names: [text, label]
- config_name: nn
  data_files: [{path: text/no.tsv, split: train}]
dataset_info:
- config_name: en
  features:
  - {name: text, dtype: string}
  - name: label
    dtype: {class_label: {names: {"0": good, "1": bad}}}
---
# A data set
"""
NAMES = ["README.md", "text/en/a.tsv", "text/en/b.tsv", "text/dev.tsv", "text/no.tsv"]


@pytest.fixture
def found(tmp_path):
    """Find a configuration of a repository with file names and the text of a card."""

    def find(names, config, split, card=None):
        cards = {}
        if card is not None:
            (tmp_path / "card").write_text(card)
            cards["README.md"] = tmp_path / "card"
        return find_configuration("some/data", names, cards, config, split)

    return find


def test_a_card_names_files_options_and_labels(found):
    configuration = found(NAMES, "en", "train", CARD)
    assert configuration.names == ("text/en/a.tsv", "text/en/b.tsv")
    assert configuration.form.builder == "csv"
    assert configuration.form.options == {"names": ["text", "label"], "sep": "\t"}
    assert configuration.form.features["label"] == {"names": ["good", "bad"], "_type": "ClassLabel"}
    assert found(NAMES, "en", "dev", CARD).names == ("text/dev.tsv",)


@pytest.mark.parametrize(
    ("names", "split", "files", "builder"),
    [
        (["train.csv", "dev.csv"], "validation", ("dev.csv",), "csv"),
        (["data/test-00000-of-00001.parquet", "x.md"], "test", ("data/test-00000-of-00001.parquet",), "parquet"),
        (["all.jsonl"], "train", ("all.jsonl",), "json"),
    ],
)
def test_without_a_card_names_of_files_decide(found, names, split, files, builder):
    configuration = found(names, "", split)
    assert (configuration.names, configuration.form) == (files, TableFormat(builder))


@pytest.mark.parametrize(
    ("names", "config", "split", "card", "message"),
    [
        (NAMES, "fr", "train", CARD, r"does not find fr .*Available: \['en', 'nn'\]"),
        (NAMES, "", "train", CARD.partition("dataset_info")[0] + "---\n", "data .Config name is missing"),
        (NAMES, "en", "test", CARD, "no split 'test' in en; there are: train, dev"),
        ([*NAMES, "data.py"], "en", "train", CARD, r"(?s)loading script, which is not run.*refs/convert/parquet"),
        (["a.pkl"], "", "train", None, "does not find its data"),
        (["a.tar"], "", "train", None, "its files are of the kind 'webdataset', which is not read"),
        (["a.zip"], "", "train", None, "does not find its data"),
        ([], "", "train", None, "does not find its data"),
        (NAMES, "x", "train", "---\nconfigs: [\n---\n", "does not find x"),
    ],
)
def test_what_is_not_found_or_not_read_is_told(found, names, config, split, card, message):
    with pytest.raises(UserError, match=message):
        found(names, config, split, card)


@pytest.mark.parametrize("path", ["{outside}", "../../../*/outside.tsv", "hf://datasets/other/data/x.tsv"])
def test_a_card_reaches_no_file_outside_its_repository(found, tmp_path, path):
    (tmp_path / "outside.tsv").write_text("secret")
    card = f"---\nconfigs:\n- config_name: x\n  data_files: {path.format(outside=tmp_path / 'outside.tsv')}\n---\n"
    with pytest.raises(UserError, match=r"outside of the repository|does not find x"):
        found(NAMES, "x", "train", card)


def test_a_card_without_configurations_decides_nothing(tmp_path):
    cards = {CARD: True, "---\nlicense: mit\n---\n": False, "no metadata": False, "---\n[\n---\n": True}
    for text, decides in cards.items():
        (tmp_path / "card").write_text(text)
        assert card_has_configurations(tmp_path / "card") is decides
    assert not card_has_configurations(None)
