"""Content keys: they change with what a reader reads of a record and its files, and with nothing else."""

import pytest
from helpers.study_config import study

from crosstune.study.content_keys import ContentKeys
from crosstune.study.data_requirements import DataRequirements

RECORD = {
    "task": "tagging", "title": "Names", "licence": "mine", "reader": "columns", "languages": ["en", "es"],
    "tags": ["O", "B-PER", "B-LOC"], "token_prefix": "{lang}:", "codes": {"en": "eng", "es": "spa"}, "notes": "old",
    "source": {"files": "{mine}/{code}.{split}.tsv"}, "splits": {"train": {"languages": ["en"]}, "test": {}},
}  # fmt: skip


@pytest.fixture
def key(tmp_path):
    """The content key of the English test rows of a record with changes."""
    (tmp_path / "eng.test.tsv").write_text("Ane\tB-PER\n")

    def of(folder=tmp_path, split="test", language="en", **changes):
        datasets = {"names": RECORD | changes}
        planned = study(datasets=datasets, folders={"mine": str(folder)}, tracks__qa__evaluate={"worldqa": ["qen"]})
        return ContentKeys(DataRequirements(planned)).key("names", split, language)

    return of


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Other"},
        {"licence": "CC0-1.0"},
        {"notes": "new"},
        {"head": "ner"},
        {"languages": ["en", "es", "fr"], "codes": {"en": "eng", "es": "spa", "fr": "fra"}},
        {"splits": {"train": {"languages": ["en"]}, "test": {"rows": {"en": 1}}}},
        {"splits": {"test": {}, "validation": {"languages": ["es"]}}},
    ],
)
def test_a_key_stays_with_what_the_rows_do_not_depend_on(key, changes):
    assert key(**changes) == key()


def test_a_key_stays_in_another_folder(key, tmp_path):
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved/eng.test.tsv").write_text("Ane\tB-PER\n")
    assert key(tmp_path / "moved") == key()
    (tmp_path / "moved/eng.test.tsv").write_text("Ane\tB-LOC\n")
    assert key(tmp_path / "moved") != key()


@pytest.mark.parametrize(
    "changes",
    [
        {"tags": ["O", "B-PER"]},
        {"token_prefix": ""},
        {"task": "text", "reader": "columns-text"},
        {"splits": {"train": {"languages": ["en"]}, "test": {"exclude": {"en": ["1"]}}}},
    ],
)
def test_a_key_changes_with_what_the_reader_reads(key, changes):
    assert key(**changes) != key()


def derived(dataset, split, language, **changes):
    translators = {"lexicon": {"lexicon": True}} | changes.pop("translators", {})
    planned = study(translators=translators, **changes)
    return ContentKeys(DataRequirements(planned)).key(dataset, split, language)


@pytest.mark.parametrize("source", ["worldchaii_mt.qbn", "worldchaii-fold1.qhi", "worldchaii_mt-fold1.qbn"])
def test_the_key_of_derived_rows_depends_on_their_originals(source):
    dataset, _, language = source.partition(".")
    keys = [derived(dataset, "train", language, synthetic={"seed": seed}) for seed in (3, 3, 4)]
    assert keys[0] == keys[1] != keys[2]


def test_folds_have_keys_of_their_own():
    assert derived("worldchaii-fold1", "test", "qhi") != derived("worldchaii-fold2", "test", "qhi")


def test_the_key_of_a_translation_depends_on_its_translator():
    key = derived("worldchaii_mt", "train", "qbn")
    assert key == derived("worldchaii_mt", "train", "qbn", translators={"other": {"lexicon": True}})
    command = {"lexicon": {"command": "cat", "pairs": {"qhi-qbn": "a-b", "qta-qbn": "c-b"}}}
    assert key != derived("worldchaii_mt", "train", "qbn", translators=command)
