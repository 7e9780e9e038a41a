"""The metrics, looked up by name: those of every task type under its own name, and variants that a record may ask for.

Owns: which numbers a data set is scored by, and which of them comes first. Must never know: files, models, schedules.

Every metric offers the same things, so that scoring and tables never ask which task it is. Scores go from 0 to 100.
docs/metrics.md names the official script behind each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crosstune.core.errors import UserError
from crosstune.evaluation.metrics import accuracy, chaii, mlqa, qa, retrieval, tagging


@dataclass(frozen=True)
class Metric:
    """How the predictions of a data set are scored.

    `labels` maps each number's key to the words a table shows, the primary one first. `problem` says what is wrong
    with a prediction row, or None. `measure` turns the rows of one language, in order, and the language's code into
    one record per example; `summarise` turns those records into the scores of the language. `averaged`: the numbers
    whose mean stands for a task in an average over tasks. `languages`: those the metric has rules for, None for any.
    `pooled`: the numbers are means over examples, so that they can be pooled over languages. `parts`: what one
    example's record adds to a number's numerator and to its denominator; the number of any examples is the ratio of
    the sums.
    """

    labels: dict[str, str]
    problem: Callable[[dict], str | None]
    measure: Callable[[Sequence[dict], str], list[dict]]
    summarise: Callable[[Sequence[dict]], dict]
    averaged_keys: tuple[str, ...]
    languages: tuple[str, ...] | None = None
    is_example_mean: bool = False
    ratio_terms: Callable[[dict, str], tuple[float, float]] = lambda example, key: (example[key], 1)

    @property
    def primary(self) -> str:
        return next(iter(self.labels))

    def check_languages(self, languages: Sequence[str], place: str = "") -> None:
        """UserError at `place` for the first language without rules."""
        for language in languages:
            if self.languages and language not in self.languages:
                fix = f"It has rules for: {', '.join(self.languages)}."
                raise UserError(f"the metric {self.labels[self.primary]} does not know {language!r}", place, fix)


def label_metric(problem: Callable[[dict], str | None]) -> Metric:
    labels = {"accuracy": "accuracy"}
    return Metric(
        labels, problem, accuracy.measure, accuracy.summarise, averaged_keys=("accuracy",), is_example_mean=True
    )


def answer_metric(
    title: str,
    measure: Callable[[Sequence[dict], str], list[dict]],
    summarise: Callable[[Sequence[dict]], dict] = qa.summarise,
    first: dict[str, str] | None = None,
    languages: tuple[str, ...] | None = None,
) -> Metric:
    """A metric of answers with F1 and exact match, which stand after the number `first` where there is one."""
    both = {"f1": f"{title} F1", "exact_match": f"{title} exact match"}
    averaged_keys = tuple(first or both)
    return Metric(
        {**(first or {}), **both}, qa.problem, measure, summarise, averaged_keys, languages, is_example_mean=True
    )


METRICS = {
    "qa": answer_metric("SQuAD v1.1", qa.measure),
    "mlqa": answer_metric("MLQA", mlqa.measure, languages=mlqa.LANGUAGES),
    "chaii": answer_metric("Unicode", chaii.measure, chaii.summarise, {"jaccard": "ChAII Jaccard"}),
    "mucot": answer_metric("MuCoT's", chaii.measure_mucot, chaii.summarise, {"jaccard": "ChAII Jaccard"}),
    "tagging": Metric(
        {"f1": "chunk F1 (seqeval 1.2.2)", "accuracy": "token accuracy"},
        tagging.problem,
        tagging.measure,
        tagging.summarise,
        averaged_keys=("f1",),
        ratio_terms=tagging.ratio_terms,
    ),
    "classification": label_metric(accuracy.label_problem),
    "choice": label_metric(accuracy.choice_problem),
    "bitext": label_metric(accuracy.label_problem),
    "retrieval": Metric(
        {"map20": "mAP@20"}, retrieval.problem, retrieval.measure, retrieval.summarise, averaged_keys=("map20",)
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
        raise UserError(f"no metric is named {name!r}", fix=f"Known: {', '.join(METRICS)}.") from None
