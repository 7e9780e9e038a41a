"""The common form of all metrics, so that scoring and tables do not depend on the task. Scores go from 0 to 100."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from crosstune.core.errors import UserError


@dataclass(frozen=True)
class Metric:
    """A metric of one or more numbers.

    `labels` maps the key of each number to its label in tables, the primary number first. `problem` gives the fault of
    a prediction row, or None. `measure` maps the rows of one language, in order, and the language's code to one record
    per example; `summarise` maps those records to the language's scores. `averaged_keys`: the numbers whose mean stands
    for a task in an average over tasks. `languages`: those that the metric has rules for, None for all.
    `is_example_mean`: the numbers are means over examples and can be pooled over languages. `ratio_terms` maps an
    example's record and a key to its terms of numerator and denominator; the number is the ratio of their sums.
    `details`: more numbers of the same records, which only the program for single files prints. `part_labels` are of
    numbers over parts of the examples, and `error_labels` of numbers of which less is better. The standard tables leave
    both out. A study's own tables may show them, and contrasts may compare parts. A language without an example of a
    part has no such number.
    """

    labels: dict[str, str]
    problem: Callable[[dict], str | None]
    measure: Callable[[Sequence[dict], str], list[dict]]
    summarise: Callable[[Sequence[dict]], dict]
    averaged_keys: tuple[str, ...]
    languages: tuple[str, ...] | None = None
    is_example_mean: bool = False
    ratio_terms: Callable[[dict, str], tuple[float, float]] = lambda example, key: (example[key], 1)
    details: Callable[[Sequence[dict]], dict] = lambda examples: {}
    part_labels: dict[str, str] = field(default_factory=dict)
    error_labels: dict[str, str] = field(default_factory=dict)

    @property
    def primary(self) -> str:
        return next(iter(self.labels))

    @property
    def comparable_labels(self) -> dict[str, str]:
        """The numbers of which more is better."""
        return self.labels | self.part_labels

    @property
    def all_labels(self) -> dict[str, str]:
        return self.comparable_labels | self.error_labels

    def check_languages(self, languages: Sequence[str], where: str = "") -> None:
        """Raise UserError at `where` for the first language without rules."""
        for language in languages:
            if self.languages and language not in self.languages:
                fix = f"It has rules for: {', '.join(self.languages)}."
                raise UserError(f"the metric {self.labels[self.primary]} does not know {language!r}", where, fix)
