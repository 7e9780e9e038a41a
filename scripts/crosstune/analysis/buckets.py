"""Where does a schedule help? The difference between two schedules by bucket of examples.

A bucket holds the examples with one value of an attribute; those of a number are equal parts of each language, from the
lowest values to the highest. For each bucket: scores of both schedules, their difference, and how much this differs
from the difference on the language's other examples. Holm's procedure over all buckets of a comparison corrects the
last one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from crosstune.analysis.contrasts import ExampleReader, LanguageScores, pair_scores
from crosstune.analysis.estimates import Estimate, Sample, estimate_over_examples, holm_adjust
from crosstune.analysis.results import FINAL, Panel, StudyResults
from crosstune.core.errors import UserError
from crosstune.core.files import read_jsonl
from crosstune.data.attributes import Value, attribute_names, row_attributes

# Values of attributes, by the attribute's name and the row's id.
RowValues = Callable[[Sequence[Mapping]], dict[str, dict[str, Value]]]

# A language takes part in a bucket if this many of its examples are in it, and as many are not.
FEWEST = 10


@dataclass(frozen=True)
class Bucket:
    """The numbers of one bucket, in points.

    examples: in the languages that take part. scores: of both schedules, the mean over seeds and then over languages.
    difference, against_rest: None below two seeds. p: of against_rest, Holm's over all buckets in `holm`.
    """

    attribute: str
    name: str
    languages: tuple[str, ...]
    examples: int
    scores: tuple[float, float]
    difference: Estimate | None
    against_rest: Estimate | None
    holm: float | None = None

    def entry(self) -> dict:
        """Plain data, for a file of JSON."""
        return asdict(self)

    @classmethod
    def from_entry(cls, entry: Mapping) -> "Bucket":
        """The bucket of plain data, with the same numbers to the last digit."""
        estimates = {key: _plain_estimate(entry[key]) for key in ("difference", "against_rest")}
        lists = {key: tuple(entry[key]) for key in ("languages", "scores")}
        return cls(**{**entry, **estimates, **lists})


def _plain_estimate(entry: Mapping | None) -> Estimate | None:
    return entry and Estimate(entry["mean"], tuple(map(tuple, entry["parts"])))


@dataclass(frozen=True)
class BucketedLanguage:
    """A language's scores, with the bucket of each example by attribute (None: the attribute has no value)."""

    scores: LanguageScores
    names: Mapping[str, Sequence[str | None]]

    def part(self, mask: np.ndarray) -> LanguageScores:
        """The scores of the examples of a mask (examples,)."""
        unit = self.scores
        keys = tuple(key for key, is_in in zip(unit.keys, mask, strict=True) if is_in)
        return replace(
            unit, keys=keys, numerators=unit.numerators[..., mask], denominators=unit.denominators[..., mask]
        )

    def mask(self, attribute: str, name: str) -> np.ndarray:
        return np.array([value == name for value in self.names.get(attribute, [None] * len(self.scores.keys))])


def compute_buckets(
    study: StudyResults, entry: Mapping, model: str, reader: ExampleReader, of_tokenizer: RowValues | None = None
) -> list[Bucket]:
    """The buckets of one entry of the plan's `buckets`, with one model; empty without a complete seed.

    `of_tokenizer` computes the attributes of rows that the model's tokenizer decides.
    """
    paired = pair_scores(study, entry, model, reader)
    if not paired.seeds:
        return []
    panel = Panel(study, model, entry["panels"][0]["track"], entry["panels"][0]["dataset"])
    run = next(run for run in panel.runs(entry["a"]) if run["seed"] == paired.seeds[0])
    metric = entry["panels"][0]["metric"]
    ids = reader.read(run["stages"][FINAL], panel.fold_dataset(0), panel.metric_spec, metric)
    training = [row for file in entry["train"] for row in read_jsonl(Path(file))]
    languages = []
    for unit in paired.units:
        rows = read_jsonl(Path(entry["test"][unit.language]))
        values = row_attributes(entry["task"], rows, unit.language, training)
        if of_tokenizer:
            values |= of_tokenizer(rows)
        chosen = {name: values[name] for name in entry["attributes"] if name in values}
        names = {name: bucket_names(own, ids[unit.language].ids, entry["bins"]) for name, own in chosen.items()}
        languages.append(BucketedLanguage(unit, names))
    return with_holm(find_buckets(languages, entry["attributes"] or attribute_names(entry["task"])))


def bucket_names(values: Mapping[str, Value], ids: Sequence[str], bins: int) -> list[str | None]:
    """The bucket of every example. Numbers: by the share of the language's examples that have a lower value.

    Raises UserError if an example has no row: the rows were prepared anew since.
    """
    if missing := next((name for name in ids if name not in values), None):
        raise UserError(f"the scored example {missing!r} has no prepared row", fix="Run the study again.")
    own = [values[name] for name in ids]
    if any(isinstance(value, str) for value in own):
        return [str(value) for value in own]
    lower = np.searchsorted(np.sort(own), own, side="left") / len(own)
    return [f"{int(share * bins) + 1} of {bins}" for share in lower]


def find_buckets(languages: Sequence[BucketedLanguage], attributes: Sequence[str]) -> list[Bucket]:
    """All buckets with enough examples in some language, by attribute and then by name."""
    found = []
    for attribute in attributes:
        names = {name for language in languages for name in language.names.get(attribute, ()) if name is not None}
        for name in sorted(names):
            if bucket := _bucket(languages, attribute, name):
                found.append(bucket)
    return found


def with_holm(buckets: Sequence[Bucket]) -> list[Bucket]:
    """The buckets with Holm's p over all that have one."""
    tested = [number for number, bucket in enumerate(buckets) if bucket.against_rest]
    adjusted = holm_adjust([buckets[number].against_rest.p for number in tested])
    by_number = dict(zip(tested, adjusted, strict=True))
    return [replace(bucket, holm=by_number.get(number)) for number, bucket in enumerate(buckets)]


def _bucket(languages: Sequence[BucketedLanguage], attribute: str, name: str) -> Bucket | None:
    parts = []
    for language in languages:
        mask = language.mask(attribute, name)
        if min(mask.sum(), (~mask).sum()) >= FEWEST:
            parts.append((language.part(mask), language.part(~mask), mask))
    if not parts:
        return None
    inside = [part for part, _, _ in parts]
    scores = np.mean([part.scores.mean(axis=1) for part in inside], axis=0)
    estimates = (None, None)
    if inside[0].differences.shape[0] > 1:
        own = _sample([(part.differences, part.influences, part.keys, 100 / len(part.keys)) for part in inside])
        estimates = (_estimate(own), _estimate(_sample([_against_rest(*part) for part in parts])))
    examples = sum(len(part.keys) for part in inside)
    return Bucket(attribute, name, tuple(part.name for part in inside), examples, tuple(scores.tolist()), *estimates)


def _against_rest(part: LanguageScores, rest: LanguageScores, mask: np.ndarray) -> tuple:
    """The difference in a bucket less that on the language's other examples, as `_sample` takes it."""
    influences = np.empty((part.differences.shape[0], len(mask)))
    influences[:, mask], influences[:, ~mask] = part.influences, -rest.influences
    keys = np.empty(len(mask), dtype=object)
    keys[mask], keys[~mask] = part.keys, rest.keys
    step = float(np.hypot(100 / len(part.keys), 100 / len(rest.keys)))
    return part.differences - rest.differences, influences, tuple(keys), step


def _sample(units: Sequence[tuple]) -> Sample:
    """A sample of (differences, influences, keys, step) of each language, weighted alike."""
    numbers: dict[str, int] = {}
    return Sample(
        np.stack([differences for differences, *_ in units], axis=1),
        [influences for _, influences, *_ in units],
        np.full(len(units), 1 / len(units)),
        list(range(len(units))),
        [np.array([numbers.setdefault(key, len(numbers)) for key in keys]) for _, _, keys, _ in units],
        np.array([step for *_, step in units]),
    )


def _estimate(sample: Sample) -> Estimate | None:
    """For other seeds and examples, as one test of many: with the degrees of freedom of the seeds alone."""
    estimate = estimate_over_examples(sample)
    return estimate and Estimate(estimate.mean, ((estimate.error**2, sample.seeds - 1),))
