"""Folds of a data set: by context, and by the random draws of Kumar et al. (2022)."""

import hashlib
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from crosstune.data.folds import SPLITS, allocate, assign_parts, split_ids
from crosstune.data.record import Folds

DRAWS = Folds(5, "draw", test=100, validation=100)

# SHA-256 (16 digits) of the sorted ids of train, validation and test, as scikit-learn 1.7 draws them from 746 and 368
# rows: train_test_split(test_size=100, random_state=fold - 1, stratify=language), twice.
DRAWN = [
    ("28f13c7eeac061f3", "9989fac52678caa4", "99491eab5a42a444"),
    ("28d7e1479d22d570", "bb60ab711254b963", "7eb8201722d17bec"),
    ("518806fbe31514c7", "bf6235c35856d6c0", "8e6aba769c5a1457"),
    ("7157a2db7512ccbf", "5f25e86cad4bec85", "0dc2337cf1e0a063"),
    ("55dd2d0c02971f83", "d51799eb439cffac", "cabfc98f1b0a380c"),
]


def rows_like_chaii(questions=2):
    return {
        lang: [{"id": f"{lang[0]}{n}", "context": f"{lang} {n // questions}"} for n in range(count)]
        for lang, count in (("hi", 746), ("ta", 368))
    }


def all_ids(ids):
    return [name for own in ids.values() for name in own]


def test_draws_are_those_of_scikit_learn():
    for fold, hashes in enumerate(DRAWN, start=1):
        found = split_ids(rows_like_chaii(), DRAWS, fold)
        texts = (" ".join(sorted(all_ids(found[split]))) for split in SPLITS)
        assert tuple(hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts) == hashes
        assert {split: [len(ids) for ids in found[split].values()] for split in ("test", "validation")} == {
            "test": [67, 33],
            "validation": [67, 33],
        }


def test_draws_of_different_folds_test_some_rows_twice():
    tests = [set(all_ids(split_ids(rows_like_chaii(), DRAWS, fold)["test"])) for fold in range(1, 6)]
    assert all(4 <= len(one & two) <= 15 for one, two in combinations(tests, 2))


contexts = st.lists(st.sampled_from("abcdefghijklmnopqrstuvw"), min_size=30, max_size=80)


@given(contexts, st.integers(3, 6))
def test_no_context_is_in_two_splits_and_every_row_is_tested_once(names, number):
    rows = {"xx": [{"id": str(n), "context": name} for n, name in enumerate(names)]}
    context_of = {row["id"]: row["context"] for row in rows["xx"]}
    tested = []
    for fold in range(1, number + 1):
        found = split_ids(rows, Folds(number), fold)
        assert sorted(name for split in SPLITS for name in all_ids(found[split])) == sorted(context_of)
        seen = [{context_of[name] for name in all_ids(found[split])} for split in SPLITS]
        assert not any(one & two for one, two in combinations(seen, 2))
        tested += all_ids(found["test"])
    assert sorted(tested) == sorted(context_of)


@given(contexts, st.randoms())
def test_parts_do_not_depend_on_the_order_of_rows(names, random):
    shuffled = random.sample(names, len(names))
    assert assign_parts(names, 5) == assign_parts(shuffled, 5)


def test_parts_have_equal_sizes_if_contexts_are_small():
    part_of = assign_parts([row["context"] for row in rows_like_chaii()["hi"]], 5)
    sizes = [2 * list(part_of.values()).count(part) for part in range(5)]
    assert sum(sizes) == 746 and max(sizes) - min(sizes) <= 2


def test_the_largest_remainder_is_rounded_up():
    import numpy as np

    stream = np.random.RandomState(0)
    assert allocate(np.array([746, 368]), 100, stream).tolist() == [67, 33]  # 66.97 and 33.03
    assert allocate(np.array([5, 5]), 4, stream).tolist() == [2, 2]
