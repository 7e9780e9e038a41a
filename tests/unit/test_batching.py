"""The order of the data: budgets, mixtures, determinism."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crosstune.core.packing import MAX_LENGTH_RATIO, pack
from crosstune.modeling.batching import Mixture, collate, plan_batches
from crosstune.modeling.features import Windows

LENGTHS = {"qa.en": np.array([10, 20, 30, 40] * 50), "qa.es": np.array([15, 25] * 20)}


def plan(mixture=None, tokens=200, key=(1, "stage"), updates=40, epochs=None, lengths=LENGTHS):
    return plan_batches(lengths, mixture or Mixture(tuple(lengths)), tokens, key, updates, epochs)


@given(st.integers(16, 400), st.integers(1, 30))
def test_updates_are_filled_to_the_budget_and_never_beyond(tokens, updates):
    found = plan(tokens=tokens, updates=updates)
    sizes = [sum(int(LENGTHS[source][window]) for source, window in update) for update in found]
    assert len(found) == updates
    assert all(size <= tokens or len(update) == 1 for size, update in zip(sizes, found, strict=True))
    if tokens >= 80:
        assert all(size > tokens - 40 for size in sizes)


def test_the_order_depends_on_the_key_alone():
    assert plan() == plan()
    assert plan(key=(2, "stage")) != plan()
    assert plan(updates=80)[:40] == plan(updates=40)


def test_a_source_is_gone_through_whole_before_it_repeats():
    found = [window for update in plan(Mixture(("qa.en",)), updates=100) for _, window in update]
    assert sorted(found[:200]) == list(range(200))
    assert found[:200] != found[200:400]


def test_epochs_see_every_row_that_often():
    found = [pair for update in plan(Mixture(("qa.en",)), updates=None, epochs=2.0) for pair in update]
    assert len(found) == 400
    assert {found.count(("qa.en", n)) for n in range(200)} == {2}


def test_alpha_sets_the_shares():
    sizes = {"qa.en": 200, "qa.es": 40}
    assert Mixture(("qa.en", "qa.es"), alpha=1.0).probabilities(sizes)["qa.en"] == 200 / 240
    assert Mixture(("qa.en", "qa.es"), alpha=0.0).probabilities(sizes)["qa.en"] == 0.5
    weights = 200**0.3, 40**0.3
    assert abs(Mixture(("qa.en", "qa.es"), alpha=0.3).probabilities(sizes)["qa.en"] - weights[0] / sum(weights)) < 1e-12


def test_replay_is_a_share_of_the_rows():
    mixture = Mixture(("qa.en",), ("qa.es",), replay=0.25)
    rows = [source for update in plan(mixture, updates=400) for source, _ in update]
    assert abs(rows.count("qa.es") / len(rows) - 0.25) < 0.04


@given(st.lists(st.integers(1, 100), min_size=1, max_size=60), st.integers(1, 500))
def test_packs_hold_every_window_once_within_the_bound(lengths, tokens):
    found = pack(lengths, tokens)
    assert sorted(i for part in found for i in part) == list(range(len(lengths)))
    assert all(len(part) == 1 or sum(lengths[i] for i in part) <= tokens for part in found)
    longest = [max(lengths[i] for i in part) for part in found]
    assert longest == sorted(longest)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=60), st.integers(1, 500))
def test_padding_counts_if_windows_are_padded(lengths, tokens):
    found = pack(lengths, tokens, padded=True)
    assert sorted(i for part in found for i in part) == list(range(len(lengths)))
    assert all(len(part) == 1 or max(lengths[i] for i in part) * len(part) <= tokens for part in found)
    assert all(max(lengths[i] for i in part) <= MAX_LENGTH_RATIO * min(lengths[i] for i in part) for part in found)


def test_collate_lays_windows_end_to_end():
    windows = Windows.join(
        [
            {"ids": [5, 6, 7], "types": [0, 1, 1], "row": 0, "start": 2, "tags": [1, 2, 3]},
            {"ids": [8], "types": [0], "row": 1, "start": 0, "tags": [4]},
        ],
        per_window=["start"],
        per_token=["tags"],
    )
    batch = collate([windows] * 2, [1, 0])
    assert batch.ids.tolist() == [8, 5, 6, 7]
    assert batch.types.tolist() == [0, 0, 1, 1]
    assert batch.positions.tolist() == [0, 0, 1, 2]
    assert batch.lengths == (1, 3)
    assert batch.values["start"].tolist() == [0, 2]
    assert batch.values["tags"].tolist() == [4, 1, 2, 3]
