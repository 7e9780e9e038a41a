"""Repeated splits of a data set's rows into training, validation and test rows.

They are for data sets with a single labelled split, such as ChAII. Rows are given by language, in the order of the
file; every language is split separately and keeps its share.
"""

import random
from collections.abc import Mapping, Sequence

import numpy as np

from crosstune.data.record import Folds

SPLITS = ("train", "validation", "test")


def split_ids(rows: Mapping[str, Sequence[dict]], folds: Folds, fold: int) -> dict[str, dict[str, list[str]]]:
    """Ids by split and language in fold `fold` (from 1); rows are {"id", "context", ...} by language."""
    split = split_by_context if folds.by == "context" else split_by_draw
    return split(rows, folds, fold)


def split_by_context(rows: Mapping[str, Sequence[dict]], folds: Folds, fold: int) -> dict[str, dict[str, list[str]]]:
    """Cross-validation: of `folds.number` parts, number `fold` tests, the next one validates, the others train."""
    roles = {fold - 1: "test", fold % folds.number: "validation"}
    ids: dict[str, dict[str, list[str]]] = {split: {} for split in SPLITS}
    for language, own in rows.items():
        part_of = assign_parts([row["context"] for row in own], folds.number)
        for split in SPLITS:
            ids[split][language] = [row["id"] for row in own if roles.get(part_of[row["context"]], "train") == split]
    return ids


def assign_parts(contexts: Sequence[str], number: int) -> dict[str, int]:
    """The part (from 0) of each context. The largest contexts go first, each into the part with the fewest rows.

    Contexts of equal size are shuffled with a fixed seed, so the parts do not depend on the order of the file.
    """
    sizes: dict[str, int] = {}
    for context in contexts:
        sizes[context] = sizes.get(context, 0) + 1
    order = sorted(sizes)
    random.Random(number).shuffle(order)
    filled = [0] * number
    parts = {}
    for context in sorted(order, key=lambda context: -sizes[context]):
        parts[context] = min(range(number), key=lambda part: (filled[part], part))
        filled[parts[context]] += sizes[context]
    return parts


def split_by_draw(rows: Mapping[str, Sequence[dict]], folds: Folds, fold: int) -> dict[str, dict[str, list[str]]]:
    """Draw the test rows, then the validation rows from the rest, both stratified by language, with seed `fold` - 1.

    Gives the rows of `chaii_split.py` of Kumar et al. (2022, arXiv 2204.05814), which calls scikit-learn's
    train_test_split twice with this seed.
    """
    items = [(language, row["id"]) for language in sorted(rows) for row in rows[language]]
    rest, test = draw_stratified(items, folds.test, fold - 1)
    train, validation = draw_stratified(rest, folds.validation, fold - 1)
    drawn = {"train": set(train), "validation": set(validation), "test": set(test)}
    return {
        split: {
            language: [row["id"] for row in own if (language, row["id"]) in drawn[split]]
            for language, own in rows.items()
        }
        for split in SPLITS
    }


def draw_stratified(items: Sequence[tuple[str, str]], count: int, seed: int) -> tuple[list, list]:
    """(rest, drawn): `count` of the items (stratum, id) at random, in proportion to the strata.

    The algorithm is that of scikit-learn's StratifiedShuffleSplit (1.x, unchanged since 0.18). Its result depends on
    the order of items within a stratum only.
    """
    strata = sorted({stratum for stratum, _ in items})
    members = [[item for item in items if item[0] == stratum] for stratum in strata]
    sizes = np.array(list(map(len, members)))
    stream = np.random.RandomState(seed)
    rest_sizes = allocate(sizes, len(items) - count, stream)
    drawn_sizes = allocate(sizes - rest_sizes, count, stream)
    rest, drawn = [], []
    for stratum, first, second in zip(members, rest_sizes, drawn_sizes, strict=True):
        order = stream.permutation(len(stratum))
        rest += [stratum[index] for index in order[:first]]
        drawn += [stratum[index] for index in order[first : first + second]]
    return ([part[index] for index in stream.permutation(len(part))] for part in (rest, drawn))


def allocate(sizes: np.ndarray, count: int, stream: np.random.RandomState) -> np.ndarray:
    """The share of each stratum in `count`, in proportion to its size (n,); the largest remainders are rounded up."""
    exact = sizes / sizes.sum() * count
    whole = np.floor(exact)
    missing = int(count - whole.sum())
    for remainder in np.sort(np.unique(exact - whole))[::-1]:
        if missing <= 0:
            break
        (candidates,) = np.where(exact - np.floor(exact) == remainder)
        chosen = stream.choice(candidates, size=min(len(candidates), missing), replace=False)
        whole[chosen] += 1
        missing -= len(chosen)
    return whole.astype(int)
