"""Faults that were reported in similar software (docs/field-reports.md), and what happens here."""

import json

import numpy as np
import pytest

from crosstune.core.errors import UserError
from crosstune.data.overlap import OverlapIndex, fingerprint
from crosstune.data.readers import read_rows
from crosstune.data.readers.pieces import ReaderOptions
from crosstune.evaluation.metrics import METRICS
from crosstune.evaluation.xtreme_files import score_files
from crosstune.modeling.tasks import IGNORE_INDEX
from crosstune.modeling.tasks.qa import QuestionAnswering
from crosstune.modeling.tasks.tagging import Tagging

NLI = ReaderOptions(labels=("entailment", "neutral", "contradiction"))


def squad(context: str, answer: str, start: int) -> str:
    question = {"id": "1", "question": "Who?", "answers": [{"text": answer, "answer_start": start}]}
    return json.dumps({"data": [{"paragraphs": [{"context": context, "qas": [question]}]}]})


def scores(metric: str, lang: str, predicted, gold) -> dict:
    metrics = METRICS[metric]
    return metrics.summarise(metrics.measure([{"id": "1", "prediction": predicted, "gold": gold}], lang))


def test_a_quote_at_the_start_of_a_cell_of_a_tsv_is_a_character(tmp_path):
    table = '"First\tone\tneutral\nThe "second"\ttwo\tentailment\n"third"\t"three\tneutral\n'
    rows = read_rows("classified", [("a.tsv", table)], NLI)
    assert [(row["text"], row["pair"]) for row in rows] == [
        ('"First', "one"), ('The "second"', "two"), ('"third"', '"three'),
    ]  # fmt: skip
    assert [row["text"] for row in read_rows("pairs", [("a.tsv", '"a\tb\nc\td"\n')], NLI)] == ['"a', "c"]
    (tmp_path / "gold.tsv").write_text(table)
    (tmp_path / "predicted.tsv").write_text("neutral\nentailment\nentailment\n")
    found = score_files("xnli", "de", tmp_path / "gold.tsv", tmp_path / "predicted.tsv")
    assert found["scores"] == {"accuracy": pytest.approx(200 / 3), "n": 3}


@pytest.mark.parametrize("form", ["ған емес", "10\u00a0000", "a\u2028b", "a\u0085b"])
def test_a_word_of_conllu_may_hold_spaces_and_separators(form):
    lines = [f"1\t{form}\t_\tNOUN\t_\t_\t0\t_\t_\t_", "2\tb\t_\tVERB\t_\t_\t1\t_\t_\t_"]
    (row,) = read_rows("conllu", [("a.conllu", "\n".join([*lines, "", ""]))], ReaderOptions())
    assert row["tokens"] == [form, "b"]


@pytest.mark.parametrize("words", [["the cat", "sat"], ["\u200b", "\u00a0", "cat"], ["\u00ad"], ["cat" * 40, "dog"]])
def test_every_word_has_one_tag_whatever_its_tokens(tokenizer, words):
    """Words with a space, without any token, and longer than a window."""
    rows = [{"id": "1", "tokens": words, "tags": ["X"] * len(words)}]
    windows = Tagging(["X"]).encode(rows, tokenizer, {"max_length": 16})
    assert np.count_nonzero(windows.per_token["tags"] != IGNORE_INDEX) == len(words)


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("where  is the  cat   of the dog", "cat   of"),
        ("  the cat sat on the mat", "the cat"),
        ("the\tcat\r\nsat on the mat", "cat\r\nsat"),
        ("the cat sat on the mat", "mat"),
        ("mat", "mat"),
    ],
    ids=["double spaces", "leading spaces", "tabs and line ends", "the last word", "one word"],
)
def test_spaces_move_no_answer(tokenizer, context, answer):
    rows = read_rows("squad", [("a.json", squad(context, answer, context.index(answer)))])
    windows = QuestionAnswering().encode(rows, tokenizer, {"max_length": 48, "stride": 8, "max_question_length": 8})
    start, end = (int(windows.per_window[side][0]) for side in ("start", "end"))
    assert context[windows.per_token["first"][start] : windows.per_token["last"][end]] == answer


@pytest.mark.parametrize(
    ("context", "answer", "start"),
    [(" Pure Land", "Pure Land", 0), ("クラナド by Key", "Key", 16), ("😀 yes", "yes", 3)],
    ids=["one less", "counted in bytes", "counted in UTF-16"],
)
def test_an_offset_of_another_kind_is_refused(context, answer, start):
    with pytest.raises(UserError, match="is not at its offset"):
        read_rows("squad", [("a.json", squad(context, answer, start))])


@pytest.mark.parametrize(
    ("reader", "text", "message"),
    [
        ("conllu", "1\t \t_\tNOUN\t_\t_\t0\t_\t_\t_\n\n", "the word is empty"),
        ("conllu", "1\ta\tb\t_\tNOUN\t_\t_\t0\t_\t_\t_\n\n", "expected the 10 columns"),
        ("conllu", "1\t\n\t_\tNOUN\t_\t_\t0\t_\t_\t_\n\n", "expected the 10 columns"),
        ("columns", "-DOCSTART- -X- -X- O\n\nJohn NNP B-NP B-PER\n", "expected a token, a tab and a tag"),
        ("squad", squad("a", "a", 0).replace('{"text": "a", "answer_start": 0}', ""), "the question has no answer"),
    ],
    ids=["a space", "a tab", "a line feed", "four columns", "no answers"],
)
def test_a_file_that_would_be_misread_is_refused(reader, text, message):
    with pytest.raises(UserError, match=message):
        read_rows(reader, [("a.txt", text)])


def test_marks_of_documents_are_no_sentences():
    text = "-DOCSTART-\tO\n\nJohn\tB-PER\n\n-DOCSTART-\tO\n\n"
    (row,) = read_rows("columns", [("a.tsv", text)], ReaderOptions(tags=("O", "B-PER")))
    assert row["tokens"] == ["John"]


def test_of_equal_sentences_one_is_the_translation():
    assert scores("bitext", "de", "2", "1") == {"accuracy": 0.0, "n": 1}


def test_an_entity_may_begin_with_i_and_nothing_to_find_scores_0():
    """seqeval without `mode`, as XTREME calls it, reads IOB1 too; text without entities divides by no 0."""
    assert scores("tagging", "en", ["I-PER", "I-PER"], ["B-PER", "I-PER"])["f1"] == 100
    assert scores("tagging", "en", ["O", "O"], ["O", "O"]) == {"f1": 0.0, "accuracy": 100.0, "n": 1}
    assert scores("tagging", "en", ["B-LOC", "O"], ["O", "O"])["f1"] == 0


def test_a_gold_answer_of_which_normalisation_leaves_nothing():
    """As in the official script: F1 is 0 without a common word, even if both answers are then empty."""
    assert scores("qa", "en", "a", ["the"]) == {"f1": 0.0, "exact_match": 100.0, "n": 1}
    assert scores("qa", "en", "cat", ["the"]) == {"f1": 0.0, "exact_match": 0.0, "n": 1}


@pytest.mark.parametrize(
    ("lang", "predicted", "gold", "squad_f1", "mlqa_f1"),
    [
        ("zh", "天气很", "天气很好", 0.0, 600 / 7),
        ("ar", "الكتاب", "كتاب", 0.0, 100.0),
        ("hi", "राम।", "राम", 0.0, 100.0),
        ("de", "das Haus", "Haus", 200 / 3, 100.0),
    ],
)
def test_the_metric_of_a_data_set_decides_on_words_and_articles(lang, predicted, gold, squad_f1, mlqa_f1):
    assert scores("qa", lang, predicted, [gold])["f1"] == pytest.approx(squad_f1)
    assert scores("mlqa", lang, predicted, [gold])["f1"] == pytest.approx(mlqa_f1)


def test_repeats_of_short_texts_are_no_leak_and_a_copied_test_set_is():
    """Boilerplate and greetings recur in treebanks and benchmarks; a test set that is in the training set is found."""
    greetings = [f"Thank you, {name}." for name in ("Ann", "Bob", "Eve")]
    notice = "This regulation shall be binding in its entirety and directly applicable in all Member States."

    def counts(test: list[str], train: list[str]) -> tuple[int, int]:
        prints = [fingerprint({"id": str(n), "text": t} for n, t in enumerate(texts)) for texts in (test, train)]
        (pair,) = OverlapIndex({"test": prints[0]}).overlaps("train", prints[1], ["test"])
        return pair["exact"], pair["short"]

    assert counts([*greetings, notice], greetings) == (0, 3)
    assert counts([*greetings, notice], [*greetings, notice]) == (1, 3)
