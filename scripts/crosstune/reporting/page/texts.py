"""The numbers of the page's own tables as texts, for their CSV files."""

from collections.abc import Sequence

from crosstune.core.text import decimal
from crosstune.reporting.page.answer import BaselineMargin, RelatednessRow, SeedDifference


def difference_texts(rows: Sequence[tuple[str, Sequence[SeedDifference]]]) -> list[list[str]]:
    """The mean difference of every group of languages."""
    return [[name, *(decimal(found.difference.mean, 4) for found in cells)] for name, cells in rows]


def margin_texts(rows: Sequence[BaselineMargin]) -> list[list[str]]:
    """Schedule, languages, mean score, baseline, mean margin, smallest margin."""
    return [
        [row.schedule, " ".join(row.languages), *(decimal(value, 4) for value in numbers)]
        for row in rows
        for numbers in [(row.score.mean, row.baseline, row.margin.mean, row.smallest)]
    ]


def relatedness_texts(rows: Sequence[RelatednessRow]) -> list[list[str]]:
    """Schedule, mean scores of related and unrelated languages, their difference."""
    cells = [(row.schedule, (row.related, row.unrelated, row.contrast.difference)) for row in rows]
    return [[schedule, *(decimal(cell.mean, 4) for cell in numbers)] for schedule, numbers in cells]


def exposure_texts(rows: Sequence) -> list[list[str]]:
    """Schedule, and rows and tokens of every source and in total: `120 rows, 4000 tokens`."""
    return [
        [row.schedule, *(f"{pair[0]:.0f} rows, {pair[1]:.0f} tokens" if pair else "" for pair in pairs)]
        for row in rows
        for pairs in [(*row.by_source, row.total)]
    ]


def leak_texts(pairs: Sequence[dict]) -> list[list[str]]:
    """The pairs of a training source and an evaluation set, with their numbers of texts."""
    return [
        [pair["train"], pair["evaluate"], pair["texts"], pair["exact"] + pair["short"], pair["near"], pair["id"],
         pair["parallel"], pair["status"]]
        for pair in pairs
    ]  # fmt: skip
