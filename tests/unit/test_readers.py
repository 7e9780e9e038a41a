"""Readers: rows of every format, faults with their place, round trips and random damage."""

import codecs
import csv
import gzip
import io
import json
import lzma
import re
import subprocess
import unicodedata

import pytest
from helpers.checklist_table import checklist_files
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.core.errors import UserError
from crosstune.core.files import decode_text, read_text
from crosstune.data.readers import READERS, read_rows
from crosstune.data.readers.hub import rows_from_records
from crosstune.data.readers.pieces import UPOS, ReaderOptions
from crosstune.data.readers.qa import check_answers

CONTEXT = "Ada lives in Paris. Émile lives in Łódź."
PANX_TAGS = ("O", "B-PER", "I-PER")
PANX_OPTIONS = ReaderOptions(tags=PANX_TAGS)
CHAII_CODES = {"hi": "hindi", "ta": "tamil"}


def question(name="q1", text="Paris", start=13, **changes):
    return {"id": name, "question": "Where?", "answers": [{"text": text, "answer_start": start}], **changes}


def squad_file(*questions, context=CONTEXT):
    return json.dumps(
        {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": context, "qas": questions}]}]}
    )


def conllu_word(number, form, tag, head="0", upos=None):
    return "\t".join([str(number), form, "_", upos or tag, "_", "_", str(head), "_", "_", "_"])


def conllu_file(*lines):
    return "\n".join(lines) + "\n\n"


def read_one(reader, text, **options):
    return read_rows(reader, [("folder/file.ext", text)], ReaderOptions(codes=CHAII_CODES, **options))


def read_table(table, content, task, **columns):
    return read_one("table", content, table=table, task=task, columns=columns)


TSV, JSON_LINES = {"format": "tsv"}, {"format": "json"}

# ------------------------------------------------------------------------------------------------------------ formats


def test_squad_gives_one_row_per_question_with_offsets_in_code_points():
    rows = read_one("squad", squad_file(question(), question("q2", "Łódź", 35)))
    assert rows[1] == {
        "id": "q2",
        "context": CONTEXT,
        "question": "Where?",
        "answers": {"text": ["Łódź"], "answer_start": [35]},
    }


def test_answers_lost_in_translation_are_left_out():
    answers = [{"text": "", "answer_start": -1}, {"text": "Paris", "answer_start": 13}]
    assert read_one("squad", squad_file(question(answers=answers)))[0]["answers"]["text"] == ["Paris"]
    with pytest.raises(UserError, match="no answer"):
        read_one("squad", squad_file(question(answers=answers[:1])))


def test_conllu_skips_comments_and_empty_nodes_and_takes_the_sentence_id():
    text = conllu_file("# sent_id = a-1", "# text = Sue left", conllu_word(1, "Sue", "PROPN", 2), "1.1\tx" + "\t_" * 8)
    assert read_one("conllu", text) == [{"id": "a-1", "tokens": ["Sue"], "tags": ["PROPN"]}]
    assert read_one("conllu-text", text) == [{"id": "a-1", "text": "Sue left"}]


@pytest.mark.parametrize(
    ("lang", "words", "tag"),
    [
        ("es", [("de", "ADP", 3), ("el", "DET", 3)], "ADP"),  # equally high: by the order of preference
        ("es", [("haber", "AUX", 3), ("lo", "PRON", 3)], "AUX"),
        ("en", [("I", "PRON", 3), ("'m", "AUX", 3)], "PRON"),
        ("en", [("do", "AUX", 3), ("n't", "PART", 3)], "AUX"),
        ("he", [("b", "ADP", 2), ("bayit", "NOUN", 3)], "NOUN"),  # the head of the others
        ("it", [("ecco", "SYM", 3), ("lo", "X", 3)], "SYM"),  # tags outside the order: the first
    ],
)
def test_a_multiword_token_has_the_tag_of_its_highest_word(lang, words, tag):
    lines = [conllu_word(n, form, upos, head) for n, (form, upos, head) in enumerate(words, 1)]
    fused = "1-2\tfused" + "\t_" * 8
    rows = read_one("conllu", conllu_file(fused, *lines, conllu_word(3, "root", "VERB")), lang=lang)
    assert (rows[0]["tokens"], rows[0]["tags"]) == (["fused", "root"], [tag, "VERB"])


def test_columns_strip_the_prefix_that_the_record_names():
    text = "en:Ada\tB-PER\nen:lives\tO\n\nen:x\tO\n"
    assert read_one("columns", text, tags=PANX_TAGS, token_prefix="en:")[0]["tokens"] == ["Ada", "lives"]


@pytest.mark.parametrize("reader", ["columns", "columns-text"])
def test_a_language_before_all_tokens_is_refused_with_the_key_to_set(reader):
    text = "en:Ada\tB-PER\nen:lives\tO\n\nen:x\tO\n"
    with pytest.raises(UserError, match="all tokens begin with 'en:'") as caught:
        read_one(reader, text, tags=PANX_TAGS)
    assert 'token_prefix: "en:"' in caught.value.fix
    assert read_one(reader, text.replace("en:x", "x"), tags=PANX_TAGS), "one token without it: it is text"
    assert read_one("columns", "http:\tO\n", tags=PANX_TAGS)[0]["tokens"] == ["http:"]
    with pytest.raises(UserError, match="all tokens begin with 'en:'"):
        from_columns("tagging", {"tokens": [["en:Ada", "en:left"]], "ner_tags": [["B-PER", "O"]]}, PANX_OPTIONS)


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        ("conllu", "# sent_id = 1\n{word}\n{other}\n\n"),
        ("conllu-text", "{word}\n{other}\n\n"),
        ("conllu", "1-2\t_" + "\t_" * 8 + "\n{word}\n{other}\n3\t_" + "\t_" * 8 + "\n"),
        ("columns", "_\tNOUN\n_\tVERB\n"),
    ],
)
def test_a_sentence_of_withheld_words_is_refused(reader, text):
    words = {"word": conllu_word(1, "_", "NOUN"), "other": conllu_word(2, "_", "VERB", 1)}
    text = text.format(**words).replace("3\t_\t_\t_", "3\t_\t_\tX")
    with pytest.raises(UserError, match="all words of the sentence are `_`: this release holds no text") as caught:
        read_one(reader, "a\tNOUN\n\n" + text if reader == "columns" else text)
    assert caught.value.where == f"folder/file.ext:{3 if reader == 'columns' else 1}"
    with pytest.raises(UserError, match="holds no text"):
        from_columns("tagging", {"tokens": [["_", "_"]], "upos": [["NOUN", "X"]]})


def test_a_word_that_is_an_underscore_is_a_word():
    text = conllu_file(conllu_word(1, "_", "SYM", 2), conllu_word(2, "x", "X")) + conllu_file(
        conllu_word(1, "_", "SYM")
    )
    assert [row["tokens"] for row in read_one("conllu", text)] == [["_", "x"], ["_"]]


def test_tokens_are_joined_as_the_language_is_written():
    text = "你\tPRON\n好\tADJ\n"
    assert read_one("columns-text", text, lang="zh") == [{"id": "file.ext:1", "text": "你好"}]
    assert read_one("columns-text", text, lang="fr") == [{"id": "file.ext:1", "text": "你 好"}]


def test_contexts_are_given_once():
    text = squad_file(question(), question("q2"))
    assert read_one("squad-text", text) == [{"id": "file.ext:1", "text": CONTEXT}]


def test_lines_are_split_at_line_feeds_only():
    assert [row["text"] for row in read_one("lines", "a\u2028b\x0bc\r\n\nd")] == ["a\u2028b\x0bc", "d"]


def test_pairs_and_aligned_files_give_the_same_pairs():
    expected = [("a", "x"), ("b", "y")]
    aligned = read_rows("aligned", [("one.txt", "a\n\nb\n"), ("two.txt", "x\n\ny\n")])
    pairs = read_one("pairs", "a\tx\nb\ty\n")
    assert [(row["text"], row["pair"]) for row in aligned] == [(row["text"], row["pair"]) for row in pairs] == expected


def test_several_columns_of_text_give_their_distinct_texts():
    found = read_table(TSV, "p\th1\tx\np\th2\tx\n", "text", text=[1, 2])
    assert [row["text"] for row in found] == ["p", "h1", "h2"]
    text = '{"a": "p", "b": "x", "n": 1}\n{"a": "q", "b": "x", "n": 2}\n'
    assert read_table(JSON_LINES, text, "text", text=["a", "b"]) == [
        {"id": "file.ext:1.1", "text": "p"},
        {"id": "file.ext:1.2", "text": "x"},
        {"id": "file.ext:2.1", "text": "q"},
    ]


def chaii_file(*records):
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["id", "context", "question", "answer_text", "answer_start", "language"])
    writer.writerows(records)
    return file.getvalue()


def test_chaii_takes_the_rows_of_its_language():
    text = chaii_file(["a", "x\ny, z", "?", "y", 2, "hindi"], ["b", "x", "?", "x", 0, "tamil"])
    rows = read_one("chaii", text, lang="hi")
    assert [(row["id"], row["answers"]) for row in rows] == [("a", {"text": ["y"], "answer_start": [2]})]


def test_chaii_names_languages_by_the_codes_of_the_record():
    text = chaii_file(["a", "x", "?", "x", 0, "this"], ["b", "x", "?", "x", 0, "that"])
    options = ReaderOptions(lang="qaa", codes={"qaa": "that", "qab": "this"})
    assert [row["id"] for row in read_rows("chaii", [("f", text)], options)] == ["b"]


def test_chaii_with_mixed_line_endings_keeps_those_of_its_texts():
    header = "id,context,question,answer_text,answer_start,language"
    text = f'{header}\r\na,"one\ntwo\r\nthree",?,three,9,hindi\nb,"x\n\ny",?,y,3,hindi\r\n\n\r\nc,z,?,z,0,hindi'
    rows = read_one("chaii", text, lang="hi")
    assert [row["context"] for row in rows] == ["one\ntwo\r\nthree", "x\n\ny", "z"]
    with pytest.raises(UserError, match="'z' is not at its offset 1") as caught:
        read_one("chaii", text.replace("z,0", "z,1"), lang="hi")
    assert caught.value.where == "folder/file.ext:10, question c", "lines 2-4, 5-7, two empty ones, then the last"


def test_chaii_is_read_after_a_byte_order_mark():
    text = decode_text(b"\xef\xbb\xbf" + chaii_file(["a", "x", "?", "x", 0, "hindi"]).encode("utf-8"), "train.csv")
    assert [row["id"] for row in read_one("chaii", text, lang="hi")] == ["a"]


def test_a_field_of_csv_may_be_longer_than_the_library_s_limit():
    context = "long " * 50_000
    (row,) = read_one("chaii", chaii_file(["a", f"{context}end", "?", "end", len(context), "hindi"]), lang="hi")
    assert len(row["context"]) == len(context) + 3


def test_files_of_one_name_in_two_folders_have_ids_of_their_own():
    files = [("a/test.tsv", "x\tNOUN\n"), ("b/test.tsv", "y\tNOUN\n"), ("b/more.tsv", "z\tNOUN\n")]
    assert [row["id"] for row in read_rows("columns", files)] == ["test:1", "2/test:1", "more:1"]


def test_treebanks_may_number_their_sentences_alike():
    files = [(name, conllu_file("# sent_id = s1", conllu_word(1, name, "NOUN"))) for name in ("one", "two")]
    assert [(row["id"], row["tokens"]) for row in read_rows("conllu", files)] == [("s1", ["one"]), ("2/s1", ["two"])]


def test_the_same_file_twice_and_the_same_question_twice_are_refused():
    with pytest.raises(UserError, match="b: the file is the same as a"):
        read_rows("lines", [("a", "x\n"), ("b", "x\n")])
    with pytest.raises(UserError, match="the id 'q1' occurs twice"):
        read_rows("squad", [("a", squad_file(question())), ("b", squad_file(question(), question("q2")))])


def test_rows_of_several_files_follow_each_other():
    rows = read_rows("lines", [("b.txt.xz", "1\n2\n"), ("a.txt", "3\n")])
    assert [(row["id"], row["text"]) for row in rows] == [("b:1", "1"), ("b:2", "2"), ("a:1", "3")]


# ------------------------------------------------------------------------------------------------------- encodings

WORDS = "Ana\tPROPN\nbor\tVERB\ni\tADP\nŁódź\tPROPN\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_files_are_decoded_by_their_byte_order_mark(encoding):
    assert decode_text(WORDS.encode(encoding), "a.tsv") == WORDS
    big_endian = codecs.BOM_UTF16_BE + WORDS.encode("utf-16-be")
    assert decode_text(gzip.compress(big_endian), "a.tsv.gz") == WORDS


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
@pytest.mark.parametrize(
    ("encoding", "text", "message", "line"),
    [
        ("utf-16-le", WORDS.replace("Łódź", "Oslo"), "the text is not UTF-8 but UTF-16", 1),
        ("utf-16-be", WORDS.replace("Łódź", "Oslo"), "the text is not UTF-8 but UTF-16", 1),
        ("utf-16-le", "आम\tNOUN\n" * 20, "the text is not UTF-8", 1),
        ("latin-1", "Ana\tPROPN\nfällt\tVERB\n", "the text is not UTF-8", 2),
    ],
)
def test_the_command_for_a_file_in_another_encoding_converts_it(tmp_path, suffix, encoding, text, message, line):
    pack = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}[suffix]
    path = tmp_path / f"my data.tsv{suffix}"
    path.write_bytes(pack(text.encode(encoding)))
    with pytest.raises(UserError, match=message) as caught:
        read_text(path)
    assert caught.value.where == f"{path}:{line}"
    subprocess.run(caught.value.fix.splitlines()[-1], shell=True, cwd=tmp_path, check=True)
    assert read_text(path) == text


# ---------------------------------------------------------------------------------------------------------- faults

GOOD_WORD = conllu_word(1, "a", "NOUN")
CHAII_ROW = ["a", "x", "?", "x", 0, "hindi"]
FAULTS = {
    "empty": ("squad", "", "is empty", "file.ext"),
    "only blank lines": ("conllu", "\n\n", "is empty", "file.ext"),
    "tsv for json": ("squad", "a\tNOUN\nb\tVERB\n", "not valid JSON", "file.ext:1"),
    "truncated json": ("squad", squad_file(question())[:-20], "truncated or of another format", "file.ext:1"),
    "no data": ("squad", '{"rows": []}', "'data' is missing; there are 'rows'", "file.ext"),
    "no paragraphs": ("squad", '{"data": []}', "holds no rows", "file.ext"),
    "a list": ("squad", "[]", "expected an object with the field 'data', found a list", "file.ext"),
    "deep": ("squad", "[" * 100_000, "not valid JSON", "file.ext:1"),
    "missing question": ("squad", squad_file({"id": "q7", "answers": []}), "'question' is missing", "question q7"),
    "offset as text": ("squad", squad_file(question(start="13")), "expected a whole number in 'answer_start'", "q1"),
    "offset as truth value": ("squad", squad_file(question(start=True)), "expected a whole number", "q1"),
    "other offset": ("squad", squad_file(question(start=14)), "'Paris' is not at its offset 14.*'aris.'", "q1"),
    "negative offset": ("squad", squad_file(question(text="Łódź", start=-5)), "not at its offset -5", "q1"),
    "surrogate": ("squad", squad_file(question(), context="\ud800 " + CONTEXT), "surrogate", "paragraphs[0]"),
    "id twice": ("squad", squad_file(question(), question()), "'q1' occurs twice", "file.ext"),
    "csv header": ("chaii", "id,text\n1,2\n", "with the columns id, context, .*, found 'id, text'", "file.ext:1"),
    "csv row": ("chaii", chaii_file(["a", "b"]), "expected 6 columns, found 2", "file.ext:2"),
    "csv comma": (
        "chaii",
        chaii_file(["a", "x", "?", "x", 0, "hindi", ""]),
        "expected 6 columns, found 7",
        "file.ext:2",
    ),
    "csv quote": ("chaii", chaii_file(CHAII_ROW) + '"b', "not valid CSV .unexpected end of data", "file.ext:3"),
    "csv answer": (
        "chaii",
        chaii_file(["a", "x\ny", "?", "x", 0, "hindi"], ["b", "x y", "?", "y", 1, "hindi"]),
        "the answer 'y' is not at its offset 1, where the context has ' '",
        "file.ext:4, question b",
    ),
    "csv without an answer": ("chaii", chaii_file(["a", "x", "?", "", 0, "hindi"]), "'' is not at", "file.ext:2"),
    "csv empty context": ("chaii", chaii_file(["a", " ", "?", "x", 0, "hindi"]), "'context' is empty", "file.ext:2"),
    "csv empty question": ("chaii", chaii_file(["a", "x", "", "x", 0, "hindi"]), "'question' is empty", "file.ext:2"),
    "csv id twice": ("chaii", chaii_file(CHAII_ROW, CHAII_ROW), "the id 'a' occurs twice", "file.ext"),
    "csv language": (
        "chaii",
        chaii_file(CHAII_ROW, ["b", "x", "?", "x", 0, "Hindi"]),
        "the language 'Hindi' is outside the set hindi tamil\n.*Did you mean 'hindi'",
        "file.ext:3",
    ),
    "csv other language": (
        "chaii",
        chaii_file(["b", "x", "?", "x", 0, "urdu"]),
        "'urdu' is outside the set hindi tamil\n.*The record's key `codes` lists",
        "file.ext:2",
    ),
    "csv offset": ("chaii", chaii_file(["a", "x", "?", "x", "one", "hindi"]), "expected an offset", "file.ext:2"),
    "json for conllu": ("conllu", squad_file(question()), "expected the 10 columns of CoNLL-U, found 1", "file.ext:1"),
    "number": ("conllu", conllu_file(GOOD_WORD, GOOD_WORD), "number 2, found '1'", "file.ext:2"),
    "head": ("conllu", conllu_file(conllu_word(1, "a", "NOUN", "x")), "head, found 'x'", "file.ext:1"),
    "no tag": ("conllu", conllu_file(conllu_word(1, "a", "_")), "tag '_' is outside the set ADJ", "file.ext:1"),
    "near tag": ("conllu", conllu_file(conllu_word(1, "a", "NOUNS")), "Did you mean 'NOUN'", "file.ext:1"),
    "empty word": ("conllu", conllu_file(conllu_word(1, "", "NOUN")), "the word is empty", "file.ext:1"),
    "no words": ("conllu", conllu_file("# sent_id = 1"), "without words", "file.ext:1"),
    "span": ("conllu", conllu_file("1-3\tx" + "\t_" * 8, GOOD_WORD), "1-3 does not lie among", "file.ext:1"),
    "cycle": (
        "conllu",
        conllu_file("1-2\tx" + "\t_" * 8, conllu_word(1, "a", "DET", 2), conllu_word(2, "b", "DET", 1)),
        "do not form a tree",
        "file.ext:1",
    ),
    "sentence id twice": ("conllu", conllu_file("# sent_id = 1", GOOD_WORD) * 2, "'1' occurs twice", "file.ext"),
    "three columns": ("columns", "a\tNOUN\nb\tNOUN\tx\n", "found 3 columns", "file.ext:2"),
    "column tag": ("columns", "a\tNOUN\n\nb\tB-PER\n", "'B-PER' is outside", "file.ext:3"),
    "empty token": ("columns", "\tNOUN\n", "token is empty", "file.ext:1"),
    "one column": ("pairs", "a\tb\nc\n", "found 1 columns", "file.ext:2"),
    "half a pair": ("pairs", "a\t \n", "expected a text, a tab and its translation", "file.ext:1"),
}


@pytest.mark.parametrize(("reader", "text", "message", "place"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_names_its_place(reader, text, message, place):
    with pytest.raises(UserError, match=message) as caught:
        read_one(reader, text, lang="hi")
    assert place in caught.value.where


def test_faults_of_options_and_aligned_files_are_user_errors():
    with pytest.raises(UserError, match="begins with 'en:'"):
        read_one("columns", "Ada\tNOUN\n", token_prefix="en:")
    with pytest.raises(UserError, match="at least 3 columns, found 2"):
        read_table(TSV, "a\tb\n", "text", text=[1, 3])
    with pytest.raises(UserError, match="'b' is missing") as caught:
        read_table(JSON_LINES, '{"b": "x"}\n{"a": "x"}\n', "text", text="b")
    assert caught.value.where == "folder/file.ext:2"
    with pytest.raises(UserError, match="not valid JSON") as caught:
        read_table(JSON_LINES, '{"b": "x"}\n{"b": \n', "text", text="b")
    assert caught.value.where == "folder/file.ext:2"
    with pytest.raises(UserError, match="2 lines against 1"):
        read_rows("aligned", [("one", "a\nb\n"), ("two", "x\n")])
    with pytest.raises(UserError, match="one side of the pair is empty"):
        read_rows("aligned", [("one", "a\nb\nc\n"), ("two", "x\n\nz\n")])
    with pytest.raises(UserError, match="needs two files, found 1"):
        read_one("aligned", "a\n")


def test_both_strings_of_a_misplaced_answer_are_shown():
    row = {"context": "abcdef", "answers": {"text": ["bc"], "answer_start": [2]}}
    with pytest.raises(UserError, match="'bc' is not at its offset 2, where the context has 'cd'"):
        check_answers(row, "here")


# ------------------------------------------------------------------------------------- round trips, random damage

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\t"), min_size=1, max_size=12)
texts = words.filter(lambda text: text.strip())
names = st.text("abc123-", min_size=1, max_size=8)
sentences = st.lists(st.tuples(texts, st.sampled_from(UPOS)), min_size=1, max_size=6)


@st.composite
def questions(draw):
    rows = []
    for name in draw(st.lists(names, min_size=1, max_size=4, unique=True)):
        context = draw(texts) + draw(texts)
        start = draw(st.integers(0, len(context) - 1))
        end = draw(st.integers(start + 1, len(context)))
        answers = {"text": [context[start:end]], "answer_start": [start]}
        rows.append({"id": name, "context": context, "question": draw(texts), "answers": answers})
    return rows


def write_squad(rows):
    paragraphs = [
        {
            "context": row["context"],
            "qas": [
                question(row["id"], row["answers"]["text"][0], row["answers"]["answer_start"][0])
                | {"question": row["question"]}
            ],
        }
        for row in rows
    ]
    return json.dumps({"data": [{"paragraphs": paragraphs}]})


def write_conllu(rows):
    return "\n".join(
        conllu_file(f"# sent_id = {name}", *(conllu_word(n, form, tag) for n, (form, tag) in enumerate(row, 1)))
        for name, row in rows.items()
    )


@given(questions())
def test_squad_survives_a_round_trip(rows):
    assert read_one("squad", write_squad(rows)) == rows


@given(questions())
def test_chaii_survives_a_round_trip(rows):
    records = [
        [
            row["id"],
            row["context"],
            row["question"],
            row["answers"]["text"][0],
            row["answers"]["answer_start"][0],
            "tamil",
        ]
        for row in rows
    ]
    assert read_one("chaii", chaii_file(*records), lang="ta") == rows


@given(st.dictionaries(names, sentences, min_size=1, max_size=4))
def test_conllu_survives_a_round_trip(rows):
    expected = [{"id": k, "tokens": [w for w, _ in row], "tags": [t for _, t in row]} for k, row in rows.items()]
    assert read_one("conllu", write_conllu(rows)) == expected


@given(st.lists(sentences, min_size=1, max_size=4))
def test_columns_survive_a_round_trip(rows):
    text = "\n\n".join("\n".join(f"{token}\t{tag}" for token, tag in row) for row in rows)
    found = [list(zip(row["tokens"], row["tags"], strict=True)) for row in read_one("columns", text)]
    assert found == rows


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_lines_pairs_and_aligned_files_survive_a_round_trip(rows):
    left, right = "\n".join(text for text, _ in rows), "\n".join(pair for _, pair in rows)
    assert [row["text"] for row in read_one("lines", left)] == [text for text, _ in rows]
    for found in (
        read_rows("aligned", [("a", left), ("b", right)]),
        read_one("pairs", "\n".join(f"{text}\t{pair}" for text, pair in rows)),
    ):
        assert [(row["text"], row["pair"]) for row in found] == rows


LAREQA = {
    "data": [
        {
            "paragraphs": [
                {
                    "context": "Ana lives in Łódź. Bo does not. Ana lives in Łódź.",
                    "sentence_breaks": [[0, 18], [19, 31], [32, 50]],
                    "qas": [
                        {"id": "q1", "question": "Where is Ana?", "answers": [{"text": "Łódź", "answer_start": 13}]},
                        {"id": "q2", "question": "Who is not?", "answers": [{"text": "Bo", "answer_start": 19}]},
                    ],
                }
            ]
        }
    ]
}
ARTICLE = {"language": "hi", "text": "Rain. In {old} Pune it rained.", "sentence_spans": [{"start": 6, "end": 30}]}
MENTION = {"example_id": "m1", "entity_id": "Q1", "mention_span": {"start": 15, "end": 19, "text": "Pune"}}
ENTITY = {"entity_id": "Q1", "description": "A city.", "description_language": "hi"}
MEWSLIX = [
    {"context": ARTICLE, "mentions": [MENTION]},
    {"context": {**ARTICLE, "language": "de"}, "mentions": [{**MENTION, "example_id": "m2"}]},
    ENTITY,
    {**ENTITY, "entity_id": "Q2", "description_language": "sw"},
    {**ENTITY, "entity_id": "Q3", "description_language": "de"},
]
FUSED = conllu_file("1-2\tdel" + "\t_" * 8, conllu_word(1, "de", "ADP", 2), conllu_word(2, "el", "DET", 0))
SAMPLES = {
    "squad": squad_file(question(), question("q2", "Łódź", 35)),
    "squad-text": squad_file(question()),
    "chaii": chaii_file(["a", 'x "y", z', "?", "y", 3, "hindi"], ["b", "x", "?", "x", 0, "hindi"]),
    "conllu": FUSED + conllu_file("# sent_id = 2", conllu_word(1, "a", "NOUN")),
    "conllu-text": FUSED,
    "columns": "a\tNOUN\nb\tVERB\n\nc\tX\n",
    "columns-text": "a\tNOUN\nb\tVERB\n\nc\tX\n",
    "lines": "a\nb\n",
    "pairs": "a\tx\nb\ty\n",
    "aligned": "a\nb\n",
    "table": '{"a": "x"}\n{"a": "y"}\n',
    "classified": "a\tb\nc\td\n",
    "copa": '{"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 1}\n',
    "siqa": '{"context": "c", "question": "q", "answerA": "a", "answerB": "b", "answerC": "c"}\n',
    "lareqa": json.dumps(LAREQA),
    "squad-sentences": squad_file(question(), question("q2", "Łódź", 35)),
    "mewslix": "\n".join(map(json.dumps, MEWSLIX)),
    "multichecklist": checklist_files()[0][1],
}
SECOND_FILES = {
    "aligned": "a\nb\n",
    "classified": "yes\nno\n",
    "siqa": "3\n",
    "multichecklist": checklist_files()[1][1],
}


@settings(max_examples=400)
@given(st.sampled_from(sorted(READERS)), st.data())
def test_a_damaged_file_gives_rows_or_a_user_error_and_nothing_else(reader, data):
    text = SAMPLES[reader]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 20)))
        piece = data.draw(
            st.text(max_size=4) | st.sampled_from(['"', "{", "\t", "\n", "-1", "9" * 5000, "\\ud800", "\0"])
        )
        text = text[:start] + piece + text[end:]
    files = [("file", text), *((name, SECOND_FILES[name]) for name in SECOND_FILES if name == reader)]
    try:
        options = ReaderOptions(
            "sw" if reader == "multichecklist" else "hi", languages=("hi",), labels=("yes", "no"), codes=CHAII_CODES,
            task="text", table=JSON_LINES, columns={"text": "a"} if reader == "table" else {}, suite={"cases": 3},
        )  # fmt: skip
        rows = read_rows(reader, files, options)
    except UserError:
        return
    assert rows and len({row["id"] for row in rows}) == len(rows)
    json.dumps(rows, ensure_ascii=False).encode("utf-8")


def test_lareqa_candidates_are_sentences_and_answers_their_keys():
    rows = read_one("lareqa", json.dumps(LAREQA), lang="hi")
    context = LAREQA["data"][0]["paragraphs"][0]["context"]
    assert [row for row in rows if "query" in row] == [
        {"id": "q1_hi", "query": "Where is Ana?", "key": "q1"},
        {"id": "q2_hi", "query": "Who is not?", "key": "q2"},
    ]
    candidates = [row for row in rows if "candidate" in row]
    assert [(row["id"], row["candidate"], row["keys"]) for row in candidates] == [
        ("hi_1_0", "Ana lives in Łódź.", ["q1"]),
        ("hi_1_1", "Bo does not.", ["q2"]),
        ("hi_1_2", "Ana lives in Łódź.", ["q1"]),
    ]
    assert {row["context"] for row in candidates} == {context}


def test_mewslix_marks_the_mention_and_divides_the_pool_between_languages():
    text = "\n".join(map(json.dumps, MEWSLIX))
    options = ReaderOptions(lang="hi", languages=("hi", "de"))
    assert read_rows("mewslix", [("file", text)], options) == [
        {"id": "m1", "query": "Pune: In (old) { Pune } it rained.", "key": "Q1"},
        {"id": "Q1", "candidate": "A city.", "context": "", "keys": ["Q1"]},
        {"id": "Q2", "candidate": "A city.", "context": "", "keys": ["Q2"]},
    ], "the first language has what is described in none of the record's languages"
    german = read_rows("mewslix", [("file", text)], ReaderOptions(lang="de", languages=("hi", "de")))
    assert [row["id"] for row in german] == ["m2", "Q3"]


def test_a_training_pair_of_mewslix_is_one_row():
    pair = {"contextual_mention": {"context": ARTICLE, "mention": MENTION}, "entity": ENTITY}
    (row,) = read_rows("mewslix", [("file", json.dumps(pair))], ReaderOptions(lang="hi"))
    assert (row["query"], row["candidate"], row["keys"]) == ("Pune: In (old) { Pune } it rained.", "A city.", ["Q1"])
    assert row["id"] == "m1"


@pytest.mark.parametrize(
    ("context", "answer", "sentence"),
    [
        ("One here. Two there! Three?", "Two", "Two there!"),
        ("One here. Two there! Three?", "here. Two", "One here. Two there!"),
        ('He said "No." Then he left.', "left", "Then he left."),
        ("Pi is 3.14 here. Done.", "3.14", "Pi is 3.14 here."),
        ("राम घर गया। सीता आई।", "सीता", "सीता आई।"),
        ("他来了。她走了。", "她", "她走了。"),
        ("no end at all", "end", "no end at all"),
    ],
)
def test_a_candidate_is_the_sentence_of_its_answer(context, answer, sentence):
    answers = [{"text": answer, "answer_start": context.index(answer)}]
    paragraph = {"context": context, "qas": [{"id": "q", "question": "?", "answers": answers}]}
    text = json.dumps({"data": [{"paragraphs": [paragraph]}]})
    (row,) = read_one("squad-sentences", text)
    assert row == {"id": "q", "query": "?", "key": "q", "candidate": sentence, "context": context, "keys": ["q"]}


def test_a_pair_has_the_first_answer_that_translation_did_not_lose():
    answers = [{"text": "", "answer_start": -1}, {"text": "Two", "answer_start": 10}]
    paragraph = {"context": "One here. Two there!", "qas": [{"id": "q", "question": "?", "answers": answers}]}
    (row,) = read_one("squad-sentences", json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    assert row["candidate"] == "Two there!"


@pytest.mark.parametrize("compose", ["NFC", "NFD"])
def test_offsets_of_sentences_are_of_the_text_as_it_is_written(compose):
    """Offsets in composed letters would cut sentences of decomposed text at the wrong place, without a word."""
    first, second = "Ém é là.", "Où? Ça."
    text = unicodedata.normalize(compose, f"{first} {second}")
    spans = [[0, len(first)], [len(first) + 1, len(first) + 1 + len(second)]]
    entity = json.dumps({**ENTITY, "description": text, "sentence_spans": spans})
    answers = [{"text": "m", "answer_start": text.index("m")}]
    paragraph = {"context": text, "sentence_breaks": spans, "qas": [{**question(), "answers": answers}]}
    for reader, content in (("mewslix", entity), ("lareqa", json.dumps({"data": [{"paragraphs": [paragraph]}]}))):
        options = ReaderOptions("hi", languages=("hi",))
        if compose == "NFC":
            rows = read_rows(reader, [("file", content)], options)
            assert rows[-1]["candidate"].endswith("Ça.") and rows[-1]["candidate"] in text
        else:
            with pytest.raises(UserError, match="the text is decomposed"):
                read_rows(reader, [("file", content)], options)


def test_classified_pairs_take_labels_from_the_third_column_or_a_second_file():
    options = ReaderOptions(labels=("entailment", "contradiction"))
    one = read_rows("classified", [("t.tsv", "a\tb\tentailment\nc\td\tcontradictory\n")], options)
    two = read_rows("classified", [("t.tsv", "a\tb\nc\td\n"), ("labels", "entailment\ncontradiction\n")], options)
    assert (
        one
        == two
        == [
            {"id": "t:1", "text": "a", "pair": "b", "label": "entailment"},
            {"id": "t:2", "text": "c", "pair": "d", "label": "contradiction"},
        ]
    )


@pytest.mark.parametrize(
    ("reader", "files", "complaint", "place"),
    [
        ("classified", ["a\tb\tmaybe\n"], "the label 'maybe' is outside the set yes no", "file0:1"),
        ("classified", ["a\tb\n"], "expected at least 3 columns, found 2", "file0:1"),
        ("classified", ["a\tb\n", "yes\nno\n"], "2 rows for the 1 of file0", "file1"),
        (
            "copa",
            [SAMPLES["copa"].replace("cause", "reason")],
            "expected cause or effect in the field 'question'",
            "file0:1",
        ),
        ("copa", [SAMPLES["copa"].replace("1}", "-1}")], "the label '-1' is outside the set 0 1", "file0:1"),
        ("siqa", [SAMPLES["siqa"], "4\n"], "the label '4' is outside the set 1 2 3", "file1:1"),
        ("siqa", [SAMPLES["siqa"]], "the columns name 2 files that belong together, found 1", "file0"),
        ("lareqa", [json.dumps(LAREQA).replace("[19, 31]", "[19, 99]")], "expected a range of characters", "file0"),
        ("lareqa", [json.dumps(LAREQA).replace(": 19}", ": 20}")], "the answer 'Bo' is not at its offset 20", "file0"),
        ("mewslix", [json.dumps(MEWSLIX[0]).replace("15", "14")], "the mention 'Pune' is not at its offset", "file0:1"),
    ],
)
def test_faults_of_items_name_the_line(reader, files, complaint, place):
    named = [(f"file{number}", text) for number, text in enumerate(files)]
    with pytest.raises(UserError, match=re.escape(complaint)) as caught:
        read_rows(reader, named, ReaderOptions(lang="hi", languages=("hi",), labels=("yes", "no")))
    assert caught.value.where.startswith(place)


# -------------------------------------------------------------------------------------------------------------- hub


def from_columns(task, columns, options=None, id_prefix=""):
    """Rows of a table in the format of the hub's files, given by columns."""
    records = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    numbered = ((f"file, row {number}", record) for number, record in enumerate(records, 1))
    return rows_from_records(numbered, task, "file", options or ReaderOptions(), id_prefix)


def test_hub_questions_are_selected_by_a_prefix_of_ids():
    answers = [{"text": ["Paris"], "answer_start": [13]}] * 2
    columns = {"id": ["english-1", "korean-2"], "context": [CONTEXT] * 2, "question": ["?"] * 2, "answers": answers}
    rows = from_columns("qa", columns, id_prefix="korean-")
    assert rows == [{"id": "korean-2", "context": CONTEXT, "question": "?", "answers": answers[0]}]
    with pytest.raises(UserError, match="file: no rows with an id that begins with 'thai-'"):
        from_columns("qa", columns, id_prefix="thai-")


def test_hub_sentences_have_tokens_and_tags():
    columns = {"tokens": [["en:Ada", "en:left"]], "ner_tags": [["B-PER", "O"]]}
    expected = [{"id": "0", "tokens": ["Ada", "left"], "tags": ["B-PER", "O"]}]
    assert from_columns("tagging", columns, ReaderOptions(tags=PANX_TAGS, token_prefix="en:")) == expected
    columns = {"idx": ["s"], "tokens": [["Ada"]], "upos": [["PROPN"]]}
    assert from_columns("tagging", columns) == [{"id": "s", "tokens": ["Ada"], "tags": ["PROPN"]}]


def test_of_several_columns_of_tags_the_record_chooses_one():
    columns = {"tokens": [["Ada"]], "pos_tags": [["PROPN"]], "ner_tags": [["B-PER"]]}
    with pytest.raises(UserError, match="2 columns may hold the tags: pos_tags, ner_tags") as caught:
        from_columns("tagging", columns)
    assert "columns: {tokens: tokens, tags: ner_tags}" in caught.value.fix
    options = ReaderOptions(tags=PANX_TAGS, columns={"tokens": "tokens", "tags": "ner_tags"})
    assert from_columns("tagging", columns, options) == [{"id": "0", "tokens": ["Ada"], "tags": ["B-PER"]}]
    options = ReaderOptions(tags=PANX_TAGS, columns={"tokens": "tokens", "tags": "ner"})
    with pytest.raises(UserError, match=r"'ner' is missing; there are 'tokens', 'pos_tags', 'ner_tags'"):
        from_columns("tagging", columns, options)


@pytest.mark.parametrize(
    ("task", "columns", "message"),
    [
        ("tagging", {"tokens": [["a", None]], "upos": [["X", "X"]]}, r"a string in 'tokens\[1\]', found NoneType"),
        ("tagging", {"tokens": [[float("nan")]], "upos": [["X"]]}, r"a string in 'tokens\[0\]', found float"),
        ("tagging", {"tokens": [["a"]], "upos": [[None]]}, "expected the name of a label in 'upos', found None"),
        (
            "qa",
            {"text": ["a"], "answer_start": [float("nan")]},
            r"number in 'answer_start\[0\]', found float, 'nan'",
        ),
        ("qa", {"text": ["a"], "answer_start": [0.0]}, r"a whole number in 'answer_start\[0\]', found float, '0.0'"),
        ("qa", {"text": [None], "answer_start": [0]}, r"a string in 'text\[0\]', found NoneType"),
        ("qa", {"text": ["a"], "answer_start": [True]}, r"a whole number in 'answer_start\[0\]', found bool"),
    ],
)
def test_holes_in_a_table_are_refused_with_their_row(task, columns, message):
    if task == "qa":
        columns = {"id": ["1"], "context": ["a"], "question": ["?"], "answers": [columns]}
    with pytest.raises(UserError, match=message) as caught:
        from_columns(task, columns)
    assert caught.value.where == "file, row 1"


def test_hub_texts_are_numbered():
    assert from_columns("text", {"text": ["a", "b"]}) == [{"id": "0", "text": "a"}, {"id": "1", "text": "b"}]


def test_hub_texts_have_a_label():
    options = ReaderOptions(labels=("neutral", "x"))
    expected = {"id": "7", "text": "a", "pair": "b", "label": "neutral"}
    for one, other in (("premise", "hypothesis"), ("sentence1", "sentence2")):
        columns = {"idx": [7], one: ["a"], other: ["b"], "label": ["neutral"]}
        assert from_columns("classification", columns, options) == [expected]
    single = from_columns("classification", {"text": ["a"], "label": ["x"]}, options)
    assert single == [{"id": "0", "text": "a", "label": "x"}]
    with pytest.raises(UserError, match="the label 'y' is outside the set neutral x"):
        from_columns("classification", {"text": ["a"], "label": ["y"]}, options)


COPA = {"premise": ["p"], "choice1": ["a"], "choice2": ["b"], "question": ["cause"]}


@pytest.mark.parametrize("label", [1, "choice2"])
def test_hub_choices_are_read_as_in_copa(label):
    expected = {"id": "3", "premise": "p", "question": "What was the cause?", "choices": ["a", "b"], "label": 1}
    assert from_columns("choice", COPA | {"idx": [3], "label": [label]}) == [expected]


def test_hub_choices_are_read_as_in_siqa():
    columns = {"context": ["p"], "question": ["why?"], "answerA": ["a"], "answerB": ["b"], "answerC": ["c"]}
    expected = {"id": "0", "premise": "p", "question": "why?", "choices": ["a", "b", "c"], "label": 2}
    assert from_columns("choice", columns | {"label": ["3"]}) == [expected]


def test_hub_sentences_come_with_their_translation():
    columns = {"sentence1": ["Hallo.", "Ja."], "sentence2": ["Hello.", "Yes."], "lang": ["deu-eng"] * 2}
    expected = [{"id": "0", "text": "Hallo.", "pair": "Hello."}, {"id": "1", "text": "Ja.", "pair": "Yes."}]
    assert from_columns("bitext", columns) == expected


def test_hub_questions_are_paired_with_the_sentence_of_their_first_answer():
    context = "It is late. Ana sleeps. Bo reads."
    answers = {"text": ["Ana", "Bo"], "answer_start": [12, 24]}
    columns = {"id": ["q"], "context": [context], "question": ["Who?"], "answers": [answers]}
    pair = {"candidate": "Ana sleeps.", "context": context, "keys": ["q"]}
    assert from_columns("retrieval", columns) == [{"id": "q", "query": "Who?", "key": "q"} | pair]


@pytest.mark.parametrize(
    ("task", "columns", "message"),
    [
        ("bitext", {"sentence1": ["a"], "text": ["b"]}, "'sentence2' is missing"),
        ("retrieval", {"query": ["a"]}, "'answers' is missing"),
        ("qa", {"text": ["a"]}, "'answers' is missing; there are 'text'"),
        ("tagging", {"tokens": [["a"]]}, "expected the columns tokens, upos; or tokens, pos_tags"),
        ("tagging", {"tokens": [["a"]], "upos": [["NOUN", "X"]]}, "1 tokens with 2 tags"),
        ("tagging", {"tokens": [["a"]], "upos": [["_"]]}, "'_' is outside the set"),
        ("tagging", {"tokens": [["a"]], "upos": [[3]]}, "(?s)expected the name of a label in 'upos', found 3.*convert"),
        ("text", {"text": []}, "no rows"),
        ("text", {"id": ["1", "1"], "text": ["a", "b"]}, "occurs twice"),
        ("classification", {"premise": ["a"], "label": ["x"]}, "expected the columns premise, hypothesis, label; or"),
        ("classification", {"text": ["a"], "label": [-1]}, "(?s)found -1.*kept secret"),
        ("classification", {"text": [" "], "label": ["x"]}, "'text' is empty"),
        ("choice", {"premise": ["a"]}, "expected the columns premise, choice1, choice2, question, label; or"),
        ("choice", COPA | {"label": [-1]}, "number of one of 2 choices in 'label', found -1"),
        ("choice", COPA | {"label": ["0"]}, "number of one of 2 choices in 'label', found '0'"),
        ("choice", COPA | {"label": [True]}, "number of one of 2 choices"),
        ("choice", COPA | {"choice2": [""], "label": [0]}, "'choice2' is empty"),
    ],
)
def test_hub_data_without_the_columns_of_its_task_are_refused(task, columns, message):
    with pytest.raises(UserError, match=message) as caught:
        from_columns(task, columns)
    assert caught.value.where.startswith("file")
