"""Paths of results and prepared data, and the names of heads."""

from collections.abc import Iterator, Mapping

from crosstune.data.readers.pieces import UPOS
from crosstune.data.record import Dataset
from crosstune.study.schedules import Schedule

# Task types with classes, and those that need no head, so that every checkpoint can be evaluated.
LABELLED = ("tagging", "classification")

HEADLESS = ("bitext",)


def base_path(results: str, name: str, model: Mapping) -> str:
    """Folder of a base model. The hub's are shared by all studies, a pretrained one belongs to its study."""
    if "hub" in model:
        return f"models/{model['hub'].replace('/', '--')}@{model['revision']}"
    return f"{results}/{name}/base"


def head_of(dataset: Dataset) -> dict:
    """Name and labels of the head that a data set trains: `qa`, `mlm`, `tagging.upos`, `classification.nli`.

    Data sets whose heads are of one name share it.
    """
    if dataset.task in LABELLED:
        labels = dataset.labels or dataset.tags or UPOS
        name = dataset.head or ("upos" if set(labels) == set(UPOS) else dataset.whole or dataset.name)
        return {"name": f"{dataset.task}.{name}", "labels": sorted(labels)}
    return {"name": {"text": "mlm"}.get(dataset.task, dataset.task), "labels": []}


def prepared_source(source: str) -> str:
    """Manifest of the training rows of `dataset.language`."""
    dataset, _, language = source.rpartition(".")
    return f"data/{dataset}/train.{language}.json"


def sources_of(schedule: Schedule) -> Iterator[str]:
    """All sources of a schedule's stages, or of its members', as often as they occur."""
    for part in schedule.members or [schedule]:
        for stage in part.stages:
            yield from stage.sources
