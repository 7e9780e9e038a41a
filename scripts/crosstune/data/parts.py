"""Parts of prepared rows: samples, and rows that are held out of training for validation.

Rows are taken in the order of a hash of their key. The smaller of two samples is thus part of the larger one, and
languages with the same keys (`key_of_example`) give the same examples. An example is a row; in retrieval it is a
question, and candidates without a question stay in every sample, so that the pool is that of the whole set. Rows of
test cases stay together: a pilot takes whole cases.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from crosstune.core.errors import UserError
from crosstune.data.part_names import HELD, SAMPLE, Part
from crosstune.data.record import Dataset, SplitRecord, key_of_example
from crosstune.data.sources import PartSource


def part_dataset(dataset: Dataset, part: Part, originals: Dataset | None = None) -> Dataset:
    """The record of a part. `originals`: of a translation, the part of the data set that it translates."""
    whole = dataset.base_dataset or dataset.name
    splits = {}
    for name, split in dataset.splits.items():
        source = PartSource(dataset.name, name, part, whole, dataset.parallel)
        if originals and name == "train":
            languages = originals.splits["train"].languages
            source = replace(source, origins=originals.name, languages=languages)
        # A sample has as many rows as examples, except where rows without a question stay.
        counted = part.kind == SAMPLE and dataset.task != "retrieval"
        known = sample_sizes(split, part.number, name) if counted else {}
        splits[name] = SplitRecord({"part": source}, split.languages, known, {}, {})
    if part.kind == HELD and "train" in splits and not originals:
        splits["validation"] = splits["train"]
    # A part of a task of XTREME-R is no submission.
    return replace(dataset, name=part.of(dataset.name), splits=splits, base_dataset=whole, xtreme="")


def sample_sizes(split: SplitRecord, number: int, name: str) -> dict[str, int]:
    """The rows of a sample of `number` by language, as far as they are known before the rows are read.

    A smaller test split is whole in its sample; a smaller training split is refused.
    """
    if name != "test":
        return dict.fromkeys(split.languages, number)
    return {lang: min(number, split.rows[lang]) for lang in split.languages if lang in split.rows}


def part_rows(rows: Sequence[dict], source: PartSource, split: str, lang: str) -> list[dict]:
    """The rows of a part's `split` in a language, from all rows of its source; training rows with their `origin`.

    Raises UserError if there are too few.
    """
    if source.part.kind == HELD:
        chosen = rows if split == "test" else held_rows(rows, source, lang)[split]
    else:
        chosen = sample_rows(rows, source, lang)
    if split == "test":
        return list(chosen)
    return [row if "origin" in row else row | {"origin": f"{source.whole}.{lang}/{row['id']}"} for row in chosen]


def sample_rows(rows: Sequence[dict], source: PartSource, lang: str) -> list[dict]:
    """The first examples in the order of a draw, in the order of the file; of fewer test examples, all."""
    part, order = source.part, ordered_examples(rows, source)
    if rows and "case" in rows[0]:
        return whole_cases(rows, order, part.number)
    if part.kind == SAMPLE and source.split != "test" and part.number > len(order):
        message = f"a sample of {part.number} is larger than the {source.split} split in {lang!r}, of {len(order)}"
        raise UserError(message, source.whole, f"sample: {len(order)}")
    taken = set(order[: part.number])
    return [row for number, row in enumerate(rows) if number in taken or not is_example(row)]


def whole_cases(rows: Sequence[dict], order: Sequence[int], number: int) -> list[dict]:
    """The first test cases in the order of a draw: at least one, and then at most `number` rows in all.

    The taken cases of a test are numbered anew, because a missing number is a case without examples, which has failed.
    """
    sizes = Counter(map(_case_key, rows))
    taken, left = set(), number
    for key in dict.fromkeys(_case_key(rows[place]) for place in order):
        left -= sizes[key]
        if left < 0 and taken:
            break
        taken.add(key)
    chosen = [row for row in rows if _case_key(row) in taken]
    numbers: dict[str, dict[int, int]] = {}
    for test, old in map(_case_key, chosen):
        own = numbers.setdefault(test, {})
        own.setdefault(old, len(own))
    return [
        row | {"case": row["case"] | {"number": numbers[test][old], "of": len(numbers[test])}}
        for row in chosen
        for test, old in [_case_key(row)]
    ]


def _case_key(row: dict) -> tuple[str, int]:
    return row["case"]["test"], row["case"]["number"]


def held_rows(rows: Sequence[dict], source: PartSource, lang: str) -> dict[str, list[dict]]:
    """The training and the validation rows. Rows that share a text are on one side.

    Of the last text's rows, those beyond the number are on neither side.
    """
    number, groups = source.part.number, {}
    for place in ordered_examples(rows, source):
        groups.setdefault(shared_text(rows[place]), []).append(place)
    held: list[int] = []
    rest = dict(groups)
    for text, places in groups.items():
        if len(held) >= number:
            break
        held += places
        del rest[text]
    if len(held) < number or not rest:
        examples = sum(map(len, groups.values()))
        message = f"{number} held-out examples leave nothing to train on: {lang!r} has {examples}"
        raise UserError(message, source.whole, f"validation: {{from: train, sample: {max(1, examples // 10)}}}")
    train, validation = {place for places in rest.values() for place in places}, set(held[:number])
    return {
        "train": [row for place, row in enumerate(rows) if place in train],
        "validation": [row for place, row in enumerate(rows) if place in validation],
    }


def ordered_examples(rows: Sequence[dict], source: PartSource) -> list[int]:
    """The places of all examples, in the order of the part's draw."""
    stream = f"{source.whole}/{HELD if source.part.kind == HELD else source.part.draw}"
    places = [place for place, row in enumerate(rows) if is_example(row)]
    keys = [key_of_example(source.parallel, rows[place]["id"], position) for position, place in enumerate(places)]
    hashes = [hashlib.sha256(f"{stream}/{key}".encode()).digest() for key in keys]
    return [place for _, place in sorted(zip(hashes, places, strict=True))]


def is_example(row: dict) -> bool:
    """Whether a row counts in a sample: all do but candidates without a question."""
    return "candidate" not in row or "query" in row


def shared_text(row: dict) -> str:
    """The text that rows may share: the context of questions, the first text of others."""
    if "tokens" in row:
        return " ".join(row["tokens"])
    return next(row[field] for field in ("context", "candidate", "text", "premise") if row.get(field))
