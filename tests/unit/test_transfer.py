"""Transfer and forgetting on matrices by hand, and properties of every matrix."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.analysis import transfer

# R[stage][language]: a is trained first, then b, then c; x is never trained on.
R = [
    {"a": 60.0, "b": 30.0, "c": 20.0, "x": 10.0},
    {"a": 50.0, "b": 70.0, "c": 26.0, "x": 16.0},
    {"a": 44.0, "b": 64.0, "c": 80.0, "x": 12.0},
]
STREAM = ["a", "b", "c"]


def test_forgetting_by_hand():
    """Stage 1: a 60 - 50 = 10. Stage 2: a max(60, 50) - 44 = 16, b 70 - 64 = 6, mean 11. Mean 10.5."""
    assert transfer.forgetting(R, STREAM) == 10.5


def test_a_score_from_before_a_languages_own_stage_counts_in_one_variant():
    """b was at 75 before its stage. Stage 2: a 16, b max(75, 70) - 64 = 11, mean 13.5; since trained as above."""
    matrix = [R[0] | {"b": 75.0}, R[1], R[2]]
    assert transfer.forgetting(matrix, STREAM) == (10 + 13.5) / 2
    assert transfer.forgetting(matrix, STREAM, since_trained=True) == 10.5


def test_backward_transfer_by_hand():
    """Stage 1: a 50 - 60 = -10. Stage 2: a 44 - 60 = -16, b 64 - 70 = -6, mean -11. Mean -10.5."""
    assert transfer.backward_transfer(R, STREAM) == -10.5
    # A language that recovers: a is back at 60, so that only b's -6 is left of the second mean, -3.
    assert transfer.backward_transfer([R[0], R[1], R[2] | {"a": 60.0}], STREAM) == (-10 - 3) / 2


def test_transfer_against_monolingual_training_by_hand():
    """b 70 - 66 = 4, c 80 - 82 = -2; the first language has nothing to be transferred from."""
    assert transfer.transfer(R, STREAM, {"b": 66.0, "c": 82.0}) == 1


def test_zero_shot_transfer_by_hand():
    """b before its stage 30 - 5 = 25; c the mean of 20 and 26 less 7: 16."""
    assert transfer.zero_shot_transfer(R, STREAM, {"a": 99.0, "b": 5.0, "c": 7.0}) == 20.5


def test_averages_retention_and_gap_by_hand():
    assert transfer.final_performance(R, STREAM) == (44 + 64 + 80) / 3
    assert transfer.stream_average(R, STREAM) == pytest.approx((110 + 146 + 188) / 9)
    assert transfer.retention(R, ["a"]) == -16
    assert transfer.retention(R, ["a", "b"]) == (44 + 64) / 2 - (60 + 30) / 2
    assert transfer.transfer_gap(R[2], ["a", "b"], ["x"]) == 54 - 12


def test_a_stage_without_scored_language_is_skipped():
    """The second language is not evaluated: stage 2 has a's 16 alone, and c is the one to be transferred to."""
    matrix = [{"a": scores["a"], "c": scores["c"]} for scores in R]
    stream = ["a", None, "c"]
    assert transfer.forgetting(matrix, stream) == (10 + 16) / 2
    assert transfer.backward_transfer(matrix, stream) == (-10 - 16) / 2
    assert transfer.transfer(matrix, stream, {"c": 82.0}) == -2
    assert transfer.zero_shot_transfer(matrix, stream, {"c": 7.0}) == 16


def test_an_empty_sum_is_none():
    assert transfer.forgetting(R[:2], [None, "b"]) is None
    assert transfer.transfer(R[:2], ["a", None], {}) is None
    assert transfer.zero_shot_transfer(R[:2], ["a", None], {}) is None
    assert transfer.final_performance(R, []) is None
    assert transfer.stream_average(R, []) is None
    assert transfer.retention(R, []) is None
    assert transfer.transfer_gap(R[2], ["a"], []) is None
    assert transfer.transfer_gap(R[2], [], ["a"]) is None


def test_a_missing_score_is_an_error_and_not_a_number():
    for call in (
        lambda: transfer.forgetting([R[0], {}, R[2]], STREAM),
        lambda: transfer.transfer(R, STREAM, {"b": 66.0}),
        lambda: transfer.zero_shot_transfer(R, STREAM, {"b": 5.0}),
        lambda: transfer.stream_average([R[0], {}], STREAM),
    ):
        with pytest.raises(KeyError):
            call()


# --- properties of every matrix --------------------------------------------------------------------------------------

scores = st.integers(0, 100).map(float)


@st.composite
def matrices(draw, rising: bool = False) -> tuple[list[dict[str, float]], list[str]]:
    """Scores after 2 to 5 stages of a language each, and of two languages never trained on."""
    stages = draw(st.integers(2, 5))
    stream = [f"l{number}" for number in range(stages)]
    columns = {name: draw(st.lists(scores, min_size=stages, max_size=stages)) for name in [*stream, "x", "y"]}
    if rising:
        columns = {name: sorted(column) for name, column in columns.items()}
    return [{name: column[stage] for name, column in columns.items()} for stage in range(stages)], stream


@given(matrices(rising=True))
def test_a_sequence_that_never_loses_forgets_nothing(drawn):
    matrix, stream = drawn
    for since_trained in (False, True):
        assert transfer.forgetting(matrix, stream, since_trained) <= 0
    assert transfer.backward_transfer(matrix, stream) >= 0
    assert transfer.retention(matrix, stream[:1]) >= 0


@given(matrices())
def test_forgetting_since_training_is_between(drawn):
    """What was best since its own stage is at least what it was right after it, and at most what it ever was."""
    matrix, stream = drawn
    ever, since = (transfer.forgetting(matrix, stream, since_trained) for since_trained in (False, True))
    assert -transfer.backward_transfer(matrix, stream) <= since + 1e-9
    assert since <= ever + 1e-9


@given(matrices(), st.randoms())
def test_languages_outside_the_stream_and_the_order_of_scores_do_not_matter(drawn, random):
    matrix, stream = drawn
    shuffled = []
    for row in matrix:
        names = [name for name in row if name != "y"]
        random.shuffle(names)
        shuffled.append({name: row[name] for name in names} | {"x": 0.0})
    for measure in (transfer.forgetting, transfer.backward_transfer, transfer.stream_average):
        assert measure(shuffled, stream) == measure(matrix, stream)


@given(matrices(), st.integers(-50, 50))
def test_a_constant_added_to_all_scores_changes_no_difference(drawn, shift):
    matrix, stream = drawn
    moved = [{name: value + shift for name, value in row.items()} for row in matrix]
    reference = dict.fromkeys(stream, 10.0)
    moved_reference = dict.fromkeys(stream, 10.0 + shift)
    for measure in (transfer.transfer, transfer.zero_shot_transfer):
        assert measure(moved, stream, moved_reference) == pytest.approx(measure(matrix, stream, reference), abs=1e-9)
    assert transfer.forgetting(moved, stream) == pytest.approx(transfer.forgetting(matrix, stream), abs=1e-9)
    assert transfer.final_performance(moved, stream) == pytest.approx(
        transfer.final_performance(matrix, stream) + shift
    )
