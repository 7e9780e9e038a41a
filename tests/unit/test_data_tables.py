"""Tables that the library `datasets` reads: files of every format, and folders that it saved."""

import csv
import io
import json
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from crosstune.core.errors import UserError
from crosstune.data.tables import TableFormat, format_of, read_saved, read_tables, saved_files

PARQUET = TableFormat("parquet")


def table(**columns) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), sink)
    return sink.getvalue()


@pytest.fixture(scope="module")
def labelled():
    """A data set of the library with class labels, alone and in lists, and its records with their names."""
    from datasets import ClassLabel, Dataset, Features, List, Value

    names = {"ner_tags": List(ClassLabel(names=["O", "B-PER"])), "label": ClassLabel(names=["yes", "no"])}
    features = Features({"tokens": List(Value("string")), **names, "answers": {"text": List(Value("string"))}})
    answers = [{"text": ["x"]}, {"text": []}]
    columns = {
        "tokens": [["Ada", "left"], ["He"]], "ner_tags": [[1, 0], [0]], "label": [1, -1], "answers": answers,
    }  # fmt: skip
    one = {"tokens": ["Ada", "left"], "ner_tags": ["B-PER", "O"], "label": "no", "answers": answers[0]}
    two = {"tokens": ["He"], "ner_tags": ["O"], "label": -1, "answers": answers[1]}
    return Dataset.from_dict(columns, features=features), [one, two]


@pytest.mark.parametrize(
    ("names", "form"),
    [
        (["a.parquet", "b.parquet"], PARQUET),
        (["a.tsv"], TableFormat("csv", {"sep": "\t"})),
        (["https://example.org/a.jsonl?download=1"], TableFormat("json")),
        (["a.csv", "b.json"], None),
        (["a.csv.gz"], None),
        (["a.pkl"], None),
        ([], None),
    ],
)
def test_the_format_is_that_of_the_ending(names, form):
    assert format_of(names) == form


def test_class_labels_get_their_names(labelled, tmp_path):
    written, records = labelled
    written.to_parquet(tmp_path / "x.parquet")
    found = list(read_tables([tmp_path / "x.parquet"] * 2, PARQUET))
    assert [record for _, record in found] == records * 2
    assert [place for place, _ in found] == [f"{tmp_path}/x.parquet, row {number}" for number in (1, 2)] * 2


def test_labels_in_older_metadata_of_lists_get_their_names(tmp_path):
    labels = {"feature": {"names": ["X", "NOUN"], "_type": "ClassLabel"}, "_type": "Sequence"}
    info = {"info": {"features": {"upos": labels, "text": {"dtype": "string", "_type": "Value"}}}}
    found = pyarrow.table({"upos": [[1, 0]], "text": ["a"]})
    parquet.write_table(found.replace_schema_metadata({"huggingface": json.dumps(info)}), tmp_path / "x.parquet")
    assert [record for _, record in read_tables([tmp_path / "x.parquet"], PARQUET)] == [
        {"upos": ["NOUN", "X"], "text": "a"}
    ]


def test_features_of_a_card_name_the_labels_of_a_file_without_them(tmp_path):
    from datasets import ClassLabel, Features, Value

    (tmp_path / "x.csv").write_text("text;label\none;no\ntwo;yes\n")
    features = Features({"text": Value("string"), "label": ClassLabel(names=["yes", "no"])}).to_dict()
    found = read_tables([tmp_path / "x.csv"], TableFormat("csv", {"sep": ";"}, features))
    assert [record for _, record in found] == [{"text": "one", "label": "no"}, {"text": "two", "label": "yes"}]


TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).filter(lambda text: text.strip() == text)


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_rows_of_json_and_parquet_come_back(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    records = [{"text": first, "other": second} for first, second in rows]
    (folder / "x.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    parquet.write_table(pyarrow.Table.from_pylist(records), folder / "x.parquet")
    for name, form in (("x.jsonl", TableFormat("json")), ("x.parquet", PARQUET)):
        assert [record for _, record in read_tables([folder / name], form)] == records


def test_quoted_columns_of_csv_come_back(tmp_path):
    rows = [{"text": 'a "b", c', "other": "line\nbreak"}, {"text": "क्‍ष", "other": "ß"}]
    with open(tmp_path / "x.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "other"])
        writer.writeheader()
        writer.writerows(rows)
    assert [record for _, record in read_tables([tmp_path / "x.csv"], TableFormat("csv"))] == rows


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("x.parquet", b"", PARQUET),
        ("x.parquet", b"PAR1", PARQUET),
        ("x.parquet", table(text=["a"] * 100)[:-20], PARQUET),
        ("x.jsonl", b'{"text": ', TableFormat("json")),
        ("x.csv", b'a,b\n1,"2\n', TableFormat("csv")),
        ("x.csv", b"a,b\n1,\xff\n", TableFormat("csv")),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, name, content, form):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"`datasets` cannot read this {form.builder} ") as caught:
        list(read_tables([tmp_path / name], form))
    assert caught.value.where == str(tmp_path / name)


def test_reading_leaves_nothing_in_the_library_s_cache(tmp_path, monkeypatch):
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "x.parquet").write_bytes(table(text=["a"]))
    assert len(list(read_tables([tmp_path / "x.parquet"], PARQUET))) == 1
    assert not (tmp_path / "cache").exists()


# --- saved folders ---------------------------------------------------------------------------------------------------


def test_a_saved_data_set_is_read_with_its_labels(labelled, tmp_path):
    written, records = labelled
    written.save_to_disk(tmp_path / "saved")
    assert [record for _, record in read_saved(tmp_path / "saved", "train")] == records
    assert [path.name for path in saved_files(tmp_path / "saved", "train")] == ["data-00000-of-00001.arrow"]


def test_a_saved_dictionary_of_splits_has_each(labelled, tmp_path):
    from datasets import DatasetDict

    written, records = labelled
    DatasetDict({"train": written, "dev": written.select([1])}).save_to_disk(tmp_path / "saved")
    assert [record for _, record in read_saved(tmp_path / "saved", "dev")] == records[1:]
    with pytest.raises(UserError, match="cannot read this saved data set"):
        list(read_saved(tmp_path / "saved", "test"))


def test_a_folder_that_nobody_saved_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot read this saved data set"):
        list(read_saved(Path(tmp_path), "train"))
