"""Which rows of a data set train, validate and test in each of several splits of it.

Owns: cross-validation by context, and MuCoT's random re-draws. Must never know: files, what rows hold beside their id
and context.

A data set with a single labelled split, such as ChAII, is split by us. Its rows are given by language, in the order of
the file, and every language is split by itself, so that each keeps its share.
"""

import random
from collections.abc import Mapping, Sequence

import numpy as np

from crosstune.data.record import Folds

SPLITS = ("train", "validation", "test")


def split_ids(rows: Mapping[str, Sequence[dict]], folds: Folds, fold: int) -> dict[str, dict[str, list[str]]]:
    """Ids by split and language in fold `fold` (from 1); rows are {"id", "context", ...} by language."""
    cut = by_context if folds.by == "context" else by_draw
    return cut(rows, folds, fold)


def by_context(rows: Mapping[str, Sequence[dict]], folds: Folds, fold: int) -> dict[str, dict[str, list[str]]]:
    """Cross-validation: of `number` parts this one tests, the next validates, the others train."""
    roles = {fold - 1: "test", fold % folds.number: "validation"}
    found: dict[str, dict[str, list[str]]] = {split: {} for split in SPLITS}
    for language, mine in rows.items():
        part_of = deal([row["context"] for row in mine], folds.number)
        for split in SPLITS:
            found[split][language] = [row["id"] for row in mine if roles.get(part_of[row["context"]], "train") == split]
    return found


def deal(contexts: Sequence[str], number: int) -> dict[str, int]:
    """The part (from 0) of each context: the largest first, each into the part with the fewest rows so far.

    Contexts of one size come in an order that is drawn once and for all, so that a file's order means nothing.
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


def by_draw(rows: Mapping[str, Sequence[dict]], folds: Folds, fold: int) -> dict[str, dict[str, list[str]]]:
    """MuCoT's draw number `fold` - 1: test rows, then validation rows from the others, each language by its share.

    The very rows of its `chaii_split.py`, which calls scikit-learn's train_test_split twice with this number as seed,
    stratified by language.
    """
    everything = [(language, row["id"]) for language in sorted(rows) for row in rows[language]]
    rest, test = draw(everything, folds.test, fold - 1)
    train, validation = draw(rest, folds.validation, fold - 1)
    drawn = {"train": set(train), "validation": set(validation), "test": set(test)}
    return {
        split: {
            language: [row["id"] for row in mine if (language, row["id"]) in drawn[split]]
            for language, mine in rows.items()
        }
        for split in SPLITS
    }


def draw(items: Sequence[tuple[str, str]], count: int, seed: int) -> tuple[list, list]:
    """(rest, drawn): `count` of the items (stratum, id) at random, of every stratum its share.

    The algorithm of scikit-learn's StratifiedShuffleSplit (1.x, unchanged since 0.18), which depends on the order of
    the items within a stratum alone.
    """
    strata = sorted({stratum for stratum, _ in items})
    members = [[item for item in items if item[0] == stratum] for stratum in strata]
    sizes = np.array([len(mine) for mine in members])
    stream = np.random.RandomState(seed)
    kept = shares(sizes, len(items) - count, stream)
    taken = shares(sizes - kept, count, stream)
    rest, drawn = [], []
    for mine, first, second in zip(members, kept, taken, strict=True):
        order = stream.permutation(len(mine))
        rest += [mine[place] for place in order[:first]]
        drawn += [mine[place] for place in order[first : first + second]]
    return ([part[place] for place in stream.permutation(len(part))] for part in (rest, drawn))


def shares(sizes: np.ndarray, count: int, stream: np.random.RandomState) -> np.ndarray:
    """How many of `count` each stratum gives, in proportion to its size; the largest remainders are rounded up."""
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
