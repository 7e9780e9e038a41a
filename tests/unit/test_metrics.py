"""Metrics against numbers computed by hand, and against seqeval 1.2.2 where it is the definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.errors import UserError
from crosstune.metrics import TASK_METRICS, qa, tagging, task_metrics

TAGS = st.sampled_from(["ADJ", "CCONJ", "INTJ", "NOUN", "SCONJ", "SYM", "X", "_"])

# f1_score of seqeval 1.2.2 on these very sentences (gold, predicted; "/" ends a sentence).
SEQEVAL = [
    ("_ NOUN NOUN _ _ / X _ NOUN / X NOUN NOUN", "_ NOUN _ _ NOUN / X _ NOUN / X NOUN NOUN", 0.5714285714285715),
    (
        "CCONJ X CCONJ / SCONJ SCONJ X CCONJ X / X SCONJ SCONJ",
        "CCONJ X CCONJ / SCONJ SCONJ CCONJ SCONJ X / X SCONJ SCONJ",
        0.9473684210526316,
    ),
    ("PUNCT INTJ / SYM SYM / NOUN SYM INTJ", "PUNCT INTJ / SYM SYM / PUNCT SYM INTJ", 0.8571428571428571),
    ("NOUN X / CCONJ CCONJ / ADJ ADJ", "NOUN X / CCONJ CCONJ / ADJ X", 0.6666666666666666),
    (
        "B-LOC B-LOC O / B-LOC B-PER O I-PER I-LOC / O B-PER B-PER B-LOC",
        "I-LOC B-LOC O / B-PER B-PER O I-PER B-LOC / O B-PER B-PER B-LOC",
        0.8888888888888888,
    ),
]


def sentences(text: str) -> list[list[str]]:
    return [sentence.split() for sentence in text.split("/")]


def tagging_rows(gold: str, predicted: str) -> list[dict]:
    pairs = zip(sentences(gold), sentences(predicted), strict=True)
    return [{"id": str(number), "gold": a, "prediction": b} for number, (a, b) in enumerate(pairs)]


def tagging_scores(gold: str, predicted: str) -> dict:
    return tagging.summarise(tagging.measure(tagging_rows(gold, predicted)))


class TestQa:
    @pytest.mark.parametrize(
        ("prediction", "gold", "f1", "exact"),
        [
            ("The  Eiffel Tower!", "eiffel tower", 1, 1),
            ("in Paris in 1889", "Paris, 1889", 2 * (2 / 4) * (2 / 2) / (2 / 4 + 2 / 2), 0),
            ("a b b", "b b b", 0.8, 0),  # "a" is an article: 2 of 2 words, 2 of 3
            ("", "yes", 0, 0),
            ("the", "an", 0, 1),  # nothing is left of either: equal, yet no common word
            ("los gatos", "gatos", 2 / 3, 0),  # articles of other languages stay
            ("北京", "北京", 1, 1),
            ("北京市", "北京", 0, 0),  # no segmentation
            ("वह।", "वह", 0, 0),  # only ASCII punctuation goes
            ("U.S.", "US", 1, 1),
            ("theatre", "atre", 0, 0),  # an article is a whole word
        ],
    )
    def test_by_hand(self, prediction, gold, f1, exact):
        assert qa.f1(prediction, gold) == pytest.approx(f1)
        assert qa.exact_match(prediction, gold) == exact

    def test_best_of_several_golds_and_means(self):
        rows = [
            {"id": "1", "prediction": "red car", "gold": ["car", "red car"]},
            {"id": "2", "prediction": "red car", "gold": ["blue car", "house"]},
        ]
        examples = qa.measure(rows)
        assert examples == [{"id": "1", "f1": 100, "exact_match": 100}, {"id": "2", "f1": 50, "exact_match": 0}]
        assert qa.summarise(examples) == {"f1": 75, "exact_match": 50, "n": 2}

    @given(st.text(), st.text())
    def test_f1_is_symmetric_and_bounded(self, one, other):
        assert qa.f1(one, other) == pytest.approx(qa.f1(other, one))
        assert 0 <= qa.f1(one, other) <= 1 + 1e-12

    @pytest.mark.parametrize("row", [{}, {"prediction": 1, "gold": ["a"]}, {"prediction": "a", "gold": []}])
    def test_problems(self, row):
        assert qa.problem(row)


class TestTagging:
    @pytest.mark.parametrize(("gold", "predicted", "f1"), SEQEVAL)
    def test_equals_seqeval(self, gold, predicted, f1):
        assert tagging_scores(gold, predicted)["f1"] == pytest.approx(100 * f1, abs=1e-10)

    @pytest.mark.parametrize(
        ("gold", "predicted", "f1", "accuracy"),
        [
            ("NOUN NOUN NOUN VERB", "NOUN NOUN ADJ VERB", 40, 75),  # chunks: NNN V against NN A V, one in common
            ("CCONJ NOUN", "SCONJ NOUN", 100, 50),  # the first letter is cut off
            ("SYM SYM NOUN", "SYM SYM NOUN", 100, 100),
            ("NOUN X", "NOUN VERB", 100 * 2 / 3, 50),  # an X that ends a sentence is no chunk
            ("X", "X", 0, 100),
        ],
    )
    def test_quirks(self, gold, predicted, f1, accuracy):
        scores = tagging_scores(gold, predicted)
        assert scores["f1"] == pytest.approx(f1)
        assert scores["accuracy"] == pytest.approx(accuracy)

    def test_chunks_start_and_end(self):
        assert tagging.chunks(["NOUN", "NOUN", "SYM", "SYM"]) == [("OUN", 0, 1), ("YM", 2, 2), ("YM", 3, 3)]
        assert tagging.chunks(["B-PER", "I-PER", "O", "I-LOC"]) == [("PER", 0, 1), ("LOC", 3, 3)]

    def test_counts_per_sentence(self):
        first, second = tagging.measure(tagging_rows("NOUN NOUN VERB / ADJ", "NOUN NOUN NOUN / ADJ"))
        assert first == {
            "id": "0", "correct": 2, "tokens": 3, "chunks_correct": 0, "chunks_predicted": 1, "chunks_gold": 2,
        }  # fmt: skip
        assert (second["chunks_correct"], second["chunks_predicted"], second["chunks_gold"]) == (1, 1, 1)

    @given(st.lists(st.lists(TAGS, min_size=1), min_size=1))
    def test_every_chunk_belongs_to_the_sentence_it_ends_in(self, text):
        by_sentence = tagging.chunks_by_sentence(text)
        stream = [tag for sentence in text for tag in [*sentence, "O"]]
        assert sorted(chunk for found in by_sentence for chunk in found) == sorted(tagging.chunks(stream))

    def test_problems(self):
        assert tagging.problem({"prediction": ["NOUN"], "gold": ["NOUN", "VERB"]}) == "1 predicted tags for 2 tokens"
        assert tagging.problem({"prediction": [""], "gold": ["NOUN"]})
        assert tagging.problem({"prediction": ["X"], "gold": ["NOUN"]}) is None


def test_the_primary_metric_of_every_task_is_one_it_measures():
    assert {task: metrics.primary for task, metrics in TASK_METRICS.items()} == {"qa": "f1", "tagging": "f1"}


def test_unknown_task():
    with pytest.raises(UserError, match="no metric for the task 'chess'"):
        task_metrics("chess")
