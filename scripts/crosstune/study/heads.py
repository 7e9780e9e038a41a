"""Heads: which data sets share one, and those of a lineage of stages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crosstune.core.errors import UserError
from crosstune.data.readers.pieces import UPOS
from crosstune.data.record import Dataset
from crosstune.data.registry import Registry
from crosstune.study.graph import Track
from crosstune.study.paths import Source
from crosstune.study.schedules import Schedule

# Task types with classes, and those without head, on which every checkpoint can be evaluated.
LABELLED = ("tagging", "classification")
HEADLESS = ("bitext",)


@dataclass(frozen=True)
class Head:
    """A head: its name, as in `qa`, `mlm`, `tagging.upos` or `classification.nli`, and its sorted labels.

    `is_named`: a record names it with its key `head`.
    """

    name: str
    labels: tuple[str, ...] = ()
    is_named: bool = False

    @property
    def spec(self) -> dict:
        return {"name": self.name, "labels": list(self.labels)}

    def serves(self, other: "Head") -> bool:
        """Whether this head answers for a data set whose own head is the other.

        It does if the names are equal, or if the task types and labels are and the records name no two heads.
        """
        if self.name == other.name:
            return True
        alike = self.labels == other.labels and self.name.partition(".")[0] == other.name.partition(".")[0]
        return alike and bool(self.labels) and not (self.is_named and other.is_named)


def own_head(dataset: Dataset) -> Head:
    """The head that a data set trains where no other serves it."""
    if dataset.task in LABELLED:
        labels = dataset.labels or dataset.tags or UPOS
        name = dataset.head or ("upos" if set(labels) == set(UPOS) else dataset.base_dataset or dataset.name)
        return Head(f"{dataset.task}.{name}", tuple(sorted(labels)), bool(dataset.head))
    return Head({"text": "mlm"}.get(dataset.task, dataset.task))


def serving_head(heads: Iterable[Head], dataset: Dataset) -> Head | None:
    """The head among some that serves a data set: the one of its own name, else the first that does, else None.

    A task type without head has its own.
    """
    own = own_head(dataset)
    if own.name in HEADLESS:
        return own
    fitting = [head for head in heads if head.serves(own)]
    return next((head for head in fitting if head.name == own.name), fitting[0] if fitting else None)


def schedule_heads(registry: Registry, track: Track, schedule: Schedule) -> dict[str, Head]:
    """The heads of a schedule's checkpoint, by data set: of every source so far, in the order of the stages.

    If nothing is trained, each evaluated data set has its own. UserError if two data sets name the same head and differ
    in their labels.
    """
    stages = [sorted({Source.parse(source).dataset for source in stage.sources}) for stage in schedule.stages]
    trained = dict.fromkeys(dataset for stage in stages for dataset in stage)
    heads: dict[str, Head] = {}
    for dataset in trained or track.evaluate:
        record = registry[dataset]
        own = own_head(record)
        if own.name in HEADLESS:
            continue
        known = heads.values() if trained else [head for head in heads.values() if head.name == own.name]
        head = serving_head(known, record) or own
        if head.labels != own.labels:
            message = f"two data sets share the head {own.name!r} and differ in their labels"
            raise UserError(message, record.where, "Give one another `head`.")
        heads[dataset] = head
    return heads


def final_heads(registry: Registry, track: Track, schedule: Schedule) -> list[Head]:
    """The heads of a checkpoint; of an average those that all its members have."""
    members = [schedule_heads(registry, track, member).values() for member in schedule.members or [schedule]]
    common = set.intersection(*({head.name for head in heads} for heads in members))
    return list({head.name: head for head in members[0] if head.name in common}.values())


def evaluation_heads(heads: Iterable[Head], registry: Registry, datasets: Iterable[str]) -> dict[str, str]:
    """The name of the head for each of the data sets that some heads serve."""
    heads = list(heads)
    found = {dataset: serving_head(heads, registry[dataset]) for dataset in datasets}
    return {dataset: head.name for dataset, head in found.items() if head}


def check_heads(registry: Registry, track: Track) -> None:
    """Every evaluated data set has a head that a schedule trains, with all its labels; every schedule trains one."""
    trained = {s.name: final_heads(registry, track, s) for s in track.schedules if s.stages or s.members}
    heads = {head.name: head for found in trained.values() for head in found}
    for dataset in track.evaluate:
        _check_evaluated(registry[dataset], heads, f"tracks.{track.name}.evaluate.{dataset}")
    for name, found in trained.items():
        if not evaluation_heads(found, registry, track.evaluate):
            message = f"no evaluated data set can use what it trains: {', '.join(head.name for head in found)}"
            fix = f"Let it end with training on the task of an evaluated data set ({', '.join(track.evaluate)})."
            raise UserError(message, f"tracks.{track.name}.schedules.{name}", fix)


def _check_evaluated(record: Dataset, heads: Mapping[str, Head], where: str) -> None:
    own, head = own_head(record), serving_head(heads.values(), record)
    kind = "labels" if record.task == "classification" else "tags"
    if head and (absent := sorted(set(own.labels) - set(head.labels))):
        message = f"{record.name} has the {kind} {' '.join(absent)}, which the head {head.name} is not trained for"
        raise UserError(message, where, f"It has: {' '.join(head.labels)}\nLet a schedule train on {record.name}.")
    if head:
        return
    task = own.name.partition(".")[0]
    labels = f" with the {kind} {' '.join(own.labels)}" if own.labels else ""
    wider = [
        other for other in heads.values() if other.name.startswith(f"{task}.") and {*own.labels} <= {*other.labels}
    ]
    if wider:
        fix = (
            f"To use one that is trained, say in the record of {record.name}:\nhead: {wider[0].name.partition('.')[2]}"
        )
    else:
        known = "; ".join(" ".join([other.name, *other.labels]) for other in heads.values())
        fix = f"Let a schedule train on it, or leave it out. Heads are trained for: {known or 'nothing'}"
    raise UserError(f"no schedule of the track trains a head for {task}{labels}", where, fix)
