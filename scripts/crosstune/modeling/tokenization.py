"""Texts as token ids, by a tokenizer.json alone: neither transformers nor torch is imported."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import tokenizers

from crosstune.core.characters import continues_letter, is_word_character
from crosstune.core.files import read_json, sha256_file

# Texts tokenized in one call: the library's own records are a hundred times as large as their arrays here.
TOKENIZER_BATCH = 10_000


@dataclass(frozen=True)
class SpecialTokenLayout:
    """Special token ids around a pair of sequences, and the token types of the two sides."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    types: tuple[int, int]

    @property
    def count(self) -> int:
        """The number of special tokens."""
        return len(self.ids)

    @property
    def ids(self) -> tuple[int, ...]:
        """The special tokens in order."""
        return self.before + self.between + self.after

    def pair(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Token ids and token types of `before first between second after`."""
        ids = np.concatenate([self.before, first, self.between, second, self.after]).astype(np.int32)
        types = np.full(len(ids), self.types[1], np.int8)
        types[: len(self.before) + len(first) + len(self.between)] = self.types[0]
        return ids, types


@dataclass(frozen=True)
class TokenizedText:
    """One tokenized text: `ids` (n,) and the half-open character ranges `starts` (n,), `ends` (n,) of the tokens.

    `words` (n,): the word of each token, if the text was given as words.
    """

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    words: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))


class Tokenizer:
    """The fast tokenizer of a model folder."""

    def __init__(self, folder: Path | str):
        folder = Path(folder)
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.sha256 = sha256_file(folder / "tokenizer.json")
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        names = read_json(folder / "tokenizer_config.json")
        self.mask_id = self._token_id(names.get("mask_token"))
        self.pad_id = self._token_id(names.get("pad_token")) or 0
        self.unknown_id = self._token_id(names.get("unk_token"))
        self.vocabulary = self._tokenizer.get_vocab_size()
        self.pair_layout = self._probe_pair_layout()
        self.single_layout = self._probe_single_layout()
        self.filler_id = next(
            id for id in (self.unknown_id, self.mask_id, *self.single_layout.ids, self.pad_id) if id is not None
        )
        self.special_ids = frozenset(id for layout in (self.pair_layout, self.single_layout) for id in layout.ids)

    def tokens_from(self, number: int) -> list[str]:
        """The tokens with this number or a higher one."""
        return [token for token, id in self._tokenizer.get_vocab().items() if id >= number]

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        """Tokenize without special tokens.

        A token's range begins at its first character that is not a space. Letters, marks and digits that the tokenizer
        counts to no token belong to the token next to them, as in a word's decomposed letters.
        """
        tokenized = []
        for begin in range(0, len(texts), TOKENIZER_BATCH):
            batch = list(texts[begin : begin + TOKENIZER_BATCH])
            encodings = self._tokenizer.encode_batch(batch, add_special_tokens=False)
            tokenized += [_tokenized_text(encoding, text) for encoding, text in zip(encodings, batch, strict=True)]
        return tokenized

    def tokenize_words(self, sentences: Sequence[Sequence[str]]) -> list[TokenizedText]:
        """Tokenize sentences that are already split into words, without special tokens and character ranges.

        A word has the tokens that it has after another one in a text.
        """
        encodings = self._tokenizer.encode_batch(
            [[self._word_prefix + word for word in words] for words in sentences],
            is_pretokenized=True,
            add_special_tokens=False,
        )
        return [
            TokenizedText(np.array(e.ids, np.int32), np.zeros(0, int), np.zeros(0, int), np.array(e.word_ids, np.int32))
            for e in encodings
        ]

    def encode_pair(
        self, first: np.ndarray, second: np.ndarray | None, max_length: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Token ids and types of a text or a pair, cut to `max_length` tokens from the longer text first."""
        if second is None:
            layout = self.single_layout
            return layout.pair(np.zeros(0, np.int32), first[: max_length - layout.count])
        room = max_length - self.pair_layout.count
        if len(first) + len(second) > room:
            # The shorter text has up to half of the room. If both are longer, the second has the odd token.
            shorter = min(len(first), len(second), room // 2)
            longer = room - shorter
            one, other = (longer, shorter) if len(first) > len(second) else (shorter, longer)
            first, second = first[:one], second[:other]
        return self.pair_layout.pair(first, second)

    @cached_property
    def _word_prefix(self) -> str:
        """The space that byte-level tokenizers expect before a word, unless they add it themselves."""

        def ids(text: str | list[str]) -> list[int]:
            return self._tokenizer.encode(text, add_special_tokens=False, is_pretokenized=isinstance(text, list)).ids

        text, word, spaced = ids("a a"), ids(["a"]), ids([" a"])
        return " " if text != word + word and text[-len(spaced) :] == spaced else ""

    def _token_id(self, token: object) -> int | None:
        content = token.get("content") if isinstance(token, dict) else token
        return self._tokenizer.token_to_id(content) if content else None

    def _probe_pair_layout(self) -> SpecialTokenLayout:
        probe = self._tokenizer.encode("a", "a")
        sides = probe.sequence_ids
        first, second = [i for i, s in enumerate(sides) if s == 0], [i for i, s in enumerate(sides) if s == 1]
        ids = probe.ids
        return SpecialTokenLayout(
            tuple(ids[: first[0]]),
            tuple(ids[first[-1] + 1 : second[0]]),
            tuple(ids[second[-1] + 1 :]),
            (probe.type_ids[first[0]], probe.type_ids[second[0]]),
        )

    def _probe_single_layout(self) -> SpecialTokenLayout:
        """A single sequence is a pair with an empty first part and no tokens between."""
        probe = self._tokenizer.encode("a")
        inside = [i for i, s in enumerate(probe.sequence_ids) if s == 0]
        kind = probe.type_ids[inside[0]]
        return SpecialTokenLayout(tuple(probe.ids[: inside[0]]), (), tuple(probe.ids[inside[-1] + 1 :]), (kind, kind))


def _tokenized_text(encoding, text: str) -> TokenizedText:
    offsets = np.array(encoding.offsets, np.int64).reshape(-1, 2)
    # Some tokenizers count the space before a piece as part of it; an answer must not begin with a space.
    starts = np.array([s + (e - s > 1 and text[s].isspace()) for s, e in encoding.offsets], np.int64)
    starts, ends = _cover_words(starts, offsets[:, 1].copy(), text)
    return TokenizedText(np.array(encoding.ids, np.int32), starts, ends)


def _cover_words(starts: np.ndarray, ends: np.ndarray, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Ranges of tokens (n,) in a text, extended over the letters, marks and digits that lie in no range.

    Tokenizers lose the second part of a composed letter, a removed accent, and the first letter of a word before which
    they write a space.
    """
    depth = np.zeros(len(text) + 1, np.int64)
    np.add.at(depth, starts, 1)
    np.add.at(depth, np.maximum(starts, ends), -1)
    characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    outside = np.flatnonzero((depth.cumsum()[:-1] == 0) & (characters != ord(" "))).tolist()
    lost = [place for place in outside if is_word_character(text[place])]
    # A part of the letter before it belongs to that letter's token, others to the next token.
    letters = [place for place in lost if not (continues_letter(text[place]) and _move(ends, place, place + 1))]
    alone = [place for place in reversed(letters) if not _move(starts, place + 1, place)]
    for place in reversed(alone):
        _move(ends, place, place + 1)
    # Ranges without characters, of spaces that the tokenizer adds, may be out of order.
    return np.minimum.accumulate(starts[::-1])[::-1], np.maximum.accumulate(ends)


def _move(bounds: np.ndarray, old: int, new: int) -> bool:
    """Move bounds of ranges in place; whether there were any at the `old` place."""
    here = bounds == old
    bounds[here] = new
    return bool(here.any())
