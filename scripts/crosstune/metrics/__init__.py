"""The metrics of every task type, looked up by the name of the task.

Owns: which numbers a task is scored by, and which of them comes first. Must never know: files, models, schedules.

Every task offers the same four things, so that scoring and tables never ask which task it is. Scores go from 0 to 100.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crosstune.errors import UserError
from crosstune.metrics import qa, tagging


@dataclass(frozen=True)
class TaskMetrics:
    """How one task type is scored.

    `labels` maps each number's key to the words a table shows, the primary metric first.
    `problem` says what is wrong with a prediction row, or None. `measure` turns the rows of one language, in order,
    into one record per example; `summarise` turns those records into the scores of the language.
    """

    labels: dict[str, str]
    problem: Callable[[dict], str | None]
    measure: Callable[[Sequence[dict]], list[dict]]
    summarise: Callable[[Sequence[dict]], dict]

    @property
    def primary(self) -> str:
        return next(iter(self.labels))


TASK_METRICS = {
    "qa": TaskMetrics(
        {"f1": "SQuAD v1.1 F1", "exact_match": "SQuAD v1.1 exact match"}, qa.problem, qa.measure, qa.summarise
    ),
    "tagging": TaskMetrics(
        {"f1": "chunk F1 (seqeval 1.2.2)", "accuracy": "token accuracy"},
        tagging.problem,
        tagging.measure,
        tagging.summarise,
    ),
}


def task_metrics(task: str) -> TaskMetrics:
    """The metrics of a task type; an unknown one raises UserError."""
    try:
        return TASK_METRICS[task]
    except KeyError:
        raise UserError(f"no metric for the task {task!r}", cure=f"Known: {', '.join(TASK_METRICS)}.") from None
