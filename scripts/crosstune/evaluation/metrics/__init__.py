"""The metrics by name: one for every task type, under the task's name, and variants that a record may request.

docs/metrics.md names the official script behind each.
"""

from crosstune.core.errors import UserError
from crosstune.evaluation.metrics import accuracy, chaii, mlqa, multichecklist, qa, retrieval, tagging
from crosstune.evaluation.metrics.metric import Metric

METRICS = {
    "qa": qa.SQUAD,
    "mlqa": mlqa.MLQA,
    **chaii.METRICS,
    "multichecklist": multichecklist.MULTICHECKLIST,
    "tagging": tagging.CHUNK_F1,
    "classification": accuracy.LABEL_ACCURACY,
    "choice": accuracy.CHOICE_ACCURACY,
    "bitext": accuracy.LABEL_ACCURACY,
    "retrieval": retrieval.MAP20,
}

# The ten tasks of XTREME-R, by the names of its evaluate.py, and the metric of each.
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

# What XTREME-R evaluates besides its tasks, without a number in its average.
DIAGNOSTICS = {"multichecklist": "multichecklist"}


def metric_named(name: str) -> Metric:
    """The metric of this name. Raises UserError for an unknown one."""
    try:
        return METRICS[name]
    except KeyError:
        raise UserError(f"no metric is named {name!r}", fix=f"Known: {', '.join(METRICS)}.") from None
