"""Overlap: texts of evaluation sets that occur in a training set.

Texts are compared as tokens: runs of letters, marks and digits after NFKC and case folding, and single characters in
scripts without spaces. All other characters are dropped. A text occurs in a set

    exact   if a text of the set has the same characters,
    near    if it has at least MIN_SHINGLES shingles and one text of the set contains at least NEAR_SHARE of them,
    short   if it occurs exactly but is too short for a shingle: "Thank you." is repeated by chance,
    id      if a row of the set has the same identifier. Translations of SQuAD keep the ids of its questions, which are
            thus found in every language. An identifier is an id that ends in 16 or more hexadecimal digits.

A shingle is a run of SHINGLE_WORDS words or, in a text of mostly single-character tokens, of SHINGLE_CHARACTERS
characters. Shingles and containment are those of Broder, On the resemblance and containment of documents, 1997.
"""

import re
import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from crosstune.core.characters import UNSPACED_SCRIPTS

SHINGLE_WORDS, SHINGLE_CHARACTERS = 8, 16

MIN_SHINGLES, NEAR_SHARE = 4, 0.5

MAX_EXAMPLES, EXAMPLE_CHARACTERS = 3, 80  # examples of each kind, characters of each

# Bounds on memory: characters hashed at a time, pairs of shingles counted at a time.
CHUNK_CHARACTERS, CHUNK_PAIRS = 2_000_000, 4_000_000

BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse modulo 2^64

INVERSE = np.uint64(pow(int(BASE), -1, 2**64))

IDENTIFIER = re.compile(r"(?<![0-9a-z])[0-9a-f]{16,}$")

DROPPED, LETTER, SINGLE = range(3)


def compared_texts(row: Mapping) -> list[str]:
    """The texts of a prepared row to compare, by its keys (schemas: crosstune.data.readers)."""
    if "choices" in row:
        return [" ".join([row["premise"], row["question"], *row["choices"]])]
    if "tokens" in row:
        return [" ".join(row["tokens"])]
    if "label" in row:
        return [" ".join([row["text"], row.get("pair", "")])]
    return [row[key] for key in ("context", "question", "query", "candidate", "text", "pair") if key in row]


@dataclass(frozen=True)
class Fingerprints:
    """Hashes of n distinct texts with s distinct shingles.

    `texts` and `ids` (n): each text and the id of its first row. `keys` (n,) uint64: hashes of the texts' characters.
    `sizes` (n,): number of shingles of each text. `shingles` (s,) uint64: hashes of the shingles, in ascending order of
    `owners` (s,), the text of each. `rows`: ids of rows by their identifiers.
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


def fingerprint(rows: Iterable[Mapping]) -> Fingerprints:
    """The fingerprints of prepared rows."""
    first: dict[str, str] = {}
    rows_by_identifier = {}
    for row in rows:
        if match := IDENTIFIER.search(row["id"]):
            rows_by_identifier.setdefault(match[0], row["id"])
        for text in compared_texts(row):
            first.setdefault(text, row["id"])
    texts = list(first)
    parts = [
        (begin, *hash_texts(texts[begin:end])) for begin, end in pairwise(chunk_bounds([len(text) for text in texts]))
    ]
    keys = np.concatenate([part[1] for part in parts])
    sizes = np.concatenate([part[2] for part in parts])
    shingles = np.concatenate([part[3] for part in parts])
    owners = np.concatenate([part[4] + part[0] for part in parts])
    # Texts that differ only in case or punctuation have one key.
    _, distinct = np.unique(keys, return_index=True)
    distinct = np.sort(distinct[keys[distinct] != 0])
    renumbered = np.full(len(texts) + 1, -1)
    renumbered[distinct] = np.arange(len(distinct))
    chosen = renumbered[owners] >= 0
    texts = [texts[place] for place in distinct]
    return Fingerprints(
        texts, [first[text] for text in texts], keys[distinct], sizes[distinct], shingles[chosen],
        renumbered[owners[chosen]], rows_by_identifier,
    )  # fmt: skip


def chunk_bounds(weights: Sequence[int], most: int = CHUNK_CHARACTERS) -> list[int]:
    """Bounds of runs of items whose weights sum to at most `most`, or of one heavier item; at least one run."""
    if not len(weights):
        return [0, 0]
    totals = np.cumsum(np.append(0, weights))
    bounds = [0]
    while bounds[-1] < len(weights):
        reached = int(np.searchsorted(totals, totals[bounds[-1]] + most, "right")) - 1
        bounds.append(max(reached, bounds[-1] + 1))
    return bounds


def hash_texts(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(keys, sizes, shingles, owners) of texts, as in Fingerprints; the key of a text without tokens is 0."""
    points, bounds = code_points(texts)
    kinds = character_kinds(points)
    indices = np.flatnonzero(kinds != DROPPED)
    # A letter after a letter continues its word, unless a text begins there.
    begins = (kinds == SINGLE) | ((kinds == LETTER) & (np.concatenate([[DROPPED], kinds[:-1]]) != LETTER))
    begins[bounds[:-1][bounds[:-1] < len(points)]] = True
    starts = np.flatnonzero(begins[indices])
    text_bounds = np.searchsorted(indices, bounds)
    token_bounds = np.searchsorted(starts, text_bounds)
    sums, inverses = prefix_sums(points[indices])
    keys = window_hashes(sums, inverses, text_bounds[:-1], text_bounds[1:])
    singles = np.concatenate([[0], np.cumsum(kinds[indices[starts]] == SINGLE)])
    counts = np.diff(token_bounds)
    spans = np.where(2 * np.diff(singles[token_bounds]) > counts, SHINGLE_CHARACTERS, SHINGLE_WORDS)
    edges = np.append(starts, len(indices))
    owners, lows = expand_ranges(token_bounds[:-1], np.maximum(counts - spans + 1, 0))
    # Shingles hash the hashes of their words, so that "ab c" and "a bc" differ.
    marks, mark_inverses = prefix_sums(window_hashes(sums, inverses, edges[:-1], edges[1:]))
    shingles = window_hashes(marks, mark_inverses, lows, lows + spans[owners])
    owners, shingles = distinct_pairs(owners, shingles)
    return keys, np.bincount(owners, minlength=len(texts)), shingles, owners


def code_points(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The code points (t,) of the concatenated normalised texts, and the bounds (n + 1,) of each text."""
    normal = [unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()) for text in texts]
    points = np.frombuffer("".join(normal).encode("utf-32-le", "surrogatepass"), np.uint32)
    return points, np.cumsum([0, *map(len, normal)])


def character_kinds(points: np.ndarray) -> np.ndarray:
    """DROPPED, LETTER or SINGLE for every code point (t,)."""
    distinct, places = np.unique(points, return_inverse=True)
    return np.array([character_kind(point) for point in distinct.tolist()], np.int8)[places]


def character_kind(point: int) -> int:
    if unicodedata.category(chr(point))[0] not in "LMN":
        return DROPPED
    return SINGLE if any(first <= point <= last for first, last in UNSPACED_SCRIPTS) else LETTER


def prefix_sums(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Prefix sums (m + 1,) of mixed values times powers of BASE, and the inverses (m + 1,) of the powers."""
    ones = np.ones(1, np.uint64)
    powers = np.multiply.accumulate(np.concatenate([ones, np.full(len(values), BASE)]))
    inverses = np.multiply.accumulate(np.concatenate([ones, np.full(len(values), INVERSE)]))
    return np.concatenate([0 * ones, np.cumsum(mix(values.astype(np.uint64)) * powers[:-1], dtype=np.uint64)]), inverses


def window_hashes(sums: np.ndarray, inverses: np.ndarray, lows: np.ndarray, highs: np.ndarray) -> np.ndarray:
    """Hashes of the windows [low, high), independent of their position; 0 for an empty window."""
    return mix((sums[highs] - sums[lows]) * inverses[lows])


def mix(values: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele, Lea and Flood, 2014), a bijection on 64 bits that maps 0 to 0."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def expand_ranges(firsts: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(numbers, places): for every number i, the `counts[i]` places firsts[i], firsts[i] + 1, ..."""
    numbers = np.repeat(np.arange(len(counts)), counts)
    return numbers, np.arange(len(numbers)) + np.repeat(firsts - np.cumsum(counts) + counts, counts)


def distinct_pairs(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct pairs of two arrays of equal length, in ascending order."""
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    new = np.ones(len(first), bool)
    new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return first[new], second[new]


# --- evaluation sets against training sets ---------------------------------------------------------------------------


class OverlapIndex:
    """An index of evaluation sets, by name, in which training texts are looked up."""

    def __init__(self, sets: Mapping[str, Fingerprints]):
        self.names = list(sets)
        self.prints = list(sets.values())
        self.bounds = np.cumsum([0, *map(len, self.prints)])
        self.keys = np.concatenate([prints.keys for prints in self.prints])
        self.sizes = np.concatenate([prints.sizes for prints in self.prints])
        shingles = np.concatenate([prints.shingles for prints in self.prints])
        owners = np.concatenate([prints.owners + low for prints, low in zip(self.prints, self.bounds, strict=False)])
        order = np.argsort(shingles, kind="stable")
        self.owners = owners[order]
        self.shingles, firsts = np.unique(shingles[order], return_index=True)
        self.firsts = np.append(firsts, len(order))

    def __len__(self) -> int:
        return len(self.keys)

    def exact_matches(self, train: Fingerprints) -> np.ndarray:
        """For each of the n evaluation texts the training text (n,) with the same characters, or -1."""
        order = np.argsort(train.keys)
        places = np.searchsorted(train.keys, self.keys, sorter=order)
        candidates = np.append(order, len(order))[places]  # the last stands for no text: no key is 0
        return np.where(np.append(train.keys, np.uint64(0))[candidates] == self.keys, candidates, -1)

    def nearest_texts(self, train: Fingerprints) -> tuple[np.ndarray, np.ndarray]:
        """(nearest, share) (n,): the training text with most shingles of an evaluation text or -1, and their share."""
        places = np.searchsorted(self.shingles, train.shingles)
        known = np.append(self.shingles, np.uint64(0))[places] == train.shingles
        known &= places < len(self.shingles)
        places, owners = places[known], train.owners[known]
        counts = self.firsts[places + 1] - self.firsts[places]
        nearest, most = np.full(len(self), -1), np.zeros(len(self), np.int64)
        # All shingles of a training text are counted in the same chunk.
        ends = np.searchsorted(owners, np.arange(len(train) + 1))
        weights = np.diff(np.append(0, np.cumsum(counts))[ends])
        for low, high in pairwise(chunk_bounds(weights, CHUNK_PAIRS)):
            part = slice(ends[low], ends[high])
            numbers, where = expand_ranges(self.firsts[places[part]], counts[part])
            pairs, shared = np.unique(owners[part][numbers] * len(self) + self.owners[where], return_counts=True)
            order = np.argsort(shared, kind="stable")  # the last, largest, of several values for one text is kept
            trained, evaluated = np.divmod(pairs[order], len(self))
            best, text = np.zeros((2, len(self)), np.int64)
            best[evaluated], text[evaluated] = shared[order], trained
            better = best > most
            nearest[better], most[better] = text[better], best[better]
        return nearest, most / np.maximum(self.sizes, 1)

    def overlaps(self, source: str, train: Fingerprints, names: Container[str]) -> list[dict]:
        """Overlaps of the evaluation sets `names` with a training set; sets without overlap are left out.

        Each has its number of `texts`, the number of overlapping ones by kind, and `examples`.
        """
        equal = self.exact_matches(train)
        nearest, share = self.nearest_texts(train)
        near = (equal < 0) & (share >= NEAR_SHARE) & (self.sizes >= MIN_SHINGLES)
        # By kind, for every evaluation text the training text that it occurs in, or -1.
        where = {
            "exact": np.where(self.sizes > 0, equal, -1),
            "near": np.where(near, nearest, -1),
            "short": np.where(self.sizes > 0, -1, equal),
        }
        pairs = []
        for name, low, evaluated in zip(self.names, self.bounds, self.prints, strict=False):
            if name not in names:
                continue
            part = slice(low, low + len(evaluated))
            same = sorted(evaluated.rows.keys() & train.rows.keys())
            counts = {kind: int((places[part] >= 0).sum()) for kind, places in where.items()} | {"id": len(same)}
            examples = [
                example
                for kind, places in where.items()
                for example in example_matches(kind, evaluated, train, places[part], share[part])
            ]
            examples += [
                {"how": "id", "train": train.rows[key], "evaluate": evaluated.rows[key]} for key in same[:MAX_EXAMPLES]
            ]
            if examples:
                pairs.append(
                    {"train": source, "evaluate": name, "texts": len(evaluated), **counts, "examples": examples}
                )
        return pairs


def example_matches(
    kind: str, evaluated: Fingerprints, train: Fingerprints, places: np.ndarray, share: np.ndarray
) -> list[dict]:
    """Some overlapping texts: the ids of both rows, the share of shingles if `kind` is near, and the text."""
    return [
        {"how": kind, "train": train.ids[places[hit]], "evaluate": evaluated.ids[hit]}
        | ({"share": round(float(share[hit]), 2)} if kind == "near" else {})
        | {"text": evaluated.texts[hit][:EXAMPLE_CHARACTERS]}
        for hit in np.flatnonzero(places >= 0)[:MAX_EXAMPLES]
    ]
