"""The rival of tagging: what Hugging Face's run_ner.py does, on rows in memory.

Sentences cut to a length, the tag of a word on its first token, Trainer; padded to the longest of a pass as it ships.
Written from the example's documented behaviour (transformers/examples/pytorch/token-classification).
"""

from collections.abc import Sequence

import numpy as np
from rival_trainer import Flags, Rows, example_trainer
from transformers import DataCollatorForTokenClassification, Trainer

IGNORED = -100


def features(rows: Sequence[dict], tokenizer, labels: Sequence[str], longest: int) -> list[dict]:
    """One feature a sentence, of up to `longest` tokens."""
    numbers = {label: number for number, label in enumerate(labels)}
    sentences = [row["tokens"] for row in rows]
    encoded = tokenizer(sentences, truncation=True, max_length=longest, is_split_into_words=True)
    found = []
    for number, row in enumerate(rows):
        tags, before = [], None
        for word in encoded.word_ids(number):
            tags.append(IGNORED if word is None or word == before else numbers[row["tags"][word]])
            before = word
        found.append({name: values[number] for name, values in encoded.items()} | {"labels": tags})
    return found


def rows_of(found: Sequence[dict]) -> Rows:
    """Features as Trainer takes them."""
    return Rows(found, ("input_ids", "attention_mask", "token_type_ids", "labels"))


def trainer(model, tokenizer, data: Sequence[dict], flags: Flags) -> Trainer:
    """A Trainer over one epoch of `data`; run_ner.py always pads to the longest of a pass."""
    return example_trainer(model, rows_of(data), DataCollatorForTokenClassification(tokenizer), flags)


def best_tags(logits: np.ndarray, tags: np.ndarray, labels: Sequence[str]) -> list[list[str]]:
    """The example's post-processing: the most probable tag of every word."""
    best = np.argmax(logits, axis=2)
    return [
        [labels[number] for number, tag in zip(row, gold, strict=True) if tag != IGNORED]
        for row, gold in zip(best, tags, strict=True)
    ]
