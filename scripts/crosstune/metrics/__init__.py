"""The metrics, looked up by name: those of every task type under its own name, and variants that a record may ask for.

Owns: which numbers a data set is scored by, and which of them comes first. Must never know: files, models, schedules.

Every metric offers the same things, so that scoring and tables never ask which task it is. Scores go from 0 to 100.
docs/metrics.md names the official script behind each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crosstune.errors import UserError
from crosstune.metrics import accuracy, mlqa, qa, retrieval, tagging


@dataclass(frozen=True)
class Metric:
    """How the predictions of a data set are scored.

    `labels` maps each number's key to the words a table shows, the primary one first. `problem` says what is wrong with
    a prediction row, or None. `measure` turns the rows of one language, in order, and the language's code into one
    record per example; `summarise` turns those records into the scores of the language. `averaged`: the numbers whose
    mean stands for a task in an average over tasks. `languages`: those the metric has rules for, None for any.
    """

    labels: dict[str, str]
    problem: Callable[[dict], str | None]
    measure: Callable[[Sequence[dict], str], list[dict]]
    summarise: Callable[[Sequence[dict]], dict]
    averaged: tuple[str, ...]
    languages: tuple[str, ...] | None = None

    @property
    def primary(self) -> str:
        return next(iter(self.labels))

    def check_languages(self, languages: Sequence[str], place: str = "") -> None:
        """UserError at `place` for the first language without rules."""
        for language in languages:
            if self.languages and language not in self.languages:
                cure = f"It has rules for: {', '.join(self.languages)}."
                raise UserError(f"the metric {self.labels[self.primary]} does not know {language!r}", place, cure)


def of_labels(problem: Callable[[dict], str | None]) -> Metric:
    labels = {"accuracy": "accuracy"}
    return Metric(labels, problem, accuracy.measure, accuracy.summarise, averaged=("accuracy",))


METRICS = {
    "qa": Metric(
        {"f1": "SQuAD v1.1 F1", "exact_match": "SQuAD v1.1 exact match"},
        qa.problem,
        qa.measure,
        qa.summarise,
        averaged=("f1", "exact_match"),
    ),
    "mlqa": Metric(
        {"f1": "MLQA F1", "exact_match": "MLQA exact match"},
        qa.problem,
        mlqa.measure,
        qa.summarise,
        averaged=("f1", "exact_match"),
        languages=mlqa.LANGUAGES,
    ),
    "tagging": Metric(
        {"f1": "chunk F1 (seqeval 1.2.2)", "accuracy": "token accuracy"},
        tagging.problem,
        tagging.measure,
        tagging.summarise,
        averaged=("f1",),
    ),
    "classification": of_labels(accuracy.label_problem),
    "choice": of_labels(accuracy.choice_problem),
    "bitext": of_labels(accuracy.label_problem),
    "retrieval": Metric(
        {"map20": "mAP@20"}, retrieval.problem, retrieval.measure, retrieval.summarise, averaged=("map20",)
    ),
}

XTREME_R = {
    "xnli": "classification",
    "xcopa": "choice",
    "udpos": "tagging",
    "panx": "tagging",
    "xquad": "qa",
    "mlqa": "mlqa",
    "tydiqa": "qa",
    "tatoeba": "bitext",
    "mewslix": "retrieval",
    "lareqa": "retrieval",
}
"""The ten tasks of XTREME-R, by the names of its evaluate.py, and the metric of each."""


def metric_named(name: str) -> Metric:
    """The metric of this name; an unknown one raises UserError."""
    try:
        return METRICS[name]
    except KeyError:
        raise UserError(f"no metric is named {name!r}", cure=f"Known: {', '.join(METRICS)}.") from None
