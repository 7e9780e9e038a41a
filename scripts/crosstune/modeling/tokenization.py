"""From text to token ids, with a tokenizer.json and nothing else.

Owns: the tokenizer file, where special tokens stand, character offsets. Must never know: tasks, models, torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from crosstune.core.files import read_json, sha256_file

# The tokenizer's own records are a hundred times as large as what is kept of them.
ENCODED_AT_ONCE = 10_000


@dataclass(frozen=True)
class Layout:
    """Special tokens around a pair of sequences: before the first, between the two, after the second."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    types: tuple[int, int]

    @property
    def specials(self) -> int:
        return len(self.ids)

    @property
    def ids(self) -> tuple[int, ...]:
        return self.before + self.between + self.after

    def pair(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Token ids and token types of `before first between second after`."""
        ids = np.concatenate([self.before, first, self.between, second, self.after]).astype(np.int32)
        types = np.full(len(ids), self.types[1], np.int8)
        types[: len(self.before) + len(first) + len(self.between)] = self.types[0]
        return ids, types


@dataclass(frozen=True)
class Text:
    """One tokenized text: `ids` (n,) and the half-open character ranges `starts` (n,), `ends` (n,) of the tokens."""

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    words: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))


class TextEncoder:
    """The tokenizer of a model folder."""

    def __init__(self, folder: Path | str):
        folder = Path(folder)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.sha256 = sha256_file(folder / "tokenizer.json")
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        names = read_json(folder / "tokenizer_config.json")
        self.mask_id = self._token_id(names.get("mask_token"))
        self.pad_id = self._token_id(names.get("pad_token")) or 0
        self.unknown_id = self._token_id(names.get("unk_token"))
        self.vocabulary = self._tokenizer.get_vocab_size()
        self.pair_layout = self._pair_layout()
        self.single_layout = self._single_layout()
        self.special_ids = frozenset(id for layout in (self.pair_layout, self.single_layout) for id in layout.ids)

    def texts(self, texts: Sequence[str]) -> list[Text]:
        """Tokenize without special tokens; a token's range begins at its first character that is not a space."""
        found = []
        for begin in range(0, len(texts), ENCODED_AT_ONCE):
            part = list(texts[begin : begin + ENCODED_AT_ONCE])
            encodings = self._tokenizer.encode_batch(part, add_special_tokens=False)
            found += [_text(encoding, text) for encoding, text in zip(encodings, part, strict=True)]
        return found

    def words(self, sentences: Sequence[Sequence[str]]) -> list[Text]:
        """Tokenize sentences that are split into words already; `words` (n,) gives each token's word."""
        encodings = self._tokenizer.encode_batch(
            [list(words) for words in sentences], is_pretokenized=True, add_special_tokens=False
        )
        return [
            Text(np.array(e.ids, np.int32), np.zeros(0, int), np.zeros(0, int), np.array(e.word_ids, np.int32))
            for e in encodings
        ]

    def cut_pair(self, first: np.ndarray, second: np.ndarray | None, room: int) -> tuple[np.ndarray, np.ndarray]:
        """Token ids and types of a text or a pair in at most `room` tokens; the longer text is cut first."""
        if second is None:
            layout = self.single_layout
            return layout.pair(np.zeros(0, np.int32), first[: room - layout.specials])
        room -= self.pair_layout.specials
        if len(first) + len(second) > room:
            # The shorter keeps up to half of the room; of two that are longer the second keeps an odd token.
            kept = min(len(first), len(second), room // 2)
            longer = room - kept
            one, other = (longer, kept) if len(first) > len(second) else (kept, longer)
            first, second = first[:one], second[:other]
        return self.pair_layout.pair(first, second)

    def _token_id(self, token: object) -> int | None:
        content = token.get("content") if isinstance(token, dict) else token
        return self._tokenizer.token_to_id(content) if content else None

    def _pair_layout(self) -> Layout:
        probe = self._tokenizer.encode("a", "a")
        of = probe.sequence_ids
        first, second = [i for i, s in enumerate(of) if s == 0], [i for i, s in enumerate(of) if s == 1]
        ids = probe.ids
        return Layout(
            tuple(ids[: first[0]]),
            tuple(ids[first[-1] + 1 : second[0]]),
            tuple(ids[second[-1] + 1 :]),
            (probe.type_ids[first[0]], probe.type_ids[second[0]]),
        )

    def _single_layout(self) -> Layout:
        """A single sequence is a pair whose first part is empty and has no tokens between."""
        probe = self._tokenizer.encode("a")
        inside = [i for i, s in enumerate(probe.sequence_ids) if s == 0]
        kind = probe.type_ids[inside[0]]
        return Layout(tuple(probe.ids[: inside[0]]), (), tuple(probe.ids[inside[-1] + 1 :]), (kind, kind))


def _text(encoding, text: str) -> Text:
    offsets = np.array(encoding.offsets, np.int64).reshape(-1, 2)
    # Tokenizers that write a space as part of the next piece count it in; an answer must not begin with it.
    starts = [s + (e - s > 1 and text[s].isspace()) for s, e in encoding.offsets]
    return Text(np.array(encoding.ids, np.int32), np.array(starts, np.int64), offsets[:, 1])
