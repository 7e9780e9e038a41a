"""What a tokenizer makes of rows: pieces per word, unknown and single-character pieces. torch is not imported."""

from collections.abc import Mapping, Sequence

import numpy as np

from crosstune.core.characters import is_unspaced, is_word_character
from crosstune.modeling.tokenization import TokenizedText, Tokenizer

# Words of more characters on average are no words: the script has no spaces.
MOST_CHARACTERS = 20

# Strings of a row that are no text.
NO_TEXT = ("id", "key", "label", "language")


def pieces_per_word(rows: Sequence[Mapping], tokenizer: Tokenizer) -> float | None:
    """The mean number of tokens that a word becomes (fertility, Rust et al. 2021); None for text without spaces.

    Words are the tokens of tagged sentences, and else what stands between spaces.
    """
    words = _words(rows)
    if not words:
        return None
    (tokenized,) = tokenizer.tokenize_words([words])
    return len(tokenized.ids) / len(words)


def piece_attributes(rows: Sequence[Mapping], tokenizer: Tokenizer) -> dict[str, dict[str, float]]:
    """`pieces_per_word` and `unreadable_pieces` of every row, by its id.

    `unreadable_pieces`: the share of the tokens that are unknown, or a single character of a longer word. Rows of a
    text without spaces have no `pieces_per_word`, and a character there is no part of a word.
    """
    spaced = bool(_words(rows))
    texts = [" ".join(_split(row)) for row in rows]
    values: dict[str, dict[str, float]] = {}
    for row, text, tokenized in zip(rows, texts, tokenizer.tokenize(texts), strict=True):
        pieces = len(tokenized.ids)
        if spaced:
            values.setdefault("pieces_per_word", {})[row["id"]] = pieces / max(len(text.split()), 1)
        unreadable = _unreadable(text, tokenized, tokenizer.unknown_id)
        values.setdefault("unreadable_pieces", {})[row["id"]] = unreadable / max(pieces, 1)
    return values


def _split(row: Mapping) -> list[str]:
    texts = [value for key, value in row.items() if isinstance(value, str) and key not in NO_TEXT]
    texts += row.get("choices", ())
    return list(row.get("tokens", ())) or [word for text in texts for word in text.split()]


def _words(rows: Sequence[Mapping]) -> list[str]:
    """The words of all rows; none if the text has no spaces."""
    words = [word for row in rows for word in _split(row)]
    return words if sum(map(len, words)) <= MOST_CHARACTERS * len(words) else []


def _unreadable(text: str, tokenized: TokenizedText, unknown_id: int | None) -> int:
    """The number of tokens that are unknown, or a single character of a longer word.

    A character of a script without spaces is a word. A token that begins where the next one does is the mark of a
    space.
    """
    count, following = 0, np.append(tokenized.starts[1:], len(text))
    for id, start, end, after in zip(tokenized.ids, tokenized.starts, tokenized.ends, following, strict=False):
        beside = text[max(start - 1, 0) : start] + text[end : end + 1]
        is_letter = end - start == 1 and is_word_character(text[start]) and not is_unspaced(text[start])
        part = is_letter and after != start and any(map(is_word_character, beside))
        count += bool(id == unknown_id or part)
    return count
