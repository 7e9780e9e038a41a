"""Overlap: texts of evaluation sets that occur in a training set.

Texts are compared as tokens: runs of letters, marks and digits, and single characters in scripts without spaces. All
other characters separate tokens. Before that, crosstune.data.text_folding makes equal what is spelled in several ways.
A text occurs in a set

    exact      if a text of the set has the same characters,
    near       if shingles in texts of the set cover enough of its tokens, though in several pieces (near_sizes),
    short      if it occurs exactly but has less than eight words: "Thank you." is repeated by chance,
    id         if a row of the set has the same identifier, a run of 16 or more hexadecimal digits. Translations of
               SQuAD keep those of its questions, which are thus found in every language,
    parallel   if the set has a row with the same id but for the language, or is a set of as many rows, and the lengths
               of all rows agree as those of translations do (Gale and Church, A program for aligning sentences in
               bilingual corpora, 1993).

A shingle is a run of tokens, of eleven words (Broder, On the resemblance and containment of documents, 1997).
LIMITS names what the comparison does not find.
"""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from crosstune.core.characters import IDEOGRAPHIC_SCRIPTS, is_unspaced, is_word_character
from crosstune.data.text_folding import fold_character, fold_text

# Kinds of characters: letters of words, of scripts without spaces, and ideographs.
DROPPED, LETTER, UNSPACED, IDEOGRAPH = range(4)

# The tokens of eight words in texts that consist of them. An equal text of fewer is chance.
EIGHT_WORDS = {LETTER: 8, UNSPACED: 32, IDEOGRAPH: 16}

# The size of a shingle in such units. Shorter runs recur by chance in long training sets.
SHINGLE = 11 / 8

# The part of a text that is a leak: half of its runs of eight words, or a third of it if that is 24 words or more.
LONG_SHARE, LONG_UNITS = 1 / 3, 3

# Lengths of translations have correlations from 0.6 on, those of other rows are normal around 0: at six standard
# deviations none of a study's pairs agrees by chance.
MIN_CORRELATION, MIN_DEVIATIONS = 0.5, 6.0

LIMITS = {
    "translation": "translations whose rows have other ids and another order",
    "words": "paraphrases, and texts in which every tenth word differs",
    "part": "less than a third of a text, less than 24 words of it, or pieces shorter than eleven words",
    "short": "texts of about eleven words or fewer with a difference",
    "script": "a text in another script: romanised, or in traditional for simplified characters",
    "encoding": "texts in a wrong encoding, or with escapes such as \\u00e9",
    "topic": "other texts on the same facts, such as another paragraph of an article",
}

MAX_EXAMPLES, EXAMPLE_CHARACTERS = 3, 80  # examples of each kind, characters of each

CHUNK_CHARACTERS = 2_000_000  # hashed at a time, a bound on memory

BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse modulo 2^64

INVERSE = np.uint64(pow(int(BASE), -1, 2**64))

IDENTIFIER = re.compile("[0-9a-f]{16,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

WORD = re.compile(r"[^\W_]+")


def compared_texts(row: Mapping) -> list[str]:
    """The texts of a prepared row to compare, by its keys (schemas: crosstune.data.readers)."""
    if "choices" in row:
        return [" ".join([row["premise"], row["question"], *row["choices"]])]
    if "tokens" in row:
        return [" ".join(row["tokens"])]
    if "label" in row:
        return [" ".join([row["text"], row.get("pair", "")])]
    return [row[key] for key in ("context", "question", "query", "candidate", "text", "pair") if key in row]


class TextHashes(NamedTuple):
    """Hashes of n texts with s shingles.

    `keys` (n,) uint64: of the texts' characters, 0 for a text without tokens. `sizes`, `units` (n,): the numbers of
    tokens of each text and of eight of its words. `shingles` (s,) uint64, in the order of the texts. `owners`, `starts`
    (s,): the text of each and the place of its first token in it.
    """

    keys: np.ndarray
    sizes: np.ndarray
    units: np.ndarray
    shingles: np.ndarray
    owners: np.ndarray
    starts: np.ndarray

    def take(self, numbers: np.ndarray) -> "TextHashes":
        """The hashes of some texts (m,), in ascending order of their numbers."""
        renumbered = np.full(len(self.keys), -1)
        renumbered[numbers] = np.arange(len(numbers))
        owners = renumbered[self.owners]
        kept = owners >= 0
        texts = (values[numbers] for values in self[:3])
        return TextHashes(*texts, self.shingles[kept], owners[kept], self.starts[kept])

    @staticmethod
    def concatenate(parts: Sequence["TextHashes"]) -> "TextHashes":
        """The hashes of all texts of some parts, numbered in sequence."""
        firsts = np.cumsum([0, *(len(part.keys) for part in parts)])
        numbered = [part._replace(owners=part.owners + first) for part, first in zip(parts, firsts, strict=False)]
        return TextHashes(*map(np.concatenate, zip(*numbered, strict=True)))


@dataclass(frozen=True)
class Fingerprints:
    """The distinct texts of a set of rows, with their hashes.

    `texts`, `ids` (n): each text and the id of its first row. `identifiers`: ids of rows by the identifier in them.
    `lengths`: the number of characters of each row by its id without the language.
    """

    texts: Sequence[str]
    ids: Sequence[str]
    hashes: TextHashes
    identifiers: Mapping[str, Sequence[str]]
    lengths: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.texts)


def fingerprint(rows: Iterable[Mapping], language: str = "") -> Fingerprints:
    """The fingerprints of prepared rows of a language."""
    first: dict[str, str] = {}
    identifiers: dict[str, list[str]] = {}
    lengths: dict[str, int] = {}
    for row in rows:
        for identifier in IDENTIFIER.findall(row["id"].casefold()):
            identifiers.setdefault(identifier.replace("-", ""), []).append(row["id"])
        texts = compared_texts(row)
        lengths[" ".join(part for part in WORD.findall(row["id"]) if part != language)] = sum(map(len, texts))
        for text in texts:
            first.setdefault(text, row["id"])
    texts = list(first)
    bounds = pairwise(chunk_bounds([len(text) for text in texts]))
    hashes = TextHashes.concatenate([hash_texts(texts[begin:end]) for begin, end in bounds])
    # Texts that differ only in case or punctuation have one key.
    _, distinct = np.unique(hashes.keys, return_index=True)
    distinct = np.sort(distinct[hashes.keys[distinct] != 0])
    texts = [texts[place] for place in distinct]
    return Fingerprints(texts, [first[text] for text in texts], hashes.take(distinct), identifiers, lengths)


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


def hash_texts(texts: Sequence[str]) -> TextHashes:
    """The hashes of texts."""
    points, kinds, bounds = folded_points(texts)
    indices = np.flatnonzero(kinds != DROPPED)
    # A letter after a letter continues its word, unless a text begins there.
    begins = (kinds > LETTER) | ((kinds == LETTER) & (np.concatenate([[DROPPED], kinds[:-1]]) != LETTER))
    begins[bounds[:-1][bounds[:-1] < len(points)]] = True
    starts = np.flatnonzero(begins[indices])
    text_bounds = np.searchsorted(indices, bounds)
    token_bounds = np.searchsorted(starts, text_bounds)
    sums, inverses = prefix_sums(points[indices])
    keys = window_hashes(sums, inverses, text_bounds[:-1], text_bounds[1:])
    sizes = np.diff(token_bounds)
    units = tokens_of_eight_words(kinds[indices[starts]], token_bounds)
    spans = shingle_sizes(units)
    edges = np.append(starts, len(indices))
    owners, lows = expand_ranges(token_bounds[:-1], np.maximum(sizes - spans + 1, 0))
    # Shingles hash the hashes of their words, so that "ab c" and "a bc" differ.
    marks, mark_inverses = prefix_sums(window_hashes(sums, inverses, edges[:-1], edges[1:]))
    shingles = window_hashes(marks, mark_inverses, lows, lows + spans[owners])
    return TextHashes(keys, sizes, units, shingles, owners, lows - token_bounds[owners])


def tokens_of_eight_words(kinds: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """The number of tokens (n,) of eight words of each text, by the kind of most of its tokens (t,), else LETTER."""
    units = np.full(len(bounds) - 1, EIGHT_WORDS[LETTER])
    for kind in (UNSPACED, IDEOGRAPH):
        counts = np.diff(np.concatenate([[0], np.cumsum(kinds == kind)])[bounds])
        units[2 * counts > np.diff(bounds)] = EIGHT_WORDS[kind]
    return units


def shingle_sizes(units: np.ndarray) -> np.ndarray:
    """The number of tokens (n,) of the shingles of texts with `units` (n,) for eight words."""
    return (SHINGLE * units).astype(int)


def folded_points(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The code points (t,) and kinds (t,) of the concatenated texts as compared, and the bounds (n + 1,) of each."""
    plain = [fold_text(text) for text in texts]
    points = np.frombuffer("".join(plain).encode("utf-32-le", "surrogatepass"), np.uint32)
    distinct, places = np.unique(points, return_inverse=True)
    table = [fold_character(chr(point)) for point in distinct.tolist()]
    folded = np.array([ord(character or "\0") for character in table], np.uint32)[places]
    kept = np.array([bool(character) for character in table], bool)[places]
    kinds = np.array([character_kind(character) for character in table], np.int8)[places]
    bounds = np.cumsum(np.concatenate([[0], kept]))[np.cumsum([0, *map(len, plain)])]
    return folded[kept], kinds[kept], bounds


def character_kind(character: str) -> int:
    if not character or not is_word_character(character):
        return DROPPED
    if any(first <= ord(character) <= last for first, last in IDEOGRAPHIC_SCRIPTS):
        return IDEOGRAPH
    return UNSPACED if is_unspaced(character) else LETTER


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


# --- evaluation sets against training sets ---------------------------------------------------------------------------


class OverlapIndex:
    """An index of evaluation sets, by name, in which training texts are looked up."""

    def __init__(self, sets: Mapping[str, Fingerprints]):
        self.sets = sets
        self._bounds = np.cumsum([0, *map(len, sets.values())])
        self._hashes = TextHashes.concatenate([prints.hashes for prints in sets.values()])
        self._order = np.argsort(self._hashes.shingles, kind="stable")
        distinct, firsts = np.unique(self._hashes.shingles[self._order], return_index=True)
        self._shingles, self._firsts = np.append(distinct, np.uint64(0)), np.append(firsts, len(self._order))

    def __len__(self) -> int:
        return len(self._hashes.keys)

    def exact_matches(self, train: Fingerprints) -> np.ndarray:
        """For each of the n evaluation texts the training text (n,) with the same characters, or -1."""
        keys = train.hashes.keys
        order = np.argsort(keys)
        places = np.searchsorted(keys, self._hashes.keys, sorter=order)
        candidates = np.append(order, len(order))[places]  # the last stands for no text: no key is 0
        return np.where(np.append(keys, np.uint64(0))[candidates] == self._hashes.keys, candidates, -1)

    def shingle_matches(self, train: Fingerprints) -> tuple[np.ndarray, np.ndarray]:
        """(places, texts) (m,): in order, the shingles of the evaluation texts that a training text contains."""
        found = np.searchsorted(self._shingles[:-1], train.hashes.shingles)
        known = (self._shingles[found] == train.hashes.shingles) & (found < len(self._shingles) - 1)
        owners = np.full(len(self._shingles) - 1, -1)
        owners[found[known]] = train.hashes.owners[known]
        numbers = np.flatnonzero(owners >= 0)
        repeats, where = expand_ranges(self._firsts[numbers], self._firsts[numbers + 1] - self._firsts[numbers])
        places = self._order[where]
        order = np.argsort(places)
        return places[order], owners[numbers[repeats[order]]]

    def covered_tokens(self, places: np.ndarray) -> np.ndarray:
        """The number of tokens (n,) of each evaluation text in the shingles at `places` (m,), in ascending order."""
        owners, starts = self._hashes.owners[places], self._hashes.starts[places]
        # A shingle covers its tokens up to the next one, so that none counts twice.
        steps = shingle_sizes(self._hashes.units[owners])
        steps[:-1] = np.where(owners[1:] == owners[:-1], np.minimum(steps[:-1], np.diff(starts)), steps[:-1])
        return np.bincount(owners, steps, minlength=len(self)).astype(int)

    def overlaps(self, source: str, train: Fingerprints, names: Container[str]) -> list[dict]:
        """Overlaps of the evaluation sets `names` with a training set; sets without overlap are left out.

        Each has its number of `texts`, the number of overlapping ones by kind, and `examples`.
        """
        sizes, units = self._hashes.sizes, self._hashes.units
        equal, (places, matches) = self.exact_matches(train), self.shingle_matches(train)
        covered = self.covered_tokens(places)
        share = covered / np.maximum(sizes, 1)
        near = (equal < 0) & (covered >= near_sizes(sizes, units))
        nearest = np.full(len(self), -1)
        owners = self._hashes.owners[places]
        nearest[owners[near[owners]]] = matches[near[owners]]
        # By kind, for every evaluation text the training text that it occurs in, or -1.
        where = {
            "exact": np.where(sizes >= units, equal, -1),
            "near": nearest,
            "short": np.where(sizes >= units, -1, equal),
        }
        pairs = []
        for (name, evaluated), low in zip(self.sets.items(), self._bounds, strict=False):
            if name not in names:
                continue
            part = slice(low, low + len(evaluated))
            rows = {"id": rows_with_identifiers(evaluated, train), "parallel": parallel_rows(evaluated, train)}
            counts = {kind: int((texts[part] >= 0).sum()) for kind, texts in where.items()}
            counts |= {kind: len(found) for kind, found in rows.items()}
            examples = [
                example
                for kind, texts in where.items()
                for example in example_matches(kind, evaluated, train, texts[part], share[part])
            ]
            examples += [
                {"how": kind, "train": other, "evaluate": own}
                for kind, found in rows.items()
                for own, other in found[:MAX_EXAMPLES]
            ]
            if examples:
                pairs.append(
                    {"train": source, "evaluate": name, "texts": len(evaluated), **counts, "examples": examples}
                )
        return pairs


def near_sizes(sizes: np.ndarray, units: np.ndarray) -> np.ndarray:
    """The number of tokens (n,) from which on a copy is near, of texts of `sizes` (n,) with `units` for eight words.

    In sequence, half of the runs of eight words have (size + unit - 1) / 2 tokens.
    """
    return np.minimum((sizes + units - 1) / 2, np.maximum(LONG_UNITS * units, LONG_SHARE * sizes))


def rows_with_identifiers(evaluated: Fingerprints, train: Fingerprints) -> list[tuple[str, str]]:
    """(evaluation id, training id) of rows with the same identifier.

    Sentences of a document may share its identifier, with a number behind it; such an identifier names no row.
    """
    shared = sorted(evaluated.identifiers.keys() & train.identifiers.keys())
    return [
        (own[0], train.identifiers[identifier][0])
        for identifier, own in ((identifier, evaluated.identifiers[identifier]) for identifier in shared)
        if len(own) == 1 or any(name.casefold().endswith(identifier) for name in own)
    ]


def parallel_rows(evaluated: Fingerprints, train: Fingerprints) -> list[tuple[str, str]]:
    """(evaluation id, training id) of rows, without the language, that translate each other by their ids and lengths.

    Rows whose ids differ belong together by their order if both sets have as many. Compared are the steps of the
    logarithm of the length from row to row, in which sorted sets do not agree.
    """
    if not evaluated.lengths.keys().isdisjoint(train.lengths):
        pairs = [(name, name) for name in evaluated.lengths if name in train.lengths]
    elif len(evaluated) and len(evaluated.lengths) == len(train.lengths):
        pairs = list(zip(evaluated.lengths, train.lengths, strict=True))
    else:
        return []
    lengths = np.array([(evaluated.lengths[own], train.lengths[other]) for own, other in pairs])
    steps = np.diff(np.log1p(lengths), axis=0)
    needed = max(MIN_CORRELATION, MIN_DEVIATIONS / len(pairs) ** 0.5)
    if needed >= 1 or not steps.any(axis=0).all():
        return []
    return pairs if np.corrcoef(steps.T)[0, 1] > needed else []


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
