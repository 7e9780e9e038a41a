"""Tables of any kind as rows, by records that name their columns: values, places of faults, what is left out."""

import bz2
import csv
import gzip
import io
import json
import lzma
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.core.errors import UserError
from crosstune.core.files import read_jsonl
from crosstune.data.prepare import prepare
from crosstune.data.readers import read_rows
from crosstune.data.readers.pieces import ReaderOptions
from crosstune.data.readers.tagging import iob2
from crosstune.data.registry import load_registry

ROOT = Path(__file__).parents[2]
NLI = {"task": "classification", "labels": ["yes", "no"], "columns": {"text": "one", "pair": "two", "label": "gold"}}
QA = {"task": "qa", "columns": {"context": "c", "question": "q", "answers": "a", "answer_start": "s"}}


@pytest.fixture
def prepared(tmp_path):
    """Write files, prepare a record of them, and give the rows and the manifest."""

    def run(files: dict[str, str | bytes], record: dict, lang: str = "xx", split: str = "train") -> tuple[list, dict]:
        for name, content in files.items():
            path = tmp_path / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        whole = {
            "title": "t", "licence": "l", "languages": ["xx"], "splits": {split: {}},
            "source": {"files": [f"{{mine}}/{name}" for name in files]}, **record,
        }  # fmt: skip
        dataset = load_registry(tmp_path / "none", {"mine": whole})["mine"]
        out = tmp_path / "out.jsonl"
        manifest = prepare(dataset, split, lang, {"mine": tmp_path / "files"}, tmp_path, out)
        return read_jsonl(out), manifest

    return run


# -------------------------------------------------------------------------------------------------------------- formats

NUMBERED = {"text": 1, "pair": 2, "label": 3}
NLI_ROW = {"id": "a:2", "text": "p, q", "pair": "007", "label": "yes"}


@pytest.mark.parametrize(
    ("name", "content", "more"),
    [
        ("a.csv", 'one,n,two,gold\n"p, q",1,007,yes\n', {}),
        ("a.tsv", "gold\tone\ttwo\nyes\tp, q\t007\n", {}),
        ("a.txt", "one|two|gold\np, q|007|yes\n", {"table": {"separator": "|"}}),
        ("a.txt", "one;two;gold\n'p, q';007;yes\n", {"table": {"separator": ";", "quote": "'"}}),
        ("a.jsonl", '\n{"one": "p, q", "two": "007", "gold": "yes", "n": [1, {"x": null}]}\n', {}),
        ("a.csv", '# made by hand\none,two,gold\n"p, q",007,yes\n', {"table": {"comment": "#"}}),
        ("a.tsv", "x\ty\tz\np, q\t007\tyes\n", {"table": {"header": True}, "columns": NUMBERED}),
    ],
)  # fmt: skip
def test_a_table_of_any_kind_gives_the_same_row(prepared, name, content, more):
    number = 3 if "comment" in more.get("table", {}) else 2
    assert prepared({name: content}, NLI | more)[0] == [NLI_ROW | {"id": f"a:{number}"}]


@pytest.mark.parametrize(
    ("content", "more"),
    [
        ('[{"one": "p, q", "two": "007", "gold": "yes"}]', {}),
        ('{"data": {"rows": [{"one": "p, q", "two": "007", "gold": "yes"}]}}', {"table": {"rows": "data.rows"}}),
        ('[{"one": "p, q", "in": {"two": "007"}, "gold": "yes"}]', {"columns": NLI["columns"] | {"pair": "in.two"}}),
    ],
)
def test_a_list_of_json_is_a_table(prepared, content, more):
    assert prepared({"a.json": content}, NLI | more)[0] == [NLI_ROW | {"id": "a:1"}]


@pytest.mark.parametrize("suffix", ["gz", "xz", "bz2", "zst"])
def test_packed_tables_are_read(prepared, suffix):
    import pyarrow

    pack = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}.get(suffix)
    content = b"one\ttwo\tgold\np, q\t007\tyes\n"
    packed = pack(content) if pack else pyarrow.compress(content, codec="zstd", asbytes=True)
    assert prepared({f"a.tsv.{suffix}": packed}, NLI)[0] == [NLI_ROW]
    with pytest.raises(UserError, match="truncated or corrupt"):
        prepared({f"a.tsv.{suffix}": b"nothing packed at all"}, NLI)


def test_parquet_on_disk_names_its_columns_and_labels(prepared):
    import pyarrow
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pyarrow.table({"one": ["p, q"], "two": ["007"], "gold": [1]}), file)
    labels = {"labels": {"0": "no", "1": "yes"}}
    assert prepared({"a.parquet": file.getvalue()}, NLI | labels)[0] == [NLI_ROW | {"id": "0"}]


def test_a_line_inside_a_cell_is_no_comment(prepared):
    content = '# made by hand\none,two,gold\n"p\n# q",r,yes\n'
    (row,) = prepared({"a.csv": content}, NLI | {"table": {"comment": "#"}})[0]
    assert row["text"] == "p\n# q"


def test_files_of_a_pattern_are_in_the_order_of_their_names(prepared):
    names = [f"{number:02}" for number in range(12)]
    mixed = sorted(names, key=lambda name: name[::-1])
    files = {f"{name}.tsv": f"one\ttwo\tgold\n{name}\tb\tyes\n" for name in mixed}
    rows = prepared(files, NLI | {"source": {"files": "{mine}/*.tsv"}})[0]
    assert [row["text"] for row in rows] == names


def test_a_pattern_names_several_files(prepared):
    files = {f"xx/{name}.tsv": f"one\ttwo\tgold\n{name}\tb\tyes\n" for name in "ba"}
    rows, manifest = prepared(files, NLI | {"source": {"files": "{mine}/{lang}/*.tsv"}})
    assert [(row["id"], row["text"]) for row in rows] == [("a:2", "a"), ("b:2", "b")]
    assert [source["file"] for source in manifest["sources"]] == ["{mine}/xx/a.tsv", "{mine}/xx/b.tsv"]
    with pytest.raises(UserError, match="no such file") as caught:
        prepared(files, NLI | {"source": {"files": "{mine}/{lang}/*.csv"}})
    assert caught.value.where.endswith("files/xx/*.csv")


def test_rows_of_files_that_number_alike_have_ids_of_their_own(prepared):
    files = {f"{folder}/a.tsv": f"one\ttwo\tgold\n{folder}\tb\tyes\n" for folder in "xy"}
    assert [row["id"] for row in prepared(files, NLI)[0]] == ["a:2", "2/a:2"]


def test_columns_of_two_files_go_together_by_row(prepared):
    columns = {"text": "one", "pair": "two", "label": {"file": 2}}
    files = {"a.jsonl": '{"one": "p", "two": "q"}\n{"one": "r", "two": "s"}\n', "labels.lst": "yes\nno\n"}
    assert [row["label"] for row in prepared(files, NLI | {"columns": columns})[0]] == ["yes", "no"]
    with pytest.raises(UserError, match="1 rows for the 2 of"):
        prepared(files | {"labels.lst": "yes\n"}, NLI | {"columns": columns})


def test_nothing_in_a_table_becomes_a_number_a_date_or_empty(prepared):
    texts = ["2020-01-01", "2020-02-02 00:00:00", "NA", "null", "1e5", "0010", "True", "nan", " x ", '"']
    lines = "".join(json.dumps({"t": {"x": [text]}, "u": text}) + "\n" for text in texts[:2])
    record = {"task": "text", "columns": {"text": "u"}}
    assert [row["text"] for row in prepared({"a.jsonl": lines}, record)[0]] == texts[:2]
    rows = prepared({"b.tsv": "u\tv\n" + "".join(f"{text}\t1\n" for text in texts)}, record)[0]
    assert [row["text"] for row in rows] == texts
    (row,) = prepared({"d.tsv": "u\tv\n0010\t2.0\n"}, {"task": "bitext", "columns": {"text": "u", "pair": "v"}})[0]
    assert (row["text"], row["pair"]) == ("0010", "2.0"), "also where all cells of a column are digits"
    tokens = prepared(
        {"c.jsonl": '{"w": ["2020-01-01"], "t": ["X"]}\n'}, {"task": "tagging", "columns": {"tokens": "w", "tags": "t"}}
    )[0]
    assert tokens[0]["tokens"] == ["2020-01-01"]


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda text: text.strip())


@settings(max_examples=60)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5), st.sampled_from(["csv", "json", "jsonl"]))
def test_tables_survive_a_round_trip(rows, form):
    if form == "csv":
        file = io.StringIO(newline="")
        csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([("one", "two"), *rows])
        content = file.getvalue()
    else:
        objects = [{"one": one, "two": two} for one, two in rows]
        content = json.dumps(objects) if form == "json" else "".join(json.dumps(item) + "\n" for item in objects)
    options = ReaderOptions(task="bitext", columns={"text": "one", "pair": "two"})
    found = read_rows("table", [(f"a.{form}", content)], options)
    assert [(row["text"], row["pair"]) for row in found] == rows


@settings(max_examples=60)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_tabs_separate_and_nothing_else_does(rows):
    rows = [tuple("".join(c for c in text if c not in "\n\r\t") + "." for text in row) for row in rows]
    content = "".join(f"{one}\t{two}\n" for one, two in rows)
    options = ReaderOptions(task="bitext", columns={"text": 1, "pair": 2})
    found = read_rows("table", [("a.tsv", content)], options)
    assert [(row["text"], row["pair"]) for row in found] == rows


# --------------------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("name", "content", "message", "line"),
    [
        ("a.tsv", "one\ttwo\tgold\np\tq\tyes\nr\ts\n", "expected 3 columns, found 2: 'r.ts'", ":3"),
        ("a.tsv", "one\ttwo\tgold\np\tq\tyes\tx\n", "expected 3 columns, found 4", ":2"),
        ("a.tsv", "one\ttwo\tgold\n\np\t\tyes\n", "the field 'two' is empty", ":3"),
        ("a.tsv", "one\ttwo\np\tq\n", "(?s)with the columns one, two, gold, found 'one, two'.*no 'gold'", ":1"),
        ("a.tsv", "one\ttwo\ttwo\tgold\np\tq\tr\tyes\n", "two columns are called 'two'", ":1"),
        ("a.tsv", "one\ttwo\tgold\np\rx\tq\tyes\n", "a carriage return inside a line", ":2"),
        ("a.csv", 'one,two,gold\n"p\np",q,yes\n"r\n', "not valid CSV .unexpected end of data", ":4"),
        ("a.csv", 'one,two,gold\n"p\np",q,yes\nr,s\n', "expected 3 columns, found 2", ":4"),
        ("a.csv", 'one,two,gold\n"p\np",q,yes\nr,s,maybe\n', "the label 'maybe' is outside the set yes no", ":4"),
        ("a.jsonl", '{"one": "p", "two": "q", "gold": "yes"}\n{"one": \n', "not valid JSON", ":2"),
        ("a.jsonl", '{"one": "p", "two": "q"}\n', "'gold' is missing; there are 'one', 'two'", ":1"),
        ("a.jsonl", '{"one": 1, "two": "q", "gold": "yes"}\n', "a string in the field 'one', found a whole", ":1"),
        ("a.jsonl", '{"one": "p", "one": "q"}\n', "the key 'one' occurs twice", ":1"),
        ("a.jsonl", '{"one": "\\ud800"}\n', "half of a surrogate pair", ":1"),
        ("a.jsonl", '{"one": "p"}{"one": "q"}\n', "a line holds several objects", ""),
        ("a.jsonl", '{"a": 1}\n[]\n', "expected an object, found a list", ":2"),
        ("a.json", '[{"one": "p", "two": "q"}]', "'gold' is missing", ", row 1"),
        ("a.odt", "one\n", "(?s)which kind of table it is.*table: .format: tsv", ""),
    ],
)  # fmt: skip
def test_a_fault_of_a_table_names_its_line(prepared, tmp_path, name, content, message, line):
    with pytest.raises(UserError, match=message) as caught:
        prepared({name: content}, NLI)
    assert caught.value.where == f"{tmp_path}/files/{name}{line}"


@pytest.mark.parametrize(
    ("content", "rows", "message"),
    [
        ('{"rows": []}', "data", "expected the key 'data' of the record's `table: {rows: ...}`, found rows"),
        ('{"data": 5}', "data", "expected a list of rows, found a whole number"),
        ('{"data": []}', "data", "holds no rows"),
    ],
)
def test_a_document_without_its_list_is_refused(prepared, content, rows, message):
    with pytest.raises(UserError, match=message):
        prepared({"a.json": content}, NLI | {"table": {"rows": rows}})


# ----------------------------------------------------------------------------------------------------------- task types


def test_labels_are_mapped_and_those_to_drop_are_counted(prepared):
    content = "one\ttwo\tgold\na\tb\te\nc\td\tskip\ne\tf\t-\ng\th\tn\n"
    record = NLI | {"labels": {"e": "yes", "n": "no"}, "drop": ["skip", "-"]}
    rows, manifest = prepared({"a.tsv": content}, record)
    assert [(row["id"], row["label"]) for row in rows] == [("a:2", "yes"), ("a:5", "no")]
    assert manifest["notes"] == {"rows left out: the label '-'": 1, "rows left out: the label 'skip'": 1}
    with pytest.raises(UserError, match="the label 'skip' is outside the set yes no"):
        prepared({"a.tsv": content}, record | {"drop": ["-"]})


def test_a_manifest_without_anything_left_out_says_nothing(prepared):
    assert "notes" not in prepared({"a.tsv": "one\ttwo\tgold\na\tb\tyes\n"}, NLI)[1]


ANSWERS = [
    {"text": ["lives"], "answer_start": [4]},
    {"text": "lives", "answer_start": 4},
    [{"text": "lives", "answer_start": 4}],
    "{'text': ['lives'], 'answer_start': [4]}",
]


@pytest.mark.parametrize("answers", ANSWERS)
def test_answers_come_in_every_form(prepared, answers):
    record = {"task": "qa", "columns": {"id": "n", "context": "c", "question": "q", "answers": "a"}}
    line = json.dumps({"n": 7, "c": "Ada lives", "q": "?", "a": answers})
    (row,) = prepared({"a.jsonl": line}, record)[0]
    expected = {"text": ["lives"], "answer_start": [4]}
    assert row == {"id": "7", "context": "Ada lives", "question": "?", "answers": expected}


@pytest.mark.parametrize("start", ["4", "4.0", ""])
def test_answers_of_a_flat_table_have_their_offset_beside_them(prepared, start):
    record = QA | ({} if start else {"answer_start": "find"})
    (row,) = prepared({"a.csv": f"c,q,a,s\nAda lives,?,lives,{start}\n"}, record)[0]
    assert row["answers"] == {"text": ["lives"], "answer_start": [4]}


def test_offsets_are_looked_for_if_the_record_says_so_and_counted(prepared):
    columns = {"context": "c", "question": "q", "answers": "a"}
    content = "c\tq\ta\nno, no\t?\tno\nyes\t?\tyes\nperhaps\t?\tnever\n"
    with pytest.raises(UserError, match=r"(?s)'no' has no offset.*answer_start: find"):
        prepared({"a.tsv": content}, QA | {"columns": columns})
    record = QA | {"columns": columns, "answer_start": "find"}
    with pytest.raises(UserError, match=r"(?s)'never' is not in the context.*drop: \[unlocated\]"):
        prepared({"a.tsv": content}, record)
    rows, manifest = prepared({"a.tsv": content}, record | {"drop": ["unlocated"]})
    assert [row["answers"]["answer_start"] for row in rows] == [[0], [0]]
    assert manifest["notes"] == {
        "an answer whose offset was looked for": 1,
        "an answer whose offset was looked for, the first of several places": 1,
        "rows left out: no answer that is in its context": 1,
    }


def squad(*questions: dict) -> str:
    return json.dumps({"data": [{"paragraphs": [{"context": "Ada lives", "qas": list(questions)}]}]})


@pytest.mark.parametrize("form", ["nested", "flat", "csv"])
def test_unanswerable_questions_are_dropped_if_the_record_says_so_and_counted(prepared, form):
    good = {"id": "1", "question": "?", "answers": [{"text": "Ada", "answer_start": 0}], "is_impossible": False}
    bad = {"id": "2", "question": "??", "answers": [], "is_impossible": True}
    flat = [{"id": "1", "c": "Ada lives", "q": "?", "a": {"text": ["Ada"], "answer_start": [0]}}]
    flat.append({"id": "2", "c": "Ada lives", "q": "?", "a": {"text": [], "answer_start": []}})
    columns = {"id": "id", "context": "c", "question": "q", "answers": "a"}
    name, content, record = {
        "nested": ("a.json", squad(good, bad), {"task": "qa", "reader": "squad"}),
        "flat": ("a.json", json.dumps(flat), {"task": "qa", "columns": columns}),
        "csv": ("a.csv", "c,q,a,s\nAda lives,?,Ada,0\nAda lives,?,,\n", QA),
    }[form]  # fmt: skip
    with pytest.raises(UserError, match=r"(?s)the question has no answer.*drop: \[unanswerable\]"):
        prepared({name: content}, record)
    rows, manifest = prepared({name: content}, record | {"drop": ["unanswerable"]})
    assert len(rows) == 1 and manifest["notes"] == {"rows left out: no answer": 1}


def test_prepare_prints_what_it_leaves_out(tmp_path):
    (tmp_path / "a.tsv").write_text("one\ttwo\tgold\na\tb\tyes\nc\td\tskip\n")
    record = NLI | {
        "title": "t", "licence": "l", "languages": ["xx"], "splits": {"train": {}}, "drop": ["skip"],
        "source": {"files": "{mine}/a.tsv"},
    }  # fmt: skip
    command = [
        sys.executable, str(ROOT / "scripts/prepare.py"), "--dataset", "mine", "--split", "train", "--lang", "xx",
        "--registry", str(tmp_path), "--extra", json.dumps({"mine": record}),
        "--folders", json.dumps({"mine": str(tmp_path)}),
        "--out", str(tmp_path / "rows.jsonl"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == "mine train xx: 1 x rows left out: the label 'skip'\n"


CHOICE = {"task": "choice", "columns": {"premise": "p", "question": "q", "choices": ["a", "b"], "label": "l"}}


@pytest.mark.parametrize(
    ("label", "more", "index"),
    [
        ("B", {"labels": ["A", "B"]}, 1),
        ("1", {"labels": ["1", "2"]}, 0),
        ("b", {}, 1),
    ],
)
def test_the_right_choice_is_named_by_its_label_or_its_column(prepared, label, more, index):
    (row,) = prepared({"a.csv": f"p,q,a,b,l\np,q,x,y,{label}\n"}, CHOICE | more)[0]
    assert row == {"id": "a:2", "premise": "p", "question": "q", "choices": ["x", "y"], "label": index}


def test_choices_may_be_a_list_and_the_question_a_text_for_all(prepared):
    columns = {"premise": "p", "question": {"text": "What next?"}, "choices": "c", "label": "l"}
    rows = prepared({"a.jsonl": '{"p": "p", "c": ["x", "y", "z"], "l": 2}\n'}, CHOICE | {"columns": columns})[0]
    assert (rows[0]["question"], rows[0]["choices"], rows[0]["label"]) == ("What next?", ["x", "y", "z"], 2)


@pytest.mark.parametrize("label", ["3", "-1", "B"])
def test_a_label_that_names_no_choice_is_refused_with_the_key_to_set(prepared, label):
    with pytest.raises(UserError, match=r'(?s)one of 2 choices.*labels: \["1", "2", "3"\]'):
        prepared({"a.csv": f"p,q,a,b,l\np,q,x,y,{label}\n"}, CHOICE)


TAGS = {"task": "tagging", "columns": {"tokens": "w", "tags": "t"}, "tags": ["O", "B-PER", "I-PER"]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "w,t\nAda left,B-PER O\n"),
        ("a.csv", "w,t\n\"['Ada', 'left']\",\"['B-PER', 'O']\"\n"),
        ("a.csv", 'w,t\n"[""Ada"", ""left""]","[""B-PER"", ""O""]"\n'),
        ("a.jsonl", '{"w": ["Ada", "left"], "t": ["B-PER", "O"]}\n'),
        ("a.jsonl", '{"w": "Ada left", "t": "B-PER O"}\n'),
    ],
)
def test_tokens_and_tags_may_lie_in_one_cell(prepared, name, content):
    (row,) = prepared({name: content}, TAGS)[0]
    assert (row["tokens"], row["tags"]) == (["Ada", "left"], ["B-PER", "O"])


def test_numbered_tags_need_their_names(prepared):
    content = '{"w": ["Ada", "left"], "t": [1, 0]}\n'
    rows = prepared({"a.jsonl": content}, TAGS | {"tags": {"0": "O", "1": "B-PER", "2": "I-PER"}})[0]
    assert rows[0]["tags"] == ["B-PER", "O"]
    with pytest.raises(UserError, match=r"(?s)expected the name of a label in 't', found 1.*name them in the record"):
        prepared({"a.jsonl": content}, TAGS)


CONLL = {"task": "tagging", "reader": "columns", "tags": ["O", "B-PER", "I-PER"], "table": {"separator": " "}}


def test_token_lines_have_any_columns_comments_and_separators(prepared):
    content = "# id 1\n-DOCSTART- -X- O O\n\nAda NNP I-NP B-PER\nLee  NNP\tI-NP I-PER\n\n# id 2\nleft VBD I-VP O\n"
    record = CONLL | {"columns": {"tokens": 1, "tags": 4}, "table": {"separator": " ", "comment": "# id"}}
    rows = prepared({"a.txt": content.replace("# id 1\n", "")}, record)[0]
    assert [(row["id"], row["tokens"], row["tags"]) for row in rows] == [
        ("a:3", ["Ada", "Lee"], ["B-PER", "I-PER"]), ("a:7", ["left"], ["O"]),
    ]  # fmt: skip
    with pytest.raises(UserError, match="expected 4 columns, as in the line before, found 3") as caught:
        prepared({"a.txt": content.replace("left VBD", "left")}, record)
    assert caught.value.where.endswith("a.txt:8")


def test_sentences_with_a_tag_to_drop_are_left_out_and_counted(prepared):
    record = CONLL | {"columns": {"tokens": 1, "tags": 2}, "drop": ["?"]}
    rows, manifest = prepared({"a.txt": "Ada B-PER\n\nwell ?\nyes O\n"}, record)
    assert [row["tokens"] for row in rows] == [["Ada"]]
    assert manifest["notes"] == {"rows left out: the tag '?'": 1}


@pytest.mark.parametrize(
    ("scheme", "given", "expected"),
    [
        ("IOB1", "I-A I-A B-A O I-B I-A", "B-A I-A B-A O B-B B-A"),
        ("IOBES", "B-A I-A E-A S-B O S-A", "B-A I-A I-A B-B O B-A"),
        ("BILOU", "B-A L-A U-B O U-A", "B-A I-A B-B O B-A"),
    ],
)
def test_tag_schemes_become_iob2(prepared, scheme, given, expected):
    tags = given.split()
    assert iob2(tags, scheme, [""] * len(tags)) == expected.split()
    record = CONLL | {
        "tag_scheme": scheme,
        "tags": ["O", "B-A", "I-A", "B-B", "I-B"],
        "columns": {"tokens": 1, "tags": 2},
    }
    rows = prepared({"a.txt": "".join(f"w {tag}\n" for tag in tags)}, record)[0]
    assert rows[0]["tags"] == expected.split()
    with pytest.raises(UserError, match=f"the tag 'X-A' is not of the scheme {scheme}") as caught:
        prepared({"a.txt": "w O\nw X-A\n"}, record)
    assert caught.value.where.endswith("a.txt:2")


@pytest.mark.parametrize(
    ("column", "tags"),
    [
        ("xpos", ["NNP", "VBD"]),
        ("feats.Number", ["Sing", "_"]),
        ("misc.NER", ["B-PER", "O"]),
        ("upos", ["PROPN", "VERB"]),
    ],
)
def test_conllu_gives_the_column_that_the_record_names(prepared, column, tags):
    lines = ["1\tAda\tAda\tPROPN\tNNP\tCase=Nom|Number=Sing\t2\tnsubj\t_\tNER=B-PER|Gloss=x"]
    lines += ["2\tleft\tleave\tVERB\tVBD\t_\t0\troot\t_\tNER=O", "", ""]
    record = {"task": "tagging", "reader": "conllu", "columns": {"tags": column}, "tags": sorted(tags)}
    (row,) = prepared({"a.conllu": "\n".join(lines)}, record)[0]
    assert row["tags"] == tags


def test_a_column_may_say_the_language(prepared):
    record = NLI | {"languages": ["xx", "yy"], "columns": NLI["columns"] | {"language": "lang"}}
    content = "one\ttwo\tgold\tlang\na\tb\tyes\txx\nc\td\tno\tyy\ne\tf\tyes\tzz\n"
    with pytest.raises(UserError, match=r"(?s)the language 'zz' is outside the set xx yy.*drop: \[zz\]") as caught:
        prepared({"a.tsv": content}, record)
    assert caught.value.where.endswith("a.tsv:4")
    assert [row["text"] for row in prepared({"a.tsv": content}, record | {"drop": ["zz"]}, "yy")[0]] == ["c"]
    codes = {"codes": {"xx": "zz", "yy": "yy"}, "drop": ["xx"]}
    assert [row["text"] for row in prepared({"a.tsv": content}, record | codes)[0]] == ["e"]


def test_a_column_may_say_the_split(prepared):
    splits = {"column": "part", "values": {"training": "train", "dev": "validation"}}
    record = NLI | {"columns": NLI["columns"] | {"split": splits}}
    content = "one\ttwo\tgold\tpart\na\tb\tyes\ttraining\nc\td\tno\tdev\n"
    assert [row["text"] for row in prepared({"a.tsv": content}, record, split="validation")[0]] == ["c"]
    record["columns"]["split"] = "part"
    with pytest.raises(UserError, match=r"(?s)the split 'training' is none of train, .*drop: \[training\]") as caught:
        prepared({"a.tsv": content}, record)
    assert caught.value.where.endswith("a.tsv:2")


def test_texts_of_several_columns_are_joined(prepared):
    record = CHOICE | {"columns": CHOICE["columns"] | {"premise": ["p", "q"]}}
    assert prepared({"a.csv": "p,q,a,b,l\nOne.,Two.,x,y,b\n"}, record)[0][0]["premise"] == "One. Two."


RETRIEVAL = {"task": "retrieval", "columns": {"id": "n", "query": "q", "candidate": "c"}}


def test_pairs_of_retrieval_are_trained_on_and_evaluated_apart(prepared):
    content = "n\tq\tc\n1\twho\tAda\n2\twhere\tParis\n3\twhoever\tAda\n"
    (first, *_), _ = prepared({"a.tsv": content}, RETRIEVAL)
    assert first == {"id": "1", "query": "who", "key": "1", "candidate": "Ada", "context": "", "keys": ["1", "3"]}
    rows = prepared({"a.tsv": content}, RETRIEVAL, split="test")[0]
    assert [row for row in rows if "query" in row][2] == {"id": "3_xx", "query": "whoever", "key": "3"}
    assert [row for row in rows if "candidate" in row] == [
        {"id": "xx_1", "candidate": "Ada", "context": "", "keys": ["1", "3"]},
        {"id": "xx_2", "candidate": "Paris", "context": "", "keys": ["2"]},
    ]


def test_questions_with_answers_are_pairs_to_train_on(prepared):
    columns = {"context": "c", "question": "q", "answers": "a", "answer_start": "s"}
    (row,) = prepared({"a.csv": "c,q,a,s\nAda is. Bo was.,?,Bo,8\n"}, {"task": "retrieval", "columns": columns})[0]
    assert row["candidate"] == "Bo was."


@pytest.mark.parametrize(("name", "content"), [("a.csv", "a,b\nx,y\n"), ("a.jsonl", '{"a": "x", "b": "y"}\n')])
def test_tables_are_read_without_torch_and_without_a_word(name, content):
    code = f"""
import sys
from crosstune.data.readers import read_rows
from crosstune.data.readers.pieces import ReaderOptions
options = ReaderOptions(task="bitext", columns={{"text": "a", "pair": "b"}})
assert read_rows("table", [({name!r}, {content!r})], options)[0]["pair"] == "y"
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_study_that_needs_no_table_imports_no_library_of_tables():
    code = "import sys; sys.modules.update(datasets=None, pandas=None); from crosstune.data.readers import read_rows;"
    code += "assert read_rows('pairs', [('a.tsv', 'a\\tb\\n')]); assert read_rows('lines', [('a.txt', 'a\\n')])"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT / "scripts", check=True)
