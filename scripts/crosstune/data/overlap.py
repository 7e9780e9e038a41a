"""Overlap: which texts of some sets stand in another set.

Owns: what of a row is compared, when two texts are the same, the index that finds them.
Must never know: what is trained or evaluated, and what follows from a find.

A text is compared as its tokens: runs of letters, marks and digits after NFKC and case folding, but single characters
in scripts that are written without spaces; all else is dropped. A text stands in a set

    exact   if a text of the set has the same characters,
    near    if one text of the set has at least NEAR of its shingles (runs of WORDS words, or of CHARACTERS characters
            where most tokens are single characters) and these are at least LEAST,
    short   if it is there exactly, but so short that it has no shingle: "Thank you." is repeated by chance,
    id      if its row has an identifier that is in the set: a translation of SQuAD keeps the ids of its questions, so
            that it is found in every language. Identifiers are ids that end in 16 or more hexadecimal digits.

Shingles and the share of them that another text holds ("containment") are those of Broder, On the resemblance and
containment of documents, 1997.
"""

import re
import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from crosstune.core.characters import UNSPACED_SCRIPTS

WORDS, CHARACTERS = 8, 16

LEAST, NEAR = 4, 0.5

SOME, SHOWN = 3, 80  # examples of a kind, and characters of an example

# Both bound the memory: characters that are hashed, and pairs of shingles that are counted at once.
CHARACTERS_AT_ONCE, PAIRS_AT_ONCE = 2_000_000, 4_000_000

BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse modulo 2^64

INVERSE = np.uint64(pow(int(BASE), -1, 2**64))

IDENTIFIER = re.compile(r"(?<![0-9a-z])[0-9a-f]{16,}$")

DROPPED, LETTER, SINGLE = range(3)


def texts_of(row: Mapping) -> list[str]:
    """The texts of a prepared row that must not be in both sets, by its keys (schemas: crosstune.data.readers)."""
    if "choices" in row:
        return [" ".join([row["premise"], row["question"], *row["choices"]])]
    if "tokens" in row:
        return [" ".join(row["tokens"])]
    if "label" in row:
        return [" ".join([row["text"], row.get("pair", "")])]
    return [row[key] for key in ("context", "question", "query", "candidate", "text", "pair") if key in row]


@dataclass(frozen=True)
class Prints:
    """Distinct texts as hashes: n texts with s distinct shingles.

    `texts`, `ids` (n): a text and the id of its first row. `keys` (n,) uint64: hashes of their characters. `sizes`
    (n,): how many shingles each has. `shingles` (s,) uint64 and `owners` (s,): their hashes, and the text of each, in
    rising order. `rows`: the ids of all rows that are identifiers, by what identifies them.
    """

    texts: Sequence[str]
    ids: Sequence[str]
    keys: np.ndarray
    sizes: np.ndarray
    shingles: np.ndarray
    owners: np.ndarray
    rows: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.texts)


def prints(rows: Iterable[Mapping]) -> Prints:
    """Prepared rows as hashes of their distinct texts."""
    first: dict[str, str] = {}
    rows_by_identifier = {}
    for row in rows:
        if found := IDENTIFIER.search(row["id"]):
            rows_by_identifier.setdefault(found[0], row["id"])
        for text in texts_of(row):
            first.setdefault(text, row["id"])
    texts = list(first)
    parts = [(begin, *hashes(texts[begin:end])) for begin, end in pairwise(portions([len(text) for text in texts]))]
    keys = np.concatenate([part[1] for part in parts])
    sizes = np.concatenate([part[2] for part in parts])
    shingles = np.concatenate([part[3] for part in parts])
    owners = np.concatenate([part[4] + part[0] for part in parts])
    # Texts that differ in case or punctuation are one.
    _, kept = np.unique(keys, return_index=True)
    kept = np.sort(kept[keys[kept] != 0])
    renumbered = np.full(len(texts) + 1, -1)
    renumbered[kept] = np.arange(len(kept))
    chosen = renumbered[owners] >= 0
    texts = [texts[place] for place in kept]
    return Prints(
        texts, [first[text] for text in texts], keys[kept], sizes[kept], shingles[chosen], renumbered[owners[chosen]],
        rows_by_identifier,
    )  # fmt: skip


def portions(weights: Sequence[int], most: int = CHARACTERS_AT_ONCE) -> list[int]:
    """Bounds of runs of items, each of a weight of at most `most` or of a single item; at least one run."""
    if not len(weights):
        return [0, 0]
    totals = np.cumsum(np.append(0, weights))
    bounds = [0]
    while bounds[-1] < len(weights):
        reached = int(np.searchsorted(totals, totals[bounds[-1]] + most, "right")) - 1
        bounds.append(max(reached, bounds[-1] + 1))
    return bounds


def hashes(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(keys, sizes, shingles, owners) of texts, as in Prints; the key of a text without any token is 0."""
    points, bounds = code_points(texts)
    kinds = kinds_of(points)
    kept = np.flatnonzero(kinds != DROPPED)
    # Letters after a letter go on with its word, unless a text ends between them.
    begins = (kinds == SINGLE) | ((kinds == LETTER) & (np.concatenate([[DROPPED], kinds[:-1]]) != LETTER))
    begins[bounds[:-1][bounds[:-1] < len(points)]] = True
    starts = np.flatnonzero(begins[kept])
    text_bounds = np.searchsorted(kept, bounds)
    token_bounds = np.searchsorted(starts, text_bounds)
    sums, inverses = prefix_sums(points[kept])
    keys = windows(sums, inverses, text_bounds[:-1], text_bounds[1:])
    singles = np.concatenate([[0], np.cumsum(kinds[kept[starts]] == SINGLE)])
    counts = np.diff(token_bounds)
    spans = np.where(2 * np.diff(singles[token_bounds]) > counts, CHARACTERS, WORDS)
    edges = np.append(starts, len(kept))
    owners, lows = ranges(token_bounds[:-1], np.maximum(counts - spans + 1, 0))
    # A word begins where the sum is marked, so that "ab c" and "a bc" differ.
    marks, mark_inverses = prefix_sums(windows(sums, inverses, edges[:-1], edges[1:]))
    shingles = windows(marks, mark_inverses, lows, lows + spans[owners])
    owners, shingles = distinct_pairs(owners, shingles)
    return keys, np.bincount(owners, minlength=len(texts)), shingles, owners


def code_points(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The normalised texts laid end to end as code points (t,), and their bounds (n + 1,)."""
    normal = [unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()) for text in texts]
    points = np.frombuffer("".join(normal).encode("utf-32-le", "surrogatepass"), np.uint32)
    return points, np.cumsum([0, *map(len, normal)])


def kinds_of(points: np.ndarray) -> np.ndarray:
    """DROPPED, LETTER or SINGLE for every code point."""
    distinct, places = np.unique(points, return_inverse=True)
    return np.array([kind_of(point) for point in distinct.tolist()], np.int8)[places]


def kind_of(point: int) -> int:
    if unicodedata.category(chr(point))[0] not in "LMN":
        return DROPPED
    return SINGLE if any(first <= point <= last for first, last in UNSPACED_SCRIPTS) else LETTER


def prefix_sums(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of mixed values times powers of BASE up to every place (m + 1,), and the inverses of the powers."""
    ones = np.ones(1, np.uint64)
    powers = np.multiply.accumulate(np.concatenate([ones, np.full(len(values), BASE)]))
    inverses = np.multiply.accumulate(np.concatenate([ones, np.full(len(values), INVERSE)]))
    return np.concatenate([0 * ones, np.cumsum(mix(values.astype(np.uint64)) * powers[:-1], dtype=np.uint64)]), inverses


def windows(sums: np.ndarray, inverses: np.ndarray, lows: np.ndarray, highs: np.ndarray) -> np.ndarray:
    """Hashes of the windows [low, high): equal windows give equal hashes, wherever they lie; an empty one gives 0."""
    return mix((sums[highs] - sums[lows]) * inverses[lows])


def mix(values: np.ndarray) -> np.ndarray:
    """A bijection of 64 bits that keeps 0: the finaliser of splitmix64 (Steele, Lea and Flood, 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def ranges(firsts: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(numbers, places): for every number i the places firsts[i], firsts[i] + 1, ... of `counts[i]` in all."""
    numbers = np.repeat(np.arange(len(counts)), counts)
    return numbers, np.arange(len(numbers)) + np.repeat(firsts - np.cumsum(counts) + counts, counts)


def distinct_pairs(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct pairs of two arrays of one length, in rising order."""
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    new = np.ones(len(first), bool)
    new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return first[new], second[new]


# --- evaluation sets against training sets ---------------------------------------------------------------------------


class Index:
    """Evaluation sets by name, made ready for looking up training texts."""

    def __init__(self, sets: Mapping[str, Prints]):
        self.names = list(sets)
        self.prints = list(sets.values())
        self.bounds = np.cumsum([0, *map(len, self.prints)])
        self.keys = np.concatenate([found.keys for found in self.prints])
        self.sizes = np.concatenate([found.sizes for found in self.prints])
        shingles = np.concatenate([found.shingles for found in self.prints])
        owners = np.concatenate([found.owners + low for found, low in zip(self.prints, self.bounds, strict=False)])
        order = np.argsort(shingles, kind="stable")
        self.owners = owners[order]
        self.shingles, firsts = np.unique(shingles[order], return_index=True)
        self.firsts = np.append(firsts, len(order))

    def __len__(self) -> int:
        return len(self.keys)

    def equal(self, train: Prints) -> np.ndarray:
        """For every evaluation text the training text with the same characters, or -1."""
        order = np.argsort(train.keys)
        places = np.searchsorted(train.keys, self.keys, sorter=order)
        candidates = np.append(order, len(order))[places]  # the last is none: no key is 0
        return np.where(np.append(train.keys, np.uint64(0))[candidates] == self.keys, candidates, -1)

    def nearest(self, train: Prints) -> tuple[np.ndarray, np.ndarray]:
        """For every evaluation text the training text that holds most of its shingles, or -1, and their share."""
        places = np.searchsorted(self.shingles, train.shingles)
        known = np.append(self.shingles, np.uint64(0))[places] == train.shingles
        known &= places < len(self.shingles)
        places, owners = places[known], train.owners[known]
        counts = self.firsts[places + 1] - self.firsts[places]
        nearest, most = np.full(len(self), -1), np.zeros(len(self), np.int64)
        # The shingles of a training text are counted together.
        ends = np.searchsorted(owners, np.arange(len(train) + 1))
        weights = np.diff(np.append(0, np.cumsum(counts))[ends])
        for low, high in pairwise(portions(weights, PAIRS_AT_ONCE)):
            part = slice(ends[low], ends[high])
            numbers, where = ranges(self.firsts[places[part]], counts[part])
            pairs, shared = np.unique(owners[part][numbers] * len(self) + self.owners[where], return_counts=True)
            order = np.argsort(shared, kind="stable")  # of several values for one place the last is kept: the largest
            trained, evaluated = np.divmod(pairs[order], len(self))
            best, text = np.zeros((2, len(self)), np.int64)
            best[evaluated], text[evaluated] = shared[order], trained
            better = best > most
            nearest[better], most[better] = text[better], best[better]
        return nearest, most / np.maximum(self.sizes, 1)

    def found(self, source: str, train: Prints, wanted: Container[str]) -> list[dict]:
        """What of the evaluation sets `wanted` stands in a training set; sets of which nothing does are left out.

        Each has the number of its `texts`, how many of them stand there by kind, and `examples`.
        """
        equal = self.equal(train)
        nearest, share = self.nearest(train)
        near = (equal < 0) & (share >= NEAR) & (self.sizes >= LEAST)
        # By kind, for every evaluation text the training text where it stands, or -1.
        where = {
            "exact": np.where(self.sizes > 0, equal, -1),
            "near": np.where(near, nearest, -1),
            "short": np.where(self.sizes > 0, -1, equal),
        }
        pairs = []
        for name, low, evaluated in zip(self.names, self.bounds, self.prints, strict=False):
            if name not in wanted:
                continue
            part = slice(low, low + len(evaluated))
            same = sorted(evaluated.rows.keys() & train.rows.keys())
            counts = {kind: int((places[part] >= 0).sum()) for kind, places in where.items()} | {"id": len(same)}
            examples = [
                example
                for kind, places in where.items()
                for example in examples_of(kind, evaluated, train, places[part], share[part])
            ]
            examples += [
                {"how": "id", "train": train.rows[key], "evaluate": evaluated.rows[key]} for key in same[:SOME]
            ]
            if examples:
                pairs.append(
                    {"train": source, "evaluate": name, "texts": len(evaluated), **counts, "examples": examples}
                )
        return pairs


def examples_of(kind: str, evaluated: Prints, train: Prints, places: np.ndarray, share: np.ndarray) -> list[dict]:
    """Some evaluation texts that stand in a training set: the ids of both rows, and of a near one its share."""
    return [
        {"how": kind, "train": train.ids[places[hit]], "evaluate": evaluated.ids[hit]}
        | ({"share": round(float(share[hit]), 2)} if kind == "near" else {})
        | {"text": evaluated.texts[hit][:SHOWN]}
        for hit in np.flatnonzero(places >= 0)[:SOME]
    ]
