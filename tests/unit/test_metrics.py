"""Metrics against numbers computed by hand, and tagging against seqeval 1.2.2, which defines it."""

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.core.errors import UserError
from crosstune.evaluation.metrics import METRICS, chaii, metric_named, mlqa, qa, retrieval, tagging

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
    def test_scores_equal_those_by_hand(self, prediction, gold, f1, exact):
        assert qa.f1(prediction, gold) == pytest.approx(f1)
        assert qa.exact_match(prediction, gold) == exact

    def test_the_best_gold_answer_counts_and_examples_are_averaged(self):
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
    def test_faulty_rows_are_described(self, row):
        assert qa.problem(row)


LANGUAGES = st.sampled_from(mlqa.LANGUAGES)
WORDS = st.text(alphabet="ab zé$,.!¿।、北京はالمدينةตา தமி 1")


class TestMlqa:
    @pytest.mark.parametrize(
        ("lang", "text", "normal"),
        [
            ("en", "The U.S. — a “test”, $5 + 3€", "us test 5 3€"),  # $ and + are ASCII punctuation, € is no P*
            ("en", "el gato", "el gato"),
            ("es", "¿Las casas de la Unión?", "casas de unión"),
            ("es", "un an the", "an the"),  # only the articles of the language
            ("de", "Der Hund, den das Mädchen eines Tages sah", "hund mädchen tages sah"),
            ("de", "eineiige deren", "eineiige deren"),  # an article is a whole word
            ("hi", "वह। “ताज महल”", "वह ताज महल"),  # the danda is punctuation, there are no articles
            ("vi", "Cái của những con mèo là", "con mèo"),
            ("ar", "المدينة", "مدينة"),
            ("ar", "مال العالم", "م ع م"),  # the two letters go inside words too, and split them
            ("ar", "،نعم؟", "نعم"),
            ("zh", "北京2008年、奥运会。", "北 京 2008 年 奥 运 会"),
            ("zh", "NBA 联盟", "nba 联 盟"),
            ("zh", "龥龦龧", "龥 龦龧"),  # U+9FA5 is the last ideograph of the pattern; what is beyond stays together
            ("zh", "", ""),
        ],
    )
    def test_normalisation_equals_that_by_hand(self, lang, text, normal):
        assert mlqa.normalise(text, lang) == normal

    @pytest.mark.parametrize(
        ("lang", "prediction", "gold", "f1", "exact"),
        [
            ("zh", "北京市", ["北京"], 2 * (2 / 3) * 1 / (2 / 3 + 1), 0),  # 2 of 3 predicted, 2 of 2 gold
            ("zh", "在2008年", ["2008年"], 2 * (2 / 3) * 1 / (2 / 3 + 1), 0),  # 在 / 2008 / 年
            ("hi", "ताज महल।", ["ताज महल"], 1, 1),
            ("ar", "مدينة", ["المدينة", "قرية"], 1, 1),
            ("es", "los gatos", ["gatos"], 1, 1),
            ("de", "die", ["der"], 0, 1),  # nothing is left of either: equal, yet no common word
            ("en", "", ["yes"], 0, 0),
            ("vi", "con mèo đen", ["chó", "mèo"], 2 * (1 / 3) * 1 / (1 / 3 + 1), 0),  # the better: 1 of 3, 1 of 1
        ],
    )
    def test_scores_equal_those_by_hand(self, lang, prediction, gold, f1, exact):
        (example,) = mlqa.measure([{"id": "1", "prediction": prediction, "gold": gold}], lang)
        assert example == {"id": "1", "f1": pytest.approx(100 * f1), "exact_match": 100 * exact}

    def test_scores_differ_from_those_of_squad(self):
        row = {"id": "1", "prediction": "北京市", "gold": ["北京"]}
        assert [METRICS[name].measure([row], "zh")[0]["f1"] for name in ("qa", "mlqa")] == [0, pytest.approx(80)]

    @given(LANGUAGES, WORDS)
    def test_normalisation_drops_all_punctuation_and_articles(self, lang, text):
        normal = mlqa.normalise(text, lang)
        assert normal == " ".join(normal.split())
        assert not set(normal) & set(string.punctuation)
        assert not any(unicodedata.category(character)[0] == "P" for character in normal)
        if lang == "ar":
            assert "ال" not in normal

    @given(LANGUAGES, WORDS, WORDS)
    def test_equal_answers_are_a_match_and_f1_is_symmetric(self, lang, one, other):
        first, second, same = mlqa.measure(
            [
                {"id": "1", "prediction": one, "gold": [other]},
                {"id": "2", "prediction": other, "gold": [one]},
                {"id": "3", "prediction": one, "gold": [other, one]},
            ],
            lang,
        )
        assert first["f1"] == pytest.approx(second["f1"])
        assert same["exact_match"] == 100
        assert same["f1"] == pytest.approx(100 if mlqa.normalise(one, lang) else 0)

    def test_an_unknown_language_is_a_user_error(self):
        with pytest.raises(UserError) as caught:
            METRICS["mlqa"].check_languages(["en", "ro"], "tracks.qa.evaluate.mlqa")
        assert str(caught.value) == (
            "tracks.qa.evaluate.mlqa: the metric MLQA F1 does not know 'ro'\n"
            "  It has rules for: ar, de, en, es, hi, vi, zh."
        )


class TestAccuracy:
    @pytest.mark.parametrize(
        ("name", "predictions", "gold", "accuracy"),
        [
            ("classification", ["neutral", "entailment", "neutral"], ["neutral", "neutral", "neutral"], 200 / 3),
            ("choice", [0, 1, 1, 0], [0, 0, 1, 1], 50),
            ("bitext", ["th:1", "th:1"], ["th:1", "th:2"], 50),
        ],
    )
    def test_scores_equal_those_by_hand(self, name, predictions, gold, accuracy):
        pairs = zip(predictions, gold, strict=True)
        rows = [{"id": str(number), "prediction": a, "gold": b} for number, (a, b) in enumerate(pairs)]
        metric = METRICS[name]
        assert not any(map(metric.problem, rows))
        assert metric.summarise(metric.measure(rows, "th")) == {"accuracy": pytest.approx(accuracy), "n": len(rows)}

    @pytest.mark.parametrize(
        ("name", "row"),
        [
            ("classification", {"prediction": 1, "gold": "neutral"}),
            ("classification", {"prediction": "neutral"}),
            ("choice", {"prediction": "1", "gold": 1}),
            ("choice", {"prediction": True, "gold": 1}),
            ("choice", {"prediction": 0, "gold": None}),
            ("bitext", {"prediction": None, "gold": "1"}),
        ],
    )
    def test_faulty_rows_are_described(self, name, row):
        assert METRICS[name].problem(row)


class TestRetrieval:
    @pytest.mark.parametrize(
        ("ranking", "relevant", "precision"),
        [
            ("a b c", "a", 1),
            ("b a c", "a", 1 / 2),
            ("b c", "a", 0),
            ("", "a", 0),
            ("a x b", "a b", (1 / 1 + 2 / 3) / 2),
            ("x a y b", "a b c", (1 / 2 + 2 / 4) / 3),  # c is never found
            ("a a b", "a b", (1 / 1 + 2 / 3) / 2),  # a repeated candidate counts once and takes its rank
            ("x a a", "a", 1 / 2),
        ],
    )
    def test_scores_equal_those_by_hand(self, ranking, relevant, precision):
        assert retrieval.average_precision(ranking.split(), relevant.split()) == pytest.approx(precision)

    def test_only_20_ranks_count(self):
        others = [f"x{number}" for number in range(30)]
        assert retrieval.average_precision([*others[:19], "a"], ["a"]) == pytest.approx(1 / 20)
        assert retrieval.average_precision([*others[:20], "a"], ["a"]) == 0

    def test_more_relevant_candidates_than_ranks_can_score_100(self):
        relevant = [f"a{number}" for number in range(25)]
        assert retrieval.average_precision(relevant[:20], relevant) == 1  # 20 hits, divisor 20, not 25
        # 10 hits in front, nothing after: 10 precisions of 1, divisor min(25, 20)
        assert retrieval.average_precision([*relevant[:10], *"bcdefghijk"], relevant) == pytest.approx(10 / 20)

    @given(st.lists(st.integers(0, 30), max_size=25), st.integers(0, 30))
    def test_one_relevant_candidate_is_the_reciprocal_rank(self, ranking, gold):
        ids = [str(number) for number in ranking]
        top = ids[:20]
        expected = 1 / (top.index(str(gold)) + 1) if str(gold) in top else 0
        assert retrieval.average_precision(ids, [str(gold)]) == pytest.approx(expected)

    @given(st.permutations([f"c{number}" for number in range(8)]), st.integers(1, 8))
    def test_a_relevant_candidate_moved_up_never_hurts(self, ranking, many):
        relevant = {f"c{number}" for number in range(many)}
        before = retrieval.average_precision(ranking, list(relevant))
        assert 0 < before <= 1
        for place in range(1, len(ranking)):
            if ranking[place] in relevant:
                moved = [*ranking]
                moved[place - 1], moved[place] = moved[place], moved[place - 1]
                assert retrieval.average_precision(moved, list(relevant)) >= before - 1e-12

    @pytest.mark.parametrize(
        "row",
        [{"prediction": "a", "gold": ["a"]}, {"prediction": ["a"], "gold": []}, {"prediction": [1], "gold": ["a"]}],
    )
    def test_faulty_rows_are_described(self, row):
        assert retrieval.problem(row)


class TestTagging:
    @pytest.mark.parametrize(("gold", "predicted", "f1"), SEQEVAL)
    def test_f1_equals_that_of_seqeval(self, gold, predicted, f1):
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
    def test_quirks_of_seqeval_are_reproduced(self, gold, predicted, f1, accuracy):
        scores = tagging_scores(gold, predicted)
        assert scores["f1"] == pytest.approx(f1)
        assert scores["accuracy"] == pytest.approx(accuracy)

    def test_chunks_start_and_end_as_in_seqeval(self):
        assert tagging.chunks(["NOUN", "NOUN", "SYM", "SYM"]) == [("OUN", 0, 1), ("YM", 2, 2), ("YM", 3, 3)]
        assert tagging.chunks(["B-PER", "I-PER", "O", "I-LOC"]) == [("PER", 0, 1), ("LOC", 3, 3)]

    @pytest.mark.parametrize(
        ("gold", "predicted", "f1"),
        [
            # Two entities, both found, one of them with a wrong type: 1 of 2 and 1 of 2.
            ("B-PER I-PER O B-LOC", "B-PER I-PER O B-ORG", 100 * 2 * 1 / (2 + 2)),
            # The boundary counts as much as the type: PER 0-1 against PER 0-0.
            ("B-PER I-PER O", "B-PER O O", 0),
            # I- without B- begins an entity, as in conlleval: PER 1-2 is found either way.
            ("O B-PER I-PER", "O I-PER I-PER", 100),
            # A change of type inside an I- run begins a new one: PER 0-0, LOC 1-1 against PER 0-1.
            ("B-PER I-LOC", "B-PER I-PER", 0),
            # B- after B- of one type is two entities; predicted as one: nothing in common of 2 and 1.
            ("B-LOC B-LOC", "B-LOC I-LOC", 0),
            # An entity that ends the sentence does not run on into the next: 2 gold, 2 predicted, 2 correct.
            ("O B-ORG / I-ORG O", "O B-ORG / B-ORG O", 100),
            # Only O: no entity found and none wrong. Precision and recall are 0 by definition.
            ("O O", "O O", 0),
            ("B-PER O", "O O", 0),
            # 3 gold, 4 predicted, 2 correct (PER 0-0, LOC 4-5): 2 * 2 / (3 + 4).
            ("B-PER O B-ORG O B-LOC I-LOC", "B-PER B-PER B-LOC O B-LOC I-LOC", 100 * 4 / 7),
        ],
    )
    def test_f1_of_entities_equals_that_by_hand(self, gold, predicted, f1):
        assert tagging_scores(gold, predicted)["f1"] == pytest.approx(f1)

    def test_counts_are_per_sentence(self):
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

    def test_faulty_rows_are_described(self):
        assert tagging.problem({"prediction": ["NOUN"], "gold": ["NOUN", "VERB"]}) == "1 predicted tags for 2 tokens"
        assert tagging.problem({"prediction": [""], "gold": ["NOUN"]})
        assert tagging.problem({"prediction": ["X"], "gold": ["NOUN"]}) is None


class TestChaii:
    """Worked by hand, after the competition's formula and MuCoT's code."""

    @pytest.mark.parametrize(
        ("prediction", "gold", "score"),
        [
            ("a b", "b c", 1 / 3),  # {b} of {a, b, c}
            ("A  b", "a B", 1.0),  # case and spaces mean nothing
            ("a b b", "a b", 1.0),  # sets, not multisets
            ("दिल्ली।", "दिल्ली", 0.0),  # nothing is stripped, not even the danda
            ("", "a", 0.0),
            ("", "", 1.0),  # the formula has 0 / 0 here
            (" ", "", 1.0),
        ],
    )
    def test_jaccard_equals_that_by_hand(self, prediction, gold, score):
        assert chaii.jaccard(prediction, gold) == pytest.approx(score)

    def test_the_best_of_several_answers_counts(self):
        (record,) = chaii.measure([{"id": "1", "prediction": "a b", "gold": ["c", "a b c d"]}])
        assert record == {"id": "1", "jaccard": 50.0, "f1": pytest.approx(200 / 3), "exact_match": 0.0}

    def test_punctuation_of_any_script_is_dropped_and_no_article(self):
        (record,) = chaii.measure([{"id": "1", "prediction": "“नई दिल्ली”।", "gold": ["नई दिल्ली"]}])
        assert (record["f1"], record["exact_match"]) == (100.0, 100.0)
        assert chaii.normalise("The end.") == "the end"

    @pytest.mark.parametrize(
        ("prediction", "gold", "score"),
        [
            ("x x y", "x y", 2 * (2 / 3) / (2 / 3 + 1)),  # two common words as sets, of a list of three and one of two
            ("the x", "x", 1.0),  # English articles, in any language
            ("दिल्ली।", "दिल्ली", 0.0),  # the danda stays
            ("", "", 1.0),
            ("the", "x", 0.0),  # nothing is left of the prediction
        ],
    )
    def test_mucot_f1_equals_that_by_hand(self, prediction, gold, score):
        assert chaii.mucot_f1(prediction, gold) == pytest.approx(score)
        (record,) = chaii.measure_mucot([{"id": "1", "prediction": prediction, "gold": [gold]}])
        assert record["f1"] == pytest.approx(100 * score)


def test_the_primary_number_of_every_metric_is_one_it_measures():
    one = {
        "qa": {"prediction": "a", "gold": ["a"]},
        "mlqa": {"prediction": "a", "gold": ["a"]},
        "chaii": {"prediction": "a", "gold": ["a"]},
        "mucot": {"prediction": "a", "gold": ["a"]},
        "tagging": {"prediction": ["X"], "gold": ["X"]},
        "classification": {"prediction": "a", "gold": "a"},
        "choice": {"prediction": 1, "gold": 1},
        "bitext": {"prediction": "a", "gold": "a"},
        "retrieval": {"prediction": ["a"], "gold": ["a"]},
        "multichecklist": {
            "prediction": "b",
            "gold": ["b"],
            "case": {"test": "comp", "capability": "Vocabulary", "number": 0, "of": 1, "faults": []},
        },
    }
    assert set(one) == set(METRICS)
    for name, metric in METRICS.items():
        row = {"id": "1"} | one[name]
        assert metric.problem(row) is None
        summary = set(metric.summarise(metric.measure([row], "en")))
        assert set(metric.labels) | {"n"} <= summary <= set(metric.all_labels) | {"n"}
        assert metric.primary == metric.averaged_keys[0]
        assert set(metric.averaged_keys) <= set(metric.labels)


def test_an_unknown_metric_is_a_user_error():
    with pytest.raises(UserError, match="no metric is named 'chess'"):
        metric_named("chess")
